//! What a client of the compact profile does with the messages of its chain.

use super::{Checker, Client, Ended, Sight};
use crate::generate::chain::{Step, count_of};
use crate::generate::cutter::Message;
use crate::generate::stamp::{compact, of_header};
use crate::generate::write::{push_ack, push_text};
use crate::plan::Compact;
use crate::record::Count;
use swarmcast::wire::{KIND_DELTA, KIND_SNAPSHOT};

impl Client {
    /// Takes one binary message. Allocates nothing, unless it verifies.
    pub(super) fn chained(&mut self, message: Message<'_>, asked: &Compact, see: &mut Sight<'_>) -> Result<(), Ended> {
        let header = compact(message.bytes, message.length)?;
        let facts = of_header(header, see.clocks);
        let frame = matches!(header.kind, KIND_DELTA | KIND_SNAPSHOT);
        if see.draining && !(frame && facts.due_ns.is_some_and(|due| due <= see.end_ns)) {
            // After the end only frames that were due before it are still looked for.
            return Ok(());
        }
        if let Some(count) = count_of(header.kind) {
            see.record.count(count, 1);
        }
        if let Some(Checker::Chain(verifier)) = self.verifier.as_deref_mut() {
            match verifier.check(message.bytes, see.meeting.map(AsRef::as_ref)) {
                Ok(Some(compared)) => {
                    see.record.count(Count::Verified, 1);
                    see.record.count(Count::Compared, compared);
                }
                Ok(None) => {}
                Err(wrong) => see.record.error(wrong.kind()),
            }
        }
        if header.kind == KIND_DELTA {
            see.record.count(Count::FrameBytes, message.length);
            see.record.count(Count::NodeFrames, u64::from(header.node_count.get()));
        }
        let left_out = match self.chain.take(header) {
            Ok(Step::Frame { left_out }) => left_out,
            Ok(Step::Aside) => return Ok(()),
            Err(kind) => {
                see.record.error(kind);
                self.ask_for_snapshot(kind, see);
                return Ok(());
            }
        };
        see.record.count(Count::LeftOut, left_out);
        // The snapshot shows the last of them.
        see.record.count(Count::Conflated, left_out.saturating_sub(1));
        if facts.due_ns.is_some_and(|due| due < self.opened_ns) {
            // Made for those who were there before: a chain is joined at its last snapshot. It shows the graph, and
            // was not owed to this client.
            self.joined(see);
        } else {
            self.arrived(facts, see);
        }
        self.acknowledge(asked, header.sequence.get(), header.node_count.get(), see);
        Ok(())
    }

    /// A viewer without one would show nothing from here on.
    fn ask_for_snapshot(&mut self, kind: &str, see: &mut Sight<'_>) {
        if kind != "chain_gap" {
            return;
        }
        let mask = see.rng.u32(..).to_le_bytes();
        let (protocol, transport) = (&see.group.protocol, see.group.target.transport);
        self.push(see, |out| push_text(protocol, transport, br#"{"type":"request_full_snapshot"}"#, mask, out));
    }

    /// Every so many frames, where the plan wants it.
    fn acknowledge(&mut self, asked: &Compact, sequence: u64, nodes: u32, see: &mut Sight<'_>) {
        self.unacked += 1;
        if asked.ack_every == 0 || self.unacked < asked.ack_every {
            return;
        }
        self.unacked = 0;
        let (mask, now) = (see.rng.u32(..).to_le_bytes(), see.now_ns);
        let transport = see.group.target.transport;
        if self.push(see, |out| push_ack(transport, sequence, nodes, now, mask, out)) {
            see.record.count(Count::Acks, 1);
        }
    }
}

//! What a client of the compact profile does with the messages of its chain.

use super::{Client, Ended, Sight};
use crate::generate::chain::{Step, count_of};
use crate::generate::checker::Checker;
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
                if kind == "chain_gap" {
                    // A viewer without one would show nothing from here on.
                    self.say(r#"{"type":"request_full_snapshot"}"#, see);
                }
                return Ok(());
            }
        };
        if let Some(interest) = asked.interest.as_ref().filter(|_| !self.framed) {
            // Before its chain stands the server has nothing to look the wish up in.
            self.say(interest, see);
        }
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

    fn say(&mut self, text: &str, see: &mut Sight<'_>) {
        let mask = see.rng.u32(..).to_le_bytes();
        let (protocol, transport) = (&see.group.protocol, see.group.target.transport);
        self.push(see, |out| push_text(protocol, transport, text.as_bytes(), mask, out));
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

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use swarmcast::wire::{FrameHeader, KIND_INFO, KIND_MARK, MAGIC, VERSION, tcp_prefix};
    use zerocopy::IntoBytes;

    use super::*;
    use crate::generate::stamp::Clocks;
    use crate::generate::{tests, timings_of};
    use crate::plan::Protocol;
    use crate::record::{Record, Timing};

    const MS: u64 = 1_000_000;

    /// A message over TCP whose tick was due at so many ms.
    fn message(kind: u8, sequence: u64, base: u64, due_ms: u64) -> Vec<u8> {
        let header = FrameHeader {
            magic: MAGIC,
            version: VERSION,
            kind,
            sequence: sequence.into(),
            base: base.into(),
            tick_ns: (due_ms * MS).into(),
            published_ns: (due_ms * MS).into(),
            node_count: 100.into(),
            body_bytes: 36.into(),
            ..FrameHeader::default()
        };
        [&tcp_prefix(100)[..], header.as_bytes(), &[0; 36]].concat()
    }

    fn with_client(ack_every: u32, act: impl FnOnce(&mut Client, &mut Sight<'_>)) -> Record {
        let mut group = tests::group("tcp://127.0.0.1:1");
        group.protocol =
            Protocol::Compact(Compact { rate_hz: 100, bits: None, dimensions: None, interest: None, ack_every });
        let mut record = Record::with(&timings_of(&group));
        let mut rng = Rng::with_seed(1);
        let mut client = Client::new(0, 0);
        let mut see = Sight {
            group: &group,
            record: &mut record,
            now_ns: 100 * MS,
            measured: true,
            end_ns: u64::MAX,
            draining: false,
            clocks: Clocks { offset_ns: 0, error_ns: 0, unix_ns: 0 },
            meeting: None,
            rng: &mut rng,
        };
        client.shake_hands(&mut see);
        client.set_rate(Some(100.0), &mut see);
        act(&mut client, &mut see);
        record
    }

    #[test]
    fn a_delta_that_comes_allocates_nothing_and_neither_does_its_acknowledgement() {
        let record = with_client(10, |client, see| {
            let start = [message(KIND_INFO, 0, 0, 0), message(KIND_SNAPSHOT, 1, 0, 100)].concat();
            client.take(&start, see).unwrap();
            let mut take = |from: u64, to: u64| {
                for tick in from..to {
                    see.now_ns = (110 + tick * 10) * MS;
                    let delta = message(KIND_DELTA, tick + 1, tick, 110 + tick * 10);
                    let taken = allocation_counter::measure(|| {
                        delta.chunks(37).for_each(|piece| client.take(piece, see).unwrap());
                    });
                    // As a socket that takes it.
                    client.outbox.clear();
                    assert!(from == 1 || taken.count_total == 0, "{taken:?}");
                }
            };
            take(1, 20);
            take(20, 1_000);
        });
        assert_eq!((record.of(Count::Deltas), record.of(Count::Acks)), (999, 100));
        assert_eq!(record.of(Count::FrameBytes), 999 * 100);
        assert_eq!(record.of(Count::NodeFrames), 999 * 100);
        assert!(record.errors.is_empty(), "{:?}", record.errors);
    }

    #[test]
    fn what_was_due_before_the_client_came_is_seen_and_not_late() {
        let record = with_client(0, |client, see| {
            // It opened at 100 ms, and joins the chain at a snapshot of 40 ms.
            see.now_ns = 105 * MS;
            let joins: Vec<u8> = (5..=10).flat_map(|tick| message(KIND_DELTA, tick, tick - 1, tick * 10)).collect();
            let start = [message(KIND_INFO, 0, 0, 0), message(KIND_SNAPSHOT, 4, 0, 40), joins].concat();
            client.take(&start, see).unwrap();
            client.take(&message(KIND_MARK, 10, 0, 100), see).unwrap();
        });
        assert_eq!(record.timing(Timing::FirstFrame).unwrap().len(), 1);
        let late = record.timing(Timing::Latency).unwrap();
        assert_eq!(late.len(), 1, "that of 100 ms alone was owed");
        assert!(late.max() < 6 * MS, "{}", late.max());
        assert_eq!((record.of(Count::Delivered), record.of(Count::Missing), record.of(Count::Marks)), (1, 0, 1));
    }
}

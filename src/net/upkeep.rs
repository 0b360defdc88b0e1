//! What a shard does for a connection now and then, besides sending: its place on the ladder, and its interest.

use super::conn::{Conn, Requests};
use super::link::Link;
use super::shard::ShardLanes;
use super::spares::Spares;
use crate::handoff::{Interest, Rung, ShardEvent, ViewCommand};
use crate::metrics::ShardMetrics;

/// The two lanes a connection's messages go to.
pub(super) struct Out<'shard, Handed> {
    pub(super) lanes: &'shard mut ShardLanes<Handed>,
    #[allow(clippy::vec_box, reason = "they travel through lanes as boxes")]
    pub(super) interests: &'shard mut Spares,
}

impl<Handed> Requests for Out<'_, Handed> {
    fn to_sim(&mut self, command: ViewCommand) -> bool {
        self.lanes.commands.push(command).is_ok()
    }

    fn to_control(&mut self, event: ShardEvent) -> bool {
        self.lanes.events.push(event).is_ok()
    }

    fn interest(&mut self) -> Box<Interest> {
        self.interests.take()
    }
}

impl<Stream> Conn<Stream> {
    /// Gives a client that cannot keep up less, and one that can again more. Nothing changes while `control` has no room for it.
    pub fn keep_pace(&mut self, requests: &mut impl Requests, metrics: &ShardMetrics, now_ns: u64) {
        if !self.ladder.is_due(now_ns) || self.out.is_closing() {
            return;
        }
        let (_, left_out) = self.out.lateness().counts();
        // One that has no frame of its class yet has nothing to be behind in: another class would only begin again.
        let hindered = self.out.take_hindered() && self.out.sequence() > 0;
        let chain = self.out.profile().is_chain();
        let Some(rung) = self.ladder.look(left_out, hindered, chain, now_ns) else { return };
        if !requests.to_control(ShardEvent::Rung { origin: self.origin, rung }) {
            return;
        }
        let counter = match rung {
            Rung::Full => &metrics.rung_full,
            Rung::Skipping => &metrics.rung_skipping,
            Rung::Half | Rung::Quarter => &metrics.rung_coarser,
            Rung::Snapshots => &metrics.rung_snapshots,
        };
        counter.add(1);
        self.ladder.stand(rung, now_ns);
        self.out.set_snapshots_only(rung == Rung::Snapshots);
    }

    /// Has its interest looked up again: at once when the wire order is another, and once a second while it names places.
    pub fn keep_interest(&mut self, link: &Link, requests: &mut impl Requests, now_ns: u64) {
        let Some(interest) = self.out.interest_due(link, now_ns) else { return };
        let mut again = requests.interest();
        again.ask.clone_from(&interest.ask);
        requests.to_control(ShardEvent::Interest { origin: self.origin, interest: again, asked: false });
    }
}

//! Which subscription classes live, when each is due, and how many frames each has had.

use crate::handoff::{ChainWriter, ClassRef, Frame, SidePlanes};
use crate::limits::CLASSES_MAX;
use crate::sim::Backend;
use crate::sim::dealer::Dealer;
use crate::wire::ClassSpec;

#[derive(Debug)]
struct Live {
    class: ClassRef,
    spec: ClassSpec,
    /// What follows the nodes for a compact class.
    chain: Option<Box<ChainWriter>>,
    /// One frame of so many: relief for an encoder that is over its budget.
    divisor: u16,
    /// Grows by the rate every publication; a frame is due when it reaches the tick rate. So 50 Hz of 60 sends
    /// five frames of six, evenly, without a clock.
    phase: u32,
    sequence: u64,
    /// Has had no frame yet.
    fresh: bool,
}

/// Which classes a frame is encoded for. One that has had no frame yet always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// No other: nothing moved, somebody joined.
    Fresh,
    /// Those whose rate is due.
    Due,
    /// All: the last state before a rest, a heartbeat, or something was lost.
    All,
}

/// The live classes of the simulation, by slot.
#[derive(Debug)]
pub(super) struct Classes {
    slots: [Option<Live>; CLASSES_MAX],
    tick_rate_hz: u16,
}

impl Classes {
    pub(super) fn new(tick_rate_hz: u16) -> Self {
        Self { slots: [const { None }; CLASSES_MAX], tick_rate_hz }
    }

    /// Ticks come at this rate from now on. A class keeps the rate that it was asked for.
    pub(super) fn set_tick_rate(&mut self, tick_rate_hz: u16) {
        self.tick_rate_hz = tick_rate_hz;
    }

    /// From the next publication on, this class gets frames.
    pub(super) fn open(&mut self, class: ClassRef, spec: ClassSpec, chain: Option<Box<ChainWriter>>) {
        if let Some(slot) = self.slots.get_mut(usize::from(class.slot)) {
            *slot = Some(Live { class, spec, chain, divisor: 1, phase: 0, sequence: 0, fresh: true });
        }
    }

    /// This class gets no more frames; what followed the nodes for it is given back. A slot that has another class by now
    /// keeps it.
    pub(super) fn close(&mut self, class: ClassRef) -> Option<Box<ChainWriter>> {
        let slot = self.slots.get_mut(usize::from(class.slot))?;
        slot.take_if(|live| live.class == class)?.chain
    }

    /// From now on, one frame of `divisor`.
    pub(super) fn divide(&mut self, class: ClassRef, divisor: u16) {
        let live = self.slots.get_mut(usize::from(class.slot)).and_then(Option::as_mut);
        if let Some(live) = live.filter(|live| live.class == class) {
            live.divisor = divisor.max(1);
        }
    }

    /// Somebody waits for a snapshot of this class.
    pub(super) fn want_snapshot(&mut self, class: ClassRef) {
        let live = self.slots.get_mut(usize::from(class.slot)).and_then(Option::as_mut);
        if let Some(chain) = live.filter(|live| live.class == class).and_then(|live| live.chain.as_mut()) {
            chain.want_snapshot();
        }
    }

    /// What follows the nodes of a compact class is of another structure from now on; the one before is given back, or `chain`
    /// when the class is gone.
    pub(super) fn rechain(&mut self, class: ClassRef, mut chain: Box<ChainWriter>) -> Box<ChainWriter> {
        let live = self.slots.get_mut(usize::from(class.slot)).and_then(Option::as_mut);
        match live.filter(|live| live.class == class).and_then(|live| live.chain.as_mut()) {
            Some(before) => {
                chain.succeed(before);
                std::mem::replace(before, chain)
            }
            None => chain,
        }
    }

    /// Whether any of them is followed by a chain.
    pub(super) fn any_chain(&self) -> bool {
        self.slots.iter().flatten().any(|live| live.chain.is_some())
    }

    pub(super) fn count(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Whether a class waits for its first frame, or for a snapshot that may be made now.
    pub(super) fn any_fresh(&self, now_ns: u64) -> bool {
        let waits = |live: &Live| live.fresh || live.chain.as_ref().is_some_and(|chain| chain.is_due(now_ns));
        self.slots.iter().flatten().any(waits)
    }

    /// Encodes `frame`, which `backend` has written, for the classes that `want` says; notes the others' sequences in it. `dealer` has
    /// gathered this frame's nodes if a chain is among the classes. `side` is what is known beside the motion. Returns how many chains found no free
    /// message.
    pub(super) fn encode(
        &mut self,
        frame: &mut Frame,
        want: Want,
        dealer: &mut Dealer,
        backend: &dyn Backend,
        words: &[u32],
        side: Option<&SidePlanes>,
    ) -> u64 {
        let tick_rate = u32::from(self.tick_rate_hz);
        let stamp = frame.stamp();
        let (mut dealer, mut gathered, mut dry) = (Some(dealer), None, 0);
        let values = side.map(SidePlanes::values).unwrap_or_default();
        let flat = self.slots.iter().flatten().any(|live| live.spec.detail.flat);
        for live in self.slots.iter_mut().flatten() {
            let on_time = want != Want::Fresh && {
                let whole = tick_rate * u32::from(live.divisor);
                live.phase += u32::from(live.spec.rate_hz);
                let due = live.phase >= whole;
                // A class may be faster than the ticks have become: what is too much is no debt.
                live.phase = if due { live.phase % whole } else { live.phase };
                due
            };
            let due = on_time || want == Want::All || live.fresh;
            match &mut live.chain {
                // One of another structure, which the simulation could not take, waits for the next.
                Some(chain) if chain.node_count() != words.len() => {}
                Some(chain) if due || chain.is_due(stamp.tick_ns) => {
                    if let Some(dealer) = dealer.take() {
                        gathered = Some(dealer.gather(frame.nodes(), flat, backend));
                    }
                    let done = gathered.is_some_and(|nodes| chain.encode(&nodes.input(words, side), &stamp));
                    dry += u64::from(!done);
                    live.fresh &= !done;
                }
                Some(_) => {}
                None if due => {
                    live.fresh = false;
                    live.sequence += 1;
                    frame.encode_with(live.class, live.spec.profile, live.sequence, &values);
                }
                None => frame.note(live.class, live.sequence),
            }
        }
        dry
    }

    /// Notes every class's sequence in a frame that none of them gets.
    pub(super) fn note(&self, frame: &mut Frame) {
        for live in self.slots.iter().flatten() {
            frame.note(live.class, live.chain.as_ref().map_or(live.sequence, |chain| chain.sequence()));
        }
    }

    /// Stamps what the chains made, and adds it to `frame`.
    pub(super) fn publish(&mut self, frame: &mut Frame, published_ns: u64) {
        for live in self.slots.iter_mut().flatten() {
            if let Some(chain) = &mut live.chain {
                let part = chain.publish(published_ns);
                frame.add_chain(live.class, chain.sequence(), part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handoff::{FramePool, Stamp};
    use crate::sim::SimParams;
    use crate::sim::cpu::CpuBackend;
    use crate::wire::Profile;

    /// Ticks, of `ticks`, at which a class of `rate_hz` gets a frame.
    fn due(rate_hz: u16, ticks: usize) -> Vec<usize> {
        let mut classes = Classes::new(60);
        let class = ClassRef { slot: 3, serial: 9 };
        classes.open(class, ClassSpec::new(Profile::Own, rate_hz), None);
        let mut pool = FramePool::new(1);
        (0..ticks)
            .filter(|_| {
                let frame = pool.publish(|frame| {
                    frame.begin(Stamp::default(), &[1]);
                    let backend = CpuBackend::new(SimParams::default());
                    classes.encode(frame, Want::Due, &mut Dealer::default(), &backend, &[1], None);
                });
                frame.unwrap().head(class).is_some()
            })
            .collect()
    }

    #[test]
    fn rates_are_met_evenly_and_the_first_frame_comes_at_once() {
        assert_eq!(due(60, 5), [0, 1, 2, 3, 4]);
        assert_eq!(due(20, 12), [0, 2, 5, 8, 11]);
        assert_eq!(due(1, 121), [0, 59, 119]);
        assert_eq!(due(50, 600).len(), 501);
    }

    #[test]
    fn a_closed_class_gets_nothing_and_its_slot_may_be_taken() {
        let mut classes = Classes::new(60);
        let (old, new) = (ClassRef { slot: 0, serial: 1 }, ClassRef { slot: 0, serial: 2 });
        classes.open(old, ClassSpec::new(Profile::Own, 60), None);
        assert!(classes.close(old).is_none());
        classes.open(new, ClassSpec::new(Profile::V1, 60), None);
        assert!(classes.close(old).is_none());
        assert_eq!((classes.count(), classes.any_fresh(0)), (1, true));
    }
}

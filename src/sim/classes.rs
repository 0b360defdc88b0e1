//! Which subscription classes live, when each is due, and how many frames each has had.

use crate::handoff::{ClassRef, Frame};
use crate::limits::CLASSES_MAX;
use crate::wire::Profile;

#[derive(Clone, Copy, Debug)]
struct Live {
    class: ClassRef,
    profile: Profile,
    rate_hz: u16,
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
        Self { slots: [None; CLASSES_MAX], tick_rate_hz }
    }

    /// From the next publication on, this class gets frames.
    pub(super) fn open(&mut self, class: ClassRef, profile: Profile, rate_hz: u16) {
        if let Some(slot) = self.slots.get_mut(usize::from(class.slot)) {
            *slot = Some(Live { class, profile, rate_hz, phase: 0, sequence: 0, fresh: true });
        }
    }

    /// This class gets no more frames. A slot that has another class by now keeps it.
    pub(super) fn close(&mut self, class: ClassRef) {
        if let Some(slot) = self.slots.get_mut(usize::from(class.slot))
            && slot.is_some_and(|live| live.class == class)
        {
            *slot = None;
        }
    }

    pub(super) fn count(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Whether a class waits for its first frame.
    pub(super) fn any_fresh(&self) -> bool {
        self.slots.iter().flatten().any(|live| live.fresh)
    }

    /// Encodes `frame` for the classes that `want` says; notes the others' sequences in it.
    pub(super) fn encode(&mut self, frame: &mut Frame, want: Want) {
        let tick_rate = u32::from(self.tick_rate_hz);
        for live in self.slots.iter_mut().flatten() {
            let on_time = want != Want::Fresh && {
                live.phase += u32::from(live.rate_hz);
                let due = live.phase >= tick_rate;
                live.phase -= if due { tick_rate } else { 0 };
                due
            };
            if on_time || want == Want::All || live.fresh {
                live.fresh = false;
                live.sequence += 1;
                frame.encode(live.class, live.profile, live.sequence);
            } else {
                frame.note(live.class, live.sequence);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handoff::{FramePool, Stamp};

    /// Ticks, of `ticks`, at which a class of `rate_hz` gets a frame.
    fn due(rate_hz: u16, ticks: usize) -> Vec<usize> {
        let mut classes = Classes::new(60);
        let class = ClassRef { slot: 3, serial: 9 };
        classes.open(class, Profile::Own, rate_hz);
        let mut pool = FramePool::new(1);
        (0..ticks)
            .filter(|_| {
                let frame = pool.publish(|frame| {
                    frame.begin(Stamp::default(), &[1]);
                    classes.encode(frame, Want::Due);
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
        classes.open(old, Profile::Own, 60);
        classes.close(old);
        classes.open(new, Profile::V1, 60);
        classes.close(old);
        assert_eq!((classes.count(), classes.any_fresh()), (1, true));
    }
}

//! What is done about stages of the simulation thread that take longer than their budget: a coarser repulsion, slower classes.

use super::classes::ClassTable;
use crate::base::clock::SECOND_NS;
use crate::handoff::ClassRef;
use crate::limits::CLASSES_MAX;

/// Time between two measures, so that the effect of one is seen before the next.
const LOOK_NS: u64 = 4 * SECOND_NS;

/// Looks in a row without a breach before a measure is taken back.
const CALM_LOOKS: u32 = 3;

/// Notches of accuracy that the repulsion may lose.
pub(super) const NOTCHES_MAX: u8 = 3;

/// A measure, or one taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// The repulsion loses so many notches of accuracy.
    Accuracy(u8),
    /// The class gets one frame of two.
    Halve(ClassRef),
    /// The class gets all its frames again.
    Restore(ClassRef),
}

/// The measures that are in force.
#[derive(Debug)]
pub(super) struct Relief {
    looked_ns: u64,
    notches: u8,
    calm_steps: u32,
    /// In the order in which they were halved.
    halved: Vec<ClassRef>,
    calm_encodes: u32,
}

impl Relief {
    pub(super) fn new() -> Self {
        Self { looked_ns: 0, notches: 0, calm_steps: 0, halved: Vec::with_capacity(CLASSES_MAX), calm_encodes: 0 }
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.looked_ns) >= LOOK_NS
    }

    /// Looks at the two stages; at most one measure for each.
    pub(super) fn look(&mut self, step: bool, encode: bool, classes: &ClassTable, now_ns: u64) -> [Option<Measure>; 2] {
        self.looked_ns = now_ns;
        self.halved.retain(|class| classes.iter().any(|entry| entry.class == *class));
        [self.steps(step), self.encodes(encode, classes)]
    }

    fn steps(&mut self, breached: bool) -> Option<Measure> {
        self.calm_steps = if breached { 0 } else { self.calm_steps + 1 };
        let notches = match breached {
            true => (self.notches + 1).min(NOTCHES_MAX),
            false if self.calm_steps >= CALM_LOOKS => self.notches.saturating_sub(1),
            false => self.notches,
        };
        if notches == self.notches {
            return None;
        }
        (self.notches, self.calm_steps) = (notches, 0);
        Some(Measure::Accuracy(notches))
    }

    /// The class that fewest want is halved first; the last one halved is restored first.
    fn encodes(&mut self, breached: bool, classes: &ClassTable) -> Option<Measure> {
        self.calm_encodes = if breached { 0 } else { self.calm_encodes + 1 };
        if breached {
            let whole = classes.iter().filter(|entry| !self.halved.contains(&entry.class));
            let least = whole.min_by_key(|entry| (entry.subscribers, std::cmp::Reverse(entry.spec.rate_hz)))?.class;
            self.halved.push(least);
            return Some(Measure::Halve(least));
        }
        if self.calm_encodes < CALM_LOOKS {
            return None;
        }
        self.calm_encodes = 0;
        self.halved.pop().map(Measure::Restore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ClassSpec, Profile};

    #[test]
    fn the_least_wanted_class_is_halved_first_and_restored_last() {
        let mut classes = ClassTable::new(60);
        let popular = classes.subscribe(ClassSpec::new(Profile::Own, 60)).unwrap().entry.class;
        classes.subscribe(ClassSpec::new(Profile::Own, 60)).unwrap();
        let rare = classes.subscribe(ClassSpec::new(Profile::V1, 30)).unwrap().entry.class;
        let mut relief = Relief::new();
        let mut look = |encode| relief.look(false, encode, &classes, 0)[1];
        assert_eq!(
            [look(true), look(true), look(true)],
            [Some(Measure::Halve(rare)), Some(Measure::Halve(popular)), None]
        );
        assert_eq!([look(false), look(false), look(false)], [None, None, Some(Measure::Restore(popular))]);
        assert_eq!(look(true), Some(Measure::Halve(popular)));
    }

    #[test]
    fn accuracy_is_lost_notch_by_notch_and_comes_back_slowly() {
        let classes = ClassTable::new(60);
        let mut relief = Relief::new();
        let mut look = |step| relief.look(step, false, &classes, 0)[0];
        let lost: Vec<_> = (0..5).map(|_| look(true)).collect();
        let notch = |notches| Some(Measure::Accuracy(notches));
        assert_eq!(lost, [notch(1), notch(2), notch(3), None, None]);
        let back: Vec<_> = (0..7).map(|_| look(false)).collect();
        assert_eq!(back, [None, None, notch(2), None, None, notch(1), None]);
    }

    #[test]
    fn looks_are_some_seconds_apart() {
        let mut relief = Relief::new();
        assert!(relief.is_due(LOOK_NS));
        relief.look(false, false, &ClassTable::new(60), LOOK_NS);
        assert!(!relief.is_due(2 * LOOK_NS - 1) && relief.is_due(2 * LOOK_NS));
    }
}

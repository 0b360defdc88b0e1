//! Who subscribes to what: at most sixteen classes live, each shared by any number of sessions.

use crate::handoff::{ClassRef, Refusal};
use crate::limits::CLASSES_MAX;
use crate::wire::{ClassSpec, PROFILES};

/// A live class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) class: ClassRef,
    pub(super) spec: ClassSpec,
    pub(super) subscribers: usize,
}

/// All live classes, by slot.
#[derive(Debug)]
pub(super) struct ClassTable {
    slots: [Option<Entry>; CLASSES_MAX],
    last_serial: u16,
    /// Rate of the simulation, the one that most ask for.
    full_rate_hz: u16,
}

/// What a subscription led to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscribed {
    pub(super) entry: Entry,
    /// The class is new: `sim` has to be told.
    pub(super) opened: bool,
}

impl ClassTable {
    /// No class lives yet.
    pub(super) fn new(full_rate_hz: u16) -> Self {
        Self { slots: [None; CLASSES_MAX], last_serial: 0, full_rate_hz }
    }

    /// Adds a subscriber to the class of this profile, rate and detail, opening it if there is room. Without room the class of
    /// the profile with the nearest detail and, of those, the nearest lower rate is joined, or else the slowest. One slot is kept for the full rate of
    /// every profile, so that sixteen odd rates cannot keep everybody else out.
    ///
    /// # Errors
    /// [`Refusal::Classes`] when all slots are taken and none of this profile lives.
    pub(super) fn subscribe(&mut self, spec: ClassSpec) -> Result<Subscribed, Refusal> {
        let live = self.slots.iter_mut().flatten();
        if let Some(entry) = live.into_iter().find(|entry| entry.spec == spec) {
            entry.subscribers += 1;
            return Ok(Subscribed { entry: *entry, opened: false });
        }
        if self.has_room_for(spec)
            && let Some(slot) = self.slots.iter().position(Option::is_none)
        {
            self.last_serial = self.free_serial();
            let class = ClassRef { slot: slot as u8, serial: self.last_serial };
            let entry = Entry { class, spec, subscribers: 1 };
            if let Some(place) = self.slots.get_mut(slot) {
                *place = Some(entry);
            }
            return Ok(Subscribed { entry, opened: true });
        }
        let of_profile = self.slots.iter_mut().flatten().filter(|entry| entry.spec.profile == spec.profile);
        let nearest = of_profile.max_by_key(|entry| {
            let (detail, rate_hz) = (entry.spec.detail, i32::from(entry.spec.rate_hz));
            let far = detail.bits.abs_diff(spec.detail.bits);
            let rate = if entry.spec.rate_hz <= spec.rate_hz { rate_hz } else { -rate_hz };
            (detail.flat == spec.detail.flat, std::cmp::Reverse(far), rate)
        });
        match nearest {
            Some(entry) => {
                entry.subscribers += 1;
                Ok(Subscribed { entry: *entry, opened: false })
            }
            None => Err(Refusal::Classes { limit: CLASSES_MAX }),
        }
    }

    /// Whether a class may take a slot: the full rate of a profile always may, another rate or detail only where enough slots
    /// stay free for the full rates that do not live yet, or where the profile has no class.
    fn has_room_for(&self, spec: ClassSpec) -> bool {
        let full = |profile| ClassSpec::new(profile, self.full_rate_hz);
        let kept =
            PROFILES.into_iter().filter(|profile| !self.iter().any(|entry| entry.spec == full(*profile))).count();
        let free = self.slots.iter().filter(|slot| slot.is_none()).count();
        spec == full(spec.profile) || free > kept || !self.iter().any(|entry| entry.spec.profile == spec.profile)
    }

    /// The next serial that no live class has; never 0.
    fn free_serial(&self) -> u16 {
        let mut serial = self.last_serial;
        loop {
            serial = serial.wrapping_add(1).max(1);
            if !self.iter().any(|entry| entry.class.serial == serial) {
                return serial;
            }
        }
    }

    /// Takes a subscriber away; true when that closed the class.
    pub(super) fn unsubscribe(&mut self, class: ClassRef) -> bool {
        let Some(slot) = self.slots.get_mut(usize::from(class.slot)) else { return false };
        let Some(entry) = slot.as_mut().filter(|entry| entry.class == class) else { return false };
        entry.subscribers -= 1;
        if entry.subscribers > 0 {
            return false;
        }
        *slot = None;
        true
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Profile;

    #[test]
    fn one_class_serves_all_that_want_the_same() {
        let mut table = ClassTable::new(60);
        let first = table.subscribe(ClassSpec::new(Profile::Own, 60)).unwrap();
        let second = table.subscribe(ClassSpec::new(Profile::Own, 60)).unwrap();
        assert!(first.opened && !second.opened);
        assert_eq!((first.entry.class, second.entry.subscribers), (second.entry.class, 2));
        assert!(!table.unsubscribe(first.entry.class));
        assert!(table.unsubscribe(first.entry.class));
        let again = table.subscribe(ClassSpec::new(Profile::Own, 60)).unwrap();
        assert_ne!(again.entry.class, first.entry.class, "a slot's next class has another serial");
        assert_eq!(again.entry.class.slot, first.entry.class.slot);
        assert!(!table.unsubscribe(first.entry.class), "the old class is gone");
    }

    #[test]
    fn odd_rates_leave_room_for_every_full_rate() {
        let mut table = ClassTable::new(60);
        let opened =
            (1..=16).filter(|rate| table.subscribe(ClassSpec::new(Profile::Own, *rate)).unwrap().opened).count();
        assert_eq!(opened, CLASSES_MAX - PROFILES.len());
        let rate = |table: &mut ClassTable, rate| {
            table.subscribe(ClassSpec::new(Profile::Own, rate)).unwrap().entry.spec.rate_hz
        };
        assert_eq!((rate(&mut table, 40), rate(&mut table, 5)), (CLASSES_MAX as u16 - PROFILES.len() as u16, 5));
        for profile in PROFILES {
            assert!(table.subscribe(ClassSpec::new(profile, 60)).unwrap().opened, "{profile:?}");
        }
        assert_eq!(table.iter().count(), CLASSES_MAX);
        assert_eq!(
            table.subscribe(ClassSpec::new(Profile::V1, 30)).unwrap().entry.spec.rate_hz,
            60,
            "no slot is left: the slowest of v1"
        );
    }
}

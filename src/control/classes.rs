//! Who subscribes to what: at most sixteen classes live, each shared by any number of sessions.

use crate::handoff::{ClassRef, Refusal};
use crate::limits::CLASSES_MAX;
use crate::wire::Profile;

/// A live class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) class: ClassRef,
    pub(super) profile: Profile,
    pub(super) rate_hz: u16,
    pub(super) subscribers: usize,
}

/// All live classes, by slot.
#[derive(Debug, Default)]
pub(super) struct ClassTable {
    slots: [Option<Entry>; CLASSES_MAX],
    last_serial: u16,
}

/// What a subscription led to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscribed {
    pub(super) entry: Entry,
    /// The class is new: `sim` has to be told.
    pub(super) opened: bool,
}

impl ClassTable {
    /// Adds a subscriber to the class of this profile and rate, opening it if need be. With all slots taken, the
    /// class of the profile with the nearest lower rate is joined, or else its slowest.
    ///
    /// # Errors
    /// [`Refusal::Classes`] when all slots are taken and none of this profile lives.
    pub(super) fn subscribe(&mut self, profile: Profile, rate_hz: u16) -> Result<Subscribed, Refusal> {
        let live = self.slots.iter_mut().flatten();
        if let Some(entry) = live.into_iter().find(|entry| entry.profile == profile && entry.rate_hz == rate_hz) {
            entry.subscribers += 1;
            return Ok(Subscribed { entry: *entry, opened: false });
        }
        if let Some(slot) = self.slots.iter().position(Option::is_none) {
            self.last_serial = self.free_serial();
            let class = ClassRef { slot: slot as u8, serial: self.last_serial };
            let entry = Entry { class, profile, rate_hz, subscribers: 1 };
            if let Some(place) = self.slots.get_mut(slot) {
                *place = Some(entry);
            }
            return Ok(Subscribed { entry, opened: true });
        }
        let of_profile = self.slots.iter_mut().flatten().filter(|entry| entry.profile == profile);
        let nearest = of_profile.max_by_key(|entry| match entry.rate_hz <= rate_hz {
            true => i32::from(entry.rate_hz),
            false => -i32::from(entry.rate_hz),
        });
        match nearest {
            Some(entry) => {
                entry.subscribers += 1;
                Ok(Subscribed { entry: *entry, opened: false })
            }
            None => Err(Refusal::Classes { limit: CLASSES_MAX }),
        }
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

    #[test]
    fn one_class_serves_all_that_want_the_same() {
        let mut table = ClassTable::default();
        let first = table.subscribe(Profile::Own, 60).unwrap();
        let second = table.subscribe(Profile::Own, 60).unwrap();
        assert!(first.opened && !second.opened);
        assert_eq!((first.entry.class, second.entry.subscribers), (second.entry.class, 2));
        assert!(!table.unsubscribe(first.entry.class));
        assert!(table.unsubscribe(first.entry.class));
        let again = table.subscribe(Profile::Own, 60).unwrap();
        assert_ne!(again.entry.class, first.entry.class, "a slot's next class has another serial");
        assert_eq!(again.entry.class.slot, first.entry.class.slot);
        assert!(!table.unsubscribe(first.entry.class), "the old class is gone");
    }

    #[test]
    fn a_full_table_gives_the_nearest_rate_of_the_profile() {
        let mut table = ClassTable::default();
        for rate in 1..=16 {
            assert!(table.subscribe(Profile::Own, rate * 5).unwrap().opened);
        }
        let rate = |table: &mut ClassTable, rate| table.subscribe(Profile::Own, rate).unwrap().entry.rate_hz;
        assert_eq!((rate(&mut table, 12), rate(&mut table, 120), rate(&mut table, 2)), (10, 80, 5));
        assert_eq!(table.subscribe(Profile::V1, 60).unwrap_err(), Refusal::Classes { limit: 16 });
    }
}

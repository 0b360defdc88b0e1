//! Who subscribes to what: at most sixteen classes live, each shared by any number of sessions.

use crate::handoff::{ClassRef, Refusal};
use crate::limits::CLASSES_MAX;
use crate::wire::{ClassSpec, PROFILES};

/// Slots that odd rates leave to profiles without a class. There are nearly as many profiles as slots, and clients of
/// more than a few kinds are rare.
const KEPT_FOR_OTHERS: usize = 4;

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

    /// The rate that most ask for is another one.
    pub(super) fn set_full_rate(&mut self, full_rate_hz: u16) {
        self.full_rate_hz = full_rate_hz;
    }

    /// Adds a subscriber to the class of this profile, rate and detail, opening it if there is room. Without room the
    /// class of the profile with the nearest detail and, of those, the nearest lower rate is joined, or else the slowest.
    /// Slots are kept for full rates and for other profiles, so that sixteen odd rates cannot keep everybody else out.
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

    /// Whether a class may take a slot: the first of a profile and its full rate always may. Another rate or detail only
    /// where enough slots stay free for the full rates of the profiles that live and for [`KEPT_FOR_OTHERS`] of those
    /// that do not.
    fn has_room_for(&self, spec: ClassSpec) -> bool {
        let full = |profile| ClassSpec::new(profile, self.full_rate_hz);
        let lives = |profile| self.iter().any(|entry| entry.spec.profile == profile);
        let lives_in_full = |profile| self.iter().any(|entry| entry.spec == full(profile));
        let slower = PROFILES.into_iter().filter(|profile| lives(*profile) && !lives_in_full(*profile)).count();
        let absent = PROFILES.into_iter().filter(|profile| !lives(*profile)).count();
        let kept = slower + absent.min(KEPT_FOR_OTHERS);
        let free = self.slots.iter().filter(|slot| slot.is_none()).count();
        spec == full(spec.profile) || free > kept || !lives(spec.profile)
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

    /// Closes a class whoever has it: nobody joins it any more, and its subscribers need not be taken away.
    pub(super) fn expel(&mut self, class: ClassRef) {
        if let Some(slot) = self.slots.get_mut(usize::from(class.slot))
            && slot.is_some_and(|entry| entry.class == class)
        {
            *slot = None;
        }
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
    fn an_expelled_class_is_not_joined_again() {
        let mut table = ClassTable::new(60);
        let join = |table: &mut ClassTable| table.subscribe(ClassSpec::new(Profile::Own, 60)).unwrap();
        let expelled = join(&mut table).entry.class;
        assert!(!join(&mut table).opened);
        table.expel(expelled);
        let next = join(&mut table);
        assert!(next.opened && next.entry.class != expelled, "whoever comes back gets a class that sends");
        table.expel(expelled);
        assert!(!table.unsubscribe(expelled) && !table.unsubscribe(expelled), "its sessions end later");
        assert!(table.unsubscribe(next.entry.class), "and count for no other class");
    }

    #[test]
    fn odd_rates_leave_room_for_full_rates_and_other_profiles() {
        let mut table = ClassTable::new(60);
        let mut of = |profile, rate| table.subscribe(ClassSpec::new(profile, rate));
        let opened = (1..=16).filter(|rate| of(Profile::Own, *rate).unwrap().opened).count();
        assert_eq!(opened, CLASSES_MAX - KEPT_FOR_OTHERS - 1);
        assert_eq!(of(Profile::Own, 40).unwrap().entry.spec.rate_hz, 11);
        assert_eq!(of(Profile::Own, 5).unwrap().entry.spec.rate_hz, 5);
        for (profile, rate) in [(Profile::V1, 60), (Profile::Legacy28, 5), (Profile::V5, 60), (Profile::Own, 60)] {
            assert!(of(profile, rate).unwrap().opened, "{profile:?}");
        }
        assert!(!of(Profile::V1, 30).unwrap().opened, "the last slot is for a profile that is not here");
        assert!(of(Profile::Vf0, 5).unwrap().opened);
        assert_eq!(of(Profile::V1, 30).unwrap().entry.spec.rate_hz, 60, "no slot is left: the slowest of v1");
        assert!(matches!(of(Profile::V2, 60), Err(Refusal::Classes { .. })));
        assert_eq!(table.iter().count(), CLASSES_MAX);
    }

    #[test]
    fn every_profile_has_its_slow_class_and_some_their_full_one() {
        let mut table = ClassTable::new(60);
        let mut of = |profile, rate| table.subscribe(ClassSpec::new(profile, rate)).unwrap();
        for profile in PROFILES {
            assert!(of(profile, 5).opened, "{profile:?}");
        }
        assert_eq!(of(Profile::V1, 7).entry.spec.rate_hz, 5, "what is left is for full rates");
        for profile in PROFILES.into_iter().take(CLASSES_MAX - PROFILES.len()) {
            assert!(of(profile, 60).opened, "{profile:?}");
        }
    }
}

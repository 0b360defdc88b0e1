//! A table of slots whose handles go stale when a slot is reused.

/// Names one use of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// Place in the table.
    pub slot: u32,
    /// Count of the slot's reuses; a handle of an earlier use finds nothing.
    pub generation: u32,
}

/// Slots of `T`. Grows up to a limit given at construction, reuses the slot freed last.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    limit: usize,
}

impl<T> Slab<T> {
    /// An empty table of at most `limit` slots.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), limit: limit.min(u32::MAX as usize) }
    }

    /// Puts the value that `make` builds for its own handle into a free slot; `None` when all are taken.
    pub fn insert_with(&mut self, make: impl FnOnce(Handle) -> T) -> Option<Handle> {
        if let Some(slot) = self.free.pop()
            && let Some((generation, place)) = self.slots.get_mut(slot as usize)
        {
            let handle = Handle { slot, generation: *generation };
            *place = Some(make(handle));
            return Some(handle);
        }
        if self.slots.len() >= self.limit {
            return None;
        }
        let handle = Handle { slot: self.slots.len() as u32, generation: 0 };
        self.slots.push((0, Some(make(handle))));
        Some(handle)
    }

    /// The value that `handle` names, unless its slot was freed since.
    #[must_use]
    pub fn get(&self, handle: Handle) -> Option<&T> {
        let (generation, value) = self.slots.get(handle.slot as usize)?;
        if *generation == handle.generation { value.as_ref() } else { None }
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let (generation, value) = self.slots.get_mut(handle.slot as usize)?;
        if *generation == handle.generation { value.as_mut() } else { None }
    }

    /// The value in `slot`, whatever its generation.
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.1.as_mut()
    }

    /// The handle of the value in `slot`.
    #[must_use]
    pub fn handle_at(&self, slot: u32) -> Option<Handle> {
        let (generation, value) = self.slots.get(slot as usize)?;
        value.as_ref().map(|_| Handle { slot, generation: *generation })
    }

    /// Frees the slot and makes every handle to it stale.
    pub fn remove(&mut self, handle: Handle) -> Option<T> {
        let (generation, value) = self.slots.get_mut(handle.slot as usize)?;
        if *generation != handle.generation || value.is_none() {
            return None;
        }
        *generation = generation.wrapping_add(1);
        self.free.push(handle.slot);
        value.take()
    }

    /// Values held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots ever used; every taken slot is below it.
    #[must_use]
    pub fn slot_count(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Every value with its handle, in slot order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Handle, &mut T)> {
        (0u32..).zip(self.slots.iter_mut()).filter_map(|(slot, (generation, value))| {
            let handle = Handle { slot, generation: *generation };
            value.as_mut().map(|value| (handle, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_slot_makes_the_old_handle_stale() {
        let mut slab = Slab::new(1);
        let first = slab.insert_with(|_| "first").unwrap();
        assert_eq!(slab.insert_with(|_| "no room"), None);
        assert_eq!(slab.remove(first), Some("first"));
        assert_eq!(slab.remove(first), None);
        let second = slab.insert_with(|_| "second").unwrap();
        assert_eq!((first.slot, slab.len()), (second.slot, 1));
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.get_mut(second), Some(&mut "second"));
        assert_eq!(slab.iter_mut().count(), 1);
    }
}

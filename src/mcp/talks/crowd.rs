//! How many connections each principal has.

use std::sync::Arc;

use foldhash::HashMap;

use crate::base::Handle;

/// Whose connections there are. A connection of HTTP is somebody's while a request of it is not answered.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    owners: HashMap<Handle, Arc<str>>,
    counts: HashMap<Arc<str>, usize>,
}

impl Crowd {
    /// Counts a connection as `name`'s and as nobody else's; false, and nothing is changed, when that would be more than `limit`.
    pub(super) fn enter(&mut self, conn: Handle, name: &Arc<str>, limit: usize) -> bool {
        if self.owners.get(&conn) == Some(name) {
            return true;
        }
        if self.counts.get(name).is_some_and(|count| *count >= limit) {
            return false;
        }
        self.leave(conn);
        self.owners.insert(conn, Arc::clone(name));
        *self.counts.entry(Arc::clone(name)).or_default() += 1;
        true
    }

    /// A connection is gone, or nobody's.
    pub(super) fn leave(&mut self, conn: Handle) {
        let Some(name) = self.owners.remove(&conn) else { return };
        let Some(count) = self.counts.get_mut(&name) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(slot: u32) -> Handle {
        Handle { slot, generation: 0 }
    }

    #[test]
    fn each_has_so_many_and_those_that_go_make_room() {
        let (ada, bob): (Arc<str>, Arc<str>) = ("ada".into(), "bob".into());
        let mut crowd = Crowd::default();
        assert!(crowd.enter(conn(1), &ada, 2) && crowd.enter(conn(2), &ada, 2) && crowd.enter(conn(1), &ada, 2));
        assert!(!crowd.enter(conn(3), &ada, 2) && crowd.enter(conn(3), &bob, 2));
        // One that becomes somebody else's makes room as well; one that may not stays whose it is.
        assert!(crowd.enter(conn(2), &bob, 2) && crowd.enter(conn(4), &ada, 2) && !crowd.enter(conn(2), &ada, 2));
        crowd.leave(conn(1));
        crowd.leave(conn(1));
        assert!(crowd.enter(conn(2), &ada, 2));
        for slot in 0..9 {
            crowd.leave(conn(slot));
        }
        assert!(crowd.owners.is_empty() && crowd.counts.is_empty());
    }
}

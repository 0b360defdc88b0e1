//! Clients that come back: what they had, for a while after their connection was lost.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::base::clock::SECOND_NS;
use crate::handoff::SessionId;
use crate::wire::{ClassSpec, InterestAsk};

/// A session can be resumed for so long after its end.
const RESUME_NS: u64 = 600 * SECOND_NS;

/// Ended sessions that are remembered.
const ENDED_MAX: usize = 16_384;

/// Of those, the ones whose interest is, some 3 KB each.
const ENDED_INTERESTS_MAX: usize = 4_096;

/// What a client had.
#[derive(Clone, Debug)]
pub(super) struct Former {
    /// What it subscribed to.
    pub(super) asked: ClassSpec,
    /// What it wanted to see; everything where it did not say.
    pub(super) interest: Option<Box<InterestAsk>>,
}

#[derive(Debug)]
struct Ended {
    session: SessionId,
    address: IpAddr,
    former: Former,
    /// When it ended, ns.
    at_ns: u64,
}

/// What sessions want to see, and those that ended not long ago.
#[derive(Debug, Default)]
pub(super) struct Memory {
    interests: HashMap<SessionId, Box<InterestAsk>>,
    /// The one that ended last at the end.
    ended: VecDeque<Ended>,
}

impl Memory {
    /// A session that goes on wants to see this from now on.
    pub(super) fn wants(&mut self, session: SessionId, ask: &InterestAsk) {
        // Everything is no interest.
        if ask.all && ask.max_nodes.is_none() {
            self.interests.remove(&session);
        } else {
            self.interests.insert(session, Box::new(ask.clone()));
        }
    }

    /// What a session that goes on wants to see.
    pub(super) fn interest(&self, session: SessionId) -> Option<Box<InterestAsk>> {
        self.interests.get(&session).cloned()
    }

    /// A session is over.
    pub(super) fn end(&mut self, session: SessionId, asked: ClassSpec, address: IpAddr, now_ns: u64) {
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_front();
        }
        let interest = self.interests.remove(&session);
        let known = self.ended.iter().filter(|ended| ended.former.interest.is_some());
        if interest.is_some() && known.count() >= ENDED_INTERESTS_MAX {
            drop(self.ended.iter_mut().find_map(|ended| ended.former.interest.take()));
        }
        self.ended.push_back(Ended { session, address, former: Former { asked, interest }, at_ns: now_ns });
    }

    /// What the client of a session had that ended not long ago, and came from there.
    pub(super) fn find(&self, session: SessionId, address: IpAddr, now_ns: u64) -> Option<Former> {
        let ended = self.ended.iter().rev().find(|ended| ended.session == session)?;
        let is_it = ended.address == address && now_ns.saturating_sub(ended.at_ns) < RESUME_NS;
        is_it.then(|| ended.former.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::wire::{Detail, Profile};

    #[test]
    fn sessions_are_remembered_for_their_address_and_a_bounded_number_with_what_they_saw() {
        let asked = ClassSpec { profile: Profile::Compact, rate_hz: 60, detail: Detail::default() };
        let (here, there) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let ask = InterestAsk { kinds: 1, ..InterestAsk::default() };
        let mut memory = Memory::default();
        let count = ENDED_INTERESTS_MAX as u64 + 10;
        for session in 0..count {
            memory.wants(SessionId(session), &ask);
            memory.end(SessionId(session), asked, here, session);
        }
        memory.wants(SessionId(count), &ask);
        memory.wants(SessionId(count), &InterestAsk { all: true, ..InterestAsk::default() });
        assert!(memory.interest(SessionId(count)).is_none() && memory.interests.is_empty());
        let saw = |session, address, now_ns| {
            memory.find(SessionId(session), address, now_ns).map(|former| former.interest.map(|ask| ask.kinds))
        };
        assert_eq!((saw(9, here, 0), saw(10, here, 0)), (Some(None), Some(Some(1))));
        assert_eq!((saw(10, there, 0), saw(count, here, 0), saw(10, here, RESUME_NS + 10)), (None, None, None));
    }
}

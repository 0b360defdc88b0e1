//! The chain of the compact profile, as one client sees it: what each message is to it, and which must not have come.
//!
//! An info begins a chain. Then come snapshots and deltas by their sequence: a delta builds on the frame before, and
//! only a snapshot may take the place of frames that were left out. Nothing is decoded here.

use swarmcast::wire::{FrameHeader, KIND_COLUMNS, KIND_DELTA, KIND_INFO, KIND_MARK, KIND_SNAPSHOT};

use crate::record::Count;

/// What a message is to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A state of the graph that the client has not had; so many deltas were left out before it.
    Frame {
        /// Healed by it; only of a snapshot.
        left_out: u64,
    },
    /// It belongs to the chain, and shows nothing newer.
    Aside,
}

/// Where a client stands in its chain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain {
    class: u16,
    began: bool,
    /// Deltas can be taken.
    follows: bool,
    /// Of the last frame; 0 before any.
    sequence: u64,
}

/// The count of a kind; `None` when the profile has no such kind.
#[must_use]
pub const fn count_of(kind: u8) -> Option<Count> {
    match kind {
        KIND_DELTA => Some(Count::Deltas),
        KIND_SNAPSHOT => Some(Count::Snapshots),
        KIND_INFO => Some(Count::Infos),
        KIND_COLUMNS => Some(Count::Columns),
        KIND_MARK => Some(Count::Marks),
        _ => None,
    }
}

impl Chain {
    /// Takes the next message's header.
    ///
    /// # Errors
    /// The kind of error it counts as: the server broke the chain.
    pub fn take(&mut self, header: &FrameHeader) -> Result<Step, &'static str> {
        let (class, sequence) = (header.class.get(), header.sequence.get());
        if header.kind == KIND_INFO {
            // Sequences are the class's own: those of another class say nothing about this one's.
            let before = if class == self.class { self.sequence } else { 0 };
            *self = Self { class, began: true, follows: false, sequence: before };
            return Ok(Step::Aside);
        }
        if !self.began {
            return Err("chain_without_info");
        }
        if class != self.class {
            if header.kind == KIND_DELTA {
                // The next one is held against it: one wrong class is one error.
                self.sequence = sequence;
            }
            return Err("chain_class");
        }
        match header.kind {
            KIND_SNAPSHOT => self.snapshot(sequence),
            KIND_DELTA => self.delta(sequence, header.base.get()),
            KIND_MARK if !self.follows || sequence != self.sequence => Err("chain_mark"),
            _ => Ok(Step::Aside),
        }
    }

    fn snapshot(&mut self, sequence: u64) -> Result<Step, &'static str> {
        let before = self.sequence;
        if sequence < before {
            return Err("frame_order");
        }
        let follows = std::mem::replace(&mut self.follows, true);
        self.sequence = sequence;
        if sequence == before && follows {
            // More blocks of the state that the client has.
            return Ok(Step::Aside);
        }
        // A client that had nothing yet was not left behind.
        Ok(Step::Frame { left_out: if before > 0 { sequence - before } else { 0 } })
    }

    fn delta(&mut self, sequence: u64, base: u64) -> Result<Step, &'static str> {
        if !self.follows {
            return Err("chain_without_snapshot");
        }
        if sequence <= self.sequence {
            return Err(if sequence == self.sequence { "frame_twice" } else { "frame_order" });
        }
        let gap = base != self.sequence || sequence != base + 1;
        // Whatever it built on, the next one is held against it: one gap is one error.
        self.sequence = sequence;
        if gap { Err("chain_gap") } else { Ok(Step::Frame { left_out: 0 }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of messages, given as kind, sequence and base, of class 1.
    fn steps(messages: &[(u8, u64, u64)]) -> Vec<Result<Step, &'static str>> {
        let mut chain = Chain::default();
        let take = |(kind, sequence, base): &(u8, u64, u64)| {
            let (sequence, base) = ((*sequence).into(), (*base).into());
            chain.take(&FrameHeader { kind: *kind, class: 1.into(), sequence, base, ..FrameHeader::default() })
        };
        messages.iter().map(take).collect()
    }

    const FRAME: Result<Step, &str> = Ok(Step::Frame { left_out: 0 });
    const ASIDE: Result<Step, &str> = Ok(Step::Aside);

    #[test]
    fn a_snapshot_explains_what_was_left_out_and_a_delta_does_not() {
        let came = steps(&[
            (KIND_INFO, 0, 0),
            (KIND_COLUMNS, 0, 0),
            (KIND_SNAPSHOT, 40, 0),
            (KIND_DELTA, 41, 40),
            (KIND_MARK, 41, 0),
            (KIND_DELTA, 42, 41),
            (KIND_SNAPSHOT, 42, 0),
            (KIND_SNAPSHOT, 50, 0),
            (KIND_DELTA, 51, 50),
            (KIND_DELTA, 54, 53),
            (KIND_DELTA, 55, 54),
        ]);
        let healed = Ok(Step::Frame { left_out: 8 });
        let wanted = [ASIDE, ASIDE, FRAME, FRAME, ASIDE, FRAME, ASIDE, healed, FRAME, Err("chain_gap"), FRAME];
        assert_eq!(came, wanted);
    }

    #[test]
    fn what_comes_out_of_turn_is_named() {
        let begun = [(KIND_INFO, 0, 0), (KIND_SNAPSHOT, 9, 0)];
        let after = |message| *steps(&[begun.as_slice(), &[message]].concat()).last().unwrap();
        assert_eq!(after((KIND_DELTA, 9, 8)), Err("frame_twice"));
        assert_eq!(after((KIND_DELTA, 8, 7)), Err("frame_order"));
        assert_eq!(after((KIND_DELTA, 11, 9)), Err("chain_gap"));
        assert_eq!(after((KIND_SNAPSHOT, 8, 0)), Err("frame_order"));
        assert_eq!(after((KIND_MARK, 8, 0)), Err("chain_mark"));
        assert_eq!(steps(&[(KIND_SNAPSHOT, 9, 0)]), [Err("chain_without_info")]);
        assert_eq!(steps(&[(KIND_INFO, 0, 0), (KIND_DELTA, 1, 0)])[1], Err("chain_without_snapshot"));
    }

    #[test]
    fn another_info_begins_again_where_its_class_was() {
        let came = steps(&[
            (KIND_INFO, 0, 0),
            (KIND_SNAPSHOT, 9, 0),
            (KIND_INFO, 0, 0),
            (KIND_DELTA, 10, 9),
            (KIND_SNAPSHOT, 9, 0),
            (KIND_DELTA, 10, 9),
        ]);
        assert_eq!(came[3..], [Err("chain_without_snapshot"), FRAME, FRAME]);
        let mut chain = Chain { class: 1, began: true, follows: true, sequence: 500 };
        let of = |kind, class: u16, sequence: u64| FrameHeader {
            kind,
            class: class.into(),
            sequence: sequence.into(),
            ..FrameHeader::default()
        };
        assert_eq!(chain.take(&of(KIND_SNAPSHOT, 2, 3)), Err("chain_class"));
        assert_eq!(chain.take(&of(KIND_INFO, 2, 0)), ASIDE);
        assert_eq!(chain.take(&of(KIND_SNAPSHOT, 2, 3)), FRAME, "another class counts for itself");
    }
}

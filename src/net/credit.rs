//! How many frames a client may be sent that it has not acknowledged.

use crate::limits::UNACKED_MAX;

const MASK: usize = UNACKED_MAX - 1;

const _: () = assert!(UNACKED_MAX.is_power_of_two(), "frames are masked into the ring");

/// One client's credit. It counts frames, not sequences: an acknowledgement may be of a time before frames were left out.
#[derive(Clone, Copy, Debug)]
pub struct Credit {
    /// Sequence up to which the client says that it has everything; `None` while it says nothing.
    acked: Option<u64>,
    /// Sequences of the last frames sent, in turn.
    sent: [u64; UNACKED_MAX],
    count: usize,
}

impl Credit {
    /// Of a client that has said nothing yet.
    pub const NEW: Self = Self { acked: None, sent: [0; UNACKED_MAX], count: 0 };

    /// The client has everything up to `sequence`.
    pub fn ack(&mut self, sequence: u64) {
        self.acked = self.acked.max(Some(sequence));
    }

    /// Sequence up to which the client says that it has everything.
    pub fn acked(&self) -> u64 {
        self.acked.unwrap_or(0)
    }

    /// One more frame is sent; a message with the sequence of the frame before belongs to that.
    pub fn spend(&mut self, sequence: u64) {
        let last = self.sent.get(self.count.wrapping_sub(1) & MASK).copied();
        if last != Some(sequence)
            && let Some(place) = self.sent.get_mut(self.count & MASK)
        {
            *place = sequence;
            self.count = self.count.wrapping_add(1);
        }
    }

    /// Whether no other frame may be sent behind `ahead` that are going to be.
    pub fn is_spent(&self, ahead: usize) -> bool {
        debug_assert!(ahead < UNACKED_MAX, "a batch is smaller than the credit");
        let oldest = self.sent.get(self.count.wrapping_add(ahead) & MASK).copied().unwrap_or(0);
        self.acked.is_some_and(|acked| oldest > acked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames, each so many sequences after the one before, until the credit is spent.
    fn fill(credit: &mut Credit, from: u64, step: u64) -> usize {
        let mut sequence = from;
        (0..1_000)
            .take_while(|_| {
                sequence += step;
                let free = !credit.is_spent(0);
                if free {
                    credit.spend(sequence);
                }
                free
            })
            .count()
    }

    #[test]
    fn as_many_frames_go_out_unacknowledged_whatever_was_left_out() {
        for step in [1, 2, 500] {
            let mut credit = Credit::NEW;
            assert_eq!(fill(&mut credit, 0, step), 1_000, "nobody acknowledges");
            credit.ack(1_000 * step);
            assert_eq!(fill(&mut credit, 1_000 * step, step), UNACKED_MAX);
            credit.ack(1_010 * step);
            assert_eq!(fill(&mut credit, 1_032 * step, step), 10);
            credit.ack(1_000 * step);
            assert!(credit.is_spent(0), "what was acknowledged stays so");
        }
    }

    #[test]
    fn a_stale_acknowledgement_leaves_room_for_the_next_one() {
        let mut credit = Credit::NEW;
        // A class that stands at 5,000, and an acknowledgement from one that stood at 7.
        credit.spend(5_000);
        credit.ack(7);
        assert_eq!(fill(&mut credit, 5_000, 1), UNACKED_MAX - 1);
    }

    #[test]
    fn a_batch_counts_what_it_has_taken() {
        let mut credit = Credit::NEW;
        credit.ack(0);
        (1..=20).for_each(|sequence| credit.spend(sequence));
        assert!(!credit.is_spent(11) && credit.is_spent(12));
        credit.spend(20);
        assert!(!credit.is_spent(11), "a mark belongs to its delta");
    }
}

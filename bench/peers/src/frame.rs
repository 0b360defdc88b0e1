//! What every peer broadcasts, and when: a frame of Swarmcast from absolute deadlines, late ticks left out.

use swarmcast::base::clock::{SECOND_NS, monotonic_ns};
use swarmcast_bench::sender::{BODY_BYTE, frame_header, whole_frame_bytes};
use zerocopy::IntoBytes;

/// Makes the frames of one stream.
#[derive(Debug)]
pub struct Frames {
    bytes: usize,
    sequence: u64,
}

impl Frames {
    /// Frames of the size nearest to `bytes` that is a header and whole records.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { bytes: whole_frame_bytes(bytes), sequence: 0 }
    }

    /// The next frame, published now, which was due at `due_ns`. A new buffer each time: a server whose frames change
    /// has to write them somewhere, and connections that are behind still hold the one before.
    pub fn next(&mut self, due_ns: u64) -> Vec<u8> {
        self.sequence += 1;
        let mut frame = vec![BODY_BYTE; self.bytes];
        let header = frame_header(self.bytes, self.sequence, due_ns);
        for (to, from) in frame.iter_mut().zip(header.as_bytes()) {
            *to = *from;
        }
        frame
    }
}

/// Deadlines at a fixed rate.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    period_ns: u64,
    /// When the next frame is due.
    pub due_ns: u64,
}

impl Ticks {
    /// The first one is now.
    #[must_use]
    pub fn new(rate_hz: f64) -> Self {
        Self { period_ns: (SECOND_NS as f64 / rate_hz) as u64, due_ns: monotonic_ns() }
    }

    /// The deadline after this one; those that are over are left out.
    pub fn advance(&mut self, now_ns: u64) {
        let passed = now_ns.saturating_sub(self.due_ns) / self.period_ns.max(1);
        self.due_ns += self.period_ns * (passed + 1);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn late_ticks_are_left_out_and_the_grid_is_kept() {
        let mut ticks = Ticks { period_ns: 10, due_ns: 100 };
        ticks.advance(101);
        assert_eq!(ticks.due_ns, 110);
        ticks.advance(145);
        assert_eq!(ticks.due_ns, 150);
    }

    #[test]
    fn frames_are_of_one_size_and_count_up() {
        let mut frames = Frames::new(2_048);
        let (first, second) = (frames.next(7), frames.next(9));
        assert_eq!((first.len(), second.len()), (2_024, 2_024));
        assert_eq!(&first[..4], b"SWMC");
        assert_eq!((first[16], second[16]), (1, 2));
        assert_eq!((first[40], second[40]), (7, 9));
        assert_eq!(first[60..64], (1_960_u32).to_le_bytes());
    }
}

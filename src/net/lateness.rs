//! How late one connection's frames are, in the server's own view: what a client is told when it asks.

use crate::wire::LatencyTimes;

/// Part of the mean that a new value makes up.
const MEAN_PART: u64 = 16;

/// Times of one connection's frames. They are measured from the first question on: a clock read per frame and client
/// would cost a class of thousands more than sending does to some.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lateness {
    asked: bool,
    tick_to_kernel: LatencyTimes,
    sent_to_ack: LatencyTimes,
    /// A frame whose acknowledgement is awaited: sequence, and when its last byte was handed over.
    probe: Option<(u64, u64)>,
    frames: u64,
    left_out: u64,
}

fn record(times: &mut LatencyTimes, ns: u64) {
    times.last_ns = Some(ns);
    times.mean_ns = Some(times.mean_ns.map_or(ns, |mean| mean - mean / MEAN_PART + ns / MEAN_PART));
    times.max_ns = Some(times.max_ns.map_or(ns, |max| max.max(ns)));
}

impl Lateness {
    /// The last byte of a frame went to the kernel.
    pub fn sent(&mut self, sequence: u64, tick_ns: u64, left_out: u64, now_ns: u64) {
        self.frames += 1;
        self.left_out += left_out;
        if self.asked {
            record(&mut self.tick_to_kernel, now_ns.saturating_sub(tick_ns));
            self.probe.get_or_insert((sequence, now_ns));
        }
    }

    /// The client has everything up to `sequence`.
    pub fn acked(&mut self, sequence: u64, now_ns: u64) {
        if let Some((_, sent_ns)) = self.probe.take_if(|(awaited, _)| *awaited <= sequence) {
            record(&mut self.sent_to_ack, now_ns.saturating_sub(sent_ns));
        }
    }

    /// Its frames begin anew in another class: sequences mean something else.
    pub fn reclass(&mut self) {
        self.probe = None;
    }

    /// Frames sent, and frames left out, since it connected.
    pub fn counts(&self) -> (u64, u64) {
        (self.frames, self.left_out)
    }

    /// Tick due to last byte handed over, and that to the acknowledgement. Greatest values begin anew.
    pub fn report(&mut self) -> (LatencyTimes, LatencyTimes) {
        self.asked = true;
        let report = (self.tick_to_kernel, self.sent_to_ack);
        self.tick_to_kernel.max_ns = None;
        self.sent_to_ack.max_ns = None;
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_before_it_is_asked_for_and_measured_after() {
        let mut lateness = Lateness::default();
        lateness.sent(1, 100, 0, 900);
        assert_eq!(lateness.report(), (LatencyTimes::default(), LatencyTimes::default()));
        lateness.sent(2, 1_000, 0, 1_300);
        lateness.sent(3, 2_000, 4, 2_100);
        lateness.acked(1, 2_150);
        lateness.acked(3, 2_300);
        let (kernel, ack) = lateness.report();
        assert_eq!((kernel.last_ns, kernel.max_ns, kernel.mean_ns), (Some(100), Some(300), Some(300 - 18 + 6)));
        assert_eq!(ack.last_ns, Some(1_000), "from the first frame that was awaited to the ack that covers it");
        assert_eq!(lateness.counts(), (3, 4));
        assert_eq!(lateness.report().0.max_ns, None, "since the question before");
    }
}

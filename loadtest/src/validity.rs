//! Whether the tool itself has spoilt a run: a latency that its own lateness made says nothing about a server.

use crate::clock::{MILLISECOND_NS, SECOND_NS};
use crate::collect::Collected;
use crate::record::Timing;

/// A thread may be busier than its bound in this share of the measured time.
const BUSY_SHARE_MAX: f64 = 0.1;

/// Why the figures of this run cannot be trusted; empty when they can.
#[must_use]
pub fn invalid_reasons(of: &Collected) -> Vec<String> {
    let mut reasons = Vec::new();
    if of.measured_s <= 0.0 {
        reasons.push("nothing was measured: the run ended before its first measured stage".to_owned());
    }
    reasons.extend(busy(of));
    reasons.extend(late(of));
    let future: u64 = of.totals.iter().filter_map(|total| total.errors.get("stamp_in_the_future")).sum();
    if future > 0 {
        reasons.push(format!(
            "{future} frames say that they were published after they came: the server's clock is not this host's; try \
             --clock ping"
        ));
    }
    for generator in &of.generators {
        if let Some(trouble) = &generator.trouble {
            reasons.push(format!("generator {}: {trouble}", generator.name));
        }
    }
    reasons
}

fn busy(of: &Collected) -> Option<String> {
    let most = of.plan.self_check.thread_cpu_max;
    let (mut busy_ns, mut all_ns) = (0, 0);
    for entry in of.series.iter().filter(|entry| entry.slice.measured) {
        let length = entry.slice.end_ns - entry.slice.start_ns;
        all_ns += length;
        if entry.watch.thread_cpu > most {
            busy_ns += length;
        }
    }
    let share = busy_ns as f64 / (all_ns as f64).max(1.0);
    (share > BUSY_SHARE_MAX).then(|| {
        format!(
            "a generating thread used more than {:.0} % of its core for {:.1} of {:.1} measured seconds: use more \
             --threads on more cores, fewer clients, or several generators",
            most * 100.0,
            busy_ns as f64 / SECOND_NS as f64,
            all_ns as f64 / SECOND_NS as f64,
        )
    })
}

fn late(of: &Collected) -> Option<String> {
    let check = of.plan.self_check;
    let lateness = &of.watch.lateness;
    if lateness.is_empty() {
        return None;
    }
    let late_ns = lateness.value_at_quantile(0.99);
    // Of what is measured: a lateness that is small beside it changes little.
    let measured = [Timing::Latency, Timing::LatencyRaw, Timing::Call, Timing::RoundTrip].into_iter();
    let longest = measured.flat_map(|timing| of.totals.iter().filter_map(move |total| total.timing(timing)));
    let longest = longest.filter(|values| !values.is_empty()).map(|values| values.value_at_quantile(0.99)).max();
    let share = longest.map_or(0.0, |longest| longest as f64 * check.lateness_share_max);
    let most = share.max(check.lateness_p99_max_ns as f64);
    (late_ns as f64 > most).then(|| {
        format!(
            "the tool itself was late: p99 {:.1} ms, and up to {:.1} ms would do: the machine has too little time for \
             it; use fewer clients, fewer other programs, or other hosts",
            late_ns as f64 / MILLISECOND_NS as f64,
            most / MILLISECOND_NS as f64,
        )
    })
}

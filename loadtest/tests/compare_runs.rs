//! Goal: a comparison finds what differs and does not find what does not: two draws of one distribution are alike at
//! the stated confidence, also when slow seconds come in rows, a planted shift is found, and runs that should not be
//! compared are said to be so.
//! Method: reports made by hand from seeded distributions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod made;

use std::collections::BTreeMap;

use fastrand::Rng;
use made::{log_normal, normal, steady, viewers};
use swarmcast_load::clock::thread_ns;
use swarmcast_load::compare::{self, CONFIDENCE, Comparison, FigureComparison, Verdict, compare};
use swarmcast_load::record::{Count, Record, Timing};
use swarmcast_load::report::Report;

/// A run whose median wanders from slice to slice: `rho` is how much of a slice's mood the next one keeps, `mood` how
/// much moods differ. Latencies from twice the median on are `tail` times as long.
fn run(seed: u64, seconds: u64, rho: f64, mood: f64, tail: f64) -> Report {
    // The generator only counts up from its seed: seeds far apart make draws that have nothing to do with each other.
    let mut rng = Rng::with_seed((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut state = normal(&mut rng);
    steady(seconds, |_| {
        state = rho * state + (1.0 - rho * rho).sqrt() * normal(&mut rng);
        let slow = (mood * state).exp();
        let mut record = Record::with(&[Timing::Latency, Timing::Gap]);
        record.connected = 30;
        for _ in 0..600 {
            record.count(Count::BytesRead, rng.u64(40_000..60_000));
            let latency = log_normal(&mut rng, 1e6 * slow, 0.45);
            let latency = if latency > 2e6 * slow { latency * tail } else { latency };
            let missing = rng.f64() < 0.002 * slow;
            record.record(Timing::Latency, latency as u64, 1);
            record.count(if missing { Count::Missing } else { Count::Delivered }, 1);
            record.count(Count::Owed, u64::from(!missing));
            record.count(Count::Owing, 1);
        }
        record
    })
}

fn figure<'a>(of: &'a Comparison, name: &str) -> &'a FigureComparison {
    of.groups[0].figures.iter().find(|figure| figure.figure == name).unwrap()
}

/// Per figure, of 100 pairs of runs that differ only by chance: how many seem to differ.
fn false_alarms(seconds: u64, rho: f64, mood: f64) -> BTreeMap<String, usize> {
    let mut alarms = BTreeMap::new();
    for seed in 0..100 {
        let (a, b) = (run(seed * 2, seconds, rho, mood, 1.0), run(seed * 2 + 1, seconds, rho, mood, 1.0));
        for figure in &compare(&a, &b, CONFIDENCE).unwrap().groups[0].figures {
            let alarm = matches!(figure.verdict, Verdict::Better | Verdict::Worse);
            *alarms.entry(figure.figure.clone()).or_default() += usize::from(alarm);
        }
    }
    println!("{seconds} s, rho {rho}, mood {mood}: {alarms:?}");
    alarms
}

#[test]
fn draws_of_one_distribution_are_alike() {
    let alarms = false_alarms(30, 0.0, 0.0);
    assert!(alarms.len() >= 7, "{alarms:?}");
    assert!(alarms.values().all(|alarms| *alarms <= 7), "{alarms:?}");
}

#[test]
fn draws_of_slices_that_vary_are_alike() {
    let alarms = false_alarms(40, 0.0, 0.1);
    assert!(alarms.values().all(|alarms| *alarms <= 7), "{alarms:?}");
}

#[test]
fn slow_seconds_in_rows_raise_few_false_alarms() {
    // An interval that takes slices for independent is wrong here about 33 times of 100.
    let alarms = false_alarms(60, 0.6, 0.1);
    assert!(alarms.values().all(|alarms| *alarms <= 12), "{alarms:?}");
}

#[test]
fn a_shift_of_the_tail_is_found_and_named_as_one() {
    for seed in 0..10 {
        let (a, b) = (run(900 + seed, 60, 0.3, 0.03, 1.0), run(950 + seed, 60, 0.3, 0.03, 1.1));
        let found = compare(&a, &b, CONFIDENCE).unwrap();
        let p99 = figure(&found, "latency.p99");
        assert_eq!((p99.verdict, p99.words()), (Verdict::Worse, "slower"), "{p99:?}");
        let ratio = p99.ratio_interval.unwrap();
        assert!(ratio.low > 1.0 && ratio.low < 1.1 && ratio.high > 1.1 && ratio.high < 1.25, "{p99:?}");
        assert_eq!(figure(&found, "delivered_per_s").verdict, Verdict::Same);
        let back = compare(&b, &a, CONFIDENCE).unwrap();
        assert_eq!(figure(&back, "latency.p99").verdict, Verdict::Better);
    }
}

#[test]
fn more_frames_are_better_and_more_missing_are_worse() {
    let mut rng = Rng::with_seed(5);
    let a = steady(20, |_| viewers(&mut rng, 30, 1e6, 0.0, 0.001));
    let b = steady(20, |_| viewers(&mut rng, 30, 1e6, 0.0, 0.05));
    let found = compare(&a, &b, CONFIDENCE).unwrap();
    assert_eq!(figure(&found, "missing").words(), "worse");
    assert_eq!(figure(&found, "delivered_per_s").words(), "slower");
    assert_eq!(figure(&compare(&b, &a, CONFIDENCE).unwrap(), "delivered_per_s").words(), "faster");
    // Of what never came in A there is no ratio.
    let none = steady(20, |_| viewers(&mut rng, 30, 1e6, 0.0, 0.0));
    let found = compare(&none, &b, CONFIDENCE).unwrap();
    assert_eq!((figure(&found, "missing").verdict, figure(&found, "missing").ratio), (Verdict::Worse, None));
    assert!(compare::text(&found).contains("+4."), "{}", compare::text(&found));
}

#[test]
fn too_little_says_nothing() {
    let found = compare(&run(1, 5, 0.0, 0.0, 1.0), &run(2, 60, 0.0, 0.0, 2.0), CONFIDENCE).unwrap();
    assert!(found.groups[0].figures.iter().all(|figure| figure.verdict == Verdict::TooFew));
    // Twelve slices, but fewer than ten samples beyond 99.9 %.
    let found = compare(&run(1, 12, 0.0, 0.0, 1.0), &run(2, 12, 0.0, 0.0, 1.0), CONFIDENCE).unwrap();
    assert_eq!(figure(&found, "latency.p99.9").verdict, Verdict::TooFew);
    assert_ne!(figure(&found, "latency.p99").verdict, Verdict::TooFew);
}

#[test]
fn what_should_not_be_compared_is_said() {
    let (a, mut b) = (run(1, 12, 0.0, 0.0, 1.0), run(2, 12, 0.0, 0.0, 1.0));
    assert_eq!(compare(&a, &b, CONFIDENCE).unwrap().warnings, Vec::<String>::new());
    b.plan["name"] = "other".into();
    b.plan["groups"][0]["target"]["url"] = "ws://127.0.0.1:9000/".into();
    assert_eq!(compare(&a, &b, CONFIDENCE).unwrap().warnings, Vec::<String>::new());
    b.plan["groups"][0]["clients"] = 7.into();
    b.plan["stages"][0]["kind"] = "soak".into();
    b.verdict.valid = false;
    b.verdict.invalid_reasons = vec!["a thread used 97 % of a core".to_owned()];
    b.verdict.cut_short = Some("SIGINT".to_owned());
    let warnings = compare(&a, &b, CONFIDENCE).unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "B is an invalid run: a thread used 97 % of a core",
            "B was cut short: SIGINT",
            "the plans differ: groups.0.clients (100, 7), stages.0.kind (\"hold\", \"soak\")",
        ]
    );
    b.groups[0].name = "others".to_owned();
    assert!(compare(&a, &b, CONFIDENCE).unwrap_err().to_string().contains("A has viewers, B has others"));
    assert!(compare(&a, &a, 1.0).is_err() && compare(&a, &a, f64::NAN).is_err());
    let mut nothing = a.clone();
    nothing.series.iter_mut().for_each(|slice| slice.measured = false);
    assert!(compare(&a, &nothing, CONFIDENCE).unwrap_err().to_string().contains("B has no measured slice"));
}

#[test]
fn it_is_the_same_every_time_and_in_every_form() {
    let (a, b) = (made::rich_report(), Report::build(&made::rich(8), Vec::new(), Vec::new()).unwrap());
    let found = compare(&a, &b, CONFIDENCE).unwrap();
    assert_eq!(found, compare(&a, &b, CONFIDENCE).unwrap());
    let names: Vec<&str> = found.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["viewers", "slow-tenth", "other_server", "callers", "all"]);
    let again: Comparison = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
    assert_eq!(again, found);
    let (text, markdown) = (compare::text(&found), compare::markdown(&found));
    println!("{text}\n{markdown}");
    for part in ["latency.p99", "call.p99", "fairness", "too few slices to tell", "no difference beyond noise", "95 %"]
    {
        assert!(text.contains(part) && markdown.contains(part), "{part}\n{text}");
    }
    let bars = |line: &&str| line.matches('|').count() == 7;
    assert!(markdown.lines().filter(|line| line.starts_with('|')).all(|line| bars(&line)), "{markdown}");
}

#[test]
fn two_reports_of_a_minute_take_less_than_two_seconds() {
    let minute = |seed| {
        let mut rng = Rng::with_seed(seed);
        steady(60, |_| viewers(&mut rng, 1_000, 1.5e6, 0.01, 0.001))
    };
    let (a, b) = (minute(1), minute(2));
    let before = thread_ns();
    compare(&a, &b, CONFIDENCE).unwrap();
    let took_s = (thread_ns() - before) as f64 / 1e9;
    println!("{took_s:.2} s of a core");
    assert!(took_s < 2.0, "{took_s:.2} s of a core");
}

//! Goal: whatever goes wrong on the way from a tick to a client, every client has every node where the server has it at every
//! frame it claims to have, nobody starves once nothing is wrong any more, and counters tell what happened (B8).
//! Method: the real `sim`, `control` and shards in one thread on a virtual clock, with sockets that cut, refuse and break, and
//! threads that come late, as a seed says. A failing seed prints itself; `MODEL_SEED=n cargo test --test handoff_model` replays
//! it, `MODEL_SEEDS=n` runs so many, from `MODEL_FIRST` on, `MODEL_SURVEY=n` goes on after failures and
//! sorts them, and `MODEL_STEPS` cuts the time of faults.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod model;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use model::chance::Chance;
use model::world::World;

/// Seeds of a run that nobody has asked to be longer.
const SEEDS: u64 = 300;

fn wish(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a whole number"))
}

/// Steps of a seed in which something may go wrong. A large graph gets fewer: each costs more.
fn steps(seed: u64, nodes: usize) -> u64 {
    let steps = Chance::new(!seed).range(50, 1_500);
    if nodes > 100 { steps / 3 } else { steps }
}

fn run(seed: u64, steps: Option<u64>) {
    let mut world = World::new(seed);
    let steps = steps.unwrap_or_else(|| self::steps(seed, world.node_count()));
    for _ in 0..steps {
        world.step();
    }
    world.recover();
}

/// The least steps, by halving, at which the seed fails.
fn shrink(seed: u64) -> u64 {
    let mut steps = self::steps(seed, 0);
    let fails = |steps| catch_unwind(AssertUnwindSafe(|| run(seed, Some(steps)))).is_err();
    let mut step = steps / 2;
    while step > 0 {
        if fails(steps - step) {
            steps -= step;
        }
        step /= 2;
    }
    steps
}

/// Every kind of failure among so many seeds, with one seed of each and how many there are.
fn survey(first: u64, seeds: u64) {
    let mut kinds = BTreeMap::<String, (u64, u64)>::new();
    set_hook(Box::new(|_| ()));
    for seed in first..first + seeds {
        if let Err(why) = catch_unwind(|| run(seed, None)) {
            let text = why.downcast_ref::<String>().cloned();
            let why = text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
            let kind: String =
                why.lines().next().unwrap_or("").chars().filter(|letter| !letter.is_ascii_digit()).collect();
            kinds.entry(kind).or_insert((seed, 0)).1 += 1;
        }
    }
    drop(take_hook());
    assert!(kinds.is_empty(), "kinds of failure, with a seed of each and their count: {kinds:#?}");
}

#[test]
fn every_client_has_the_truth_whatever_goes_wrong() {
    if let Some(seed) = wish("MODEL_SEED") {
        return run(seed, wish("MODEL_STEPS"));
    }
    let first = wish("MODEL_FIRST").unwrap_or(0);
    if let Some(most) = wish("MODEL_SURVEY") {
        return survey(first, most);
    }
    for seed in first..first + wish("MODEL_SEEDS").unwrap_or(SEEDS) {
        if let Err(why) = catch_unwind(|| run(seed, wish("MODEL_STEPS"))) {
            let hook = take_hook();
            set_hook(Box::new(|_| ()));
            let steps = shrink(seed);
            set_hook(hook);
            let why = why.downcast_ref::<String>().map_or("", String::as_str);
            panic!("MODEL_SEED={seed} MODEL_STEPS={steps} cargo test --test handoff_model replays this: {why}");
        }
    }
}

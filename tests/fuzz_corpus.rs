//! Goal: no bytes from outside make a decoder panic, hang, or take more memory than they announce. Method: the fuzzer's
//! targets, over their first inputs, the kept corpus and every input that once broke one; all of them also cut short
//! and with bytes changed. `.ci/fuzz` looks for new ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "fuzz/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use targets::{TARGETS, Target};

/// One input may take this long, on a machine that does other things too.
const SECONDS_MAX: Duration = Duration::from_secs(10);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The files in `folder`, with their contents; none when there is no such folder.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    paths.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

/// The kept corpus of a target, unpacked.
fn kept(target: &Target) -> Vec<(String, Vec<u8>)> {
    let archive = folder().join("corpus").join(format!("{}.tar.gz", target.name));
    assert!(archive.is_file(), "{} is missing", archive.display());
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-corpus").join(target.name);
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).unwrap();
    let done = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&place).status().unwrap();
    assert!(done.success(), "tar: {done}");
    contents(&place)
}

fn replay(target: &Target, from: &str, bytes: &[u8]) {
    let started = Instant::now();
    let done = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    assert!(done.is_ok(), "{} panics on {from}", target.name);
    assert!(started.elapsed() < SECONDS_MAX, "{} takes {:?} for {from}", target.name, started.elapsed());
}

#[test]
fn no_target_breaks_on_what_is_known() {
    for target in &TARGETS {
        let seeds = (target.seeds)().into_iter().enumerate().map(|(place, seed)| (format!("seed {place}"), seed));
        let seeds: Vec<_> = seeds.collect();
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        let (kept, crashes) = (kept(target), contents(&folder().join("crashes").join(target.name)));
        assert!(!kept.is_empty(), "{} has an empty corpus", target.name);
        for (from, bytes) in seeds.iter().chain(&kept).chain(&crashes) {
            replay(target, from, bytes);
        }
        eprintln!("{}: {} seeds, {} kept, {} crashes", target.name, seeds.len(), kept.len(), crashes.len());
    }
}

#[test]
fn no_target_breaks_on_seeds_cut_short_or_changed() {
    for target in &TARGETS {
        for (place, seed) in (target.seeds)().into_iter().enumerate() {
            let step = seed.len() / 64 + 1;
            for at in (0..seed.len()).step_by(step) {
                replay(target, &format!("seed {place} cut at {at}"), &seed[..at]);
                for change in [0x01, 0x80, 0xFF] {
                    let mut changed = seed.clone();
                    changed[at] ^= change;
                    replay(target, &format!("seed {place}, byte {at} ^ {change}"), &changed);
                }
            }
        }
    }
}

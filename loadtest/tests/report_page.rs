//! Goal: the HTML report works as a single file in a browser: its plots are drawn in light and dark, wide and narrow,
//! its console stays clean, names with markup in them stay text, and nothing is fetched.
//! Method: headless Chromium by `made/page.mjs`; pictures go to `target/report/page`. `tests/setup.sh` installs what
//! it takes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod made;

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use made::{folder, repository, rich_report};
use serde_json::{Value, json};
use swarmcast_load::report::{self, Outputs, Report};

/// One browser at a time: each draws with the processor.
static BROWSER: Mutex<()> = Mutex::new(());

fn look(report: &Report, folder: &Path, name: &str, size: &str, scheme: &str) -> Value {
    let _one = BROWSER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let set_up = Command::new("sh").arg(repository("tests/setup.sh")).output().unwrap();
    assert!(set_up.status.success(), "{}", String::from_utf8_lossy(&set_up.stderr));
    let page = folder.join(format!("{name}.html"));
    report::write(report, &Outputs { html: Some(page.clone()), ..Outputs::default() }).unwrap();
    let picture = folder.join(format!("{name}.png"));
    let done = Command::new("timeout")
        .args(["100", "node"])
        .arg(repository("loadtest/tests/made/page.mjs"))
        .args([&page.canonicalize().unwrap(), &picture])
        .args([size, scheme])
        .output()
        .unwrap();
    let (out, said) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{}: {out}\n{said}", done.status);
    let seen: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(seen["problems"], json!([]), "{seen:#}");
    assert_eq!(seen["blocked"], true, "the policy lets the page fetch");
    assert!(seen["overflow"].as_i64().unwrap() <= 0, "the page is wider than the window: {seen:#}");
    assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG"), "{}", picture.display());
    let plots = seen["plots"].as_array().unwrap().len();
    assert_eq!(
        (seen["colored"].as_u64(), seen["linear"].as_u64()),
        (Some(plots as u64), Some(plots as u64)),
        "{seen:#}"
    );
    seen
}

fn titles(seen: &Value) -> Vec<&str> {
    seen["plots"].as_array().unwrap().iter().map(|plot| plot["title"].as_str().unwrap()).collect()
}

#[test]
fn a_run_with_everything_is_drawn_wide_and_narrow_light_and_dark() {
    let (report, folder) = (rich_report(), folder("page"));
    let seen = look(&report, &folder, "wide-light", "1200x900", "light");
    let titles = titles(&seen);
    for title in ["Latency of frames", "Latency of calls", "Latency", "Frames per second", "The tool's own lateness"] {
        assert!(titles.contains(&title), "{titles:?}");
    }
    assert!(titles.len() >= 25, "one set of plots for all and for each of four groups: {titles:?}");
    let narrow = look(&report, &folder, "narrow-dark", "400x800", "dark");
    assert_eq!(narrow["plots"].as_array().unwrap().len(), titles.len());
}

#[test]
fn a_run_of_one_group_and_a_run_of_nothing_are_drawn() {
    let folder = folder("page-small");
    let mut rng = fastrand::Rng::with_seed(4);
    let report = made::steady(12, |_| made::viewers(&mut rng, 20, 1e6, 0.001, 0.0));
    let seen = look(&report, &folder, "one-group", "1200x900", "dark");
    assert_eq!(titles(&seen).iter().filter(|title| **title == "Latency").count(), 1);
    let mut nothing = made::rich(1);
    nothing.series.clear();
    nothing.totals.iter_mut().for_each(swarmcast_load::record::Record::clear);
    nothing.cut_short = Some("nothing could connect".to_owned());
    let report = Report::build(&nothing, Vec::new(), Vec::new()).unwrap();
    let seen = look(&report, &folder, "nothing", "400x800", "light");
    assert_eq!(titles(&seen), Vec::<&str>::new());
}

#[test]
fn the_page_carries_all_it_needs() {
    let folder = folder("page-text");
    let page = folder.join("report.html");
    report::write(&rich_report(), &Outputs { html: Some(page.clone()), ..Outputs::default() }).unwrap();
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("Content-Security-Policy\" content=\"default-src 'none'"));
    assert!(text.contains("The MIT License") && text.contains("Leon Sorokin"), "uPlot's licence travels with it");
    assert!(!text.contains(" src=") && !text.contains("@import") && !text.contains("<script>alert"));
    // The data, the plotter and the script, and no tag that a name brought.
    assert_eq!(text.matches("</script>").count(), 3);
}

//! Goal: how long each stage of a frame takes is seen in the metrics, the health page and both latency logs, by thread,
//! and a budget that is not kept is counted and told.
//! Method: the real program with one client that keeps it moving; the logs are read by Python's `hdrhistogram`, which
//! this project did not write.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Client, Folder, PATIENCE, Server, repository, run, within};

const SIGTERM: i32 = 15;

/// Every stage that one client and a moving graph go through. Nobody drags, but the class that is opened is a command.
const TAGS: [&str; 6] =
    ["shard-0.fanout", "shard-0.pickup", "shard-0.tick_to_wire", "sim.commands", "sim.encode", "sim.step"];

/// Prints a JSON object: tag to the list of start in s, length in s, count and p99 in ns of each interval.
const READER: &str = "
import json, sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
reader, rows = HistogramLogReader(sys.argv[1], HdrHistogram(1, 60 * 10**9, 2)), {}
while (found := reader.get_next_interval_histogram()) is not None:
    start, end = (ms / 1000 for ms in (found.get_start_time_stamp(), found.get_end_time_stamp()))
    row = [start, end - start, found.get_total_count(), found.get_value_at_percentile(99)]
    rows.setdefault(found.get_tag(), []).append(row)
print(json.dumps(rows))
";

fn read(log: &Path) -> Value {
    let done = Command::new("sh").arg(repository("tests/clients/setup.sh")).output().unwrap();
    assert!(done.status.success(), "tests/clients/setup.sh: {}", String::from_utf8_lossy(&done.stderr));
    let python = repository("tests/clients/.venv/bin/python");
    let done = Command::new(python).args(["-c", READER]).arg(log).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

fn tags(rows: &Value) -> Vec<&str> {
    let mut tags: Vec<_> = rows.as_object().unwrap().keys().map(String::as_str).collect();
    tags.sort_unstable();
    tags
}

/// A metric's value for one set of labels.
fn sample(server: &Server, name: &str, labels: &str) -> f64 {
    let (text, wanted) = (server.get("/metrics").text(), format!("swarmcast_{name}{{{labels}}} "));
    let value = text.lines().find_map(|line| line.strip_prefix(&wanted));
    value.unwrap_or_else(|| panic!("{wanted}is not in\n{text}")).parse().unwrap()
}

#[test]
fn every_stage_is_timed_logged_and_held_to_its_budget() {
    let folder = Folder::new("latency");
    let (file, page) = (folder.join("stages.hlog"), folder.join("page.hlog"));
    let hlog = format!("metrics.hlog={}", file.display());
    // No step is done in a tenth of a microsecond, every one is in a minute.
    let budgets = ["budgets.step_ms=0.0001", "budgets.tick_to_wire_ms=60000", "budgets.encode_ms=0"];
    let mut flags = vec!["--set", "sim.cooling=0", "--set", "net.shards=1", "--set", &hlog];
    flags.extend(budgets.iter().flat_map(|budget| ["--set", budget]));
    let mut server = Server::start(&flags);
    let mut client = server.ws("");
    client.frame();

    let (step, wire) = ("thread=\"sim\",stage=\"step\"", "thread=\"shard-0\",stage=\"tick_to_wire\"");
    assert!(within(PATIENCE, || {
        client.frame();
        sample(&server, "budget_breached", step) > 0.0
    }));
    assert!(sample(&server, "budget_breaches_total", step) > 60.0, "some seconds of steps");
    assert_eq!((sample(&server, "budget_breaches_total", wire), sample(&server, "budget_breached", wire)), (0.0, 0.0));
    assert_eq!(sample(&server, "budget_seconds", wire), 60.0);
    let quantile = |at: &str| sample(&server, "stage_seconds", &format!("{step},quantile=\"{at}\""));
    assert!(quantile("0.5") > 0.0 && quantile("0.5") <= quantile("1"));

    let detail = server.get("/health/detail").json();
    let stage = |name: &str| detail["stages"].as_array().unwrap().iter().find(|row| row["stage"] == name).unwrap();
    assert_eq!((&stage("step")["thread"], &stage("step")["breached"]), (&"sim".into(), &true.into()));
    assert!(stage("step")["breaches"].as_u64().unwrap() > 60, "{detail}");
    assert!(stage("encode")["budget_ms"].is_null() && stage("encode")["p99_ms"].as_f64().unwrap() > 0.0, "{detail}");

    std::fs::write(&page, server.get("/metrics/latency.hlog").text()).unwrap();
    let rows = read(&page);
    assert_eq!(tags(&rows), TAGS);
    assert!(rows.as_object().unwrap().values().all(|rows| rows.as_array().unwrap().len() == 1), "{rows}");
    assert!(rows["sim.step"][0][2].as_u64().unwrap() > 60, "{rows}");

    let ticks = server.metric("swarmcast_ticks_total") as u64;
    server.signal(SIGTERM);
    assert_eq!(server.wait(Duration::from_secs(6)).unwrap().code(), Some(0), "{}", server.errors());
    let rows = read(&file);
    assert_eq!(tags(&rows), TAGS);
    let steps = rows["sim.step"].as_array().unwrap();
    let counted: u64 = steps.iter().map(|row| row[2].as_u64().unwrap()).sum();
    assert!(counted >= ticks, "{counted} of at least {ticks} steps are in the log");
    assert!(steps.len() >= 3, "an interval a second, where there were any: {steps:?}");
    for pair in steps.windows(2) {
        let (start, next) = (pair[0][0].as_f64().unwrap(), pair[1][0].as_f64().unwrap());
        let length = pair[0][1].as_f64().unwrap();
        assert!(next > start + length - 0.01, "no record is in two intervals: {steps:?}");
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_named() {
    let ended = run(&[
        "--http",
        "127.0.0.1:0",
        "--tcp",
        "",
        "--mcp=",
        "--ephemeral",
        "--set",
        "metrics.hlog=/nowhere/stages.hlog",
    ]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("metrics.hlog") && said.contains("No such file"), "{said}");
}

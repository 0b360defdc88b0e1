//! Goal: every form of a report says what was recorded: JSON keeps its published schema and loses nothing, standard
//! HdrHistogram readers see our percentiles in the `.hlog`, tables, CSV and Markdown hold their figures and survive
//! hostile names, and what is no report is refused in words.
//! Method: accounts made by hand; Python's `jsonschema` and `hdrhistogram`, JavaScript's `hdr-histogram-js`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod made;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hdrhistogram::Histogram;
use made::{folder, python, repository, rich, rich_report};
use serde_json::{Value, json};
use swarmcast_load::record::{Record, TIMINGS, Timing, histogram};
use swarmcast_load::report::{self, HlogWriter, Outputs, Report, ReportError};

fn outputs(folder: &Path) -> Outputs {
    Outputs {
        json: Some(folder.join("report.json")),
        hlog: Some(folder.join("report.hlog")),
        csv: Some(folder.join("report.csv")),
        html: Some(folder.join("report.html")),
        markdown: Some(folder.join("report.md")),
    }
}

fn ran(command: &mut Command) -> String {
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    let path = repository("loadtest/schema/report.schema.json");
    let generated = format!("{:#}\n", report::schema());
    if std::env::var_os("SCHEMA_WRITE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert_eq!(committed, generated, "run this test with SCHEMA_WRITE=1 and commit the file");
}

#[test]
fn a_report_keeps_the_schema_and_a_broken_one_does_not() {
    let folder = folder("schema");
    let check = |name: &str, value: &Value| {
        let path = folder.join(name);
        std::fs::write(&path, value.to_string()).unwrap();
        let program = "import json, sys, jsonschema\n\
            schema, report = (json.load(open(path)) for path in sys.argv[1:])\n\
            jsonschema.Draft202012Validator.check_schema(schema)\n\
            errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(report), key=lambda error: list(map(str, error.absolute_path)))\n\
            print(json.dumps(['/'.join(map(str, error.absolute_path)) for error in errors]))";
        let schema = repository("loadtest/schema/report.schema.json");
        let said = ran(Command::new(python()).args(["-c", program]).arg(schema).arg(&path));
        serde_json::from_str::<Vec<String>>(&said).unwrap()
    };
    let mut value = serde_json::to_value(rich_report()).unwrap();
    assert_eq!(check("good.json", &value), Vec::<String>::new());
    value["all"]["timings"]["latency"]["p99"] = json!("fast");
    value.as_object_mut().unwrap().remove("plan");
    assert_eq!(check("bad.json", &value), ["", "all/timings/latency/p99"]);
}

#[test]
fn json_loses_nothing_and_every_form_can_be_made_of_it_again() {
    let report = rich_report();
    let [one, two] = [folder("again-1"), folder("again-2")];
    report::write(&report, &outputs(&one)).unwrap();
    let read = report::read(&one.join("report.json")).unwrap();
    assert_eq!(read, report);
    report::write(&read, &outputs(&two)).unwrap();
    for name in ["report.json", "report.hlog", "report.csv", "report.html", "report.md"] {
        let [first, second] = [&one, &two].map(|folder| std::fs::read(folder.join(name)).unwrap());
        assert!(!first.is_empty() && first == second, "{name}");
    }
    let left = std::fs::read_dir(&one).unwrap().count();
    assert_eq!(left, 5, "a part of a file was left behind");
}

#[test]
fn figures_are_those_of_what_was_recorded() {
    let collected = rich(3);
    let report = Report::build(&collected, vec!["a thread used 97 % of a core".to_owned()], Vec::new()).unwrap();
    let all = |timing: Timing| {
        let mut sum = histogram();
        collected.totals.iter().filter_map(|total| total.timing(timing)).for_each(|one| sum.add(one).unwrap());
        sum
    };
    for timing in TIMINGS {
        let (sum, stated) = (all(timing), report.all.timings[timing.name()]);
        assert_eq!(stated.count, sum.len(), "{}", timing.name());
        let scale = if timing == Timing::ClientRate { 1_000.0 } else { 1.0 };
        let expected = (!sum.is_empty()).then(|| sum.value_at_quantile(0.999) as f64 / scale);
        assert_eq!(stated.p99_9, expected, "{}", timing.name());
        assert_eq!(report.all.figure(&format!("{}.p99.9", timing.name())).value, expected);
    }
    // What a group does not do is unknown, not 0.
    let callers = report.groups.last().unwrap();
    assert_eq!(callers.figure("missing").value, None);
    assert_eq!(callers.figure("latency.p99").value, None);
    assert!(callers.figure("calls_per_s").value.unwrap() > 190.0);
    assert!(!report.verdict.valid);
    // A second in which nothing came is a second of none.
    let stalled = &report.series[22].groups[2].unpack().unwrap();
    assert_eq!(swarmcast_load::figures::lookup("delivered").unwrap().read(stalled, 1.0), Some(0.0));
}

#[test]
fn what_is_no_report_is_refused_in_words() {
    let folder = folder("refused");
    let refused = |text: &str| {
        let path = folder.join("wrong.json");
        std::fs::write(&path, text).unwrap();
        report::read(&path).unwrap_err()
    };
    assert!(matches!(refused("not json"), ReportError::NotAReport { .. }));
    assert!(matches!(refused("{\"version\":1}"), ReportError::NotAReport { .. }));
    assert!(matches!(refused("{\"report\":\"swarmcast-load\"}"), ReportError::NotAReport { .. }));
    let other = refused("{\"report\":\"swarmcast-load\",\"version\":99}");
    assert!(matches!(other, ReportError::OtherVersion { said: 99, .. }));
    assert!(other.to_string().contains("version 99"), "{other}");
    let half = refused("{\"report\":\"swarmcast-load\",\"version\":1}");
    assert!(half.to_string().contains("missing field"), "{half}");
    assert!(matches!(report::read(&folder.join("absent.json")), Err(ReportError::Io { .. })));
    let nowhere = Outputs { json: Some(folder.join("no/such/folder.json")), ..Outputs::default() };
    assert!(matches!(report::write(&rich_report(), &nowhere), Err(ReportError::Io { .. })));
}

/// Values of which every stated percentile falls on a whole rank: the Python reader rounds ranks to the nearest, all
/// others up, so that between two ranks they differ by one sample.
fn whole_ranks(values: &Histogram<u64>) -> bool {
    values.len().is_multiple_of(10_000)
}

const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

#[test]
fn other_readers_see_our_percentiles_in_the_log() {
    let folder = folder("hlog");
    let path = folder.join("streamed.hlog");
    let mut rng = fastrand::Rng::with_seed(11);
    let plan = made::plan(
        vec![made::group("viewers", 5), made::group("slow-tenth", 5)],
        vec![made::stage("hold", swarmcast_load::plan::StageKind::Hold, 8, 1.0)],
    );
    let mut series = Vec::new();
    for slice in plan.slices() {
        let record = |rng: &mut fastrand::Rng, median: f64, timings: &[Timing]| {
            let mut record = Record::with(timings);
            for timing in timings {
                (0..5_000).for_each(|_| record.record(*timing, made::log_normal(rng, median, 1.1) as u64, 1));
            }
            record
        };
        let groups = vec![
            record(&mut rng, 1.2e6, &[Timing::Latency, Timing::LatencyRaw, Timing::Gap]),
            record(&mut rng, 40e6, &[Timing::Latency]),
        ];
        let watch = swarmcast_load::collect::Watch::default();
        series.push(swarmcast_load::collect::Merged { slice, groups, watch });
    }
    let collected = made::collected(plan, series);
    let mut writer = HlogWriter::create(&path, collected.started_unix_ms, "two\nlines, and a comma").unwrap();
    for (index, slice) in collected.series.iter().enumerate() {
        writer.slice(&slice.unpack().unwrap(), &["viewers", "slow-tenth"]).unwrap();
        let lines = std::fs::read_to_string(&path).unwrap().lines().filter(|line| line.starts_with("Tag=")).count();
        assert_eq!(lines, (index + 1) * 4, "a slice is in the file as soon as it is written");
    }
    let mut expected = serde_json::Map::new();
    for (group, name) in ["viewers", "slow-tenth"].into_iter().enumerate() {
        for timing in TIMINGS {
            let Some(values) = collected.totals[group].timing(timing) else { continue };
            assert!(whole_ranks(values));
            let at: Vec<u64> =
                PERCENTILES.iter().map(|at| values.value_at_quantile((at * 1e7).round() / 1e9)).collect();
            expected.insert(format!("{name}.{}", timing.name()), json!([8, values.len(), at, values.max()]));
        }
    }
    assert_eq!(expected.len(), 4);
    let percentiles = json!(PERCENTILES).to_string();
    let python_program = "import json, sys\n\
        from hdrh.histogram import HdrHistogram\n\
        from hdrh.log import HistogramLogReader\n\
        sums, counts = {}, {}\n\
        reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 600_000_000_000, 3))\n\
        while (one := reader.get_next_interval_histogram()) is not None:\n\
        \x20   tag = one.get_tag()\n\
        \x20   counts[tag] = counts.get(tag, 0) + 1\n\
        \x20   sums.setdefault(tag, HdrHistogram(1, 600_000_000_000, 3)).add(one)\n\
        reader.close()\n\
        print(json.dumps({tag: [counts[tag], one.get_total_count(),\n\
        \x20   [one.get_value_at_percentile(at) for at in json.loads(sys.argv[2])], one.get_max_value()]\n\
        \x20   for tag, one in sums.items()}))";
    let said = ran(Command::new(python()).args(["-c", python_program]).arg(&path).arg(&percentiles));
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), Value::Object(expected.clone()), "Python");
    let said = ran(Command::new("node").arg(repository("loadtest/tests/made/hlog.mjs")).arg(&path).arg(&percentiles));
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), Value::Object(expected.clone()), "JavaScript");

    // The log made of the report later is the streamed one, but for the command's line.
    let report = Report::build(&collected, Vec::new(), Vec::new()).unwrap();
    let again = folder.join("again.hlog");
    report::write(&report, &Outputs { hlog: Some(again.clone()), ..Outputs::default() }).unwrap();
    let intervals = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().filter(|line| line.starts_with("Tag=")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(intervals(&again), intervals(&path));
}

#[test]
fn csv_has_a_row_for_every_slice_and_group() {
    let report = rich_report();
    let folder = folder("csv");
    report::write(&report, &outputs(&folder)).unwrap();
    let mut reader = csv::Reader::from_path(folder.join("report.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|known| known == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), report.series.len() * 4);
    let mut delivered = 0.0;
    for row in rows.iter().filter(|row| &row[column("measured")] == "true" && &row[column("group")] == "viewers") {
        delivered += row[column("delivered")].parse::<f64>().unwrap();
    }
    assert_eq!(Some(delivered), report.groups[0].figure("delivered").value);
    let callers = rows.iter().find(|row| &row[column("group")] == "callers").unwrap();
    assert_eq!(&callers[column("latency.p99")], "");
    assert!(callers[column("call.p99")].parse::<f64>().unwrap() > 1e5);
    let stalled = rows.iter().filter(|row| &row[column("group")] == "other_server").nth(22).unwrap();
    assert_eq!(&stalled[column("delivered")], "0");
}

#[test]
fn the_table_says_what_people_ask_for() {
    let report = rich_report();
    let text = report::text(&report);
    for part in [
        "viewers",
        "slow-tenth",
        "all",
        "frames/s delivered",
        "latency p99.9",
        "(raw)",
        "gap between frames longest",
        "missing",
        "first frame p99",
        "fairness",
        "connect p99",
        "close_1013",
        "rpc_-32000",
        "calls/s answered",
        "round trip p99",
        "held",
        "BROKEN",
        "✗",
        "THRESHOLD BROKEN",
        "timers late",
        "off by at most 41.0 µs",
        "–",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    // Columns line up: every row of the grid ends in the same place.
    let widths: Vec<usize> = text
        .lines()
        .skip(2)
        .take_while(|line| !line.starts_with("tool"))
        .filter(|line| !line.is_empty())
        .map(|line| line.chars().count())
        .collect();
    assert!(widths.len() > 30 && widths.iter().all(|width| *width == widths[0]), "{text}");
    if std::env::var_os("SHOW").is_some() {
        println!("{text}");
    }
    let collected = rich(7);
    let line = report::progress_line(
        &collected.series[22].unpack().unwrap(),
        Duration::from_secs(23),
        Duration::from_secs(50),
    );
    assert!(line.starts_with("23/50 s · 134 connected · ") && line.contains(" errors"), "{line}");
    let unmeasured =
        report::progress_line(&collected.series[0].unpack().unwrap(), Duration::from_secs(1), Duration::from_secs(50));
    assert!(unmeasured.contains("not measured"), "{unmeasured}");
}

#[test]
fn one_group_has_one_column_and_no_sum() {
    let mut rng = fastrand::Rng::with_seed(1);
    let report = made::steady(3, |_| made::viewers(&mut rng, 5, 1e6, 0.0, 0.0));
    let head = report::text(&report).lines().nth(2).unwrap().to_owned();
    assert_eq!(head.split_whitespace().collect::<Vec<_>>(), ["viewers"]);
    assert!(report::text(&report).ends_with("verdict: valid\n"));
}

#[test]
fn markdown_is_one_table_whatever_names_hold() {
    let mut collected = rich(5);
    collected.plan.name = "a|b <img> `c`".to_owned();
    collected.command = "run `x` | tee".to_owned();
    let report = Report::build(&collected, Vec::new(), Vec::new()).unwrap();
    let folder = folder("markdown");
    report::write(&report, &outputs(&folder)).unwrap();
    let text = std::fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(text.contains("a\\|b &lt;img> \\`c\\`"), "{text}");
    assert!(text.contains("`` run `x` \\| tee ``"), "{text}");
    let table: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(table.len() > 30 && table.iter().all(|line| bars(line) == 7), "{text}");
}

//! Goal: a command line becomes a plan, or everything that is wrong with it is said before anything is connected.

use clap::CommandFactory;

use super::*;
use crate::clock::SECOND_NS;
use crate::plan::{Framing, Protocol, Stamp, StampClock, StampKind};
use swarmcast::wire::Profile;

fn run(words: &[&str]) -> RunArgs {
    let words = ["swarmcast-load", "run"].iter().chain(words);
    match Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).command {
        Command::Run(args) => *args,
        other => panic!("{other:?}"),
    }
}

fn resolved(words: &[&str]) -> Resolved {
    resolve(&run(words)).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(words: &[&str]) -> String {
    resolve(&run(words)).unwrap_err().to_string()
}

const WS: &str = "ws://127.0.0.1:7400/stream";

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn a_target_alone_is_a_plan() {
    let Resolved { plan, outputs, agents, agent_token, quiet, check } = resolved(&[WS]);
    assert_eq!((outputs, agents, agent_token, quiet, check), (Outputs::default(), Vec::new(), None, false, false));
    assert_eq!((plan.name.as_str(), plan.groups.len()), ("run", 1));
    let group = &plan.groups[0];
    assert_eq!((group.name.as_str(), group.clients), ("viewers", 100));
    assert_eq!(group.protocol, Protocol::Swarmcast { profile: Profile::Own, rate_hz: 60 });
    assert_eq!(group.target.path, "/stream?profile=swarmcast.v1&rate=60");
    let stages: Vec<(u64, bool)> = plan.stages.iter().map(|stage| (stage.duration_ns, stage.measured)).collect();
    assert_eq!(stages, [(SECOND_NS, false), (31 * SECOND_NS, true)]);
    let measured = plan.slices().into_iter().filter(|slice| slice.measured);
    assert_eq!(measured.map(|slice| slice.end_ns - slice.start_ns).sum::<u64>(), 30 * SECOND_NS);
}

#[test]
fn flags_change_the_plan() {
    let words = "--clients 3000 --duration 5s --rate 20 --protocol v1 --ramp 250ms --warmup 0s --threads 2 \
                 --expect 19.5 --threshold errors==0 --threshold viewers/lost==0 --verify --source 127.0.0.2 --source 127.0.0.3 \
                 --clock ping --agents a:1,b:2 --agent-token x --quiet --check";
    let words: Vec<&str> = [WS].into_iter().chain(words.split_whitespace()).collect();
    let Resolved { plan, agents, agent_token, quiet, check, .. } = resolved(&words);
    assert_eq!(
        (agents, agent_token.as_deref(), quiet, check),
        (vec!["a:1".to_owned(), "b:2".to_owned()], Some("x"), true, true)
    );
    let group = &plan.groups[0];
    assert_eq!((group.clients, group.owed_hz, group.verify), (3_000, Some(19.5), true));
    assert_eq!(group.protocol, Protocol::Swarmcast { profile: Profile::V1, rate_hz: 20 });
    assert_eq!((plan.stages[0].duration_ns, plan.stages[1].duration_ns), (SECOND_NS / 4, 5 * SECOND_NS));
    assert_eq!((plan.threads, plan.sources.len(), plan.thresholds.len()), (2, 2, 2));
    assert_eq!(plan.clock, ClockMode::Ping);
}

#[test]
fn a_stranger_has_stamp_and_framing() {
    let words = ["tcp://127.0.0.1:9", "--protocol", "generic", "--stamp", "8:f64-le:ms:monotonic", "--framing", "line"];
    let stamp = Stamp { offset: 8, kind: StampKind::F64Le, unit_ns: 1_000_000, clock: StampClock::Monotonic };
    let protocol = Protocol::Generic { framing: Framing::Line, stamp: Some(stamp), hello: Vec::new() };
    assert_eq!(resolved(&words).plan.groups[0].protocol, protocol);
}

#[test]
fn a_scenario_takes_some_flags_and_refuses_the_others() {
    let Resolved { plan, outputs, .. } = resolved(&["--scenario", "viewers-1000", "--clients", "50", "--out", "r"]);
    assert_eq!((plan.name.as_str(), plan.groups[0].clients), ("viewers-1000", 50));
    assert_eq!(outputs.json, Some(PathBuf::from("r/viewers-1000.json")));
    assert_eq!(outputs.markdown, Some(PathBuf::from("r/viewers-1000.md")));
    let moved = resolved(&["ws://127.0.0.1:9/s", "--scenario", "storm"]).plan;
    assert!(moved.groups.iter().all(|group| group.target.authority == "127.0.0.1:9"));
    for flag in ["--duration=5s", "--rate=5", "--protocol=v1", "--ramp=5s", "--expect=5", "--stamp=x", "--framing=line"]
    {
        let name = flag.split('=').next().unwrap();
        let message = refused(&["--scenario", "storm", flag]);
        assert!(message.starts_with(&format!("{name} cannot stand with --scenario")), "{message}");
    }
}

#[test]
fn wrong_use_is_said() {
    for (words, message) in [
        (&[][..], "say what to load: swarmcast-load run ws://127.0.0.1:7400/stream, or run --scenario NAME"),
        (
            &["127.0.0.1:7400"],
            "127.0.0.1:7400: must begin with ws:// or tcp://, as in ws://127.0.0.1:7400/stream or tcp://127.0.0.1:7401",
        ),
        (
            &[WS, "--threshold", "mising < 1%"],
            "--threshold `mising < 1%`: no figure is called mising; did you mean missing?",
        ),
        (
            &[WS, "--threshold", "call.p99 < 1s"],
            "--threshold: `call.p99 < 1s`: nobody measures call.p99: it needs a group that calls",
        ),
        (
            &[WS, "--protocol", "v4"],
            "--protocol: \"v4\" must be swarmcast, swarmcast.v1, swarmcast.compact, v1, v2, v3 or generic; did you mean v42?",
        ),
        (
            &[WS, "--protocol", "mcp"],
            "--protocol: calls need a scenario that says which; see `swarmcast-load scenario json-rpc`",
        ),
        (
            &[WS, "--protocol", "generic", "--rate", "5"],
            "--rate: is only for the streams of Swarmcast; a generic stream is told by `expect`",
        ),
        (
            &["ws://127.0.0.1:1/?rate=5", "--rate", "6"],
            "TARGET: the query of the address says rate=5, and `rate` says 6: leave one out",
        ),
        (&[WS, "--expect", "0"], "--expect: must be a number over 0 and at most 100000 Hz"),
        (
            &[WS, "--framing", "xml"],
            "--framing: must be \"u32-le\", \"u32-be\", \"line\", \"none\", or the bytes of every message (1 to 16777216)",
        ),
        (
            &[WS, "--source", "10.0.0.1"],
            "--source: 10.0.0.1 cannot reach 127.0.0.1: one is this host, the other is not",
        ),
        (&[WS, "--duration", "8d"], "--duration: all stages together take 691202s; a run may take 7d"),
        (&[WS, "--agents", "host"], "--agents: \"host\" must be HOST:PORT, as in 10.0.0.6:7500"),
        (
            &["--scenario", "strom"],
            "no ready scenario is called strom; did you mean storm? `swarmcast-load scenario` lists them",
        ),
        (&["--scenario", "zzz"], "no ready scenario is called zzz; `swarmcast-load scenario` lists them"),
        (&["--scenario", "no/such.toml"], "no/such.toml: cannot be read: No such file or directory (os error 2)"),
        (&["--scenario", "/dev/zero"], "/dev/zero: is longer than 1048576 bytes"),
    ] {
        assert_eq!(refused(words), message);
    }
    let message = refused(&[WS, "--stamp", "8:u64-le"]);
    assert!(message.starts_with("--stamp: must be OFFSET:KIND:UNIT[:CLOCK]"), "{message}");
    let both = refused(&[WS, "--expect", "0", "--framing", "line"]);
    assert!(both.contains("--expect: ") && both.contains("--framing: is only for"), "all is said: {both}");
}

#[test]
fn clap_refuses_what_is_no_value() {
    for words in [
        &["--clients", "0"][..],
        &["--clients", "1000001"],
        &["--rate", "121"],
        &["--duration", "30"],
        &["--ramp", "0s"],
        &["--threads", "0"],
        &["--source", "localhost"],
        &["--clock", "utc"],
        &["--agent-token", "x"],
        &["--speed", "1"],
    ] {
        let words = ["swarmcast-load", "run", WS].iter().chain(words);
        assert!(Cli::try_parse_from(words.clone()).is_err(), "{:?}", words.collect::<Vec<_>>());
    }
}

#[test]
fn the_other_commands() {
    let parse = |words: &str| Cli::try_parse_from(words.split_whitespace());
    let Command::Compare(compare) = parse("x compare a.json b.json --confidence 99 --json").unwrap().command else {
        panic!("no compare")
    };
    assert!((compare.confidence - 99.0).abs() < 1e-9 && compare.json);
    assert!(parse("x compare a b --confidence 5").is_err());
    let Command::Report(report) = parse("x report a.json --html a.html --out r").unwrap().command else {
        panic!("no report")
    };
    let outputs = report.outputs.resolve("name");
    assert_eq!((outputs.html, outputs.csv), (Some("a.html".into()), Some("r/name.csv".into())));
    let Command::Agent(agent) = parse("x agent --listen 0.0.0.0:7500 --token-file t").unwrap().command else {
        panic!("no agent")
    };
    assert_eq!((agent.listen.port(), agent.token_file), (7500, Some("t".into())));
    assert!(parse("x agent").is_err());
    let agent = |listen: &str, token_file: Option<&str>| {
        let agent = AgentArgs { listen: listen.parse().unwrap(), token_file: token_file.map(PathBuf::from) };
        agent.token().map_err(|error| error.to_string())
    };
    assert_eq!(agent("127.0.0.1:1", None), Ok(None));
    let open = "--listen 0.0.0.0:1 can be reached from other machines: give --token-file, or listen on 127.0.0.1";
    assert_eq!(agent("0.0.0.0:1", None), Err(open.to_owned()));
    assert_eq!(agent("0.0.0.0:1", Some("/dev/null")), Err("/dev/null: holds no token".to_owned()));
    let list = ScenarioArgs { name: None }.text().unwrap();
    assert!(list.contains("\nstorm           Do 200 watchers notice"), "{list}");
    assert!(ScenarioArgs { name: Some("storm".into()) }.text().unwrap().contains("[[group]]"));
    assert!(ScenarioArgs { name: Some("x".into()) }.text().is_err());
    assert!(show_plan(&resolved(&[WS]).plan).contains("\"clients\": 100"));
}

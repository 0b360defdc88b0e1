//! Goal: a wrong scenario is refused with the line, the path of the key and the limit; a right one becomes its plan.

use proptest::prelude::*;
use serde_json::json;
use swarmcast::wire::Profile;

use super::*;
use crate::plan::{
    Behaviour, Call, Calls, Compact, Framing, Message, Protocol, Sending, StageKind, Stamp, StampClock, StampKind,
    Transport,
};

const S: u64 = SECOND_NS;

fn plan_of(text: &str, over: &Overrides) -> Result<Plan, ScenarioError> {
    read(text, "dir/x y.toml", over, 2)
}

fn plan(text: &str) -> Plan {
    plan_of(text, &Overrides::default()).unwrap()
}

/// A scenario of one group, with more of it.
fn with(more: &str) -> String {
    format!("target = \"ws://127.0.0.1:7400\"\n[[group]]\nname = \"a\"\nclients = 5\n{more}")
}

/// `refused.txt` has scenarios, each with its messages after `----`, up to `====`.
#[test]
fn wrong_scenarios_are_refused_with_these_words() {
    let cases: Vec<&str> = include_str!("refused.txt").split("====\n").filter(|case| !case.is_empty()).collect();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    for case in cases {
        let (text, messages) = case.split_once("----\n").unwrap();
        let error = read(text, "x.toml", &Overrides::default(), 2).unwrap_err();
        assert_eq!(error.to_string(), messages.trim_end(), "\n{text}");
    }
}

#[test]
fn every_ready_scenario_is_a_plan_with_thresholds_and_a_question() {
    for ready in READY {
        let plan = read(ready.text, ready.name, &Overrides::default(), 2).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(plan.name, ready.name);
        assert!(!plan.thresholds.is_empty(), "{}", ready.name);
        assert!(ready.text.starts_with("# ") && ready.question().ends_with(['?', '.']), "{}", ready.question());
        let measured = plan.slices().iter().filter(|slice| slice.measured).count();
        assert!(measured >= 10, "{}", ready.name);
        // What another host is sent is what was read here.
        let again: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(again, plan);
    }
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios")).unwrap();
    let mut files: Vec<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    let mut known: Vec<&str> = READY.iter().map(|ready| ready.name).collect();
    files.sort_unstable();
    known.sort_unstable();
    assert_eq!(files, known, "every file is in the binary");
}

#[test]
fn a_scenario_that_says_little_gets_the_defaults() {
    let plan = plan(&with(""));
    assert_eq!((plan.name.as_str(), plan.seed, plan.threads, plan.warmup_ns), ("x-y", 1, 1, S));
    assert_eq!((plan.connect_timeout_ns, plan.clock, plan.self_check), (10 * S, ClockMode::Auto, SelfCheck::default()));
    assert!(plan.sources.is_empty() && plan.thresholds.is_empty());
    let stages: Vec<_> =
        plan.stages.iter().map(|stage| (stage.kind, stage.duration_ns, stage.to, stage.measured)).collect();
    assert_eq!(stages, [(StageKind::Ramp, S, 1.0, false), (StageKind::Hold, 31 * S, 1.0, true)]);
    let group = &plan.groups[0];
    assert_eq!(group.protocol, Protocol::Swarmcast { profile: Profile::Own, rate_hz: 60 });
    assert_eq!(group.target.path, "/stream?profile=swarmcast.v1&rate=60");
    assert_eq!((group.behaviour, &group.sending, group.start_ns), (Behaviour::Reader, &None, 0));
    assert_eq!((group.owed_hz, group.reconnect_after_ns, group.verify), (None, Some(S), false));
    assert_eq!(group.receive_buffer_bytes, None);
}

#[test]
fn threads_ramp_and_sources_follow_the_clients() {
    let of = |clients: u32, cores| {
        let text = with("").replace("clients = 5", &format!("clients = {clients}"));
        read(&text, "x", &Overrides::default(), cores).unwrap()
    };
    for (clients, cores, threads) in [(1, 8, 1), (499, 8, 1), (500, 8, 2), (10_000, 8, 8), (10_000, 2, 2)] {
        assert_eq!(of(clients, cores).threads, threads, "{clients} on {cores}");
    }
    assert_eq!(of(500, 1).stages[0].duration_ns, S);
    assert_eq!(of(10_000, 1).stages[0].duration_ns, 10 * S);
    assert!(of(20_000, 1).sources.is_empty());
    let sources: Vec<String> = of(40_001, 1).sources.iter().map(ToString::to_string).collect();
    assert_eq!(sources, ["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
    let elsewhere = with("").replace("127.0.0.1", "192.0.2.1").replace("clients = 5", "clients = 40000");
    assert!(plan(&elsewhere).sources.is_empty(), "only loopback has more addresses");
}

#[test]
fn behaviours_are_read() {
    let of = |more: &str| plan(&with(more)).groups[0].behaviour;
    assert_eq!(of("read = \"20KB/s\""), Behaviour::Slow { bytes_per_s: 20_000 });
    assert_eq!(of("read = 500"), Behaviour::Slow { bytes_per_s: 500 });
    assert_eq!(
        of("[group.stall]\nafter = \"3s\"\nfor = \"4s\""),
        Behaviour::Stall { after_ns: 3 * S, for_ns: Some(4 * S) }
    );
    assert_eq!(of("stall = { for = \"never\" }"), Behaviour::Stall { after_ns: 0, for_ns: None });
    assert_eq!(of("half_open = true"), Behaviour::HalfOpen);
    assert_eq!(of("silent = true"), Behaviour::Silent);
    assert_eq!(of("half_open = false"), Behaviour::Reader);
    let storm = Behaviour::Storm { every_ns: 10 * S, reset: true };
    assert_eq!(of("[group.storm]\nevery = \"10s\"\nreset = true"), storm);
}

#[test]
fn messages_are_read() {
    let of = |send: &str| plan(&with(&format!("send = {{ {send} }}"))).groups[0].sending.clone().unwrap();
    assert_eq!(of("what = \"ping\", rate = 0.5"), Sending { rate_hz: 0.5, what: Message::Ping });
    assert_eq!(of("what = \"ws-ping\", rate = 1"), Sending { rate_hz: 1.0, what: Message::WsPing });
    let text = Sending { rate_hz: 2.0, what: Message::Text("hi".to_owned()) };
    assert_eq!(of("what = \"text\", rate = 2, text = \"hi\""), text);
    let drag = Sending { rate_hz: 20.0, what: Message::Drag { nodes: vec![3, 4, 5] } };
    assert_eq!(of("what = \"drag\", rate = 20, nodes = \"3-5\""), drag);
    assert_eq!(of("what = \"drag\", rate = 20, nodes = [3, 4, 5]"), drag);
}

#[test]
fn other_streams_and_targets_of_their_own_are_read() {
    let text = with(
        r#"
        [[group]]
        name = "ticker"
        clients = 2
        target = "tcp://127.0.0.1:9001"
        protocol = "generic"
        framing = "u32-be"
        stamp = { offset = 56, kind = "f64-be", unit = "ms" }
        hello = ["one", "two"]
        expect = 12.5
        reconnect = "never"
        start = "1.5s"
        [[group]]
        name = "feed"
        clients = 2
        target = "ws://127.0.0.1:9002"
        protocol = "generic"
        headers = { Authorization = "Bearer x" }
        subprotocols = ["chat", "v2.chat"]
        receive_buffer = "16KiB"
        [[group]]
        name = "legacy"
        clients = 2
        protocol = "v1"
        rate = 20
        verify = true
        "#,
    );
    let plan = plan(&text);
    let [_, ticker, feed, legacy] = plan.groups.as_slice() else { panic!("{:?}", plan.groups) };
    let stamp = Stamp { offset: 56, kind: StampKind::F64Be, unit_ns: 1_000_000, clock: StampClock::Unix };
    let hello = vec!["one".to_owned(), "two".to_owned()];
    assert_eq!(ticker.protocol, Protocol::Generic { framing: Framing::U32Be, stamp: Some(stamp), hello });
    assert_eq!((ticker.owed_hz, ticker.reconnect_after_ns, ticker.start_ns), (Some(12.5), None, S * 3 / 2));
    assert_eq!((ticker.target.transport, ticker.target.path.as_str()), (Transport::Tcp, ""));
    assert_eq!(feed.target.path, "/");
    assert_eq!(feed.target.headers, [("Authorization".to_owned(), "Bearer x".to_owned())]);
    assert_eq!(feed.target.subprotocols, ["chat", "v2.chat"]);
    assert_eq!(feed.receive_buffer_bytes, Some(16_384));
    assert_eq!(legacy.protocol, Protocol::Swarmcast { profile: Profile::V1, rate_hz: 20 });
    assert!(legacy.verify && legacy.target.path.ends_with("?profile=v1&rate=20"), "{}", legacy.target.path);
}

#[test]
fn the_compact_profile_and_its_reference_are_read() {
    let text = with(
        r#"
        protocol = "swarmcast.compact"
        rate = 20
        bits = 12
        interest = { sphere = { center = [1, 2.5, 0], radius = 3 } }
        ack_every = 10
        verify = true
        during = "watched"
        [[group]]
        name = "b"
        clients = 2
        target = "tcp://127.0.0.1:7401"
        protocol = "swarmcast.compact"
        [[stage]]
        kind = "ramp"
        duration = "1s"
        [[stage]]
        kind = "hold"
        name = "watched"
        duration = "5s"
        "#,
    );
    let plan = plan(&text);
    let [a, b, reference] = plan.groups.as_slice() else { panic!("{:?}", plan.groups) };
    let interest = r#"{"sphere":{"center":[1,2.5,0],"radius":3},"type":"interest"}"#;
    let asked =
        Compact { rate_hz: 20, bits: Some(12), dimensions: None, interest: Some(interest.to_owned()), ack_every: 10 };
    assert_eq!((&a.protocol, &a.stages), (&Protocol::Compact(asked), &Some(vec![1])));
    assert_eq!(a.target.path, "/stream?profile=swarmcast.compact&rate=20&bits=12");
    let plain = Compact { rate_hz: 60, bits: None, dimensions: None, interest: None, ack_every: 0 };
    assert_eq!((&b.protocol, &b.stages), (&Protocol::Compact(plain), &None));
    // Who verifies gets a client with full frames of every tick at its side; the others do not.
    assert_eq!((reference.name.as_str(), reference.clients, reference.verify), ("a-reference", 1, true));
    assert_eq!(reference.target.path, "/stream?profile=swarmcast.v1&rate=120");
    assert_eq!(reference.target.address, a.target.address);
}

#[test]
fn calls_are_read() {
    let plan = plan(
        r#"
        target = "tcp://127.0.0.1:9000"
        [[group]]
        name = "agents"
        clients = 3
        protocol = "mcp"
        calls_per_s = 500
        timeout = "2s"
        [[group.call]]
        method = "tools/list"
        [[group.call]]
        method = "tools/call"
        params = { name = "add", arguments = { a = "$int(-5,5)", b = 1.5, c = [true] } }
        weight = 3
        "#,
    );
    let params = json!({ "name": "add", "arguments": { "a": "$int(-5,5)", "b": 1.5, "c": [true] } });
    let mix = vec![
        Call { method: "tools/list".to_owned(), params: None, weight: 1.0 },
        Call { method: "tools/call".to_owned(), params: Some(params), weight: 3.0 },
    ];
    let calls = Calls { rate_hz: 500.0, mcp: true, mix, timeout_ns: 2 * S, in_flight_max: 64 };
    assert_eq!(plan.groups[0].protocol, Protocol::JsonRpc(calls));
}

#[test]
fn the_command_line_wins_over_the_file() {
    let over = Overrides {
        target: Some(Url::parse("ws://127.0.0.1:9/feed").unwrap()),
        clients: Some(7),
        warmup_ns: Some(0),
        threads: Some(3),
        sources: vec!["127.0.0.9".parse().unwrap()],
        clock: Some(ClockMode::Same),
        verify: true,
        thresholds: vec!["a/errors == 0".to_owned()],
    };
    let plan = plan_of(&with(""), &over).unwrap();
    assert_eq!((plan.groups[0].clients, plan.groups[0].verify), (7, true));
    assert_eq!(plan.groups[0].target.path, "/feed?profile=swarmcast.v1&rate=60");
    assert_eq!((plan.warmup_ns, plan.threads, plan.clock, plan.sources.len()), (0, 3, ClockMode::Same, 1));
    assert_eq!(plan.thresholds[0].text, "a/errors == 0");
    // A wrong address in the file is no matter then.
    assert!(plan_of(&with("").replace("ws://", "wss://"), &over).is_err(), "what is wrong is said nevertheless");
    let two = with("[[group]]\nname = \"b\"\nclients = 1");
    let message = plan_of(&two, &over).unwrap_err().to_string();
    let wanted = "dir/x y.toml: --clients: cannot say which of the scenario's 2 groups it means; change the file";
    assert_eq!(message, wanted);
    let wrong = Overrides { thresholds: vec!["speed < 3".to_owned()], ..Overrides::default() };
    let message = plan_of(&with(""), &wrong).unwrap_err().to_string();
    assert_eq!(message, "dir/x y.toml: --threshold: `speed < 3`: no figure is called speed");
}

#[test]
fn verify_from_the_command_line_leaves_out_who_cannot() {
    let more = "[[group]]\nname = \"b\"\nclients = 1\nsilent = true\n\
                [[group]]\nname = \"c\"\nclients = 1\nprotocol = \"generic\"";
    let over = Overrides { verify: true, ..Overrides::default() };
    let plan = plan_of(&with(more), &over).unwrap();
    assert_eq!(plan.groups.iter().map(|group| group.verify).collect::<Vec<_>>(), [true, false, false]);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = plan_of(&text, &Overrides::default());
    }

    /// Any value at any key is read or refused.
    #[test]
    fn no_value_panics(
        key in prop::sample::select(vec![
            "name", "clients", "target", "protocol", "rate", "expect", "start", "read", "stall", "half_open", "silent",
            "storm", "send", "stamp", "framing", "hello", "headers", "subprotocols", "call", "calls_per_s", "timeout",
            "in_flight", "reconnect", "verify", "receive_buffer", "stage.to", "thresholds",
        ]),
        value in prop::sample::select(vec![
            "0", "-1", "9223372036854775807", "1e308", "inf", "nan", "true", "\"\"", "\"é\"", "\"1-2\"",
            "\"99999999999999999999s\"",
            "\"-\"", "\"$int(\"", "[]", "{}", "[[]]", "[{}]", "{ a = 1 }", "1979-05-27", "[1, \"x\", {}]",
            "{ what = \"drag\", rate = 5, nodes = \"0-4294967295\" }", "{ offset = 0, kind = \"u64-le\" }",
        ]),
    ) {
        let _ = plan_of(&format!("target = \"ws://127.0.0.1:1\"\n[[group]]\n{key} = {value}\n"), &Overrides::default());
        let _ = plan_of(&format!("{key} = {value}\n"), &Overrides::default());
    }
}

#[test]
fn the_readme_shows_what_is() {
    let readme = include_str!("../../README.md");
    let mut scenarios = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    plan(scenarios.next().unwrap());
    scenarios.for_each(|text| drop(plan(text)));
    for ready in READY {
        assert!(readme.contains(&format!("`{}`", ready.name)), "{}", ready.name);
    }
    let figures = crate::figures::SCALARS.iter().map(|scalar| scalar.name);
    for name in figures.chain(crate::record::TIMINGS.iter().map(|timing| timing.name())) {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
    let thresholds = readme.split("## Thresholds").nth(1).unwrap().split("```text\n").nth(1).unwrap();
    for line in thresholds.split("```").next().unwrap().lines() {
        let text = line.split("  ").next().unwrap();
        Threshold::parse(text, &["viewers"]).unwrap_or_else(|error| panic!("{error}"));
    }
    // The messages shown are those that come.
    let shown = format!("stage[2].duration: must be {}, from 1ms to 7d, found 30", crate::quantity::DURATION_FORM);
    let text =
        with("raet = 1\n[[stage]]\nkind = \"ramp\"\nduration = \"1s\"\n[[stage]]\nkind = \"hold\"\nduration = 30");
    let message = plan_of(&text, &Overrides::default()).unwrap_err().to_string();
    for part in [shown.as_str(), "group[1].raet: no such key; did you mean rate?"] {
        assert!(message.contains(part) && readme.contains(part), "{part}\n{message}");
    }
}

/// `mixed` explains every key: one that is added must be added there.
#[test]
fn mixed_has_every_key() {
    let mixed = ready("mixed").unwrap().text;
    let bad = "zzzzzz = 1\n[self_check]\nzzzzzz = 1\n[[stage]]\nzzzzzz = 1\n[[group]]\nzzzzzz = 1\n\
               [group.stall]\nzzzzzz = 1\n[group.storm]\nzzzzzz = 1\n[group.send]\nzzzzzz = 1\n[group.stamp]\nzzzzzz = 1\n\
               [[group.call]]\nzzzzzz = 1";
    let message = plan_of(bad, &Overrides::default()).unwrap_err().to_string();
    let lists: Vec<&str> = message.lines().filter_map(|line| line.split("no such key; known: ").nth(1)).collect();
    assert_eq!(lists.len(), 9, "{message}");
    for key in lists.into_iter().flat_map(|list| list.split(", ")) {
        // Given at the start of a line or in an inline table, or for the simple form said in words.
        let given = ["", "# "].iter().any(|before| {
            mixed.contains(&format!("\n{before}{key} = ")) || mixed.contains(&format!("\n{before}[[group.{key}]]"))
        });
        let inline = mixed.contains(&format!("{{ {key} = ")) || mixed.contains(&format!(", {key} = "));
        let said = mixed.contains(&format!("[{key}]")) || mixed.contains(&format!("`{key}`"));
        assert!(given || inline || said, "{key}");
    }
}

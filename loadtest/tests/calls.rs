//! Goal: calls are made at their rate whatever the server does, every answer finds its call, and every call counts.
//! Method: JSON-RPC servers with planned answers, one group each.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use support::fake::{Answer, Calls as Server, Fake, Script, Speak};
use support::run::{Cast, MS, Played, between, plan};
use swarmcast_load::plan::{Call, Calls, Group, Protocol};
use swarmcast_load::record::{Count, Timing};

/// Of each group.
const RATE_HZ: f64 = 50.0;

fn call(method: &str, params: Option<Value>, weight: f64) -> Call {
    Call { method: method.to_owned(), params, weight }
}

static PLAYED: LazyLock<Played> = LazyLock::new(|| {
    let mut cast = Cast::default();
    let mut add = |name: &str, answer: fn(u64, &Value) -> Answer, change: fn(&mut Calls), group: fn(&mut Group)| {
        let mix = vec![call("tools/call", Some(json!({"name": "node", "arguments": {"id": "$int(3,5)"}})), 1.0)];
        let mut calls = Calls { rate_hz: RATE_HZ, mcp: false, mix, timeout_ns: 300 * MS, in_flight_max: 100 };
        change(&mut calls);
        cast.speak(name, Fake::tcp(Script::new(Speak::Calls(Server::new(answer)))), Protocol::JsonRpc(calls), group);
    };
    let soon = |_, _: &Value| Answer::After(Duration::from_millis(15));
    add("steady", soon, |_| (), |group| group.clients = 4);
    add("mcp", soon, |calls| calls.mcp = true, |group| group.clients = 2);
    // The 61st call holds the connection up for 200 ms; those behind it wait.
    let held = |nth, _: &Value| Answer::Hold(Duration::from_millis(if nth == 60 { 200 } else { 0 }));
    add("held", held, |_| (), |_| ());
    let lost = |nth, _: &Value| if nth % 10 == 0 { Answer::Never } else { Answer::After(Duration::ZERO) };
    add("lost", lost, |_| (), |_| ());
    let errors =
        |nth, _: &Value| if nth % 4 == 0 { Answer::Error(Duration::ZERO) } else { Answer::After(Duration::ZERO) };
    add("errors", errors, |_| (), |_| ());
    let late = |nth, _: &Value| Answer::After(Duration::from_millis(if nth % 2 == 0 { 90 } else { 30 }));
    add("out_of_order", late, |_| (), |_| ());
    add("too_many", |_, _| Answer::After(Duration::from_millis(250)), |calls| calls.in_flight_max = 5, |_| ());
    let mixed = |calls: &mut Calls| {
        calls.rate_hz = 200.0;
        calls.mix = vec![call("one", None, 3.0), call("two", Some(json!(["$int(-2,2)", "int(1,2)", "plain"])), 1.0)];
    };
    add("mix", soon, mixed, |group| group.clients = 2);
    cast.play(|groups| plan("calls", 2.5, groups))
});

/// Calls that a server got, over all connections, with the time of each, in order.
fn got(group: &str) -> Vec<(u64, Value)> {
    let texts = PLAYED.seen(group).into_iter().flat_map(|seen| seen.texts);
    let mut calls: Vec<(u64, Value)> = texts.map(|(at, text)| (at, serde_json::from_str(&text).unwrap())).collect();
    calls.sort_by_key(|(at, _)| *at);
    calls
}

#[test]
fn calls_come_evenly_at_the_rate_of_the_group() {
    between(PLAYED.figure("steady", "calls_per_s").unwrap(), RATE_HZ - 1.0, RATE_HZ + 1.0);
    assert_eq!(PLAYED.figure("steady", "calls_failed"), Some(0.0));
    PLAYED.between_ms("steady", "call.min", 15.0 - 0.1, 18.0);
    PLAYED.between_ms("steady", "call.p50", 15.0 - 0.1, 19.0);
    PLAYED.between_ms("steady", "call_service.p50", 15.0 - 0.1, 19.0);
    assert_eq!(PLAYED.errors("steady"), [""; 0]);
    let at: Vec<u64> = got("steady").iter().map(|(at, _)| *at).collect();
    let mut between_ms: Vec<u64> = at.windows(2).map(|pair| (pair[1] - pair[0]) / 100_000).collect();
    between_ms.sort_unstable();
    between(between_ms[between_ms.len() / 2] as f64 / 10.0, 19.0, 21.0);
    // Evenly over the connections.
    for seen in PLAYED.seen("steady") {
        between(seen.texts.len() as f64, 30.0, 33.0);
        assert_eq!(seen.violations, [""; 0]);
    }
}

#[test]
fn placeholders_become_numbers_of_their_range() {
    let ids: Vec<i64> =
        got("steady").iter().map(|(_, call)| call["params"]["arguments"]["id"].as_i64().unwrap()).collect();
    assert!(ids.iter().all(|id| (3..=5).contains(id)));
    assert!([3, 4, 5].iter().all(|id| ids.contains(id)), "{ids:?}");
    let two: Vec<Value> =
        got("mix").into_iter().filter(|(_, call)| call["method"] == "two").map(|(_, call)| call).collect();
    assert!(two.iter().all(|call| (-2..=2).contains(&call["params"][0].as_i64().unwrap())));
    assert!(two.iter().all(|call| call["params"][1] == "int(1,2)" && call["params"][2] == "plain"));
}

#[test]
fn the_mix_follows_its_weights() {
    let all = got("mix");
    let one = all.iter().filter(|(_, call)| call["method"] == "one").count();
    assert!(all.iter().filter(|(_, call)| call["method"] == "one").all(|(_, call)| call.get("params").is_none()));
    between(one as f64 / all.len() as f64, 0.66, 0.84);
    between(PLAYED.figure("mix", "calls_per_s").unwrap(), 196.0, 204.0);
}

#[test]
fn an_mcp_session_is_opened_first() {
    for seen in PLAYED.seen("mcp") {
        let lines: Vec<Value> = seen.texts.iter().map(|(_, text)| serde_json::from_str(text).unwrap()).collect();
        assert_eq!(
            (&lines[0]["method"], lines[0]["params"]["clientInfo"]["name"].is_string()),
            (&json!("initialize"), true)
        );
        assert!(lines[1]["method"] == "notifications/initialized" && lines[1].get("id").is_none());
        assert!(lines[2..].iter().all(|line| line["method"] == "tools/call"));
        let ids: Vec<&Value> = lines.iter().filter_map(|line| line.get("id")).collect();
        assert!(ids.iter().enumerate().all(|(place, id)| !ids[..place].contains(id)), "an id came twice: {ids:?}");
    }
    between(PLAYED.figure("mcp", "calls_per_s").unwrap(), RATE_HZ - 1.0, RATE_HZ + 1.0);
}

#[test]
fn a_server_that_holds_up_does_not_slow_the_calls() {
    // All of them are made when they are due, and those behind the held one wait as long as it takes.
    between(PLAYED.figure("held", "calls_per_s").unwrap(), RATE_HZ - 1.0, RATE_HZ + 1.0);
    PLAYED.between_ms("held", "call.max", 200.0 - 0.2, 280.0);
    // 200 ms at 50 a second: ten calls wait 200, 180, 160 ms and so on.
    let slow = PLAYED.greatest("held", Timing::Call, 9);
    for (place, waited) in slow.iter().enumerate() {
        let planned = 200.0 - 20.0 * place as f64;
        between(*waited, planned - 0.2 - 4.0, planned + 40.0 + PLAYED.slack_ms());
    }
}

#[test]
fn answers_that_never_come_time_out() {
    let seen = got("lost").len() as u64;
    // A call of the warm-up may end after it.
    let ended = PLAYED.count("lost", Count::CallsAnswered) + PLAYED.count("lost", Count::CallsFailed);
    between(ended as f64 - PLAYED.count("lost", Count::CallsDue) as f64, 0.0, 3.0);
    between(PLAYED.figure("lost", "calls_failed").unwrap(), 0.08, 0.13);
    PLAYED.between_ms("lost", "call.max", 300.0 - 0.3, 420.0);
    let errors = PLAYED.errors("lost");
    assert!(
        errors.iter().all(|error| error.starts_with("call_timeout ") || error.starts_with("call_unanswered ")),
        "{errors:?}"
    );
    let failed: u64 = PLAYED.of("lost").errors.values().sum();
    assert_eq!(failed, seen.div_ceil(10));
}

#[test]
fn errors_are_failures_and_are_counted() {
    between(PLAYED.figure("errors", "calls_failed").unwrap(), 0.23, 0.27);
    assert_eq!(PLAYED.errors("errors"), [format!("call_error_-32000 {}", got("errors").len().div_ceil(4))]);
}

#[test]
fn answers_in_another_order_find_their_calls() {
    assert_eq!((PLAYED.errors("out_of_order"), PLAYED.figure("out_of_order", "calls_failed")), (vec![], Some(0.0)));
    PLAYED.between_ms("out_of_order", "call.min", 30.0 - 0.1, 33.0);
    PLAYED.between_ms("out_of_order", "call.p90", 90.0 - 0.1, 96.0);
    let fast = PLAYED.of("out_of_order").timing(Timing::Call).unwrap();
    let share = fast.count_between(29 * MS, 60 * MS) as f64 / fast.len() as f64;
    between(share, 0.45, 0.55);
}

#[test]
fn calls_beyond_those_in_flight_fail_and_count() {
    // Five at once, each 250 ms: 20 a second of the 50 that are due.
    between(PLAYED.figure("too_many", "calls_per_s").unwrap(), 15.0, 21.0);
    between(PLAYED.figure("too_many", "calls_failed").unwrap(), 0.55, 0.70);
    let errors = PLAYED.errors("too_many");
    assert!(errors.len() == 1 && errors[0].starts_with("call_in_flight "), "{errors:?}");
    between(PLAYED.count("too_many", Count::CallsDue) as f64, 98.0, 102.0);
}

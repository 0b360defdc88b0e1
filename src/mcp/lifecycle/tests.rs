use super::*;

fn rows(names: &[&str]) -> Vec<AgentRow> {
    let row = |name: &&str| AgentRow {
        agent_id: format!("agent:{name}").into(),
        name: (*name).into(),
        live: true,
        ..AgentRow::default()
    };
    names.iter().map(row).collect()
}

fn read(event: &[u8]) -> Value {
    serde_json::from_slice(event).unwrap()
}

fn looked(stream: &mut Lifecycle, rows: &[AgentRow], now_ms: u64) -> Vec<Value> {
    stream.look(rows, (now_ms * MILLISECOND_NS, now_ms)).iter().map(|event| read(event)).collect()
}

#[test]
fn a_snapshot_and_what_follows_it_are_what_is() {
    let mut stream = Lifecycle::new("run");
    let mut now = rows(&["a", "b"]);
    assert!(looked(&mut stream, &now, 1_000).is_empty() && !stream.is_watched(), "nobody watches");
    let first = read(&stream.snapshot(&now, 1_000));
    let envelope = json!({
        "type": "agents", "event": "snapshot", "schema_version": 1, "session_id": "run", "frame_id": 0, "timestamp_ms": 1_000,
    });
    for (name, value) in envelope.as_object().unwrap() {
        assert_eq!(&first[name], value, "{name}");
    }
    assert_eq!((&first["total"], &first["truncated"]), (&json!(2), &json!(false)));
    assert_eq!((&first["agents"][0]["agent_id"], &first["agents"][0]["health"]), (&json!("agent:a"), &Value::Null));

    // One comes, one goes, one changes; nothing is told twice.
    now.extend(rows(&["c"]));
    now[0].status = Some("running");
    now[0].metrics.workload = Some(0.5);
    now[1].live = false;
    let told = looked(&mut stream, &now, 10_000);
    let of =
        |event: &str| told.iter().find(|told| told["event"] == event).unwrap_or_else(|| panic!("{event}: {told:?}"));
    assert_eq!(of("agent_added")["agent"]["name"], "c");
    assert_eq!(of("agent_removed")["agent_id"], "agent:b");
    let changed = of("delta")["agents"][0].as_object().unwrap();
    assert_eq!(changed.keys().collect::<Vec<_>>(), ["agent_id", "metrics", "status"], "only what is otherwise");
    assert_eq!((&changed["metrics"]["workload"], &changed["metrics"]["cpu"]), (&json!(0.5), &Value::Null));
    assert_eq!(of("heartbeat")["live"], 2);
    let frames: Vec<_> = told.iter().map(|told| told["frame_id"].as_u64().unwrap()).collect();
    assert_eq!(frames, [1, 2, 3, 4]);
    assert!(looked(&mut stream, &now, 10_050).is_empty(), "too soon");
    assert!(looked(&mut stream, &now, 10_200).is_empty(), "nothing has changed");
    assert_eq!(looked(&mut stream, &now, 15_200).len(), 1, "it lives");

    // Whoever comes later begins with what the others have been told.
    now[0].status = Some("idle");
    let later = read(&stream.snapshot(&now, 15_250));
    assert_eq!((&later["frame_id"], &later["total"]), (&json!(5), &json!(2)));
    assert_eq!(later["agents"][0]["status"], "running", "the change is yet to come, to both");
    assert_eq!(looked(&mut stream, &now, 15_400)[0]["agents"][0]["status"], "idle");
}

#[test]
fn no_event_is_longer_than_it_may_be() {
    let mut stream = Lifecycle::new("run");
    let names: Vec<String> = (0..2_000).map(|n| format!("agent number {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut now = rows(&names);
    let first = stream.snapshot(&now, 1);
    let shown = read(&first);
    assert!(first.len() <= AGENT_EVENT_BYTES_MAX && shown["agents"].as_array().unwrap().len() > 20, "{}", first.len());
    assert_eq!((&shown["truncated"], &shown["total"]), (&json!(true), &json!(2_000)));
    now.iter_mut().for_each(|row| row.last_text = Some("x".repeat(3_000).into()));
    let events = stream.look(&now, (SECOND_NS, 2));
    assert!(events.iter().all(|event| event.len() <= AGENT_EVENT_BYTES_MAX));
    let told: usize = events.iter().filter_map(|event| read(event)["agents"].as_array().map(Vec::len)).sum();
    assert_eq!(told, 2_000);
    let said = |payload| ActionSaid { source: 1, target: 2, action: "link", time_ms: 3, duration_ms: 4, payload };
    let long = [7; crate::limits::ACTION_PAYLOAD_BYTES_MAX];
    let events = stream.actions((0..20).map(|_| said(&long)), 9, 5);
    assert!(events.len() > 1 && events.iter().all(|event| event.len() <= AGENT_EVENT_BYTES_MAX));
    let actions: Vec<Value> =
        events.iter().flat_map(|event| read(event)["actions"].as_array().unwrap().clone()).collect();
    assert_eq!((actions.len(), &actions[19]["action"]), (20, &json!("link")));
    assert_eq!(STANDARD.decode(actions[0]["payload"].as_str().unwrap()).unwrap(), long);
}

#[test]
fn that_agents_speak_is_told_and_not_what_they_say() {
    let mut stream = Lifecycle::new("run");
    stream.snapshot(&[], 1);
    let to: Vec<Box<str>> = (0..100).map(|n| format!("agent:{n}").into()).collect();
    let told = read(
        &stream.communication(&Spoken { id: Some(7), from: "agent:a".into(), to, topic: Some("coder".into()) }, 2),
    );
    assert_eq!(
        (&told["event"], &told["message_id"], &told["receivers"]),
        (&json!("communication"), &json!(7), &json!(100))
    );
    assert_eq!(
        (told["to"].as_array().unwrap().len(), &told["decay_ms"], &told["topic"]),
        (TO_MAX, &json!(5_000), &json!("coder"))
    );
}

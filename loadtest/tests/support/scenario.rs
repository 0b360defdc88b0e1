//! A plan as a scenario file, so that tests write plans that the compiler checks and the program reads files.

use serde_json::{Map, Value, json};
use swarmcast::wire::Profile;
use swarmcast_load::plan::{
    Behaviour, Framing, Group, Message, Plan, Protocol, Stage, StageKind, Stamp, StampClock, StampKind, Transport,
};

/// The file.
pub fn toml(plan: &Plan) -> String {
    let mut file = Map::new();
    let mut set = |key: &str, value: Value| drop(file.insert(key.to_owned(), value));
    set("name", json!(plan.name));
    set("seed", json!(plan.seed));
    set("threads", json!(plan.threads));
    set("warmup", time(plan.warmup_ns));
    set("connect_timeout", time(plan.connect_timeout_ns));
    set("clock", serde_json::to_value(plan.clock).unwrap());
    if !plan.sources.is_empty() {
        set("sources", json!(plan.sources));
    }
    if !plan.thresholds.is_empty() {
        set("thresholds", plan.thresholds.iter().map(|threshold| threshold.text.clone()).collect());
    }
    let check = plan.self_check;
    let lateness = time(check.lateness_p99_max_ns);
    let share = check.lateness_share_max;
    set(
        "self_check",
        json!({"thread_cpu_max": check.thread_cpu_max, "lateness_p99_max": lateness, "lateness_share_max": share}),
    );
    set("stage", plan.stages.iter().map(stage).collect());
    set("group", plan.groups.iter().map(group).collect());
    toml::to_string(&file).unwrap()
}

fn time(ns: u64) -> Value {
    json!(format!("{ns}ns"))
}

fn stage(stage: &Stage) -> Value {
    let mut table = json!({"kind": stage.kind, "duration": time(stage.duration_ns), "measured": stage.measured});
    if matches!(stage.kind, StageKind::Ramp | StageKind::Spike) {
        table["to"] = json!(stage.to);
    }
    table
}

fn group(group: &Group) -> Value {
    let mut table = json!({
        "name": group.name,
        "clients": group.clients,
        "target": group.target.url,
        "start": time(group.start_ns),
        "reconnect": group.reconnect_after_ns.map_or(json!("never"), time),
    });
    if group.verify {
        table["verify"] = json!(true);
    }
    if let Some(owed_hz) = group.owed_hz {
        table["expect"] = json!(owed_hz);
    }
    if let Some(bytes) = group.receive_buffer_bytes {
        table["receive_buffer"] = json!(bytes);
    }
    protocol(group, &mut table);
    match group.behaviour {
        Behaviour::Reader => {}
        Behaviour::Slow { bytes_per_s } => table["read"] = json!(bytes_per_s),
        Behaviour::Stall { after_ns, for_ns } => {
            table["stall"] = json!({"after": time(after_ns), "for": for_ns.map_or(json!("never"), time)});
        }
        Behaviour::HalfOpen => table["half_open"] = json!(true),
        Behaviour::Silent => table["silent"] = json!(true),
        Behaviour::Storm { every_ns, reset } => table["storm"] = json!({"every": time(every_ns), "reset": reset}),
    }
    if let Some(sending) = &group.sending {
        let mut send = match &sending.what {
            Message::Ping => json!({"what": "ping"}),
            Message::WsPing => json!({"what": "ws-ping"}),
            Message::Drag { nodes } => json!({"what": "drag", "nodes": nodes}),
            Message::Text(text) => json!({"what": "text", "text": text}),
        };
        send["rate"] = json!(sending.rate_hz);
        table["send"] = send;
    }
    table
}

fn protocol(group: &Group, table: &mut Value) {
    match &group.protocol {
        Protocol::Swarmcast { profile, rate_hz } => {
            table["protocol"] = json!(if *profile == Profile::Own { "swarmcast.v1" } else { profile.name() });
            table["rate"] = json!(rate_hz);
        }
        Protocol::Compact(compact) => {
            table["protocol"] = json!(Profile::Compact.name());
            table["rate"] = json!(compact.rate_hz);
            table["ack_every"] = json!(compact.ack_every);
            for (key, value) in [("bits", compact.bits), ("dimensions", compact.dimensions)] {
                if let Some(value) = value {
                    table[key] = json!(value);
                }
            }
            if let Some(interest) = &compact.interest {
                table["interest"] = json!(interest);
            }
        }
        Protocol::Generic { framing, stamp, hello } => {
            table["protocol"] = json!("generic");
            if group.target.transport == Transport::Tcp {
                table["framing"] = match framing {
                    Framing::U32Le => json!("u32-le"),
                    Framing::U32Be => json!("u32-be"),
                    Framing::Line => json!("line"),
                    Framing::Fixed(bytes) => json!(bytes),
                    Framing::None => json!("none"),
                };
            }
            if let Some(stamp) = stamp {
                table["stamp"] = stamped(*stamp);
            }
            if !hello.is_empty() {
                table["hello"] = json!(hello);
            }
        }
        Protocol::JsonRpc(calls) => {
            table["protocol"] = json!(if calls.mcp { "mcp" } else { "json-rpc" });
            table["calls_per_s"] = json!(calls.rate_hz);
            table["timeout"] = time(calls.timeout_ns);
            table["in_flight"] = json!(calls.in_flight_max);
            let call = |call: &swarmcast_load::plan::Call| {
                let mut table = json!({"method": call.method, "weight": call.weight});
                if let Some(params) = &call.params {
                    table["params"] = params.clone();
                }
                table
            };
            table["call"] = calls.mix.iter().map(call).collect();
        }
    }
}

fn stamped(stamp: Stamp) -> Value {
    let kind = match stamp.kind {
        StampKind::U64Le => "u64-le",
        StampKind::U64Be => "u64-be",
        StampKind::F64Le => "f64-le",
        StampKind::F64Be => "f64-be",
    };
    let unit = match stamp.unit_ns {
        1 => "ns",
        1_000 => "us",
        1_000_000 => "ms",
        _ => "s",
    };
    let clock = if stamp.clock == StampClock::Unix { "unix" } else { "monotonic" };
    json!({"offset": stamp.offset, "kind": kind, "unit": unit, "clock": clock})
}

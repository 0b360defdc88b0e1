//! Goal: every full-frame profile is served over both transports, at 5 Hz too, and shows the same layout as our own.
//! Method: the real server on a small graph. At rest all profiles must agree bit for bit; in motion their counts must grow.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::fmt::Write as _;

use serde_json::json;
use swarmcast::wire::{
    FLAG_COMPRESSED, FrameHeader, NodeRecord, PROFILES, Profile, RecordTail, decode_26, decode_28, decode_v1,
    decode_v1_lead, decode_v2, decode_v3, decode_v5, decode_v42, decode_vf0, parse_own,
};
use zerocopy::little_endian::F32;

use crate::support::{Client, Event, Motion, PATIENCE, Server, Tcp, decode, graph};

/// One node: the id word and the bits of position and velocity.
type Bits = (u32, [u32; 3], [u32; 3]);

fn bits(id: u32, position: [F32; 3], velocity: [F32; 3]) -> Bits {
    (id, position.map(|axis| axis.get().to_bits()), velocity.map(|axis| axis.get().to_bits()))
}

fn own(node: &NodeRecord) -> Bits {
    bits(node.id_flags.get(), node.position, node.velocity)
}

/// What a frame counts, 0 in a profile that does not, and its nodes.
fn read(profile: Profile, frame: &[u8]) -> (u64, Vec<Bits>) {
    let tail = |id: u32, tail: &RecordTail| bits(id, tail.position, tail.velocity);
    match profile {
        Profile::Own | Profile::OwnLz4 => {
            let mut unpacked = Vec::new();
            let (header, nodes) = parse_own(frame, 10_000, &mut unpacked).unwrap();
            (header.sequence.get(), nodes.iter().map(own).collect())
        }
        Profile::Legacy26 => {
            let of = decode_26(frame).unwrap().iter();
            (0, of.map(|node| bits(node.id.get().into(), node.position, node.velocity)).collect())
        }
        Profile::Legacy28 => {
            let of = decode_28(frame).unwrap().iter();
            (0, of.map(|node| bits(node.id_flags.get(), node.position, node.velocity)).collect())
        }
        Profile::V1 | Profile::V1Lead => {
            let nodes = if profile == Profile::V1 { decode_v1(frame) } else { decode_v1_lead(frame) };
            (0, nodes.unwrap().iter().map(|node| tail(node.id_flags.get().into(), &node.tail)).collect())
        }
        Profile::V2 => {
            (0, decode_v2(frame).unwrap().iter().map(|node| tail(node.id_flags.get(), &node.tail)).collect())
        }
        Profile::V3 | Profile::V5 => {
            let (count, nodes) =
                if profile == Profile::V3 { (0, decode_v3(frame).unwrap()) } else { decode_v5(frame).unwrap() };
            (count, nodes.iter().map(|node| tail(node.node.id_flags.get(), &node.node.tail)).collect())
        }
        Profile::V42 | Profile::Vf0 => {
            let (count, nodes) = if profile == Profile::V42 {
                decode_v42(frame).unwrap()
            } else {
                decode_vf0(frame).map(|(count, nodes)| (u64::from(count), nodes)).unwrap()
            };
            (count, nodes.iter().map(|node| bits(node.id_flags.get(), node.position, node.velocity)).collect())
        }
        Profile::Compact => panic!("it has no full frames"),
    }
}

/// The id word that `profile` has for one of ours.
fn id_word(profile: Profile, word: u32) -> u32 {
    let (id, agent, knowledge) = (word & ((1 << 26) - 1), word & 1 << 31, word & 1 << 30);
    match profile {
        Profile::Own | Profile::OwnLz4 | Profile::V2 | Profile::V3 | Profile::V5 => word,
        Profile::Legacy28 => id | agent | knowledge,
        Profile::V1 | Profile::V1Lead => id | (agent | knowledge) >> 16,
        _ => id,
    }
}

fn full() -> impl Iterator<Item = Profile> {
    PROFILES.into_iter().filter(|profile| !profile.is_chain())
}

fn counts(profile: Profile) -> bool {
    matches!(profile, Profile::Own | Profile::OwnLz4 | Profile::V5 | Profile::V42 | Profile::Vf0)
}

#[test]
fn at_rest_every_profile_shows_the_same_layout() {
    let [flag, path] = graph("karate.gexf");
    let server = Server::start(&[flag, path]);
    let mut first = server.ws("");
    first.frame();
    server.settle();
    let frame = server.ws("").frame();
    let expected: Vec<Bits> = decode(&frame).1.iter().map(own).collect();
    for profile in full() {
        let (name, hello) = (profile.name(), json!({ "profile": profile.name(), "rate": 5 }));
        let clients: [Box<dyn Client>; 2] =
            [Box::new(server.ws(&format!("?profile={name}&rate=5"))), Box::new(server.tcp(&hello.to_string()))];
        for mut client in clients {
            assert_eq!((client.hello()["profile"].as_str(), client.hello()["rate"].as_u64()), (Some(name), Some(5)));
            let frame = client.frame();
            let nodes =
                expected.iter().map(|(word, position, velocity)| (id_word(profile, *word), *position, *velocity));
            assert_eq!(read(profile, &frame).1, nodes.collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn at_5_hz_every_profile_goes_on_and_counts_its_frames() {
    let [flag, path] = graph("karate.gexf");
    let server = Server::start(&[flag, path]);
    let _motion = Motion::start(&server);
    // All at once: twelve classes of sixteen, and the one that keeps the layout in motion.
    let mut clients: Vec<(Profile, Tcp, Vec<Vec<u8>>)> = full()
        .map(|profile| {
            let hello = json!({ "profile": profile.name(), "rate": 5 }).to_string();
            (profile, server.tcp(&hello), Vec::new())
        })
        .collect();
    for _ in 0..4 {
        for (_, client, frames) in &mut clients {
            frames.push(client.frame());
        }
    }
    for (profile, client, frames) in clients {
        assert_eq!(client.hello()["rate"], 5, "{profile:?}");
        let read: Vec<(u64, Vec<Bits>)> = frames.iter().map(|frame| read(profile, frame)).collect();
        assert!(read.windows(2).all(|two| two[0].1 != two[1].1), "{profile:?} stands still");
        if counts(profile) {
            assert!(read.windows(2).all(|two| two[0].0 < two[1].0), "{profile:?} counts its frames");
            assert!(read[0].0 >= 1);
        } else {
            assert!(read.iter().all(|(count, _)| *count == 0));
        }
        if matches!(profile, Profile::Own | Profile::OwnLz4) {
            let ticks: Vec<u64> = frames.iter().map(|frame| header(frame).tick.get()).collect();
            // The first frame of a class comes at once, the others on its beat.
            assert!(ticks[1..].windows(2).all(|two| (two[1] - two[0]) % 12 == 0), "a twelfth of 60 Hz: {ticks:?}");
        }
    }
}

fn header(frame: &[u8]) -> &FrameHeader {
    zerocopy::FromBytes::ref_from_prefix(frame).map(|(header, _)| header).unwrap()
}

#[test]
fn compression_is_asked_for_by_name_and_told() {
    // 1,998 nodes of the embedded graph.
    let server = Server::start::<&str>(&[]);
    let clients: [Box<dyn Client>; 3] = [
        Box::new(server.ws("?profile=swarmcast.v1&compression=lz4")),
        Box::new(server.ws("?compression=lz4")),
        Box::new(server.tcp(r#"{"compression":"lz4"}"#)),
    ];
    for mut client in clients {
        assert_eq!(client.hello()["profile"], "swarmcast.v1.lz4");
        let frame = client.frame();
        let packed = header(&frame);
        assert!(packed.flags.get() & FLAG_COMPRESSED != 0);
        assert!(frame.len() < 64 + 28 * packed.node_count.get() as usize, "{} bytes", frame.len());
        assert_eq!(read(Profile::OwnLz4, &frame).1.len(), packed.node_count.get() as usize);
    }
    let mut plain = server.tcp(r#"{"compression":"none"}"#);
    assert_eq!(plain.hello()["profile"], "swarmcast.v1");
    assert_eq!(header(&plain.frame()).flags.get() & FLAG_COMPRESSED, 0);
    let mut wrong = Tcp::open(server.tcp, r#"{"profile":"v1","compression":"lz4"}"#, None);
    assert_eq!(wrong.text("error")["affectedPaths"], json!(["compression"]));
    assert!(server.metric("swarmcast_packed_bytes_total") < server.metric("swarmcast_packed_raw_bytes_total"));
}

#[test]
fn ids_above_a_profiles_range_are_refused_and_a_profile_is_named_that_takes_them() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("profiles");
    std::fs::create_dir_all(&folder).unwrap();
    // A graph numbers its nodes from 0: one more than 14 bits hold, and then one more than 16 bits hold.
    for (nodes, refused) in [(16_385, &["v1", "v1-lead"][..]), (65_537, &["v1", "v1-lead", "legacy-26"])] {
        let mut edges = String::new();
        (1..nodes).for_each(|node| writeln!(edges, "n0,n{node}").unwrap());
        let path = folder.join(format!("{nodes}.csv"));
        std::fs::write(&path, edges).unwrap();
        let server = Server::start(&["--graph", path.to_str().unwrap(), "--rate", "1"]);
        for profile in full() {
            let hello = json!({ "profile": profile.name(), "rate": 1 }).to_string();
            let mut client = Tcp::open(server.tcp, &hello, None);
            match client.next(PATIENCE) {
                Some(Event::Text(text)) if text["type"] == "error" => {
                    assert!(refused.contains(&profile.name()), "{text}");
                    assert_eq!(text["code"], "id_range");
                    let message = text["message"].as_str().unwrap();
                    assert!(message.contains(profile.name()) && message.contains("v2"), "{message}");
                }
                Some(Event::Text(text)) => {
                    assert_eq!(text["type"], "connection_established");
                    assert!(!refused.contains(&profile.name()), "{profile:?}");
                }
                other => panic!("{profile:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn the_greeting_bounds_what_the_forces_are_off() {
    let server = Server::start(&["--set", "sim.theta=0.5"]);
    let told = |query: &str| server.ws(query).hello()["repulsion_error_max"].as_f64().unwrap();
    // As accurate as it is set, and with three notches of relief, 0.2 each.
    let most = |theta: f64| 1e-4 + 0.14 * theta * theta;
    assert!((told("") - most(1.1)).abs() < 1e-6, "{}", told(""));
    let body = r#"{"path":"sim.theta","value":0}"#;
    assert_eq!(server.tell("PUT", "/api/settings/path", body).status, 200);
    assert!((told("?profile=v3") - most(0.0)).abs() < 1e-9, "exact sums lose nothing to relief: {}", told(""));
}

//! Goal: the bytes on the wire are those of PROTOCOL.md, and stay so.
//! Method: `tests/golden/` was written by a Python script from that page alone. The engine must produce exactly these
//! bytes for both transports, and read them back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use swarmcast::handoff::{ClassRef, Frame, FramePool, Stamp, Transport};
use swarmcast::wire::{
    Action, AgentAction, BinaryMessage, BroadcastAck, FLAG_COMPRESSED, FLAG_HEARTBEAT, FLAG_SETTLED, FrameHeader,
    PROFILES, Profile, decode_26, decode_28, decode_v1, decode_v1_lead, decode_v2, decode_v3, decode_v5, decode_v42,
    decode_vf0, parse_binary, parse_own,
};

const AGENT: u32 = 1 << 31;
const KNOWLEDGE: u32 = 1 << 30;
const PRIVATE: u32 = 1 << 29;
const PROPERTY: u32 = 1 << 28;

/// Id words, positions and velocities of the script.
const NODES: [(u32, [f32; 3], [f32; 3]); 3] = [
    (7 | KNOWLEDGE, [1.0, -2.5, 3.25], [0.5, 0.0, -8.0]),
    (16_383 | AGENT, [-1000.125, 0.0, 1e-3], [0.0; 3]),
    (12 | PROPERTY | PRIVATE, [9_999.5, -9_999.5, 0.1], [1.5, -1.5, 200.0]),
];

const SEQUENCE: u64 = (1 << 40) + 5;

fn golden(profile: Profile, kind: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/{}.{kind}", env!("CARGO_MANIFEST_DIR"), profile.name());
    std::fs::read(path).unwrap()
}

fn class(profile: Profile) -> ClassRef {
    // Serial 258 tells the two bytes of the class apart; the slots are what differs.
    ClassRef { slot: profile.index() as u8, serial: 258 }
}

/// The profiles whose frames stand for themselves; a chain has golden files of its own.
fn full() -> impl Iterator<Item = Profile> {
    PROFILES.into_iter().filter(|profile| !profile.is_chain())
}

fn encoded() -> std::sync::Arc<Frame> {
    let published = FramePool::new(1).publish(|frame| {
        let stamp = Stamp {
            epoch: 7,
            tick: 123_456_789,
            tick_ns: 1_000_000_000_000_001,
            published_ns: 0,
            flags: FLAG_SETTLED | FLAG_HEARTBEAT,
        };
        frame.begin(stamp, &NODES.map(|(word, _, _)| word));
        for (record, (_, position, velocity)) in frame.nodes_mut().iter_mut().zip(NODES) {
            record.set_motion(position, velocity);
        }
        for profile in full() {
            frame.encode(class(profile), profile, SEQUENCE);
        }
        frame.publish_at(1_000_000_000_000_002);
    });
    published.unwrap()
}

#[test]
fn both_transports_send_the_golden_bytes() {
    let frame = encoded();
    for profile in full() {
        for (transport, kind) in [(Transport::WebSocket, "ws"), (Transport::Tcp, "tcp")] {
            let (head, body) = frame.pieces(class(profile), transport);
            assert_eq!([head, body].concat(), golden(profile, kind), "{profile:?} over {transport:?}");
        }
    }
}

#[test]
fn golden_frames_are_read_back() {
    let bytes = golden(Profile::Own, "frame");
    let (header, nodes) = FrameHeader::parse(&bytes).unwrap();
    assert_eq!((header.sequence.get(), header.epoch.get(), header.class.get()), (SEQUENCE, 7, 258));
    assert_eq!(header.flags.get(), FLAG_SETTLED | FLAG_HEARTBEAT);
    for (node, (word, position, velocity)) in nodes.iter().zip(NODES) {
        assert_eq!((node.id_flags.get(), node.position(), node.velocity()), (word, position, velocity));
    }
    let (v1, v2, v3) = (golden(Profile::V1, "frame"), golden(Profile::V2, "frame"), golden(Profile::V3, "frame"));
    assert_eq!(decode_v1(&v1).unwrap()[1].id_flags.get(), 0x8000 | 16_383);
    assert_eq!(decode_v2(&v2).unwrap()[2].id_flags.get(), NODES[2].0);
    let last = decode_v3(&v3).unwrap()[2];
    assert_eq!(last.node.tail.position.map(|axis| axis.get()), NODES[2].1);
    assert_eq!((last.cluster.get(), last.anomaly.get(), last.community.get()), (0, -1.0, 0));
}

#[test]
fn every_other_legacy_frame_is_read_back() {
    let plain = [7, 16_383, 12];
    let bytes = golden(Profile::Legacy26, "frame");
    let records = decode_26(&bytes).unwrap();
    assert_eq!(records.iter().map(|record| u32::from(record.id.get())).collect::<Vec<_>>(), plain);
    assert_eq!(records[2].velocity.map(|axis| axis.get()), NODES[2].2);
    let bytes = golden(Profile::Legacy28, "frame");
    let records = decode_28(&bytes).unwrap();
    let flagged = [7 | KNOWLEDGE, 16_383 | AGENT, 12];
    assert_eq!(records.iter().map(|record| record.id_flags.get()).collect::<Vec<_>>(), flagged);
    assert_eq!(decode_v1_lead(&golden(Profile::V1Lead, "frame")).unwrap()[0].id_flags.get(), 0x4007);
    let bytes = golden(Profile::V5, "frame");
    let (sequence, records) = decode_v5(&bytes).unwrap();
    assert_eq!((sequence, records[1].node.id_flags.get()), (SEQUENCE, NODES[1].0));
    assert_eq!((records[1].anomaly.get(), records[1].node.tail.distance.get()), (-1.0, f32::INFINITY));
    let bytes = golden(Profile::V42, "frame");
    let (sequence, records) = decode_v42(&bytes).unwrap();
    assert_eq!(sequence, SEQUENCE);
    assert_eq!(records.iter().map(|record| record.id_flags.get()).collect::<Vec<_>>(), plain);
    let bytes = golden(Profile::Vf0, "frame");
    let (id, records) = decode_vf0(&bytes).unwrap();
    assert_eq!((id, records.len()), (5, 3));
    assert_eq!(records[0].position.map(|axis| axis.get()), NODES[0].1);
}

#[test]
fn a_packed_frame_of_another_encoder_is_read() {
    let path = format!("{}/tests/golden/swarmcast.v1.lz4.packed", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let mut unpacked = Vec::new();
    let (header, nodes) = parse_own(&bytes, 40, &mut unpacked).unwrap();
    assert_eq!((header.flags.get(), header.sequence.get(), nodes.len()), (FLAG_COMPRESSED, SEQUENCE, 40));
    for (index, node) in (0_u32..).zip(nodes) {
        assert_eq!((node.id(), node.position(), node.velocity()), (index, [index as f32, 0.0, 0.0], [0.0; 3]));
    }
}

#[test]
fn lengths_are_those_of_the_page() {
    assert_eq!(golden(Profile::Own, "frame").len(), 64 + 3 * 28);
    assert_eq!(golden(Profile::V1, "frame").len(), 3 * 34);
    assert_eq!(golden(Profile::V2, "frame").len(), 1 + 3 * 36);
    assert_eq!(golden(Profile::V3, "frame").len(), 1 + 3 * 48);
}

#[test]
fn binary_messages_of_clients_are_those_of_the_protocol() {
    let message = |name: &str| {
        let path = format!("{}/tests/golden/{name}.message", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap()
    };
    let bytes: Vec<u8> = (0..=255).collect();
    let action = |source, target, action, time_ms, duration_ms, payload| AgentAction {
        source,
        target,
        action,
        time_ms,
        duration_ms,
        payload,
    };
    let first = action(3, 9, Action::Transform, 77, 250, b"why".as_slice());
    let second = action(3, 16_383, Action::Query, u32::MAX, u16::MAX, b"");
    let third = action((1 << 26) - 1, 0, Action::Link, 0, 0, &bytes);
    for (name, expected) in [("agent-action", vec![first]), ("agent-actions", vec![first, second, third])] {
        let golden = message(name);
        let Ok(BinaryMessage::AgentActions(actions)) = parse_binary(&golden) else { panic!("{name}") };
        assert_eq!((actions.count(), actions.iter().collect::<Vec<_>>()), (expected.len(), expected), "{name}");
        // A byte less, or one more behind a whole batch, is not the same message.
        assert_ne!(parse_binary(&golden[..golden.len() - 1]), parse_binary(&golden), "{name}");
    }
    let ack = BroadcastAck { sequence: SEQUENCE, nodes: 3, time: (1 << 63) + 1 };
    assert_eq!(parse_binary(&message("ack")), Ok(BinaryMessage::Ack(ack)));
}

//! Goal: whatever breaks a promise of the format is found and named, and nothing that keeps them all is.

use proptest::prelude::*;
use swarmcast::wire::{HEADER_BYTES, KIND_FULL, MAGIC, VERSION, encode_frame};
use zerocopy::{FromBytes, IntoBytes};

use super::*;

const NODES: u32 = 5;

/// High and low bytes of times and counts are such that the other bits of any byte make them greater.
const LONG_AGO: u64 = 0x4000_0000_0000_0000;

fn nodes(frame: u32, flat: bool) -> Vec<NodeRecord> {
    let node = |index: u32| {
        let mut node = NodeRecord { id_flags: ((index * 3) | (1 << 31)).into(), ..NodeRecord::default() };
        let z = if flat { 0.0 } else { 3.0 };
        node.set_motion([index as f32, frame as f32, z], [0.5, -1.0, z]);
        node
    };
    (0..NODES).map(node).collect()
}

fn header(frame: u32) -> FrameHeader {
    let at = LONG_AGO + u64::from(frame) * 16;
    FrameHeader {
        magic: MAGIC,
        version: VERSION,
        kind: KIND_FULL,
        class: 3.into(),
        epoch: 0x4000_0000.into(),
        sequence: at.into(),
        tick: at.into(),
        tick_ns: at.into(),
        published_ns: at.into(),
        node_count: NODES.into(),
        body_bytes: (NODES * 28).into(),
        ..FrameHeader::default()
    }
}

fn bytes(header: &FrameHeader, nodes: &[NodeRecord]) -> Vec<u8> {
    [header.as_bytes(), nodes.as_bytes()].concat()
}

fn own(frame: u32) -> Vec<u8> {
    bytes(&header(frame), &nodes(frame, false))
}

fn legacy(profile: Profile, frame: u32) -> Vec<u8> {
    encode_frame(profile, u64::from(frame) + 1, &nodes(frame, false))
}

/// The first error in these frames, and the frame that has it.
fn first_error<'frame>(
    profile: Profile,
    frames: impl IntoIterator<Item = &'frame Vec<u8>>,
) -> Option<(usize, VerifyError)> {
    let mut verifier = Verifier::new(profile);
    frames.into_iter().enumerate().find_map(|(index, frame)| Some((index, verifier.check(frame).err()?)))
}

/// The error of the second frame when `change` is done to its header.
fn changed(change: impl FnOnce(&mut FrameHeader)) -> VerifyError {
    let mut second = header(1);
    change(&mut second);
    let frames = [own(0), bytes(&second, &nodes(1, false))];
    let (index, error) = first_error(Profile::Own, &frames).unwrap();
    assert_eq!(index, 1);
    error
}

#[test]
fn a_right_stream_holds() {
    let mut verifier = Verifier::new(Profile::Own);
    for frame in 0..4 {
        let facts = verifier.check(&own(frame)).unwrap();
        let at = LONG_AGO + u64::from(frame) * 16;
        let stamps = FrameStamps { epoch: 0x4000_0000, sequence: at, tick: at, heartbeat: false };
        assert_eq!(facts, FrameFacts { nodes: NODES, header: Some(stamps) });
    }
    // A later structure may be anything.
    let later = FrameHeader { epoch: 0x4000_0001.into(), node_count: 1.into(), body_bytes: 28.into(), ..header(4) };
    verifier.check(&bytes(&later, &nodes(4, false)[..1])).unwrap();
    for profile in [Profile::V1, Profile::V2, Profile::V3] {
        let frames: Vec<_> = (0..3).map(|frame| legacy(profile, frame)).collect();
        assert_eq!(first_error(profile, &frames), None);
    }
}

#[test]
fn any_changed_byte_of_a_promised_header_field_is_found() {
    // 6 is the byte of the flags: settled promises nothing that bytes can show.
    for offset in (0..HEADER_BYTES).filter(|offset| *offset != 6) {
        let mut second = own(1);
        second[offset] ^= 0xFF;
        let frames = [own(0), second, own(2)];
        assert!(first_error(Profile::Own, &frames).is_some(), "byte {offset}");
    }
    for bit in 1..8 {
        let mut second = own(1);
        second[6] ^= 1 << bit;
        // A heartbeat promises something only right after the frame before.
        second[16] = 1;
        assert!(first_error(Profile::Own, &[own(0), second, own(2)]).is_some(), "flag {bit}");
    }
}

#[test]
fn each_flaw_of_a_header_has_its_name() {
    assert_eq!(changed(|header| header.magic[0] = 0).kind(), "verify_magic");
    assert_eq!(changed(|header| header.version = 2).kind(), "verify_version");
    assert_eq!(changed(|header| header.kind = 2).kind(), "verify_kind");
    assert_eq!(changed(|header| header.node_count = 4.into()).kind(), "verify_length");
    assert_eq!(changed(|header| header.flags = 8.into()), VerifyError::Flags { found: 8 });
    assert_eq!(changed(|header| header.base = 7.into()), VerifyError::NotZero { field: "base", found: 7 });
    assert_eq!(changed(|header| header.class = 4.into()), VerifyError::Class { before: 3, found: 4 });
    let error = changed(|header| header.sequence = LONG_AGO.into());
    assert_eq!(error, VerifyError::Sequence { before: LONG_AGO, found: LONG_AGO });
    assert_eq!(error.kind(), "verify_sequence");
    assert_eq!(changed(|header| header.sequence = 0.into()).kind(), "verify_sequence");
    assert_eq!(changed(|header| header.epoch = 1.into()), VerifyError::Epoch { before: 0x4000_0000, found: 1 });
    let back = changed(|header| header.tick = 9.into());
    assert_eq!(back, VerifyError::Back { field: "tick", before: LONG_AGO, found: 9 });
    assert_eq!(changed(|header| header.published_ns = LONG_AGO.into()).kind(), "verify_early");
    let early = |header: &mut FrameHeader| {
        header.tick_ns = 5.into();
        header.published_ns = 5.into();
    };
    assert_eq!(changed(early), VerifyError::Back { field: "tick_ns", before: LONG_AGO, found: 5 });
}

#[test]
fn one_epoch_has_one_list_of_ids() {
    for index in 0..NODES as usize {
        let mut other = nodes(1, false);
        other[index].id_flags = 99.into();
        let frames = [own(0), bytes(&header(1), &other)];
        let expected = VerifyError::Ids { epoch: 0x4000_0000, nodes: NODES };
        assert_eq!(first_error(Profile::Own, &frames), Some((1, expected)));
    }
    let mut swapped = nodes(1, false);
    swapped.swap(0, 1);
    assert!(first_error(Profile::Own, &[own(0), bytes(&header(1), &swapped)]).is_some(), "another order");
    let fewer = FrameHeader { node_count: 4.into(), body_bytes: (4 * 28).into(), ..header(1) };
    let frames = [own(0), bytes(&fewer, &nodes(1, false)[..4])];
    let expected = VerifyError::NodeCount { epoch: 0x4000_0000, before: 5, found: 4 };
    assert_eq!(first_error(Profile::Own, &frames), Some((1, expected)));
}

#[test]
fn no_number_of_any_record_may_be_unreal() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for record in 0..NODES {
            for axis in 0..3_u8 {
                let mut bad = nodes(0, false);
                bad[record as usize].velocity[usize::from(axis)] = value.into();
                let (_, error) = first_error(Profile::Own, &[bytes(&header(0), &bad)]).unwrap();
                let said = error.to_string();
                assert!(matches!(error, VerifyError::Value { .. }) && error.kind() == "verify_value");
                assert!(said.starts_with(&format!("record {record}: velocity.{}", ["x", "y", "z"][usize::from(axis)])));
                bad = nodes(0, false);
                bad[record as usize].position[usize::from(axis)] = value.into();
                assert!(first_error(Profile::Own, &[bytes(&header(0), &bad)]).is_some());
            }
        }
    }
}

#[test]
fn two_dimensions_have_no_depth() {
    let flat = FrameHeader { flags: FLAG_TWO_DIMENSIONAL.into(), ..header(0) };
    assert_eq!(first_error(Profile::Own, &[bytes(&flat, &nodes(0, true))]), None);
    let mut deep = nodes(0, true);
    deep[4].velocity[2] = 0.25.into();
    let expected = VerifyError::Depth { record: 4, field: Field::Velocity(2), found: 0.25 };
    assert_eq!(first_error(Profile::Own, &[bytes(&flat, &deep)]), Some((0, expected)));
}

#[test]
fn a_heartbeat_repeats_the_frame_before_it() {
    let beat = |sequence: u64, tick: u64, frame: u32| {
        let header = FrameHeader {
            flags: (FLAG_HEARTBEAT | FLAG_SETTLED).into(),
            sequence: sequence.into(),
            tick: tick.into(),
            ..header(1)
        };
        bytes(&header, &nodes(frame, false))
    };
    assert_eq!(first_error(Profile::Own, &[own(0), beat(LONG_AGO + 1, LONG_AGO, 0)]), None);
    let body = VerifyError::Heartbeat { sequence: LONG_AGO + 1, what: "body" };
    assert_eq!(first_error(Profile::Own, &[own(0), beat(LONG_AGO + 1, LONG_AGO, 1)]), Some((1, body)));
    let tick = VerifyError::Heartbeat { sequence: LONG_AGO + 1, what: "tick" };
    assert_eq!(first_error(Profile::Own, &[own(0), beat(LONG_AGO + 1, LONG_AGO + 1, 0)]), Some((1, tick)));
    assert_eq!(first_error(Profile::Own, &[own(0), beat(LONG_AGO + 2, LONG_AGO, 1)]), None, "one was left out");
}

#[test]
fn a_frame_comes_again_only_where_it_may_and_unchanged() {
    let mut verifier = Verifier::new(Profile::Own).with_repeats();
    verifier.check(&own(1)).unwrap();
    verifier.check(&own(1)).unwrap();
    let other = bytes(&header(1), &nodes(2, false));
    assert_eq!(verifier.check(&other).unwrap_err().kind(), "verify_sequence");
    assert_eq!(verifier.check(&own(0)).unwrap_err().kind(), "verify_sequence");
    assert!(verifier.check(&own(2)).is_ok(), "a frame that fails leaves no trace");
    assert!(first_error(Profile::Own, &[own(1), own(1)]).is_some());
}

#[test]
fn legacy_records_are_whole_and_real() {
    for profile in [Profile::V1, Profile::V2, Profile::V3] {
        let right = legacy(profile, 0);
        let mut verifier = Verifier::new(profile);
        verifier.check(&right).unwrap();
        assert_eq!(verifier.check(&right[..right.len() - 1]).unwrap_err().kind(), "verify_length");
        assert_eq!(verifier.check(&right[..profile.frame_bytes(4)]).unwrap_err().kind(), "verify_node_count");
        let mut ids = right.clone();
        ids[profile.head_bytes()] ^= 1;
        assert_eq!(verifier.check(&ids).unwrap_err().kind(), "verify_ids");
        if profile != Profile::V1 {
            let mut version = right.clone();
            version[0] = 1;
            assert_eq!(verifier.check(&version).unwrap_err().kind(), "verify_version");
        }
        let id_bytes = if profile == Profile::V1 { 2 } else { 4 };
        let names = ["position.x", "position.y", "position.z", "velocity.x", "velocity.y", "velocity.z", "distance"];
        for (place, name) in names.iter().enumerate() {
            let mut bad = right.clone();
            let at = profile.head_bytes() + 2 * profile.record_bytes() + id_bytes + place * 4;
            f32::NAN.write_to_prefix(&mut bad[at..]).unwrap();
            let said = verifier.check(&bad).unwrap_err().to_string();
            assert_eq!(said, format!("record 2: {name} is NaN"));
        }
        let parent = profile.head_bytes() + id_bytes + 28;
        for wrong in [-2, 7] {
            let mut bad = right.clone();
            i32::write_to_prefix(&wrong, &mut bad[parent..]).unwrap();
            assert_eq!(verifier.check(&bad).unwrap_err().to_string(), format!("record 0: parent is {wrong}"));
        }
        let mut reached = right.clone();
        1.5_f32.write_to_prefix(&mut reached[parent - 4..]).unwrap();
        7_i32.write_to_prefix(&mut reached[parent..]).unwrap();
        verifier.check(&reached).unwrap();
    }
    let mut bad = legacy(Profile::V3, 0);
    f32::NAN.write_to_prefix(&mut bad[41..]).unwrap();
    assert_eq!(first_error(Profile::V3, &[bad]).unwrap().1.to_string(), "record 0: anomaly is NaN");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 3)) {
        for profile in [Profile::Own, Profile::V1, Profile::V2, Profile::V3] {
            first_error(profile, &frames);
        }
    }

    /// With a right header, random bodies get past the parser.
    #[test]
    fn random_changes_never_panic(
        changes in proptest::collection::vec((0..HEADER_BYTES + 140, any::<u8>()), 0..20),
        cut in 0..205_usize,
    ) {
        let mut second = own(1);
        for (at, value) in changes {
            second[at] = value;
        }
        second.truncate(cut);
        let mut verifier = Verifier::new(Profile::Own);
        verifier.check(&own(0)).unwrap();
        if verifier.check(&second).is_ok() {
            let header = FrameHeader::ref_from_prefix(&second).unwrap().0;
            prop_assert!(header.sequence.get() > LONG_AGO);
        }
    }

    #[test]
    fn any_change_of_an_id_is_found(at in 0..NODES as usize, bit in 0..32_u32) {
        let mut other = nodes(1, false);
        let word = other[at].id_flags.get() ^ (1 << bit);
        other[at].id_flags = word.into();
        let frames = [own(0), bytes(&header(1), &other)];
        prop_assert_eq!(first_error(Profile::Own, &frames).unwrap().1.kind(), "verify_ids");
    }
}

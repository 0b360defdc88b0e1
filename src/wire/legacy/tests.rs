use proptest::prelude::*;

use super::records::{AGENT, KNOWLEDGE};
use super::*;
use crate::limits::{NODE_ID_MAX, NODE_ID_V1_MAX};
use crate::wire::{NodeRecord, PROFILES, Profile};

fn node(id_flags: u32) -> NodeRecord {
    let mut node = NodeRecord { id_flags: id_flags.into(), ..NodeRecord::default() };
    node.set_motion([1.0, -2.5, 3.0], [0.5, 0.0, -8.0]);
    node
}

/// Id word, position and velocity, as bits, of one record.
type Bits = (u32, [u32; 3], [u32; 3]);

fn bits(id: u32, position: [zerocopy::little_endian::F32; 3], velocity: [zerocopy::little_endian::F32; 3]) -> Bits {
    (id, position.map(|axis| axis.get().to_bits()), velocity.map(|axis| axis.get().to_bits()))
}

/// What a frame counts, and its nodes, by the decoder of its profile.
fn decoded(profile: Profile, frame: &[u8]) -> Result<(Option<u64>, Vec<Bits>), BodyError> {
    let plain = |record: &Record28| bits(record.id_flags.get(), record.position, record.velocity);
    let path = |id: u32, tail: &RecordTail| {
        assert_eq!((tail.distance.get(), tail.parent.get()), (f32::INFINITY, -1), "no path was computed");
        bits(id, tail.position, tail.velocity)
    };
    let v1 = |record: &RecordV1| path(record.id_flags.get().into(), &record.tail);
    let v2 = |record: &RecordV2| path(record.id_flags.get(), &record.tail);
    let v3 = |record: &RecordV3| {
        assert_eq!((record.cluster.get(), record.anomaly.get(), record.community.get()), (0, -1.0, 0));
        v2(&record.node)
    };
    Ok(match profile {
        Profile::Legacy26 => {
            let of = |record: &Record26| bits(record.id.get().into(), record.position, record.velocity);
            (None, decode_26(frame)?.iter().map(of).collect())
        }
        Profile::Legacy28 => (None, decode_28(frame)?.iter().map(plain).collect()),
        Profile::V1 => (None, decode_v1(frame)?.iter().map(v1).collect()),
        Profile::V1Lead => (None, decode_v1_lead(frame)?.iter().map(v1).collect()),
        Profile::V2 => (None, decode_v2(frame)?.iter().map(v2).collect()),
        Profile::V3 => (None, decode_v3(frame)?.iter().map(v3).collect()),
        Profile::V5 => decode_v5(frame).map(|(count, records)| (Some(count), records.iter().map(v3).collect()))?,
        Profile::V42 => decode_v42(frame).map(|(count, records)| (Some(count), records.iter().map(plain).collect()))?,
        Profile::Vf0 => {
            decode_vf0(frame).map(|(id, records)| (Some(id.into()), records.iter().map(plain).collect()))?
        }
        other => panic!("{other:?} is no legacy profile"),
    })
}

fn legacy() -> impl Iterator<Item = Profile> {
    PROFILES.into_iter().filter(|profile| profile.is_legacy())
}

/// The id word that a client of `profile` gets for `word`.
fn id_word(profile: Profile, word: u32) -> u32 {
    let id = word & NODE_ID_MAX;
    match profile {
        Profile::V1 | Profile::V1Lead => id | (word & (AGENT | KNOWLEDGE)) >> 16,
        Profile::Legacy28 => id | word & (AGENT | KNOWLEDGE),
        Profile::V2 | Profile::V3 | Profile::V5 => word,
        _ => id,
    }
}

#[test]
fn lengths_and_first_bytes_are_those_of_the_table() {
    let nodes = [node(1), node(2), node(3)];
    let of = |profile| {
        let frame = encode_frame(profile, 0x0102_0304_0506_0708, &nodes);
        assert_eq!(frame.len(), Profile::frame_bytes(profile, 3), "{profile:?}");
        assert_eq!(legacy_head(profile, 1).1, profile.head_bytes(), "{profile:?}");
        (frame.len(), frame[..2].to_vec())
    };
    assert_eq!(of(Profile::Legacy26), (3 * 26, vec![1, 0]));
    assert_eq!(of(Profile::Legacy28), (3 * 28, vec![1, 0]));
    assert_eq!(of(Profile::V1), (3 * 34, vec![1, 0]));
    assert_eq!(of(Profile::V1Lead), (1 + 3 * 34, vec![1, 1]));
    assert_eq!(of(Profile::V2), (1 + 3 * 36, vec![2, 1]));
    assert_eq!(of(Profile::V3), (1 + 3 * 48, vec![3, 1]));
    assert_eq!(of(Profile::V5), (9 + 3 * 48, vec![5, 8]));
    assert_eq!(of(Profile::V42), (9 + 3 * 28, vec![0x42, 8]));
    assert_eq!(of(Profile::Vf0), (8 + 3 * 28 + 4, vec![0x30, 0x46]));
}

#[test]
fn flags_survive_where_the_profile_has_them() {
    let words = [7 | AGENT, NODE_ID_V1_MAX | KNOWLEDGE, 9 | 1 << 29 | 1 << 27];
    for profile in legacy() {
        let (_, nodes) = decoded(profile, &encode_frame(profile, 1, &words.map(node))).unwrap();
        let ids: Vec<u32> = nodes.iter().map(|(id, _, _)| *id).collect();
        let expected = match profile {
            Profile::V1 | Profile::V1Lead => [7 | 0x8000, 0x3FFF | 0x4000, 9],
            Profile::Legacy28 => [7 | AGENT, NODE_ID_V1_MAX | KNOWLEDGE, 9],
            Profile::V2 | Profile::V3 | Profile::V5 => words,
            _ => [7, NODE_ID_V1_MAX, 9],
        };
        assert_eq!(ids, expected, "{profile:?}");
    }
}

#[test]
fn a_wrong_version_length_or_count_is_named() {
    assert_eq!(decode_v2(&[]).unwrap_err(), BodyError::Version { found: None, expected: 2 });
    assert_eq!(decode_v2(&[3; 37]).unwrap_err(), BodyError::Version { found: Some(3), expected: 2 });
    assert_eq!(decode_v1(&[0; 35]).unwrap_err(), BodyError::Length { bytes: 35, record_bytes: 34 });
    assert_eq!(decode_v1_lead(&[0; 35]).unwrap_err(), BodyError::Version { found: Some(0), expected: 1 });
    assert_eq!(decode_26(&[0; 27]).unwrap_err(), BodyError::Length { bytes: 27, record_bytes: 26 });
    assert_eq!(decode_28(&[0; 27]).unwrap_err(), BodyError::Length { bytes: 27, record_bytes: 28 });
    assert_eq!(decode_v5(&[5; 8]).unwrap_err(), BodyError::Short { bytes: 8, needed: 9 });
    assert_eq!(decode_v42(&[5; 9]).unwrap_err(), BodyError::Version { found: Some(5), expected: 0x42 });
    assert!(decode_v2(&[2]).unwrap().is_empty());
    let mut vf0 = encode_frame(Profile::Vf0, 1 << 32 | 7, &[node(1), node(2)]);
    assert_eq!(decode_vf0(&vf0).unwrap().0, 7, "32 bits of the sequence");
    assert_eq!(decode_vf0(&vf0[..11]).unwrap_err(), BodyError::Short { bytes: 11, needed: 12 });
    let last = vf0.len() - 4;
    vf0[last] = 3;
    assert_eq!(decode_vf0(&vf0).unwrap_err(), BodyError::Count { said: 3, found: 2 });
    vf0[0] = 0x56;
    assert_eq!(decode_vf0(&vf0).unwrap_err(), BodyError::Magic { found: 0x5633_4656 });
    assert_eq!(
        decode_vf0(&vf0).unwrap_err().to_string(),
        "first word 0x56334656 is not 0x56334630",
        "as numbers, not as bytes"
    );
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_bit_for_bit(
        sequence: u64,
        words in proptest::collection::vec((any::<u32>(), any::<[u32; 6]>()), 0..40),
    ) {
        for profile in legacy() {
            let of = |(word, motion): &(u32, [u32; 6])| {
                let class = word & !NODE_ID_MAX;
                let id = (word & NODE_ID_MAX).min(profile.id_max());
                let mut node = NodeRecord { id_flags: (class | id).into(), ..NodeRecord::default() };
                let [a, b, c, d, e, f] = motion.map(f32::from_bits);
                node.set_motion([a, b, c], [d, e, f]);
                node
            };
            let nodes: Vec<NodeRecord> = words.iter().map(of).collect();
            let (count, back) = decoded(profile, &encode_frame(profile, sequence, &nodes)).unwrap();
            let counted = match profile {
                Profile::V5 | Profile::V42 => Some(sequence),
                Profile::Vf0 => Some(sequence & u64::from(u32::MAX)),
                _ => None,
            };
            prop_assert_eq!(count, counted);
            let expected: Vec<Bits> = nodes
                .iter()
                .map(|node| bits(id_word(profile, node.id_flags.get()), node.position, node.velocity))
                .collect();
            prop_assert_eq!(back, expected);
        }
    }

    #[test]
    fn random_bytes_never_panic(
        lead in prop::sample::select(vec![vec![], vec![1], vec![2], vec![3], vec![5], vec![0x42], vec![0x30, 0x46, 0x33, 0x56]]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let frame = [lead, bytes].concat();
        let _ = (decode_26(&frame), decode_28(&frame), decode_v1(&frame), decode_v1_lead(&frame), decode_v2(&frame));
        let _ = (decode_v3(&frame), decode_v5(&frame), decode_v42(&frame), decode_vf0(&frame));
    }
}

#[test]
fn values_beside_the_motion_go_where_a_record_has_a_place_and_nowhere_else() {
    use crate::wire::{Records, SideValues};
    let nodes = [node(1), node(2), node(3)];
    let side = SideValues {
        distance: Some(&[0.0, 1.5, f32::INFINITY]),
        parent: Some(&[-1, 1, -1]),
        cluster: Some(&[2, 0, 7]),
        anomaly: Some(&[0.5, 1.0, 9.0]),
        community: Some(&[1, 1, 2]),
        rank: Some(&[0.5, 0.25, 0.25]),
        component: None,
    };
    for profile in legacy() {
        let kind = profile.records();
        let mut plain = vec![0; nodes.len() * kind.bytes()];
        encode_records(kind, &nodes, &mut plain);
        let mut body = plain.clone();
        encode_side_values(kind, &SideValues::default(), nodes.len(), &mut body);
        assert_eq!(body, plain, "{profile:?}: nothing known changes nothing");
        encode_side_values(kind, &side, nodes.len(), &mut body);
        let has_place = matches!(kind, Records::R34 | Records::R36 | Records::R48);
        assert_eq!(body != plain, has_place, "{profile:?}");
        let tail = |tail: &RecordTail| (tail.distance.get(), tail.parent.get());
        let expected = [(0.0, -1), (1.5, 1), (f32::INFINITY, -1)];
        match kind {
            Records::R34 => assert!(decode_v1(&body).unwrap().iter().map(|one| tail(&one.tail)).eq(expected)),
            Records::R36 => {
                let frame = [&[VERSION_V2], &body[..]].concat();
                assert!(decode_v2(&frame).unwrap().iter().map(|one| tail(&one.tail)).eq(expected));
            }
            Records::R48 => {
                let frame = [&[VERSION_V3], &body[..]].concat();
                let records = decode_v3(&frame).unwrap();
                assert!(records.iter().map(|one| tail(&one.node.tail)).eq(expected));
                let beside = records.iter().map(|one| (one.cluster.get(), one.anomaly.get(), one.community.get()));
                assert!(beside.eq([(2, 0.5, 1), (0, 1.0, 1), (7, 9.0, 2)]));
            }
            _ => {}
        }
    }
    // One of a part of the nodes leaves the others as they are.
    let mut body = vec![0; 3 * Records::R36.bytes()];
    encode_records(Records::R36, &nodes, &mut body);
    encode_side_values(Records::R36, &SideValues { distance: Some(&[4.0]), ..SideValues::default() }, 3, &mut body);
    let frame = [&[VERSION_V2], &body[..]].concat();
    let distances: Vec<f32> = decode_v2(&frame).unwrap().iter().map(|one| one.tail.distance.get()).collect();
    assert_eq!(distances, [4.0, f32::INFINITY, f32::INFINITY]);
}

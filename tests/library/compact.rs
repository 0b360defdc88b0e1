//! Goal: the compact profile keeps its error bound in every tick, keeps both sides equal, heals by snapshots, and takes no
//! harm from bytes of any kind.
//! Method: encoder and decoders side by side over walks, jumps, rest and extreme coordinates; then the same frames cut,
//! flipped, left out and replaced.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use proptest::prelude::*;
use swarmcast::wire::compact::{
    BLOCK_NODES, BOX_QUANTA, Coding, CompactError, CompactFrame, Decoder, EncodeError, Encoder, INFO_BYTES, Info,
};

/// A small generator of its own, so that a seed means the same for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn info(node_count: usize, quantum: f32, origin: [f32; 3]) -> Info {
    Info { node_count: node_count as u32, origin, quantum, tick_rate: 60, order: 0 }
}

/// The stated bound of one coordinate.
fn bound(info: &Info, axis: usize, x: f32) -> f64 {
    let quantum = f64::from(info.quantum);
    let floats = 4.0 * f64::from((x - info.origin[axis]).abs()) + f64::from(x.abs());
    quantum / 2.0 + quantum / 4_096.0 + floats / f64::from(1 << 24)
}

fn assert_within(info: &Info, decoder: &Decoder, points: &[[f32; 3]], tick: usize) {
    let edge = info.quantum * BOX_QUANTA as f32;
    let mut seen = 0;
    for (node, shown, _) in decoder.nodes() {
        for axis in 0..3 {
            let x = points[node as usize][axis].clamp(info.origin[axis] - edge, info.origin[axis] + edge);
            let off = (f64::from(shown[axis]) - f64::from(x)).abs();
            assert!(off <= bound(info, axis, x), "tick {tick} node {node} axis {axis}: {x} shown as {}", shown[axis]);
        }
        seen += 1;
    }
    assert!(seen > 0);
}

/// An encoder, a decoder of everything, and what went between them.
struct Pair {
    encoder: Encoder,
    decoder: Decoder,
    frame: CompactFrame,
    sequence: u64,
}

impl Pair {
    fn new(info: Info, points: &[[f32; 3]]) -> Self {
        let mut encoder = Encoder::new(info, Coding::Cheapest).unwrap();
        let mut frame = CompactFrame::for_snapshots(points.len());
        encoder.reset(points).unwrap();
        encoder.snapshot(&mut frame).unwrap();
        let mut decoder = Decoder::new(Info::parse(&info.to_bytes(), u32::MAX).unwrap()).unwrap();
        decoder.snapshot(1, frame.body()).unwrap();
        Self { encoder, decoder, frame, sequence: 1 }
    }

    fn tick(&mut self, points: &[[f32; 3]], normalise: bool) -> usize {
        self.encoder.tick(points, normalise, &mut self.frame).unwrap();
        self.sequence += 1;
        self.decoder.delta(self.sequence - 1, self.sequence, normalise, self.frame.body()).unwrap();
        let bytes = self.frame.body().len();
        assert!(bytes <= CompactFrame::delta_bytes_max(points.len()));
        self.encoder.mark(&mut self.frame).unwrap();
        self.decoder.mark(self.frame.body()).unwrap();
        bytes
    }
}

/// Accelerated motion with noise; `heat` is its scale in quanta.
struct Cloud {
    points: Vec<[f32; 3]>,
    speeds: Vec<[f32; 3]>,
    dice: Dice,
}

impl Cloud {
    fn new(count: usize, seed: u64) -> Self {
        let mut dice = Dice(seed | 1);
        let points = (0..count).map(|_| [(); 3].map(|()| dice.next() * 900.0)).collect();
        Self { points, speeds: vec![[0.0; 3]; count], dice }
    }

    fn step(&mut self, heat: f32) {
        for (point, speed) in self.points.iter_mut().zip(&mut self.speeds) {
            for (x, v) in point.iter_mut().zip(speed) {
                *v = *v * 0.9 + self.dice.next() * heat;
                *x += *v;
            }
        }
    }
}

#[test]
fn both_sides_agree_for_a_thousand_ticks_of_heat_and_rest() {
    let mut cloud = Cloud::new(2_500, 11);
    let info = info(2_500, 0.125, [10.0, -20.0, 30.0]);
    let mut pair = Pair::new(info, &cloud.points);
    let mut resting = 0;
    for tick in 0..1_000 {
        let heat = if tick < 100 {
            4.0
        } else if tick < 900 {
            4.0 * 0.97_f32.powi(tick - 100)
        } else {
            0.0
        };
        cloud.step(heat);
        if tick == 500 {
            cloud.points[77] = [1e6, -1e6, 0.0];
        }
        let bytes = pair.tick(&cloud.points, tick % 32 == 31);
        assert_within(&info, &pair.decoder, &cloud.points, tick as usize);
        resting += if tick >= 970 { bytes } else { 0 };
    }
    assert!(resting < 30 * 20, "{resting} bytes for 30 ticks of 2,500 nodes that stand still");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn no_coordinate_is_ever_off_by_more_than_the_bound(
        seed in any::<u64>(),
        count in 1_usize..40,
        quantum in prop::sample::select(vec![1e-3_f32, 0.061, 0.25, 1.0, 37.0]),
        origin in prop::array::uniform3(-1e4_f32..1e4),
        kinds in prop::collection::vec(0_u8..6, 1..60),
    ) {
        let info = info(count, quantum, origin);
        let mut cloud = Cloud::new(count, seed);
        let mut pair = Pair::new(info, &cloud.points);
        assert_within(&info, &pair.decoder, &cloud.points, 0);
        for (tick, kind) in kinds.into_iter().enumerate() {
            match kind {
                0 => cloud.step(quantum * 0.1),
                1 => cloud.step(quantum * 30.0),
                2 => cloud.step(quantum * 3_000.0),
                3 => {
                    let node = tick % count;
                    cloud.points[node] = [(); 3].map(|()| cloud.dice.next() * quantum * 1e6);
                }
                4 => cloud.points[tick % count] = [f32::MAX, f32::MIN, -0.0],
                _ => {}
            }
            pair.tick(&cloud.points, tick % 7 == 6);
            assert_within(&info, &pair.decoder, &cloud.points, tick);
        }
    }

    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        index in 0_u8..3,
        mode in 0_u8..17,
    ) {
        let cloud = Cloud::new(1_500, 3);
        let mut pair = Pair::new(info(1_500, 0.1, [0.0; 3]), &cloud.points);
        let _ = Info::parse(&bytes, 1_000);
        let _ = pair.decoder.mark(&bytes);
        let mut entry = vec![index, (bytes.len() + 1) as u8 | 0x80, ((bytes.len() + 1) >> 7) as u8, mode];
        entry.extend(&bytes);
        let _ = pair.decoder.delta(1, 2, true, &entry);
        let _ = pair.decoder.delta(pair.decoder.sequence(), 3, false, &bytes);
        let _ = pair.decoder.snapshot(4, &entry);
        let _ = pair.decoder.snapshot(4, &bytes);
        assert!(pair.decoder.nodes().count() <= 1_500);
    }
}

/// A few consecutive frames of a cloud that warms up, moves and jumps, with the state before them.
fn chain(seed: u64, count: usize) -> (Pair, Vec<Vec<u8>>) {
    let mut cloud = Cloud::new(count, seed);
    let mut pair = Pair::new(info(count, 0.1, [0.0; 3]), &cloud.points);
    let mut frames = Vec::new();
    for heat in [0.05, 8.0, 8.0, 0.3, 40.0, 0.02] {
        cloud.step(heat);
        cloud.points[seed as usize % count] = [heat * 1_000.0; 3];
        pair.encoder.tick(&cloud.points, false, &mut pair.frame).unwrap();
        frames.push(pair.frame.body().to_vec());
    }
    (pair, frames)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// Damage that looks nearly right goes deeper into a decoder than noise does.
    #[test]
    fn frames_with_some_bytes_changed_never_panic(
        seed in any::<u64>(),
        count in prop::sample::select(vec![1_usize, 30, 1_024, 1_300]),
        damage in prop::collection::vec((0_usize..6, any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of((0_usize..6, any::<prop::sample::Index>())),
    ) {
        let (mut pair, mut frames) = chain(seed, count);
        for (frame, place, byte) in damage {
            let frame = &mut frames[frame];
            if !frame.is_empty() {
                let place = place.index(frame.len());
                frame[place] = byte;
            }
        }
        if let Some((frame, length)) = cut {
            let length = length.index(frames[frame].len() + 1);
            frames[frame].truncate(length);
        }
        for (sequence, frame) in (pair.decoder.sequence()..).zip(&frames) {
            let taken = pair.decoder.delta(sequence, sequence + 1, sequence % 3 == 0, frame);
            let shown = pair.decoder.nodes().count();
            assert_eq!(shown, if pair.decoder.follows(0) { count } else { 0 }, "{taken:?}");
            if taken.is_err() {
                assert_eq!(shown, 0, "after a bad frame nothing is followed");
            }
        }
    }
}

#[test]
fn a_snapshot_at_any_normalising_tick_leads_to_the_same_state() {
    let mut cloud = Cloud::new(1_300, 5);
    let info = info(1_300, 0.125, [0.0; 3]);
    let mut pair = Pair::new(info, &cloud.points);
    let mut late: Vec<Decoder> = Vec::new();
    for tick in 0..200 {
        cloud.step(if tick < 80 { 3.0 } else { 0.01 });
        let normalise = tick % 16 == 15;
        pair.encoder.tick(&cloud.points, normalise, &mut pair.frame).unwrap();
        pair.sequence += 1;
        for decoder in late.iter_mut().chain([&mut pair.decoder]) {
            decoder.delta(pair.sequence - 1, pair.sequence, normalise, pair.frame.body()).unwrap();
        }
        if normalise {
            pair.encoder.snapshot(&mut pair.frame).unwrap();
            assert!(pair.frame.body().len() <= CompactFrame::snapshot_bytes_max(1_300));
            let mut decoder = Decoder::new(info).unwrap();
            decoder.snapshot(pair.sequence, pair.frame.body()).unwrap();
            late.push(decoder);
        } else {
            assert_eq!(pair.encoder.snapshot(&mut pair.frame), Err(EncodeError::NotNormalised));
        }
        pair.encoder.mark(&mut pair.frame).unwrap();
        let whole: Vec<_> = pair.decoder.nodes().collect();
        for decoder in &late {
            decoder.mark(pair.frame.body()).unwrap();
            assert!(decoder.nodes().eq(whole.iter().copied()));
        }
    }
    assert_eq!(late.len(), 12);
}

#[test]
fn a_subset_of_blocks_can_be_followed_left_and_entered_again() {
    let count = 4 * BLOCK_NODES - 100;
    let mut cloud = Cloud::new(count, 9);
    let info = info(count, 0.125, [0.0; 3]);
    let mut pair = Pair::new(info, &cloud.points);
    pair.encoder.snapshot(&mut pair.frame).unwrap();
    let mut part = Decoder::new(info).unwrap();
    part.snapshot(1, &[pair.frame.block(1), pair.frame.block(3)].concat()).unwrap();
    let mut wanted = vec![1, 3];
    for tick in 0..60 {
        cloud.step(0.5);
        let normalise = tick % 10 == 9;
        pair.encoder.tick(&cloud.points, normalise, &mut pair.frame).unwrap();
        assert_eq!((0..4).map(|block| pair.frame.block(block)).collect::<Vec<_>>().concat(), pair.frame.body());
        let gathered = wanted.iter().map(|block| pair.frame.block(*block)).collect::<Vec<_>>().concat();
        let (base, sequence) = (pair.sequence, pair.sequence + 1);
        pair.sequence = sequence;
        part.delta(base, sequence, normalise, &gathered).unwrap();
        pair.decoder.delta(base, sequence, normalise, pair.frame.body()).unwrap();
        if tick == 24 {
            part.leave(3);
            wanted = vec![1];
        }
        if tick == 39 {
            pair.encoder.snapshot(&mut pair.frame).unwrap();
            part.snapshot(sequence, pair.frame.block(0)).unwrap();
            wanted = vec![0, 1];
        }
        pair.encoder.mark(&mut pair.frame).unwrap();
        part.mark(pair.frame.body()).unwrap();
        let expected: Vec<_> =
            pair.decoder.nodes().filter(|(node, _, _)| wanted.contains(&(*node as usize / BLOCK_NODES))).collect();
        assert!(part.nodes().eq(expected));
    }
    assert!(part.follows(0) && part.follows(1) && !part.follows(2) && !part.follows(3));
}

#[test]
fn a_lost_frame_is_noticed_and_a_snapshot_heals_it() {
    let mut cloud = Cloud::new(700, 21);
    let info = info(700, 0.125, [0.0; 3]);
    let mut pair = Pair::new(info, &cloud.points);
    cloud.step(1.0);
    pair.tick(&cloud.points, false);
    cloud.step(1.0);
    pair.encoder.tick(&cloud.points, false, &mut pair.frame).unwrap();
    cloud.step(1.0);
    pair.encoder.tick(&cloud.points, true, &mut pair.frame).unwrap();
    let before: Vec<_> = pair.decoder.nodes().collect();
    let lost = pair.decoder.delta(3, 4, true, pair.frame.body());
    assert_eq!(lost, Err(CompactError::Gap { base: 3, at: 2 }));
    assert!(pair.decoder.nodes().eq(before), "a refused frame changes nothing");
    pair.encoder.mark(&mut pair.frame).unwrap();
    assert_eq!(pair.decoder.mark(pair.frame.body()), Err(CompactError::Drifted { block: 0 }));
    pair.encoder.snapshot(&mut pair.frame).unwrap();
    pair.decoder.snapshot(4, pair.frame.body()).unwrap();
    pair.sequence = 4;
    cloud.step(1.0);
    pair.tick(&cloud.points, false);
    assert_within(&info, &pair.decoder, &cloud.points, 5);
}

#[test]
fn cut_and_flipped_frames_are_refused_or_at_least_bounded() {
    let mut cloud = Cloud::new(1_400, 33);
    let info = info(1_400, 0.125, [0.0; 3]);
    let mut encoder = Encoder::new(info, Coding::Cheapest).unwrap();
    let (mut first, mut frame) = (CompactFrame::for_snapshots(1_400), CompactFrame::for_deltas(1_400));
    let mut decoder = Decoder::new(info).unwrap();
    for heat in [0.02, 2.0] {
        (0..3).for_each(|_| cloud.step(heat));
        encoder.reset(&cloud.points).unwrap();
        encoder.snapshot(&mut first).unwrap();
        let start = |decoder: &mut Decoder| decoder.snapshot(1, first.body()).unwrap();
        cloud.step(heat);
        encoder.tick(&cloud.points, false, &mut frame).unwrap();
        let whole = frame.body().to_vec();
        start(&mut decoder);
        decoder.delta(1, 2, false, &whole).unwrap();
        let (mut refused, mut tried) = (0, 0);
        for cut in (0..whole.len()).step_by(whole.len() / 60 + 1) {
            start(&mut decoder);
            refused += usize::from(decoder.delta(1, 2, false, &whole[..cut]).is_err());
            tried += 1;
        }
        // A cut between two blocks is a body that leaves one out; index 0 bytes is one too.
        assert!(refused + 2 >= tried, "{refused} of {tried} cuts were noticed");
        for place in 0..whole.len().min(400) {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            start(&mut decoder);
            if decoder.delta(1, 2, false, &bytes).is_err() {
                assert_eq!(decoder.nodes().count(), 0, "after a bad frame nothing is followed");
                assert!(matches!(decoder.delta(2, 3, false, &[]), Ok(()) | Err(CompactError::Gap { .. })));
            }
        }
        let bytes = first.body().to_vec();
        for place in 0..bytes.len().min(400) {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1 << (place % 8);
            let _ = decoder.snapshot(9, &bytes);
            let _ = decoder.snapshot(9, &bytes[..place]);
        }
    }
}

#[test]
fn bad_input_of_the_encoder_is_named_and_changes_nothing() {
    let mut cloud = Cloud::new(50, 2);
    let info = info(50, 0.125, [0.0; 3]);
    let mut pair = Pair::new(info, &cloud.points);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut points = cloud.points.clone();
        points[31][1] = bad;
        assert_eq!(pair.encoder.tick(&points, false, &mut pair.frame), Err(EncodeError::NotFinite { node: 31 }));
        assert_eq!(pair.encoder.reset(&points), Err(EncodeError::NotFinite { node: 31 }));
    }
    let short = &cloud.points[..49];
    assert_eq!(pair.encoder.tick(short, false, &mut pair.frame), Err(EncodeError::Count { found: 49, expected: 50 }));
    let mut none = CompactFrame::for_deltas(0);
    let small = Err(EncodeError::FrameTooSmall { blocks: 1, room: 0 });
    assert_eq!(pair.encoder.tick(&cloud.points, false, &mut none), small);
    cloud.step(1.0);
    pair.tick(&cloud.points, false);
    for (quantum, origin) in [(0.0, 0.0), (-1.0, 0.0), (f32::NAN, 0.0), (1e-44, 0.0), (1e38, 0.0), (1.0, f32::NAN)] {
        let info = Info { quantum, origin: [origin; 3], ..info };
        assert!(matches!(Encoder::new(info, Coding::Cheapest), Err(CompactError::Info { .. })), "{quantum} {origin}");
        assert!(Info::parse(&info.to_bytes(), 50).is_err());
    }
}

#[test]
fn an_info_message_is_held_to_what_this_version_can_follow() {
    let good = info(5_000, 0.25, [1.0, 2.0, 3.0]);
    let bytes = good.to_bytes();
    assert_eq!(Info::parse(&bytes, 5_000), Ok(good));
    assert_eq!(Info::parse(&bytes, 4_999), Err(CompactError::TooManyNodes { nodes: 5_000, limit: 4_999 }));
    assert_eq!(Info::parse(&bytes[1..], 5_000), Err(CompactError::InfoLength { found: INFO_BYTES - 1 }));
    for place in 20..INFO_BYTES - 4 {
        let mut bytes = bytes;
        bytes[place] ^= 1;
        let parsed = Info::parse(&bytes, 5_000);
        assert_eq!(parsed.is_ok(), (24..26).contains(&place), "byte {place}: only the tick rate may be another one");
    }
}

#[test]
fn zero_and_one_nodes_work() {
    for count in [0, 1] {
        let mut cloud = Cloud::new(count, 1);
        let mut pair = Pair::new(info(count, 0.5, [0.0; 3]), &cloud.points);
        for tick in 0..40 {
            cloud.step(2.0);
            pair.tick(&cloud.points, tick % 4 == 3);
        }
        assert_eq!(pair.decoder.nodes().count(), count);
    }
}

#[test]
fn a_retargeted_encoder_is_as_good_as_a_new_one() {
    let mut cloud = Cloud::new(1_200, 4);
    let old = info(1_200, 0.125, [0.0; 3]);
    let new = Info { tick_rate: 30, ..info(1_200, 0.5, [5.0, -6.0, 7.0]) };
    let mut pair = Pair::new(old, &cloud.points);
    for tick in 0..20 {
        cloud.step(2.0);
        pair.tick(&cloud.points, tick == 19);
    }
    for wrong in [Info { node_count: 1_201, ..new }, Info { quantum: f32::NAN, ..new }] {
        assert!(matches!(pair.encoder.retarget(wrong), Err(CompactError::Info { .. })));
    }
    cloud.step(2.0);
    pair.tick(&cloud.points, true);
    pair.encoder.retarget(new).unwrap();
    assert_eq!(pair.encoder.info(), &new);
    assert_eq!(pair.encoder.snapshot(&mut pair.frame), Err(EncodeError::NotNormalised), "until a reset");
    let mut fresh = Pair::new(new, &cloud.points);
    pair.encoder.reset(&cloud.points).unwrap();
    for tick in 0..40 {
        cloud.step(if tick < 20 { 2.0 } else { 0.01 });
        let normalise = tick % 8 == 7;
        pair.encoder.tick(&cloud.points, normalise, &mut pair.frame).unwrap();
        let again = pair.frame.body().to_vec();
        fresh.encoder.tick(&cloud.points, normalise, &mut fresh.frame).unwrap();
        let differs = again.iter().zip(fresh.frame.body()).position(|(a, b)| a != b);
        assert!(again == fresh.frame.body(), "tick {tick}, byte {differs:?}");
    }
}

/// Kind, whether the tick normalises, body: the messages of the file that `make_compact.py` wrote.
fn golden() -> Vec<(u8, bool, Vec<u8>)> {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/compact.stream")).unwrap();
    let mut rest = file.as_slice();
    let mut messages = Vec::new();
    while let [kind, normalise, 0, 0, b0, b1, b2, b3, tail @ ..] = rest {
        let (body, tail) = tail.split_at(u32::from_le_bytes([*b0, *b1, *b2, *b3]) as usize);
        messages.push((*kind, *normalise == 1, body.to_vec()));
        rest = tail;
    }
    assert!(rest.is_empty());
    messages
}

#[test]
fn the_stream_of_an_independent_encoder_is_followed_hash_by_hash() {
    let mut decoders: Vec<Decoder> = Vec::new();
    let (mut sequence, mut marks, mut info) = (1, 0, None);
    for (kind, normalise, body) in golden() {
        match kind {
            4 => info = Some(Info::parse(&body, 2_000).unwrap()),
            3 => {
                // Whoever joins late must come to the same state as who was there.
                let mut decoder = Decoder::new(info.unwrap()).unwrap();
                decoder.snapshot(sequence, &body).unwrap();
                decoders.push(decoder);
            }
            2 => {
                sequence += 1;
                let each = decoders.iter_mut();
                each.for_each(|decoder| decoder.delta(sequence - 1, sequence, normalise, &body).unwrap());
            }
            5 => {
                decoders.iter().for_each(|decoder| decoder.mark(&body).unwrap());
                marks += 1;
            }
            other => panic!("kind {other}"),
        }
    }
    assert_eq!((marks, decoders.len()), (40, 2));
    let info = info.unwrap();
    assert_eq!((info.node_count, info.origin, info.quantum), (1_100, [16.0, -8.5, 0.0], 0.25));
    assert!(decoders[0].nodes().eq(decoders[1].nodes()));
    assert_eq!(decoders[0].nodes().count(), 1_100);
}

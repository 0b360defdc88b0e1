//! Goal: following a chain allocates nothing after construction, on either side,
//! and no bytes, however wrong, make a decoder allocate.
//! Method: an allocator that counts, thread by thread; hot, quiet, resting and jumping nodes, snapshots and marks, for 300
//! ticks; then noise that begins like a frame.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use swarmcast::wire::compact::{Coding, CompactFrame, Decoder, Encoder, Info};

struct Counting;

thread_local! {
    /// By thread: tests run beside each other, and the harness prints from a thread of its own whenever it gets to it.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // Fails only while a thread ends, when nothing is measured any more.
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + 1));
}

// SAFETY: every call goes to the system allocator unchanged; counting touches a thread-local that needs no set-up.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn three_hundred_ticks_allocate_nothing() {
    const NODES: usize = 3_000;
    let info = Info { node_count: NODES as u32, origin: [0.0; 3], quantum: 0.125, tick_rate: 60, order: 0 };
    let mut points: Vec<[f32; 3]> = (0..NODES).map(|node| [node as f32, (node % 77) as f32, 5.0]).collect();
    let mut encoder = Encoder::new(info, Coding::Cheapest).unwrap();
    let mut decoder = Decoder::new(info).unwrap();
    let mut delta = CompactFrame::for_deltas(NODES);
    let mut other = CompactFrame::for_snapshots(NODES);
    encoder.reset(&points).unwrap();
    encoder.snapshot(&mut other).unwrap();
    decoder.snapshot(0, other.body()).unwrap();
    let before = ASKED.get();
    assert!(before > 0, "the allocator counts");
    let mut bytes_most = 0;
    for tick in 1..=300_u64 {
        for (node, point) in points.iter_mut().enumerate() {
            match node % 4 {
                // Hot; slow; still; and the worst that can be: far away, elsewhere in every tick.
                0 => point[0] += ((tick * 37 + node as u64 * 11) % 17) as f32 - 8.0,
                1 => point[1] += 0.01,
                2 => {}
                _ if tick.is_multiple_of(50) || tick < 4 => {
                    let far = ((tick * 7_919 + node as u64 * 104_729) % 60_000) as f32;
                    *point = [far - 30_000.0, 30_000.0 - far, far];
                }
                _ => {}
            }
        }
        let normalise = tick.is_multiple_of(32);
        encoder.tick(&points, normalise, &mut delta).unwrap();
        bytes_most = bytes_most.max(delta.body().len());
        decoder.delta(tick - 1, tick, normalise, delta.body()).unwrap();
        if normalise {
            encoder.snapshot(&mut other).unwrap();
            decoder.snapshot(tick, other.body()).unwrap();
        }
        encoder.mark(&mut other).unwrap();
        decoder.mark(other.body()).unwrap();
        if tick == 200 {
            encoder.retarget(Info { quantum: 0.25, ..info }).unwrap();
            encoder.reset(&points).unwrap();
            encoder.retarget(info).unwrap();
            encoder.reset(&points).unwrap();
            encoder.snapshot(&mut other).unwrap();
            decoder.snapshot(tick, other.body()).unwrap();
        }
    }
    assert_eq!(ASKED.get() - before, 0, "allocations in 300 ticks");
    assert!(bytes_most > NODES, "{bytes_most} bytes at most, so the worst was tried");
}

#[test]
fn no_bytes_make_a_decoder_allocate() {
    const NODES: usize = 2_000;
    let info = Info { node_count: NODES as u32, origin: [0.0; 3], quantum: 0.125, tick_rate: 60, order: 0 };
    let points: Vec<[f32; 3]> = (0..NODES).map(|node| [node as f32, (node % 77) as f32, 5.0]).collect();
    let mut encoder = Encoder::new(info, Coding::Cheapest).unwrap();
    let mut first = CompactFrame::for_snapshots(NODES);
    encoder.reset(&points).unwrap();
    encoder.snapshot(&mut first).unwrap();
    let mut decoder = Decoder::new(info).unwrap();
    let mut bytes = [0_u8; 3_000];
    let mut seed = 9_u32;
    let before = ASKED.get();
    let (mut refused, mut taken) = (0, 0);
    for round in 0..3_000_u64 {
        for byte in &mut bytes {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (seed >> 24) as u8;
        }
        // Index, length, mode: as much of a frame as it takes to be looked at; lengths that lie now and then.
        let length = if round.is_multiple_of(5) { bytes.len() } else { (seed >> 8) as usize % bytes.len() };
        let [index, low, high, mode, ..] = &mut bytes;
        (*index, *low, *high) =
            ((round % 2) as u8, (length.max(3) - 3) as u8 | 0x80, ((length.max(3) - 3) >> 7) as u8 & 0x7F);
        *mode %= 16;
        decoder.snapshot(1, first.body()).unwrap();
        let body = &bytes[..length];
        let results =
            [decoder.delta(1, 2, round.is_multiple_of(2), body), decoder.snapshot(2, body), decoder.mark(body)];
        refused += results.iter().filter(|result| result.is_err()).count();
        taken += results.iter().filter(|result| result.is_ok()).count();
    }
    assert_eq!(ASKED.get() - before, 0, "allocations in 3,000 rounds");
    assert!(refused > 5_000, "{refused} refused, {taken} taken");
}

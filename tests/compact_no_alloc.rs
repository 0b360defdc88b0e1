//! Goal: following a chain allocates nothing after construction, on either side.
//! Method: an allocator that counts; hot, quiet, resting and jumping nodes, snapshots and marks, for 300 ticks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use swarmcast::wire::compact::{Coding, CompactFrame, Decoder, Encoder, Info};

struct Counting;

static ASKED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether this thread's allocations count: the harness prints from a thread of its own, whenever it gets to it.
    static COUNTS: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if COUNTS.try_with(Cell::get).unwrap_or(false) {
        ASKED.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system allocator unchanged; counting touches an atomic and a thread-local that needs no set-up.
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
    COUNTS.set(true);
    let info = Info { node_count: NODES as u32, origin: [0.0; 3], quantum: 0.125, tick_rate: 60 };
    let mut points: Vec<[f32; 3]> = (0..NODES).map(|node| [node as f32, (node % 77) as f32, 5.0]).collect();
    let mut encoder = Encoder::new(info, Coding::Cheapest).unwrap();
    let mut decoder = Decoder::new(info).unwrap();
    let mut delta = CompactFrame::for_deltas(NODES);
    let mut other = CompactFrame::for_snapshots(NODES);
    encoder.reset(&points).unwrap();
    encoder.snapshot(&mut other).unwrap();
    decoder.snapshot(0, other.body()).unwrap();
    let before = ASKED.load(Ordering::Relaxed);
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
    assert_eq!(ASKED.load(Ordering::Relaxed) - before, 0, "allocations in 300 ticks");
    assert!(bytes_most > NODES, "{bytes_most} bytes at most, so the worst was tried");
}

//! Goal: encoding a tick for every full-frame profile allocates nothing once each has been encoded once, the packed one too.
//! Method: an allocator that counts; 100 ticks of a moving layout.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use swarmcast::handoff::{ClassRef, FramePool, Stamp};
use swarmcast::wire::PROFILES;

struct Counting;

thread_local! {
    /// Allocations of this thread: the harness has one too.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged; counting touches a number of this thread only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_hundred_ticks_of_every_profile_allocate_nothing() {
    const NODES: u32 = 3_000;
    let ids: Vec<u32> = (0..NODES).collect();
    let mut pool = FramePool::new(1);
    let mut tick = |tick: u64| {
        let published = pool.publish(|frame| {
            frame.begin(Stamp { epoch: 1, tick, ..Stamp::default() }, &ids);
            for (place, node) in frame.nodes_mut().iter_mut().enumerate() {
                // Packs well in the first tick, and hardly in the last: the body grows and shrinks.
                let x = (place as f32 * tick as f32).sin() * 500.0;
                node.set_motion([x, x * 0.3, if tick == 0 { 0.0 } else { x / 7.0 }], [0.0, x * 0.01, 1.0]);
            }
            for profile in PROFILES.into_iter().filter(|profile| !profile.is_chain()) {
                let class = ClassRef { slot: profile.index() as u8, serial: 1 };
                frame.encode(class, profile, tick + 1);
            }
            frame.publish_at(tick);
        });
        published.unwrap().packed().unwrap()
    };
    let (raw_bytes, first) = tick(0);
    let before = ASKED.get();
    assert!(before > 0, "the allocator counts");
    let largest = (1..=100).map(|number| tick(number).1).max().unwrap();
    assert_eq!(ASKED.get(), before);
    assert!(first < largest && largest < raw_bytes, "{first} and {largest} of {raw_bytes} bytes");
}

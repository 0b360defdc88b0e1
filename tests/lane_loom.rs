//! Goal: no interleaving of a lane's two threads loses a wake-up, an item, or a frame or message that somebody reads.
//! Method: loom runs every interleaving of small programs over the real lane, doorbell and pool. Run with
//! `cargo loom` (see `.cargo/config.toml`); without `--cfg loom` this file is empty.
#![cfg(loom)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use loom::sync::{Arc, Notify};
use loom::thread;
use swarmcast::handoff::{ClassRef, Consumer, Doorbell, Frame, FramePool, LeasePool, Overflow, Producer, Stamp, lane};
use swarmcast::wire::Profile;

/// Every interleaving with up to three preemptions: nearly all faults need no more, and all of them would take hours.
fn explore(program: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(program);
}

/// A lane whose reader sleeps on a loom `Notify`.
fn sleepy_lane<T: 'static>(slots: usize, overflow: Overflow) -> (Producer<T>, Consumer<T>, Arc<Doorbell>, Arc<Notify>) {
    let notify = Arc::new(Notify::new());
    let ring = Arc::clone(&notify);
    let bell = Arc::new(Doorbell::new(Box::new(move || ring.notify())));
    let (producer, consumer) = lane("loom", slots, overflow, Arc::clone(&bell));
    (producer, consumer, bell, notify)
}

/// Sleeps until an item comes, as every thread's turn does. A lost wake-up is a deadlock, which loom reports.
fn next<T>(consumer: &mut Consumer<T>, bell: &Doorbell, notify: &Notify) -> T {
    loop {
        if let Some(item) = consumer.pop() {
            return item;
        }
        bell.arm();
        if consumer.is_empty() {
            notify.wait();
        }
        bell.disarm();
    }
}

#[test]
fn a_sleeping_reader_is_always_woken() {
    explore(|| {
        let (mut producer, mut consumer, bell, notify) = sleepy_lane(2, Overflow::Refuse);
        let writer = thread::spawn(move || {
            producer.push(1).unwrap();
            producer.push(2).unwrap();
        });
        assert_eq!(next(&mut consumer, &bell, &notify), 1);
        assert_eq!(next(&mut consumer, &bell, &notify), 2);
        writer.join().unwrap();
    });
}

#[test]
fn a_reader_that_looks_again_before_it_sleeps_is_always_woken() {
    explore(|| {
        let (mut producer, mut consumer, bell, notify) = sleepy_lane(2, Overflow::Refuse);
        let writer = thread::spawn(move || {
            producer.push(1).unwrap();
            producer.push(2).unwrap();
        });
        for item in 1..=2 {
            // The spin of an idle strategy: unarmed, so that nobody pays for waking a thread that is awake.
            let spun = consumer.pop().or_else(|| {
                thread::yield_now();
                consumer.pop()
            });
            assert_eq!(spun.unwrap_or_else(|| next(&mut consumer, &bell, &notify)), item);
        }
        writer.join().unwrap();
    });
}

#[test]
fn the_newest_item_of_a_conflating_lane_always_arrives() {
    explore(|| {
        let (mut producer, mut consumer, bell, notify) = sleepy_lane(1, Overflow::Conflate);
        let writer = thread::spawn(move || {
            for item in 1..=2 {
                producer.push(item).unwrap();
            }
        });
        let mut last = 0;
        while last != 2 {
            let item = next(&mut consumer, &bell, &notify);
            assert!(item > last, "items never come twice or backwards");
            last = item;
        }
        writer.join().unwrap();
    });
}

#[test]
fn two_writers_wake_one_reader_through_one_bell() {
    explore(|| {
        let (mut first, mut from_first, bell, notify) = sleepy_lane(1, Overflow::Refuse);
        let (mut second, mut from_second) = lane("loom", 1, Overflow::Refuse, Arc::clone(&bell));
        let writers =
            [thread::spawn(move || _ = first.push(10).unwrap()), thread::spawn(move || _ = second.push(20).unwrap())];
        let mut sum = 0;
        while sum != 30 {
            let taken = from_first.pop().unwrap_or(0) + from_second.pop().unwrap_or(0);
            sum += taken;
            if taken == 0 {
                bell.arm();
                if from_first.is_empty() && from_second.is_empty() {
                    notify.wait();
                }
                bell.disarm();
            }
        }
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

#[test]
fn a_frame_that_is_read_is_never_written() {
    const CLASS: ClassRef = ClassRef { slot: 0, serial: 1 };
    explore(|| {
        let (mut producer, mut consumer, _, _) = sleepy_lane::<Arc<Frame>>(1, Overflow::Conflate);
        let reader = thread::spawn(move || {
            let mut seen = 0;
            for _ in 0..2 {
                let Some(frame) = consumer.pop() else { continue };
                // Tick, sequence and body were written together; a frame reused under a reader would disagree.
                let sequence = frame.head(CLASS).unwrap().sequence();
                assert_eq!(sequence, frame.stamp().tick);
                assert_eq!(frame.nodes()[0].position()[0] as u64, sequence);
                assert!(sequence > seen);
                seen = sequence;
            }
        });
        let mut pool = FramePool::new(2);
        for tick in 1..=3 {
            let published = pool.publish(|frame| {
                frame.begin(Stamp { epoch: 1, tick, ..Stamp::default() }, &[7]);
                frame.nodes_mut()[0].set_motion([tick as f32, 0.0, 0.0], [0.0; 3]);
                frame.encode(CLASS, Profile::Own, tick);
            });
            // Both leased: the frame is left out, as `sim` does.
            if let Some(frame) = published {
                producer.push(frame).unwrap();
            }
        }
        reader.join().unwrap();
    });
}

#[test]
fn what_is_leased_from_a_pool_is_never_written() {
    // Messages of a chain live in such a pool; the codec that fills them needs more stack than the model checker gives.
    explore(|| {
        let (mut producer, mut consumer, _, _) = sleepy_lane::<Arc<[u64; 2]>>(1, Overflow::Conflate);
        let reader = thread::spawn(move || {
            let mut seen = 0;
            for _ in 0..2 {
                let Some(message) = consumer.pop() else { continue };
                let [first, last] = *message;
                assert!(first == last && first > seen);
                seen = first;
                thread::yield_now();
                assert_eq!(*message, [seen; 2], "nobody writes what is leased");
            }
        });
        let mut pool = LeasePool::new(2, || [0; 2]);
        for tick in 1..=3 {
            // All leased: nothing is published, as a chain does.
            let Some(place) = pool.take() else { continue };
            *pool.at(place).unwrap() = [tick; 2];
            let _ = producer.push(pool.lease(place).unwrap());
        }
        reader.join().unwrap();
    });
}

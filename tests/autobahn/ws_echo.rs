//! The server that the WebSocket conformance suite talks to: our door and one shard as they are, with an echo in it.
//!
//! Method: `control` is a stub that lets everybody in without a greeting; there is no simulation, so no frame ever
//! comes between two messages. Prints its address and runs until its input ends.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use swarmcast::handoff::{ClassRef, DoorReply, DoorRequest, Doorbell, Grant, Overflow, SessionId, ShardMessage, lane};
use swarmcast::metrics::{Health, Metrics};
use swarmcast::net::{
    Door, DoorLanes, DoorOptions, FixedPages, Patience, ShardLanes, ShardLoop, ShardOptions, SocketOptions, begin_echo,
    poll_with_bell,
};
use swarmcast::wire::{CloseCode, Profile};

/// The suite's largest message has 16 MiB; the queue holds it, its header, and the next one.
const MESSAGE_BYTES_MAX: usize = 40 << 20;

const CONNECTIONS_MAX: usize = 64;

fn main() {
    begin_echo(MESSAGE_BYTES_MAX);
    let metrics = Arc::new(Metrics::new(1));
    let quiet = Arc::new(Doorbell::silent());
    let (shard_poll, shard_bell) = poll_with_bell().unwrap();
    let (door_poll, door_bell) = poll_with_bell().unwrap();
    let (_frames, frames_in) = lane("sim->shard.frame", 1, Overflow::Conflate, Arc::clone(&shard_bell));
    let (adopt, adopt_in) = lane("door->shard.connection", CONNECTIONS_MAX, Overflow::Refuse, Arc::clone(&shard_bell));
    let (mut to_shard, from_control) = lane("control->shard.message", 4, Overflow::Refuse, Arc::clone(&shard_bell));
    let (commands, _commands_in) = lane("shard->sim.command", 4, Overflow::Refuse, Arc::clone(&quiet));
    let (events, mut events_in) = lane("shard->control.event", 1_024, Overflow::Refuse, Arc::clone(&quiet));
    let (requests, mut requests_in) = lane("door->control.request", 1_024, Overflow::Refuse, quiet);
    let (mut replies, replies_in) = lane("control->door.reply", 1_024, Overflow::Refuse, Arc::clone(&door_bell));
    let (_stop, stop_in) = lane("main->door.stop", 1, Overflow::Refuse, Arc::clone(&door_bell));

    let options =
        ShardOptions { stall_ns_max: 60_000_000_000, connections_max: CONNECTIONS_MAX, ..ShardOptions::default() };
    let lanes = ShardLanes { frames: frames_in, adopt: adopt_in, messages: from_control, commands, events };
    let block = Arc::clone(metrics.shards.first().unwrap());
    let shard = ShardLoop::new(0, shard_poll, shard_bell, lanes, options, block, Arc::new(AtomicBool::new(false)));
    let shard = thread::spawn(move || shard.run().unwrap());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    println!("ws://{}/stream", listener.local_addr().unwrap());
    let options = DoorOptions {
        handshake_ns_max: 5_000_000_000,
        hold_max: CONNECTIONS_MAX,
        hold_ns_max: 1_000_000_000,
        socket: SocketOptions {
            notsent_lowat_bytes: Some(64 << 10),
            send_buffer_bytes: None,
            patience: Patience::default(),
            stall_ns_max: 60_000_000_000,
        },
        trust_any_host: false,
        pages: FixedPages { viewer: b"", openapi: "" },
    };
    let lanes = DoorLanes { requests, replies: replies_in, adopt: vec![adopt], agents: None, stop: stop_in };
    let door = Door::new(door_poll, door_bell, listener, None, lanes, options, metrics, Arc::new(Health::default()));
    thread::spawn(move || door.unwrap().run().unwrap());

    thread::spawn(move || {
        let mut sessions = 0;
        loop {
            while let Some(request) = requests_in.pop() {
                if let DoorRequest::Open { token, .. } = request {
                    sessions += 1;
                    let grant = Grant {
                        session: SessionId(sessions),
                        class: ClassRef { slot: 0, serial: 1 },
                        profile: Profile::Own,
                        demand_bytes: 0,
                        greeting: Bytes::new(),
                        interest: None,
                        missed: None,
                        version: 0,
                    };
                    replies.push(DoorReply::Granted { token, grant }).unwrap();
                }
            }
            while events_in.pop().is_some() {}
            thread::sleep(Duration::from_millis(1));
        }
    });

    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    to_shard.push(ShardMessage::Shutdown { code: CloseCode::Away, reason: "the test is over" }).unwrap();
    shard.join().unwrap();
}

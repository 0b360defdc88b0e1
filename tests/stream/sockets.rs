//! Goal: what a slow client has not taken stays with the server, where a newer frame can replace it, and not in the
//! kernel's send queue.
//! Method: clients that stop reading, and the queue of the server's sockets as the kernel shows it in `/proc/net/tcp`,
//! with the setting and without it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::support::{Client, PATIENCE, Server, Ws, within};

/// What the kernel may take beyond the setting: it looks at the limit before each of its buffers, which hold up to 64 KiB,
/// and what is on its way to the client counts as well.
const BEYOND: u64 = 192 << 10;

/// Bytes in the send queue of the connection of `server` to each of `clients`.
fn queues(server: SocketAddr, clients: &[Ws]) -> Vec<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |text: &str| u16::from_str_radix(text.rsplit(':').next().unwrap(), 16).unwrap();
    let rows: Vec<_> = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    let queue = |client: &Ws| {
        let peer = client.stream().local_addr().unwrap().port();
        let row = rows.iter().find(|row| port(row[1]) == server.port() && port(row[2]) == peer).unwrap();
        u64::from_str_radix(row[4].split(':').next().unwrap(), 16).unwrap()
    };
    clients.iter().map(queue).collect()
}

/// The longest queue that clients cause who read for a moment, so that their line looks fast, and then stop.
fn longest_queue(settings: &[&str]) -> u64 {
    let flags = ["--rate", "30", "--set", "sim.cooling=0", "--set", "net.stall_seconds=60"];
    let set = settings.iter().flat_map(|setting| ["--set", setting]);
    let server = Server::start(&flags.into_iter().chain(set).collect::<Vec<_>>());
    let mut clients: Vec<_> = (0..4).map(|_| Ws::connect(server.http, "", Some(65_536))).collect();
    for _ in 0..20 {
        for client in &mut clients {
            client.frame();
        }
    }
    // Nothing moves for a second: they are stuck.
    let (mut before, mut same) = (Vec::new(), 0);
    let stuck = within(PATIENCE, || {
        thread::sleep(Duration::from_millis(90));
        let now = queues(server.http, &clients);
        same = if now == before && now.iter().all(|bytes| *bytes > 0) { same + 1 } else { 0 };
        before = now;
        same == 10
    });
    assert!(stuck, "the queues go on changing: {before:?}");
    before.into_iter().max().unwrap()
}

#[test]
fn a_client_that_stops_reading_has_a_short_queue_in_the_kernel() {
    let short = longest_queue(&["net.notsent_lowat_bytes=16384"]);
    assert!(short < (16 << 10) + BEYOND, "{short} bytes with a limit of 16 KiB");
    let usual = longest_queue(&["net.notsent_lowat_bytes=65536"]);
    assert!(usual < (64 << 10) + BEYOND, "{usual} bytes with a limit of 64 KiB");
    let without = longest_queue(&["net.notsent_lowat_bytes=0"]);
    assert!(without > 2 * usual, "{without} bytes without a limit: the test shows nothing");
    let buffer = longest_queue(&["net.notsent_lowat_bytes=0", "net.send_buffer_bytes=65536"]);
    assert!(buffer < without / 2, "{buffer} bytes with a send buffer of 64 KiB, {without} without");
    println!("longest queue: {short} (16 KiB), {usual} (64 KiB), {buffer} (SO_SNDBUF 64 KiB), {without} (none)");
}

//! Goal: an upload costs the door its share of each turn, in however small pieces it comes, and keeps nobody waiting.
//! Method: the real program; clients that send a long body byte by byte behind a long head, and one that asks
//! meanwhile. What a share is, the door's own tests count.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Server};

/// Begins upload after upload until told to stop; counts the bytes of bodies.
fn trickle(to: SocketAddr, stop: &AtomicBool, sent: &AtomicU64) {
    let began = Instant::now();
    let pad = "x".repeat(7_900);
    let head =
        format!("POST /api/graph/batch HTTP/1.1\r\nHost: {to}\r\nX-Pad: {pad}\r\nContent-Length: 8388608\r\n\r\n");
    let goes_on = || !stop.load(Ordering::Relaxed) && began.elapsed() < PATIENCE;
    while goes_on() {
        let Ok(mut stream) = TcpStream::connect(to) else { continue };
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        if stream.write_all(head.as_bytes()).is_err() {
            continue;
        }
        // An upload that takes too long is answered and closed; the next one begins.
        while goes_on() && stream.write_all(b" ").is_ok() {
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn an_upload_in_small_pieces_keeps_nobody_waiting() {
    let server = Server::start(&["--rate", "5"]);
    let (to, stop, sent) = (server.http, AtomicBool::new(false), AtomicU64::new(0));
    let slowest = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| trickle(to, &stop, &sent));
        }
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(25));
            let asked = Instant::now();
            assert_eq!(server.get("/healthz").status, 200);
            slowest = slowest.max(asked.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
        slowest
    });
    assert!(sent.load(Ordering::Relaxed) > 0, "nothing was uploaded");
    assert!(slowest < Duration::from_secs(5), "somebody waited for {slowest:?}");
}

//! Goal: what everybody is told of the graph costs no write of its own while frames go out.
//! Method: streams at 120 Hz beside a writer of single changes; writes are counted by the engine, frames and words by the streams.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, Event, Server};

const STREAMS: usize = 4;

/// How long changes go on.
const TIME: Duration = Duration::from_secs(3);

#[test]
fn words_go_out_with_frames() {
    let server = Server::start(&["--rate", "120", "--set", "sim.settle_velocity=0"]);
    let mut streams: Vec<_> = (0..STREAMS).map(|_| server.ws("?rate=120")).collect();
    for stream in &mut streams {
        stream.frame();
    }
    let writes = server.metric("swarmcast_writes_total");
    let began = Instant::now();
    let readers: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            thread::spawn(move || {
                let (mut frames, mut words) = (0.0, 0.0);
                while began.elapsed() < TIME {
                    match stream.next(Duration::from_millis(100)) {
                        Some(Event::Frame(_)) => frames += 1.0,
                        Some(Event::Text(text)) if text["type"] == "graph_changed" => words += 1.0,
                        _ => {}
                    }
                }
                (frames, words)
            })
        })
        .collect();
    let mut turn = 0;
    while began.elapsed() < TIME {
        turn += 1;
        let body = format!(r#"{{"nodes":[{{"key":"told {turn}"}}]}}"#);
        assert_eq!(server.tell("POST", "/api/graph/nodes", &body).status, 201);
    }
    let (mut frames, mut words) = (0.0, 0.0);
    for reader in readers {
        let seen = reader.join().unwrap();
        (frames, words) = (frames + seen.0, words + seen.1);
    }
    let writes = server.metric("swarmcast_writes_total") - writes;
    assert!(words > 0.1 * frames, "{words} words and {frames} frames: too few to tell");
    // A write for every word would be as many more. A frame that is late lets words go without it, and what was on its way at the end was
    // not read, nor what came before the engine was asked.
    assert!(writes < frames + 0.5 * words + 20.0, "{writes} writes for {frames} frames and {words} words");
}

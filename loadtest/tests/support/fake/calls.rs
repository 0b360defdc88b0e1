//! JSON-RPC over TCP, a line each way, with planned delays, errors and losses.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use swarmcast_load::clock::monotonic_ns;

use super::{Connection, End, Pen, ns};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A result, so much later.
    After(Duration),
    /// A JSON-RPC error, so much later.
    Error(Duration),
    /// A result that says that the tool failed, as MCP has it.
    ToolError(Duration),
    /// None.
    Never,
    /// A result, and no other call of the connection is looked at until then.
    Hold(Duration),
}

/// By the count of calls over all connections, from 0, and the call. `initialize` is answered at once and not counted.
type Plan = Arc<dyn Fn(u64, &Value) -> Answer + Send + Sync>;

/// Who answers.
#[derive(Clone)]
pub struct Calls {
    answer: Plan,
}

impl Calls {
    pub fn new(answer: impl Fn(u64, &Value) -> Answer + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer) }
    }

    /// Reads and plans on this thread; another one writes answers when their time has come.
    pub(super) fn serve(&self, pen: &Pen, connection: &mut Connection, first: &str, rest: Vec<u8>) {
        let (later, due) = channel();
        let writer = pen.clone();
        let writing = thread::spawn(move || write_when_due(&writer, &due));
        let mut bytes = [first.as_bytes(), &rest].concat();
        // The first line is a call like the others.
        let end = loop {
            while let Some(at) = bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = bytes.drain(..=at).collect();
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                let now = monotonic_ns();
                pen.note(|seen| seen.texts.push((now, text.clone())));
                if let Some((at_ns, answer)) = self.plan(connection, now, &text) {
                    let _ = later.send((at_ns, answer));
                }
            }
            let mut part = [0; 16_384];
            match connection.socket.read(&mut part) {
                Ok(0) => break End::Fin,
                Ok(count) => {
                    pen.note(|seen| seen.bytes_read += count as u64);
                    bytes.extend_from_slice(&part[..count]);
                }
                Err(_) => break End::Reset,
            }
        };
        pen.end(end);
        drop(later);
        let _ = writing.join();
    }

    fn plan(&self, connection: &Connection, now: u64, text: &str) -> Option<(u64, String)> {
        let Ok(call) = serde_json::from_str::<Value>(text) else {
            connection.note(|seen| seen.violations.push(format!("not JSON: {text}")));
            return None;
        };
        if call["jsonrpc"] != "2.0" {
            connection.note(|seen| seen.violations.push(format!("not JSON-RPC 2.0: {text}")));
        }
        let id = call.get("id")?.clone();
        let result = |value: Value| json!({"jsonrpc": "2.0", "id": id.clone(), "result": value}).to_string() + "\n";
        if call["method"] == "initialize" {
            let version = &call["params"]["protocolVersion"];
            let server = json!({"name": "fake", "version": "1"});
            let about = json!({"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server});
            return Some((now, result(about)));
        }
        let nth = connection.shared.calls.fetch_add(1, Ordering::SeqCst);
        let good = json!({"content": [{"type": "text", "text": "done"}], "isError": false});
        match (self.answer)(nth, &call) {
            Answer::After(delay) => Some((now + ns(delay), result(good))),
            Answer::Error(delay) => {
                let error = json!({"code": -32_000, "message": "planned"});
                let line = json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string() + "\n";
                Some((now + ns(delay), line))
            }
            Answer::ToolError(delay) => {
                let bad = json!({"content": [{"type": "text", "text": "planned"}], "isError": true});
                Some((now + ns(delay), result(bad)))
            }
            Answer::Never => None,
            Answer::Hold(delay) => {
                thread::sleep(delay);
                Some((now, result(good)))
            }
        }
    }
}

fn write_when_due(pen: &Pen, due: &Receiver<(u64, String)>) {
    let mut waiting: Vec<(u64, String)> = Vec::new();
    loop {
        let now = monotonic_ns();
        waiting.sort();
        while waiting.first().is_some_and(|(at_ns, _)| *at_ns <= now) {
            let (_, line) = waiting.remove(0);
            if !pen.write(line.as_bytes()) {
                return;
            }
        }
        let next = waiting.first().map_or(1_000_000_000, |(at_ns, _)| at_ns - now);
        match due.recv_timeout(Duration::from_nanos(next)) {
            Ok(more) => waiting.push(more),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

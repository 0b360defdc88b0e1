//! JSON-RPC calls of one connection: what is sent, what is awaited, and what an answer means. No sockets, no clock.

use std::collections::VecDeque;

use fastrand::Rng;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::plan::{Call, Calls};
use crate::record::{Count, Record, Timing};

/// The id of `initialize`; calls count from 1.
const INITIALIZE: u64 = 0;

/// The revision of MCP that `initialize` asks for; a server may answer with an older one.
const MCP_REVISION: &str = "2025-06-18";

#[derive(Clone, Copy, Debug)]
struct Waiting {
    due_ns: u64,
    sent_ns: u64,
    done: bool,
}

/// The calls of one connection. It begins anew with each.
#[derive(Debug, Default)]
pub struct Caller {
    /// Id of the first in `waiting`.
    first_id: u64,
    /// In the order of their ids.
    waiting: VecDeque<Waiting>,
    in_flight: u32,
    /// Calls may be made: at once, or after `initialize` was answered.
    ready: bool,
}

#[derive(Deserialize)]
struct Answer {
    id: Option<Value>,
    #[serde(default)]
    result: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: i64,
}

impl Caller {
    /// Of a new connection; `out` takes what opens an MCP session.
    pub fn new(calls: &Calls, out: &mut Vec<u8>) -> Self {
        if calls.mcp {
            let client = json!({"name": "swarmcast-load", "version": env!("CARGO_PKG_VERSION")});
            let params = json!({"protocolVersion": MCP_REVISION, "capabilities": {}, "clientInfo": client});
            push(out, &json!({"jsonrpc": "2.0", "id": INITIALIZE, "method": "initialize", "params": params}));
        }
        Self { first_id: 1, waiting: VecDeque::new(), in_flight: 0, ready: !calls.mcp }
    }

    /// A call was due at `due_ns`: puts it into `out`, or counts why not.
    pub fn call(
        &mut self,
        calls: &Calls,
        rng: &mut Rng,
        due_ns: u64,
        now_ns: u64,
        record: &mut Record,
        out: &mut Vec<u8>,
    ) {
        record.count(Count::CallsDue, 1);
        let failure = if !self.ready {
            Some("call_before_session")
        } else if self.in_flight >= calls.in_flight_max {
            Some("call_in_flight")
        } else {
            None
        };
        if let Some(kind) = failure {
            record.count(Count::CallsFailed, 1);
            record.error(kind);
            return;
        }
        let Some(call) = pick(&calls.mix, rng) else { return };
        let id = self.first_id + self.waiting.len() as u64;
        let mut request = json!({"jsonrpc": "2.0", "id": id, "method": call.method});
        if let (Some(params), Some(request)) = (&call.params, request.as_object_mut()) {
            request.insert("params".to_owned(), fill(params, rng));
        }
        push(out, &request);
        self.waiting.push_back(Waiting { due_ns, sent_ns: now_ns, done: false });
        self.in_flight += 1;
    }

    /// A line has come. What it answers is recorded; what has to be sent in turn goes into `out`.
    ///
    /// # Errors
    /// The kind of error it counts as, when it is not JSON-RPC: the connection is of no use then.
    pub fn answer(
        &mut self,
        line: &[u8],
        now_ns: u64,
        record: &mut Record,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let answer: Answer = serde_json::from_slice(line).map_err(|_| "call_answer_not_json")?;
        let Some(id) = answer.id.as_ref().and_then(Value::as_u64) else {
            // A notification, a request of the server, or an error about a line that it could not read.
            record.count(Count::OtherMessages, 1);
            if let Some(refusal) = answer.error {
                record.error(&format!("call_error_{}", refusal.code));
            }
            return Ok(());
        };
        if id == INITIALIZE && !self.ready {
            if answer.result.is_none() {
                return Err("mcp_initialize_refused");
            }
            push(out, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
            self.ready = true;
            return Ok(());
        }
        let place = id.checked_sub(self.first_id).and_then(|place| usize::try_from(place).ok());
        let Some(waiting) = place.and_then(|place| self.waiting.get_mut(place)).filter(|waiting| !waiting.done) else {
            // Late beyond its limit, twice, or never asked for.
            record.error("call_answer_unexpected");
            return Ok(());
        };
        waiting.done = true;
        self.in_flight -= 1;
        record.record(Timing::Call, now_ns.saturating_sub(waiting.due_ns), 1);
        record.record(Timing::CallService, now_ns.saturating_sub(waiting.sent_ns), 1);
        match answer.error {
            None => record.count(Count::CallsAnswered, 1),
            Some(refusal) => {
                record.count(Count::CallsFailed, 1);
                record.error(&format!("call_error_{}", refusal.code));
            }
        }
        self.forget_done();
        Ok(())
    }

    /// Gives up the calls that have waited too long, or all of them when the connection is gone. They count as late as
    /// they are by now.
    pub fn sweep(&mut self, calls: &Calls, all: Option<&'static str>, now_ns: u64, record: &mut Record) {
        for waiting in self.waiting.iter_mut().filter(|waiting| !waiting.done) {
            if all.is_none() && now_ns.saturating_sub(waiting.due_ns) < calls.timeout_ns {
                break;
            }
            waiting.done = true;
            self.in_flight -= 1;
            record.record(Timing::Call, now_ns.saturating_sub(waiting.due_ns), 1);
            record.count(Count::CallsFailed, 1);
            record.error(all.unwrap_or("call_timeout"));
        }
        self.forget_done();
    }

    /// Whether answers are awaited.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.in_flight > 0
    }

    fn forget_done(&mut self) {
        while self.waiting.pop_front_if(|waiting| waiting.done).is_some() {
            self.first_id += 1;
        }
    }
}

/// One of the mix, by weight.
fn pick<'mix>(mix: &'mix [Call], rng: &mut Rng) -> Option<&'mix Call> {
    let total: f64 = mix.iter().map(|call| call.weight).sum();
    let mut left = rng.f64() * total;
    mix.iter()
        .find(|call| {
            left -= call.weight;
            left < 0.0
        })
        .or(mix.last())
}

/// `params` with every `$int(LOW,HIGH)` drawn.
fn fill(params: &Value, rng: &mut Rng) -> Value {
    match params {
        Value::String(text) => match int_range(text) {
            Some((low, high)) => json!(rng.i64(low..=high)),
            None => params.clone(),
        },
        Value::Array(items) => items.iter().map(|item| fill(item, rng)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), fill(value, rng))).collect(),
        other => other.clone(),
    }
}

/// LOW and HIGH of `$int(LOW,HIGH)`.
#[must_use]
pub fn int_range(text: &str) -> Option<(i64, i64)> {
    let (low, high) = text.strip_prefix("$int(")?.strip_suffix(')')?.split_once(',')?;
    let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
    (low <= high).then_some((low, high))
}

fn push(out: &mut Vec<u8>, message: &Value) {
    out.extend_from_slice(message.to_string().as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(mcp: bool) -> Calls {
        let params = Some(json!({"id": "$int(3,5)", "list": ["$int(0,0)", "x"]}));
        let mix = vec![Call { method: "get".to_owned(), params, weight: 1.0 }];
        Calls { rate_hz: 1.0, mcp, mix, timeout_ns: 100, in_flight_max: 2 }
    }

    fn record() -> Record {
        Record::with(&[Timing::Call, Timing::CallService])
    }

    #[test]
    fn answers_find_their_calls_in_any_order() {
        let (calls, mut record, mut out) = (calls(false), record(), Vec::new());
        let mut rng = Rng::with_seed(1);
        let mut caller = Caller::new(&calls, &mut out);
        caller.call(&calls, &mut rng, 10, 15, &mut record, &mut out);
        caller.call(&calls, &mut rng, 20, 25, &mut record, &mut out);
        caller.call(&calls, &mut rng, 30, 35, &mut record, &mut out);
        assert_eq!(record.errors.get("call_in_flight"), Some(&1));
        let lines: Vec<Value> = out
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert!((3..=5).contains(&lines[0]["params"]["id"].as_i64().unwrap()));
        assert_eq!(lines[0]["params"]["list"], json!([0, "x"]));
        caller.answer(br#"{"jsonrpc":"2.0","id":2,"result":{}}"#, 60, &mut record, &mut out).unwrap();
        caller.answer(br#"{"jsonrpc":"2.0","id":2,"result":{}}"#, 60, &mut record, &mut out).unwrap();
        caller
            .answer(br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#, 70, &mut record, &mut out)
            .unwrap();
        caller.answer(br#"{"jsonrpc":"2.0","method":"notifications/x"}"#, 70, &mut record, &mut out).unwrap();
        assert_eq!(caller.answer(b"hello", 70, &mut record, &mut out), Err("call_answer_not_json"));
        assert!(!caller.is_waiting() && caller.waiting.is_empty() && caller.first_id == 3);
        assert_eq!(
            (record.of(Count::CallsDue), record.of(Count::CallsAnswered), record.of(Count::CallsFailed)),
            (3, 1, 2)
        );
        assert_eq!(record.errors.get("call_error_-32601"), Some(&1));
        assert_eq!(record.errors.get("call_answer_unexpected"), Some(&1));
        let corrected = record.timing(Timing::Call).unwrap();
        assert_eq!((corrected.min(), corrected.max(), corrected.len()), (40, 60, 2));
        assert_eq!(record.timing(Timing::CallService).unwrap().min(), 35);
    }

    #[test]
    fn what_is_never_answered_counts_as_late_as_it_is() {
        let (calls, mut record, mut out) = (calls(false), record(), Vec::new());
        let mut rng = Rng::with_seed(1);
        let mut caller = Caller::new(&calls, &mut out);
        caller.call(&calls, &mut rng, 10, 15, &mut record, &mut out);
        caller.call(&calls, &mut rng, 60, 60, &mut record, &mut out);
        caller.sweep(&calls, None, 111, &mut record);
        assert_eq!((record.errors.get("call_timeout"), caller.in_flight), (Some(&1), 1));
        caller.sweep(&calls, Some("call_connection_lost"), 120, &mut record);
        assert_eq!((record.of(Count::CallsFailed), caller.is_waiting()), (2, false));
        assert_eq!(record.timing(Timing::Call).unwrap().max(), 101);
    }

    #[test]
    fn an_mcp_session_opens_before_calls() {
        let (calls, mut record, mut out) = (calls(true), record(), Vec::new());
        let mut rng = Rng::with_seed(1);
        let mut caller = Caller::new(&calls, &mut out);
        assert!(String::from_utf8_lossy(&out).contains("\"method\":\"initialize\""));
        caller.call(&calls, &mut rng, 1, 1, &mut record, &mut out);
        assert_eq!(record.errors.get("call_before_session"), Some(&1));
        out.clear();
        caller
            .answer(br#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"x"}}"#, 5, &mut record, &mut out)
            .unwrap();
        assert!(String::from_utf8_lossy(&out).contains("notifications/initialized"));
        out.clear();
        caller.call(&calls, &mut rng, 6, 6, &mut record, &mut out);
        assert!(String::from_utf8_lossy(&out).contains("\"id\":1"));
        assert_eq!(int_range("$int(5,4)"), None);
        assert_eq!(int_range("$int(-5, 4)"), Some((-5, 4)));
    }
}

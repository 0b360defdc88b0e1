//! What a batch is answered with, and what such an answer told of.

use serde_json::{Value, json};

use super::{Agreed, Answering};
use crate::control::turn::steer::merge;
use crate::graph::{Deed, EdgeId, NodeId, Outcome};
use crate::mcp::Refusal;

/// What an answer of before tells of.
pub(super) fn agreed_of(answer: &[u8]) -> Agreed {
    let json: Value = serde_json::from_slice(answer).unwrap_or_default();
    let read = |row: &Value| {
        let deed = match row.get("deed")?.as_str()? {
            "created" => Deed::Created,
            "updated" => Deed::Updated,
            "removed" => Deed::Removed,
            _ => Deed::Unchanged,
        };
        let id = |name: &str| row.get(name).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        match id("node").and_then(NodeId::new) {
            Some(id) => Some(Outcome::Node { id, deed }),
            None => Some(Outcome::Edge { id: EdgeId(id("edge")?), deed }),
        }
    };
    let rows = json.get("results").and_then(Value::as_array);
    let outcomes = rows.into_iter().flatten().filter_map(read).collect();
    let refused = json.get(REFUSED).cloned().and_then(|rows| serde_json::from_value(rows).ok()).unwrap_or_default();
    let version = json.get("version").and_then(Value::as_u64).unwrap_or_default();
    Agreed { version, outcomes, refused, first: Some(json) }
}

/// Where an answer lists the operations that were refused, of a batch whose operations stand alone.
const REFUSED: &str = "refused";

/// What a batch is answered with: the version that it made, and each operation's outcome.
pub(super) fn answer(version: u64, outcomes: &[Outcome], refused: &[Refusal], answering: Answering) -> Value {
    let row = |outcome: &Outcome| match outcome {
        Outcome::Node { id, deed } => json!({ "node": id, "deed": deed }),
        Outcome::Edge { id, deed } => json!({ "edge": id, "deed": deed }),
    };
    let count = |wanted: Deed| outcomes.iter().filter(|outcome| outcome.deed() == wanted).count();
    let rows = || json!({ "results": outcomes.iter().map(row).collect::<Vec<_>>() });
    let rest = match answering {
        Answering::Rows => rows(),
        Answering::RowsAnd(more) => {
            let mut rest = rows();
            merge(&mut rest, more);
            rest
        }
        Answering::Counts(about) => about,
    };
    let mut answer = json!({
        "version": version,
        "created": count(Deed::Created),
        "updated": count(Deed::Updated),
        "removed": count(Deed::Removed),
        "unchanged": count(Deed::Unchanged),
    });
    merge(&mut answer, rest);
    if !refused.is_empty() {
        merge(&mut answer, json!({ REFUSED: refused }));
    }
    answer
}

//! The last batches, for clients that come back: what they missed, in order.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::steer::RestError;
use crate::graph::{Author, Change, Graph};
use crate::handoff::Query;
use crate::limits::{CHANGES_KEPT_BYTES_MAX, CHANGES_KEPT_MAX};

/// Batches of one answer, unless fewer are asked for.
const BATCHES_MAX: usize = 1_000;

/// Batches whose news one message has: the newest.
const NEWS_MAX: usize = 32;

/// A batch as JSON.
#[derive(serde::Serialize)]
struct Row<'batch> {
    version: u64,
    author: &'batch str,
    name: Option<&'batch str>,
    why: Option<&'batch str>,
    /// Unix ms.
    time: u64,
    changes: &'batch [Change],
}

/// What somebody did, in numbers, as JSON.
#[derive(serde::Serialize)]
struct News<'batch> {
    version: u64,
    author: &'batch str,
    name: Option<&'batch str>,
    why: Option<&'batch str>,
    nodes: Deeds,
    edges: Deeds,
}

/// How many were made, changed and removed by a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Deeds {
    added: usize,
    changed: usize,
    removed: usize,
}

impl Deeds {
    fn put(&mut self, was_there: bool) {
        if was_there { self.changed += 1 } else { self.added += 1 }
    }

    /// Of nodes and of edges, by changes that `graph` has not had yet.
    pub(super) fn of(graph: &Graph, changes: &[Change]) -> [Self; 2] {
        let [mut nodes, mut edges] = [Self::default(); 2];
        for change in changes {
            match change {
                Change::PutNode(node) => nodes.put(graph.index_of(node.id).is_some()),
                Change::RemoveNode(id) => nodes.removed += usize::from(graph.index_of(*id).is_some()),
                Change::PutEdge(edge) => edges.put(graph.edge(edge.id).is_some()),
                Change::RemoveEdge(id) => edges.removed += usize::from(graph.edge(*id).is_some()),
            }
        }
        [nodes, edges]
    }
}

/// A batch as it is told.
struct Kept {
    version: u64,
    /// JSON of [`News`].
    news: Bytes,
    /// JSON of the whole row.
    row: Bytes,
}

/// Bounded in number and bytes; the oldest goes first.
pub(super) struct History {
    kept: VecDeque<Kept>,
    bytes: usize,
    /// The newest version.
    newest: u64,
}

impl History {
    pub(super) fn new(version: u64) -> Self {
        Self { kept: VecDeque::new(), bytes: 0, newest: version }
    }

    pub(super) fn push(
        &mut self,
        version: u64,
        by: &Author,
        at_unix_ms: u64,
        [nodes, edges]: [Deeds; 2],
        changes: &[Change],
    ) {
        let (author, name, why) = (&*by.principal, by.name.as_deref(), by.why.as_deref());
        // Attributes keep their order this way, which a `Value` would sort.
        let row = serde_json::to_vec(&Row { version, author, name, why, time: at_unix_ms, changes });
        let news = serde_json::to_vec(&News { version, author, name, why, nodes, edges });
        let [row, news] = [row, news].map(|json| Bytes::from(json.unwrap_or_default()));
        self.bytes += row.len() + news.len();
        self.newest = version;
        self.kept.push_back(Kept { version, news, row });
        while self.kept.len() > CHANGES_KEPT_MAX || self.bytes > CHANGES_KEPT_BYTES_MAX {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.row.len() + oldest.news.len();
        }
    }

    /// JSON of one batch.
    pub(super) fn row(&self, version: u64) -> Option<&Bytes> {
        let place = self.kept.binary_search_by_key(&version, |kept| kept.version).ok()?;
        self.kept.get(place).map(|kept| &kept.row)
    }

    /// What was done after one version, up to another: an array, of the newest batches.
    pub(super) fn news(&self, (from, to): (u64, u64)) -> Vec<u8> {
        let place = |version| self.kept.partition_point(|kept| kept.version <= version);
        let (first, end) = (place(from), place(to));
        let mut news = vec![b'['];
        for kept in self.kept.range(first.max(end.saturating_sub(NEWS_MAX)).min(end)..end) {
            if news.len() > 1 {
                news.push(b',');
            }
            news.extend_from_slice(&kept.news);
        }
        news.push(b']');
        news
    }

    /// JSON of all batches after that version; `None` when some are not kept any more, or it is not one yet.
    pub(super) fn rows_since(&self, since: u64) -> Option<Vec<&Bytes>> {
        let oldest = self.kept.front().map_or(self.newest, |kept| kept.version - 1);
        let first = self.kept.partition_point(|kept| kept.version <= since);
        (oldest..=self.newest).contains(&since).then(|| self.kept.iter().skip(first).map(|kept| &kept.row).collect())
    }

    /// `GET /api/graph/changes?since=V&limit=N`.
    pub(super) fn since(&self, query: &Query) -> Result<Bytes, RestError> {
        let wrong =
            |field: &str, wanted: &str| RestError::at(400, "out_of_range", field, format!("{field} must be {wanted}"));
        let since = query.get("since").and_then(|text| text.parse::<u64>().ok());
        let since = since.filter(|since| *since <= self.newest);
        let since = since.ok_or_else(|| wrong("since", &format!("a version from 0 to {}", self.newest)))?;
        let limit = match query.get("limit").map(str::parse) {
            None => BATCHES_MAX,
            Some(Ok(limit @ 1..=BATCHES_MAX)) => limit,
            Some(_) => return Err(wrong("limit", "a whole number from 1 to 1000")),
        };
        let oldest = self.kept.front().map_or(self.newest, |kept| kept.version - 1);
        if since < oldest {
            let message = format!("changes are kept from version {oldest} on; fetch the graph again");
            return Err(RestError::at(410, "too_old", "since", message));
        }
        let first = self.kept.partition_point(|kept| kept.version <= since);
        let rows: Vec<&Kept> = self.kept.iter().skip(first).take(limit).collect();
        let to = rows.last().map_or(since, |kept| kept.version);
        let mut body = Vec::with_capacity(64 + rows.iter().map(|kept| kept.row.len() + 1).sum::<usize>());
        let lead = json!({ "from": since, "to": to, "version": self.newest }).to_string();
        body.extend_from_slice(lead.trim_end_matches('}').as_bytes());
        body.extend_from_slice(b",\"batches\":[");
        for (place, kept) in rows.iter().enumerate() {
            if place > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&kept.row);
        }
        body.extend_from_slice(b"]}");
        Ok(body.into())
    }
}

/// What everybody is told of some batches: the changes themselves while they are few, else where to fetch them.
/// `news` is what [`History::news`] has of them.
pub(super) fn told(rows: &[&Bytes], (from, to): (u64, u64), state: &Value, news: &[u8], bytes_max: usize) -> Bytes {
    let bytes: usize = rows.iter().map(|row| row.len() + 1).sum();
    let mut text = json!({ "type": "graph_changed", "from": from, "version": to }).to_string().into_bytes();
    text.pop();
    for (name, value) in state.as_object().into_iter().flatten() {
        text.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    }
    text.extend_from_slice(b",\"news\":");
    text.extend_from_slice(news);
    if bytes > bytes_max {
        text.extend_from_slice(format!(",\"batches\":null,\"url\":\"/api/graph/changes?since={from}\"}}").as_bytes());
        return text.into();
    }
    text.extend_from_slice(b",\"batches\":[");
    for (place, row) in rows.iter().enumerate() {
        if place > 0 {
            text.push(b',');
        }
        text.extend_from_slice(row);
    }
    text.extend_from_slice(b"]}");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::NodeId;

    fn history(count: u64) -> History {
        let mut history = History::new(0);
        for version in 1..=count {
            let change = Change::RemoveNode(NodeId::new(version as u32).unwrap());
            let author = Author { why: Some("because".into()), ..Author::from("a \"b\"") };
            let deeds = [Deeds { removed: 1, ..Deeds::default() }, Deeds::default()];
            history.push(version, &author, 5, deeds, &[change]);
        }
        history
    }

    fn ask(history: &History, since: &str, limit: &str) -> Result<Value, RestError> {
        let query = Query(vec![("since".to_owned(), since.to_owned()), ("limit".to_owned(), limit.to_owned())]);
        history.since(&query).map(|body| serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn whoever_comes_back_gets_what_it_missed_or_is_told_to_begin_again() {
        let kept = history(5);
        let answer = ask(&kept, "3", "9").unwrap();
        assert_eq!((&answer["from"], &answer["to"], &answer["version"]), (&3.into(), &5.into(), &5.into()));
        assert_eq!(answer["batches"][0]["changes"][0]["remove_node"], 4);
        assert_eq!(answer["batches"][1]["author"], "a \"b\"");
        assert_eq!((&answer["batches"][1]["why"], &answer["batches"][1]["name"]), (&"because".into(), &Value::Null));
        assert_eq!(ask(&kept, "0", "2").unwrap()["to"], 2);
        assert_eq!(ask(&kept, "5", "1").unwrap()["batches"], json!([]));
        for wrong in ["6", "-1", "x"] {
            assert_eq!(ask(&kept, wrong, "1").unwrap_err().status, 400);
        }
        let kept = history(CHANGES_KEPT_MAX as u64 + 3);
        assert_eq!(ask(&kept, "2", "1").unwrap_err().code, "too_old");
        assert_eq!(ask(&kept, "3", "1").unwrap()["to"], 4);
        assert!(ask(&history(0), "0", "1").is_ok());
    }

    #[test]
    fn few_changes_are_told_and_many_fetched() {
        let kept = history(2);
        let rows = [kept.row(1).unwrap(), kept.row(2).unwrap()];
        let state = json!({ "epoch": 7 });
        let news = kept.news((0, 2));
        let few: Value = serde_json::from_slice(&told(&rows, (0, 2), &state, &news, 1_000)).unwrap();
        assert_eq!(
            (&few["type"], &few["epoch"], &few["batches"][1]["version"]),
            (&"graph_changed".into(), &7.into(), &2.into())
        );
        let many: Value = serde_json::from_slice(&told(&rows, (0, 2), &state, &news, 10)).unwrap();
        assert_eq!((&many["batches"], &many["url"]), (&Value::Null, &"/api/graph/changes?since=0".into()));
        let row = json!({
            "version": 2, "author": "a \"b\"", "name": null, "why": "because",
            "nodes": { "added": 0, "changed": 0, "removed": 1 }, "edges": { "added": 0, "changed": 0, "removed": 0 },
        });
        assert_eq!((&few["news"][1], &many["news"][1]), (&row, &row));
        let news: Value = serde_json::from_slice(&history(100).news((10, 90))).unwrap();
        assert_eq!((news.as_array().unwrap().len(), &news[0]["version"]), (NEWS_MAX, &(91 - NEWS_MAX).into()));
        assert_eq!(history(3).news((3, 3)), b"[]");
    }
}

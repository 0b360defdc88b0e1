//! What changed lately: a bounded window over the committed batches.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::graph::{Author, Change};

/// Changes that are kept.
const CHANGES_MAX: usize = 10_000;

/// Bytes of one change; of a larger one its names are kept, and `cut`.
const CHANGE_BYTES_MAX: usize = 8 << 10;

/// Bytes of changes that are kept.
const BYTES_MAX: usize = 16 << 20;

/// One change, as it was committed.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    /// The version that it made.
    pub revision: u64,
    /// Who asked for it.
    pub by: Box<str>,
    /// What he calls himself, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// Why, where he said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Box<str>>,
    /// [`Change`] as JSON.
    pub change: Box<RawValue>,
}

impl Changed {
    /// Of its texts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let length = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        self.change.get().len() + self.by.len() + length(&self.name) + length(&self.why)
    }
}

/// The window.
#[derive(Debug, Default)]
pub struct Recent {
    changes: VecDeque<Changed>,
    bytes: usize,
    /// Changes that were here and are gone.
    gone: u64,
    /// Everything after this revision is here.
    since: u64,
    /// The newest.
    to: u64,
}

impl Recent {
    /// An empty window at a revision.
    #[must_use]
    pub fn at(revision: u64) -> Self {
        Self { since: revision, to: revision, ..Self::default() }
    }

    /// Takes a committed batch. The oldest go when there are too many; a revision goes whole.
    pub fn push(&mut self, revision: u64, author: &Author, changes: &[Change]) {
        self.to = revision;
        for change in changes {
            let Some(change) = shown(change) else { continue };
            let Author { principal: by, name, why } = author.clone();
            let changed = Changed { revision, by, name, why, change };
            self.bytes += changed.bytes();
            self.changes.push_back(changed);
        }
        while self.changes.len() > CHANGES_MAX || self.bytes > BYTES_MAX {
            let Some(gone) = self.changes.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(gone.bytes());
            self.since = gone.revision;
            self.gone += 1;
        }
    }

    /// What came after `revision`, oldest first.
    pub fn after(&self, revision: u64) -> impl DoubleEndedIterator<Item = &Changed> {
        let from = self.changes.partition_point(|change| change.revision <= revision);
        self.changes.range(from..)
    }

    /// The number of the first change after `revision`: changes are numbered from when the window was made.
    #[must_use]
    pub fn first_after(&self, revision: u64) -> u64 {
        self.gone + self.changes.partition_point(|change| change.revision <= revision) as u64
    }

    /// Those from a number on, oldest first; `None` where the first of them is gone.
    #[must_use]
    pub fn from(&self, number: u64) -> Option<impl Iterator<Item = &Changed>> {
        let skipped = usize::try_from(number.checked_sub(self.gone)?).ok()?;
        Some(self.changes.iter().skip(skipped))
    }

    /// Whether everything after `revision` is here.
    #[must_use]
    pub fn reaches(&self, revision: u64) -> bool {
        revision >= self.since
    }

    /// The newest revision.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.to
    }
}

fn shown(change: &Change) -> Option<Box<RawValue>> {
    let whole = serde_json::value::to_raw_value(change).ok()?;
    if whole.get().len() <= CHANGE_BYTES_MAX {
        return Some(whole);
    }
    let names = match change {
        Change::PutNode(node) => json!({ "put_node": { "id": node.id.get(), "key": node.key }, "cut": true }),
        Change::PutEdge(row) => json!({
            "put_edge": { "id": row.id.0, "source": row.source.get(), "target": row.target.get() }, "cut": true,
        }),
        Change::RemoveNode(_) | Change::RemoveEdge(_) => return Some(whole),
    };
    serde_json::value::to_raw_value(&names).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::EdgeId;

    #[test]
    fn the_window_is_bounded_and_says_how_far_it_reaches() {
        let mut recent = Recent::at(5);
        assert!(recent.reaches(5) && !recent.reaches(4));
        for revision in 6..=CHANGES_MAX as u64 + 10 {
            recent.push(revision, &"me".into(), &[Change::RemoveEdge(EdgeId(1)), Change::RemoveEdge(EdgeId(2))]);
        }
        let latest = recent.latest();
        assert_eq!(recent.after(0).count(), CHANGES_MAX);
        assert!(!recent.reaches(5) && recent.reaches(latest - 100));
        let after: Vec<u64> = recent.after(latest - 2).map(|change| change.revision).collect();
        assert_eq!(after, [latest - 1, latest - 1, latest, latest]);
    }
}

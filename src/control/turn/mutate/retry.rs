//! Answers of batches that had an idempotency key: a retry is answered as the first one was, and not done again.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

use bytes::Bytes;
use serde_json::Value;

use crate::api::steer::RestError;
use crate::graph::Batch;
use crate::limits::IDEMPOTENCY_KEYS_MAX;

/// Where the digest stands in a kept answer.
const DIGEST: &str = "request";

/// What a batch is known by when it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control::turn) struct RetryKey {
    pub(super) key: Box<str>,
    /// Of what was asked for; empty for one that was kept without.
    digest: Box<str>,
}

impl RetryKey {
    /// Of a batch that has a key.
    pub(super) fn of(batch: &Batch) -> Option<Self> {
        struct Into<'hash>(&'hash mut blake3::Hasher);
        impl Write for Into<'_> {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                self.0.update(text.as_bytes());
                Ok(())
            }
        }
        let key = batch.idempotency_key.clone()?;
        let mut hasher = blake3::Hasher::new();
        let _ = write!(Into(&mut hasher), "{:?} {:?}", batch.ops, batch.if_version);
        if batch.each {
            hasher.update(b" each");
        }
        Some(Self { key, digest: digest(&hasher) })
    }

    /// Of a request that these bytes are all of.
    pub(in crate::control::turn) fn of_parts(key: Box<str>, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Self { key, digest: digest(&hasher) }
    }

    /// Refuses another request under the same key.
    ///
    /// # Errors
    /// `key_reused`.
    pub(super) fn agrees_with(&self, before: &Self) -> Result<(), RestError> {
        if before.digest.is_empty() || before.digest == self.digest {
            return Ok(());
        }
        let message = "this key belongs to another request; a retry is the same request, and a new one has a new key";
        Err(RestError::at(422, "key_reused", "idempotency_key", message))
    }

    /// The answer as the store keeps it.
    pub(super) fn kept(&self, answer: &[u8]) -> Box<str> {
        let mut answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        if let Value::Object(answer) = &mut answer {
            answer.insert(DIGEST.to_owned(), Value::from(&*self.digest));
        }
        answer.to_string().into()
    }

    /// Key and answer out of what the store kept.
    pub(super) fn of_kept(key: Box<str>, kept: &str) -> (Self, Bytes) {
        let mut answer: Value = serde_json::from_str(kept).unwrap_or_default();
        let digest = answer.as_object_mut().and_then(|answer| answer.remove(DIGEST));
        let digest = digest.as_ref().and_then(Value::as_str).unwrap_or_default().into();
        (Self { key, digest }, answer.to_string().into())
    }
}

fn digest(hasher: &blake3::Hasher) -> Box<str> {
    hasher.finalize().to_hex().get(..32).unwrap_or_default().into()
}

/// The newest answers.
#[derive(Debug, Default)]
pub(super) struct Retries {
    by_key: HashMap<Box<str>, (RetryKey, Bytes)>,
    /// Oldest first.
    keys: VecDeque<Box<str>>,
}

impl Retries {
    /// What was answered when this came first.
    ///
    /// # Errors
    /// `key_reused`.
    pub(super) fn answer(&self, retry: Option<&RetryKey>) -> Result<Option<Bytes>, RestError> {
        let known = retry.and_then(|retry| Some((retry, self.by_key.get(&retry.key)?)));
        let Some((retry, (before, answer))) = known else { return Ok(None) };
        retry.agrees_with(before)?;
        Ok(Some(answer.clone()))
    }

    /// Whether an answer to this key is kept, whatever the request.
    pub(super) fn knows(&self, retry: &RetryKey) -> bool {
        self.by_key.contains_key(&retry.key)
    }

    /// Keeps an answer; the oldest goes when there are too many. A key that is kept already stays as old as it is.
    pub(super) fn remember(&mut self, retry: RetryKey, answer: Bytes) {
        let key = retry.key.clone();
        if self.by_key.insert(key.clone(), (retry, answer)).is_some() {
            return;
        }
        self.keys.push_back(key);
        if self.keys.len() > IDEMPOTENCY_KEYS_MAX
            && let Some(oldest) = self.keys.pop_front()
        {
            self.by_key.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{NodeDraft, Op};

    fn batch(key: &str, label: &str) -> Batch {
        let draft = NodeDraft { key: Some(label.into()), ..NodeDraft::default() };
        Batch { ops: vec![Op::AddNode(draft)], idempotency_key: Some(key.into()), ..Batch::default() }
    }

    #[test]
    fn a_retry_is_known_over_a_restart_and_another_request_is_refused() {
        let answer = Bytes::from_static(br#"{"created":1,"version":7}"#);
        let first = RetryKey::of(&batch("k", "a")).unwrap();
        let (kept, shown) = RetryKey::of_kept("k".into(), &first.kept(&answer));
        assert_eq!((&kept, &shown), (&first, &answer));
        let mut retries = Retries::default();
        retries.remember(kept, shown);
        assert_eq!(retries.answer(Some(&first)), Ok(Some(answer.clone())));
        let other = retries.answer(RetryKey::of(&batch("k", "b")).as_ref()).unwrap_err();
        assert_eq!((other.status, other.code), (422, "key_reused"));
        // What was kept without a digest is answered to whoever has the key.
        let (old, _) = RetryKey::of_kept("k".into(), r#"{"created":1}"#);
        assert_eq!(first.agrees_with(&old), Ok(()));
    }

    #[test]
    fn the_oldest_answers_go_first() {
        let mut retries = Retries::default();
        let key = |turn: usize| RetryKey::of(&batch(&turn.to_string(), "a")).unwrap();
        for turn in 0..=IDEMPOTENCY_KEYS_MAX {
            retries.remember(key(turn), Bytes::new());
        }
        let known = |retries: &Retries, turn: usize| retries.answer(Some(&key(turn))).unwrap().is_some();
        let at_the_ends = |retries: &Retries| [0, 1, IDEMPOTENCY_KEYS_MAX].map(|turn| known(retries, turn));
        assert_eq!(at_the_ends(&retries), [false, true, true]);
        // A key that is kept twice takes the place of no other.
        retries.remember(key(IDEMPOTENCY_KEYS_MAX), Bytes::new());
        assert_eq!(at_the_ends(&retries), [false, true, true]);
        assert!(retries.knows(&key(1)) && !retries.knows(&key(0)));
    }
}

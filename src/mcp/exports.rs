//! Files that were made for somebody and wait to be read, in parts: each under a name that nobody can guess, for whoever asked for it
//! alone, and for ten minutes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use super::args::ToolError;
use super::reply::{Body, Reply, is_visible};
use crate::base::hex;

/// Bytes of all that wait.
const BYTES_MAX: usize = 64 << 20;

/// Files that wait.
const COUNT_MAX: usize = 64;

/// How long.
const TIME_S: u64 = 600;

/// Bytes of one part.
const PART_BYTES_MAX: usize = 512 << 10;

#[derive(Debug)]
struct Export {
    name: Box<str>,
    whose: Arc<str>,
    body: Bytes,
    mime: &'static str,
    until_ns: u64,
}

/// All of them, oldest first.
#[derive(Debug, Default)]
pub struct Exports(Vec<Export>);

/// Where a file is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Of each part, in order.
    pub uris: Vec<String>,
    /// Of all parts.
    pub bytes: usize,
    /// s from now.
    pub expires_s: u64,
}

/// The ends of a text's parts: between letters, and none longer than it may be.
fn ends(text: &str) -> Vec<usize> {
    let (mut ends, mut from) = (Vec::new(), 0);
    while from < text.len() {
        let end = (from + PART_BYTES_MAX).min(text.len());
        from = (from + 1..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        ends.push(from);
    }
    ends
}

impl Exports {
    /// Keeps a file under 128 random bits; the oldest ones go where there is no room.
    ///
    /// # Errors
    /// It is too large, or no text.
    pub fn keep(
        &mut self,
        random: &[u8; 16],
        whose: Arc<str>,
        body: Bytes,
        mime: &'static str,
        now_ns: u64,
    ) -> Result<Kept, ToolError> {
        if body.len() > BYTES_MAX {
            let words = "GET /api/graph/export of the engine's HTTP address has it in one piece";
            return Err(ToolError::new(format!(
                "the file has {} bytes, more than the {BYTES_MAX} that are kept: {words}",
                body.len()
            )));
        }
        let text = std::str::from_utf8(&body).map_err(|_| ToolError::new("the file is no text"))?;
        let name: Box<str> = hex(random).into();
        let uris = (0..ends(text).len().max(1)).map(|part| format!("graph://export/{name}/{part}")).collect();
        self.expire(now_ns);
        let bytes = body.len();
        while self.0.len() >= COUNT_MAX || self.0.iter().map(|kept| kept.body.len()).sum::<usize>() + bytes > BYTES_MAX
        {
            self.0.remove(0);
        }
        self.0.push(Export { name, whose, body, mime, until_ns: now_ns + TIME_S * 1_000_000_000 });
        Ok(Kept { uris, bytes, expires_s: TIME_S })
    }

    /// Lets go of those whose time is over.
    pub fn expire(&mut self, now_ns: u64) {
        self.0.retain(|kept| now_ns < kept.until_ns);
    }

    /// A part of a file; `None` where there is none of that name, for this principal, any more.
    #[must_use]
    pub fn read(&self, name: &str, part: usize, whose: &str, uri: &str, now_ns: u64) -> Option<Reply> {
        let kept = self.0.iter().find(|kept| *kept.name == *name && *kept.whose == *whose && now_ns < kept.until_ns)?;
        let text = std::str::from_utf8(&kept.body).ok()?;
        let ends = ends(text);
        let from = if part == 0 { 0 } else { *ends.get(part - 1)? };
        let to = ends.get(part).copied().or_else(|| (part == 0).then_some(0))?;
        let text = text.get(from..to)?;
        // Text leaves with escapes for what cannot be seen. In JSON these are the same text; elsewhere they would not be.
        let body = match kept.mime == "application/json" || is_visible(text) {
            true => Body::Text(text.to_owned()),
            false => Body::Blob(BASE64.encode(text)),
        };
        Some(Reply::Resource { uri: uri.to_owned(), mime: kept.mime, body, ttl_ms: 0, meta: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_whole_and_nobody_else_reads_them() {
        let mut exports = Exports::default();
        let text = "é".repeat(PART_BYTES_MAX);
        let kept = exports.keep(&[7; 16], "ada".into(), text.clone().into(), "text/plain", 0).unwrap();
        assert_eq!((kept.uris.len(), kept.bytes), (2, text.len()));
        let name = "07".repeat(16);
        let part = |part: usize, whose: &str, now_ns: u64| match exports.read(&name, part, whose, "u", now_ns) {
            Some(Reply::Resource { body: Body::Text(text), .. }) => Some(text),
            _ => None,
        };
        assert_eq!(part(0, "ada", 1).unwrap() + &part(1, "ada", 1).unwrap(), text);
        assert_eq!((part(2, "ada", 1), part(0, "bob", 1), part(0, "ada", 601_000_000_000)), (None, None, None));
        assert!(exports.read("0", 0, "ada", "u", 1).is_none());
    }

    #[test]
    fn the_oldest_go_where_there_is_no_room() {
        let mut exports = Exports::default();
        for number in 0..=COUNT_MAX {
            exports.keep(&[number as u8; 16], "ada".into(), "x".into(), "text/plain", 0).unwrap();
        }
        assert_eq!(exports.0.len(), COUNT_MAX);
        assert!(exports.read(&"00".repeat(16), 0, "ada", "u", 1).is_none());
        let half = "x".repeat(BYTES_MAX / 2 + 1);
        for number in 100..102u8 {
            exports.keep(&[number; 16], "ada".into(), half.clone().into(), "text/plain", 0).unwrap();
        }
        assert_eq!(exports.0.len(), 1);
        let far = "x".repeat(BYTES_MAX + 1);
        assert!(exports.keep(&[9; 16], "ada".into(), far.into(), "text/plain", 0).is_err());
        let empty = exports.keep(&[8; 16], "ada".into(), Bytes::new(), "text/plain", 0).unwrap();
        assert_eq!(empty.uris.len(), 1);
        assert!(exports.read(&"08".repeat(16), 0, "ada", "u", 1).is_some());
    }
}

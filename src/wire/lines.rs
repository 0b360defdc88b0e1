//! Lines out of a byte stream: split and joined packets, `\r\n`, blank lines, and a bound on what is kept.

use memchr::{memchr, memrchr};

use crate::limits::{MCP_LINE_BYTES_MAX, MCP_LONG_LINES_MAX};

/// What comes next in the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Framed<'buffer> {
    /// A line, without its end; never blank.
    Line(&'buffer [u8]),
    /// A line was longer than the limit and is left out. The stream goes on behind its end.
    TooLong,
    /// Too many lines in a row were too long: the connection is of no use.
    Hopeless,
}

/// Puts lines together. Holds at most a line of the limit and one packet.
#[derive(Debug)]
pub struct LineFramer {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were handed out.
    taken: usize,
    /// Bytes of `buffer` known to hold no line end; from `taken` on.
    scanned: usize,
    line_bytes_max: usize,
    /// The rest of the present line is thrown away.
    skipping: bool,
    long_lines: u32,
}

impl Default for LineFramer {
    fn default() -> Self {
        Self::new(MCP_LINE_BYTES_MAX)
    }
}

impl LineFramer {
    /// A framer for lines of at most so many bytes.
    #[must_use]
    pub fn new(line_bytes_max: usize) -> Self {
        Self { buffer: Vec::new(), taken: 0, scanned: 0, line_bytes_max, skipping: false, long_lines: 0 }
    }

    /// Takes the bytes of one read. What they complete is then to be taken with [`Self::next_line`] until it is `None`.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.scanned -= self.taken;
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes up to the end of the last whole line that was not taken out.
    #[must_use]
    pub fn whole(&self) -> usize {
        let unseen = self.buffer.get(self.scanned..).unwrap_or(&[]);
        memrchr(b'\n', unseen).map_or(0, |at| self.scanned + at + 1 - self.taken)
    }

    /// Whether nothing of a line is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.len() == self.taken && !self.skipping
    }

    /// The next line, or what became of it; `None` when the stream has to go on first.
    pub fn next_line(&mut self) -> Option<Framed<'_>> {
        loop {
            let unseen = self.buffer.get(self.scanned..).unwrap_or(&[]);
            let Some(end) = memchr(b'\n', unseen).map(|at| self.scanned + at) else {
                self.scanned = self.buffer.len();
                return self.unfinished();
            };
            let start = std::mem::replace(&mut self.taken, end + 1);
            self.scanned = end + 1;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            let line = self.buffer.get(start..end).unwrap_or(&[]);
            let end = end - usize::from(line.ends_with(b"\r"));
            if end - start > self.line_bytes_max {
                return Some(self.too_long());
            }
            if self.buffer.get(start..end).unwrap_or(&[]).iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            self.long_lines = 0;
            return self.buffer.get(start..end).map(Framed::Line);
        }
    }

    /// The bytes of an unfinished line are kept up to the limit, then thrown away until it ends.
    fn unfinished(&mut self) -> Option<Framed<'static>> {
        if self.skipping {
            self.taken = self.buffer.len();
            return None;
        }
        // One more byte than the limit may be the `\r` before the line's end.
        if self.buffer.len() - self.taken <= self.line_bytes_max + 1 {
            return None;
        }
        self.skipping = true;
        self.taken = self.buffer.len();
        Some(self.too_long())
    }

    fn too_long(&mut self) -> Framed<'static> {
        self.long_lines += 1;
        if self.long_lines >= MCP_LONG_LINES_MAX { Framed::Hopeless } else { Framed::TooLong }
    }

    /// Whether a line has begun and not ended: its deadline is the caller's.
    #[must_use]
    pub fn has_partial(&self) -> bool {
        self.skipping || self.buffer.len() > self.taken
    }

    /// Bytes that are held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that comes out when the stream arrives in these packets.
    fn lines(packets: &[&[u8]], limit: usize) -> Vec<Result<Vec<u8>, &'static str>> {
        let mut framer = LineFramer::new(limit);
        let mut out = Vec::new();
        for packet in packets {
            framer.push(packet);
            while let Some(framed) = framer.next_line() {
                out.push(match framed {
                    Framed::Line(line) => Ok(line.to_vec()),
                    Framed::TooLong => Err("long"),
                    Framed::Hopeless => Err("hopeless"),
                });
            }
            assert!(framer.held_bytes() <= limit + 2 + packet.len());
        }
        out
    }

    #[test]
    fn lines_are_whole_whatever_the_packets() {
        let whole = b"{\"a\":1}\r\n\n  \r\n{\"b\":2}\n{\"c\"";
        let expected = vec![Ok(b"{\"a\":1}".to_vec()), Ok(b"{\"b\":2}".to_vec())];
        assert_eq!(lines(&[whole], 100), expected);
        let single: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(lines(&single, 100), expected);
    }

    #[test]
    fn a_long_line_is_left_out_and_three_in_a_row_are_the_end() {
        assert_eq!(lines(&[b"12345\n"], 5), [Ok(b"12345".to_vec())]);
        assert_eq!(lines(&[b"12345\r", b"\n"], 5), [Ok(b"12345".to_vec())]);
        assert_eq!(lines(&[b"123456\n1\n"], 5), [Err("long"), Ok(b"1".to_vec())]);
        assert_eq!(lines(&[b"1234567", b"89", b"0\n1\n"], 5), [Err("long"), Ok(b"1".to_vec())]);
        assert_eq!(lines(&[b"1234567\n1234567\n1234567\n"], 5), [Err("long"), Err("long"), Err("hopeless")]);
        assert_eq!(lines(&[b"1234567\n1\n1234567\n1234567\n"], 5).last(), Some(&Err("long")));
    }

    proptest::proptest! {
        #[test]
        fn packets_never_change_what_comes_out(
            bytes in proptest::collection::vec(proptest::sample::select(b"\n\r ax".to_vec()), 0..200),
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= bytes.len()).collect();
            cuts.sort_unstable();
            let mut packets: Vec<&[u8]> = Vec::new();
            let mut from = 0;
            for cut in cuts {
                packets.push(&bytes[from..cut]);
                from = cut;
            }
            packets.push(&bytes[from..]);
            proptest::prop_assert_eq!(lines(&packets, 12), lines(&[&bytes], 12));
        }
    }
}

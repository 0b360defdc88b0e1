//! The bytes of one file: buffered, counted in lines, reported as progress.

use std::io::{self, BufRead, BufReader, Read};

use memchr::{memchr, memchr_iter, memrchr};

/// Bytes read from the system at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// Bytes between two calls of [`Progress::at`].
const PROGRESS_BYTES: u64 = 1 << 20;

/// Told now and then how far an import is. `()` ignores it.
pub trait Progress {
    /// `done` of `total` `unit`s ("bytes" or "files") are read.
    fn at(&mut self, done: u64, total: u64, unit: &'static str);
}

impl Progress for () {
    fn at(&mut self, _: u64, _: u64, _: &'static str) {}
}

/// A reader that knows its line.
pub(super) struct Source<'a> {
    inner: BufReader<Box<dyn Read + 'a>>,
    progress: &'a mut dyn Progress,
    done: u64,
    total: u64,
    /// Lines consumed whole.
    lines: u64,
    /// Bytes of the line that is being consumed.
    line_bytes: u64,
    report_at: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(inner: Box<dyn Read + 'a>, total: u64, progress: &'a mut dyn Progress) -> Self {
        let inner = BufReader::with_capacity(BUFFER_BYTES, inner);
        Self { inner, progress, done: 0, total, lines: 0, line_bytes: 0, report_at: PROGRESS_BYTES }
    }

    /// Line of the next byte, counted from 1.
    pub(super) fn line(&self) -> u64 {
        self.lines + 1
    }

    /// Byte of that line at which the next byte stands, counted from 1.
    pub(super) fn column(&self) -> u64 {
        self.line_bytes + 1
    }

    /// All bytes that the source will have, as far as known.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Appends the next line, without its end, to `line`; at most `limit` bytes of it are kept. `None` at the
    /// end of the file, else whether the line was longer.
    pub(super) fn read_line(&mut self, line: &mut Vec<u8>, limit: usize) -> io::Result<Option<bool>> {
        let mut any = false;
        let mut long = false;
        loop {
            let chunk = self.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = memchr(b'\n', chunk);
            let piece = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or(chunk);
            let room = limit.saturating_sub(line.len());
            long |= piece.len() > room;
            line.extend_from_slice(piece.get(..room).unwrap_or(piece));
            let consumed = end.map_or(chunk.len(), |end| end + 1);
            self.consume(consumed);
            if end.is_some() {
                break;
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(any.then_some(long))
    }
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        let taken = self.inner.buffer().get(..count).unwrap_or_default();
        match memrchr(b'\n', taken) {
            Some(last) => {
                self.lines += memchr_iter(b'\n', taken).count() as u64;
                self.line_bytes = (taken.len() - last - 1) as u64;
            }
            None => self.line_bytes += taken.len() as u64,
        }
        self.inner.consume(count);
        self.done += count as u64;
        if self.done >= self.report_at {
            self.report_at = self.done + PROGRESS_BYTES;
            self.progress.at(self.done, self.total.max(self.done), "bytes");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_any_way_and_are_counted() {
        let mut nothing = ();
        let mut source = Source::new(Box::new(&b"a\r\nbb\n\nlast"[..]), 11, &mut nothing);
        let mut seen = Vec::new();
        loop {
            let (mut line, number) = (Vec::new(), source.line());
            let Some(long) = source.read_line(&mut line, 3).unwrap() else { break };
            seen.push((number, String::from_utf8(line).unwrap(), long));
        }
        let expected = [(1, "a", false), (2, "bb", false), (3, "", false), (4, "las", true)];
        assert_eq!(seen, expected.map(|(number, line, long)| (number, line.to_string(), long)));
    }

    #[test]
    fn progress_is_told_and_never_past_the_total() {
        struct Seen(Vec<(u64, u64)>);
        impl Progress for Seen {
            fn at(&mut self, done: u64, total: u64, unit: &'static str) {
                assert_eq!(unit, "bytes");
                self.0.push((done, total));
            }
        }
        let bytes = vec![b'x'; 3 << 20];
        let mut seen = Seen(Vec::new());
        io::copy(&mut Source::new(Box::new(bytes.as_slice()), 3 << 20, &mut seen), &mut io::sink()).unwrap();
        assert!(seen.0.len() >= 2 && seen.0.iter().all(|(done, total)| done <= total));
    }
}

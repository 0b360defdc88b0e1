//! Lines of JSON on a TCP stream, each of bounded length, each within a time.

use std::io::{self, ErrorKind, Read, Write};
use std::marker::PhantomData;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a first line: whoever sends it may be anybody.
pub(super) const HELLO_BYTES_MAX: usize = 4 << 10;

/// Bytes of any other line: a plan with all its nodes, a slice with all its histograms.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;

/// For a line to be taken by the other side's kernel.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// Bytes asked for at once.
const READ_BYTES: usize = 64 << 10;

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Of the socket.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other side ended the connection.
    #[error("the connection was closed")]
    Closed,
    /// Nothing whole came in time.
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    /// A line over its bound.
    #[error("a line of more than {limit} bytes")]
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// Not JSON, or not a message.
    #[error("a line that is no message: {0}")]
    Garbage(#[from] serde_json::Error),
}

/// A stream that is read as lines of `T`.
pub(super) struct Lines<T> {
    stream: TcpStream,
    /// What was read and not taken.
    buffer: Vec<u8>,
    /// Bytes of `buffer` that hold no newline.
    searched: usize,
    limit: usize,
    what: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    /// Of a stream whose first line is a hello.
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_WITHIN))?;
        Ok(Self { stream, buffer: Vec::new(), searched: 0, limit: HELLO_BYTES_MAX, what: PhantomData })
    }

    /// From now on lines may be long: the other side is known.
    pub(super) fn trust(&mut self) {
        self.limit = LINE_BYTES_MAX;
    }

    /// The stream, to be written from elsewhere and to be shut down.
    pub(super) fn writer(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// The next line, whole within `within`.
    pub(super) fn next(&mut self, within: Duration) -> Result<T, LineError> {
        let begun = Instant::now();
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or(&[]);
            if let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') {
                let end = self.searched + end;
                self.within_limit(end)?;
                let line = serde_json::from_slice(self.buffer.get(..end).unwrap_or(&[]));
                self.buffer.drain(..=end);
                self.searched = 0;
                return Ok(line?);
            }
            self.searched = self.buffer.len();
            self.within_limit(self.searched)?;
            // The time is for the line, not for each of its pieces.
            let left = within.checked_sub(begun.elapsed()).filter(|left| !left.is_zero());
            self.stream.set_read_timeout(Some(left.ok_or(LineError::Silent(within))?))?;
            self.read()?;
        }
    }

    fn within_limit(&self, bytes: usize) -> Result<(), LineError> {
        if bytes > self.limit { Err(LineError::TooLong { limit: self.limit }) } else { Ok(()) }
    }

    fn read(&mut self) -> Result<(), LineError> {
        let held = self.buffer.len();
        self.buffer.resize(held + READ_BYTES, 0);
        let read = self.stream.read(self.buffer.get_mut(held..).unwrap_or(&mut []));
        self.buffer.truncate(held + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => Err(LineError::Closed),
            Ok(_) => Ok(()),
            // The caller looks at the clock.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes one message as a line.
pub(super) fn send<T: Serialize>(stream: &mut TcpStream, message: &T) -> Result<(), LineError> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(stream.write_all(&line)?)
}

/// Ends a connection, also for a thread that reads it.
pub(super) fn close(stream: &TcpStream) {
    // One that the other side has ended is as good.
    let _ = stream.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use super::*;

    fn pair() -> (TcpStream, Lines<u32>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (far, Lines::new(listener.accept().unwrap().0).unwrap())
    }

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn lines_come_whole_in_any_pieces() {
        let (mut far, mut lines) = pair();
        far.write_all(b"1\n22\n3").unwrap();
        assert_eq!((lines.next(LONG).unwrap(), lines.next(LONG).unwrap()), (1, 22));
        let short = Duration::from_millis(20);
        assert!(matches!(lines.next(short), Err(LineError::Silent(_))));
        far.write_all(b"45\nx\n").unwrap();
        assert_eq!(lines.next(LONG).unwrap(), 345);
        assert!(matches!(lines.next(LONG), Err(LineError::Garbage(_))));
        drop(far);
        assert!(matches!(lines.next(LONG), Err(LineError::Closed)));
    }

    #[test]
    fn a_line_has_a_bound_whether_it_ends_or_not() {
        for end in [&b""[..], b"\n"] {
            let (mut far, mut lines) = pair();
            far.write_all(&[b'1'; HELLO_BYTES_MAX + 1]).unwrap();
            far.write_all(end).unwrap();
            assert!(matches!(lines.next(LONG), Err(LineError::TooLong { limit: HELLO_BYTES_MAX })));
        }
        let (mut far, mut lines) = pair();
        lines.trust();
        thread::spawn(move || {
            far.write_all(&[b' '; 1 << 20]).unwrap();
            far.write_all(b"7\n").unwrap();
        });
        assert_eq!(lines.next(LONG).unwrap(), 7);
    }

    #[test]
    fn drops_do_not_buy_time() {
        let (mut far, mut lines) = pair();
        thread::spawn(move || {
            while far.write_all(b"1").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        });
        let begun = Instant::now();
        assert!(matches!(lines.next(Duration::from_millis(100)), Err(LineError::Silent(_))));
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}

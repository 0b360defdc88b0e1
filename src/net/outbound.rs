//! What one connection has yet to send: its private bytes, the frame it is in, and whether a newer one waits.
//!
//! A frame is shared: head and body belong to the pool's frame, only the cursor is this connection's. Private bytes
//! (texts, pongs, close) go out at a frame boundary only, since a WebSocket message may not be cut open.

use std::io::{ErrorKind, IoSlice, Result, Write};
use std::sync::Arc;

use crate::handoff::{ClassRef, Frame, Transport};
use crate::wire::{CloseCode, Profile, ServerMessage, push_tcp_text, push_ws_close, push_ws_text};

/// Private bytes a connection may have queued. A client that asks faster than it reads is closed with 1013.
pub const PRIVATE_BYTES_MAX: usize = 64 << 10;

/// Bytes one connection may write in one turn before the next one has its turn.
const TURN_BYTES_MAX: usize = 4 << 20;

/// Where a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing is left to send.
    Idle,
    /// The kernel takes no more for now.
    Blocked,
    /// The turn's byte budget is used up.
    Budget,
    /// Nothing is left to send, and the connection asked to close.
    Finished,
}

/// What a flush did, for the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes the kernel took.
    pub bytes: u64,
    /// Calls of `writev`.
    pub writes: u64,
    /// Frames whose last byte it took.
    pub frames: u64,
    /// Frames left out between the last one begun and this one.
    pub conflated: u64,
}

/// The frame being sent.
enum Source {
    /// Straight from the pool.
    Leased { frame: Arc<Frame>, class: ClassRef, profile: Profile },
    /// The rest of it, copied so that the pool could have it back.
    Copied(Vec<u8>),
}

/// Between two flushes it has begun: a frame of which no byte went out is given back, so that a newer one can
/// take its place and private bytes still find a boundary.
struct Sending {
    source: Source,
    /// Bytes of head and body (or of the copy) that are sent.
    sent: usize,
    /// When it was leased.
    since_ns: u64,
    /// Sequence of the frame begun before it.
    previous: u64,
    /// Frames left out between the two.
    conflated: u64,
    /// It goes out again although it had been sent.
    resend: bool,
}

/// The outbound half of a connection.
pub struct Outbound {
    transport: Transport,
    class: ClassRef,
    profile: Profile,
    private: Vec<u8>,
    private_sent: usize,
    sending: Option<Sending>,
    /// Sequence of the last frame begun in this class; 0 before the first.
    last_sequence: u64,
    /// The newest frame goes out even if it has been sent already.
    resend: bool,
    closing: bool,
    /// The kernel took nothing of what there was.
    blocked: bool,
    /// When it last took a byte, or refused the first one.
    progress_ns: u64,
}

impl Outbound {
    /// Nothing sent yet; `first` precedes everything.
    pub fn new(transport: Transport, class: ClassRef, profile: Profile, first: Vec<u8>, now_ns: u64) -> Self {
        Self {
            transport,
            class,
            profile,
            private: first,
            private_sent: 0,
            sending: None,
            last_sequence: 0,
            resend: false,
            closing: false,
            blocked: false,
            progress_ns: now_ns,
        }
    }

    /// The class whose frames it gets.
    pub fn class(&self) -> ClassRef {
        self.class
    }

    /// The framing.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// From the next frame on, those of another class. The format stays.
    pub fn reclass(&mut self, class: ClassRef) {
        self.class = class;
        self.last_sequence = 0;
    }

    /// The newest frame is to be sent once more.
    pub fn resend(&mut self) {
        self.resend = true;
    }

    /// Whether a close is on its way out.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether the next byte would start a message, so that a close frame can be heard.
    pub fn at_boundary(&self) -> bool {
        self.sending.is_none() && self.private.is_empty()
    }

    /// Queues a text message; `false`, and nothing queued, when the client has let too many pile up.
    pub fn text(&mut self, json: &[u8]) -> bool {
        if self.closing {
            return true;
        }
        if self.private_bytes() + json.len() > PRIVATE_BYTES_MAX {
            return false;
        }
        match self.transport {
            Transport::WebSocket => push_ws_text(json, &mut self.private),
            Transport::Tcp => push_tcp_text(json, &mut self.private),
        }
        true
    }

    /// Private bytes that wait.
    pub fn private_bytes(&self) -> usize {
        self.private.len() - self.private_sent
    }

    /// Queues a server message; see [`Self::text`].
    pub fn message(&mut self, message: &ServerMessage<'_>) -> bool {
        self.text(&message.to_vec())
    }

    /// The buffer that the WebSocket parser's own replies land in.
    pub fn private_mut(&mut self) -> &mut Vec<u8> {
        &mut self.private
    }

    /// Queues the close and takes no new frames. The one in writing is finished first.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        if self.closing {
            return;
        }
        match self.transport {
            Transport::WebSocket => push_ws_close(code, reason, &mut self.private),
            Transport::Tcp => {
                let goodbye = ServerMessage::Goodbye { code: code.number(), reason };
                push_tcp_text(&goodbye.to_vec(), &mut self.private);
            }
        }
        self.closing = true;
    }

    /// Takes no new frames; what is queued, a close reply of the parser among it, still goes out.
    pub fn finish(&mut self) {
        self.closing = true;
    }

    /// How long the kernel has taken nothing although there was something, ns.
    pub fn stalled_ns(&self, now_ns: u64) -> u64 {
        if self.blocked { now_ns.saturating_sub(self.progress_ns) } else { 0 }
    }

    /// How long it has leased the frame it is sending, ns; 0 when it leases none.
    pub fn lease_ns(&self, now_ns: u64) -> u64 {
        match &self.sending {
            Some(Sending { source: Source::Leased { .. }, since_ns, .. }) => now_ns.saturating_sub(*since_ns),
            _ => 0,
        }
    }

    /// Bytes of copies it holds.
    pub fn copied_bytes(&self) -> usize {
        match &self.sending {
            Some(Sending { source: Source::Copied(rest), .. }) => rest.len(),
            _ => 0,
        }
    }

    /// Ends the lease by copying the rest of the frame; returns the bytes copied. Allocates: for slow clients only.
    #[cold]
    pub fn copy_lease(&mut self) -> usize {
        let transport = self.transport;
        let Some(sending) = &mut self.sending else { return 0 };
        let Source::Leased { frame, class, profile } = &sending.source else { return 0 };
        let (head, body) = parts(frame, *class, *profile, transport, sending.sent);
        let mut rest = Vec::with_capacity(head.len() + body.len());
        rest.extend_from_slice(head);
        rest.extend_from_slice(body);
        let copied = rest.len();
        sending.source = Source::Copied(rest);
        sending.sent = 0;
        copied
    }

    /// Sends what there is: private bytes at a boundary, the rest of the frame, then the newest frame of the class
    /// when it has not had it. `front` is the newest frame that carries the class. One `writev` a round; no allocation.
    ///
    /// # Errors
    /// What the socket says, `WouldBlock` and `Interrupted` apart.
    pub fn flush(
        &mut self,
        sink: &mut impl Write,
        front: Option<&Arc<Frame>>,
        now_ns: u64,
        sent: &mut Sent,
    ) -> Result<Flushed> {
        let flushed = self.flush_begun(sink, front, now_ns, sent);
        let blocked = matches!(flushed, Ok(Flushed::Blocked));
        if blocked && !self.blocked {
            self.progress_ns = now_ns;
        }
        self.blocked = blocked;
        self.give_back_unbegun();
        flushed
    }

    fn flush_begun(
        &mut self,
        sink: &mut impl Write,
        front: Option<&Arc<Frame>>,
        now_ns: u64,
        sent: &mut Sent,
    ) -> Result<Flushed> {
        let mut budget = TURN_BYTES_MAX;
        loop {
            if self.sending.is_none() && !self.closing {
                self.take_front(front, now_ns);
            }
            if self.at_boundary() {
                self.progress_ns = now_ns;
                return Ok(if self.closing { Flushed::Finished } else { Flushed::Idle });
            }
            if budget == 0 {
                return Ok(Flushed::Budget);
            }
            let taken = match self.write_once(sink) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.progress_ns = now_ns;
            budget = budget.saturating_sub(taken);
            sent.bytes += taken as u64;
            sent.writes += 1;
            self.advance(taken, sent);
        }
    }

    /// Leases the newest frame unless it was begun already.
    fn take_front(&mut self, front: Option<&Arc<Frame>>, now_ns: u64) {
        let Some(frame) = front else { return };
        let Some(head) = frame.head(self.class) else { return };
        let (previous, sequence) = (self.last_sequence, head.sequence());
        if sequence <= previous && !self.resend {
            return;
        }
        let conflated = if previous > 0 { sequence.saturating_sub(previous + 1) } else { 0 };
        let source = Source::Leased { frame: Arc::clone(frame), class: self.class, profile: self.profile };
        self.sending = Some(Sending { source, sent: 0, since_ns: now_ns, previous, conflated, resend: self.resend });
        self.last_sequence = sequence;
        self.resend = false;
    }

    /// Ends the lease on a frame of which no byte went out.
    fn give_back_unbegun(&mut self) {
        if let Some(sending) =
            self.sending.take_if(|sending| sending.sent == 0 && matches!(sending.source, Source::Leased { .. }))
        {
            self.last_sequence = sending.previous;
            self.resend |= sending.resend;
        }
    }

    fn write_once(&self, sink: &mut impl Write) -> Result<usize> {
        let private = self.private.get(self.private_sent..).unwrap_or(&[]);
        match &self.sending {
            // Private bytes go first only while the frame has not begun.
            Some(Sending { source: Source::Leased { frame, class, profile }, sent, .. }) => {
                let (head, body) = parts(frame, *class, *profile, self.transport, *sent);
                let private = if *sent == 0 { private } else { &[] };
                match (private.is_empty(), head.is_empty()) {
                    (true, true) => sink.write(body),
                    (true, false) => sink.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]),
                    _ => sink.write_vectored(&[IoSlice::new(private), IoSlice::new(head), IoSlice::new(body)]),
                }
            }
            Some(Sending { source: Source::Copied(rest), sent, .. }) => sink.write(rest.get(*sent..).unwrap_or(&[])),
            None => sink.write(private),
        }
    }

    /// Moves the cursors over `taken` bytes.
    fn advance(&mut self, mut taken: usize, sent: &mut Sent) {
        let frame_begun = match &self.sending {
            Some(sending) => sending.sent > 0 || matches!(sending.source, Source::Copied(_)),
            None => false,
        };
        if !frame_begun {
            let of_private = taken.min(self.private_bytes());
            self.private_sent += of_private;
            taken -= of_private;
            if self.private_bytes() == 0 {
                self.private.clear();
                self.private_sent = 0;
            }
        }
        let Some(sending) = &mut self.sending else { return };
        if taken == 0 {
            return;
        }
        sending.sent += taken;
        let total = match &sending.source {
            Source::Leased { frame, class, profile } => {
                let (head, body) = parts(frame, *class, *profile, self.transport, 0);
                head.len() + body.len()
            }
            Source::Copied(rest) => rest.len(),
        };
        debug_assert!(sending.sent <= total, "the kernel takes no more than it was given");
        if sending.sent == total {
            sent.frames += 1;
            sent.conflated += sending.conflated;
            self.sending = None;
        }
    }
}

/// Head and body of a frame from byte `sent` on.
fn parts(frame: &Frame, class: ClassRef, profile: Profile, transport: Transport, sent: usize) -> (&[u8], &[u8]) {
    let head = frame.head(class).map_or(&[][..], |head| match transport {
        Transport::WebSocket => head.ws(),
        Transport::Tcp => head.tcp(),
    });
    let body = frame.body(profile);
    match head.get(sent..) {
        Some(rest) => (rest, body),
        None => (&[], body.get(sent - head.len()..).unwrap_or(&[])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handoff::{FramePool, Stamp};
    use crate::wire::FrameHeader;

    const CLASS: ClassRef = ClassRef { slot: 0, serial: 5 };

    /// Takes `step` bytes a call and refuses every second call, as a full kernel buffer does.
    struct Trickle {
        step: usize,
        refuse: bool,
        bytes: Vec<u8>,
    }

    impl Write for Trickle {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.refuse = !self.refuse;
            if self.refuse {
                return Err(ErrorKind::WouldBlock.into());
            }
            let taken = bytes.len().min(self.step);
            self.bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            self.write(&all)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn frame(pool: &mut FramePool, sequence: u64) -> Arc<Frame> {
        let published = pool.publish(|frame| {
            frame.begin(Stamp { epoch: 1, tick: sequence, ..Stamp::default() }, &[1, 2, 3]);
            frame.encode(CLASS, Profile::Own, sequence);
        });
        published.unwrap()
    }

    fn outbound(first: &[u8]) -> Outbound {
        Outbound::new(Transport::Tcp, CLASS, Profile::Own, first.to_vec(), 0)
    }

    /// Splits a TCP stream into texts and frame sequences.
    fn records(mut bytes: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let word = u32::from_le_bytes(bytes[..4].try_into().unwrap());
            let length = (word & 0x7FFF_FFFF) as usize;
            let body = &bytes[4..4 + length];
            out.push(match word >> 31 {
                1 => String::from_utf8(body.to_vec()).unwrap(),
                _ => format!("frame {}", FrameHeader::parse(body).unwrap().0.sequence.get()),
            });
            bytes = &bytes[4 + length..];
        }
        out
    }

    fn drain(out: &mut Outbound, sink: &mut Trickle, front: Option<&Arc<Frame>>, sent: &mut Sent) -> Flushed {
        loop {
            match out.flush(sink, front, 1, sent).unwrap() {
                Flushed::Blocked | Flushed::Budget => {}
                ended => return ended,
            }
        }
    }

    #[test]
    fn partial_writes_at_every_byte_keep_messages_whole() {
        for step in 1..200 {
            let mut pool = FramePool::new(2);
            let mut sink = Trickle { step, refuse: true, bytes: Vec::new() };
            let (mut out, mut sent) = (outbound(&[]), Sent::default());
            assert!(out.text(b"{\"a\":1}"));
            let first = frame(&mut pool, 1);
            // One write into the first frame (or the text before it), then a text that must wait for its end.
            let _ = out.flush(&mut sink, Some(&first), 1, &mut sent).unwrap();
            assert!(out.text(b"{\"b\":2}"));
            drain(&mut out, &mut sink, Some(&first), &mut sent);
            let second = frame(&mut pool, 4);
            drain(&mut out, &mut sink, Some(&second), &mut sent);
            let found = records(&sink.bytes);
            let texts: Vec<_> = found.iter().filter(|text| text.starts_with('{')).collect();
            let frames: Vec<_> = found.iter().filter(|text| text.starts_with('f')).collect();
            assert_eq!(texts, ["{\"a\":1}", "{\"b\":2}"], "step {step}");
            assert_eq!(frames, ["frame 1", "frame 4"], "step {step}");
            assert_eq!((sent.frames, sent.conflated, sent.bytes), (2, 2, sink.bytes.len() as u64));
        }
    }

    #[test]
    fn copying_a_lease_frees_the_frame_and_changes_no_byte() {
        for stop_after in 0..6 {
            let mut pool = FramePool::new(1);
            let mut sink = Trickle { step: 30, refuse: true, bytes: Vec::new() };
            let (mut out, mut sent) = (outbound(b""), Sent::default());
            let front = frame(&mut pool, 7);
            for _ in 0..stop_after {
                let _ = out.flush(&mut sink, Some(&front), 1, &mut sent).unwrap();
            }
            let left = 4 + 64 + 3 * 28 - sink.bytes.len();
            if stop_after > 0 && left > 0 {
                assert_eq!((out.lease_ns(11), out.copy_lease(), out.copied_bytes()), (10, left, left));
                assert_eq!(out.lease_ns(11), 0);
                drop(front);
                assert_eq!(pool.free(), 1);
            }
            assert!(out.text(b"{}"));
            drain(&mut out, &mut sink, None, &mut sent);
            let expected: &[&str] = if stop_after > 0 { &["frame 7", "{}"] } else { &["{}"] };
            assert_eq!(records(&sink.bytes), expected);
        }
    }

    #[test]
    fn a_frame_that_has_not_begun_is_given_back_and_tears_nothing() {
        for cut in 1..19 {
            let mut pool = FramePool::new(1);
            let mut sink = Trickle { step: cut, refuse: true, bytes: Vec::new() };
            let (mut out, mut sent) = (outbound(b""), Sent::default());
            assert!(out.text(br#"{"a":"a text longer than the cut"}"#));
            let front = frame(&mut pool, 3);
            // Two flushes, and the text is not through yet.
            for _ in 0..2 {
                assert_eq!(out.flush(&mut sink, Some(&front), 1, &mut sent).unwrap(), Flushed::Blocked);
            }
            assert_eq!((out.copy_lease(), out.lease_ns(9)), (0, 0), "nothing is leased that has not begun");
            out.close(CloseCode::Away, "bye");
            assert_eq!(drain(&mut out, &mut sink, Some(&front), &mut sent), Flushed::Finished);
            let goodbye = r#"{"type":"goodbye","code":1001,"reason":"bye"}"#;
            assert_eq!(records(&sink.bytes), [r#"{"a":"a text longer than the cut"}"#, goodbye], "cut {cut}");
            drop(front);
            assert_eq!(pool.free(), 1);
        }
    }

    #[test]
    fn a_close_ends_the_frame_in_writing_and_takes_no_other() {
        let mut pool = FramePool::new(2);
        let mut sink = Trickle { step: 50, refuse: true, bytes: Vec::new() };
        let (mut out, mut sent) = (outbound(b""), Sent::default());
        let front = frame(&mut pool, 1);
        let _ = out.flush(&mut sink, Some(&front), 1, &mut sent).unwrap();
        out.close(CloseCode::Away, "bye");
        let newer = frame(&mut pool, 2);
        assert_eq!(drain(&mut out, &mut sink, Some(&newer), &mut sent), Flushed::Finished);
        let goodbye = r#"{"type":"goodbye","code":1001,"reason":"bye"}"#;
        assert_eq!(records(&sink.bytes), ["frame 1", goodbye]);
    }

    #[test]
    fn a_frame_is_sent_once_unless_it_is_asked_for_again() {
        let mut pool = FramePool::new(1);
        let mut sink = Trickle { step: 10_000, refuse: true, bytes: Vec::new() };
        let (mut out, mut sent) = (outbound(b""), Sent::default());
        let front = frame(&mut pool, 3);
        drain(&mut out, &mut sink, Some(&front), &mut sent);
        drain(&mut out, &mut sink, Some(&front), &mut sent);
        assert_eq!(sent.frames, 1);
        out.resend();
        drain(&mut out, &mut sink, Some(&front), &mut sent);
        assert_eq!((sent.frames, sent.conflated), (2, 0));
    }

    #[test]
    fn a_client_that_asks_without_reading_is_noticed() {
        let mut out = outbound(b"");
        let text = [b'x'; 1_000];
        let taken = (0..100).take_while(|_| out.text(&text)).count();
        assert_eq!(taken, 65, "65 texts of 1,004 bytes fit into 64 KiB");
        assert!(out.private_bytes() <= PRIVATE_BYTES_MAX);
    }

    #[test]
    fn a_client_that_stops_between_two_frames_is_stalled_too() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> Result<usize> {
                Err(ErrorKind::WouldBlock.into())
            }
            fn flush(&mut self) -> Result<()> {
                Ok(())
            }
        }
        let mut pool = FramePool::new(2);
        let (mut out, mut sent) = (outbound(b""), Sent::default());
        let front = frame(&mut pool, 1);
        assert_eq!(out.flush(&mut Full, Some(&front), 10, &mut sent).unwrap(), Flushed::Blocked);
        assert_eq!((out.stalled_ns(60), out.lease_ns(60)), (50, 0));
        let newer = frame(&mut pool, 2);
        let mut sink = Trickle { step: 10_000, refuse: true, bytes: Vec::new() };
        drain(&mut out, &mut sink, Some(&newer), &mut sent);
        assert_eq!((records(&sink.bytes), out.stalled_ns(90)), (vec!["frame 2".to_owned()], 0));
    }
}

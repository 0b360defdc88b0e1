//! How one connection's bytes come out, whatever the kernel takes of them.

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
        frame.publish_at(1);
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
        match out.flush(sink, &mut Supply::Front(front), 1, sent).unwrap() {
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
        let _ = out.flush(&mut sink, &mut Supply::Front(Some(&first)), 1, &mut sent).unwrap();
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
            let _ = out.flush(&mut sink, &mut Supply::Front(Some(&front)), 1, &mut sent).unwrap();
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
            assert_eq!(out.flush(&mut sink, &mut Supply::Front(Some(&front)), 1, &mut sent).unwrap(), Flushed::Blocked);
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
    let _ = out.flush(&mut sink, &mut Supply::Front(Some(&front)), 1, &mut sent).unwrap();
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
fn a_client_that_never_reads_all_costs_no_more_memory() {
    const TEXT_BYTES: usize = 40 << 10;
    let mut sink = Trickle { step: TEXT_BYTES, refuse: true, bytes: Vec::new() };
    let (mut out, mut sent) = (outbound(b""), Sent::default());
    let mut text = vec![b'x'; TEXT_BYTES];
    for round in 0..1_000 {
        text[..3].copy_from_slice(format!("{round:03}").as_bytes());
        assert!(out.text(&text));
        // It takes the bytes of a text, but not those of its length: something is always left.
        let flushed = out.flush(&mut sink, &mut Supply::Front(None), 1, &mut sent).unwrap();
        assert_eq!((flushed, out.private_bytes()), (Flushed::Blocked, 4 * (round + 1)));
        assert!(out.private_mut().capacity() <= 4 * PRIVATE_BYTES_MAX, "round {round}");
    }
    assert_eq!(drain(&mut out, &mut sink, None, &mut sent), Flushed::Idle);
    let texts = records(&sink.bytes);
    assert!(texts.iter().all(|text| text.len() == TEXT_BYTES));
    assert!(texts.iter().map(|text| text[..3].parse::<usize>().unwrap()).eq(0..1_000), "in order, none lost");
    assert_eq!(out.private_mut().capacity(), 0, "what it needed is given back");
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
    assert_eq!(out.flush(&mut Full, &mut Supply::Front(Some(&front)), 10, &mut sent).unwrap(), Flushed::Blocked);
    assert_eq!((out.stalled_ns(60), out.lease_ns(60)), (50, 0));
    let newer = frame(&mut pool, 2);
    let mut sink = Trickle { step: 10_000, refuse: true, bytes: Vec::new() };
    drain(&mut out, &mut sink, Some(&newer), &mut sent);
    assert_eq!((records(&sink.bytes), out.stalled_ns(90)), (vec!["frame 2".to_owned()], 0));
}

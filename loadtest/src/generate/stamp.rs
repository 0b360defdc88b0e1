//! What a frame says about itself: when it was due and published, and where it stands in its sequence.

use swarmcast::wire::{
    FLAG_COMPRESSED, FLAG_SETTLED, FrameHeader, HEADER_BYTES, KIND_COLUMNS, KIND_DELTA, KIND_FULL, MAGIC, Profile,
    VERSION,
};
use zerocopy::FromBytes;

use crate::clock::{monotonic_ns, realtime_ns};
use crate::plan::{Protocol, Stamp, StampClock, StampKind};

/// What is known of one frame. Times are of the server's clock, brought to our monotonic one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// When it should have been made.
    pub due_ns: Option<u64>,
    /// When it was published.
    pub published_ns: Option<u64>,
    /// Its place in the stream, from 1.
    pub sequence: Option<u64>,
    /// The server is at rest: it owes nothing until something moves.
    pub resting: bool,
    /// Nodes that it shows, where it says so.
    pub nodes: Option<u32>,
}

/// The server's clocks against our monotonic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Server's monotonic clock minus ours.
    pub offset_ns: i64,
    /// By how much that may be off.
    pub error_ns: u64,
    /// Our wall clock minus our monotonic one.
    pub unix_ns: i64,
}

impl Clocks {
    /// With our wall clock as it is now.
    #[must_use]
    pub fn now((offset_ns, error_ns): (i64, u64)) -> Self {
        Self { offset_ns, error_ns, unix_ns: realtime_ns().wrapping_sub(monotonic_ns()).cast_signed() }
    }
}

/// Reads the facts off the first bytes of a message of `length` bytes.
///
/// # Errors
/// The kind of error it counts as, when the message is not a frame of its protocol.
pub fn facts(protocol: &Protocol, head: &[u8], length: u64, clocks: Clocks) -> Result<Facts, &'static str> {
    match protocol {
        Protocol::Swarmcast { profile: Profile::Own | Profile::OwnLz4, .. } => own(head, length, clocks),
        Protocol::Swarmcast { profile, .. } => {
            let nodes = usize::try_from(length).ok().and_then(|length| profile.nodes_in(length));
            nodes.map(|_| Facts::default()).ok_or("frame_length")
        }
        Protocol::Generic { stamp: Some(stamp), .. } => {
            let at = read(*stamp, head).ok_or("frame_without_stamp")?;
            let clock = match stamp.clock {
                StampClock::Monotonic => clocks.offset_ns,
                StampClock::Unix => clocks.unix_ns,
            };
            let at = ours(at, clock);
            Ok(Facts { due_ns: Some(at), published_ns: Some(at), ..Facts::default() })
        }
        Protocol::Compact(_) => compact(head, length).map(|header| of_header(header, clocks)),
        Protocol::Generic { .. } | Protocol::JsonRpc(_) => Ok(Facts::default()),
    }
}

/// The header of a message of the compact profile.
///
/// # Errors
/// The kind of error it counts as, when it is none.
pub fn compact(head: &[u8], length: u64) -> Result<&FrameHeader, &'static str> {
    let (header, _) = FrameHeader::ref_from_prefix(head).map_err(|_| "frame_header")?;
    let known =
        header.magic == MAGIC && header.version == VERSION && (KIND_DELTA..=KIND_COLUMNS).contains(&header.kind);
    let agrees = length == HEADER_BYTES as u64 + u64::from(header.body_bytes.get());
    if known && agrees { Ok(header) } else { Err("frame_header") }
}

/// What a header of ours says about its frame.
#[must_use]
pub fn of_header(header: &FrameHeader, clocks: Clocks) -> Facts {
    Facts {
        due_ns: Some(ours(header.tick_ns.get(), clocks.offset_ns)),
        published_ns: Some(ours(header.published_ns.get(), clocks.offset_ns)),
        sequence: Some(header.sequence.get()),
        resting: header.flags.get() & FLAG_SETTLED != 0,
        nodes: Some(header.node_count.get()),
    }
}

fn own(head: &[u8], length: u64, clocks: Clocks) -> Result<Facts, &'static str> {
    let (header, _) = FrameHeader::ref_from_prefix(head).map_err(|_| "frame_header")?;
    let known = header.magic == MAGIC && header.version == VERSION && header.kind == KIND_FULL;
    let (nodes, body) = (u64::from(header.node_count.get()), u64::from(header.body_bytes.get()));
    let records = nodes * Profile::Own.record_bytes() as u64;
    let packed = header.flags.get() & FLAG_COMPRESSED != 0 && body < records;
    let agrees = (body == records || packed) && length == HEADER_BYTES as u64 + body;
    if !known || !agrees {
        return Err("frame_header");
    }
    Ok(of_header(header, clocks))
}

/// A time of a clock that is ahead of ours by `clock_ns`.
fn ours(at_ns: u64, clock_ns: i64) -> u64 {
    at_ns.saturating_add_signed(clock_ns.saturating_neg())
}

/// The stamp in ns of its clock.
fn read(stamp: Stamp, head: &[u8]) -> Option<u64> {
    let bytes = *head.get(usize::from(stamp.offset)..)?.first_chunk::<8>()?;
    let float = |value: f64| {
        let ns = value * f64::from(stamp.unit_ns);
        (ns.is_finite() && (0.0..u64::MAX as f64).contains(&ns)).then_some(ns as u64)
    };
    match stamp.kind {
        StampKind::U64Le => u64::from_le_bytes(bytes).checked_mul(u64::from(stamp.unit_ns)),
        StampKind::U64Be => u64::from_be_bytes(bytes).checked_mul(u64::from(stamp.unit_ns)),
        StampKind::F64Le => float(f64::from_le_bytes(bytes)),
        StampKind::F64Be => float(f64::from_be_bytes(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Framing;
    use zerocopy::IntoBytes;

    #[test]
    fn our_own_header_is_read_and_checked() {
        let header = FrameHeader {
            magic: MAGIC,
            version: VERSION,
            kind: KIND_FULL,
            flags: FLAG_SETTLED.into(),
            sequence: 9.into(),
            tick_ns: 5_000.into(),
            published_ns: 6_000.into(),
            node_count: 2.into(),
            body_bytes: 56.into(),
            ..FrameHeader::default()
        };
        let protocol = Protocol::Swarmcast { profile: Profile::Own, rate_hz: 60 };
        let clocks = Clocks { offset_ns: 1_000, error_ns: 0, unix_ns: 0 };
        let read = |head: &[u8], length| facts(&protocol, head, length, clocks);
        let expected =
            Facts { due_ns: Some(4_000), published_ns: Some(5_000), sequence: Some(9), resting: true, nodes: Some(2) };
        assert_eq!(read(header.as_bytes(), 120), Ok(expected));
        assert_eq!(read(header.as_bytes(), 121), Err("frame_header"));
        assert_eq!(read(&header.as_bytes()[..63], 120), Err("frame_header"));
        assert_eq!(read(FrameHeader { version: 2, ..header }.as_bytes(), 120), Err("frame_header"));
        let delta = FrameHeader { kind: KIND_DELTA, body_bytes: 5.into(), ..header };
        assert!(compact(delta.as_bytes(), 69).is_ok());
        assert_eq!(compact(delta.as_bytes(), 70), Err("frame_header"));
        assert_eq!(compact(header.as_bytes(), 120), Err("frame_header"), "a full frame is of another profile");
        let legacy = Protocol::Swarmcast { profile: Profile::V2, rate_hz: 60 };
        assert_eq!(facts(&legacy, &[], 73, clocks), Ok(Facts::default()));
        assert_eq!(facts(&legacy, &[], 74, clocks), Err("frame_length"));
    }

    #[test]
    fn stamps_of_any_kind_are_read() {
        let clocks = Clocks { offset_ns: -7, error_ns: 0, unix_ns: 1_000_000 };
        let read = |kind, unit_ns, clock, bytes: [u8; 8]| {
            let stamp = Stamp { offset: 2, kind, unit_ns, clock };
            let protocol = Protocol::Generic { framing: Framing::None, stamp: Some(stamp), hello: vec![] };
            let head = [&[1, 2][..], &bytes].concat();
            facts(&protocol, &head, 10, clocks).map(|facts| facts.due_ns.unwrap())
        };
        assert_eq!(read(StampKind::U64Le, 1, StampClock::Monotonic, 50_u64.to_le_bytes()), Ok(57));
        assert_eq!(read(StampKind::U64Be, 1_000_000, StampClock::Unix, 3_u64.to_be_bytes()), Ok(2_000_000));
        assert_eq!(read(StampKind::F64Le, 1_000_000, StampClock::Unix, 3.5_f64.to_le_bytes()), Ok(2_500_000));
        assert_eq!(read(StampKind::F64Be, 1, StampClock::Unix, f64::NAN.to_be_bytes()), Err("frame_without_stamp"));
        assert_eq!(read(StampKind::U64Le, 1_000, StampClock::Unix, [255; 8]), Err("frame_without_stamp"));
        let short = Protocol::Generic {
            framing: Framing::None,
            stamp: Some(Stamp { offset: 2, kind: StampKind::U64Le, unit_ns: 1, clock: StampClock::Unix }),
            hello: vec![],
        };
        assert_eq!(facts(&short, &[0; 9], 9, clocks), Err("frame_without_stamp"));
    }
}

//! What is recorded: per group and slice of time, histograms and counts that merge without loss.
//!
//! A generating thread owns its records and fills them without allocating; the collector merges.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Highest value that is told apart: ten minutes in ns. Longer ones count as this.
pub const VALUE_MAX: u64 = 600 * crate::clock::SECOND_NS;

/// Significant decimal digits of every histogram.
pub const DIGITS: u8 = 3;

/// A distribution that is recorded. All are in ns but [`Timing::ClientRate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// From when a frame was due to its last byte: of frames that came, and of those that did not, until the client
    /// had a newer one. The corrected figure.
    Latency,
    /// From the server's publish stamp to the last byte, of frames that came.
    LatencyRaw,
    /// Between two frames of one client.
    Gap,
    /// From when a client should have begun to connect to the last byte of its first frame.
    FirstFrame,
    /// From when a client should have begun to connect to the end of the handshake.
    Connect,
    /// From when a ping was due to its answer.
    RoundTrip,
    /// From when a call was due to its answer.
    Call,
    /// From when a call was sent to its answer.
    CallService,
    /// From the last thing a half-open or silent client did to the server's end of the connection.
    Eviction,
    /// What waits in a slow reader's own receive buffer, as the time that it takes to read it.
    OwnQueue,
    /// Not a time: every client's delivered frames per 1,000 s.
    ClientRate,
}

/// All of them, in the order of the enum.
pub const TIMINGS: [Timing; 11] = [
    Timing::Latency,
    Timing::LatencyRaw,
    Timing::Gap,
    Timing::FirstFrame,
    Timing::Connect,
    Timing::RoundTrip,
    Timing::Call,
    Timing::CallService,
    Timing::Eviction,
    Timing::OwnQueue,
    Timing::ClientRate,
];

impl Timing {
    /// The name in thresholds, tags and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::LatencyRaw => "latency_raw",
            Self::Gap => "gap",
            Self::FirstFrame => "first_frame",
            Self::Connect => "connect",
            Self::RoundTrip => "round_trip",
            Self::Call => "call",
            Self::CallService => "call_service",
            Self::Eviction => "eviction",
            Self::OwnQueue => "own_queue",
            Self::ClientRate => "client_rate",
        }
    }

    /// What it measures, for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Latency => "latency, due to last byte (corrected)",
            Self::LatencyRaw => "latency, published to last byte (raw)",
            Self::Gap => "gap between frames",
            Self::FirstFrame => "time to first frame",
            Self::Connect => "connect and handshake",
            Self::RoundTrip => "ping round trip",
            Self::Call => "call, due to answer (corrected)",
            Self::CallService => "call, sent to answer",
            Self::Eviction => "kept by the server",
            Self::OwnQueue => "waiting in the reader's own buffer",
            Self::ClientRate => "delivered frames per client and 1,000 s",
        }
    }

    /// Counts outside measured stages too: connecting happens in ramps.
    #[must_use]
    pub const fn counts_always(self) -> bool {
        matches!(self, Self::FirstFrame | Self::Connect | Self::Eviction | Self::ClientRate)
    }
}

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Whole frames that came.
    Delivered,
    /// Frames that were due by the owed rate and did not come.
    Missing,
    /// Frames that gaps in the sequence show to be left out by the server.
    Conflated,
    /// Bytes read from sockets after the handshake, framing included.
    BytesRead,
    /// Bytes written after the handshake.
    BytesWritten,
    /// Texts and other messages that are not frames.
    OtherMessages,
    /// Connections that stood.
    Connected,
    /// Connections that the server or the network ended while they were wanted.
    Lost,
    /// Messages of `sending` that were due.
    MessagesDue,
    /// Messages of `sending` that were sent.
    MessagesSent,
    /// Calls that were due.
    CallsDue,
    /// Calls that were answered with a result.
    CallsAnswered,
    /// Calls that were answered with an error, late beyond their limit, or never.
    CallsFailed,
    /// Frames whose every byte was checked.
    Verified,
    /// Connections whose rate of frames is known, so that what is missing is, too.
    Owing,
    /// Frames that came to clients whose rate is known.
    Owed,
    /// Frames that came and carry a sequence.
    Sequenced,
    /// Messages of the compact profile, by kind: corrections.
    Deltas,
    /// States of the decoder; those that come while a client joins are outside measured stages.
    Snapshots,
    /// What a decoder must know: one per chain.
    Infos,
    /// One value of every node.
    Columns,
    /// Hashes of the state.
    Marks,
    /// Deltas that a snapshot took the place of: the client was behind, or had asked.
    LeftOut,
    /// Texts in which the server says that it serves a client less well, or well again.
    Rungs,
    /// Acknowledgements sent.
    Acks,
    /// Bytes of the frames that say how many nodes they show: header included, framing apart, snapshots not.
    FrameBytes,
    /// Nodes of those frames.
    NodeFrames,
    /// Frames whose positions were held against those of a full frame of the same tick.
    Compared,
}

/// All of them, in the order of the enum.
pub const COUNTS: [Count; 28] = [
    Count::Delivered,
    Count::Missing,
    Count::Conflated,
    Count::BytesRead,
    Count::BytesWritten,
    Count::OtherMessages,
    Count::Connected,
    Count::Lost,
    Count::MessagesDue,
    Count::MessagesSent,
    Count::CallsDue,
    Count::CallsAnswered,
    Count::CallsFailed,
    Count::Verified,
    Count::Owing,
    Count::Owed,
    Count::Sequenced,
    Count::Deltas,
    Count::Snapshots,
    Count::Infos,
    Count::Columns,
    Count::Marks,
    Count::LeftOut,
    Count::Rungs,
    Count::Acks,
    Count::FrameBytes,
    Count::NodeFrames,
    Count::Compared,
];

impl Count {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Missing => "missing",
            Self::Conflated => "conflated",
            Self::BytesRead => "bytes_read",
            Self::BytesWritten => "bytes_written",
            Self::OtherMessages => "other_messages",
            Self::Connected => "connected",
            Self::Lost => "lost",
            Self::MessagesDue => "messages_due",
            Self::MessagesSent => "messages_sent",
            Self::CallsDue => "calls_due",
            Self::CallsAnswered => "calls_answered",
            Self::CallsFailed => "calls_failed",
            Self::Verified => "verified",
            Self::Owing => "owing",
            Self::Owed => "owed",
            Self::Sequenced => "sequenced",
            Self::Deltas => "deltas",
            Self::Snapshots => "snapshots",
            Self::Infos => "infos",
            Self::Columns => "columns",
            Self::Marks => "marks",
            Self::LeftOut => "left_out",
            Self::Rungs => "rungs",
            Self::Acks => "acks",
            Self::FrameBytes => "frame_bytes",
            Self::NodeFrames => "node_frames",
            Self::Compared => "compared",
        }
    }

    /// Counts outside measured stages too.
    #[must_use]
    pub const fn counts_always(self) -> bool {
        matches!(
            self,
            Self::Connected | Self::Lost | Self::Verified | Self::Owing | Self::Infos | Self::Columns | Self::Compared
        )
    }
}

/// What one group did in one slice, or in all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    timings: [Option<Histogram<u64>>; TIMINGS.len()],
    counts: [u64; COUNTS.len()],
    /// Errors by kind, such as `http_503`, `close_1013`, `reset`, `verify_sequence`. They count always.
    pub errors: BTreeMap<String, u64>,
    /// Clients whose connection stood when the slice ended; of a sum, the most there were.
    pub connected: u64,
}

impl Record {
    /// An empty record that can take `timings`; those outside it are dropped when recorded. 240 KiB each.
    #[must_use]
    pub fn with(timings: &[Timing]) -> Self {
        let wanted = |timing: Timing| timings.contains(&timing).then(histogram);
        Self { timings: TIMINGS.map(wanted), counts: [0; COUNTS.len()], errors: BTreeMap::new(), connected: 0 }
    }

    /// Adds `count` times `value`; values over [`VALUE_MAX`] count as that.
    pub fn record(&mut self, timing: Timing, value: u64, count: u64) {
        if let Some(Some(histogram)) = self.timings.get_mut(timing as usize) {
            histogram.saturating_record_n(value.max(1), count);
        }
    }

    /// Adds to a count.
    pub fn count(&mut self, what: Count, by: u64) {
        if let Some(place) = self.counts.get_mut(what as usize) {
            *place += by;
        }
    }

    /// Adds an error of a kind. Not for the receive path: a new kind allocates.
    pub fn error(&mut self, kind: &str) {
        match self.errors.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.errors.insert(kind.to_owned(), 1)),
        }
    }

    /// The distribution, when this record takes it.
    #[must_use]
    pub fn timing(&self, timing: Timing) -> Option<&Histogram<u64>> {
        self.timings.get(timing as usize)?.as_ref()
    }

    /// A count.
    #[must_use]
    pub fn of(&self, what: Count) -> u64 {
        self.counts.get(what as usize).copied().unwrap_or(0)
    }

    /// All errors.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Empties it for the next slice; keeps its memory.
    pub fn clear(&mut self) {
        self.timings.iter_mut().flatten().for_each(Histogram::reset);
        self.counts = [0; COUNTS.len()];
        self.errors.clear();
        self.connected = 0;
    }

    /// Adds all of `other`: another thread or generator of the same slice. Clients connected add up.
    pub fn merge(&mut self, other: &Self) {
        self.add(other, true);
        self.connected += other.connected;
    }

    /// Adds a later slice: of one that is not measured only what counts always.
    pub fn append(&mut self, other: &Self, measured: bool) {
        self.add(other, measured);
        self.connected = self.connected.max(other.connected);
    }

    fn add(&mut self, other: &Self, measured: bool) {
        for ((timing, mine), theirs) in TIMINGS.into_iter().zip(&mut self.timings).zip(&other.timings) {
            let Some(theirs) = theirs.as_ref().filter(|_| measured || timing.counts_always()) else { continue };
            // Bounds and digits are the same everywhere, so adding cannot fail.
            let added = mine.get_or_insert_with(histogram).add(theirs);
            debug_assert!(added.is_ok(), "all histograms have the same bounds");
        }
        for ((count, mine), theirs) in COUNTS.into_iter().zip(&mut self.counts).zip(&other.counts) {
            if measured || count.counts_always() {
                *mine += theirs;
            }
        }
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
    }

    /// As text: for other processes and for files.
    ///
    /// # Errors
    /// When a histogram cannot be serialised.
    pub fn pack(&self) -> Result<Packed, PackError> {
        let mut timings = BTreeMap::new();
        for timing in TIMINGS {
            if let Some(histogram) = self.timing(timing) {
                // An empty one says that nothing came in a group that gets such things, which is 0 and not unknown.
                let text = if histogram.is_empty() { String::new() } else { pack_histogram(histogram)? };
                timings.insert(timing.name().to_owned(), text);
            }
        }
        let counts = COUNTS.into_iter().filter(|count| self.of(*count) > 0);
        let counts = counts.map(|count| (count.name().to_owned(), self.of(count))).collect();
        Ok(Packed { timings, counts, errors: self.errors.clone(), connected: self.connected })
    }
}

/// A [`Record`] as text. Histograms are V2 deflate in base64, as in `.hlog` files, and an empty text when empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Packed {
    /// By [`Timing::name`].
    #[serde(default)]
    pub timings: BTreeMap<String, String>,
    /// By [`Count::name`].
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
    /// By kind.
    #[serde(default)]
    pub errors: BTreeMap<String, u64>,
    /// Clients connected at the end.
    #[serde(default)]
    pub connected: u64,
}

impl Packed {
    /// The record again.
    ///
    /// # Errors
    /// When a name is not known or a histogram cannot be read.
    pub fn unpack(&self) -> Result<Record, PackError> {
        let mut record = Record::with(&[]);
        for (name, text) in &self.timings {
            let timing = TIMINGS.into_iter().find(|timing| timing.name() == name);
            let timing = timing.ok_or_else(|| PackError::Name(name.clone()))?;
            if let Some(place) = record.timings.get_mut(timing as usize) {
                *place = Some(if text.is_empty() { histogram() } else { unpack_histogram(text)? });
            }
        }
        for (name, count) in &self.counts {
            let what = COUNTS.into_iter().find(|what| what.name() == name);
            record.count(what.ok_or_else(|| PackError::Name(name.clone()))?, *count);
        }
        record.errors.clone_from(&self.errors);
        record.connected = self.connected;
        Ok(record)
    }
}

/// Why a record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Written by another version.
    #[error("no timing or count is called {0}")]
    Name(String),
    /// Not base64.
    #[error("a histogram is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Not V2 deflate.
    #[error("a histogram cannot be read: {0}")]
    Histogram(String),
}

/// An empty histogram with the bounds that all of them have.
#[must_use]
pub fn histogram() -> Histogram<u64> {
    // These bounds are constants that the constructor takes.
    Histogram::new_with_bounds(1, VALUE_MAX, DIGITS).unwrap_or_else(|_| unreachable!())
}

/// V2 deflate in base64.
///
/// # Errors
/// When it cannot be serialised.
pub fn pack_histogram(histogram: &Histogram<u64>) -> Result<String, PackError> {
    let mut bytes = Vec::new();
    let written = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
    written.map_err(|error| PackError::Histogram(error.to_string()))?;
    Ok(STANDARD.encode(bytes))
}

/// Out of V2 deflate in base64.
///
/// # Errors
/// When the text is something else.
pub fn unpack_histogram(text: &str) -> Result<Histogram<u64>, PackError> {
    let bytes = STANDARD.decode(text)?;
    let read: Histogram<u64> = Deserializer::new()
        .deserialize(&mut std::io::Cursor::new(bytes))
        .map_err(|error| PackError::Histogram(error.to_string()))?;
    let mut histogram = histogram();
    histogram.add(&read).map_err(|error| PackError::Histogram(error.to_string()))?;
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_names_agree() {
        for (index, timing) in TIMINGS.into_iter().enumerate() {
            assert_eq!(timing as usize, index);
        }
        for (index, count) in COUNTS.into_iter().enumerate() {
            assert_eq!(count as usize, index);
        }
    }

    #[test]
    fn records_merge_pack_and_unpack_without_loss() {
        let mut one = Record::with(&[Timing::Latency, Timing::Connect]);
        let mut two = one.clone();
        for value in 1..5_000 {
            one.record(Timing::Latency, value * 1_000, 1);
            two.record(Timing::Latency, value * 77_777, 2);
        }
        one.record(Timing::Connect, u64::MAX, 1);
        one.record(Timing::Gap, 5, 1);
        one.count(Count::Delivered, 3);
        one.error("reset");
        one.connected = 2;
        two.connected = 5;
        one.merge(&two);
        assert_eq!(one.connected, 7);
        assert_eq!(one.timing(Timing::Gap), None);
        assert_eq!(one.timing(Timing::Latency).unwrap().len(), 4_999 * 3);
        assert!(one.timing(Timing::Connect).unwrap().max() >= VALUE_MAX);
        let again = one.pack().unwrap().unpack().unwrap();
        assert_eq!(again, one);
        let nothing = Record::with(&[Timing::Gap]);
        assert_eq!(nothing.pack().unwrap().unpack().unwrap(), nothing);
        let mut total = Record::with(&[]);
        total.append(&one, false);
        assert_eq!(total.timing(Timing::Latency), None);
        assert_eq!(total.timing(Timing::Connect).unwrap().len(), 1);
        assert_eq!((total.of(Count::Delivered), total.error_count(), total.connected), (0, 1, 7));
    }
}

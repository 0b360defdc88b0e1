//! What one connection has yet to send: its private bytes, the frame it is in, and where it stands in its class.
//!
//! A frame is shared: its bytes belong to the pool's frame or to the chain's message, only the cursor is this connection's.
//! Private bytes (texts, pongs, close) go out at a frame boundary only, since a WebSocket message may not be cut open.

mod private;

use std::io::{ErrorKind, IoSlice, Result, Write};
use std::sync::Arc;

use self::private::Private;
use super::credit::Credit;
use super::lateness::Lateness;
use super::link::{Cursor, Extent, Link, Next, blocks_of};
use super::spares::Spares;
use crate::base::clock::SECOND_NS;
use crate::handoff::{ChainMessage, ClassRef, Frame, Interest, Transport};
use crate::wire::{
    CloseCode, KIND_SNAPSHOT, Profile, ServerMessage, push_tcp_text, push_ws_binary, push_ws_close, push_ws_text,
};

/// Private bytes a connection may have queued. A client that asks faster than it reads is closed with 1013.
pub const PRIVATE_BYTES_MAX: usize = 64 << 10;

/// Why a client is closed that does not read what it asked for.
pub const UNREAD: &str = "answers pile up unread";

/// Bytes one connection may write in one turn before the next one has its turn.
const TURN_BYTES_MAX: usize = 4 << 20;

/// Time between two snapshots to a client that gets nothing else.
const SNAPSHOT_PAUSE_NS: u64 = SECOND_NS;

/// An interest whose order is gone is looked up again after so long, until that works.
const RESOLVE_AGAIN_NS: u64 = SECOND_NS / 4;

/// Messages of a chain gathered into one `writev`.
const BATCH_MAX: usize = 16;

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
    /// Calls of `write` and `writev`.
    pub writes: u64,
    /// Frames whose last byte it took.
    pub frames: u64,
    /// Frames left out between the last one begun and this one.
    pub conflated: u64,
    /// Bytes of shared frames copied for one client's interest.
    pub gathered: u64,
}

/// Where a connection's frames come from.
pub enum Supply<'shard> {
    /// The newest frame that carries its class.
    Front(Option<&'shard Arc<Frame>>),
    /// The chain of its class, and room to gather a part of a message in.
    Chain(&'shard Link, &'shard mut Vec<u8>),
}

/// Whose bytes are being sent.
enum Source {
    /// A frame of the pool.
    Leased { frame: Arc<Frame>, class: ClassRef },
    /// A message of a chain.
    Chained(Arc<ChainMessage>),
    /// The rest of one, copied so that its pool could have it back, or gathered for this client alone.
    Copied(Vec<u8>),
}

impl Source {
    fn pieces(&self, transport: Transport) -> (&[u8], &[u8]) {
        match self {
            Self::Leased { frame, class } => frame.pieces(*class, transport),
            Self::Chained(message) => message.pieces(transport),
            Self::Copied(rest) => (rest, &[]),
        }
    }

    fn is_lease(&self) -> bool {
        !matches!(self, Self::Copied(_))
    }
}

/// The frame being sent. Between two flushes it has begun: a frame of which no byte went out is given back, so that a
/// newer one can take its place and private bytes still find a boundary.
struct Sending {
    source: Source,
    /// Bytes that are sent.
    sent: usize,
    /// When it was leased.
    since_ns: u64,
    /// The simulation step of a full frame.
    tick: u64,
    /// When its tick was due.
    tick_ns: u64,
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
    private: Private,
    sending: Option<Sending>,
    /// Sequence of the last full frame begun in this class; 0 before the first.
    last_sequence: u64,
    /// Tick of the newest full frame that it has, in whatever class.
    shown_tick: u64,
    /// Where it stands in the chain of a compact class.
    cursor: Cursor,
    /// The blocks of a compact class that it wants; `None` for all.
    interest: Option<Box<Interest>>,
    /// The newest frame goes out even if it has been sent already.
    resend: bool,
    /// Frames that it may be sent.
    credit: Credit,
    /// A snapshot now and then, and no deltas: when it had the last one, ns.
    snapshots_only: Option<u64>,
    lateness: Lateness,
    /// The client itself kept a frame from going out: its socket was full, or it did not acknowledge.
    hindered: bool,
    /// When its interest was last looked up.
    resolved_ns: u64,
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
            private: Private::new(first),
            sending: None,
            last_sequence: 0,
            shown_tick: 0,
            cursor: Cursor::NEW,
            interest: None,
            resend: false,
            credit: Credit::NEW,
            snapshots_only: None,
            lateness: Lateness::default(),
            hindered: false,
            resolved_ns: now_ns,
            closing: false,
            blocked: false,
            progress_ns: now_ns,
        }
    }

    /// The class whose frames it gets.
    pub fn class(&self) -> ClassRef {
        self.class
    }

    /// Its format.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The framing.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// How late its frames are.
    pub fn lateness(&mut self) -> &mut Lateness {
        &mut self.lateness
    }

    /// From the next frame on, those of another class. The format stays.
    pub fn reclass(&mut self, class: ClassRef) {
        self.class = class;
        self.last_sequence = 0;
        self.cursor.reclass();
        self.credit = Credit::NEW;
        self.lateness.reclass();
    }

    /// The newest frame, or a snapshot, is to be sent once more.
    pub fn resend(&mut self) {
        self.resend = !self.profile.is_chain();
        self.cursor.restart();
    }

    /// Snapshots instead of deltas, or deltas again.
    pub fn set_snapshots_only(&mut self, only: bool) {
        self.snapshots_only = only.then_some(0);
    }

    /// The client has everything up to `sequence`; what was never sent cannot have arrived.
    pub fn ack(&mut self, sequence: u64, now_ns: u64) {
        self.credit.ack(sequence.min(self.sequence()));
        self.lateness.acked(self.credit.acked(), now_ns);
    }

    /// Sequence of the last frame begun; 0 before the first.
    pub fn sequence(&self) -> u64 {
        if self.profile.is_chain() { self.cursor.sequence() } else { self.last_sequence }
    }

    /// What it wants of a compact class.
    pub fn interest(&self) -> Option<&Interest> {
        self.interest.as_deref()
    }

    /// Its interest, when that has to be looked up again: in another wire order, or because nodes move and it names places.
    pub fn interest_due(&mut self, link: &Link, now_ns: u64) -> Option<&Interest> {
        let interest = self.interest.as_deref()?;
        let moved = link.class() == self.class && interest.order != link.order();
        let by_place = interest.ask.sphere.is_some() || !interest.ask.planes.as_slice().is_empty();
        let age_ns = now_ns.saturating_sub(self.resolved_ns);
        let due = (moved && age_ns >= RESOLVE_AGAIN_NS) || (by_place && age_ns >= SECOND_NS);
        if !due || self.closing {
            return None;
        }
        self.resolved_ns = now_ns;
        self.interest.as_deref()
    }

    /// Whether the client itself kept a frame from going out since this was last asked.
    pub fn take_hindered(&mut self) -> bool {
        std::mem::take(&mut self.hindered) || self.blocked
    }

    /// Takes a resolved interest; what it has already it need not enter again. Memory that is left over goes to `spares`.
    pub fn set_interest(&mut self, mut interest: Box<Interest>, link: &Link, spares: &mut Spares) {
        interest.followed.clear();
        if link.class() == self.class && self.cursor.follows(link) {
            match &self.interest {
                Some(before) if before.order == interest.order => interest.followed.add_all(&before.followed),
                Some(_) => {}
                None => interest.followed.add_all(&interest.wanted),
            }
            interest.followed.keep(&interest.wanted);
        }
        if interest.ask.all && interest.ask.max_nodes.is_none() {
            self.cursor.restart();
            spares.put(interest);
            if let Some(before) = self.interest.take() {
                spares.put(before);
            }
            return;
        }
        match self.interest.replace(interest) {
            Some(before) => spares.put(before),
            None => spares.fill(),
        }
    }

    /// Whether it waits for a snapshot that nobody has made.
    pub fn waits(&self, link: &Link, now_ns: u64) -> bool {
        let rested = self.snapshots_only.is_some_and(|last_ns| now_ns.saturating_sub(last_ns) >= SNAPSHOT_PAUSE_NS);
        // A class whose first messages have not come begins with a snapshot.
        let begun = link.class() == self.class;
        begun && !self.closing && (rested || self.cursor.waits(link, self.interest.as_deref()))
    }

    /// Whether a close is on its way out.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether the next byte would start a message, so that a close frame can be heard.
    pub fn at_boundary(&self) -> bool {
        self.sending.is_none() && self.private_bytes() == 0
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
            Transport::WebSocket => push_ws_text(json, self.private.tail()),
            Transport::Tcp => push_tcp_text(json, self.private.tail()),
        }
        true
    }

    /// Queues a binary message of a WebSocket; as [`Self::text`]. A TCP client has no way to ask for one.
    pub fn binary(&mut self, message: &[u8]) -> bool {
        if self.closing || self.transport == Transport::Tcp {
            return true;
        }
        let fits = self.private_bytes() + message.len() <= PRIVATE_BYTES_MAX;
        if fits {
            push_ws_binary(message, self.private.tail());
        }
        fits
    }

    /// Private bytes that wait.
    pub fn private_bytes(&self) -> usize {
        self.private.waiting().len()
    }

    /// Queues a server message; see [`Self::text`].
    pub fn message(&mut self, message: &ServerMessage<'_>) -> bool {
        self.text(&message.to_vec())
    }

    /// The buffer that the WebSocket parser's own replies land in.
    pub fn private_mut(&mut self) -> &mut Vec<u8> {
        self.private.tail()
    }

    /// [Closes](Self::close) because the client does not read what it asked for.
    pub fn close_unread(&mut self) {
        self.close(CloseCode::TryLater, UNREAD);
    }

    /// Queues the close and takes no new frames. The one in writing is finished first.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        if self.closing {
            return;
        }
        match self.transport {
            Transport::WebSocket => push_ws_close(code, reason, self.private.tail()),
            Transport::Tcp => {
                let goodbye = ServerMessage::Goodbye { code: code.number(), reason };
                push_tcp_text(&goodbye.to_vec(), self.private.tail());
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
            Some(sending) if sending.source.is_lease() => now_ns.saturating_sub(sending.since_ns),
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
        let Some(sending) = self.sending.as_mut().filter(|sending| sending.source.is_lease()) else { return 0 };
        let (first, second) = rest(sending.source.pieces(transport), sending.sent);
        let copy = [first, second].concat();
        let copied = copy.len();
        sending.source = Source::Copied(copy);
        sending.sent = 0;
        copied
    }

    /// Sends what there is: private bytes at a boundary, the rest of the frame, then what its class has for it. One call of
    /// the kernel a round; no allocation, unless it takes a part of what was gathered for this client alone.
    ///
    /// # Errors
    /// What the socket says, `WouldBlock` and `Interrupted` apart.
    pub fn flush(
        &mut self,
        sink: &mut impl Write,
        supply: &mut Supply<'_>,
        now_ns: u64,
        sent: &mut Sent,
    ) -> Result<Flushed> {
        let flushed = self.flush_begun(sink, supply, now_ns, sent);
        let blocked = matches!(flushed, Ok(Flushed::Blocked));
        self.hindered |= blocked || self.credit.is_spent(0);
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
        supply: &mut Supply<'_>,
        now_ns: u64,
        sent: &mut Sent,
    ) -> Result<Flushed> {
        let mut budget = TURN_BYTES_MAX;
        loop {
            let boundary = self.sending.is_none();
            let written = match supply {
                Supply::Chain(link, room) if boundary && !self.closing => {
                    self.write_chain(sink, link, room, budget, now_ns, sent)
                }
                _ => {
                    if let Supply::Front(front) = supply
                        && boundary
                        && !self.closing
                    {
                        self.take_front(*front, now_ns);
                    }
                    match self.at_boundary() {
                        true => Ok(None),
                        false if budget == 0 => Ok(Some(0)),
                        false => self.write_once(sink, now_ns, sent),
                    }
                }
            };
            match written {
                Ok(None) => {
                    self.progress_ns = now_ns;
                    return Ok(if self.closing { Flushed::Finished } else { Flushed::Idle });
                }
                Ok(Some(0)) => return Ok(Flushed::Budget),
                Ok(Some(taken)) => {
                    self.progress_ns = now_ns;
                    budget = budget.saturating_sub(taken);
                    sent.bytes += taken as u64;
                    sent.writes += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Leases the newest frame unless it was begun already.
    fn take_front(&mut self, front: Option<&Arc<Frame>>, now_ns: u64) {
        let Some(frame) = front else { return };
        let Some(head) = frame.head(self.class) else { return };
        let (previous, sequence) = (self.last_sequence, head.sequence());
        if (sequence <= previous && !self.resend) || self.credit.is_spent(0) {
            return;
        }
        // The last frame of a slower class: nothing is shown to go back.
        let tick = frame.stamp().tick;
        if tick < self.shown_tick {
            return;
        }
        let conflated = if previous > 0 { sequence.saturating_sub(previous + 1) } else { 0 };
        let source = Source::Leased { frame: Arc::clone(frame), class: self.class };
        let (since_ns, tick_ns, resend) = (now_ns, frame.stamp().tick_ns, self.resend);
        self.sending = Some(Sending { source, sent: 0, since_ns, tick, tick_ns, previous, conflated, resend });
        self.last_sequence = sequence;
        self.resend = false;
    }

    /// Ends the lease on a frame of which no byte went out.
    fn give_back_unbegun(&mut self) {
        if let Some(sending) = self.sending.take_if(|sending| sending.sent == 0 && sending.source.is_lease()) {
            self.last_sequence = sending.previous;
            self.resend |= sending.resend;
        }
    }

    /// One write of private bytes and the frame that is being sent.
    fn write_once(&mut self, sink: &mut impl Write, now_ns: u64, sent: &mut Sent) -> Result<Option<usize>> {
        let private = self.private.waiting();
        let (mut first, mut second, mut private_first) = (&[][..], &[][..], true);
        if let Some(sending) = &self.sending {
            (first, second) = rest(sending.source.pieces(self.transport), sending.sent);
            // Private bytes go first only while the frame has not begun.
            private_first = sending.sent == 0 && sending.source.is_lease();
        }
        let private = if private_first { private } else { &[] };
        let total = private.len() + first.len() + second.len();
        let taken = some(write_pieces(sink, &[private, first, second]))?;
        debug_assert!(taken <= total, "the kernel takes no more than it was given");
        let of_frame = if private_first { self.private.take(taken) } else { taken };
        if let Some(sending) = &mut self.sending {
            sending.sent += of_frame;
            if taken == total {
                let (tick_ns, conflated) = (sending.tick_ns, sending.conflated);
                self.shown_tick = self.shown_tick.max(sending.tick);
                self.sending = None;
                self.frame_done(tick_ns, conflated, now_ns, sent);
            }
        }
        Ok(Some(taken))
    }

    /// One write of private bytes and the next messages of the chain; `None` when there is nothing.
    fn write_chain(
        &mut self,
        sink: &mut impl Write,
        link: &Link,
        room: &mut Vec<u8>,
        budget: usize,
        now_ns: u64,
        sent: &mut Sent,
    ) -> Result<Option<usize>> {
        let mut batch: [Option<Next<'_>>; BATCH_MAX] = [const { None }; BATCH_MAX];
        let count = self.fill_batch(link, &mut batch, now_ns);
        let private = self.private.waiting();
        if count == 0 && private.is_empty() {
            return Ok(None);
        }
        if budget == 0 {
            return Ok(Some(0));
        }
        let batch = batch.get(..count).unwrap_or(&[]);
        let gathered = match (&self.interest, batch) {
            (Some(interest), [Some(next)]) if next.extent != Extent::Whole => {
                room.clear();
                next.message.gather(&blocks_of(interest, next.extent), self.transport, room);
                sent.gathered += room.len() as u64;
                true
            }
            _ => false,
        };
        let taken = if gathered {
            some(write_pieces(sink, &[private, room]))?
        } else {
            let mut pieces = [&[][..]; 1 + 2 * BATCH_MAX];
            let messages = batch.iter().flatten().flat_map(|next| {
                let (first, second) = next.message.pieces(self.transport);
                [first, second]
            });
            for (place, piece) in pieces.iter_mut().zip(std::iter::once(private).chain(messages)) {
                *place = piece;
            }
            some(write_pieces(sink, &pieces))?
        };
        let mut left = self.private.take(taken);
        for next in batch.iter().flatten() {
            if left == 0 {
                break;
            }
            let (first, second) = next.message.pieces(self.transport);
            let length = if gathered { room.len() } else { first.len() + second.len() };
            self.begin(next, now_ns);
            if left >= length {
                left -= length;
                self.frame_done(next.message.tick_ns(), next.left_out, now_ns, sent);
            } else {
                let source = match room.get(left..).filter(|_| gathered) {
                    Some(rest) => Source::Copied(rest.to_vec()),
                    None => Source::Chained(Arc::clone(next.message)),
                };
                let done = if gathered { 0 } else { left };
                let (tick_ns, conflated) = (next.message.tick_ns(), next.left_out);
                self.sending = Some(Sending {
                    source,
                    sent: done,
                    since_ns: now_ns,
                    tick: 0,
                    tick_ns,
                    previous: 0,
                    conflated,
                    resend: false,
                });
                break;
            }
        }
        Ok(Some(taken))
    }

    /// The last byte of a frame is with the kernel.
    fn frame_done(&mut self, tick_ns: u64, left_out: u64, now_ns: u64, sent: &mut Sent) {
        sent.frames += 1;
        sent.conflated += left_out;
        self.credit.spend(self.sequence());
        self.lateness.sent(self.sequence(), tick_ns, left_out, now_ns);
    }

    /// The messages that come next, in order. A client with an interest takes one at a time, since what it follows may change
    /// with each.
    fn fill_batch<'link>(&self, link: &'link Link, batch: &mut [Option<Next<'link>>; BATCH_MAX], now_ns: u64) -> usize {
        if link.class() != self.class {
            return 0;
        }
        let interest = self.interest.as_deref();
        let places = if interest.is_some() || self.snapshots_only.is_some() { 1 } else { BATCH_MAX };
        let (mut cursor, mut count) = (self.cursor, 0);
        if let Some(last_ns) = self.snapshots_only {
            if now_ns.saturating_sub(last_ns) < SNAPSHOT_PAUSE_NS {
                return 0;
            }
            cursor.restart();
        }
        for place in batch.iter_mut().take(places) {
            if self.credit.is_spent(count) {
                break;
            }
            let Some(next) = cursor.next(link, interest) else { break };
            // The same snapshot once more would say nothing.
            if self.snapshots_only.is_some() && next.after.sequence() == cursor.sequence() && cursor.sequence() > 0 {
                break;
            }
            cursor = next.after;
            *place = Some(next);
            count += 1;
        }
        count
    }

    /// The client has begun a message: it stands behind it.
    fn begin(&mut self, next: &Next<'_>, now_ns: u64) {
        let generation_changes = !self.cursor.is_same_generation(&next.after);
        self.cursor = next.after;
        if let Some(last_ns) = &mut self.snapshots_only
            && next.message.kind() == KIND_SNAPSHOT
        {
            *last_ns = now_ns;
        }
        if let Some(interest) = &mut self.interest {
            if generation_changes || next.extent == Extent::Wanted {
                interest.followed.clear();
            }
            if matches!(next.extent, Extent::Entered | Extent::Wanted) {
                let Interest { wanted, followed, .. } = &mut **interest;
                followed.add_all(wanted);
            }
        }
    }
}

/// Two pieces from byte `sent` on.
fn rest<'bytes>((first, second): (&'bytes [u8], &'bytes [u8]), sent: usize) -> (&'bytes [u8], &'bytes [u8]) {
    match first.get(sent..) {
        Some(left) => (left, second),
        None => (&[], second.get(sent - first.len()..).unwrap_or(&[])),
    }
}

/// Writes pieces in order, empty ones left out: one of them with `write`, which costs less than a `writev`.
pub(super) fn write_pieces<const PIECES: usize>(sink: &mut impl Write, pieces: &[&[u8]; PIECES]) -> Result<usize> {
    let mut slices = [IoSlice::new(&[]); PIECES];
    let full = pieces.iter().filter(|piece| !piece.is_empty());
    let mut count = 0;
    for (slice, piece) in slices.iter_mut().zip(full) {
        *slice = IoSlice::new(piece);
        count += 1;
    }
    match slices.get(..count).unwrap_or(&[]) {
        [one] => sink.write(one),
        many => sink.write_vectored(many),
    }
}

/// A kernel that takes no byte of some has lost the connection.
fn some(written: Result<usize>) -> Result<usize> {
    match written {
        Ok(0) => Err(ErrorKind::WriteZero.into()),
        other => other,
    }
}

#[cfg(test)]
mod tests;

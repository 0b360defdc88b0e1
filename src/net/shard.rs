//! What one network thread does in a turn: takes frames, offers them to its connections, acts on what these say.
//!
//! Clock and sockets are a [`Platform`]: epoll's in the server, a test's own in a test, where a turn is then a function of
//! what it is given. It accepts nothing, speaks no HTTP, looks up no node.

mod news;
mod orders;
mod quiet;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use crossbeam::utils::CachePadded;

use self::news::News;
use super::conn::{Conn, Received};
use super::drags::Drags;
use super::inbound::{Ending, Inbound};
use super::ladder::Ladder;
use super::link::Link;
use super::liveness::{Liveness, Patience};
use super::outbound::{Flushed, Outbound, Sent, Supply};
use super::platform::{Platform, Ready};
use super::rate_limit::RateLimit;
use super::spares::Spares;
use super::upkeep::Out;
use super::watch_agents::AgentWatch;
use crate::base::clock::{MILLISECOND_NS, SECOND_NS};
use crate::base::{Handle, Idle, Rate, Slab};
use crate::handoff::{
    Adopt, ClassRef, Consumer, Frame, NetLimit, NetLimits, Origin, Producer, SessionId, ShardEvent, ShardMessage,
    StagePart, Transport, ViewCommand, Watching,
};
use crate::limits::{ACTIONS_PER_SECOND, CLASSES_MAX};
use crate::metrics::ShardMetrics;
use crate::wire::CloseCode;

/// Bytes read from one connection in one turn: more than the longest text. A client that sends more waits a turn,
/// and frames are looked at between any two connections.
const READ_BYTES_PER_TURN_MAX: usize = 8 << 10;

/// Connections adopted and messages taken per turn.
const LANE_ITEMS_PER_TURN_MAX: usize = 64;

/// Time between two looks at leases and stalls.
const HOUSEKEEPING_NS: u64 = 50 * MILLISECOND_NS;

/// How long a goodbye may take: at a shutdown from the start of it, otherwise from our last byte to the peer's own close.
const LINGER_NS: u64 = 1_500 * MILLISECOND_NS;

/// Settings of a shard.
#[derive(Clone, Copy, Debug)]
pub struct ShardOptions {
    /// Longest lease on a frame before its rest is copied.
    pub lease_ns_max: u64,
    /// A connection that takes nothing for this long is closed.
    pub stall_ns_max: u64,
    /// Copies that all connections of the shard may hold together.
    pub copy_bytes_max: usize,
    /// Connections of the shard.
    pub connections_max: usize,
    /// How it waits for work.
    pub idle: Idle,
    /// How long a client may be silent.
    pub patience: Patience,
}

impl Default for ShardOptions {
    fn default() -> Self {
        Self {
            lease_ns_max: 1_000 * MILLISECOND_NS,
            stall_ns_max: 10_000 * MILLISECOND_NS,
            copy_bytes_max: 64 << 20,
            connections_max: 10_000,
            idle: Idle::Park,
            patience: Patience::default(),
        }
    }
}

impl ShardOptions {
    fn follow(&mut self, limits: &NetLimits) {
        self.lease_ns_max = limits.get(NetLimit::Lease);
        self.stall_ns_max = limits.get(NetLimit::Stall);
        self.copy_bytes_max = usize::try_from(limits.get(NetLimit::CopyBytes)).unwrap_or(usize::MAX);
        self.patience = Patience::of(limits);
    }
}

/// The lanes of a shard.
#[derive(Debug)]
pub struct ShardLanes<Handed = TcpStream> {
    /// sim → shard.
    pub frames: Consumer<Arc<Frame>>,
    /// door → shard.
    pub adopt: Consumer<Adopt<Handed>>,
    /// control → shard.
    pub messages: Consumer<ShardMessage>,
    /// shard → sim.
    pub commands: Producer<ViewCommand>,
    /// shard → control.
    pub events: Producer<ShardEvent>,
}

/// Everything one shard owns.
pub struct Shard<P: Platform> {
    index: u8,
    platform: P,
    lanes: ShardLanes<P::Handed>,
    options: ShardOptions,
    /// What of these changes while it runs.
    limits: Option<Arc<NetLimits>>,
    metrics: Arc<CachePadded<ShardMetrics>>,
    /// Set by `sim` when the frame pool runs low: every lease but that on the newest frame ends now.
    pool_low: Arc<AtomicBool>,
    conns: Slab<Conn<P::Stream>>,
    /// Connections of each class slot; their `member` is the place here.
    members: [Vec<Handle>; CLASSES_MAX],
    /// Newest frame that carries each class slot.
    front: [Option<Arc<Frame>>; CLASSES_MAX],
    /// Chains of compact classes, by slot.
    links: [Link; CLASSES_MAX],
    /// Where parts of messages are gathered for one client.
    room: Vec<u8>,
    /// Memory of interests that nobody has any more.
    #[allow(clippy::vec_box, reason = "they travel through lanes as boxes")]
    interests: Spares,
    epoch: u32,
    /// Connections with work left, first come first served.
    ready: Vec<Handle>,
    /// Those of `ready` that are being served; kept for its capacity.
    ready_now: Vec<Handle>,
    /// Sessions whose end did not fit into the lane yet, and drags to release.
    ended: Vec<(SessionId, bool)>,
    scratch: Box<[u8]>,
    /// Where the next fan-out of each class slot begins, so that no connection is always last.
    rotors: [usize; CLASSES_MAX],
    /// The last class of each slot that was expelled: whoever was let in before and is only coming is sent away, too.
    expelled: [Option<(ClassRef, CloseCode, &'static str)>; CLASSES_MAX],
    housekeeping_ns: u64,
    copied_bytes: usize,
    demand_bytes: u64,
    /// What everybody is shown, by part.
    stage: [Option<Bytes>; StagePart::ALL.len()],
    /// The last `graph_changed`, and the version of the graph after it.
    changed: Option<(u64, Bytes)>,
    news: News,
    /// Why and with what words everyone is being sent away.
    stopping: Option<(CloseCode, &'static str)>,
}

impl<P: Platform> Shard<P> {
    /// A shard without connections.
    #[must_use]
    pub fn new(
        index: u8,
        platform: P,
        lanes: ShardLanes<P::Handed>,
        options: ShardOptions,
        metrics: Arc<CachePadded<ShardMetrics>>,
        pool_low: Arc<AtomicBool>,
    ) -> Self {
        Self {
            index,
            platform,
            lanes,
            options,
            limits: None,
            metrics,
            pool_low,
            conns: Slab::new(options.connections_max),
            members: [const { Vec::new() }; CLASSES_MAX],
            front: [const { None }; CLASSES_MAX],
            links: std::array::from_fn(|_| Link::new()),
            room: Vec::new(),
            interests: Spares::new(),
            epoch: 0,
            ready: Vec::with_capacity(256),
            ready_now: Vec::with_capacity(256),
            ended: Vec::with_capacity(256),
            scratch: vec![0; READ_BYTES_PER_TURN_MAX].into_boxed_slice(),
            rotors: [0; CLASSES_MAX],
            expelled: [None; CLASSES_MAX],
            housekeeping_ns: 0,
            copied_bytes: 0,
            demand_bytes: 0,
            stage: [None, None],
            changed: None,
            news: News::default(),
            stopping: None,
        }
    }

    /// The same with limits that may change while it runs, in place of those of its options.
    #[must_use]
    pub fn following(self, limits: Arc<NetLimits>) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// Bytes a shard takes at start.
    #[must_use]
    pub fn footprint() -> usize {
        size_of::<Self>() + READ_BYTES_PER_TURN_MAX
    }

    /// Its clock and sockets.
    pub fn platform_mut(&mut self) -> &mut P {
        &mut self.platform
    }

    /// First half of a turn, before readiness is asked for: new connections, messages, frames, what has taken too long.
    /// False when a shutdown has been served.
    pub fn begin_turn(&mut self) -> bool {
        let now_ns = self.platform.now_ns();
        self.take_lanes(now_ns);
        self.housekeep(now_ns);
        self.stopping.is_none() || !self.conns.is_empty()
    }

    /// Second half of a turn: frames, then the connections that are ready, then those with work left.
    pub fn end_turn(&mut self, events: impl Iterator<Item = Ready>) {
        let now_ns = self.platform.now_ns();
        self.take_frames();
        for ready in events {
            let Some(conn) = self.conns.at_mut(ready.slot) else { continue };
            let handle = conn.origin.handle;
            conn.writable |= ready.writable;
            self.serve(handle, ready.readable, now_ns);
            if !self.lanes.frames.is_empty() {
                self.take_frames();
            }
        }
        self.pass_news(now_ns);
        self.serve_ready(now_ns);
    }

    fn take_lanes(&mut self, now_ns: u64) {
        for _ in 0..LANE_ITEMS_PER_TURN_MAX {
            let Some(adopt) = self.lanes.adopt.pop() else { break };
            self.adopt(adopt, now_ns);
        }
        for _ in 0..LANE_ITEMS_PER_TURN_MAX {
            let Some(message) = self.lanes.messages.pop() else { break };
            self.obey(message, now_ns);
        }
        self.take_frames();
    }

    /// Takes every waiting frame, then serves each class once with its newest: what a late shard missed is conflated.
    fn take_frames(&mut self) {
        let mut fresh = [false; CLASSES_MAX];
        let mut newest = None;
        let picked_ns = self.platform.now_ns();
        while let Some(frame) = self.lanes.frames.pop() {
            let stamp = frame.stamp();
            self.metrics.pickup.span(stamp.published_ns, picked_ns);
            if self.epoch != stamp.epoch {
                // What is said of a structure is in the lane before its first frame is, and is passed on before it.
                while let Some(message) = self.lanes.messages.pop() {
                    self.obey(message, picked_ns);
                }
                self.epoch = stamp.epoch;
            }
            for class in frame.present() {
                let slot = usize::from(class.slot);
                if let (Some(front), Some(fresh)) = (self.front.get_mut(slot), fresh.get_mut(slot)) {
                    *front = Some(Arc::clone(&frame));
                    *fresh = true;
                }
            }
            for (class, part) in frame.chains() {
                let slot = usize::from(class.slot);
                if let (Some(link), Some(fresh)) = (self.links.get_mut(slot), fresh.get_mut(slot)) {
                    link.take(class, part);
                    *fresh = true;
                }
            }
            newest = Some(stamp);
        }
        let Some(stamp) = newest else { return };
        if self.conns.is_empty() {
            return;
        }
        for slot in (0..CLASSES_MAX).filter(|slot| fresh.get(*slot).is_some_and(|fresh| *fresh)) {
            self.fan_out(slot, picked_ns);
        }
        let served_ns = self.platform.now_ns();
        self.metrics.fanout.span(picked_ns, served_ns);
        self.metrics.tick_to_wire.span(stamp.tick_ns, served_ns);
    }

    /// Offers the front frame of a class slot to each of its members, beginning at another one every time.
    fn fan_out(&mut self, slot: usize, now_ns: u64) {
        let Self { members, conns, front, links, room, ready, rotors, .. } = self;
        let (Some(members), Some(rotor)) = (members.get(slot), rotors.get_mut(slot)) else { return };
        let (Some(front), Some(link)) = (front.get(slot), links.get(slot)) else { return };
        let count = members.len();
        if count == 0 {
            return;
        }
        *rotor = (*rotor + 1) % count;
        let mut lost: Option<Handle> = None;
        let mut waits = false;
        let mut sent = Sent::default();
        for step in 0..count {
            let place = (*rotor + step) % count;
            let Some(handle) = members.get(place).copied() else { continue };
            let Some(conn) = conns.get_mut(handle) else { continue };
            let chain = conn.out.profile().is_chain();
            let mut supply = if chain { Supply::Chain(link, room) } else { Supply::Front(front.as_ref()) };
            match conn.flush(&mut supply, now_ns, &mut sent) {
                Ok(Flushed::Budget | Flushed::Finished) => queue(ready, conn),
                Ok(Flushed::Idle | Flushed::Blocked) => {}
                // Removing one re-orders the members: the first goes now, others at their next event.
                Err(_) if lost.is_none() => lost = Some(handle),
                Err(_) => queue(ready, conn),
            }
            waits |= chain && conn.out.waits(link, now_ns);
        }
        self.count(sent);
        if waits {
            self.ask_snapshot(slot, now_ns);
        }
        if let Some(handle) = lost {
            self.remove(handle);
        }
    }

    /// Somebody waits for a snapshot: `sim` is told, once for all.
    fn ask_snapshot(&mut self, slot: usize, now_ns: u64) {
        let Some(link) = self.links.get_mut(slot) else { return };
        if let Some(class) = link.ask(now_ns)
            && self.lanes.commands.push(ViewCommand::Snapshot { class }).is_err()
        {
            link.not_asked();
        }
    }

    fn count(&self, sent: Sent) {
        self.metrics.bytes_sent.add(sent.bytes);
        self.metrics.writes.add(sent.writes);
        self.metrics.frames_sent.add(sent.frames);
        self.metrics.frames_conflated.add(sent.conflated);
        self.metrics.bytes_gathered.add(sent.gathered);
    }

    /// Serves one connection's event. A panic in it costs this connection and nothing else.
    fn serve(&mut self, handle: Handle, readable: bool, now_ns: u64) {
        self.guard(handle, now_ns, |shard| shard.serve_unguarded(handle, readable, now_ns));
    }

    /// Runs a connection's event, which says whether the connection goes on.
    fn guard(&mut self, handle: Handle, now_ns: u64, event: impl FnOnce(&mut Self) -> bool) {
        let Some(conn) = self.conns.get_mut(handle) else { return };
        let boundary = conn.out.at_boundary();
        let served = catch_unwind(AssertUnwindSafe(|| event(self)));
        match served {
            Ok(true) => {}
            Ok(false) => self.remove(handle),
            Err(_) => self.close_after_panic(handle, boundary, now_ns),
        }
    }

    /// False when the connection is over.
    fn serve_unguarded(&mut self, handle: Handle, readable: bool, now_ns: u64) -> bool {
        if readable && !self.read(handle, now_ns) {
            return false;
        }
        let Self { platform, conns, front, links, room, .. } = self;
        let Some(conn) = conns.get_mut(handle) else { return true };
        let slot = usize::from(conn.out.class().slot);
        let link = links.get(slot).filter(|_| conn.out.profile().is_chain());
        let mut sent = Sent::default();
        let mut supply = match link {
            Some(link) => Supply::Chain(link, room),
            None => Supply::Front(front.get(slot).and_then(Option::as_ref)),
        };
        let flushed = conn.flush(&mut supply, now_ns, &mut sent);
        let waits = link.is_some_and(|link| conn.out.waits(link, now_ns));
        match flushed {
            Ok(Flushed::Budget) => queue(&mut self.ready, conn),
            Ok(Flushed::Finished) => {
                // Our part is said. Closing now could take the close frame back from the peer (unread bytes make
                // the kernel send a reset), so only our half is shut, and the peer's goodbye awaited.
                platform.end_writing(&mut conn.stream);
                conn.linger_until_ns.get_or_insert(now_ns + LINGER_NS);
            }
            Ok(Flushed::Idle | Flushed::Blocked) => {}
            Err(_) => return false,
        }
        self.count(sent);
        if waits {
            self.ask_snapshot(slot, now_ns);
        }
        true
    }

    /// Reads what came; false when the peer is gone.
    fn read(&mut self, handle: Handle, now_ns: u64) -> bool {
        let Self { conns, scratch, lanes, interests, metrics, ready, epoch, .. } = self;
        let Some(conn) = conns.get_mut(handle) else { return true };
        let mut budget = READ_BYTES_PER_TURN_MAX;
        loop {
            if budget == 0 {
                queue(ready, conn);
                return true;
            }
            let taken = match conn.stream.read(scratch) {
                // A TCP viewer may shut its sending half and go on watching; a gone one is found by the next write.
                Ok(0) => return conn.out.transport() == Transport::Tcp && !conn.out.is_closing(),
                Ok(taken) => taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.metrics.dead.add(u64::from(error.kind() == ErrorKind::TimedOut));
                    return false;
                }
            };
            conn.liveness.heard(now_ns);
            budget = budget.saturating_sub(taken);
            if conn.out.is_closing() {
                continue;
            }
            let bytes = scratch.get(..taken).unwrap_or(&[]);
            take_in(conn, bytes, *epoch, now_ns, &mut Out { lanes, interests }, metrics);
        }
    }

    fn serve_ready(&mut self, now_ns: u64) {
        std::mem::swap(&mut self.ready, &mut self.ready_now);
        let mut place = 0;
        while let Some(handle) = self.ready_now.get(place).copied() {
            place += 1;
            if let Some(conn) = self.conns.get_mut(handle) {
                conn.queued = false;
                self.serve(handle, true, now_ns);
            }
            if !self.lanes.frames.is_empty() {
                self.take_frames();
            }
        }
        self.ready_now.clear();
    }

    fn adopt(&mut self, adopt: Adopt<P::Handed>, now_ns: u64) {
        let Adopt { stream, peer, transport, mut grant, first, received } = adopt;
        let interest = grant.interest.take();
        let (index, class) = (self.index, grant.class);
        let session = grant.session;
        let Some(members) = self.members.get_mut(usize::from(class.slot)) else { return };
        let member = members.len();
        let stream = self.platform.take(stream);
        // Told between the grant and now; one that missed more sees the gap.
        let since = self.changed.as_ref().filter(|(version, _)| *version > grant.version).map(|(_, text)| text);
        let made = self.conns.insert_with(|handle| {
            let mut out = Outbound::new(transport, class, grant.profile, first, now_ns);
            let texts = [Some(&grant.greeting), grant.missed.as_ref(), since];
            for text in texts.into_iter().flatten().filter(|text| !text.is_empty()) {
                let _ = out.text(text);
            }
            Conn {
                stream,
                peer,
                origin: Origin { shard: index, handle, session },
                out,
                inbound: Inbound::new(transport),
                drags: Drags::default(),
                limiter: RateLimit::default(),
                ladder: Ladder::new(now_ns),
                liveness: Liveness::new(now_ns),
                demand_bytes: grant.demand_bytes,
                member,
                writable: true,
                queued: false,
                untold: self.stage.each_ref().map(Option::is_some),
                told_ns: now_ns,
                watching: Watching::Nothing,
                agents: AgentWatch::default(),
                actions: Rate::new(SECOND_NS / ACTIONS_PER_SECOND, ACTIONS_PER_SECOND),
                linger_until_ns: None,
            }
        });
        let Some(handle) = made else {
            // Every shard has room for all connections together, so this is a session that was counted twice.
            self.ended.push((session, false));
            return;
        };
        members.push(handle);
        self.demand_bytes += grant.demand_bytes;
        self.metrics.adopted.add(1);
        self.gauge();
        let Some(conn) = self.conns.get_mut(handle) else { return };
        if self.platform.watch(&mut conn.stream, handle.slot).is_err() {
            return self.remove(handle);
        }
        if let (Some(interest), Some(link)) = (interest, self.links.get(usize::from(class.slot))) {
            conn.out.set_interest(interest, link, &mut self.interests);
        }
        let expelled = self.expelled.get(usize::from(class.slot)).copied().flatten();
        let expelled = expelled.filter(|(of, ..)| *of == class).map(|(_, code, reason)| (code, reason));
        if let Some((code, reason)) = self.stopping.or(expelled) {
            conn.out.close(code, reason);
            conn.linger_until_ns = Some(now_ns + LINGER_NS);
        }
        self.guard(handle, now_ns, |shard| {
            let Self { conns, lanes, interests, metrics, epoch, .. } = shard;
            if let Some(conn) = conns.get_mut(handle).filter(|_| !received.is_empty()) {
                take_in(conn, &received, *epoch, now_ns, &mut Out { lanes, interests }, metrics);
            }
            shard.serve_unguarded(handle, false, now_ns)
        });
    }

    /// Takes the connection out of its class's list; the last member moves into its place.
    fn leave_members(&mut self, handle: Handle) {
        let Some(conn) = self.conns.get_mut(handle) else { return };
        let (slot, place) = (usize::from(conn.out.class().slot), conn.member);
        let Some(members) = self.members.get_mut(slot) else { return };
        if members.get(place) != Some(&handle) {
            return;
        }
        members.swap_remove(place);
        if let Some(moved) = members.get(place).copied()
            && let Some(moved) = self.conns.get_mut(moved)
        {
            moved.member = place;
        }
    }

    fn remove(&mut self, handle: Handle) {
        self.leave_members(handle);
        let Some(mut conn) = self.conns.remove(handle) else { return };
        self.platform.forget(&mut conn.stream);
        self.copied_bytes = self.copied_bytes.saturating_sub(conn.out.copied_bytes());
        self.demand_bytes -= conn.demand_bytes;
        self.ended.push((conn.origin.session, conn.drags.any()));
        self.metrics.ended.add(1);
        tracing::debug!(session = conn.origin.session.0, peer = %conn.peer, "a connection ended");
        self.gauge();
        self.report_ended();
    }

    fn gauge(&self) {
        self.metrics.connections.set(self.conns.len() as f64);
        self.metrics.demand_bytes.set(self.demand_bytes as f64);
    }

    /// Tells `sim` and `control` who is gone; what does not fit into the lanes waits for the next turn.
    fn report_ended(&mut self) {
        while let Some((session, drags)) = self.ended.pop() {
            if drags && self.lanes.commands.push(ViewCommand::ReleaseAll { session }).is_err() {
                self.ended.push((session, true));
                return;
            }
            if self.lanes.events.push(ShardEvent::Ended { session }).is_err() {
                self.ended.push((session, false));
                return;
            }
        }
    }

    #[cold]
    fn close_after_panic(&mut self, handle: Handle, boundary: bool, now_ns: u64) {
        self.metrics.panics.add(1);
        let Some(conn) = self.conns.get_mut(handle) else { return };
        // What the event may have half written is not read again: only a connection that stood at a message
        // boundary before it can be told why, with a queue of its own.
        if !boundary {
            return self.remove(handle);
        }
        let (transport, class) = (conn.out.transport(), ClassRef::NONE);
        self.leave_members(handle);
        let Some(conn) = self.conns.get_mut(handle) else { return };
        conn.out = Outbound::new(transport, class, crate::wire::Profile::Own, Vec::new(), now_ns);
        conn.out.close(CloseCode::Internal, "an error of the server");
        conn.linger_until_ns = Some(now_ns + LINGER_NS);
        queue(&mut self.ready, conn);
    }

    /// Ends leases and connections that take too long, and tells of the gone ones that did not fit before.
    fn housekeep(&mut self, now_ns: u64) {
        let pressed = self.pool_low.load(Ordering::Relaxed);
        if now_ns < self.housekeeping_ns && !pressed {
            return;
        }
        self.housekeeping_ns = now_ns + HOUSEKEEPING_NS;
        if let Some(limits) = &self.limits {
            self.options.follow(limits);
        }
        if pressed {
            self.drop_old_fronts();
        }
        self.report_ended();
        let lease_ns_max = if pressed { 0 } else { self.options.lease_ns_max };
        for slot in 0..self.conns.slot_count() {
            let Self { conns, links, lanes, interests, metrics, stage, ready, .. } = self;
            let Some(conn) = conns.at_mut(slot) else { continue };
            let handle = conn.origin.handle;
            quiet::tell_stage(stage, conn, ready);
            let mut out = Out { lanes, interests };
            conn.keep_pace(&mut out, metrics, now_ns);
            conn.keep_agents(&mut out);
            if let Some(link) = links.get(usize::from(conn.out.class().slot)) {
                conn.keep_interest(link, &mut out, now_ns);
            }
            let lingered = conn.linger_until_ns.is_some_and(|until| now_ns >= until);
            let stalled = conn.out.stalled_ns(now_ns) > self.options.stall_ns_max;
            if conn.out.lease_ns(now_ns) > lease_ns_max {
                self.copied_bytes += conn.out.copy_lease();
                self.metrics.lease_copies.add(1);
            }
            // One that is stuck in the middle of a frame cannot be told why.
            if lingered || stalled {
                self.metrics.stalled.add(u64::from(stalled));
                self.remove(handle);
            } else {
                self.look_for_sign(handle, now_ns);
            }
        }
        self.copied_bytes = self.conns.iter_mut().map(|(_, conn)| conn.out.copied_bytes()).sum();
        while self.copied_bytes > self.options.copy_bytes_max {
            let copying = self.conns.iter_mut().filter(|(_, conn)| conn.out.copied_bytes() > 0);
            let Some((handle, _)) = copying.max_by_key(|(_, conn)| conn.out.stalled_ns(now_ns)) else { return };
            self.metrics.stalled.add(1);
            self.remove(handle);
        }
    }
}

/// Puts a connection on the list of those with work left, once.
fn queue<Stream>(ready: &mut Vec<Handle>, conn: &mut Conn<Stream>) {
    if !conn.queued {
        conn.queued = true;
        ready.push(conn.origin.handle);
    }
}

/// Acts on received bytes and queues the goodbye when they end the connection.
fn take_in<Stream: Write, Handed>(
    conn: &mut Conn<Stream>,
    bytes: &[u8],
    epoch: u32,
    now_ns: u64,
    out: &mut Out<'_, Handed>,
    metrics: &ShardMetrics,
) {
    let mut received = Received::default();
    let ended = conn.receive(bytes, epoch, now_ns, out, &mut received);
    metrics.messages.add(received.messages);
    metrics.messages_refused.add(received.refused);
    match ended {
        Ok(()) => {}
        Err(Ending::Peer) => conn.out.finish(),
        Err(Ending::Close(code, reason)) => {
            metrics.protocol_errors.add(u64::from(code != CloseCode::TryLater));
            conn.out.close(code, reason);
        }
    }
}

//! How the door passes connections on: to `control` with a request, to a shard as a stream. What finds a lane full is held,
//! in order, and tried again every millisecond; only what is too much to hold, or held for too long, is sent away.

use super::{Door, TAKEN_BACK_PER_TURN_MAX};
use crate::base::Handle;
use crate::base::clock::monotonic_ns;
use crate::handoff::{Adopt, DoorRequest, Grant, McpSocket, Producer, SessionId, Transport};
use crate::net::hold::Hold;
use crate::net::http::Response;
use crate::net::pending::{Pending, State};
use crate::net::socket;

/// What waits for room in a lane, in order.
#[derive(Default)]
pub(super) struct Holds {
    /// For the lane to `control`.
    requests: Hold<DoorRequest>,
    /// Let in by `control`, for the lane to a shard.
    granted: Hold<(Handle, Grant)>,
}

impl Holds {
    pub(super) fn len(&self) -> usize {
        self.requests.len() + self.granted.len()
    }
}

impl Door {
    /// Asks `control`, after those who wait to ask it already.
    pub(super) fn ask(&mut self, request: DoorRequest, now_ns: u64) {
        let request = match self.holds.requests.is_empty() {
            true => self.lanes.requests.push(request).err(),
            false => Some(request),
        };
        if let Some(request) = request {
            match self.may_hold() {
                true => self.holds.requests.push(request, now_ns),
                false => self.turn_away(token(&request), now_ns),
            }
        }
    }

    /// Whether one more may wait; counts it when so.
    fn may_hold(&self) -> bool {
        let may = self.holds.len() < self.options.hold_max;
        self.metrics.door.held.add(u64::from(may));
        may
    }

    /// Passes on what waits, in order, while there is room; what has waited for too long is told to come back.
    pub(super) fn let_go(&mut self, now_ns: u64) {
        if self.holds.len() == 0 {
            return;
        }
        while let Some((request, waited_ns)) = self.holds.requests.pop(now_ns) {
            let handle = token(&request);
            if handle.is_some_and(|handle| self.pending.get_mut(handle).is_none()) {
                continue;
            }
            match self.lanes.requests.push(request) {
                Ok(_) => self.metrics.door.hold.record(waited_ns),
                Err(_) if waited_ns > self.options.hold_ns_max => self.turn_away_now(handle, now_ns),
                Err(request) => {
                    self.holds.requests.unpop(request, waited_ns, now_ns);
                    break;
                }
            }
        }
        while let Some(((handle, grant), waited_ns)) = self.holds.granted.pop(now_ns) {
            match self.hand_over(handle, grant) {
                Ok(()) => self.metrics.door.hold.record(waited_ns),
                Err(grant) if waited_ns > self.options.hold_ns_max => {
                    self.abandon(grant.session);
                    self.turn_away_now(Some(handle), now_ns);
                }
                Err(grant) => {
                    self.holds.granted.unpop((handle, grant), waited_ns, now_ns);
                    break;
                }
            }
        }
        self.metrics.door.holding.set(self.holds.len() as f64);
    }

    /// `control` lets a stream in: a shard gets it, after those that wait for one already.
    pub(super) fn granted(&mut self, handle: Handle, grant: Grant, now_ns: u64) {
        let grant = match self.holds.granted.is_empty() {
            true => self.hand_over(handle, grant).err(),
            false => Some(grant),
        };
        if let Some(grant) = grant {
            if self.may_hold() {
                return self.holds.granted.push((handle, grant), now_ns);
            }
            self.abandon(grant.session);
            self.turn_away_now(Some(handle), now_ns);
        }
    }

    /// Gives the socket to the shard with the least to send among those that have room.
    ///
    /// # Errors
    /// The grant, when no shard has room.
    fn hand_over(&mut self, handle: Handle, grant: Grant) -> Result<(), Grant> {
        if !matches!(self.pending.get_mut(handle), Some(Pending { state: State::Opening { .. }, .. })) {
            // It went away, or was told to, while it waited.
            self.abandon(grant.session);
            return Ok(());
        }
        // An upper bound of the depth: only this thread fills the lane.
        let room = |shard: &usize| {
            self.lanes.adopt.get(*shard).map(Producer::stats).is_some_and(|lane| lane.depth() < lane.slots() as u64)
        };
        let load = |shard: &usize| self.load(*shard, grant.demand_bytes);
        let shards = (0..self.lanes.adopt.len()).filter(room);
        let Some(shard) = shards.min_by(|left, right| load(left).total_cmp(&load(right))) else { return Err(grant) };
        let Some(pending) = self.take_out(handle) else { return Err(grant) };
        let State::Opening { switching } = pending.state else { return Err(grant) };
        let stream = std::net::TcpStream::from(pending.stream);
        if let Err(error) = socket::prepare(&stream, &self.options.socket)
            && !self.options_logged
        {
            self.options_logged = true;
            tracing::warn!(%error, "an option of a streaming socket was refused");
        }
        let (peer, transport) = (pending.peer, pending.transport);
        let adopt = Adopt { stream, peer, transport, grant, first: switching, received: pending.received };
        let Some(lane) = self.lanes.adopt.get_mut(shard) else { return Ok(()) };
        match lane.push(adopt) {
            Ok(_) => self.metrics.door.upgraded.add(1),
            // Only this thread fills the lane, and it had room.
            Err(adopt) => self.abandon(adopt.grant.session),
        }
        Ok(())
    }

    /// A connection asks for what the agents' door answers: that one goes on with it, from this request on.
    pub(super) fn pass_on(&mut self, handle: Handle, now_ns: u64) {
        let Some((lane, _)) = &self.lanes.agents else { return };
        // An upper bound of the depth: only this thread fills the lane.
        let stats = lane.stats();
        if stats.depth() >= stats.slots() as u64 {
            self.metrics.door.turned_away.add(1);
            let response = Response::error(503, "busy", "too many agents come in at once", &[]);
            return self.answer(handle, response, false, false, now_ns);
        }
        let Some(Pending { stream, peer, received, .. }) = self.take_out(handle) else { return };
        let Some((lane, _)) = &mut self.lanes.agents else { return };
        let sent = lane.push(McpSocket { stream: std::net::TcpStream::from(stream), peer, received });
        debug_assert!(sent.is_ok(), "the lane had room, and only this thread fills it");
    }

    /// Takes connections back that agents have used and that now ask for something else.
    pub(super) fn take_back(&mut self) {
        for _ in 0..TAKEN_BACK_PER_TURN_MAX {
            let back = self.lanes.agents.as_mut().and_then(|(_, back)| back.pop());
            let Some(McpSocket { stream, peer, received }) = back else { return };
            let now_ns = monotonic_ns();
            let stream = mio::net::TcpStream::from_std(stream);
            self.take(stream, peer, Transport::WebSocket, received, now_ns);
        }
    }

    /// There is no room for it, and none to wait either: its answer is to come back.
    #[cold]
    fn turn_away(&mut self, handle: Option<Handle>, now_ns: u64) {
        let Some(handle) = handle else { return };
        self.metrics.door.turned_away.add(1);
        let message = "the server has too much to do (net.hold_max, net.hold_ms_max)";
        match self.pending.get_mut(handle).map(|pending| &pending.state) {
            Some(State::Opening { .. }) => self.refuse(handle, "busy", message, 503, now_ns),
            Some(State::Asking { keep_alive, head_only }) => {
                let (keep_alive, head_only) = (*keep_alive, *head_only);
                self.answer(handle, Response::error(503, "busy", message, &[]), keep_alive, head_only, now_ns);
            }
            _ => {}
        }
    }

    /// As [`Self::turn_away`], and its answer is sent: nobody else is about to.
    pub(super) fn turn_away_now(&mut self, handle: Option<Handle>, now_ns: u64) {
        self.turn_away(handle, now_ns);
        if let Some(handle) = handle {
            self.serve(handle, now_ns);
        }
    }

    /// Bytes a second that a shard has to send, those on their way to it included.
    fn load(&self, shard: usize, demand_bytes: u64) -> f64 {
        let demand = self.metrics.shards.get(shard).map_or(f64::INFINITY, |shard| shard.demand_bytes.get());
        let on_the_way = self.lanes.adopt.get(shard).map_or(0, |lane| lane.stats().depth());
        demand + (on_the_way * demand_bytes) as f64
    }

    pub(super) fn abandon(&mut self, session: SessionId) {
        self.abandoned.push(session);
        self.give_back_abandoned();
    }

    /// Gives sessions back that no shard took; what does not fit into the lane waits for the next turn.
    pub(super) fn give_back_abandoned(&mut self) {
        while let Some(session) = self.abandoned.pop() {
            if self.lanes.requests.push(DoorRequest::Abandon { session }).is_err() {
                return self.abandoned.push(session);
            }
        }
    }
}

/// The connection that a request is for; none when it went away.
fn token(request: &DoorRequest) -> Option<Handle> {
    match request {
        DoorRequest::Open { token, .. } | DoorRequest::Http { token, .. } => Some(*token),
        DoorRequest::Abandon { .. } => None,
    }
}

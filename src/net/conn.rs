//! One streaming connection: socket, both halves, and what its messages mean to the shard.

use std::io::Write;
use std::net::SocketAddr;

use bytes::Bytes;

use super::drags::{Admission, Drags};
use super::inbound::{Ending, Inbound, Said};
use super::ladder::Ladder;
use super::liveness::Liveness;
use super::outbound::{Flushed, Outbound, Sent, Supply};
use super::rate_limit::RateLimit;
use super::watch_agents::AgentWatch;
use crate::base::Rate;
use crate::base::clock::SECOND_NS;
use crate::handoff::{
    DragPhase, Interest, NodeId, Origin, SettingsSaid, ShardEvent, StagePart, Transport, ViewCommand, Watching,
};
use crate::limits::{
    ACTIONS_PER_SECOND, AGENTS_SCHEMA_VERSION, CONTROL_BURST, CONTROL_PER_MINUTE, DRAGS_PER_CLIENT_MAX,
};
use crate::wire::{
    BinaryMessage, ClientError, ClientMessage, CloseCode, ErrorCategory, ServerError, ServerMessage, is_settings,
    parse_binary, parse_interest, parse_message, write_client_error,
};

/// One streaming connection of a shard.
pub struct Conn<Stream> {
    /// Non-blocking.
    pub stream: Stream,
    /// For log lines.
    pub peer: SocketAddr,
    /// Where answers go.
    pub origin: Origin,
    /// What is to be sent.
    pub out: Outbound,
    /// What is being received.
    pub inbound: Inbound,
    /// What it drags.
    pub drags: Drags,
    /// How often it may ask `control` for something.
    pub limiter: RateLimit,
    /// How much it is given.
    pub ladder: Ladder,
    /// Whether it is there.
    pub liveness: Liveness,
    /// Bytes a second that it takes at full rate.
    pub demand_bytes: u64,
    /// Place among the members of its class.
    pub member: usize,
    /// The kernel took everything so far.
    pub writable: bool,
    /// Stands in the shard's list of connections with work left.
    pub queued: bool,
    /// Parts of the stage that it is not told yet: what waits for it goes first.
    pub untold: [bool; StagePart::ALL.len()],
    /// When the first of the words came that wait for a frame, ns.
    pub told_ns: u64,
    /// How it hears of changed settings.
    pub watching: Watching,
    /// How it hears of agents.
    pub agents: AgentWatch,
    /// How many actions of agents it may say.
    pub actions: Rate,
    /// When the rest of its goodbye has to be over, ns; `None` while it is well.
    pub linger_until_ns: Option<u64>,
}

/// What a connection's messages ask of other threads. Full lanes come back as `false`.
pub trait Requests {
    /// To `sim`.
    fn to_sim(&mut self, command: ViewCommand) -> bool;
    /// To `control`.
    fn to_control(&mut self, event: ShardEvent) -> bool;
    /// Memory for an interest: an old one's, if there is some.
    fn interest(&mut self) -> Box<Interest>;
}

/// What a batch of received bytes did, for the counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Messages.
    pub messages: u64,
    /// Of those, answered with an error.
    pub refused: u64,
}

impl<Stream: Write> Conn<Stream> {
    /// Takes received bytes apart and acts on every message.
    ///
    /// # Errors
    /// [`Ending`], after which the connection takes nothing more.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        epoch: u32,
        now_ns: u64,
        requests: &mut impl Requests,
        received: &mut Received,
    ) -> Result<(), Ending> {
        let Self { inbound, out, drags, limiter, actions, origin, .. } = self;
        let transport = out.transport();
        let mut overrun = false;
        // The parser writes its replies into a buffer of its own so that texts can be queued while it runs.
        let mut replies = Vec::new();
        let (mut unknown, mut skew) = (false, false);
        let ended = inbound.feed(bytes, &mut replies, |said, replies| {
            if !replies.is_empty() {
                out.private_mut().append(replies);
            }
            // A blank line is a customary sign of life; an empty WebSocket message is a message.
            if overrun || unknown || skew || (said == Said::Text(b"") && transport == Transport::Tcp) {
                return;
            }
            received.messages += 1;
            let origin = *origin;
            let mut answer =
                Answer { out, limiter, actions, origin, epoch, now_ns, refused: false, overrun: false, skew: false };
            match said {
                Said::Text(text) => answer.act(text, drags, requests),
                Said::Binary(bytes) => unknown |= !answer.act_binary(bytes, requests),
            }
            received.refused += u64::from(answer.refused);
            overrun |= answer.overrun;
            skew |= answer.skew;
        });
        out.private_mut().append(&mut replies);
        if overrun || out.private_bytes() > super::echo::raised(super::outbound::PRIVATE_BYTES_MAX) {
            return Err(Ending::Close(CloseCode::TryLater, super::outbound::UNREAD));
        }
        if skew {
            const { assert!(AGENTS_SCHEMA_VERSION == 1, "the words below name it") };
            return Err(Ending::Close(CloseCode::VersionSkew, "agents_subscribe: schema_version 1 is spoken here"));
        }
        if unknown {
            return Err(Ending::Close(CloseCode::Unsupported, "a binary message of a kind that is not understood"));
        }
        ended
    }

    /// It hears of changed settings in this form from now on, and of this first; false when it has not read enough.
    pub fn watch(&mut self, watching: Watching, first: &[u8]) -> bool {
        self.watching = watching;
        match watching {
            Watching::Nothing if first.is_empty() => true,
            Watching::Nothing | Watching::Text => self.out.text(first),
            Watching::Binary => self.out.binary(first),
        }
    }

    /// The settings have changed; false when it has not read enough.
    pub fn hear(&mut self, text: &[u8], binary: &[u8]) -> bool {
        match self.watching {
            Watching::Nothing => true,
            Watching::Text => self.out.text(text),
            Watching::Binary => self.out.binary(binary),
        }
    }

    /// Sends what there is, if the kernel takes any.
    ///
    /// # Errors
    /// What the socket says.
    pub fn flush(&mut self, supply: &mut Supply<'_>, now_ns: u64, sent: &mut Sent) -> std::io::Result<Flushed> {
        if !self.writable {
            return Ok(Flushed::Blocked);
        }
        let flushed = self.out.flush(&mut self.stream, supply, now_ns, sent)?;
        self.writable = flushed != Flushed::Blocked;
        Ok(flushed)
    }
}

/// Acts on one message of one connection.
struct Answer<'conn> {
    out: &'conn mut Outbound,
    limiter: &'conn mut RateLimit,
    actions: &'conn mut Rate,
    origin: Origin,
    epoch: u32,
    now_ns: u64,
    refused: bool,
    overrun: bool,
    /// The client speaks another version.
    skew: bool,
}

impl Answer<'_> {
    fn act(&mut self, text: &[u8], drags: &mut Drags, requests: &mut impl Requests) {
        crate::base::fault::point(crate::base::fault::Point::ConnectionMessage, text);
        let message = match parse_message(text) {
            Ok(message) => message,
            Err(error) => {
                let mut json = Vec::with_capacity(256);
                write_client_error(&error, &mut json);
                return self.refuse(&json);
            }
        };
        match message {
            ClientMessage::Ping { timestamp } => self.say(&ServerMessage::Pong { timestamp, server_ns: self.now_ns }),
            ClientMessage::FullSnapshot => self.out.resend(),
            ClientMessage::InitialData => {
                let class = self.out.class().serial;
                let url = format!("/api/graph/data?class={class}");
                self.say(&ServerMessage::InitialDataInfo { url: &url, epoch: self.epoch, class });
            }
            ClientMessage::Ack { sequence } => self.out.ack(sequence, self.now_ns),
            ClientMessage::Latency => self.report_lateness(),
            ClientMessage::Interest => self.ask_interest(text, requests),
            ClientMessage::Subscribe { rate_hz } => {
                self.ask_control(ShardEvent::Subscribe { origin: self.origin, rate_hz }, requests);
            }
            ClientMessage::Pin { node, pinned } => {
                self.ask_control(ShardEvent::Pin { origin: self.origin, node, pinned }, requests);
            }
            ClientMessage::DragStart { node, position } | ClientMessage::DragUpdate { node, position } => {
                self.drag(node, position, drags, requests);
            }
            ClientMessage::DragEnd { node, pin } => {
                let Some(node) = NodeId::new(node) else { return };
                if !drags.holds(node) {
                    return self.error("not_dragged", "this connection does not drag that node", &["nodeId"], false);
                }
                let command = ViewCommand::Drag { origin: self.origin, node, phase: DragPhase::End { pin } };
                let taken = requests.to_sim(command);
                // Refused, it is still dragged, so that the client can send it again.
                if taken {
                    drags.end(node);
                }
                self.busy_unless(taken);
            }
            ClientMessage::PhysicsParams => {
                let message = "parameters are settings: PUT /api/settings/path sets one, as sim.damping";
                self.error("not_here", message, &[], false);
            }
            ClientMessage::WatchSettings { version, hash } => {
                let said = SettingsSaid::Watch { version, hash };
                self.ask_control(ShardEvent::Settings { origin: self.origin, said }, requests);
            }
            ClientMessage::WatchAgents { schema_version, binary } => {
                if schema_version != AGENTS_SCHEMA_VERSION {
                    self.skew = true;
                    return;
                }
                let fits = self.out.profile().has_lead_byte() && self.out.transport() == Transport::WebSocket;
                if binary && !fits {
                    let message = "actions come in text where a frame may begin with any byte, and over TCP";
                    return self.error("unsupported", message, &["actions"], false);
                }
                let heard = if binary { Watching::Binary } else { Watching::Text };
                self.ask_control(ShardEvent::Agents { origin: self.origin, heard }, requests);
            }
            ClientMessage::LeaveAgents => {
                self.ask_control(ShardEvent::Agents { origin: self.origin, heard: Watching::Nothing }, requests);
            }
            ClientMessage::LeaveSettings => {
                let said = SettingsSaid::Leave;
                self.ask_control(ShardEvent::Settings { origin: self.origin, said }, requests);
            }
        }
    }

    /// Acts on a binary message; false when its kind is not known, which ends the connection.
    fn act_binary(&mut self, bytes: &[u8], requests: &mut impl Requests) -> bool {
        if is_settings(bytes) {
            self.ask_settings(bytes, requests);
            return true;
        }
        match parse_binary(bytes) {
            Ok(BinaryMessage::Ack(ack)) => self.out.ack(ack.sequence, self.now_ns),
            Ok(BinaryMessage::AgentActions(said)) => self.say_actions(bytes, said.count(), requests),
            Err(ClientError::UnknownType) => return false,
            Err(error) => {
                let mut json = Vec::with_capacity(256);
                write_client_error(&error, &mut json);
                self.refuse(&json);
            }
        }
        true
    }

    /// Actions are told as agents act: they have a rate of their own. A message is taken whole or not at all.
    fn say_actions(&mut self, bytes: &[u8], count: usize, requests: &mut impl Requests) {
        let mut rate = *self.actions;
        for _ in 0..count {
            if let Err(wait_ns) = rate.admit(self.now_ns) {
                let message =
                    format!("at most {ACTIONS_PER_SECOND} actions a second; nothing of this message was relayed");
                return self.limited(&message, wait_ns as f64 / SECOND_NS as f64);
            }
        }
        *self.actions = rate;
        let event = ShardEvent::Actions { origin: self.origin, message: Bytes::copy_from_slice(bytes) };
        let taken = requests.to_control(event);
        self.busy_unless(taken);
    }

    fn ask_settings(&mut self, bytes: &[u8], requests: &mut impl Requests) {
        if !self.out.profile().has_lead_byte() {
            let message = "frames of this profile may begin with any byte: ask for the settings in text, or by REST";
            return self.error("unsupported", message, &["profile"], false);
        }
        let said = SettingsSaid::Binary(bytes.into());
        self.ask_control(ShardEvent::Settings { origin: self.origin, said }, requests);
    }

    fn drag(&mut self, node: u32, position: [f32; 3], drags: &mut Drags, requests: &mut impl Requests) {
        let Some(node) = NodeId::new(node) else { return };
        match drags.update(node, self.now_ns) {
            Admission::Pass => {
                let command = ViewCommand::Drag { origin: self.origin, node, phase: DragPhase::Move(position) };
                let taken = requests.to_sim(command);
                self.busy_unless(taken);
            }
            Admission::TooSoon => {}
            Admission::TooMany => {
                let message = format!("one client drags at most {DRAGS_PER_CLIENT_MAX} nodes at once");
                self.error("too_many_drags", &message, &["nodeId"], true);
            }
        }
    }

    fn report_lateness(&mut self) {
        let (frames, left_out) = self.out.lateness().counts();
        let (tick_to_kernel, sent_to_ack) = self.out.lateness().report();
        self.say(&ServerMessage::LatencyReport {
            server_ns: self.now_ns,
            frames,
            left_out,
            tick_to_kernel,
            sent_to_ack,
        });
    }

    fn ask_interest(&mut self, text: &[u8], requests: &mut impl Requests) {
        if !self.out.profile().is_chain() {
            let message = "only the profile swarmcast.compact sends a part of the graph";
            return self.error("unsupported", message, &["interest"], false);
        }
        let mut interest = requests.interest();
        if let Err(error) = parse_interest(text, &mut interest.ask) {
            let mut json = Vec::with_capacity(256);
            write_client_error(&error, &mut json);
            return self.refuse(&json);
        }
        self.ask_control(ShardEvent::Interest { origin: self.origin, interest, asked: true }, requests);
    }

    /// Requests to `control` cost it work and an answer each, so one client may not have many of them.
    fn ask_control(&mut self, event: ShardEvent, requests: &mut impl Requests) {
        if let Err(wait_ns) = self.limiter.admit(self.now_ns) {
            let seconds = wait_ns as f64 / SECOND_NS as f64;
            let message = format!("at most {CONTROL_PER_MINUTE} such requests a minute, {CONTROL_BURST} at once");
            return self.limited(&message, seconds);
        }
        let taken = requests.to_control(event);
        self.busy_unless(taken);
    }

    #[cold]
    fn limited(&mut self, message: &str, retry_after: f64) {
        let error = ServerError {
            code: "rate_limited",
            message,
            category: ErrorCategory::RateLimit,
            retryable: true,
            retry_after: Some(retry_after),
            affected_paths: &[],
        };
        self.refuse(&ServerMessage::Error(error).to_vec());
    }

    fn busy_unless(&mut self, taken: bool) {
        if !taken {
            self.error("busy", "the server has too much to do; send it again", &[], true);
        }
    }

    #[cold]
    fn error(&mut self, code: &str, message: &str, affected_paths: &[&str], retryable: bool) {
        let error = ServerError {
            code,
            message,
            category: if retryable { ErrorCategory::RateLimit } else { ErrorCategory::Validation },
            retryable,
            retry_after: retryable.then_some(0.1),
            affected_paths,
        };
        self.refuse(&ServerMessage::Error(error).to_vec());
    }

    fn refuse(&mut self, json: &[u8]) {
        self.refused = true;
        self.overrun |= !self.out.text(json);
    }

    fn say(&mut self, message: &ServerMessage<'_>) {
        self.overrun |= !self.out.message(message);
    }
}

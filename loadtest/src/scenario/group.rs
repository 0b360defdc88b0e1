//! A group of clients before it is checked: what a `[[group]]` or the command line says, and what may stand together.

use swarmcast::wire::Profile;

use crate::clock::SECOND_NS;
use crate::plan::{
    Behaviour, Call, Calls, Compact, Framing, Group, Message, Protocol, Sending, Stamp, Target, Transport,
};
use crate::target::{Asked, Said, Url};

/// Clients of one group.
pub(crate) const CLIENTS_MAX: u32 = 1_000_000;

/// Bytes at the start of a message that are looked at for its stamp.
const STAMP_END_MAX: u64 = 64;

/// How long a lost client waits, where nothing is said.
const RECONNECT_NS: u64 = SECOND_NS;

/// Whose keys some are.
const COMPACT: &str = "protocol = \"swarmcast.compact\"";

/// A drag slower than this would be let go by the server, which does so after 500 ms of silence; a faster one would
/// be thinned out by it.
const DRAG_HZ: std::ops::RangeInclusive<f64> = 3.0..=60.0;

/// The protocols by the names that people give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// A stream of Swarmcast; `None` leaves the profile to the address.
    Swarmcast(Option<Profile>),
    /// Any stream.
    Generic,
    /// Calls, of MCP or not.
    Calls {
        /// Of MCP.
        mcp: bool,
    },
}

/// Names of [`Spoken`].
pub(crate) const SPOKEN: [(&str, Spoken); 16] = [
    ("swarmcast", Spoken::Swarmcast(None)),
    ("swarmcast.v1", Spoken::Swarmcast(Some(Profile::Own))),
    ("swarmcast.compact", Spoken::Swarmcast(Some(Profile::Compact))),
    ("v1", Spoken::Swarmcast(Some(Profile::V1))),
    ("v2", Spoken::Swarmcast(Some(Profile::V2))),
    ("v3", Spoken::Swarmcast(Some(Profile::V3))),
    ("legacy-26", Spoken::Swarmcast(Some(Profile::Legacy26))),
    ("legacy-28", Spoken::Swarmcast(Some(Profile::Legacy28))),
    ("v1-lead", Spoken::Swarmcast(Some(Profile::V1Lead))),
    ("v5", Spoken::Swarmcast(Some(Profile::V5))),
    ("v42", Spoken::Swarmcast(Some(Profile::V42))),
    ("vf0", Spoken::Swarmcast(Some(Profile::Vf0))),
    ("swarmcast.v1.lz4", Spoken::Swarmcast(Some(Profile::OwnLz4))),
    ("generic", Spoken::Generic),
    ("json-rpc", Spoken::Calls { mcp: false }),
    ("mcp", Spoken::Calls { mcp: true }),
];

/// What is said of a group. `None` and empty: nothing.
#[derive(Clone, Debug)]
pub(crate) struct GroupDraft {
    pub(crate) name: String,
    pub(crate) clients: u32,
    pub(crate) target: Option<Url>,
    /// There was one, and it was refused.
    pub(crate) target_refused: bool,
    pub(crate) spoken: Spoken,
    pub(crate) rate_hz: Option<u16>,
    pub(crate) bits: Option<u8>,
    pub(crate) dimensions: Option<u8>,
    /// The whole text message.
    pub(crate) interest: Option<String>,
    pub(crate) ack_every: Option<u32>,
    pub(crate) owed_hz: Option<f64>,
    pub(crate) start_ns: u64,
    /// Names of stages; empty is all of them.
    pub(crate) during: Vec<String>,
    /// Each with its key; more than one is a contradiction.
    pub(crate) behaviours: Vec<(&'static str, Behaviour)>,
    pub(crate) sending: Option<Sending>,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) framing: Option<Framing>,
    pub(crate) hello: Vec<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) calls_hz: Option<f64>,
    pub(crate) mix: Vec<Call>,
    pub(crate) timeout_ns: Option<u64>,
    pub(crate) in_flight: Option<u32>,
    /// `Some(None)` is never.
    pub(crate) reconnect: Option<Option<u64>>,
    pub(crate) verify: bool,
    pub(crate) receive_buffer: Option<u32>,
}

impl GroupDraft {
    pub(crate) fn new(name: &str, clients: u32) -> Self {
        Self {
            name: name.to_owned(),
            clients,
            target: None,
            target_refused: false,
            spoken: Spoken::Swarmcast(None),
            rate_hz: None,
            bits: None,
            dimensions: None,
            interest: None,
            ack_every: None,
            owed_hz: None,
            start_ns: 0,
            during: Vec::new(),
            behaviours: Vec::new(),
            sending: None,
            stamp: None,
            framing: None,
            hello: Vec::new(),
            headers: Vec::new(),
            subprotocols: Vec::new(),
            calls_hz: None,
            mix: Vec::new(),
            timeout_ns: None,
            in_flight: None,
            reconnect: None,
            verify: false,
            receive_buffer: None,
        }
    }

    /// Checks content from now on, if anything of it is known and read.
    pub(crate) fn verify_where_it_can(&mut self) {
        let reads = !self.behaviours.iter().any(|(_, what)| matches!(what, Behaviour::HalfOpen | Behaviour::Silent));
        self.verify |= reads && matches!(self.spoken, Spoken::Swarmcast(_));
    }

    /// The group, unless something in it cannot be; that is said with its key.
    pub(crate) fn finish(
        self,
        target: Option<&Url>,
        target_refused: bool,
        say: &mut dyn FnMut(&str, String),
    ) -> Option<Group> {
        let mut fine = true;
        let mut refuse = |key: &str, wrong: String| {
            fine = false;
            say(key, wrong);
        };
        let url = if self.target_refused { None } else { self.target.as_ref().or(target) };
        let Some(url) = url else {
            if !(self.target_refused || target_refused) {
                refuse("target", "is missing, here and at the top: write target = \"ws://host:port/path\"".to_owned());
            }
            return None;
        };
        self.check_keys(&mut refuse);
        self.check_transport(url.transport(), &mut refuse);
        self.check_behaviour(&mut refuse);
        self.check_sending(&mut refuse);
        let (target, protocol) = match self.settle(url) {
            Ok(settled) => settled,
            Err((key, wrong)) => {
                refuse(key, wrong);
                return None;
            }
        };
        let behaviour = self.behaviours.first().map_or(Behaviour::Reader, |(_, behaviour)| *behaviour);
        fine.then_some(Group {
            name: self.name,
            clients: self.clients,
            target,
            protocol,
            behaviour,
            sending: self.sending,
            start_ns: self.start_ns,
            owed_hz: self.owed_hz,
            reconnect_after_ns: self.reconnect.unwrap_or(Some(RECONNECT_NS)),
            verify: self.verify,
            receive_buffer_bytes: self.receive_buffer,
            stages: None,
        })
    }

    /// The resolved target and the protocol.
    fn settle(&self, url: &Url) -> Result<(Target, Protocol), (&'static str, String)> {
        let at_target = |error: crate::target::TargetError| ("target", error.to_string());
        let asked = match self.spoken {
            Spoken::Swarmcast(profile) => {
                let Self { rate_hz, bits, dimensions, .. } = *self;
                Some(url.ask(Said { profile, rate_hz, bits, dimensions }).map_err(at_target)?)
            }
            Spoken::Generic | Spoken::Calls { .. } => None,
        };
        let protocol = match (self.spoken, asked) {
            (Spoken::Calls { mcp }, _) => Protocol::JsonRpc(Calls {
                rate_hz: self.calls_hz.unwrap_or(1.0),
                mcp,
                mix: self.mix.clone(),
                timeout_ns: self.timeout_ns.unwrap_or(10 * SECOND_NS),
                in_flight_max: self.in_flight.unwrap_or(64),
            }),
            (_, Some(asked)) => self.stream(asked)?,
            (_, None) => Protocol::Generic {
                framing: self.framing.unwrap_or(Framing::None),
                stamp: self.stamp,
                hello: self.hello.clone(),
            },
        };
        let mut target = url.resolve(asked).map_err(at_target)?;
        target.headers.clone_from(&self.headers);
        target.subprotocols.clone_from(&self.subprotocols);
        Ok((target, protocol))
    }

    /// A stream of Swarmcast, in the profile that was settled.
    fn stream(&self, asked: Asked) -> Result<Protocol, (&'static str, String)> {
        let Asked { profile, rate_hz, bits, dimensions } = asked;
        if profile == Profile::Compact {
            let (interest, ack_every) = (self.interest.clone(), self.ack_every.unwrap_or(0));
            return Ok(Protocol::Compact(Compact { rate_hz, bits, dimensions, interest, ack_every }));
        }
        for (key, given) in [
            ("bits", bits.is_some()),
            ("dimensions", dimensions.is_some()),
            ("interest", self.interest.is_some()),
            ("ack_every", self.ack_every.is_some()),
        ] {
            if given {
                return Err((key, format!("is only for protocol = \"{}\"", Profile::Compact.name())));
            }
        }
        Ok(Protocol::Swarmcast { profile, rate_hz })
    }

    /// Keys that belong to another protocol, and those that this one cannot do without.
    fn check_keys(&self, refuse: &mut dyn FnMut(&str, String)) {
        let swarmcast = matches!(self.spoken, Spoken::Swarmcast(_));
        let generic = self.spoken == Spoken::Generic;
        let calls = matches!(self.spoken, Spoken::Calls { .. });
        for (key, given, allowed, whose) in [
            (
                "rate",
                self.rate_hz.is_some(),
                swarmcast,
                "the streams of Swarmcast; a generic stream is told by `expect`",
            ),
            ("bits", self.bits.is_some(), swarmcast, COMPACT),
            ("dimensions", self.dimensions.is_some(), swarmcast, COMPACT),
            ("interest", self.interest.is_some(), swarmcast, COMPACT),
            ("ack_every", self.ack_every.is_some(), swarmcast, COMPACT),
            ("verify", self.verify, swarmcast, "the streams of Swarmcast; the content of others is not known"),
            ("expect", self.owed_hz.is_some(), !calls, "streams; a caller is owed its answers"),
            ("stamp", self.stamp.is_some(), generic, "protocol = \"generic\"; Swarmcast's own stamps are read anyway"),
            ("framing", self.framing.is_some(), generic, "protocol = \"generic\"; the others have their own"),
            ("hello", !self.hello.is_empty(), generic, "protocol = \"generic\"; the others have their own"),
            ("send", self.sending.is_some(), !calls, "streams; a caller sends its `call`s"),
            ("call", !self.mix.is_empty(), calls, "protocol = \"json-rpc\" or \"mcp\""),
            ("calls_per_s", self.calls_hz.is_some(), calls, "protocol = \"json-rpc\" or \"mcp\""),
            ("timeout", self.timeout_ns.is_some(), calls, "protocol = \"json-rpc\" or \"mcp\""),
            ("in_flight", self.in_flight.is_some(), calls, "protocol = \"json-rpc\" or \"mcp\""),
        ] {
            if given && !allowed {
                refuse(key, format!("is only for {whose}"));
            }
        }
        if calls && self.mix.is_empty() {
            refuse("call", "is missing: a caller needs at least one [[group.call]] with a `method`".to_owned());
        }
        if calls && self.calls_hz.is_none() {
            refuse("calls_per_s", "is missing: calls of the whole group per second".to_owned());
        }
        if let Some(stamp) = self.stamp.filter(|stamp| u64::from(stamp.offset) + 8 > STAMP_END_MAX) {
            let at_most = STAMP_END_MAX - 8;
            let wrong = format!(
                "must be at most {at_most}: a stamp of 8 bytes is looked for in the first 64, found {}",
                stamp.offset
            );
            refuse("stamp.offset", wrong);
        }
    }

    /// What the transport has no room for.
    fn check_transport(&self, transport: Transport, refuse: &mut dyn FnMut(&str, String)) {
        let uncut = self.spoken == Spoken::Generic && matches!(self.framing, None | Some(Framing::None));
        match transport {
            Transport::WebSocket => {
                if matches!(self.spoken, Spoken::Calls { .. }) {
                    refuse("protocol", "is spoken over tcp:// only; the target is a ws:// address".to_owned());
                }
                if self.framing.is_some() {
                    refuse("framing", "is only for tcp://; WebSocket cuts its messages itself".to_owned());
                }
            }
            Transport::Tcp => {
                for (key, given) in
                    [("headers", !self.headers.is_empty()), ("subprotocols", !self.subprotocols.is_empty())]
                {
                    if given {
                        refuse(key, "is only for ws://; there is no request on tcp://".to_owned());
                    }
                }
                if uncut && self.stamp.is_some() {
                    refuse("stamp", "needs `framing`: on tcp:// nothing else says where a message begins".to_owned());
                }
                if uncut && self.owed_hz.is_some() {
                    refuse("expect", "needs `framing`: on tcp:// nothing else says how many messages came".to_owned());
                }
                if self.sending.as_ref().is_some_and(|sending| sending.what == Message::WsPing) {
                    refuse("send.what", "ws-ping is a frame of WebSocket; the target is a tcp:// address".to_owned());
                }
                if let Some(Framing::Fixed(bytes)) = self.framing
                    && self.stamp.is_some_and(|stamp| u32::from(stamp.offset) + 8 > bytes)
                {
                    refuse("stamp.offset", format!("puts the stamp's 8 bytes outside a message of {bytes} bytes"));
                }
            }
        }
    }

    fn check_behaviour(&self, refuse: &mut dyn FnMut(&str, String)) {
        let Some((first, behaviour)) = self.behaviours.first() else { return };
        for (key, _) in self.behaviours.iter().skip(1) {
            refuse(
                key,
                format!("cannot stand with `{first}`: a group does one of read, stall, half_open, silent, storm"),
            );
        }
        if matches!(self.spoken, Spoken::Calls { .. }) {
            refuse(first, "is for streams; callers only call".to_owned());
            return;
        }
        if matches!(behaviour, Behaviour::HalfOpen | Behaviour::Silent) {
            for (key, given) in
                [("send", self.sending.is_some()), ("verify", self.verify), ("expect", self.owed_hz.is_some())]
            {
                if given {
                    refuse(key, format!("cannot stand with `{first}`: such a client neither reads nor sends"));
                }
            }
        }
    }

    fn check_sending(&self, refuse: &mut dyn FnMut(&str, String)) {
        let Some(sending) = &self.sending else { return };
        let swarmcast = matches!(self.spoken, Spoken::Swarmcast(_));
        match &sending.what {
            Message::Ping | Message::Drag { .. } if !swarmcast => {
                refuse("send.what", "ping and drag are messages of Swarmcast; send ws-ping or text".to_owned());
            }
            Message::Drag { .. } if !DRAG_HZ.contains(&sending.rate_hz) => {
                let (least, most) = (DRAG_HZ.start(), DRAG_HZ.end());
                let why =
                    "the server lets go of a node after 500 ms of silence, and leaves out what comes within 16 ms";
                let found = sending.rate_hz;
                refuse("send.rate", format!("must be from {least} to {most} Hz for a drag ({why}), found {found}"));
            }
            _ => {}
        }
    }
}

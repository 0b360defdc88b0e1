//! What a run does, checked and resolved: nothing here can be wrong any more. Times are ns from the start of the run.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use swarmcast::wire::Profile;

use crate::clock::SECOND_NS;
use crate::threshold::Threshold;

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// For titles and file names.
    pub name: String,
    /// Seeds everything random: jitter, calls, dragged nodes.
    pub seed: u64,
    /// At least one, in order; the run ends with the last one.
    pub stages: Vec<Stage>,
    /// At least one; names are unique.
    pub groups: Vec<Group>,
    /// What decides the exit code.
    pub thresholds: Vec<Threshold>,
    /// Left out at the start of the first measured stage.
    pub warmup_ns: u64,
    /// Threads that generate load, at least 1.
    pub threads: usize,
    /// Local addresses to connect from in turn; empty leaves it to the kernel.
    pub sources: Vec<IpAddr>,
    /// For a TCP connection and its handshake.
    pub connect_timeout_ns: u64,
    /// How a stamp of the server becomes a time of ours.
    pub clock: ClockMode,
    /// When the tool itself has spoilt the run.
    pub self_check: SelfCheck,
}

/// A part of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// For reports; the kind's name when the file gives none.
    pub name: String,
    /// What the number of clients does.
    pub kind: StageKind,
    /// More than 0.
    pub duration_ns: u64,
    /// Share of every group's clients that this stage leads to, 0 to 1.
    pub to: f64,
    /// Whether its frames count in the figures. Connects, first frames and errors always do.
    pub measured: bool,
}

/// What the number of clients does in a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Goes evenly from what it was to `to`.
    Ramp,
    /// Stays as it is; `to` is what it was.
    Hold,
    /// Jumps to `to` at once, and back again at the end.
    Spike,
    /// As `Hold`; the report sets its first tenth beside its last.
    Soak,
}

/// Clients that do the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// At least 1.
    pub clients: u32,
    /// Where they connect.
    pub target: Target,
    /// What they speak.
    pub protocol: Protocol,
    /// What they do besides.
    pub behaviour: Behaviour,
    /// What they send, if anything.
    pub sending: Option<Sending>,
    /// They begin this much later than the run.
    pub start_ns: u64,
    /// Frames a second that each of them is owed. `None` takes the rate that the server confirms, and where a
    /// protocol has no such thing, nothing is owed: `missing` and the corrected latency are then unknown.
    pub owed_hz: Option<f64>,
    /// After a connection is lost: `None` stays away.
    pub reconnect_after_ns: Option<u64>,
    /// Decode and check every byte of every frame.
    pub verify: bool,
    /// `SO_RCVBUF`; `None` leaves it to the kernel.
    pub receive_buffer_bytes: Option<u32>,
    /// Places in [`Plan::stages`] in which they are there, if the stage has clients at all; `None` is all of them.
    pub stages: Option<Vec<usize>>,
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// As the user wrote it.
    pub url: String,
    /// WebSocket or bare TCP.
    pub transport: Transport,
    /// `host:port`, for the `Host` header.
    pub authority: String,
    /// Path and query; empty on TCP.
    pub path: String,
    /// Resolved.
    pub address: SocketAddr,
    /// More lines of the WebSocket request: name and value.
    pub headers: Vec<(String, String)>,
    /// Sub-protocols that the request offers. Our own format is asked for by the path's query instead.
    pub subprotocols: Vec<String>,
}

/// How bytes become messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// RFC 6455 over HTTP/1.1.
    WebSocket,
    /// A stream of bytes.
    Tcp,
}

/// What a group's clients speak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// A stream of Swarmcast: our own format or a legacy one. On TCP a hello line asks for it, on WebSocket the query.
    Swarmcast {
        /// Format of the frames, each of which is whole; only [`Profile::Own`] carries stamps and sequences.
        #[serde(with = "profile_name")]
        profile: Profile,
        /// Frames per second asked for, 1 to 120.
        rate_hz: u16,
    },
    /// The chain of the compact profile.
    Compact(Compact),
    /// Any other stream of messages.
    Generic {
        /// Where one message ends on TCP; ignored on WebSocket.
        framing: Framing,
        /// Where a message says when it was made.
        stamp: Option<Stamp>,
        /// Sent once after the connection stands: a subscription, say.
        hello: Vec<String>,
    },
    /// JSON-RPC 2.0, one message a line: only over TCP, and only calls.
    JsonRpc(Calls),
}

impl Protocol {
    /// A stream of Swarmcast in any profile: it answers pings and takes control messages.
    #[must_use]
    pub const fn is_swarmcast(&self) -> bool {
        matches!(self, Self::Swarmcast { .. } | Self::Compact(_))
    }

    /// Its frames say when they were due and published, and what their place in the stream is.
    #[must_use]
    pub fn has_header(&self) -> bool {
        matches!(self, Self::Swarmcast { profile: Profile::Own, .. } | Self::Compact(_))
    }
}

/// What a client of the compact profile asks for and does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compact {
    /// Frames per second asked for, 1 to 120.
    pub rate_hz: u16,
    /// 10, 12, 14 or 16; `None` leaves it to the server.
    pub bits: Option<u8>,
    /// 2 or 3, likewise.
    pub dimensions: Option<u8>,
    /// The `interest` message, sent after the first frame; `None` takes everything.
    pub interest: Option<String>,
    /// Frames from one acknowledgement to the next; 0 sends none.
    pub ack_every: u32,
}

/// Messages on a bare TCP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// A length of 4 bytes, little-endian, in front.
    U32Le,
    /// A length of 4 bytes, big-endian, in front.
    U32Be,
    /// Ended by a newline.
    Line,
    /// All of this many bytes.
    Fixed(u32),
    /// Not cut at all: bytes are counted, messages are not.
    None,
}

/// A time inside a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes from the start of the message, so that the whole stamp is in its first 64 bytes.
    pub offset: u8,
    /// How it is written.
    pub kind: StampKind,
    /// What one unit is.
    pub unit_ns: u32,
    /// Which clock it is from.
    pub clock: StampClock,
}

/// How a stamp is written: always 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StampKind {
    /// Unsigned, little-endian.
    U64Le,
    /// Unsigned, big-endian.
    U64Be,
    /// IEEE double, little-endian.
    F64Le,
    /// IEEE double, big-endian.
    F64Be,
}

/// The clock of a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StampClock {
    /// `CLOCK_MONOTONIC` of the server.
    Monotonic,
    /// Time since 1970.
    Unix,
}

/// What clients do besides speaking their protocol.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Read all that comes, at once.
    Reader,
    /// Read no more than this.
    Slow {
        /// At least 1.
        bytes_per_s: u64,
    },
    /// Read for `after_ns`, then nothing for `for_ns`, and so on; `None` never reads again.
    Stall {
        /// From the first byte, and from the end of a stall.
        after_ns: u64,
        /// How long.
        for_ns: Option<u64>,
    },
    /// Connect, send half a handshake (half a hello line on TCP) and wait; how long the server keeps it is measured.
    HalfOpen,
    /// Subscribe, then neither read, answer nor leave; how long the server keeps it is measured.
    Silent,
    /// All of them leave at once and come back at once.
    Storm {
        /// From one storm to the next.
        every_ns: u64,
        /// Reset the connection instead of closing it.
        reset: bool,
    },
}

/// Messages that every client of a group sends, each due at its own time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sending {
    /// Per client and second, more than 0.
    pub rate_hz: f64,
    /// What.
    pub what: Message,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Swarmcast's `ping`, whose answer gives a round trip.
    Ping,
    /// A ping frame of WebSocket itself, whose pong gives a round trip from any server.
    WsPing,
    /// One node taken, moved along a circle, and let go every five seconds.
    Drag {
        /// Ids to take, one per client in turn; not empty.
        nodes: Vec<u32>,
    },
    /// The same text every time.
    Text(String),
}

/// Calls of a group, made at a fixed rate whatever the server does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    /// Of the whole group and second, more than 0; spread evenly over its connections.
    pub rate_hz: f64,
    /// Open an MCP session first: `initialize`, then `notifications/initialized`.
    pub mcp: bool,
    /// At least one.
    pub mix: Vec<Call>,
    /// A call without an answer for so long has failed.
    pub timeout_ns: u64,
    /// Calls of one connection without an answer; a call over it fails as `in_flight`, and still counts.
    pub in_flight_max: u32,
}

/// One kind of call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// JSON-RPC method, such as `tools/call`.
    pub method: String,
    /// Its `params`, or `None` to leave them out. A string of the form `$int(LOW,HIGH)` anywhere inside becomes a
    /// random whole number from LOW to HIGH in each call.
    pub params: Option<serde_json::Value>,
    /// Share of the mix, more than 0.
    pub weight: f64,
}

/// How a stamp of the server becomes a time of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockMode {
    /// `Same` for an address of this host, else `Ping`.
    Auto,
    /// Server and tool share the clock.
    Same,
    /// The offset is estimated from round trips of Swarmcast's `ping`.
    Ping,
}

/// Bounds on the tool's own conduct; beyond them the run is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfCheck {
    /// Share of a core that a generating thread may use in a measured second.
    pub thread_cpu_max: f64,
    /// p99 of how late the tool's own timers run; the greater of this and `lateness_share_max` of the measured
    /// latency's p99 holds.
    pub lateness_p99_max_ns: u64,
    /// See `lateness_p99_max_ns`.
    pub lateness_share_max: f64,
}

impl Default for SelfCheck {
    fn default() -> Self {
        Self { thread_cpu_max: 0.9, lateness_p99_max_ns: 5_000_000, lateness_share_max: 0.2 }
    }
}

/// A stretch of time that one set of records covers: at most a second, in one stage, measured or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// From the start of the run.
    pub start_ns: u64,
    /// Likewise; more than `start_ns`.
    pub end_ns: u64,
    /// Place in [`Plan::stages`].
    pub stage: usize,
    /// Whether its frames count in the figures.
    pub measured: bool,
}

impl Plan {
    /// How long the run takes.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.stages.iter().map(|stage| stage.duration_ns).sum()
    }

    /// The run cut at whole seconds, at the ends of stages, and at the end of the warm-up.
    #[must_use]
    pub fn slices(&self) -> Vec<Slice> {
        let mut slices = Vec::new();
        let (mut stage_start, mut warm_end) = (0, None::<u64>);
        for (stage, what) in self.stages.iter().enumerate() {
            let stage_end = stage_start + what.duration_ns;
            // The warm-up belongs to the first stage that counts.
            if what.measured && warm_end.is_none() {
                warm_end = Some(stage_start + self.warmup_ns);
            }
            let warm = warm_end.unwrap_or(stage_end);
            let mut start = stage_start;
            while start < stage_end {
                let second = (start / SECOND_NS + 1) * SECOND_NS;
                let mut end = second.min(stage_end);
                if what.measured && start < warm {
                    end = end.min(warm);
                }
                slices.push(Slice { start_ns: start, end_ns: end, stage, measured: what.measured && start >= warm });
                start = end;
            }
            stage_start = stage_end;
        }
        slices
    }

    /// Share of every group's clients that should be connected at `at_ns`.
    #[must_use]
    pub fn level(&self, at_ns: u64) -> f64 {
        let (mut start, mut from) = (0, 0.0);
        for stage in &self.stages {
            let end = start + stage.duration_ns;
            if at_ns < end {
                return match stage.kind {
                    StageKind::Ramp => from + (stage.to - from) * ((at_ns - start) as f64 / stage.duration_ns as f64),
                    StageKind::Hold | StageKind::Soak => from,
                    StageKind::Spike => stage.to,
                };
            }
            from = stage.level_after(from);
            start = end;
        }
        from
    }
}

impl Stage {
    /// The level that holds when this stage is over, after `from`.
    #[must_use]
    pub fn level_after(&self, from: f64) -> f64 {
        match self.kind {
            StageKind::Ramp => self.to,
            StageKind::Hold | StageKind::Soak | StageKind::Spike => from,
        }
    }
}

/// A profile by its name.
mod profile_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use swarmcast::wire::Profile;

    pub fn serialize<S: Serializer>(profile: &Profile, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(profile.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Profile, D::Error> {
        let name = String::deserialize(from)?;
        Profile::from_name(&name).ok_or_else(|| D::Error::custom(format!("no profile is called {name}")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: u64 = SECOND_NS;

    fn stage(kind: StageKind, duration_ns: u64, to: f64, measured: bool) -> Stage {
        Stage { name: String::new(), kind, duration_ns, to, measured }
    }

    fn plan(warmup_ns: u64, stages: Vec<Stage>) -> Plan {
        Plan {
            name: String::new(),
            seed: 1,
            stages,
            groups: Vec::new(),
            thresholds: Vec::new(),
            warmup_ns,
            threads: 1,
            sources: Vec::new(),
            connect_timeout_ns: S,
            clock: ClockMode::Auto,
            self_check: SelfCheck::default(),
        }
    }

    /// Start and end in tenths of a second, stage, measured.
    fn cut(plan: &Plan) -> Vec<(u64, u64, usize, bool)> {
        let tenths = |slice: Slice| (slice.start_ns * 10 / S, slice.end_ns * 10 / S, slice.stage, slice.measured);
        plan.slices().into_iter().map(tenths).collect()
    }

    #[test]
    fn slices_end_at_seconds_stages_and_the_end_of_the_warm_up() {
        use StageKind::{Hold, Ramp};
        let plan = plan(S * 7 / 10, vec![stage(Ramp, S * 3 / 2, 1.0, false), stage(Hold, S * 2, 1.0, true)]);
        let wanted = [
            (0, 10, 0, false),
            (10, 15, 0, false),
            (15, 20, 1, false),
            (20, 22, 1, false),
            (22, 30, 1, true),
            (30, 35, 1, true),
        ];
        assert_eq!(cut(&plan), wanted);
        assert_eq!(plan.duration_ns(), S * 7 / 2);
    }

    #[test]
    fn the_warm_up_is_cut_once_and_reaches_over_a_short_stage() {
        use StageKind::{Hold, Ramp};
        let (hold, ramp) = (stage(Hold, S, 1.0, true), stage(Ramp, S, 1.0, false));
        let once = plan(S / 2, vec![ramp.clone(), hold.clone(), ramp.clone(), hold.clone()]);
        let wanted = [(0, 10, 0, false), (10, 15, 1, false), (15, 20, 1, true), (20, 30, 2, false), (30, 40, 3, true)];
        assert_eq!(cut(&once), wanted);
        let over = plan(S * 3 / 2, vec![hold.clone(), hold]);
        assert_eq!(cut(&over), [(0, 10, 0, false), (10, 15, 1, false), (15, 20, 1, true)]);
        assert_eq!(cut(&plan(0, vec![stage(Hold, S, 1.0, true)])), [(0, 10, 0, true)]);
    }

    #[test]
    fn levels_rise_hold_jump_and_fall_back() {
        use StageKind::{Hold, Ramp, Soak, Spike};
        let plan = plan(
            0,
            vec![
                stage(Ramp, 2 * S, 0.5, false),
                stage(Hold, S, 0.5, true),
                stage(Spike, S, 1.0, true),
                stage(Soak, S, 0.5, true),
                stage(Ramp, S, 0.0, true),
            ],
        );
        for (tenths, level) in [
            (0, 0.0),
            (10, 0.25),
            (20, 0.5),
            (29, 0.5),
            (30, 1.0),
            (39, 1.0),
            (40, 0.5),
            (50, 0.5),
            (55, 0.25),
            (60, 0.0),
            (600, 0.0),
        ] {
            assert!((plan.level(tenths * S / 10) - level).abs() < 1e-9, "{tenths}");
        }
    }

    fn any_stage() -> impl Strategy<Value = Stage> {
        use StageKind::{Hold, Ramp, Soak, Spike};
        let kind = prop_oneof![Just(Ramp), Just(Hold), Just(Soak), Just(Spike)];
        let made = |(kind, duration_ns, to, measured)| stage(kind, duration_ns, to, measured);
        (kind, 1..5 * S, 0.0..=1.0, any::<bool>()).prop_map(made)
    }

    proptest! {
        #[test]
        fn slices_cover_the_run_without_gaps(stages in prop::collection::vec(any_stage(), 1..6), warmup in 0..4 * S) {
            let plan = plan(warmup, stages);
            let mut end = 0;
            for slice in plan.slices() {
                prop_assert_eq!(slice.start_ns, end);
                prop_assert!(slice.end_ns > slice.start_ns && slice.end_ns - slice.start_ns <= S);
                prop_assert_eq!(slice.start_ns / S, (slice.end_ns - 1) / S);
                let stage = &plan.stages[slice.stage];
                let start: u64 = plan.stages[..slice.stage].iter().map(|stage| stage.duration_ns).sum();
                prop_assert!(slice.start_ns >= start && slice.end_ns <= start + stage.duration_ns);
                prop_assert!(stage.measured || !slice.measured);
                end = slice.end_ns;
            }
            prop_assert_eq!(end, plan.duration_ns());
        }

        /// All that is measured is the measured stages without the warm-up.
        #[test]
        fn the_warm_up_is_all_that_is_cut(stages in prop::collection::vec(any_stage(), 1..6), warmup in 0..S) {
            let plan = plan(warmup, stages);
            let measured: u64 =
                plan.slices().iter().filter(|slice| slice.measured).map(|slice| slice.end_ns - slice.start_ns).sum();
            let stages: u64 = plan.stages.iter().filter(|stage| stage.measured).map(|stage| stage.duration_ns).sum();
            prop_assert!(measured <= stages && stages - measured <= warmup);
            let first = plan.stages.iter().find(|stage| stage.measured);
            if first.is_some_and(|stage| stage.duration_ns >= warmup) {
                prop_assert_eq!(stages - measured, warmup);
            }
        }

        #[test]
        fn a_level_is_a_share(stages in prop::collection::vec(any_stage(), 1..6), at in 0..40 * S) {
            let level = plan(0, stages).level(at);
            prop_assert!((0.0..=1.0).contains(&level));
        }
    }
}

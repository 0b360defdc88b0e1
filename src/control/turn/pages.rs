//! What `control` answers over HTTP: the whole graph, where things stand, figures.

use bytes::Bytes;
use serde_json::json;

use super::figures::lane_row;
use super::{Control, JSON};
use crate::api::{
    ClassRow, DeviceRow, StateFacts, graph_data, graph_data_lead, graph_state, health_detail, sequences, stage_rows,
};
use crate::base::clock::{MILLISECOND_NS, monotonic_ns};
use crate::base::{Handle, host};
use crate::control::classes::Entry;
use crate::handoff::{ClassRef, DoorReply, HttpQuery};
use crate::metrics::{Gauge, LatencyLog};
use crate::wire::{PROBLEM_JSON, problem};

/// How long a rendered graph is handed out again, at least. Its sequence stays true: the stream goes on from there.
const DATA_AGE_NS_MIN: u64 = 250 * MILLISECOND_NS;

/// The same, as a multiple of the time that rendering took: a crowd that asks for a large graph shares one, and
/// `control` keeps nine tenths of its time for others.
const DATA_AGE_RENDERINGS: u64 = 10;

/// How long a request for the whole graph waits for the positions of a new structure.
const EARLY_NS_MAX: u64 = 5_000 * MILLISECOND_NS;

/// The whole graph as JSON, for all who ask about the same time.
pub(super) struct RenderedData {
    body: Bytes,
    version: u64,
    /// Class serials and their sequences in the frame of the positions.
    sequences: Vec<(u16, u64)>,
    stale_ns: u64,
    rendered_ns: u64,
    took_ns: u64,
}

impl Control {
    /// The rendered graph is of the past now: it is rendered again as soon as that costs a tenth of the time.
    pub(super) fn outdate_data(&mut self) {
        if let Some(data) = &mut self.data {
            data.stale_ns = data.stale_ns.min(data.rendered_ns + data.took_ns * DATA_AGE_RENDERINGS);
        }
    }

    pub(super) fn http(&mut self, token: Handle, query: HttpQuery) {
        self.take_latest();
        if let (HttpQuery::GraphData { .. }, None) = (&query, &self.latest) {
            return self.refuse_http(token, 503, "starting", "the first positions are being computed", &[]);
        }
        if matches!(query, HttpQuery::GraphData { .. }) && self.is_data_early(monotonic_ns()) {
            return self.early.push((token, query, monotonic_ns()));
        }
        let (lead, content_type, body) = match query {
            HttpQuery::Rest(call) => return self.rest(token, &call),
            HttpQuery::GraphData { class: Some(class) }
                if !self.classes.iter().any(|live| live.class.serial == class) =>
            {
                let message = format!("no client of this server subscribes to class {class}");
                return self.refuse_http(token, 404, "unknown_class", &message, &["class"]);
            }
            HttpQuery::GraphData { class } => {
                let (lead, body) = self.data(class);
                (lead, JSON, body)
            }
            HttpQuery::GraphState => (Bytes::new(), JSON, graph_state(&self.graph, &self.state()).to_string().into()),
            HttpQuery::HealthDetail => (Bytes::new(), JSON, self.health_detail().to_string().into()),
            HttpQuery::Metrics => {
                let text = self.metrics.text(self.extras());
                (Bytes::new(), "application/openmetrics-text; version=1.0.0; charset=utf-8", text.into())
            }
            HttpQuery::LatencyLog => {
                let log = LatencyLog::since_start(&self.metrics, monotonic_ns());
                (Bytes::new(), "text/plain; charset=utf-8", log.into())
            }
        };
        self.reply(DoorReply::Http { token, status: 200, content_type, lead, body });
    }

    /// Whether the newest frame is of a structure before: there are no positions of the present one for a moment.
    fn is_between_structures(&self) -> bool {
        self.latest.as_ref().is_some_and(|frame| frame.stamp().epoch != self.epoch)
    }

    /// Whether the whole graph is to be asked for a moment later: whoever was told of a change finds it there.
    fn is_data_early(&self, now_ns: u64) -> bool {
        let version = self.mutations.version();
        let is_past = |data: &RenderedData| data.version != version && now_ns < data.stale_ns;
        self.is_between_structures() || self.data.as_ref().is_some_and(is_past)
    }

    /// Answers requests that waited for the first frame of a structure; after a while it is to ask again.
    pub(super) fn take_early(&mut self, now_ns: u64) {
        if self.early.is_empty() {
            return;
        }
        self.take_latest();
        let late = self.early.first().is_some_and(|(_, _, since_ns)| now_ns.saturating_sub(*since_ns) > EARLY_NS_MAX);
        if self.is_data_early(now_ns) && !late {
            return;
        }
        let between = self.is_between_structures();
        for (token, query, _) in std::mem::take(&mut self.early) {
            let HttpQuery::GraphData { class } = query else { continue };
            if between {
                self.refuse_http(token, 503, "starting", "the first positions of this graph are being computed", &[]);
                continue;
            }
            let (lead, body) = self.data(class);
            self.reply(DoorReply::Http { token, status: 200, content_type: JSON, lead, body });
        }
    }

    pub(super) fn refuse_http(
        &mut self,
        token: Handle,
        status: u16,
        code: &str,
        message: &str,
        affected_paths: &[&str],
    ) {
        let (lead, body) = (Bytes::new(), problem(status, code, message, affected_paths).into());
        self.reply(DoorReply::Http { token, status, content_type: PROBLEM_JSON, lead, body });
    }

    /// The whole graph, with the sequence of the class that is asked for in front.
    fn data(&mut self, class: Option<u16>) -> (Bytes, Bytes) {
        let now_ns = monotonic_ns();
        let rendered = match self.data.take() {
            Some(data) if now_ns < data.stale_ns => data,
            _ => self.render(now_ns),
        };
        let had = |class: u16| rendered.sequences.iter().find(|(serial, _)| *serial == class);
        let sequence = class.map(|class| had(class).map_or(0, |(_, sequence)| *sequence));
        let answer = (graph_data_lead(sequence).into(), rendered.body.clone());
        self.data = Some(rendered);
        answer
    }

    fn render(&self, now_ns: u64) -> RenderedData {
        let frame = self.latest.as_deref();
        let body =
            Bytes::from(graph_data(&self.graph, &self.facts.name, (self.mutations.version(), self.epoch), frame));
        let took_ns = monotonic_ns().saturating_sub(now_ns);
        let age_ns = DATA_AGE_NS_MIN.max(took_ns * DATA_AGE_RENDERINGS);
        let sequences = frame.map(sequences).unwrap_or_default();
        RenderedData {
            body,
            version: self.mutations.version(),
            sequences,
            stale_ns: now_ns + took_ns + age_ns,
            rendered_ns: now_ns,
            took_ns,
        }
    }

    fn state(&self) -> StateFacts<'_> {
        let sim = &self.metrics.sim;
        let frame = self.latest.as_deref();
        let sequence = |class: ClassRef| {
            let head = frame?.class_state(class.slot)?;
            (head.class() == class).then(|| head.sequence())
        };
        let row = |entry: &Entry| ClassRow {
            class: entry.class.serial,
            profile: entry.spec.profile.name(),
            rate: entry.spec.rate_hz,
            subscribers: entry.subscribers,
            sequence: sequence(entry.class),
        };
        let bytes = |bytes: &Gauge| Some(bytes.get()).filter(|bytes| bytes.is_finite()).map(|bytes| bytes as u64);
        StateFacts {
            name: &self.facts.name,
            epoch: self.epoch,
            version: self.mutations.version(),
            tick: frame.map(|frame| frame.stamp().tick),
            tick_rate: self.facts.tick_rate,
            dimensions: self.facts.dimensions,
            // The processor takes over from a device that fails, and never the other way.
            backend: if sim.fell_back.get() > 0.0 { "cpu" } else { self.facts.backend },
            device: DeviceRow {
                errors: sim.device_errors.get(),
                fell_back: sim.fell_back.get() > 0.0,
                used_bytes: bytes(&sim.device_used_bytes),
                free_bytes: bytes(&sim.device_free_bytes),
            },
            sessions: self.sessions.len(),
            settled: sim.settled.get() > 0.0,
            rms_velocity: sim.rms_velocity.get(),
            classes: self.classes.iter().map(row).collect(),
            settings: {
                let state = self.settings.state();
                (state.version, state.hash)
            },
        }
    }

    fn health_detail(&self) -> serde_json::Value {
        let sim_age_ms = monotonic_ns().saturating_sub(self.metrics.sim.turn_ended_ns.get()) / MILLISECOND_NS;
        let shards: Vec<_> = self
            .metrics
            .shards
            .iter()
            .map(|shard| json!({ "connections": shard.connections.get(), "demand_bytes_per_second": shard.demand_bytes.get() }))
            .collect();
        let lanes: Vec<_> = self.lane_stats.iter().map(|stats| lane_row(stats)).collect();
        let (resident, files) = (host::resident_bytes(), host::open_files());
        let stages = stage_rows(&self.metrics, monotonic_ns());
        let phase = self.health.phase().name();
        let mut detail = health_detail(&self.state(), phase, sim_age_ms, &shards, &stages, &lanes, resident, files);
        self.add_jobs(&mut detail);
        self.add_sources(&mut detail);
        detail
    }
}

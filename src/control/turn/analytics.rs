//! Where analytics jobs meet the rest of `control`.

use serde_json::Value;

use super::super::jobs::{Answer, Jobs, Moment};
use super::{Control, JSON, SimCommand};
use crate::base::Handle;
use crate::base::clock::{MILLISECOND_NS, monotonic_ns};
use crate::handoff::{DoorReply, RestCall};

impl Control {
    /// Answers a request of the REST interface, now or when what it asked for is done.
    pub(super) fn rest(&mut self, token: Handle, call: &RestCall) {
        let taken = self.graph_by_rest(token, call)
            || self.settings_by_rest(token, call)
            || self.snapshots_by_rest(token, call);
        if taken {
            return;
        }
        if !Jobs::takes(&call.path) {
            return self.steer_by_rest(token, call);
        }
        self.take_latest();
        let moment =
            Moment { graph: &self.graph, epoch: self.epoch, frame: self.latest.as_ref(), now_ns: monotonic_ns() };
        if let Some(answer) = self.lanes.jobs.call(token, call, moment) {
            self.answer(token, answer);
        }
    }

    /// Takes what the worker has done; returns how much that was.
    pub(super) fn take_jobs(&mut self, now_ns: u64) -> usize {
        if self.lanes.jobs.is_idle() {
            return 0;
        }
        self.take_latest();
        let moment = Moment { graph: &self.graph, epoch: self.epoch, frame: self.latest.as_ref(), now_ns };
        let mut answers = Vec::new();
        let (taken, published) = self.lanes.jobs.turn(moment, &mut answers);
        if let Some(planes) = published {
            self.command(SimCommand::Side { planes });
        }
        for (token, answer) in answers {
            self.answer(token, answer);
        }
        taken
    }

    /// Jobs, in the answer of `/health/detail`.
    pub(super) fn add_jobs(&self, detail: &mut Value) {
        let beat_ns = self.metrics.worker.beat_ns.get();
        let age_ms = monotonic_ns().saturating_sub(beat_ns) / MILLISECOND_NS;
        if let Value::Object(detail) = detail {
            detail.insert("analytics".to_owned(), self.lanes.jobs.health(age_ms));
        }
    }

    fn answer(&mut self, token: Handle, answer: Answer) {
        match answer {
            Answer::Json { status, lead, body } => {
                self.reply(DoorReply::Http { token, status, content_type: JSON, lead, body });
            }
            Answer::Accepted { location, body } => self.answer_accepted(token, location, body),
            Answer::Refused { status, code, message, field } if field.is_empty() => {
                self.refuse_http(token, status, code, &message, &[]);
            }
            Answer::Refused { status, code, message, field } => {
                self.refuse_http(token, status, code, &message, &[&field]);
            }
        }
    }
}

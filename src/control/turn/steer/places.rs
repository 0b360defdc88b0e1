//! The places of layout modes: found on a thread of their own, one search at a time, while the graph goes on changing.
//!
//! A search that ends for a graph or units of before begins again. Where the graph changes faster than searches end, what was found for
//! the graph of before is carried over, so that whoever asked is answered and the mode is in force.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Then, busy};
use crate::analytics::layout::{Mode, places};
use crate::api::steer::{Places, PlacesBase, Preset, RestError, RuleBook, mode_name};
use crate::base::Handle;
use crate::control::turn::Control;

/// Searches of one job that end for a graph of before, until what they found is carried over.
const STALE_SEARCHES_MAX: u32 = 3;

/// A mode whose places are being found.
pub(super) struct Job {
    /// Counts the jobs: what was found for another one is dropped.
    number: u64,
    token: Option<Handle>,
    mode: Mode,
    /// Its name, and what it sets beside the mode.
    preset: Option<(&'static str, Preset)>,
    /// The mode is in force already.
    again: bool,
    stale_searches: u32,
    /// What the search at work is for; none while the job waits for its turn, or for the first frame of the epoch.
    base: Option<PlacesBase>,
}

impl Job {
    /// Whether somebody asked for the mode, and it is not in force yet.
    pub(super) fn is_not_in_force(&self) -> bool {
        !self.again
    }
}

/// What the search for a job came to.
pub(super) struct Found {
    number: u64,
    at: Option<Vec<[f32; 3]>>,
}

impl Control {
    /// Begins to find the places of a mode, instead of those of another one; without places to find, the mode is in force at once.
    pub(super) fn begin_mode(
        &mut self,
        token: Option<Handle>,
        mode: Mode,
        preset: Option<(&'static str, Preset)>,
    ) -> Result<(), RestError> {
        if let Some(Job { token: Some(token), .. }) = self.steering.job.take() {
            let message = "another layout mode was asked for before the places of this one were found";
            self.refuse_rest(token, &RestError::new(409, "replaced", message));
        }
        let job = self.new_job(token, mode, preset);
        if mode == Mode::ForceDirected {
            self.end_job(job, None);
            return Ok(());
        }
        self.steering.job = Some(job);
        self.search().inspect_err(|_| self.find_again_instead())
    }

    /// Has the places of the mode in force found again, unless they are of this structure and in these units, or a mode is being found:
    /// that one takes its place.
    pub(super) fn find_again(&mut self) {
        let layout = &self.steering.book.layout;
        let mode = layout.mode;
        let found = layout.places.as_ref().is_some_and(|it| it.are_found_for(self.epoch, &self.steering.facts));
        if mode != Mode::ForceDirected && !found && self.steering.job.is_none() {
            let job = self.new_job(None, mode, None);
            self.steering.job = Some(Job { again: true, ..job });
        }
    }

    /// Gives the job up for the mode in force.
    fn find_again_instead(&mut self) {
        self.steering.job = None;
        self.find_again();
    }

    fn new_job(&mut self, token: Option<Handle>, mode: Mode, preset: Option<(&'static str, Preset)>) -> Job {
        self.steering.last_job += 1;
        let number = self.steering.last_job;
        Job { number, token, mode, preset, again: false, stale_searches: 0, base: None }
    }

    /// Has a thread search for the job that waits, when none is at work and the first frame of the epoch is there for a mode that begins
    /// where the nodes are.
    fn search(&mut self) -> Result<(), RestError> {
        let waiting = self.steering.job.as_ref().filter(|job| job.base.is_none() && !self.steering.searching);
        let Some((mode, number)) = waiting.map(|job| (job.mode, job.number)) else { return Ok(()) };
        self.take_latest();
        let frame = self.latest.as_deref().filter(|frame| frame.stamp().epoch == self.epoch);
        let position = frame.map(|frame| frame.nodes().iter().map(|record| record.position()).collect());
        if mode == Mode::Stress && position.is_none() {
            return Ok(());
        }
        let facts = self.steering.facts;
        let ground = RuleBook::ground(&self.graph, &facts, position.unwrap_or_default());
        let (found, bell) = (Arc::clone(&self.steering.found), Arc::clone(&self.bell));
        let spawned = std::thread::Builder::new().name("layout".to_owned()).spawn(move || {
            let at = catch_unwind(AssertUnwindSafe(|| places(mode, &ground))).ok().flatten();
            found.force_push(Found { number, at });
            bell.ring();
        });
        if let Err(error) = spawned {
            return Err(busy(&format!("no thread for it: {error}")));
        }
        self.steering.searching = true;
        let base = PlacesBase::new(&self.graph, self.epoch, facts);
        if let Some(job) = &mut self.steering.job {
            job.base = Some(base);
        }
        Ok(())
    }

    /// Takes places that have been found, and begins the search that waits; returns how many were taken.
    pub(in crate::control::turn) fn take_places(&mut self) -> usize {
        let found = self.steering.found.pop();
        let taken = usize::from(found.is_some());
        if let Some(Found { number, at }) = found {
            self.steering.searching = false;
            if let Some(job) = self.steering.job.take_if(|job| job.number == number) {
                self.searched(job, at);
            }
        }
        // Without a thread for it, what nobody waits for is tried again in the next turn.
        if let Err(error) = self.search()
            && let Some(token) = self.steering.job.as_ref().and_then(|job| job.token)
        {
            self.refuse_rest(token, &error);
            self.find_again_instead();
        }
        taken
    }

    fn searched(&mut self, mut job: Job, at: Option<Vec<[f32; 3]>>) {
        let Some(at) = at else { return self.search_failed(&job) };
        let Some(base) = job.base.take() else { return };
        let facts = self.steering.facts;
        let in_units = base.facts.has_places_of(&facts);
        let places = Places { base, at: at.into(), carried: false };
        if places.are_found_for(self.epoch, &facts) {
            return self.end_job(job, Some(places));
        }
        job.stale_searches += 1;
        if in_units && job.stale_searches >= STALE_SEARCHES_MAX {
            let places = places.carried_to(&self.graph, self.epoch);
            self.end_job(job, Some(places));
            self.find_again();
        } else {
            self.steering.job = Some(job);
        }
    }

    fn search_failed(&mut self, job: &Job) {
        tracing::error!(mode = mode_name(job.mode), "the places of a layout mode could not be found");
        if let Some(token) = job.token {
            let error = RestError::new(500, "layout", "the places of this mode could not be found");
            self.refuse_rest(token, &error);
        }
        // Of this very graph it would fail again.
        if !job.again || job.base.as_ref().is_some_and(|base| base.epoch != self.epoch) {
            self.find_again();
        }
    }

    /// The mode is in force.
    fn end_job(&mut self, job: Job, places: Option<Places>) {
        let book = &mut self.steering.book;
        let sets_more = job.preset.is_some();
        if let Some((name, preset)) = job.preset {
            book.set_preset(name, preset);
        } else if !job.again {
            book.preset = None;
        }
        book.layout.mode = job.mode;
        book.layout.version += 1;
        book.layout.places = places;
        self.send_rules(job.token, sets_more, if sets_more { Then::Preset } else { Then::Layout });
    }
}

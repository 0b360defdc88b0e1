//! Merges what generating threads and generators on other hosts recorded into one account of the run.

use std::collections::VecDeque;
use std::sync::Arc;

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Slice};
use crate::record::{PackError, Packed, Record, histogram, pack_histogram, unpack_histogram};

/// Slices that a run keeps at most; beyond it neighbours are merged in pairs, so that a day fits into memory.
pub const SERIES_MAX: usize = 1_200;

/// Slices that wait for a source at most. One that is further behind no longer holds up the others: what it brings
/// still counts, and goes where it belongs.
pub const PENDING_MAX: usize = 16;

/// What one generating thread recorded in one slice.
#[derive(Clone, Debug)]
pub struct Interval {
    /// From 0: the thread, of those of one generator.
    pub thread: usize,
    /// Place in [`Plan::slices`].
    pub slice: usize,
    /// Where it ended, ns from the start of the run: before its slice's end when the run was stopped in it.
    pub end_ns: u64,
    /// One per group, in the plan's order.
    pub groups: Vec<Record>,
    /// The thread about itself.
    pub watch: Watch,
}

/// What the tool saw of itself: of one thread and slice, or summed.
#[derive(Clone, Debug)]
pub struct Watch {
    /// How late its own timers ran, ns: a frame may have waited as long before it was read.
    pub lateness: Histogram<u64>,
    /// Greatest share of a core that any one thread used.
    pub thread_cpu: f64,
    /// Greatest share of the time that any one thread was ready and waited for a core; `None` where the kernel does
    /// not say.
    pub thread_wait: Option<f64>,
}

impl Default for Watch {
    fn default() -> Self {
        Self { lateness: histogram(), thread_cpu: 0.0, thread_wait: None }
    }
}

impl Watch {
    /// Adds another thread's, or another slice's.
    pub fn merge(&mut self, other: &Self) {
        let added = self.lateness.add(&other.lateness);
        debug_assert!(added.is_ok(), "all histograms have the same bounds");
        self.thread_cpu = self.thread_cpu.max(other.thread_cpu);
        self.thread_wait = match (self.thread_wait, other.thread_wait) {
            (Some(mine), Some(theirs)) => Some(mine.max(theirs)),
            (mine, theirs) => mine.or(theirs),
        };
    }
}

/// One slice of the run, of all threads and generators.
#[derive(Clone, Debug)]
pub struct Merged {
    /// When, and whether it counts. Of a merged pair: from the first's start to the second's end.
    pub slice: Slice,
    /// One per group.
    pub groups: Vec<Record>,
    /// The tool about itself.
    pub watch: Watch,
}

impl Merged {
    /// As text: a record of 240 KiB a histogram becomes one of a few KiB.
    ///
    /// # Errors
    /// When a histogram cannot be serialised.
    pub fn pack(&self) -> Result<PackedSlice, PackError> {
        Ok(PackedSlice {
            slice: self.slice,
            groups: self.groups.iter().map(Record::pack).collect::<Result<_, _>>()?,
            watch: PackedWatch {
                lateness: pack_histogram(&self.watch.lateness)?,
                thread_cpu: self.watch.thread_cpu,
                thread_wait: self.watch.thread_wait,
            },
        })
    }

    /// Adds what another source did in the same slice.
    fn merge(&mut self, groups: &[Record], watch: &Watch) {
        self.groups.iter_mut().zip(groups).for_each(|(mine, theirs)| mine.merge(theirs));
        self.watch.merge(watch);
    }

    /// Adds the slice that follows. Both are of one stage, and both measured or both not.
    fn append(&mut self, next: &Self) {
        self.slice.end_ns = next.slice.end_ns;
        self.groups.iter_mut().zip(&next.groups).for_each(|(mine, theirs)| mine.append(theirs, true));
        self.watch.merge(&next.watch);
    }
}

/// A [`Merged`] as text: for the series, which would not fit into memory otherwise, and for other processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackedSlice {
    /// When, and whether it counts.
    pub slice: Slice,
    /// One per group.
    pub groups: Vec<Packed>,
    /// The tool about itself.
    pub watch: PackedWatch,
}

/// A [`Watch`] as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackedWatch {
    /// V2 deflate in base64.
    pub lateness: String,
    /// As in [`Watch`].
    pub thread_cpu: f64,
    /// As in [`Watch`].
    pub thread_wait: Option<f64>,
}

impl PackedSlice {
    /// The slice again.
    ///
    /// # Errors
    /// When a name is not known or a histogram cannot be read.
    pub fn unpack(&self) -> Result<Merged, PackError> {
        Ok(Merged {
            slice: self.slice,
            groups: self.groups.iter().map(Packed::unpack).collect::<Result<_, _>>()?,
            watch: self.watch.unpack()?,
        })
    }
}

impl PackedWatch {
    /// The watch again.
    ///
    /// # Errors
    /// When the histogram cannot be read.
    pub fn unpack(&self) -> Result<Watch, PackError> {
        let lateness = unpack_histogram(&self.lateness)?;
        Ok(Watch { lateness, thread_cpu: self.thread_cpu, thread_wait: self.thread_wait })
    }
}

/// The clock of the server against ours.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockNote {
    /// Server's clock minus ours, ns; 0 when they are one.
    pub offset_ns: i64,
    /// The offset is off by at most this, ns; 0 when the clocks are one, `None` when nobody knows.
    pub error_ns: Option<u64>,
    /// Round trips that it was estimated from.
    pub samples: u64,
}

/// One generating process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorNote {
    /// Its address, or `local`.
    pub name: String,
    /// Processor, cores and kernel.
    pub machine: String,
    /// Threads that generated load.
    pub threads: usize,
    /// Why some of its clients could not be made, when so.
    pub trouble: Option<String>,
}

/// A run's whole account.
#[derive(Clone, Debug)]
pub struct Collected {
    /// What was to be done.
    pub plan: Plan,
    /// The command line.
    pub command: String,
    /// Start of the run, ms since 1970.
    pub started_unix_ms: u64,
    /// In order of time, at most [`SERIES_MAX`] unless the stages alone are more.
    pub series: Vec<PackedSlice>,
    /// Per group: measured slices, and what counts always.
    pub totals: Vec<Record>,
    /// The tool about itself, in measured slices.
    pub watch: Watch,
    /// Measured seconds.
    pub measured_s: f64,
    /// Per group: the clock of its target.
    pub clocks: Vec<ClockNote>,
    /// Who generated.
    pub generators: Vec<GeneratorNote>,
    /// Ended before its time: by a signal, or because nothing could connect.
    pub cut_short: Option<String>,
}

/// Where a source stands.
#[derive(Clone, Copy, Debug, Default)]
struct Source {
    /// The first slice that it has not reported.
    next: usize,
    /// Nothing more comes.
    gone: bool,
}

/// Merges the intervals of all sources, slice by slice.
///
/// A source is a generating thread, or a generator on another host. Each reports its slices in order; sources may be
/// apart from each other. Takes about a millisecond per interval and group, on the caller's thread.
#[derive(Debug)]
pub struct Collector {
    plan: Arc<Plan>,
    command: String,
    started_unix_ms: u64,
    slices: Vec<Slice>,
    sources: Vec<Source>,
    /// Slices from `done` on, with what has come so far.
    pending: VecDeque<Option<Merged>>,
    /// Slices that are complete.
    done: usize,
    /// The slice that became complete last.
    newest: Option<Merged>,
    series: Vec<PackedSlice>,
    /// Where the next pair of a full series is looked for.
    sweep: usize,
    totals: Vec<Record>,
    watch: Watch,
    measured_ns: u64,
    spare: Vec<Interval>,
    error: Option<PackError>,
}

impl Collector {
    /// Of a run with so many `sources`.
    #[must_use]
    pub fn new(plan: Arc<Plan>, command: String, started_unix_ms: u64, sources: usize) -> Self {
        Self {
            slices: plan.slices(),
            sources: vec![Source::default(); sources],
            pending: VecDeque::with_capacity(PENDING_MAX),
            done: 0,
            newest: None,
            series: Vec::new(),
            sweep: 0,
            totals: plan.groups.iter().map(|_| Record::with(&[])).collect(),
            watch: Watch::default(),
            measured_ns: 0,
            spare: Vec::new(),
            error: None,
            plan,
            command,
            started_unix_ms,
        }
    }

    /// Takes what `source` did in one slice. Answers with the newest slice that is complete by it, if one is.
    ///
    /// An interval of a slice that the plan does not have is dropped.
    pub fn take(&mut self, source: usize, interval: Interval) -> Option<&Merged> {
        let mut slice = *self.slices.get(interval.slice)?;
        slice.end_ns = interval.end_ns.clamp(slice.start_ns + 1, slice.end_ns);
        if let Some(source) = self.sources.get_mut(source) {
            source.next = source.next.max(interval.slice + 1);
        }
        let before = self.done;
        match interval.slice.checked_sub(self.done) {
            None => self.take_late(slice, interval),
            Some(ahead) => self.take_pending(ahead, slice, interval),
        }
        self.complete(before)
    }

    /// `source` will report nothing more, so that others no longer wait for it.
    pub fn gone(&mut self, source: usize) -> Option<&Merged> {
        if let Some(source) = self.sources.get_mut(source) {
            source.gone = true;
        }
        self.complete(self.done)
    }

    /// An emptied interval, to be filled again by whoever made it. Those of other hosts are not to be used: their
    /// records take no more than they held.
    pub fn recycle(&mut self) -> Option<Interval> {
        self.spare.pop()
    }

    /// The account of the run. Slices that still wait for a source are taken as they are.
    ///
    /// # Errors
    /// When a histogram could not be serialised.
    pub fn finish(
        mut self,
        clocks: Vec<ClockNote>,
        generators: Vec<GeneratorNote>,
        cut_short: Option<String>,
    ) -> Result<Collected, PackError> {
        while !self.pending.is_empty() {
            self.complete_first();
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        Ok(Collected {
            plan: Arc::unwrap_or_clone(self.plan),
            command: self.command,
            started_unix_ms: self.started_unix_ms,
            series: self.series,
            totals: self.totals,
            watch: self.watch,
            measured_s: self.measured_ns as f64 / crate::clock::SECOND_NS as f64,
            clocks,
            generators,
            cut_short,
        })
    }

    fn take_pending(&mut self, ahead: usize, slice: Slice, interval: Interval) {
        // One that runs ahead pushes out the oldest, so that memory stays bounded.
        let mut ahead = ahead;
        while ahead >= PENDING_MAX {
            self.complete_first();
            ahead -= 1;
        }
        while self.pending.len() <= ahead {
            self.pending.push_back(None);
        }
        let Some(place) = self.pending.get_mut(ahead) else { return };
        match place {
            Some(merged) => {
                merged.slice.end_ns = merged.slice.end_ns.max(slice.end_ns);
                merged.merge(&interval.groups, &interval.watch);
                self.keep_spare(interval.groups, interval.watch);
            }
            None => *place = Some(Merged { slice, groups: interval.groups, watch: interval.watch }),
        }
    }

    /// Its slice is in the series by now, maybe in a pair.
    fn take_late(&mut self, slice: Slice, interval: Interval) {
        self.add_to_totals(slice, &interval.groups, &interval.watch);
        let place = self.series.partition_point(|entry| entry.slice.end_ns <= slice.start_ns);
        if let Some(entry) = self.series.get_mut(place) {
            let repacked = entry.unpack().and_then(|mut merged| {
                merged.merge(&interval.groups, &interval.watch);
                merged.pack()
            });
            match repacked {
                Ok(repacked) => *entry = repacked,
                Err(error) => self.error = Some(error),
            }
        }
        self.keep_spare(interval.groups, interval.watch);
    }

    /// Completes what waits for nobody; answers with the newest slice if `done` is no longer `before`.
    fn complete(&mut self, before: usize) -> Option<&Merged> {
        let reported = self.sources.iter().filter(|source| !source.gone).map(|source| source.next).min();
        let reported = reported.unwrap_or(self.done + self.pending.len());
        while self.done < reported && !self.pending.is_empty() {
            self.complete_first();
        }
        self.newest.as_ref().filter(|_| self.done > before)
    }

    fn complete_first(&mut self) {
        let Some(first) = self.pending.pop_front() else {
            // Nobody has reported it: a source that runs far ahead pushes the empty place out.
            self.done += 1;
            return;
        };
        self.done += 1;
        let Some(merged) = first else { return };
        if merged.slice.measured {
            self.measured_ns += merged.slice.end_ns - merged.slice.start_ns;
        }
        self.add_to_totals(merged.slice, &merged.groups, &merged.watch);
        match merged.pack() {
            Ok(packed) => self.push(packed),
            Err(error) => self.error = Some(error),
        }
        if let Some(before) = self.newest.replace(merged) {
            self.keep_spare(before.groups, before.watch);
        }
    }

    fn add_to_totals(&mut self, slice: Slice, groups: &[Record], watch: &Watch) {
        self.totals.iter_mut().zip(groups).for_each(|(total, record)| total.append(record, slice.measured));
        if slice.measured {
            self.watch.merge(watch);
        }
    }

    fn keep_spare(&mut self, mut groups: Vec<Record>, mut watch: Watch) {
        // One per source and one more is what comes back between two slices.
        if self.spare.len() <= self.sources.len() {
            groups.iter_mut().for_each(Record::clear);
            watch.lateness.reset();
            let watch = Watch { lateness: watch.lateness, thread_cpu: 0.0, thread_wait: None };
            self.spare.push(Interval { thread: 0, slice: 0, end_ns: 0, groups, watch });
        }
    }

    /// A full series makes room by merging one pair, and goes along the series with it: so no turn costs more than
    /// another, and entries differ in length by a factor of two at most where a stage is long enough.
    fn push(&mut self, packed: PackedSlice) {
        if self.series.len() >= SERIES_MAX {
            self.merge_pair();
        }
        self.series.push(packed);
    }

    fn merge_pair(&mut self) {
        for _ in 0..self.series.len() {
            let at = if self.sweep + 1 < self.series.len() { self.sweep } else { 0 };
            self.sweep = at + 1;
            let Some([first, second]) = self.series.get(at..at + 2) else { return };
            if first.slice.stage != second.slice.stage || first.slice.measured != second.slice.measured {
                continue;
            }
            let pair = first.unpack().and_then(|mut pair| {
                pair.append(&second.unpack()?);
                pair.pack()
            });
            match pair {
                Ok(pair) => drop(self.series.splice(at..at + 2, [pair])),
                Err(error) => self.error = Some(error),
            }
            return;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use swarmcast::wire::Profile;

    use super::*;
    use crate::clock::SECOND_NS;
    use crate::plan::{Behaviour, ClockMode, Group, Protocol, SelfCheck, Stage, StageKind, Target, Transport};
    use crate::record::{Count, Timing};

    /// A plan with `groups` groups: `ramp_s` seconds of ramp, `hold_s` measured seconds.
    pub(crate) fn plan(groups: usize, ramp_s: u64, hold_s: u64) -> Plan {
        let stage = |kind, seconds: u64, measured| Stage {
            name: format!("{kind:?}"),
            kind,
            duration_ns: seconds * SECOND_NS,
            to: 1.0,
            measured,
        };
        let target = Target {
            url: "ws://127.0.0.1:7400/stream".to_owned(),
            transport: Transport::WebSocket,
            authority: "127.0.0.1:7400".to_owned(),
            path: "/stream".to_owned(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 7400)),
            headers: Vec::new(),
            subprotocols: Vec::new(),
        };
        let group = |index: usize| Group {
            name: format!("g{index}"),
            clients: 10,
            target: target.clone(),
            protocol: Protocol::Swarmcast { profile: Profile::Own, rate_hz: 60 },
            behaviour: Behaviour::Reader,
            sending: None,
            start_ns: 0,
            owed_hz: None,
            reconnect_after_ns: None,
            verify: false,
            receive_buffer_bytes: None,
            stages: None,
        };
        Plan {
            name: "test".to_owned(),
            seed: 1,
            stages: vec![stage(StageKind::Ramp, ramp_s, false), stage(StageKind::Hold, hold_s, true)],
            groups: (0..groups).map(group).collect(),
            thresholds: Vec::new(),
            warmup_ns: 0,
            threads: 1,
            sources: Vec::new(),
            connect_timeout_ns: SECOND_NS,
            clock: ClockMode::Auto,
            self_check: SelfCheck::default(),
        }
    }

    /// What source `source` does in slice `slice`: the same every time it is asked, never the same as another.
    pub(crate) fn interval(plan: &Plan, source: usize, slice: usize) -> Interval {
        let record = |group: usize| {
            let mut record = Record::with(&[Timing::Latency, Timing::Connect, Timing::ClientRate]);
            for step in 1..=20 {
                let value = (1 + source as u64 * 7_919 + slice as u64 * 104_729 + group as u64) * step * 1_000;
                record.record(Timing::Latency, value, step);
            }
            record.record(Timing::Connect, 1_000_000 + source as u64, 2);
            record.record(Timing::ClientRate, 60_000 - source as u64, 3);
            record.count(Count::Delivered, 100 + slice as u64);
            record.count(Count::Connected, 1);
            record.error("reset");
            record.connected = 5;
            record
        };
        let mut watch = Watch { thread_cpu: 0.1 * (source + 1) as f64, ..Watch::default() };
        watch.lateness.saturating_record(10_000 * (source as u64 + 1));
        Interval {
            thread: source,
            slice,
            end_ns: u64::MAX,
            groups: (0..plan.groups.len()).map(record).collect(),
            watch,
        }
    }

    /// The totals of these sources and slices, summed the simplest way.
    pub(crate) fn direct(plan: &Plan, from: impl Iterator<Item = (usize, usize)>) -> Vec<Record> {
        let slices = plan.slices();
        let mut totals: Vec<Record> = plan.groups.iter().map(|_| Record::with(&[])).collect();
        for (source, slice) in from {
            let interval = interval(plan, source, slice);
            for (total, record) in totals.iter_mut().zip(&interval.groups) {
                total.append(record, slices[slice].measured);
            }
        }
        totals
    }

    fn collector(plan: &Plan, sources: usize) -> Collector {
        Collector::new(Arc::new(plan.clone()), "test".to_owned(), 0, sources)
    }

    fn finish(collector: Collector) -> Collected {
        collector.finish(Vec::new(), Vec::new(), None).unwrap()
    }

    /// Totals but for `connected`, which the direct sum of sources cannot know.
    fn assert_same(got: &[Record], expected: &[Record]) {
        for (got, expected) in got.iter().zip(expected) {
            let mut got = got.clone();
            got.connected = expected.connected;
            assert_eq!(&got, expected);
        }
        assert_eq!(got.len(), expected.len());
    }

    #[test]
    fn one_source_gives_every_slice_at_once_and_in_order() {
        let plan = plan(2, 1, 3);
        let mut collector = collector(&plan, 1);
        for slice in 0..4 {
            let merged = collector.take(0, interval(&plan, 0, slice)).unwrap();
            assert_eq!(merged.slice, plan.slices()[slice]);
            assert_eq!(merged.groups, interval(&plan, 0, slice).groups);
        }
        assert!(collector.take(0, Interval { slice: 4, ..interval(&plan, 0, 0) }).is_none(), "no such slice");
        let collected = finish(collector);
        assert_eq!((collected.series.len(), collected.measured_s), (4, 3.0));
        assert_same(&collected.totals, &direct(&plan, (0..4).map(|slice| (0, slice))));
        let total = &collected.totals[1];
        assert_eq!((total.of(Count::Delivered), total.of(Count::Connected)), (101 + 102 + 103, 4), "ramp apart");
        assert_eq!(total.timing(Timing::Connect).unwrap().len(), 8, "connects of the ramp count");
        assert_eq!(collected.watch.lateness.len(), 3, "of measured slices");
    }

    #[test]
    fn sources_wait_for_each_other_and_nothing_is_lost() {
        let plan = plan(1, 1, 5);
        let mut collector = collector(&plan, 2);
        for slice in 0..4 {
            assert!(collector.take(0, interval(&plan, 0, slice)).is_none());
        }
        for slice in 0..4 {
            let merged = collector.take(1, interval(&plan, 1, slice)).unwrap();
            assert_eq!(merged.slice, plan.slices()[slice]);
            assert_eq!(merged.groups[0].connected, 10);
            assert_eq!(merged.watch.thread_cpu, 0.2);
        }
        for slice in [4, 5] {
            assert!(collector.take(1, interval(&plan, 1, slice)).is_none());
            assert!(collector.take(0, interval(&plan, 0, slice)).is_some());
        }
        let collected = finish(collector);
        assert_same(&collected.totals, &direct(&plan, (0..6).flat_map(|slice| [(0, slice), (1, slice)])));
        assert_eq!(collected.totals[0].connected, 10);
        let expected: u64 = (1..=20).sum::<u64>() * 10;
        assert_eq!(collected.totals[0].timing(Timing::Latency).unwrap().len(), expected);
        let mut again: Vec<Record> = vec![Record::with(&[])];
        for packed in &collected.series {
            again[0].append(&packed.unpack().unwrap().groups[0], packed.slice.measured);
        }
        assert_same(&again, &collected.totals);
    }

    #[test]
    fn a_source_that_went_holds_nobody_up() {
        let plan = plan(1, 1, 5);
        let mut collector = collector(&plan, 2);
        collector.take(1, interval(&plan, 1, 0));
        for slice in 0..4 {
            collector.take(0, interval(&plan, 0, slice));
        }
        assert_eq!(collector.gone(1).unwrap().slice, plan.slices()[3], "the newest of those it held up");
        assert!(collector.take(0, interval(&plan, 0, 4)).is_some());
        let collected = finish(collector);
        assert_same(&collected.totals, &direct(&plan, (0..5).map(|slice| (0, slice)).chain([(1, 0)])));
        assert_eq!(collected.series.len(), 5);
    }

    #[test]
    fn a_source_far_behind_is_not_waited_for_and_still_counts() {
        let plan = plan(1, 1, 39);
        let mut collector = collector(&plan, 2);
        let seen = (0..40).filter(|slice| collector.take(0, interval(&plan, 0, *slice)).is_some()).count();
        assert_eq!((seen, collector.done, collector.pending.len()), (40 - PENDING_MAX, 40 - PENDING_MAX, PENDING_MAX));
        for slice in 0..40 {
            collector.take(1, interval(&plan, 1, slice));
        }
        let collected = finish(collector);
        assert_same(&collected.totals, &direct(&plan, (0..40).flat_map(|slice| [(0, slice), (1, slice)])));
        assert_eq!((collected.series.len(), collected.measured_s), (40, 39.0));
        let first = collected.series[0].unpack().unwrap();
        assert_eq!(first.groups[0].of(Count::Connected), 2, "what came late is in its own slice");
    }

    #[test]
    fn a_long_run_is_merged_in_pairs_within_stages() {
        let seconds = SERIES_MAX as u64 * 2 + 301;
        let mut plan = plan(1, 301, seconds - 301);
        plan.warmup_ns = 3 * SECOND_NS;
        let mut collector = collector(&plan, 1);
        // Small records, so that the test takes no time.
        for slice in 0..seconds as usize {
            let mut record = Record::with(&[]);
            record.count(Count::Delivered, slice as u64);
            let merged = collector.take(
                0,
                Interval { thread: 0, slice, end_ns: u64::MAX, groups: vec![record], watch: Watch::default() },
            );
            assert_eq!(merged.unwrap().slice, plan.slices()[slice], "live slices are never pairs");
        }
        let collected = finish(collector);
        assert_eq!(collected.series.len(), SERIES_MAX);
        let (mut end, mut delivered) = (0, 0);
        for packed in &collected.series {
            let slice = packed.slice;
            assert_eq!(slice.start_ns, end, "without holes");
            assert!(slice.end_ns - slice.start_ns <= 4 * SECOND_NS);
            let first = slice.start_ns / SECOND_NS;
            assert_eq!(plan.slices()[first as usize].stage, slice.stage);
            assert_eq!(slice.measured, first >= 304);
            end = slice.end_ns;
            delivered += packed.unpack().unwrap().groups[0].of(Count::Delivered);
        }
        assert_eq!((end, delivered), (plan.duration_ns(), (0..seconds).sum()));
        assert_eq!(collected.measured_s, (seconds - 304) as f64);
    }

    #[test]
    fn what_is_merged_can_be_filled_again() {
        let plan = plan(1, 1, 5);
        let mut collector = collector(&plan, 2);
        assert!(collector.recycle().is_none());
        for slice in 0..6 {
            collector.take(0, interval(&plan, 0, slice));
            collector.take(1, interval(&plan, 1, slice));
        }
        let spare = collector.recycle().unwrap();
        assert_eq!(spare.groups[0], Record::with(&[Timing::Latency, Timing::Connect, Timing::ClientRate]));
        assert!(spare.watch.lateness.is_empty());
        let mut held = 1;
        while collector.recycle().is_some() {
            held += 1;
        }
        assert!((2..=3).contains(&held), "{held}");
    }
}

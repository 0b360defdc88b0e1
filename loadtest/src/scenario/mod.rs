//! Scenario files: TOML to a checked [`Plan`]. `loadtest/README.md` has the format by example.
//!
//! A file is read whole before it is refused: every problem is reported with its line and the path of its key, in which
//! `group[2]` is the second group.

mod draft;
mod error;
mod group;
mod read_group;
mod ready;
mod stages;
mod table;

use std::net::IpAddr;

use toml::de::DeTable;

pub(crate) use draft::Draft;
pub use error::{Problem, ScenarioError};
pub(crate) use group::{GroupDraft, SPOKEN};
pub(crate) use read_group::{FRAMING_FORM, STAMP_FORM, framing, interest_message, is_name, parse_stamp};
pub use ready::{READY, Ready, ready};
use table::{Source, Table};

use crate::clock::{MILLISECOND_NS, SECOND_NS};
use crate::plan::{ClockMode, Plan, SelfCheck};
use crate::target::Url;
use crate::threshold::Threshold;

/// The modes of the clock by their names.
pub(crate) const CLOCKS: [(&str, ClockMode); 3] =
    [("auto", ClockMode::Auto), ("same", ClockMode::Same), ("ping", ClockMode::Ping)];

/// Threads that generate.
pub(crate) const THREADS_MAX: u64 = 256;

/// What the command line says over a file; `None` and empty leave the file's.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Of all groups that have none of their own.
    pub target: Option<Url>,
    /// Of the only group.
    pub clients: Option<u32>,
    /// Left out at the start.
    pub warmup_ns: Option<u64>,
    /// Threads that generate.
    pub threads: Option<usize>,
    /// In place of the file's.
    pub sources: Vec<IpAddr>,
    /// How clocks are compared.
    pub clock: Option<ClockMode>,
    /// Every group of Swarmcast's streams checks its content.
    pub verify: bool,
    /// Besides the file's.
    pub thresholds: Vec<String>,
}

/// Reads the scenario `text`. `file` is its name in messages, and names the run where the scenario does not; `cores`
/// bounds the threads where nobody says how many. Resolves host names.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(text: &str, file: &str, over: &Overrides, cores: usize) -> Result<Plan, ScenarioError> {
    // An editor may have put a byte order mark first, which is no part of any line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source::new(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let start = error.span().map(|span| span.start);
        source.say(start, String::new(), format!("is not TOML: {}", error.message()));
    }
    // What follows an error of syntax is guesswork.
    let plan = if errors.is_empty() { read_table(&source, root.get_ref(), file, over, cores) } else { None };
    let problems = source.into_problems();
    match plan {
        Some(plan) if problems.is_empty() => Ok(plan),
        _ => Err(ScenarioError::new(file, problems)),
    }
}

fn read_table(source: &Source<'_>, root: &DeTable<'_>, file: &str, over: &Overrides, cores: usize) -> Option<Plan> {
    let root = Table::root(source, root);
    let mut draft = read_top(&root, file);
    draft.stages = stages::read(&root);
    let tables = root.tables("group", read_group::GROUPS_MAX);
    draft.groups = tables.iter().map(read_group::read).collect();
    tables.iter().for_each(Table::close);
    let names: Vec<String> = draft.groups.iter().map(|group| group.name.clone()).collect();
    let threshold = |text: &str| Threshold::parse(text, &names).map_err(|error| error.to_string());
    draft.thresholds = root
        .list("thresholds", "a text such as \"latency.p99 < 5ms\", or a list of them", threshold)
        .unwrap_or_default();
    root.close();
    over.apply(&mut draft, &names, source);
    draft.finish(cores, &mut |group, key, wrong| match group.and_then(|place| tables.get(place)) {
        Some(table) => table.say(key, wrong),
        // What was said of the key already is reason enough for its absence.
        None if key == "group" && root.has("group") => {}
        None => root.say(key, wrong),
    })
}

fn read_top(root: &Table<'_, '_>, file: &str) -> Draft {
    let name = root.text("name", 64);
    if name.as_ref().is_some_and(|name| !is_name(name)) {
        root.say("name", "must be 1 to 64 letters, digits, - and _");
    }
    let mut draft = Draft::new(&name.unwrap_or_else(|| name_of(file)));
    draft.target = read_group::target(root);
    draft.target_refused = draft.target.is_none() && root.has("target");
    draft.seed = root.whole("seed", 0..=u64::MAX >> 1, "");
    draft.ramp_ns = root.duration("ramp", MILLISECOND_NS..=stages::RUN_NS_MAX);
    draft.duration_ns = root.duration("duration", MILLISECOND_NS..=stages::RUN_NS_MAX);
    draft.warmup_ns = root.duration("warmup", 0..=3_600 * SECOND_NS);
    draft.threads = root.whole("threads", 1..=THREADS_MAX, "").and_then(|count| usize::try_from(count).ok());
    let address = |text: &str| text.parse().map_err(|_| format!("{text:?} is no IP address"));
    draft.sources = root.list("sources", "an IP address, or a list of them", address).unwrap_or_default();
    draft.connect_timeout_ns = root.duration("connect_timeout", MILLISECOND_NS..=600 * SECOND_NS);
    draft.clock = root.choice("clock", &CLOCKS);
    if let Some(table) = root.table("self_check") {
        let standard = SelfCheck::default();
        draft.self_check = SelfCheck {
            thread_cpu_max: table.share("thread_cpu_max").unwrap_or(standard.thread_cpu_max),
            lateness_p99_max_ns: table
                .duration("lateness_p99_max", 0..=60 * SECOND_NS)
                .unwrap_or(standard.lateness_p99_max_ns),
            lateness_share_max: table.share("lateness_share_max").unwrap_or(standard.lateness_share_max),
        };
        table.close();
    }
    draft
}

impl Overrides {
    fn apply(&self, draft: &mut Draft, names: &[String], source: &Source<'_>) {
        if let Some(target) = &self.target {
            draft.target = Some(target.clone());
            draft.target_refused = false;
        }
        match (self.clients, draft.groups.as_mut_slice()) {
            (None, _) => {}
            (Some(clients), [group]) => group.clients = clients,
            (Some(_), groups) => {
                let wrong =
                    format!("cannot say which of the scenario's {} groups it means; change the file", groups.len());
                source.say(None, "--clients".to_owned(), wrong);
            }
        }
        draft.warmup_ns = self.warmup_ns.or(draft.warmup_ns);
        draft.threads = self.threads.or(draft.threads);
        draft.clock = self.clock.or(draft.clock);
        if !self.sources.is_empty() {
            draft.sources.clone_from(&self.sources);
        }
        if self.verify {
            draft.groups.iter_mut().for_each(GroupDraft::verify_where_it_can);
        }
        for text in &self.thresholds {
            match Threshold::parse(text, names) {
                Ok(threshold) => draft.thresholds.push(threshold),
                Err(error) => source.say(None, "--threshold".to_owned(), error.to_string()),
            }
        }
    }
}

/// The file's name without folder and ending, as a run may be called.
fn name_of(file: &str) -> String {
    let stem = std::path::Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let clean = |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' };
    let name: String = stem.unwrap_or_default().chars().map(clean).take(64).collect();
    if name.is_empty() { "run".to_owned() } else { name }
}

#[cfg(test)]
mod tests;

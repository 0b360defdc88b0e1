//! `swarmcast-load`: args -> plan -> run -> report, nothing else.

#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use swarmcast_load::agents::{self, Agent, AgentsError, Load, token_or_environment};
use swarmcast_load::args::{AgentArgs, Cli, Command, CompareArgs, ReportArgs, Resolved, RunArgs, resolve, show_plan};
use swarmcast_load::collect::{Collected, Merged};
use swarmcast_load::compare;
use swarmcast_load::report::{self, HlogWriter, Outputs, Report, ThresholdResult};
use swarmcast_load::run::{RunError, Watching, run};
use swarmcast_load::threshold::evaluate;
use swarmcast_load::validity::invalid_reasons;

/// All thresholds held.
const HELD: u8 = 0;
/// Wrong use, or a file that cannot be written.
const WRONG_USE: u8 = 1;
/// Nothing could connect.
const NO_CONNECTION: u8 = 2;
/// The tool itself disturbed the run.
const INVALID: u8 = 3;
/// A threshold was broken.
const BROKEN: u8 = 99;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    let done = match cli.command {
        Command::Run(args) => play(&args),
        Command::Report(args) => render(&args),
        Command::Compare(args) => set_side_by_side(&args),
        Command::Agent(args) => serve(&args),
        Command::Scenario(args) => args.text().map(print).map_err(Into::into),
    };
    ExitCode::from(done.unwrap_or_else(|error| {
        eprintln!("swarmcast-load: {}", in_words(&error));
        match error.downcast_ref() {
            Some(RunError::Connect { .. } | RunError::Clock(_)) => NO_CONNECTION,
            _ if matches!(error.downcast_ref(), Some(AgentsError::Connect { .. })) => NO_CONNECTION,
            _ => WRONG_USE,
        }
    }))
}

/// An error and its causes; one that says its cause itself does not say it twice.
fn in_words(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        _ if said.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}

/// Standard output may be closed by whoever reads it; that is no error of ours.
fn print(text: impl AsRef<str>) -> u8 {
    let _ = std::io::stdout().write_all(text.as_ref().as_bytes());
    HELD
}

fn play(args: &RunArgs) -> Result<u8> {
    let Resolved { plan, outputs, agents, agent_token, quiet, check } = resolve(args)?;
    if check {
        return Ok(print(show_plan(&plan)));
    }
    let stop = stop_by_signal()?;
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let groups: Vec<String> = plan.groups.iter().map(|group| group.name.clone()).collect();
    // Before the run: a result that has nowhere to go is a run for nothing.
    make_folders(&outputs)?;
    let mut live = Live::new(quiet, plan.duration_ns(), groups);
    if let Some(path) = &outputs.hlog {
        live.log(path, &command)?;
    }
    let collected = if agents.is_empty() {
        run(plan, command, &stop, &mut live)?
    } else {
        let token = token_or_environment(agent_token);
        agents::run(plan, command, &agents, token.as_deref(), &stop, &mut live)?
    };
    live.end();
    tell(&collected, &outputs)
}

fn make_folders(outputs: &Outputs) -> Result<()> {
    let Outputs { json, hlog, csv, html, markdown } = outputs;
    for path in [json, hlog, csv, html, markdown].into_iter().flatten() {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
    }
    Ok(())
}

/// Prints and writes what came of a run; its exit code.
fn tell(collected: &Collected, outputs: &Outputs) -> Result<u8> {
    let names: Vec<&str> = collected.plan.groups.iter().map(|group| group.name.as_str()).collect();
    let verdicts = evaluate(&collected.plan.thresholds, &names, &collected.totals, collected.measured_s);
    let invalid = invalid_reasons(collected);
    let broken = verdicts.iter().any(|verdict| !verdict.held);
    let valid = invalid.is_empty();
    let results = verdicts.into_iter().map(|verdict| ThresholdResult {
        text: verdict.threshold.text,
        value: verdict.value,
        held: verdict.held,
    });
    let report = Report::build(collected, invalid, results.collect())?;
    print(report::text(&report));
    // The log was written while the run went on, an interval a second whatever its length.
    report::write(&report, &Outputs { hlog: None, ..outputs.clone() })?;
    let nothing = collected.totals.iter().all(|total| total.of(swarmcast_load::record::Count::Connected) == 0);
    Ok(match (nothing && report.all.errors.values().sum::<u64>() > 0, valid, broken) {
        (true, ..) => NO_CONNECTION,
        (_, false, _) => INVALID,
        (_, _, true) => BROKEN,
        _ => HELD,
    })
}

/// Set by the first signal that asks to end; the second one ends the process at once.
fn stop_by_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

fn serve(args: &AgentArgs) -> Result<u8> {
    let stop = stop_by_signal()?;
    let agent = Agent::bind(args.listen, token_or_environment(args.token()?))?;
    eprintln!("agent on {}, for: swarmcast-load run TARGET --agents HOST:PORT; stop with Ctrl-C", agent.address()?);
    agent.serve(&Load, &stop)?;
    Ok(HELD)
}

fn render(args: &ReportArgs) -> Result<u8> {
    let report = report::read(&args.file)?;
    let outputs = args.outputs.resolve(&report.name);
    if outputs == Outputs::default() {
        return Ok(print(report::text(&report)));
    }
    make_folders(&outputs)?;
    report::write(&report, &outputs)?;
    Ok(HELD)
}

fn set_side_by_side(args: &CompareArgs) -> Result<u8> {
    let before = read_stage(&args.before, args.before_stage.as_deref())?;
    let after = read_stage(&args.after, args.after_stage.as_deref())?;
    let comparison = compare::compare(&before, &after, args.confidence / 100.0)?;
    let code =
        print(if args.json { serde_json::to_string_pretty(&comparison)? + "\n" } else { compare::text(&comparison) });
    let mut broken = false;
    for bound in &args.bound {
        let (ratio, held) = bound.judge(&comparison);
        broken |= !held;
        let ratio = ratio.map_or_else(|| "not known".to_owned(), |ratio| format!("{ratio:.3}x"));
        // Beside the JSON, not in it.
        eprintln!("{}  {}: {ratio}", if held { "held  " } else { "BROKEN" }, bound.text);
    }
    Ok(if broken { BROKEN } else { code })
}

/// A result, or its stages of one name.
fn read_stage(file: &Path, stage: Option<&str>) -> Result<Report> {
    let report = report::read(file)?;
    let Some(stage) = stage else { return Ok(report) };
    let found = report.of_stage(stage)?;
    found.with_context(|| format!("{}: no stage called {stage} was measured", file.display()))
}

/// The progress line, and the log that grows as the run goes on.
struct Live {
    quiet: bool,
    terminal: bool,
    total: Duration,
    groups: Vec<String>,
    log: Option<HlogWriter>,
}

impl Live {
    fn new(quiet: bool, total_ns: u64, groups: Vec<String>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { quiet, terminal, total: Duration::from_nanos(total_ns), groups, log: None }
    }

    fn log(&mut self, path: &Path, command: &str) -> Result<()> {
        let now_ms = swarmcast_load::clock::realtime_ns() / swarmcast_load::clock::MILLISECOND_NS;
        let log = HlogWriter::create(path, now_ms, command);
        self.log = Some(log.with_context(|| format!("cannot write {}", path.display()))?);
        Ok(())
    }

    /// Leaves the last progress line standing.
    fn end(&self) {
        if self.terminal && !self.quiet {
            eprintln!();
        }
    }
}

impl Watching for Live {
    fn slice(&mut self, slice: &Merged) -> std::io::Result<()> {
        if let Some(log) = &mut self.log {
            let names: Vec<&str> = self.groups.iter().map(String::as_str).collect();
            log.slice(slice, &names)?;
        }
        if !self.quiet {
            let line = report::progress_line(slice, Duration::from_nanos(slice.slice.end_ns), self.total);
            // On a terminal the line before is overwritten, to its end.
            if self.terminal { eprint!("\r{line}\x1b[K") } else { eprintln!("{line}") }
        }
        Ok(())
    }
}

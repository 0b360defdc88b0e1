//! One event a line on standard error, as text or JSON.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, registry};

use crate::config::{LogFormat, LogLevel, LogOptions};

/// Logs a panic as one event. Threads other than shards, whose panics end the engine, go on to the hook before, which
/// may print a backtrace; on a shard its symbols would be looked up for some hundred milliseconds, in which no client
/// gets a frame, because of one whose message failed.
fn log_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text");
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        tracing::error!(place, "panicked: {text}");
        let thread = std::thread::current();
        if !thread.name().is_some_and(|name| name.starts_with("shard-")) {
            before(panic);
        }
    }));
}

/// Starts logging; a second call in one process changes nothing.
pub(super) fn start(options: &LogOptions) {
    let (filter, handle) = reload::Layer::new(filter(options.level));
    let lines = fmt::layer()
        .with_target(false)
        .with_thread_names(true)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match options.format {
        LogFormat::Text => registry().with(filter).with(lines).try_init(),
        LogFormat::Json => registry().with(filter).with(lines.json()).try_init(),
    };
    if started.is_ok() {
        let _ = LEVEL.set(handle);
        log_panics();
    }
}

/// What the level of the running log is changed by.
static LEVEL: OnceLock<Handle<LevelFilter, Registry>> = OnceLock::new();

/// Logs from `level` on; answers what holds then. Without a log of ours there is nothing to set.
pub(super) fn set_level(level: LogLevel) -> LogLevel {
    let Some(handle) = LEVEL.get() else { return level };
    if handle.clone_current() != Some(filter(level)) {
        let _ = handle.reload(filter(level));
    }
    let holds = |known: &&LogLevel| handle.clone_current() == Some(filter(**known));
    LEVELS.iter().find(holds).copied().unwrap_or(level)
}

const LEVELS: [LogLevel; 5] = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

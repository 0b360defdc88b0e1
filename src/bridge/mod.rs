//! `swarmcast mcp`: what a host that starts a program for MCP talks to. Its standard input and output are copied to and from the
//! engine's door, with the token in front. Blocking, two threads; it ends when its host or the engine does, and says why.

#![forbid(unsafe_code)]

mod link;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::base::say;

use link::Link;
pub use link::Target;

/// How long the engine is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// How long answers are waited for when the host has closed its side.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// Most bytes of the answer to the token.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What the bridge is told.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the engine is; `None` looks for the socket beside the token, then at 127.0.0.1:7402.
    pub connect: Option<Target>,
    /// The file of the token; `None` is the variable `SWARMCAST_MCP_TOKEN`, then the file beside the socket,
    /// then `token_kept`.
    pub token_file: Option<PathBuf>,
    /// Where a token is looked for last: in the user's data folder.
    pub token_kept: Option<PathBuf>,
    /// Start an engine when there is none.
    pub spawn: bool,
    /// Flags of that engine.
    pub engine: Vec<String>,
}

/// Why the bridge ended before its host did.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// There is no engine.
    #[error("no engine answered at {target} for {seconds} s: {reason}. Start one with `swarmcast`, or pass --spawn")]
    NoEngine {
        /// Where it was looked for.
        target: Target,
        /// How long.
        seconds: u64,
        /// The last error.
        reason: io::Error,
    },
    /// The token's file cannot be read.
    #[error("the token file {} cannot be read: {reason}", path.display())]
    TokenFile {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The engine does not take the token.
    #[error("the engine at {target} does not take the token: {answer}")]
    Token {
        /// Where it is.
        target: Target,
        /// What it said.
        answer: String,
    },
    /// The engine could not be started.
    #[error("an engine could not be started: {0}")]
    Spawn(io::Error),
    /// The engine went away.
    #[error("the engine at {0} closed the connection")]
    Ended(Target),
    /// Reading or writing failed.
    #[error("the connection to {target} broke: {reason}")]
    Broken {
        /// Where to.
        target: Target,
        /// Why.
        reason: io::Error,
    },
}

/// File name of the agents' socket in [`home`].
pub const SOCKET_NAME: &str = "mcp.sock";

/// File name of the agents' token, in [`home`] or beside the store.
pub const TOKEN_NAME: &str = "mcp.token";

/// Where an engine of this user has its socket and token: `$XDG_RUNTIME_DIR/swarmcast`, if there is such a folder.
#[must_use]
pub fn home(runtime_dir: Option<&Path>) -> Option<PathBuf> {
    runtime_dir.map(|folder| folder.join("swarmcast"))
}

/// Copies until one side ends.
///
/// # Errors
/// [`BridgeError`].
pub fn run(options: &Options, runtime_dir: Option<&Path>, token: Option<String>) -> Result<(), BridgeError> {
    let home = home(runtime_dir);
    let (mut link, target) = connect(options, home.as_deref())?;
    if let Some(token) = find_token(options, home.as_deref(), token)? {
        authenticate(&mut link, &target, &token)?;
    }
    copy(link, &target)
}

/// The first of: the file that was named, the variable, the file beside the socket. A socket of one's own needs none.
fn find_token(options: &Options, home: Option<&Path>, variable: Option<String>) -> Result<Option<String>, BridgeError> {
    let read = |path: &Path| match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(reason) => Err(BridgeError::TokenFile { path: path.to_owned(), reason }),
    };
    if let Some(path) = &options.token_file {
        return read(path);
    }
    if variable.is_some() {
        return Ok(variable);
    }
    let beside = home.map(|home| home.join(TOKEN_NAME)).filter(|path| path.exists());
    let beside = beside.or_else(|| options.token_kept.clone().filter(|path| path.exists()));
    beside.map_or(Ok(None), |path| read(&path))
}

/// Where the engine is: where we are told, else at this user's socket as soon as there is one, else at the customary address.
fn target(options: &Options, home: Option<&Path>) -> Target {
    options.connect.clone().unwrap_or_else(|| {
        let socket = home.map(|home| home.join(SOCKET_NAME)).filter(|socket| socket.exists());
        socket.map_or_else(|| Target::Tcp("127.0.0.1:7402".to_owned()), Target::Unix)
    })
}

fn connect(options: &Options, home: Option<&Path>) -> Result<(Link, Target), BridgeError> {
    let started = Instant::now();
    let (mut told, mut spawn) = (false, options.spawn);
    loop {
        // Anew every time: an engine that starts meanwhile may have the socket.
        let target = target(options, home);
        let reason = match Link::connect(&target) {
            Ok(link) => return Ok((link, target)),
            Err(reason) => reason,
        };
        if std::mem::take(&mut spawn) {
            start(&options.engine)?;
        }
        if started.elapsed() >= PATIENCE {
            return Err(BridgeError::NoEngine { target, seconds: PATIENCE.as_secs(), reason });
        }
        if !std::mem::replace(&mut told, true) {
            say(format_args!(
                "swarmcast mcp: no engine at {target} yet ({reason}); trying for {} s",
                PATIENCE.as_secs()
            ));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Starts an engine that outlives the bridge. What it says goes to the bridge's standard error: standard output is the host's.
fn start(flags: &[String]) -> Result<(), BridgeError> {
    let program = std::env::current_exe().map_err(BridgeError::Spawn)?;
    let mut command = Command::new(program);
    command.env_remove("SWARMCAST_MCP_TOKEN").arg("serve").args(flags).stdin(Stdio::null()).stdout(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
        .spawn()
        .map(|child| say(format_args!("swarmcast mcp: started an engine, process {}", child.id())))
        .map_err(BridgeError::Spawn)
}

/// Says who asks, and takes the answer, which the host knows nothing of.
fn authenticate(link: &mut Link, target: &Target, token: &str) -> Result<(), BridgeError> {
    let broken = |reason| BridgeError::Broken { target: target.clone(), reason };
    let quoted = serde_json::Value::from(token);
    let line = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":\"swarmcast-mcp\",\"method\":\"swarmcast/authenticate\",\"params\":{{\"token\":{quoted}}}}}\n"
    );
    link.write_all(line.as_bytes()).map_err(broken)?;
    // Byte by byte: what follows the line is the host's.
    let (mut answer, mut byte) = (Vec::new(), [0u8]);
    while answer.last() != Some(&b'\n') && answer.len() < ANSWER_BYTES_MAX {
        match link.read(&mut byte) {
            Ok(0) => return Err(BridgeError::Ended(target.clone())),
            Ok(_) => answer.extend_from_slice(&byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(reason) => return Err(broken(reason)),
        }
    }
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
    if answer.get("result").is_some() {
        return Ok(());
    }
    let words = answer.pointer("/error/message").and_then(serde_json::Value::as_str).unwrap_or("no reason given");
    Err(BridgeError::Token { target: target.clone(), answer: words.to_owned() })
}

/// One thread for each direction. The end of the host's input closes that half; what is under way is still answered.
fn copy(mut link: Link, target: &Target) -> Result<(), BridgeError> {
    let broken = |reason| BridgeError::Broken { target: target.clone(), reason };
    let mut up = link.try_clone().map_err(broken)?;
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let host_ended = std::sync::Arc::clone(&ended);
    std::thread::spawn(move || {
        let _ = pump(&mut io::stdin().lock(), &mut up);
        // Release: whoever sees the stream end because of the shutdown sees that it was the host.
        host_ended.store(true, std::sync::atomic::Ordering::Release);
        up.close_write();
        std::thread::sleep(LAST_WORDS);
        up.close();
    });
    let copied = pump(&mut link, &mut io::stdout().lock());
    // Acquire: pairs with the store before the shutdown.
    if ended.load(std::sync::atomic::Ordering::Acquire) {
        return Ok(());
    }
    match copied {
        Ok(()) => Err(BridgeError::Ended(target.clone())),
        // The host no longer reads: that is its end.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(reason) => Err(broken(reason)),
    }
}

/// Copies every read at once: a line must not wait for the next.
fn pump(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut bytes = vec![0u8; 64 << 10];
    loop {
        match from.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(bytes.get(..count).unwrap_or(&[]))?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

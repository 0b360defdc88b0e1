//! The command line as it is typed. Values stay text here: the key table checks them with everyone else's.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::error::{Origin, Problem, Wrong};
use super::resolved::Draft;
use crate::settings::{KEYS, Value, find};

const EXAMPLES: &str = "\
Examples:
  swarmcast                                  serve the built-in graph on http://127.0.0.1:7400
  swarmcast --graph ~/notes                  serve a folder of linked Markdown notes
  swarmcast --graph edges.csv --rate 30      serve an edge list, 30 frames a second
  swarmcast --config swarm.toml serve --check
                                             print what would run, and exit
  swarmcast convert notes/ notes.graphml     write a graph in another format
  swarmcast backup graph-copy.db             copy the store, also while it is in use
  swarmcast audit --last 20                  print which agents changed something last
  swarmcast mcp --spawn                      let an MCP host work with the graph of a running or new engine
  swarmcast config show --origin             print every value and where it came from
  swarmcast config default > swarm.toml      start a configuration file, every key explained

A value comes from its default, the file, SWARMCAST_* variables and flags;
each overrides the one before it. SWARMCAST_SIM_RATE_HZ gives sim.rate_hz.";

/// Simulate a graph once, cast it to everyone: a live 3D graph layout streamed to thousands of clients.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "swarmcast", version, after_help = EXAMPLES)]
pub struct Args {
    /// Flags before the subcommand.
    #[command(flatten)]
    pub common: CommonArgs,
    /// What to do; `serve` where nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A subcommand.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Simulate the graph and serve it (the default).
    Serve {
        /// Print the resolved configuration, threads, cores, lanes and memory, and exit.
        #[arg(long)]
        check: bool,
        /// Flags after the subcommand.
        #[command(flatten)]
        common: Box<CommonArgs>,
    },
    /// Read a graph and write it in another format; says what the format cannot hold.
    Convert {
        /// The file or folder to read, in any format that can be served [graph.path].
        input: PathBuf,
        /// The file to write; - for standard output.
        output: PathBuf,
        /// Its format where the name does not say: json, csv, csv-nodes, graphml, gexf, gml, dot or mermaid.
        #[arg(long, value_name = "FORMAT")]
        to: Option<String>,
        /// Flags after the subcommand.
        #[command(flatten)]
        common: Box<CommonArgs>,
    },
    /// Write the graph of the store to a file, with the places of its layout; also while it is in use.
    Export {
        /// The file to write; - for standard output.
        output: PathBuf,
        /// Its format where the name does not say: json, csv, csv-nodes, graphml, gexf, gml, dot or mermaid.
        #[arg(long, value_name = "FORMAT")]
        to: Option<String>,
        /// Flags after the subcommand.
        #[command(flatten)]
        common: Box<CommonArgs>,
    },
    /// Bring a file or folder into the store: what it has is added or changed. A running engine takes files by POST /api/graph/import.
    Import {
        /// The file or folder to read, in any format that can be served [graph.path].
        input: PathBuf,
        /// Remove what the file does not have.
        #[arg(long)]
        replace: bool,
        /// Flags after the subcommand.
        #[command(flatten)]
        common: Box<CommonArgs>,
    },
    /// Look for everything that could be wrong with the store; also while it is in use.
    CheckStore {
        /// Flags after the subcommand.
        #[command(flatten)]
        common: Box<CommonArgs>,
    },
    /// Copy the store to a new file; also while it is in use.
    Backup {
        /// The file to write; it must not be there yet.
        #[arg(value_name = "FILE")]
        to: PathBuf,
        /// Flags after the subcommand.
        #[command(flatten)]
        common: Box<CommonArgs>,
    },
    /// Put a backup in the place of the store.
    Restore {
        /// The backup.
        #[arg(value_name = "FILE")]
        from: PathBuf,
        /// Also when there is a store: it gets another name.
        #[arg(long)]
        force: bool,
        /// Flags after the subcommand.
        #[command(flatten)]
        common: Box<CommonArgs>,
    },
    /// Give the store's free space back to the system.
    Compact {
        /// Flags after the subcommand.
        #[command(flatten)]
        common: Box<CommonArgs>,
    },
    /// Print who called what of MCP that changed something, and when, one JSON object a line; also while the engine runs.
    Audit {
        /// Only the newest N.
        #[arg(long, value_name = "N")]
        last: Option<usize>,
        /// Only those of this name: the NAME of a token, agent or anonymous.
        #[arg(long, value_name = "NAME")]
        principal: Option<String>,
        /// Only those of this tool.
        #[arg(long, value_name = "NAME")]
        tool: Option<String>,
        /// Flags after the subcommand.
        #[command(flatten)]
        common: Box<CommonArgs>,
    },
    /// Connect an MCP host on standard input and output to a running engine.
    Mcp(McpArgs),
    /// Show the configuration.
    Config {
        /// Which one.
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

/// What `mcp` takes. The values are for the bridge; none is part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct McpArgs {
    /// Where the engine is: HOST:PORT, unix:PATH or an absolute path. Without it: this user's socket, then 127.0.0.1:7402.
    #[arg(long, value_name = "ADDRESS")]
    pub connect: Option<String>,
    /// Read the token from this file; without it from SWARMCAST_MCP_TOKEN, or beside the socket.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Start an engine when there is none; what follows `--` are its flags.
    #[arg(long)]
    pub spawn: bool,
    /// Flags of the engine that --spawn starts.
    #[arg(last = true, requires = "spawn", value_name = "FLAGS")]
    pub engine: Vec<String>,
}

/// A subcommand of `config`.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the configuration that would be served, as TOML.
    Show {
        /// Say where each value came from.
        #[arg(long)]
        origin: bool,
        /// Flags after the subcommand.
        #[command(flatten)]
        common: Box<CommonArgs>,
    },
    /// Print the default configuration, every key explained.
    Default,
}

/// The flags that give configuration values; they stand before or after the subcommand.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub struct CommonArgs {
    /// Read this TOML file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Give any key a value, as in --set net.connections_max=500; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The file or folder to import [graph.path].
    #[arg(long, value_name = "PATH")]
    pub graph: Option<String>,
    /// Its format: auto, vault, csv, tsv, whitespace, json, graphml, gexf, gml, dot, mtx or parquet [graph.format].
    #[arg(long)]
    pub format: Option<String>,
    /// Leave out bad rows and count them [graph.skip_bad].
    #[arg(long)]
    pub skip_bad: bool,
    /// Read every page of a vault, not only the public ones [graph.vault_all_pages].
    #[arg(long)]
    pub vault_all_pages: bool,
    /// Follow the file or folder: read it again when it changes [graph.watch].
    #[arg(long)]
    pub watch: bool,
    /// The file that keeps graph, settings and layout [store.path].
    #[arg(long, value_name = "FILE")]
    pub store: Option<String>,
    /// Keep nothing [store.ephemeral].
    #[arg(long)]
    pub ephemeral: bool,
    /// Where to serve viewer, REST and WebSocket [net.http].
    #[arg(long, value_name = "ADDR")]
    pub http: Option<String>,
    /// Where to serve the plain TCP stream, or "" for off [net.tcp].
    #[arg(long, value_name = "ADDR")]
    pub tcp: Option<String>,
    /// Where AI agents connect by MCP, or "" for off [mcp.tcp].
    #[arg(long, value_name = "ADDR")]
    pub mcp: Option<String>,
    /// Sets of tools that agents are offered, with commas between [mcp.toolsets].
    #[arg(long, value_name = "NAMES")]
    pub toolsets: Option<String>,
    /// Other MCP servers whose agents are shown, separated by commas [agents.sources].
    #[arg(long, value_name = "HOST:PORT")]
    pub agents_from: Option<String>,
    /// Ticks per second [sim.rate_hz].
    #[arg(long, value_name = "HZ", allow_hyphen_values = true)]
    pub rate: Option<String>,
    /// What computes the layout: auto, cpu or cuda [sim.backend].
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,
    /// Seed of the start positions [sim.seed].
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Lay out in the plane or in space: 2 or 3 [sim.dimensions].
    #[arg(long, value_name = "2|3", allow_hyphen_values = true)]
    pub dimensions: Option<String>,
    /// Threads that write to connections, 0 for automatic [net.shards].
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub shards: Option<String>,
    /// Least severe message to log: error, warn, info, debug or trace [log.level].
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Pin no thread to a core [threads.pin].
    #[arg(long)]
    pub no_pin: bool,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Serve; or, with `check`, only say what would be served.
    Serve {
        /// Print and exit.
        check: bool,
    },
    /// Write the graph in another format.
    Convert {
        /// Where; `-` for standard output.
        output: PathBuf,
        /// The format, where the name does not say.
        to: Option<String>,
    },
    /// Print the resolved configuration.
    Show {
        /// With origins.
        origin: bool,
    },
    /// Print [`super::default_toml`].
    ShowDefault,
    /// Do something to the store.
    Store(StoreAction),
    /// Be the bridge of MCP.
    Mcp(McpArgs),
}

/// What is to be done to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAction {
    /// Look for everything that could be wrong.
    Check,
    /// Copy it.
    Backup {
        /// A file that is not there yet.
        to: PathBuf,
    },
    /// Put a backup in its place.
    Restore {
        /// The backup.
        from: PathBuf,
        /// Also when there is a store.
        force: bool,
    },
    /// Give its free space back.
    Compact,
    /// Write its graph to a file.
    Export {
        /// Where; `-` for standard output.
        output: PathBuf,
        /// The format, where the name does not say.
        to: Option<String>,
    },
    /// Bring a file into it.
    Import {
        /// What the file does not have goes.
        replace: bool,
    },
    /// Print the records beside it.
    Audit(AuditFilter),
}

/// Which records of the audit log are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// So many of the newest.
    pub last: Option<usize>,
    /// Of this name.
    pub principal: Option<String>,
    /// Of this tool.
    pub tool: Option<String>,
}

impl Args {
    /// What to do.
    #[must_use]
    pub fn action(&self) -> Action {
        match &self.command {
            None => Action::Serve { check: false },
            Some(Command::Serve { check, .. }) => Action::Serve { check: *check },
            Some(Command::Convert { output, to, .. }) => Action::Convert { output: output.clone(), to: to.clone() },
            Some(Command::Config { command: ConfigCommand::Show { origin, .. } }) => Action::Show { origin: *origin },
            Some(Command::Config { command: ConfigCommand::Default }) => Action::ShowDefault,
            Some(Command::CheckStore { .. }) => Action::Store(StoreAction::Check),
            Some(Command::Backup { to, .. }) => Action::Store(StoreAction::Backup { to: to.clone() }),
            Some(Command::Restore { from, force, .. }) => {
                Action::Store(StoreAction::Restore { from: from.clone(), force: *force })
            }
            Some(Command::Compact { .. }) => Action::Store(StoreAction::Compact),
            Some(Command::Export { output, to, .. }) => {
                Action::Store(StoreAction::Export { output: output.clone(), to: to.clone() })
            }
            Some(Command::Import { replace, .. }) => Action::Store(StoreAction::Import { replace: *replace }),
            Some(Command::Audit { last, principal, tool, .. }) => {
                let (principal, tool) = (principal.clone(), tool.clone());
                Action::Store(StoreAction::Audit(AuditFilter { last: *last, principal, tool }))
            }
            Some(Command::Mcp(asked)) => Action::Mcp(asked.clone()),
        }
    }

    /// The flags on both sides of the subcommand.
    fn commons(&self) -> impl Iterator<Item = &CommonArgs> {
        let after = match &self.command {
            Some(
                Command::Serve { common, .. }
                | Command::Convert { common, .. }
                | Command::Export { common, .. }
                | Command::Import { common, .. }
                | Command::CheckStore { common }
                | Command::Backup { common, .. }
                | Command::Restore { common, .. }
                | Command::Compact { common }
                | Command::Audit { common, .. }
                | Command::Config { command: ConfigCommand::Show { common, .. } },
            ) => Some(common.as_ref()),
            None | Some(Command::Mcp(_) | Command::Config { command: ConfigCommand::Default }) => None,
        };
        std::iter::once(&self.common).chain(after)
    }

    /// The file that `--config` names; a second one is noted in `draft`.
    pub(super) fn config(&self, draft: &mut Draft) -> Option<PathBuf> {
        let mut paths = self.commons().filter_map(|common| common.config.clone());
        let first = paths.next();
        if paths.next().is_some() {
            let (origin, first) = (Origin::Flag("--config".to_owned()), "--config".to_owned());
            draft.refuse(Problem { origin, key: String::new(), wrong: Wrong::Twice { first } });
        }
        first
    }

    /// Puts every value into `draft`, and every problem.
    pub(super) fn apply(&self, draft: &mut Draft) {
        for common in self.commons() {
            common.apply_own(draft);
        }
        if let Some(Command::Convert { input, .. } | Command::Import { input, .. }) = &self.command {
            let own = CommonArgs { graph: Some(input.display().to_string()), ..CommonArgs::default() };
            own.apply_own(draft);
        }
        for assignment in self.commons().flat_map(|common| &common.set) {
            assign(assignment, draft);
        }
    }
}

impl CommonArgs {
    /// The flags that have a key of their own.
    fn apply_own(&self, draft: &mut Draft) {
        let text = |text: &Option<String>| text.clone().map(Given::Text);
        let switch = |on: bool, value| on.then_some(Given::Switch(value));
        let own = [
            ("graph", text(&self.graph)),
            ("format", text(&self.format)),
            ("skip-bad", switch(self.skip_bad, true)),
            ("vault-all-pages", switch(self.vault_all_pages, true)),
            ("watch", switch(self.watch, true)),
            ("store", text(&self.store)),
            ("ephemeral", switch(self.ephemeral, true)),
            ("http", text(&self.http)),
            ("tcp", text(&self.tcp)),
            ("mcp", text(&self.mcp)),
            ("toolsets", text(&self.toolsets)),
            ("agents-from", text(&self.agents_from)),
            ("rate", text(&self.rate)),
            ("backend", text(&self.backend)),
            ("seed", text(&self.seed)),
            ("dimensions", text(&self.dimensions)),
            ("shards", text(&self.shards)),
            ("log", text(&self.log)),
            ("no-pin", switch(self.no_pin, false)),
        ];
        for (flag, given) in own.into_iter().filter_map(|(flag, given)| Some((flag, given?))) {
            let Some((index, key)) = KEYS.iter().enumerate().find(|(_, key)| key.flag == flag) else { continue };
            let value = match given {
                Given::Text(text) => key.kind.read(&text),
                Given::Switch(value) => Value::Bool(value),
            };
            let origin = Origin::Flag(format!("--{flag}"));
            draft.offer(index, &value, origin.clone(), origin);
        }
    }
}

enum Given {
    Text(String),
    Switch(bool),
}

/// One `--set KEY=VALUE`.
fn assign(assignment: &str, draft: &mut Draft) {
    let (name, text) = match assignment.split_once('=') {
        Some((name, text)) => (name.trim(), Some(text)),
        None => (assignment.trim(), None),
    };
    let origin = Origin::Flag("--set".to_owned());
    let refuse = |wrong| Problem { origin: origin.clone(), key: name.to_owned(), wrong };
    match (find(name), text) {
        (_, None) => draft.refuse(refuse(Wrong::NotAnAssignment)),
        (None, Some(_)) => draft.refuse(refuse(Wrong::unknown_key(name))),
        (Some((index, key)), Some(text)) => draft.offer(index, &key.kind.read(text), origin.clone(), origin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_those_of_the_table() {
        let command = Args::command();
        command.clone().debug_assert();
        let apart = ["config", "set", "help", "version"];
        let typed = command.get_arguments().filter_map(clap::Arg::get_long).filter(|long| !apart.contains(long));
        let mut typed: Vec<&str> = typed.collect();
        let mut known: Vec<&str> = KEYS.iter().map(|key| key.flag).filter(|flag| !flag.is_empty()).collect();
        typed.sort_unstable();
        known.sort_unstable();
        assert_eq!(typed, known);
    }

    #[test]
    fn help_names_the_key_of_every_flag() {
        let command = Args::command();
        for key in KEYS.iter().filter(|key| !key.flag.is_empty()) {
            let flag = command.get_arguments().find(|flag| flag.get_long() == Some(key.flag)).unwrap();
            let help = flag.get_help().unwrap().to_string();
            assert!(help.ends_with(&format!("[{}]", key.name)), "--{}: {help}", key.flag);
        }
    }
}

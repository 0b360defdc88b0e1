//! The tools: what each needs, and the ones that only look.

mod admin;
mod agent;
mod analyze;
mod around;
mod cycles;
mod find;
mod measure;
mod memory;
mod part;
mod render;
mod show;
mod stage;
mod steer;
mod survey;
mod tasks;
mod write;

use serde::Serialize;

pub use admin::{Errand, compared, imported, restored, snapshot_shown};
pub use agent::{Register, Report};
pub use find::Filter;
pub use part::Selection;
pub use steer::{SimulationChange, Stepped, Stepping, steered};
pub use tasks::Among;
pub use write::{Refusal, Write};

pub(super) use find::relevance;
pub(super) use render::{MAIN, picture};
pub(super) use show::cut;
pub(super) use show::{Fields as ShownFields, edge as shown_edge, node as shown_node};
pub(super) use survey::{latest_changes, one_edge, one_node, simulation};
pub(super) use tasks::{AmongAsk, CreateTask, ReadInbox, SendMessage, TASK, Task, UpdateTask, one_task, task};
pub(super) use write::{Given, given};

use super::args::{self, Arguments, ToolError};
use super::catalogue::ToolRow;
use super::query;
use super::reply::{Content, Reply, ToolResult};
use super::session::Ask;
use super::stage::Staging;
use super::uri::{Uri, parse};
use super::view::{Bounds, View};
use super::{Principal, Server};
use crate::limits::MCP_RESULT_BYTES_MAX;

/// What a tool comes to.
pub type Done = Result<ToolResult, ToolError>;

/// A result of this structure.
///
/// # Errors
/// It is longer than a result may be.
pub fn done<T: Serialize>(result: &T) -> Done {
    let json = serde_json::to_string(result).map_err(|_| ToolError::new("the result could not be written"))?;
    // Lists count their bytes; this is for what they cannot count.
    match json.len() <= MCP_RESULT_BYTES_MAX {
        true => Ok(ToolResult { structured: Some(json), content: Vec::new(), is_error: false }),
        false => Err(ToolError::new(format!("the result has more than {MCP_RESULT_BYTES_MAX} bytes: ask for less"))),
    }
}

/// The same as an answer.
#[must_use]
pub fn reply(done: Done) -> Reply {
    Reply::Tool(done.unwrap_or_else(|error| ToolResult {
        structured: None,
        content: vec![Content::Text(error.0)],
        is_error: true,
    }))
}

/// What a call needs.
#[derive(Debug)]
pub enum Plan<'line> {
    /// It only looks: [`crate::mcp::read`] it, here or, when it is `long`, on another thread over a snapshot.
    Read {
        /// It may take more than a millisecond.
        long: bool,
        /// How long it may take, ms: its watcher stops it then.
        limit_ms: u64,
    },
    /// It looks at what comes after a revision: read it when there is something, or when the time is over.
    Wait {
        /// The revision.
        since: u64,
        /// How long at most.
        wait_ms: u64,
    },
    /// It changes the graph.
    Write(Box<Write>),
    /// It steers the simulation.
    Steer(SimulationChange),
    /// It wants something of files.
    Errand(Errand),
    /// It moves what people who watch are shown, or asks where they look: [`super::Stage::obey`].
    Stage(Box<Staging>),
    /// The engine's figures.
    Stats,
    /// A part of a file that was made for the caller.
    Exported {
        /// Of the file.
        name: String,
        /// From 0.
        part: usize,
        /// As it was asked for.
        uri: String,
    },
    /// The page of a host that shows the live graph: [`super::app`].
    App,
    /// It waits for steps of the simulation.
    Step(Stepping),
    /// An agent wants something of others: [`super::Society`].
    Among(Box<Among<'line>>),
    /// Somebody becomes an agent: [`super::Agents::register`].
    Register(Register<'line>),
    /// An agent reports: [`super::Agents::report`].
    Report(Report<'line>),
}

/// How long a tool that only looks may take, ms.
const READ_MS_MAX: u64 = 2_000;

/// The same of those that compute over the whole graph.
const COMPUTE_MS_MAX: u64 = 30_000;

/// Nodes and edges of a graph up to which looking at all of them is a matter of a millisecond.
const SHORT_MAX: usize = 20_000;

/// Says what a call needs, or why it cannot be done.
///
/// # Errors
/// What to answer, as [`reply`] does.
pub fn plan<'line>(
    server: &Server,
    ask: &'line Ask<'_>,
    principal: &Principal,
    view: &View<'_>,
) -> Result<Plan<'line>, ToolError> {
    let small = view.graph.nodes().len() + view.graph.edges().len() <= SHORT_MAX;
    if let Ask::Resource { uri } = ask
        && let Some(Uri::Export { name, part }) = parse(uri)
    {
        return Ok(Plan::Exported { name: name.to_owned(), part, uri: uri.to_string() });
    }
    if let Ask::Resource { uri } = ask
        && parse(uri) == Some(Uri::App)
        && server.catalogue.is_on("view")
    {
        return Ok(Plan::App);
    }
    if let Some(errand) = admin::asked_of_snapshots(server, ask) {
        return Ok(Plan::Errand(errand));
    }
    let Ask::Tool { tool, arguments } = ask else {
        let long = !small && !matches!(ask, Ask::Prompt { .. });
        return Ok(looks(long));
    };
    let Some(row) = server.catalogue.tools().get(*tool) else { return Ok(looks(false)) };
    let author = &*principal.name;
    let mut plan = match &*row.name {
        "upsert_nodes" => Plan::Write(write::upsert_nodes(&read_as(row, arguments)?, author)?),
        "upsert_edges" => Plan::Write(write::upsert_edges(&read_as(row, arguments)?, view, author)?),
        "delete_items" => Plan::Write(write::delete_items(&read_as(row, arguments)?, view, author)?),
        "apply_mutations" => Plan::Write(write::mutations(&read_as(row, arguments)?, view, author)?),
        "pin_nodes" => Plan::Write(write::pin_nodes(&read_as(row, arguments)?, view, author)?),
        "create_entities" => Plan::Write(memory::create_entities(&read_as(row, arguments)?, view, author)?),
        "create_relations" => Plan::Write(memory::create_relations(&read_as(row, arguments)?, view, author)?),
        "add_observations" => Plan::Write(memory::add_observations(&read_as(row, arguments)?, view, author)?),
        "delete_entities" => Plan::Write(memory::delete_entities(&read_as(row, arguments)?, view, author)?),
        "delete_observations" => Plan::Write(memory::delete_observations(&read_as(row, arguments)?, view, author)?),
        "delete_relations" => Plan::Write(memory::delete_relations(&read_as(row, arguments)?, view, author)?),
        "set_simulation" => Plan::Steer(steer::set_simulation(&read_as(row, arguments)?, view)?),
        "send_agent_message" => Plan::Among(Box::new(Among(AmongAsk::Send(read_as(row, arguments)?)))),
        "read_inbox" => Plan::Among(Box::new(Among(AmongAsk::Read(read_as(row, arguments)?)))),
        "create_task" => Plan::Among(Box::new(Among(AmongAsk::Create(read_as(row, arguments)?)))),
        "update_task" => Plan::Among(Box::new(Among(AmongAsk::Update(read_as(row, arguments)?)))),
        "snapshot_graph" => Plan::Errand(admin::snapshot_graph(&read_as(row, arguments)?)?),
        "restore_snapshot" => Plan::Errand(admin::restore_snapshot(&read_as(row, arguments)?)?),
        "diff_graph" => Plan::Errand(admin::diff_graph(&read_as(row, arguments)?)?),
        "import_graph" => Plan::Errand(admin::import_graph(&read_as(row, arguments)?)?),
        "export_graph" => Plan::Errand(admin::export_graph(&read_as(row, arguments)?, view)?),
        "clear_graph" => Plan::Write(admin::clear_graph(&read_as(row, arguments)?, view, author)?),
        "engine_stats" => {
            read_as::<admin::EngineStats<'_>>(row, arguments)?;
            Plan::Stats
        }
        "set_view" => Plan::Stage(Box::new(stage::set_view(&read_as(row, arguments)?, view)?)),
        "set_encoding" => Plan::Stage(Box::new(stage::set_encoding(&read_as(row, arguments)?, view)?)),
        "open_view" => Plan::Stage(Box::new(stage::open_view(&read_as(row, arguments)?)?)),
        "step_simulation" => Plan::Step(steer::step_simulation(&read_as(row, arguments)?)?),
        "register_agent" => Plan::Register(read_as::<agent::RegisterArguments<'_>>(row, arguments)?.into()),
        "report_agent" => Plan::Report(read_as::<agent::ReportArguments<'_>>(row, arguments)?.into()),
        "get_changes" => match read_as::<survey::GetChanges<'_>>(row, arguments)?.waits(view)? {
            Some((since, wait_ms)) => Plan::Wait { since, wait_ms },
            None => looks(false),
        },
        // The window of changes and the records of agents are not in a snapshot.
        "list_agents" | "get_agent" => looks(false),
        "get_nodes" | "get_neighborhood" => looks(!small && arguments.contains("\"hops\"")),
        "query_graph" => {
            let limit_ms = read_as::<query::QueryGraph<'_>>(row, arguments)?.limit_ms()?;
            Plan::Read { long: true, limit_ms }
        }
        "analyze_graph" => {
            read_as::<analyze::Analyze<'_>>(row, arguments)?.writes(principal.scopes)?;
            Plan::Read { long: true, limit_ms: COMPUTE_MS_MAX }
        }
        "render_view" | "find_paths" => Plan::Read { long: true, limit_ms: COMPUTE_MS_MAX },
        _ => looks(!small),
    };
    if let Plan::Write(write) = &mut plan {
        write.batch.author.why = args::why(arguments)?;
    }
    Ok(plan)
}

const fn looks<'line>(long: bool) -> Plan<'line> {
    Plan::Read { long, limit_ms: READ_MS_MAX }
}

fn read_as<'line, T: serde::Deserialize<'line> + Arguments>(row: &ToolRow, json: &'line str) -> Result<T, ToolError> {
    args::read(row, json)
}

/// Runs a tool that only looks.
///
/// # Errors
/// Why it cannot be done.
pub fn read_tool(server: &Server, tool: usize, json: &str, view: &View<'_>, bounds: &Bounds<'_>) -> Done {
    let row = server.catalogue.tools().get(tool).ok_or_else(|| ToolError::new("there is no such tool"))?;
    match &*row.name {
        "graph_overview" => {
            read_as::<survey::Nothing<'_>>(row, json)?;
            survey::overview(view, bounds)
        }
        "get_schema" => survey::schema(&read_as(row, json)?, view, bounds),
        "find_nodes" => find::find_nodes(&read_as(row, json)?, view, bounds),
        "get_nodes" => find::get_nodes(&read_as(row, json)?, view),
        "get_neighborhood" => around::get_neighborhood(&read_as(row, json)?, view, bounds),
        "find_edges" => find::find_edges(&read_as(row, json)?, view, bounds),
        "find_paths" => around::find_paths(&read_as(row, json)?, view, bounds),
        "analyze_graph" => analyze::analyze(&read_as(row, json)?, view, bounds),
        "get_changes" => survey::get_changes(&read_as(row, json)?, view, bounds),
        "get_layout" => survey::get_layout(&read_as(row, json)?, view, bounds),
        "query_graph" => query::query_graph(&read_as(row, json)?, view, bounds),
        "render_view" => render::render_view(&read_as(row, json)?, view, bounds),
        "list_agents" => agent::list_agents(&read_as(row, json)?, view, bounds),
        "get_agent" => tasks::get_agent(&read_as(row, json)?, view),
        "list_tasks" => tasks::list_tasks(&read_as(row, json)?, view, bounds),
        "read_graph" => memory::read_graph(&read_as(row, json)?, view, bounds),
        "search_nodes" => memory::search_nodes(&read_as(row, json)?, view, bounds),
        "open_nodes" => memory::open_nodes(&read_as(row, json)?, view, bounds),
        other => Err(ToolError::new(format!("{other} does not only look"))),
    }
}

/// What a call comes to that looks first and may change the graph by what it found; `None` where it only looks.
///
/// # Errors
/// Why it cannot be done.
pub(super) fn change_of(
    server: &Server,
    tool: usize,
    json: &str,
    view: &View<'_>,
    bounds: &Bounds<'_>,
) -> Option<Result<Box<Write>, ToolError>> {
    let row = server.catalogue.tools().get(tool).filter(|row| &*row.name == "analyze_graph")?;
    let asked = read_as::<analyze::Analyze<'_>>(row, json).ok()?;
    let name = asked.write_to.as_deref()?;
    Some(analyze::analyze_into(&asked, name, view, bounds))
}

/// A tool's result as text, for the resource that shows the same.
pub(super) fn text_of(
    server: &Server,
    name: &str,
    json: &str,
    view: &View<'_>,
    bounds: &Bounds<'_>,
) -> Result<String, ToolError> {
    let (tool, _) = server.catalogue.tool(name).ok_or_else(|| ToolError::new("there is no such tool"))?;
    read_tool(server, tool, json, view, bounds).map(|result| result.structured.unwrap_or_default())
}

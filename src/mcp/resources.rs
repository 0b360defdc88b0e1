//! Everything else that only looks: resources, prompts, completion. One entry, [`read`], for all of them and for tools.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::json;

use super::args::ToolError;
use super::reply::{Body, Reply, printable};
use super::rpc::{RpcError, code};
use super::server::Server;
use super::session::Ask;
use super::stage::shown as shown_view;
use super::tools::{self, Write, latest_changes, one_edge, one_node, read_tool, relevance, simulation, text_of};
use super::uri::{Uri, encode, parse};
use super::view::{Bounds, View};
use crate::graph::NodeIndex;

/// Values that a completion offers.
const COMPLETIONS_MAX: usize = 100;

/// Nodes that a completion looks at.
const COMPLETED_MAX: usize = 50_000;

const JSON: &str = "application/json";

/// Runs a call that only looks.
///
/// # Errors
/// No such resource, a prompt's argument that is missing; a tool's own trouble is an answer.
pub fn read<'call>(
    server: &Server,
    ask: &'call Ask<'_>,
    view: &View<'_>,
    bounds: &Bounds<'call>,
) -> Result<Reply, RpcError> {
    match ask {
        Ask::Tool { tool, arguments } => {
            bounds.called_with(arguments);
            Ok(tools::reply(read_tool(server, *tool, arguments, view, bounds)))
        }
        Ask::Resource { uri } => resource(server, uri, view, bounds),
        Ask::Prompt { name, arguments } => prompt(server, name, arguments),
        Ask::Complete { of, name, value } => Ok(complete(server, of, name, value, view)),
    }
}

/// What a look came to.
#[derive(Debug)]
pub enum Looked {
    /// An answer.
    Reply(Reply),
    /// A change of the graph: the call is answered when it is made.
    Write(Box<Write>),
}

/// The same of a call that may change the graph by what it found.
///
/// # Errors
/// As [`read`].
pub fn look<'call>(
    server: &Server,
    ask: &'call Ask<'_>,
    view: &View<'_>,
    bounds: &Bounds<'call>,
) -> Result<Looked, RpcError> {
    if let Ask::Tool { tool, arguments } = ask
        && let Some(change) = tools::change_of(server, *tool, arguments, view, bounds)
    {
        return Ok(change.map_or_else(|error| Looked::Reply(tools::reply(Err(error))), Looked::Write));
    }
    read(server, ask, view, bounds).map(Looked::Reply)
}

fn resource(server: &Server, uri: &str, view: &View<'_>, bounds: &Bounds<'_>) -> Result<Reply, RpcError> {
    let unknown = || RpcError::no_resource(uri);
    let failed = |error: ToolError| RpcError::new(code::INTERNAL, error.0);
    let asked = parse(uri).ok_or_else(unknown)?;
    let tool = |name: &str, arguments: &str| text_of(server, name, arguments, view, bounds).map_err(failed);
    let (mime, body, ttl_ms) = match asked {
        Uri::Overview => (JSON, tool("graph_overview", "{}")?, 0),
        Uri::Schema => (JSON, tool("get_schema", "{}")?, 0),
        Uri::Memory if server.catalogue.is_on("memory") => (JSON, tool("read_graph", "{}")?, 0),
        Uri::Memory => return Err(unknown()),
        Uri::Agents => (JSON, tool("list_agents", "{\"limit\":500}")?, 0),
        Uri::Layout => (JSON, tool("get_layout", "{}")?, 0),
        Uri::Stats => {
            let stats = json!({ "simulation": simulation(view), "tick": view.tick, "revision": view.revision });
            (JSON, stats.to_string(), 0)
        }
        Uri::Changes => (JSON, latest_changes(view, 1_000), 0),
        Uri::Help { page: "tools" } => ("text/markdown", include_str!("help/tools.md").to_owned(), 3_600_000),
        Uri::Help { page: "query" } => ("text/markdown", include_str!("help/query.md").to_owned(), 3_600_000),
        Uri::Help { .. } => ("text/markdown", include_str!("help/agents.md").to_owned(), 3_600_000),
        Uri::Node { key } => (JSON, one_node(view, &key).ok_or_else(unknown)?, 0),
        Uri::Edge { id } => (JSON, one_edge(view, id).ok_or_else(unknown)?, 0),
        Uri::Agent { key } => {
            let row = view.agents.iter().find(|agent| *agent.agent_id == *key).ok_or_else(unknown)?;
            (JSON, json!(row).to_string(), 0)
        }
        Uri::AgentEvents { key } => {
            let row = view.agents.iter().find(|agent| *agent.agent_id == *key).ok_or_else(unknown)?;
            (JSON, json!({ "agent_id": row.agent_id, "events": *row.events, "revision": view.revision }).to_string(), 0)
        }
        Uri::Task { key } => (JSON, tools::one_task(view, &key).ok_or_else(unknown)?, 0),
        Uri::Neighbours { key, hops, limit } => {
            let arguments = json!({ "id": key, "hops": hops, "limit": limit }).to_string();
            let shown = text_of(server, "get_neighborhood", &arguments, view, bounds);
            (JSON, shown.map_err(|error| RpcError::new(code::RESOURCE, error.0).with(json!({ "uri": uri })))?, 0)
        }
        // Whoever keeps them, and knows where people watch, reads them.
        Uri::App | Uri::Export { .. } => return Err(unknown()),
        // A snapshot is a file: whoever has files reads it.
        Uri::Snapshot { .. } => return Err(unknown()),
        Uri::View { name, format: "json" } => (JSON, view_as_json(&name, view).ok_or_else(unknown)?, 0),
        Uri::View { name, format } => {
            let mime = if format == "png" { "image/png" } else { "image/svg+xml" };
            let picture = tools::picture(&name, format, view, bounds).ok_or_else(unknown)?;
            let body = Body::Blob(picture.map_err(failed)?);
            return Ok(Reply::Resource { uri: uri.to_owned(), mime, body, ttl_ms: 0, meta: None });
        }
    };
    Ok(Reply::Resource { uri: uri.to_owned(), mime, body: Body::Text(body), ttl_ms, meta: None })
}

/// A view that is kept; `main` is there always.
fn view_as_json(name: &str, view: &View<'_>) -> Option<String> {
    let shown = match view.stage.kept(name) {
        Some((placed, scene)) => json!({
            "view": shown_view(scene), "by": placed.by, "time": placed.time_ms, "set_at_revision": placed.revision,
            "revision": view.revision,
        }),
        None if name == tools::MAIN => json!({ "view": null, "revision": view.revision }),
        None => return None,
    };
    Some(shown.to_string())
}

/// Puts arguments into a prompt's text. They are somebody's data: each stands between lines of its own, and cannot make one.
fn prompt(server: &Server, name: &str, arguments: &str) -> Result<Reply, RpcError> {
    let refuse = |words: String| Err(RpcError::new(code::PARAMS, words));
    let Some(row) = server.catalogue.prompt(name) else { return refuse("there is no such prompt".to_owned()) };
    let Ok(given) = serde_json::from_str::<BTreeMap<Cow<'_, str>, Cow<'_, str>>>(arguments) else {
        return refuse(format!("the arguments of {name} must be texts"));
    };
    let known = |given: &str| row.arguments.iter().any(|(known, _)| **known == *given);
    if let Some(unknown) = given.keys().find(|given| !known(given)) {
        let names: Vec<&str> = row.arguments.iter().map(|(name, _)| &**name).collect();
        return refuse(format!("{name} has no argument {unknown:?}; it takes: {}", names.join(", ")));
    }
    // One pass over the text: what an argument contains is never looked at for names of others.
    let (mut said, mut rest) = (String::new(), &*row.text);
    for (argument, required) in &row.arguments {
        if *required && !given.contains_key(&**argument) {
            return refuse(format!("{name} needs the argument {argument}"));
        }
    }
    while let Some((before, after)) = rest.split_once('{') {
        said.push_str(before);
        let Some((argument, behind)) = after.split_once('}').filter(|(argument, _)| known(argument)) else {
            said.push('{');
            rest = after;
            continue;
        };
        let value = given.get(argument).map_or("", AsRef::as_ref);
        said.push_str(&printable(value, 4_096).replace('\n', " "));
        rest = behind;
    }
    said.push_str(rest);
    Ok(Reply::Prompt { description: row.description.to_string(), text: said })
}

/// What an argument may be, from what of it was typed.
fn complete(server: &Server, of: &str, name: &str, typed: &str, view: &View<'_>) -> Reply {
    let starting = |words: &[&str]| {
        let fits = words.iter().filter(|word| word.starts_with(typed));
        let values: Vec<String> = fits.map(|word| (*word).to_owned()).collect();
        Reply::Completion { total: values.len(), values }
    };
    match name {
        "format" => starting(&["png", "svg", "json"]),
        "name" if of.starts_with("graph://view/") => {
            let mut names = view.stage.names();
            if !names.contains(&tools::MAIN) {
                names.push(tools::MAIN);
            }
            let fits: Vec<String> = names.into_iter().filter(|name| name.starts_with(typed)).map(encode).collect();
            Reply::Completion { total: fits.len(), values: fits }
        }
        "role" => starting(&[
            "analyst",
            "architect",
            "coder",
            "coordinator",
            "documenter",
            "optimizer",
            "researcher",
            "reviewer",
            "tester",
        ]),
        "agent_id" => agents(view, typed, false),
        "id" if of.starts_with("graph://agent/") => agents(view, typed, true),
        "id" if of.starts_with("graph://edge/") => Reply::Completion { values: Vec::new(), total: 0 },
        "id" => nodes(view, typed, of.starts_with("graph://")),
        _ => {
            let _ = server;
            Reply::Completion { values: Vec::new(), total: 0 }
        }
    }
}

fn agents(view: &View<'_>, typed: &str, in_uri: bool) -> Reply {
    let fits = view.agents.iter().map(|agent| &*agent.agent_id);
    let fits: Vec<&str> =
        fits.filter(|id| id.starts_with(typed) || id.trim_start_matches("agent:").starts_with(typed)).collect();
    let shown = |id: &&str| if in_uri { encode(id) } else { (*id).to_owned() };
    Reply::Completion { total: fits.len(), values: fits.iter().take(COMPLETIONS_MAX).map(shown).collect() }
}

/// Ids of nodes whose label or id begins so, those with the most edges first.
fn nodes(view: &View<'_>, typed: &str, in_uri: bool) -> Reply {
    let typed = typed.to_lowercase();
    let mut fits: Vec<(usize, usize)> = Vec::new();
    for (index, node) in view.graph.nodes().iter().enumerate().take(COMPLETED_MAX) {
        if typed.is_empty() || relevance(node, &typed) >= 3 {
            fits.push((view.graph.incident(NodeIndex(index as u32)).len(), index));
        }
    }
    let total = fits.len();
    let most_edges = |fit: &(usize, usize)| (std::cmp::Reverse(fit.0), fit.1);
    if total > COMPLETIONS_MAX {
        fits.select_nth_unstable_by_key(COMPLETIONS_MAX, most_edges);
        fits.truncate(COMPLETIONS_MAX);
    }
    fits.sort_unstable_by_key(most_edges);
    let keys = fits.iter().filter_map(|(_, index)| view.graph.nodes().get(*index)).map(|node| &node.key);
    let shown = |key: &str| if in_uri { encode(key) } else { key.to_owned() };
    Reply::Completion { values: keys.map(|key| shown(key)).collect(), total }
}

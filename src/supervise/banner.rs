//! What a user reads on standard output when the engine starts.

use std::io::Write;
use std::net::SocketAddr;

use super::agents::AgentsDoor;
use super::{Beginning, Plan};
use crate::base::host;
use crate::sim::cuda;

/// Everything that a user reads on standard output; a closed pipe is no reason to stop.
pub(super) fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

pub(super) fn host_lines(beginning: &Beginning, plan: &Plan) -> String {
    let Beginning { loaded, place, version, .. } = beginning;
    let (nodes, edges) = (loaded.graph.nodes().len(), loaded.graph.edges().len());
    let kept = match place {
        Some(place) => format!("kept in {} at version {version}", place.display()),
        None => format!("{}, changes are not kept", loaded.format),
    };
    format!(
        "graph\n  {} ({kept}): {nodes} nodes, {edges} edges\nhost\n  cores {:?}, simd {}, gpu {}\n  pool of {} frames, {} open files allowed",
        loaded.name,
        plan.cores,
        host::simd(),
        cuda::devices(),
        plan.frames,
        host::open_files_max().map_or_else(|| "unknown".to_owned(), |files| files.to_string()),
    )
}

pub(super) fn agents_lines(agents: Option<&AgentsDoor>, address: Option<SocketAddr>) -> String {
    let Some(AgentsDoor { tcp, socket, token_file, http, .. }) = agents else { return String::new() };
    let token = token_file.as_ref().map_or_else(String::new, |file| format!(", token in {}", file.display()));
    let tcp = tcp.map(|address| format!("  agents  mcp at {address}{token}\n")).unwrap_or_default();
    let socket = socket.as_ref().map(|path| format!("  agents  mcp at {}\n", path.display())).unwrap_or_default();
    let http = address.filter(|_| *http).map(|address| format!("  agents  mcp at http://{address}/mcp{token}\n"));
    format!("{tcp}{socket}{}", http.unwrap_or_default())
}

pub(super) fn address_lines((http, tcp): (Option<SocketAddr>, Option<SocketAddr>), agents: &str) -> String {
    let http = http.map_or_else(String::new, |address| {
        format!("ready\n  viewer  http://{address}/\n  stream  ws://{address}/stream\n")
    });
    let tcp = tcp.map_or_else(String::new, |address| format!("  tcp     {address}\n"));
    format!("{http}{tcp}{agents}  stop with Ctrl-C")
}

//! An MCP App: the page that a host puts into a conversation when `open_view` is called. It frames the viewer, which shows the graph live.
//! Source: the extension `io.modelcontextprotocol/ui`, 2026-01-26.

use serde_json::json;

use super::reply::{Body, Reply};
use super::uri::APP;

/// The resource `ui://graph/view` of an engine whose viewer is at `page`, an address with a slash at its end. The host is told that this is
/// the one place that may be framed.
#[must_use]
pub fn app(page: &str) -> Reply {
    let text = include_str!("app.html").replace("{page}", page).replace("{version}", env!("CARGO_PKG_VERSION"));
    let meta = json!({ "ui": { "csp": { "frameDomains": [page.trim_end_matches('/')] }, "prefersBorder": false } });
    Reply::Resource {
        uri: APP.to_owned(),
        mime: "text/html;profile=mcp-app",
        body: Body::Text(text),
        ttl_ms: 0,
        meta: Some(meta.to_string().into()),
    }
}

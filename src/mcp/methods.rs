//! The methods of the protocol: their parameters, which revision has which, and what the server says of itself.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::catalogue::ToolRow;
use super::era::Version;
use super::reply::printable;
use super::rpc::{RpcError, code, text};
use super::session::{AUTHENTICATE, AUTHORIZATION, Ask};
use super::subscribe::NotWatched;
use super::{Principal, Scopes, Server, reply};
use crate::limits::MCP_SUBSCRIPTION_URIS_MAX;

#[derive(Default, Deserialize)]
pub(super) struct Meta<'line> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    pub(super) version: Option<Cow<'line, str>>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientCapabilities")]
    pub(super) capabilities: Option<&'line RawValue>,
    #[serde(borrow, rename = "progressToken")]
    pub(super) progress: Option<&'line RawValue>,
    #[serde(borrow, rename = "swarmcast/authorization")]
    pub(super) token: Option<Cow<'line, str>>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientInfo")]
    pub(super) client: Option<&'line RawValue>,
}

/// The parameters of every method; each reads its own.
#[derive(Default, Deserialize)]
pub(super) struct Params<'line> {
    #[serde(borrow, rename = "_meta")]
    pub(super) meta: Option<Meta<'line>>,
    #[serde(borrow)]
    pub(super) name: Option<Cow<'line, str>>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'line RawValue>,
    #[serde(borrow)]
    pub(super) cursor: Option<&'line RawValue>,
    #[serde(borrow)]
    pub(super) uri: Option<Cow<'line, str>>,
    #[serde(borrow)]
    pub(super) level: Option<Cow<'line, str>>,
    #[serde(borrow, rename = "requestId")]
    pub(super) request_id: Option<&'line RawValue>,
    #[serde(borrow, rename = "protocolVersion")]
    pub(super) version: Option<Cow<'line, str>>,
    #[serde(borrow)]
    pub(super) capabilities: Option<&'line RawValue>,
    #[serde(borrow, rename = "clientInfo")]
    pub(super) client: Option<&'line RawValue>,
    #[serde(borrow)]
    pub(super) token: Option<Cow<'line, str>>,
    #[serde(borrow, rename = "ref")]
    pub(super) reference: Option<Reference<'line>>,
    #[serde(borrow)]
    pub(super) argument: Option<Argument<'line>>,
    #[serde(borrow)]
    pub(super) notifications: Option<Filter<'line>>,
}

#[derive(Deserialize)]
pub(super) struct Reference<'line> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'line, str>,
    #[serde(borrow)]
    pub(super) name: Option<Cow<'line, str>>,
    #[serde(borrow)]
    pub(super) uri: Option<Cow<'line, str>>,
}

#[derive(Deserialize)]
pub(super) struct Argument<'line> {
    #[serde(borrow)]
    pub(super) name: Cow<'line, str>,
    #[serde(borrow)]
    pub(super) value: Cow<'line, str>,
}

#[derive(Deserialize)]
pub(super) struct Filter<'line> {
    #[serde(borrow, default, rename = "resourceSubscriptions")]
    pub(super) resources: Vec<Cow<'line, str>>,
}

/// Characters of a client's name that are shown.
const CLIENT_LETTERS_MAX: usize = 64;

/// What a client calls itself: to be shown, and for nothing else.
pub(super) fn client_name(info: Option<&RawValue>) -> Option<Arc<str>> {
    #[derive(Deserialize)]
    struct Info {
        name: String,
    }
    let info: Info = serde_json::from_str(info?.get()).ok()?;
    let name = printable(&info.name, CLIENT_LETTERS_MAX);
    (!name.is_empty()).then(|| name.into())
}

pub(super) fn missing(what: &str) -> RpcError {
    RpcError::new(code::PARAMS, format!("params.{what} is missing"))
}

/// What a method that runs on the graph asks.
pub(super) fn ask<'line>(
    server: &Server,
    method: &str,
    params: Params<'line>,
    principal: &Principal,
) -> Result<Ask<'line>, RpcError> {
    let object = |raw: Option<&'line RawValue>| match raw.map(RawValue::get) {
        None | Some("null") => Ok(Cow::Borrowed("{}")),
        Some(text) if text.starts_with('{') => Ok(Cow::Borrowed(text)),
        Some(_) => Err(RpcError::new(code::PARAMS, "params.arguments must be an object")),
    };
    match method {
        "tools/call" => {
            let name = params.name.ok_or_else(|| missing("name"))?;
            let catalogue = &server.catalogue;
            let found = catalogue.tool(&name);
            let (tool, row) = found.ok_or_else(|| unknown("tool", &name, catalogue.offered().map(|it| &*it.name)))?;
            if !catalogue.is_on(row.set) {
                return Err(switched_off(server, row));
            }
            require(principal, row.scope)?;
            Ok(Ask::Tool { tool, arguments: object(params.arguments)? })
        }
        "resources/read" => {
            require(principal, Scopes::READ)?;
            Ok(Ask::Resource { uri: params.uri.ok_or_else(|| missing("uri"))? })
        }
        "prompts/get" => {
            require(principal, Scopes::READ)?;
            let name = params.name.ok_or_else(|| missing("name"))?;
            if server.catalogue.prompt(&name).is_none() {
                return Err(unknown("prompt", &name, server.catalogue.prompt_names()));
            }
            Ok(Ask::Prompt { name, arguments: object(params.arguments)? })
        }
        _ => {
            require(principal, Scopes::READ)?;
            let reference = params.reference.ok_or_else(|| missing("ref"))?;
            let of = match &*reference.kind {
                "ref/prompt" => reference.name.ok_or_else(|| missing("ref.name"))?,
                "ref/resource" => reference.uri.ok_or_else(|| missing("ref.uri"))?,
                _ => return Err(RpcError::new(code::PARAMS, "params.ref.type must be ref/prompt or ref/resource")),
            };
            let argument = params.argument.ok_or_else(|| missing("argument"))?;
            Ok(Ask::Complete { of, name: argument.name, value: argument.value })
        }
    }
}

pub(super) fn is_method(method: &str, version: Version) -> bool {
    match method {
        "tools/list"
        | "tools/call"
        | "resources/list"
        | "resources/templates/list"
        | "resources/read"
        | "prompts/list"
        | "prompts/get"
        | "completion/complete" => true,
        "subscriptions/listen" => version.is_modern(),
        "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => !version.is_modern(),
        _ => false,
    }
}

/// What the server can do. Lists never change while it runs.
pub(super) fn capabilities(version: Version) -> &'static str {
    match version {
        Version::V2024_11_05 => r#"{"tools":{},"resources":{"subscribe":true},"prompts":{},"logging":{}}"#,
        Version::V2026_07_28 => r#"{"tools":{},"resources":{"subscribe":true},"prompts":{},"completions":{}}"#,
        _ => r#"{"tools":{},"resources":{"subscribe":true},"prompts":{},"completions":{},"logging":{}}"#,
    }
}

pub(super) fn discover(server: &Server, id: &RawValue, out: &mut Vec<u8>) {
    let version = Version::V2026_07_28;
    reply::begin(server, version, id, out);
    reply::cache(version, 3_600_000, "public", out);
    out.extend_from_slice(br#""supportedVersions":["#);
    text(version.name(), out);
    out.extend_from_slice(br#"],"capabilities":"#);
    out.extend_from_slice(capabilities(version).as_bytes());
    out.extend_from_slice(br#","instructions":"#);
    text(server.catalogue.instructions(), out);
    reply::end(out);
}

pub(super) fn listen_ended(server: &Server, id: &RawValue, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.get().as_bytes());
    out.extend_from_slice(br#","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":"#);
    out.extend_from_slice(&server.info);
    out.extend_from_slice(br#","io.modelcontextprotocol/subscriptionId":"#);
    out.extend_from_slice(id.get().as_bytes());
    out.extend_from_slice(b"}}}\n");
}

pub(super) fn require(principal: &Principal, scope: Scopes) -> Result<(), RpcError> {
    if principal.scopes.allow(scope) {
        return Ok(());
    }
    let error = RpcError::new(code::FORBIDDEN, format!("this needs the scope {}", scope.name()));
    Err(error.with(json!({ "scope": scope.name() })))
}

pub(super) fn not_authenticated() -> RpcError {
    RpcError::new(code::FORBIDDEN, "say who you are first: swarmcast/authenticate, or a token in params._meta")
        .with(json!({ "authenticate": AUTHENTICATE, "meta": AUTHORIZATION }))
}

pub(super) fn wrong_token() -> RpcError {
    RpcError::new(code::FORBIDDEN, "this token is not known")
}

pub(super) fn expired_token() -> RpcError {
    RpcError::new(
        code::FORBIDDEN,
        "this token has expired, or was taken back: ask whoever runs the engine for a new one",
    )
}

/// A principal has as many connections as it may.
pub(super) fn too_many_connections(limit: usize) -> RpcError {
    let words = format!(
        "there are {limit} connections with this token already (mcp.connections_per_token): close one, or come back later"
    );
    RpcError::new(code::FULL, words).with(json!({ "connections_max": limit }))
}

pub(super) fn not_watched(why: NotWatched, uri: &str) -> RpcError {
    match why {
        NotWatched::Unknown => {
            RpcError::new(code::RESOURCE, "there is no such resource, or it never changes").with(json!({ "uri": uri }))
        }
        NotWatched::Full => RpcError::new(
            code::PARAMS,
            format!("a connection subscribes to at most {MCP_SUBSCRIPTION_URIS_MAX} resources"),
        ),
    }
}

/// A tool that is not offered, since its set is not switched on.
fn switched_off(server: &Server, row: &ToolRow) -> RpcError {
    let on = server.catalogue.sets().join(",");
    let (name, set) = (&row.name, row.set);
    let words = format!(
        "there is no tool {name:?} here: it belongs to the tool set {set}, which this engine was started without; \
         its user can start it with --toolsets {on},{set}"
    );
    RpcError::new(code::PARAMS, words).with(json!({ "toolset": set }))
}

pub(super) fn unknown<'names>(what: &str, name: &str, names: impl Iterator<Item = &'names str>) -> RpcError {
    let shown: String = name.chars().take(64).collect();
    let near = super::args::nearest(name, names).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    RpcError::new(code::PARAMS, format!("there is no {what} {shown:?}{near}"))
}

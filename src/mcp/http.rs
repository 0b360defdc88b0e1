//! The rules of Streamable HTTP that are about one request: who asks, which era it is of, and whether its headers say what its body says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use serde_json::value::RawValue;

use super::era::Version;
use super::methods::{Params, wrong_token};
use super::rpc::{self, Message, RpcError, code};
use super::{Admitted, Principal, Server};
use crate::handoff::McpRequest;

/// What a request comes to, once its headers are right.
#[derive(Debug, PartialEq)]
pub(super) enum Asked<'request> {
    /// A message that stands for itself: 2026-07-28.
    Stateless,
    /// `initialize`: a session begins.
    Begin,
    /// A message of a session.
    Message(&'request str),
    /// The stream of a session's notices.
    Stream(&'request str),
    /// The end of a session.
    End(&'request str),
}

/// Why a request is not taken.
#[derive(Debug, PartialEq)]
pub(super) struct Refused {
    /// HTTP status.
    pub(super) status: u16,
    /// Headers, each with its line end.
    pub(super) extra: String,
    /// The error and what is known of the id it is for.
    pub(super) body: Vec<u8>,
}

impl Refused {
    pub(super) fn new(status: u16, code: i32, message: impl Into<String>) -> Self {
        Self::of(status, None, &RpcError::new(code, message.into()))
    }

    pub(super) fn of(status: u16, id: Option<&RawValue>, error: &RpcError) -> Self {
        let mut body = Vec::new();
        error.write(id, &mut body);
        Self { status, extra: String::new(), body }
    }

    fn with(self, name: &str, value: &str) -> Self {
        Self { extra: format!("{}{name}: {value}\r\n", self.extra), ..self }
    }
}

/// A header that is named more than once may mean one thing to a proxy and another here.
fn only<'request>(request: &'request McpRequest, name: &str) -> Result<Option<&'request str>, Refused> {
    let mut found = request.headers.iter().filter(|(found, _)| found == name);
    let first = found.next();
    match found.next() {
        Some(_) => Err(Refused::new(400, code::HEADER, format!("the header {name} is given twice"))),
        None => Ok(first.map(|(_, value)| value.as_str())),
    }
}

/// Who asks: the owner of the token, or `anonymous` where none is shown.
pub(super) fn principal(
    server: &Server,
    request: &McpRequest,
    anonymous: Option<&Principal>,
) -> Result<Admitted, Refused> {
    let refuse = |error: &RpcError, hint: &str| {
        let challenge = format!("Bearer realm=\"swarmcast\"{hint}");
        Refused::of(401, None, error).with("WWW-Authenticate", &challenge)
    };
    let Some(shown) = only(request, "authorization")? else {
        let admitted = anonymous.map(|nobody| Admitted { principal: nobody.clone(), until_ms: None, token: None });
        let error = || RpcError::new(code::FORBIDDEN, "show a token: Authorization: Bearer TOKEN");
        return admitted.ok_or_else(|| refuse(&error(), ""));
    };
    let (scheme, token) = shown.split_once(' ').unwrap_or((shown, ""));
    let known = if scheme.eq_ignore_ascii_case("bearer") { server.admit(token.trim()) } else { Err(wrong_token()) };
    known.map_err(|error| refuse(&error, ", error=\"invalid_token\""))
}

/// Whether the answer may be of this type.
pub(super) fn accepts(request: &McpRequest, mime: &str) -> bool {
    let mut accepted = request.headers.iter().filter(|(name, _)| name == "accept").peekable();
    let kind = mime.split('/').next().unwrap_or("");
    accepted.peek().is_none()
        || accepted.flat_map(|(_, value)| value.split(',')).any(|part| {
            let part = part.split(';').next().unwrap_or("").trim();
            part == "*/*" || part.eq_ignore_ascii_case(mime) || part.strip_suffix("/*") == Some(kind)
        })
}

/// What a request asks for.
///
/// # Errors
/// [`Refused`], with the status that the specification names.
pub(super) fn read<'request>(server: &Server, request: &'request McpRequest) -> Result<Asked<'request>, Refused> {
    let session = only(request, "mcp-session-id")?;
    let version = only(request, "mcp-protocol-version")?;
    let needs_session = |method: &str| {
        let message = format!("{method} is for a session: begin one with initialize and send its Mcp-Session-Id");
        Refused::new(400, code::REQUEST, message)
    };
    match request.method.as_str() {
        "POST" => post(server, request, session, version),
        "GET" | "DELETE" if version == Some(Version::V2026_07_28.name()) => {
            Err(Refused::new(405, code::REQUEST, "2026-07-28 has POST alone").with("Allow", "POST"))
        }
        "GET" if !accepts(request, "text/event-stream") => {
            Err(Refused::new(406, code::REQUEST, "the answer is a text/event-stream; accept it"))
        }
        "GET" => known_version(version).and(session.map(Asked::Stream).ok_or_else(|| needs_session("GET"))),
        "DELETE" => known_version(version).and(session.map(Asked::End).ok_or_else(|| needs_session("DELETE"))),
        _ => {
            Err(Refused::new(405, code::REQUEST, "this path answers GET, POST, DELETE")
                .with("Allow", "GET, POST, DELETE"))
        }
    }
}

/// The version of a request that belongs to a session: one that is spoken in sessions, or none, as up to 2025-03-26.
fn known_version(version: Option<&str>) -> Result<(), Refused> {
    match version {
        Some(named) if Version::from_name(named).is_none() => Err(unknown_version(None, named)),
        _ => Ok(()),
    }
}

fn unknown_version(id: Option<&RawValue>, named: &str) -> Refused {
    // Those that a request names; a session's is agreed on by `initialize`.
    let supported = [Version::V2026_07_28.name()];
    let named: String = named.chars().take(64).collect();
    let error = RpcError::new(code::VERSION, "this protocol version is not spoken here");
    Refused::of(400, id, &error.with(json!({ "supported": supported, "requested": named })))
}

fn post<'request>(
    server: &Server,
    request: &'request McpRequest,
    session: Option<&'request str>,
    version: Option<&str>,
) -> Result<Asked<'request>, Refused> {
    let kind = only(request, "content-type")?.unwrap_or("").split(';').next().unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Refused::new(415, code::REQUEST, "the body must be application/json"));
    }
    if !accepts(request, "application/json") {
        return Err(Refused::new(406, code::REQUEST, "accept application/json and text/event-stream"));
    }
    let message = rpc::parse(&request.body).map_err(|(id, error)| Refused::of(400, id, &error))?;
    let (id, method, params) = match &message {
        Message::Request { id, method, params } => (Some(*id), method.as_ref(), *params),
        Message::Notification { method, params } => (None, method.as_ref(), *params),
        Message::Response { .. } => (None, "", None),
    };
    // Parameters that are not what the method takes are the session's to refuse.
    let params: Params<'_> = params.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let said = params.meta.as_ref().and_then(|meta| meta.version.as_deref());
    let modern = Some(Version::V2026_07_28.name());
    match (version, said) {
        (None, Some(_)) if id.is_some() => {
            Err(mismatch(id, "MCP-Protocol-Version is missing: it is to say what params._meta says"))
        }
        (Some(header), Some(body)) if header != body => {
            Err(mismatch(id, &format!("MCP-Protocol-Version is {header:.64?}, params._meta says {body:.64?}")))
        }
        (Some(header), _) if Version::from_name(header).is_none() => Err(unknown_version(id, header)),
        (_, said) if version == modern || said.is_some() => {
            if id.is_some() {
                mirrored(server, request, id, method, &params)?;
            }
            if method == "subscriptions/listen" && !accepts(request, "text/event-stream") {
                return Err(Refused::new(406, code::REQUEST, "the answer is a text/event-stream; accept it"));
            }
            Ok(Asked::Stateless)
        }
        _ if method == "initialize" && id.is_some() => Ok(Asked::Begin),
        _ => session.map(Asked::Message).ok_or_else(|| {
            let message =
                "begin with initialize and send its Mcp-Session-Id, or send the headers and params._meta of 2026-07-28";
            Refused::of(400, id, &RpcError::new(code::REQUEST, message))
        }),
    }
}

fn mismatch(id: Option<&RawValue>, message: &str) -> Refused {
    Refused::of(400, id, &RpcError::new(code::HEADER, message.to_owned()))
}

/// Checks the headers that say again what the body says.
fn mirrored(
    server: &Server,
    request: &McpRequest,
    id: Option<&RawValue>,
    method: &str,
    params: &Params<'_>,
) -> Result<(), Refused> {
    if only(request, "mcp-method")? != Some(method) {
        return Err(mismatch(id, &format!("Mcp-Method must be {method:.64?}")));
    }
    let (field, name) = match method {
        "tools/call" | "prompts/get" => ("params.name", params.name.as_deref()),
        "resources/read" => ("params.uri", params.uri.as_deref()),
        _ => return Ok(()),
    };
    let shown = only(request, "mcp-name")?.ok_or_else(|| mismatch(id, &format!("Mcp-Name is missing: {field}")))?;
    if decoded(shown).as_deref() != Some(name.unwrap_or("")) {
        return Err(mismatch(id, &format!("Mcp-Name must be {field}")));
    }
    let found = name.filter(|_| method == "tools/call").and_then(|name| server.catalogue.tool(name));
    let Some((_, tool)) = found.filter(|(_, tool)| !tool.headers.is_empty()) else { return Ok(()) };
    let arguments = params.arguments.map_or("{}", RawValue::get);
    let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap_or_default();
    for (path, header) in &tool.headers {
        let said = path.iter().try_fold(&arguments, |value, key| value.get(&**key)).filter(|value| !value.is_null());
        let shown = only(request, header)?;
        let right = match (said, shown) {
            (None, None) => true,
            (Some(said), Some(shown)) => decoded(shown).is_some_and(|shown| is_same(said, &shown)),
            _ => false,
        };
        if !right {
            return Err(mismatch(id, &format!("{header} must be arguments.{}", path.join("."))));
        }
    }
    Ok(())
}

/// A value of a header that says what a value of the body says. Numbers are compared as numbers.
fn is_same(said: &serde_json::Value, shown: &str) -> bool {
    match said {
        serde_json::Value::String(said) => said == shown,
        serde_json::Value::Bool(said) => shown == if *said { "true" } else { "false" },
        serde_json::Value::Number(said) => said.as_f64().is_some_and(|said| shown.parse() == Ok(said)),
        _ => false,
    }
}

/// The value of a header that may be in base64; `None` when it is not what it says it is.
fn decoded(shown: &str) -> Option<String> {
    match shown.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()),
        None => shown.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')).then(|| shown.to_owned()),
    }
}

/// The status of an answer of 2026-07-28 with this error; `early` when the request was found wrong before anything ran.
pub(super) fn status(version: Version, code: i32, early: bool) -> u16 {
    match code {
        code::PARSE | code::REQUEST => 400,
        code::METHOD if version.is_modern() => 404,
        code::HEADER | code::CAPABILITY | code::VERSION if version.is_modern() => 400,
        code::PARAMS if version.is_modern() && early => 400,
        _ => 200,
    }
}

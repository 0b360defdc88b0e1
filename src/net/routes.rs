//! From a request to what is to be done about it. Pure: no sockets, no clocks.

use tungstenite::handshake::server::create_response;

use super::http::{Request, Response};
use crate::handoff::HttpQuery;
use crate::limits::{GRAPH_BODY_BYTES_MAX, HTTP_BODY_BYTES_MAX};
use crate::wire::{ClientError, Hello, PROFILE_NAMES, Profile};

/// What a request asks of the door.
#[derive(Debug)]
pub enum Route {
    /// Answer this.
    Respond(Response),
    /// Answer with what the door knows itself.
    Own(OwnPage),
    /// Ask `control`.
    Ask(HttpQuery),
    /// Ask `control` with the body that follows, of the announced length.
    Rest,
    /// Have the agents' door go on with the connection.
    Agents,
    /// Become a stream.
    Upgrade {
        /// What it asks for.
        hello: Hello,
        /// The 101 answer, complete.
        switching: Vec<u8>,
    },
}

/// Pages that need neither graph nor simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnPage {
    /// The viewer.
    Viewer,
    /// The interface, described.
    OpenApi,
    /// Name, version, health.
    Root,
    /// The process turns.
    Healthz,
    /// It is ready to serve.
    Readyz,
}

/// Paths that stream.
const STREAM_PATHS: [&str; 3] = ["/stream", "/ws", "/wss"];

/// Where agents come in.
pub const AGENTS_PATH: &str = "/mcp";

/// Paths of the REST interface with the methods they answer. A path that ends in a slash stands for all with one more part.
pub const REST_PATHS: [(&str, &str); 42] = [
    ("/api/analytics/anomaly", "POST"),
    ("/api/analytics/clustering", "POST"),
    ("/api/analytics/community", "POST"),
    ("/api/analytics/components", "POST"),
    ("/api/analytics/jobs/", "GET, HEAD, DELETE"),
    ("/api/analytics/landmarks", "POST"),
    ("/api/analytics/pagerank", "POST"),
    ("/api/analytics/sssp", "POST"),
    ("/api/analytics/stress", "POST"),
    ("/api/constraints", "GET, HEAD, POST, DELETE"),
    ("/api/constraints/", "GET, HEAD, PUT, DELETE"),
    ("/api/graph/batch", "POST"),
    ("/api/graph/changes", "GET, HEAD"),
    ("/api/graph/data/paginated", "GET, HEAD"),
    ("/api/graph/edges", "GET, HEAD, POST"),
    ("/api/graph/edges/", "GET, HEAD, PATCH, DELETE"),
    ("/api/graph/export", "GET, HEAD"),
    ("/api/graph/import", "POST"),
    ("/api/graph/nodes", "GET, HEAD, POST"),
    ("/api/graph/nodes/", "GET, HEAD, PATCH, DELETE"),
    ("/api/graph/refresh", "POST"),
    ("/api/graph/update", "POST"),
    ("/api/settings/batch", "POST, PUT"),
    ("/api/settings/current", "GET, HEAD"),
    ("/api/settings/path", "GET, HEAD, PUT"),
    ("/api/settings/reset", "POST"),
    ("/api/settings/save", "POST"),
    ("/api/settings/schema", "GET, HEAD"),
    ("/api/simulation", "GET, HEAD"),
    ("/api/simulation/layout", "GET, HEAD, PUT"),
    ("/api/simulation/pause", "POST"),
    ("/api/simulation/preset", "GET, HEAD, POST"),
    ("/api/simulation/reheat", "POST"),
    ("/api/simulation/relations", "GET, HEAD, PUT"),
    ("/api/simulation/reset", "POST"),
    ("/api/simulation/resume", "POST"),
    ("/api/simulation/semantic", "GET, HEAD, PUT"),
    ("/api/simulation/springs", "GET, HEAD, PUT"),
    ("/api/simulation/step", "POST"),
    ("/api/simulation/two-graphs", "GET, HEAD, PUT"),
    ("/api/snapshots", "GET, HEAD, POST"),
    ("/api/snapshots/", "DELETE"),
];

/// Which hosts and origins may ask, and for what.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust {
    /// Any `Host` is right: the engine is bound to an address that others reach.
    pub any_host: bool,
    /// Agents may come in here.
    pub agents: bool,
}

/// Decides what to do about `request`.
#[must_use]
pub fn route(request: &Request, trust: Trust) -> Route {
    if let Some(refused) = refuse_foreign(request, trust) {
        return Route::Respond(refused);
    }
    if request.path == AGENTS_PATH && trust.agents {
        return Route::Agents;
    }
    if request.chunked {
        let message = "chunked request bodies are not read here";
        let response = Response::error(411, "length_required", message, &["Content-Length"]);
        return Route::Respond(response);
    }
    if let Some(methods) = rest_methods(&request.path) {
        return rest(request, methods);
    }
    if request.content_length > 0 {
        let message = "this path takes no body";
        return Route::Respond(Response::error(413, "body", message, &["Content-Length"]).with("Connection", "close"));
    }
    if STREAM_PATHS.contains(&request.path.as_str()) {
        return upgrade(request);
    }
    let page = match request.path.as_str() {
        "/" | "/index.html" if prefers_json(request) => Route::Own(OwnPage::Root),
        "/" | "/index.html" => Route::Own(OwnPage::Viewer),
        "/openapi.json" => Route::Own(OwnPage::OpenApi),
        "/healthz" | "/health" => Route::Own(OwnPage::Healthz),
        "/readyz" | "/ready" => Route::Own(OwnPage::Readyz),
        "/health/detail" => Route::Ask(HttpQuery::HealthDetail),
        "/metrics" => Route::Ask(HttpQuery::Metrics),
        "/metrics/latency.hlog" => Route::Ask(HttpQuery::LatencyLog),
        "/api/graph/state" => Route::Ask(HttpQuery::GraphState),
        "/api/graph/data" => match class_parameter(request) {
            Ok(class) => Route::Ask(HttpQuery::GraphData { class }),
            Err(response) => return Route::Respond(response),
        },
        path => {
            let message = format!("there is nothing at {}", path.escape_debug());
            return Route::Respond(Response::error(404, "not_found", &message, &[]));
        }
    };
    if request.method == "GET" || request.method == "HEAD" {
        return page;
    }
    let message = "this path answers GET and HEAD";
    Route::Respond(Response::error(405, "method", message, &[]).with("Allow", "GET, HEAD"))
}

/// The methods of a path of the REST interface.
fn rest_methods(path: &str) -> Option<&'static str> {
    let one_more = |prefix: &str| {
        prefix.ends_with('/') && path.strip_prefix(prefix).is_some_and(|part| !part.is_empty() && !part.contains('/'))
    };
    REST_PATHS.iter().find(|(known, _)| *known == path || one_more(known)).map(|(_, methods)| *methods)
}

/// Query parameters that a path of the REST interface takes.
fn rest_parameters(request: &Request) -> &'static [&'static str] {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", path) if path.starts_with("/api/analytics/") => &["wait"],
        ("GET" | "HEAD", "/api/graph/changes") => &["since", "limit"],
        ("GET" | "HEAD", "/api/settings/path") => &["path"],
        ("GET" | "HEAD", "/api/settings/current") => &["since", "hash"],
        ("GET" | "HEAD", "/api/graph/nodes") => &["limit", "cursor", "class", "group", "key", "q"],
        ("GET" | "HEAD", "/api/graph/edges") => &["limit", "cursor", "node", "relation"],
        ("GET" | "HEAD", "/api/graph/data/paginated") => &["page", "page_size"],
        ("GET" | "HEAD", "/api/graph/export") => &["format", "positions"],
        ("POST", "/api/graph/import") => {
            &["format", "mode", "skip_bad", "if_version", "idempotency_key", "author", "why"]
        }
        ("PATCH" | "DELETE", _) if changes_graph(request) => &["if_version", "idempotency_key", "author", "why"],
        _ => &[],
    }
}

/// Whether a request changes the graph: its body may be long.
fn changes_graph(request: &Request) -> bool {
    request.path.starts_with("/api/graph/") && !matches!(request.method.as_str(), "GET" | "HEAD")
}

/// Checks what is the same for all of the REST interface.
fn rest(request: &Request, methods: &str) -> Route {
    if !methods.split(", ").any(|method| method == request.method) {
        let message = format!("this path answers {methods}");
        let response = Response::error(405, "method", &message, &[]).with("Allow", methods);
        return Route::Respond(if request.content_length > 0 {
            response.with("Connection", "close")
        } else {
            response
        });
    }
    let known = rest_parameters(request);
    if let Some(name) = request.query.unknown(known) {
        let takes = if known.is_empty() { "no parameter".to_owned() } else { known.join(", ") };
        let message = format!("this path takes {takes}, found {}", name.escape_debug());
        return Route::Respond(Response::error(400, "unknown_parameter", &message, &[name]));
    }
    let takes_body = matches!(request.method.as_str(), "PUT" | "POST" | "PATCH");
    let limit = match takes_body {
        true if changes_graph(request) => GRAPH_BODY_BYTES_MAX,
        true => HTTP_BODY_BYTES_MAX,
        false => 0,
    };
    if request.content_length > limit as u64 {
        let message = format!("a body of {} bytes is longer than {limit}", request.content_length);
        return Route::Respond(Response::error(413, "body", &message, &["Content-Length"]));
    }
    let needs_body = matches!(request.method.as_str(), "PUT" | "PATCH")
        || request.method == "POST"
            && request.path != "/api/graph/refresh"
            && (request.path.starts_with("/api/analytics/") || changes_graph(request));
    if needs_body && request.header("content-length").is_none() {
        let message = "this needs a body, and a Content-Length that says how long it is";
        return Route::Respond(Response::error(411, "length_required", message, &["Content-Length"]));
    }
    Route::Rest
}

/// A page of another site may not use a browser to reach this server: the origin must be the host asked for, and
/// the host must be a name of this machine (a foreign name that resolves here is DNS rebinding).
pub fn refuse_foreign(request: &Request, trust: Trust) -> Option<Response> {
    let host = request.header("host").unwrap_or("");
    // HTTP/1.0 may come without a host.
    let own = matches!(host_name(host), "" | "localhost" | "[::1]") || is_loopback(host_name(host));
    if !(own || trust.any_host) {
        return Some(Response::error(421, "host", "this server answers to localhost", &["Host"]));
    }
    let origin = request.header("origin")?;
    let site = origin.split_once("://").map_or("", |(_, site)| site);
    if site.eq_ignore_ascii_case(host) {
        return None;
    }
    Some(Response::error(403, "origin", "pages of another origin may not connect", &["Origin"]))
}

/// A host header without its port.
fn host_name(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => host.get(..=end).unwrap_or(host),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_loopback(name: &str) -> bool {
    name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn prefers_json(request: &Request) -> bool {
    let accept = request.header("accept").unwrap_or("");
    accept.contains("application/json") && !accept.contains("text/html")
}

fn class_parameter(request: &Request) -> Result<Option<u16>, Response> {
    if let Some(name) = request.query.unknown(&["class"]) {
        let message = format!("unknown parameter {}; known: class", name.escape_debug());
        return Err(Response::error(400, "unknown_parameter", &message, &[name]));
    }
    let Some(class) = request.parameter("class") else { return Ok(None) };
    let range = || Response::error(400, "out_of_range", "class must be a number from 1 to 65535", &["class"]);
    class.parse().map(Some).map_err(|_| range())
}

/// Checks an upgrade to a stream and prepares its answer.
fn upgrade(request: &Request) -> Route {
    if request.method != "GET" {
        let response = Response::error(405, "method", "a stream is opened with GET", &[]);
        return Route::Respond(response.with("Allow", "GET"));
    }
    if !request.http_1_1 || !request.header_has("upgrade", "websocket") {
        let response = Response::error(426, "upgrade", "this path speaks WebSocket", &["Upgrade"]);
        return Route::Respond(response.with("Upgrade", "websocket"));
    }
    let (hello, sub_protocol) = match subscription(request) {
        Ok(found) => found,
        Err(response) => return Route::Respond(response),
    };
    match switching(request, sub_protocol) {
        Some(switching) => Route::Upgrade { hello, switching },
        None => {
            let message = "the WebSocket handshake is broken: version 13 and a key of 16 bytes are needed";
            Route::Respond(Response::error(400, "handshake", message, &["Sec-WebSocket-Key", "Sec-WebSocket-Version"]))
        }
    }
}

/// Profile and rate from query and sub-protocol, and the sub-protocol to echo.
fn subscription(request: &Request) -> Result<(Hello, Option<Profile>), Response> {
    const KNOWN: [&str; 7] = ["profile", "rate", "bits", "dimensions", "compression", "session", "version"];
    if let Some(name) = request.query.unknown(&KNOWN) {
        let message = format!("unknown parameter {}; known: {}", name.escape_debug(), KNOWN.join(", "));
        return Err(Response::error(400, "unknown_parameter", &message, &[name]));
    }
    let number = |name| request.parameter(name).map(|text| text.parse().unwrap_or(f64::NAN));
    let refuse = |error: ClientError| {
        let field = error.field().unwrap_or("");
        Response::error(400, error.code(), &error.to_string(), &[field])
    };
    let profile = request.parameter("profile");
    let mut hello = Hello::from_parts(profile, number("rate"), number("bits"), number("dimensions")).map_err(refuse)?;
    let offered: Vec<&str> = request
        .headers
        .iter()
        .filter(|(name, _)| name == "sec-websocket-protocol")
        .flat_map(|(_, value)| value.split(','))
        .map(str::trim)
        .collect();
    let chosen = offered.iter().find_map(|name| Profile::from_name(name));
    match (hello.profile, chosen) {
        (None, None) if !offered.is_empty() => {
            let message = format!("no offered sub-protocol is known; known: {PROFILE_NAMES}");
            Err(Response::error(400, "unsupported", &message, &["Sec-WebSocket-Protocol"]))
        }
        (Some(query), Some(sub_protocol)) if query != sub_protocol => {
            let message = "the query and the sub-protocol name different profiles";
            Err(Response::error(400, "unsupported", message, &["profile", "Sec-WebSocket-Protocol"]))
        }
        (query, _) => {
            hello.profile = query.or(chosen);
            hello = hello.compressed(request.parameter("compression")).map_err(refuse)?;
            hello = hello.resuming(number("session"), number("version")).map_err(refuse)?;
            hello.check_detail().map_err(refuse)?;
            Ok((hello, chosen))
        }
    }
}

/// The 101 answer, its checks and accept key made by tungstenite; `None` when the handshake is not right.
fn switching(request: &Request, sub_protocol: Option<Profile>) -> Option<Vec<u8>> {
    let mut builder = http::Request::builder().method("GET").uri(request.path.as_str());
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let mut response = create_response(&builder.body(()).ok()?).ok()?;
    if let Some(profile) = sub_protocol {
        response.headers_mut().insert("sec-websocket-protocol", http::HeaderValue::from_static(profile.name()));
    }
    let mut bytes = Vec::with_capacity(256);
    tungstenite::handshake::server::write_response(&mut bytes, &response).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http::parse;

    fn routed(head: &str) -> Route {
        let text = format!("{}\r\n\r\n", head.trim().replace('\n', "\r\n"));
        route(&parse(text.as_bytes()).unwrap().unwrap().0, Trust::default())
    }

    fn status(head: &str) -> u16 {
        match routed(head) {
            Route::Respond(response) => response.status,
            other => panic!("{other:?}"),
        }
    }

    const WS: &str = "Host: localhost:7400\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
                      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn an_upgrade_names_profile_and_rate() {
        let Route::Upgrade { hello, switching } = routed(&format!("GET /stream?profile=v2&rate=30 HTTP/1.1\n{WS}"))
        else {
            panic!("no upgrade");
        };
        assert_eq!(hello, Hello { profile: Some(Profile::V2), rate_hz: Some(30), ..Hello::default() });
        let answer = String::from_utf8(switching).unwrap().to_lowercase();
        assert!(answer.starts_with("http/1.1 101"), "{answer}");
        assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
        assert!(!answer.contains("sec-websocket-protocol") && answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[test]
    fn a_known_sub_protocol_is_echoed() {
        let head = format!("GET /ws HTTP/1.1\n{WS}\nSec-WebSocket-Protocol: chat, v1");
        let Route::Upgrade { hello, switching } = routed(&head) else { panic!("no upgrade") };
        assert_eq!(hello.profile, Some(Profile::V1));
        assert!(String::from_utf8(switching).unwrap().to_lowercase().contains("sec-websocket-protocol: v1\r\n"));
    }

    #[test]
    fn a_sub_protocol_may_be_compressed() {
        let head = format!("GET /ws?compression=lz4 HTTP/1.1\n{WS}\nSec-WebSocket-Protocol: swarmcast.v1");
        let Route::Upgrade { hello, switching } = routed(&head) else { panic!("no upgrade") };
        assert_eq!(hello.profile, Some(Profile::OwnLz4));
        let answer = String::from_utf8(switching).unwrap().to_lowercase();
        assert!(answer.contains("sec-websocket-protocol: swarmcast.v1\r\n"), "what was offered: {answer}");
    }

    #[test]
    fn what_is_wrong_with_an_upgrade_is_said() {
        let of = |target: &str, extra: &str| status(&format!("GET {target} HTTP/1.1\n{WS}{extra}"));
        assert_eq!(of("/stream?profile=v9", ""), 400);
        assert_eq!(of("/stream?rate=0", ""), 400);
        assert_eq!(of("/stream?rate=abc", ""), 400);
        assert_eq!(of("/stream?speed=1", ""), 400);
        assert_eq!(of("/stream", "\nSec-WebSocket-Protocol: chat"), 400);
        assert_eq!(of("/stream?profile=v1", "\nSec-WebSocket-Protocol: v2"), 400);
        assert_eq!(of("/stream?compression=lz4", "\nSec-WebSocket-Protocol: v2"), 400);
        assert_eq!(of("/stream?compression=gzip", ""), 400);
        assert_eq!(of("/stream", "\nOrigin: http://evil.example"), 403);
        assert_eq!(status("GET /stream HTTP/1.1\nHost: localhost"), 426);
        assert_eq!(status(&format!("POST /stream HTTP/1.1\n{WS}")), 405);
        assert_eq!(status(&format!("GET /stream HTTP/1.0\n{WS}")), 426, "HTTP/1.0 knows no upgrade");
        let short_key = WS.replace("dGhlIHNhbXBsZSBub25jZQ==", "short");
        assert_eq!(status(&format!("GET /stream HTTP/1.1\n{short_key}")), 400);
    }

    #[test]
    fn pages_and_refusals() {
        let host = "Host: 127.0.0.1:7400";
        assert!(matches!(routed(&format!("GET / HTTP/1.1\n{host}")), Route::Own(OwnPage::Viewer)));
        let json = format!("GET / HTTP/1.1\n{host}\nAccept: application/json");
        assert!(matches!(routed(&json), Route::Own(OwnPage::Root)));
        let data = format!("GET /api/graph/data?class=7 HTTP/1.1\n{host}");
        assert!(matches!(routed(&data), Route::Ask(HttpQuery::GraphData { class: Some(7) })));
        assert_eq!(status(&format!("GET /api/graph/data?class=x HTTP/1.1\n{host}")), 400);
        assert_eq!(status(&format!("DELETE /metrics HTTP/1.1\n{host}")), 405);
        assert_eq!(status(&format!("GET /../etc/passwd HTTP/1.1\n{host}")), 404);
        assert_eq!(status(&format!("POST /metrics HTTP/1.1\n{host}\nContent-Length: 3")), 413);
        assert_eq!(status("GET / HTTP/1.1\nHost: rebound.example"), 421);
        let rest = |line: &str, more: &str| routed(&format!("{line} HTTP/1.1\n{host}{more}"));
        assert!(matches!(rest("POST /api/analytics/sssp?wait=2", "\nContent-Length: 9"), Route::Rest));
        assert!(matches!(rest("DELETE /api/analytics/jobs/7", ""), Route::Rest));
        assert_eq!(status(&format!("POST /api/analytics/sssp HTTP/1.1\n{host}")), 411);
        assert_eq!(status(&format!("POST /api/analytics/sssp HTTP/1.1\n{host}\nContent-Length: 999999")), 413);
        assert_eq!(status(&format!("POST /api/analytics/sssp?now=1 HTTP/1.1\n{host}\nContent-Length: 2")), 400);
        assert_eq!(status(&format!("GET /api/analytics/sssp HTTP/1.1\n{host}")), 405);
        assert_eq!(status(&format!("GET /api/analytics/jobs/7/8 HTTP/1.1\n{host}")), 404);
        let foreign = "POST /api/analytics/sssp HTTP/1.1\nHost: 127.0.0.1:7400\nOrigin: http://evil.example";
        assert_eq!(status(foreign), 403);
        assert!(matches!(rest("PUT /api/simulation/layout", "\nContent-Length: 9"), Route::Rest));
        assert!(matches!(rest("DELETE /api/constraints/7", ""), Route::Rest));
        assert_eq!(status(&format!("PUT /api/simulation/layout HTTP/1.1\n{host}")), 411);
        assert_eq!(status(&format!("PUT /api/simulation/layout HTTP/1.1\n{host}\nContent-Length: 999999")), 413);
        assert_eq!(status(&format!("GET /api/simulation/layout HTTP/1.1\n{host}\nContent-Length: 1")), 413);
        assert_eq!(status(&format!("PUT /api/simulation/pause HTTP/1.1\n{host}\nContent-Length: 1")), 405);
        assert_eq!(status(&format!("GET /api/constraints/7/8 HTTP/1.1\n{host}")), 404);
        assert_eq!(status(&format!("GET /api/constraints?all=1 HTTP/1.1\n{host}")), 400);
        let foreign = "POST /api/simulation/pause HTTP/1.1\nHost: 127.0.0.1:7400\nOrigin: http://evil.example";
        assert_eq!(status(foreign), 403);
        let own = format!("GET / HTTP/1.1\n{host}\nOrigin: http://127.0.0.1:7400");
        assert!(matches!(routed(&own), Route::Own(OwnPage::Viewer)));
    }
}

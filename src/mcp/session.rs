//! One connection: which revision each message speaks, who asks, what is under way. A line in, answers and calls out.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::json;
use serde_json::value::RawValue;

use super::confirm::{can_ask, is_asked_about};
use super::era::Version;
use super::methods::{
    Filter, Params, ask, capabilities, client_name, discover, expired_token, is_method, listen_ended, missing,
    not_authenticated, not_watched, require,
};
use super::reply::{self, Reply};
use super::rpc::{self, Message, RpcError, code, is_foreign, is_http_header, text};
use super::subscribe::{Subscriptions, Touched};
use super::{Admitted, Principal, Scopes, Server};
use crate::limits::MCP_IN_FLIGHT_MAX;

/// The `_meta` member that says who asks, on any request.
pub const AUTHORIZATION: &str = "swarmcast/authorization";

/// The method that says who asks, for the rest of the connection.
pub const AUTHENTICATE: &str = "swarmcast/authenticate";

/// The levels of `logging/setLevel`, each with those above it.
const LOG_LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What happens all the time: `info`.
    Info = 1,
    /// What happens now and then, and is right: `notice`.
    Notice = 2,
    /// What somebody may have to look at: `warning`.
    Warning = 3,
    /// What somebody has to look at: `error`.
    Error = 4,
}

/// What a connection's bytes mean for the connection.
#[derive(Debug)]
pub enum Step<'line> {
    /// Nothing more to do: what there was to say is in the output.
    Done,
    /// The message is not what its revision asks for: the output says so with this code.
    Refused(i32),
    /// Close without a word.
    Close,
    /// Run this, now or later, and answer it with [`Session::answer`] or, after [`Session::defer`], [`Session::finish`].
    Call(Box<Call<'line>>),
    /// Nobody waits for this call any more.
    Cancel(CallKey),
    /// The client answers what it was asked over the same connection.
    Answered {
        /// Of the question.
        id: &'line RawValue,
        /// The result, or the error.
        answer: Result<&'line RawValue, &'line RawValue>,
    },
}

/// A call that was deferred: counts up in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(pub u64);

/// A request that needs the graph.
#[derive(Debug)]
pub struct Call<'line> {
    /// As sent.
    pub id: &'line RawValue,
    /// The revision to answer in.
    pub version: Version,
    /// Who asks.
    pub principal: Principal,
    /// What the client calls itself, where it has said so: to be shown.
    pub client: Option<Arc<str>>,
    /// What notices of progress are to carry.
    pub progress: Option<&'line RawValue>,
    /// The parameters, whole.
    pub params: Option<&'line RawValue>,
    /// A person is to be asked about it first, and can be: [`super::confirm`].
    pub can_ask: bool,
    /// What is asked.
    pub ask: Ask<'line>,
}

/// What a call is about.
#[derive(Clone, Debug)]
pub enum Ask<'line> {
    /// `tools/call`.
    Tool {
        /// Its place in [`super::Catalogue::tools`].
        tool: usize,
        /// An object; `{}` where none was sent.
        arguments: Cow<'line, str>,
    },
    /// `resources/read`.
    Resource {
        /// Which.
        uri: Cow<'line, str>,
    },
    /// `prompts/get`.
    Prompt {
        /// A prompt that there is.
        name: Cow<'line, str>,
        /// An object of texts.
        arguments: Cow<'line, str>,
    },
    /// `completion/complete`.
    Complete {
        /// The prompt or URI template.
        of: Cow<'line, str>,
        /// The argument.
        name: Cow<'line, str>,
        /// What of it was typed.
        value: Cow<'line, str>,
    },
}

impl Ask<'_> {
    /// The same, of its own: to be run by another thread.
    #[must_use]
    pub fn into_owned(self) -> Ask<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Tool { tool, arguments } => Ask::Tool { tool, arguments: own(arguments) },
            Self::Resource { uri } => Ask::Resource { uri: own(uri) },
            Self::Prompt { name, arguments } => Ask::Prompt { name: own(name), arguments: own(arguments) },
            Self::Complete { of, name, value } => Ask::Complete { of: own(of), name: own(name), value: own(value) },
        }
    }
}

/// A deferred call that is not answered yet.
#[derive(Debug)]
struct InFlight {
    key: CallKey,
    id: Box<RawValue>,
    version: Version,
    progress: Option<Box<RawValue>>,
    /// What progress was told last: it only ever grows.
    told: f64,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    /// Who asks, where the door or [`AUTHENTICATE`] said so.
    principal: Option<Principal>,
    /// What this connection goes on with: its principal's token, and those of requests that last, each once.
    shown: Vec<Admitted>,
    /// Whose connection it is: its principal, or who first showed a token with a request.
    known_as: Option<Arc<str>>,
    /// Agreed by `initialize`; a request without `_meta` speaks it.
    legacy: Option<Version>,
    /// A line was taken.
    begun: bool,
    /// It was said to close: whatever comes after that is not looked at.
    closed: bool,
    in_flight: Vec<InFlight>,
    last_key: u64,
    /// Agreed by `initialize`: the client can have a person fill in a form.
    can_ask: bool,
    /// Said with `initialize`.
    client: Option<Arc<str>>,
    subscriptions: Subscriptions,
    /// Place in [`LOG_LEVELS`].
    log_level: usize,
}

impl Session {
    /// A connection. `principal` is who asks where the door knows (peer credentials, an HTTP token, anonymous reading).
    #[must_use]
    pub fn new(principal: Option<Principal>) -> Self {
        Self {
            known_as: principal.as_ref().map(|principal| Arc::clone(&principal.name)),
            principal,
            shown: Vec::new(),
            legacy: None,
            begun: false,
            closed: false,
            in_flight: Vec::new(),
            last_key: 0,
            can_ask: false,
            client: None,
            subscriptions: Subscriptions::default(),
            log_level: LogLevel::Warning as usize,
        }
    }

    /// A session of HTTP, where the door has seen to it that nobody but a client of MCP speaks.
    #[must_use]
    pub fn over_http(admitted: Admitted) -> Self {
        let principal = admitted.principal.clone();
        Self { begun: true, shown: vec![admitted], ..Self::new(Some(principal)) }
    }

    /// Its principal has shown a token again, or another one.
    pub fn renew(&mut self, admitted: Admitted) {
        self.shown = vec![admitted];
    }

    /// Whether a token that it goes on with is not good any more.
    #[must_use]
    pub fn has_ended(&self, server: &Server) -> bool {
        self.shown.iter().any(|admitted| server.is_over(admitted))
    }

    /// The revision that `initialize` has agreed on.
    #[must_use]
    pub fn agreed(&self) -> Option<Version> {
        self.legacy
    }

    /// Whether a `subscriptions/listen` goes on.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.subscriptions.listens()
    }

    /// Whether no more is to be read until something was answered.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.in_flight.len() >= MCP_IN_FLIGHT_MAX
    }

    /// Whose connection it is, where a principal or a token with a request has said so.
    #[must_use]
    pub fn known_as(&self) -> Option<&Arc<str>> {
        self.known_as.as_ref()
    }

    /// Whether a whole message has come.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Calls that are not answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Takes a line that the framer left out because it is too long: `true` to go on, `false` to close.
    pub fn too_long(&mut self, out: &mut Vec<u8>) -> bool {
        let limit = crate::limits::MCP_LINE_BYTES_MAX;
        RpcError::new(code::REQUEST, format!("a line has at most {limit} bytes")).write(None, out);
        self.closed |= !std::mem::replace(&mut self.begun, true);
        !self.closed
    }

    /// Takes one line; appends to `out` what is to be sent at once.
    pub fn feed<'line>(&mut self, server: &Server, line: &'line [u8], out: &mut Vec<u8>) -> Step<'line> {
        let first = !std::mem::replace(&mut self.begun, true);
        self.closed |= is_http_header(line) || (first && is_foreign(line));
        if self.closed {
            return Step::Close;
        }
        match rpc::parse(line) {
            Err((id, error)) => refused(id, &error, out),
            Ok(Message::Response { id, answer }) => Step::Answered { id, answer },
            Ok(Message::Notification { method, params }) => self.notified(&method, params),
            Ok(Message::Request { id, method, params }) => {
                self.request(server, id, &method, params, out).unwrap_or_else(|error| {
                    error.write(Some(id), out);
                    Step::Done
                })
            }
        }
    }

    fn notified<'line>(&mut self, method: &str, params: Option<&'line RawValue>) -> Step<'line> {
        let Some(id) = cancelled_id(method, params) else { return Step::Done };
        if self.subscriptions.cancel(id) {
            return Step::Done;
        }
        match self.in_flight.iter().position(|call| call.id.get() == id.get()) {
            Some(at) => Step::Cancel(self.in_flight.swap_remove(at).key),
            None => Step::Done,
        }
    }

    fn request<'line>(
        &mut self,
        server: &Server,
        id: &'line RawValue,
        method: &str,
        params: Option<&'line RawValue>,
        out: &mut Vec<u8>,
    ) -> Result<Step<'line>, RpcError> {
        if self.in_flight.iter().any(|call| call.id.get() == id.get()) || self.subscriptions.listens_as(id) {
            return Err(RpcError::new(code::REQUEST, "a request with this id is under way on this connection"));
        }
        let raw = params;
        let params: Params<'line> = match raw.map_or(Ok(Params::default()), |raw| serde_json::from_str(raw.get())) {
            Ok(params) => params,
            Err(error) => {
                let error = RpcError::new(code::PARAMS, format!("params are not what {method} takes: {error}"));
                return Ok(refused(Some(id), &error, out));
            }
        };
        if method == AUTHENTICATE {
            return self.authenticate(server, id, &params, out);
        }
        let version = match self.version(method, &params) {
            Ok(version) => version,
            Err(error) => return Ok(refused(Some(id), &error, out)),
        };
        let asker = self.asker(server, params.meta.as_ref().and_then(|meta| meta.token.as_deref()))?;
        match (method, version.is_modern()) {
            ("server/discover", true) => discover(server, id, out),
            ("initialize", false) => {
                // Questions came with 2025-06-18.
                self.can_ask = version.has_structured() && can_ask(params.capabilities);
                self.client = client_name(params.client);
                self.initialize(server, id, version, out);
            }
            ("ping", false) => {
                reply::begin(server, version, id, out);
                reply::end(out);
            }
            _ => {
                if !is_method(method, version) {
                    let message = format!("there is no method {method:?} in {}", version.name());
                    return Ok(refused(Some(id), &RpcError::new(code::METHOD, message), out));
                }
                let asker = asker.ok_or_else(not_authenticated)?;
                return self.known(server, id, (method, version), (params, raw), asker, out);
            }
        }
        Ok(Step::Done)
    }

    /// Who asks: the owner of the request's own token, or of the connection's.
    fn asker(&mut self, server: &Server, token: Option<&str>) -> Result<Option<Admitted>, RpcError> {
        if let Some(token) = token {
            let admitted = server.admit(token)?;
            self.known_as.get_or_insert_with(|| Arc::clone(&admitted.principal.name));
            return Ok(Some(admitted));
        }
        if self.has_ended(server) {
            return Err(expired_token());
        }
        // What it was let in with is held already: there is nothing more to hold for a request of its own.
        Ok(self.principal.clone().map(|principal| Admitted { principal, until_ms: None, token: None }))
    }

    /// What lasts on this connection does so no longer than the token it was asked for with.
    fn lasts(&mut self, admitted: Admitted) {
        if admitted.token.is_some() && !self.shown.contains(&admitted) {
            self.shown.push(admitted);
        }
    }

    /// Which revision a request speaks.
    fn version(&self, method: &str, params: &Params<'_>) -> Result<Version, RpcError> {
        let meta = params.meta.as_ref();
        if let Some(named) = meta.and_then(|meta| meta.version.as_deref()) {
            if Version::from_name(named).is_none_or(|version| !version.is_modern()) {
                let supported: Vec<&str> = Version::ALL
                    .iter()
                    .rev()
                    .filter(|version| version.is_modern())
                    .map(|version| version.name())
                    .collect();
                let error = RpcError::new(code::VERSION, "this protocol version is not spoken in _meta");
                return Err(error.with(json!({ "supported": supported, "requested": named })));
            }
            if !meta.and_then(|meta| meta.capabilities).is_some_and(|it| it.get().starts_with('{')) {
                return Err(missing("_meta[\"io.modelcontextprotocol/clientCapabilities\"]"));
            }
            return Ok(Version::V2026_07_28);
        }
        match (method, self.legacy) {
            ("initialize", None) => {
                let asked = params.version.as_deref().ok_or_else(|| missing("protocolVersion"))?;
                Ok(Version::negotiate(asked))
            }
            ("initialize", Some(_)) => Err(RpcError::new(code::REQUEST, "this connection is initialized")),
            ("ping", None) => Ok(Version::LAST_LEGACY),
            (_, Some(legacy)) => Ok(legacy),
            (_, None) => Err(RpcError::new(
                code::PARAMS,
                "begin with initialize, or send params._meta[\"io.modelcontextprotocol/protocolVersion\"] with every request",
            )),
        }
    }

    fn authenticate<'line>(
        &mut self,
        server: &Server,
        id: &'line RawValue,
        params: &Params<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step<'line>, RpcError> {
        let token = params.token.as_deref().ok_or_else(|| missing("token"))?;
        let admitted = server.admit(token)?;
        let principal = admitted.principal.clone();
        reply::begin(server, Version::V2026_07_28, id, out);
        out.extend_from_slice(br#""principal":"#);
        text(&principal.name, out);
        out.extend_from_slice(br#","scopes":"#);
        out.extend_from_slice(json!(principal.scopes.names().collect::<Vec<_>>()).to_string().as_bytes());
        reply::end(out);
        self.known_as = Some(Arc::clone(&principal.name));
        self.principal = Some(principal);
        self.shown = vec![admitted];
        Ok(Step::Done)
    }

    fn initialize(&mut self, server: &Server, id: &RawValue, version: Version, out: &mut Vec<u8>) {
        self.legacy = Some(version);
        reply::begin(server, version, id, out);
        out.extend_from_slice(br#""protocolVersion":"#);
        text(version.name(), out);
        out.extend_from_slice(br#","capabilities":"#);
        out.extend_from_slice(capabilities(version).as_bytes());
        out.extend_from_slice(br#","serverInfo":"#);
        out.extend_from_slice(&server.info);
        out.extend_from_slice(br#","instructions":"#);
        text(server.catalogue.instructions(), out);
        reply::end(out);
    }

    /// A method of its revision, asked by somebody who is known.
    fn known<'line>(
        &mut self,
        server: &Server,
        id: &'line RawValue,
        (method, version): (&str, Version),
        (params, raw): (Params<'line>, Option<&'line RawValue>),
        Admitted { principal, until_ms, token }: Admitted,
        out: &mut Vec<u8>,
    ) -> Result<Step<'line>, RpcError> {
        let catalogue = &server.catalogue;
        if method.ends_with("/list") && params.cursor.is_some_and(|cursor| cursor.get() != "null") {
            return Err(RpcError::new(code::PARAMS, "params.cursor was not given out by this server"));
        }
        let mut list = |bytes: &[u8], scope: &str| reply::write_list(server, version, id, bytes, scope, out);
        match method {
            "tools/list" => list(catalogue.tool_list(version, principal.scopes), "private"),
            "prompts/list" => list(catalogue.prompt_list(), "public"),
            "resources/list" => list(catalogue.resource_list(), "public"),
            "resources/templates/list" => list(catalogue.template_list(), "public"),
            "logging/setLevel" => {
                let level = params.level.as_deref().ok_or_else(|| missing("level"))?;
                let known = LOG_LEVELS.iter().position(|known| *known == level);
                let wrong =
                    || RpcError::new(code::PARAMS, format!("params.level must be one of {}", LOG_LEVELS.join(", ")));
                self.log_level = known.ok_or_else(wrong)?;
                self.empty(server, version, id, out);
            }
            "resources/subscribe" => {
                let uri = params.uri.as_deref().ok_or_else(|| missing("uri"))?;
                require(&principal, Scopes::READ)?;
                self.subscriptions.subscribe(uri, catalogue.static_uris()).map_err(|why| not_watched(why, uri))?;
                self.lasts(Admitted { principal, until_ms, token });
                self.empty(server, version, id, out);
            }
            "resources/unsubscribe" => {
                self.subscriptions.unsubscribe(params.uri.as_deref().ok_or_else(|| missing("uri"))?);
                self.empty(server, version, id, out);
            }
            "subscriptions/listen" => {
                require(&principal, Scopes::READ)?;
                let filter = params.notifications.ok_or_else(|| missing("notifications"))?;
                self.listen(server, id, &filter, out);
                self.lasts(Admitted { principal, until_ms, token });
            }
            _ => {
                let capabilities = params.meta.as_ref().and_then(|meta| meta.capabilities);
                let progress = params.meta.as_ref().and_then(|meta| meta.progress).filter(|token| rpc::is_id(token));
                let client = match version.is_modern() {
                    true => client_name(params.meta.as_ref().and_then(|meta| meta.client)),
                    false => self.client.clone(),
                };
                let ask = ask(server, method, params, &principal)?;
                let can_ask = is_asked_about(catalogue, &ask)
                    && if version.is_modern() { can_ask(capabilities) } else { self.can_ask };
                let call = Call { id, version, principal, client, progress, params: raw, can_ask, ask };
                return Ok(Step::Call(Box::new(call)));
            }
        }
        Ok(Step::Done)
    }

    fn empty(&self, server: &Server, version: Version, id: &RawValue, out: &mut Vec<u8>) {
        reply::begin(server, version, id, out);
        reply::end(out);
    }

    /// Acknowledges first, saying what will be heard of. With too many listens nothing will, and it ends at once.
    fn listen(&mut self, server: &Server, id: &RawValue, filter: &Filter<'_>, out: &mut Vec<u8>) {
        let uris: Vec<&str> = filter.resources.iter().map(AsRef::as_ref).collect();
        let honoured = self.subscriptions.listen(id, &uris, server.catalogue.static_uris());
        out.extend_from_slice(
            br#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"#,
        );
        out.extend_from_slice(id.get().as_bytes());
        out.extend_from_slice(br#"},"notifications":{"#);
        if let Some(honoured) = honoured.as_ref().filter(|uris| !uris.is_empty()) {
            out.extend_from_slice(br#""resourceSubscriptions":"#);
            out.extend_from_slice(json!(honoured).to_string().as_bytes());
        }
        out.extend_from_slice(b"}}}\n");
        if honoured.is_none() {
            listen_ended(server, id, out);
        }
    }

    /// Keeps a call as under way. Its answer is given with [`Self::finish`].
    pub fn defer(&mut self, call: &Call<'_>) -> CallKey {
        self.last_key += 1;
        let key = CallKey(self.last_key);
        self.in_flight.push(InFlight {
            key,
            id: call.id.to_owned(),
            version: call.version,
            progress: call.progress.map(ToOwned::to_owned),
            told: f64::NEG_INFINITY,
        });
        key
    }

    /// Answers a call that was run at once.
    pub fn answer(&self, server: &Server, call: &Call<'_>, result: &Result<Reply, RpcError>, out: &mut Vec<u8>) {
        write_result(server, call.version, call.id, result, out);
    }

    /// Answers a deferred call; false, and nothing is written, when it was cancelled.
    pub fn finish(
        &mut self,
        server: &Server,
        key: CallKey,
        result: &Result<Reply, RpcError>,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(at) = self.in_flight.iter().position(|call| call.key == key) else { return false };
        let call = self.in_flight.swap_remove(at);
        write_result(server, call.version, &call.id, result, out);
        true
    }

    /// Tells how far a deferred call is, where that was asked for. What does not grow is not told.
    pub fn progress(&mut self, key: CallKey, done: f64, total: Option<f64>, out: &mut Vec<u8>) {
        let Some(call) = self.in_flight.iter_mut().find(|call| call.key == key) else { return };
        let Some(token) = call.progress.as_ref().filter(|_| done > call.told && done.is_finite()) else { return };
        call.told = done;
        out.extend_from_slice(br#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"#);
        out.extend_from_slice(token.get().as_bytes());
        let total =
            total.filter(|total| total.is_finite()).map_or_else(String::new, |total| format!(",\"total\":{total}"));
        out.extend_from_slice(format!(",\"progress\":{done}{total}}}}}\n").as_bytes());
    }

    /// Whether lines of this level are sent. Up to 2025-11-25 alone: later revisions log with the call that asks for it.
    #[must_use]
    pub fn logs(&self, level: LogLevel) -> bool {
        self.legacy.is_some() && level as usize >= self.log_level
    }

    /// Writes a line of the log; `data` is JSON.
    pub fn log(&self, level: LogLevel, logger: &str, data: &str, out: &mut Vec<u8>) {
        let Some(level) = LOG_LEVELS.get(level as usize) else { return };
        out.extend_from_slice(br#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"#);
        text(level, out);
        out.extend_from_slice(br#","logger":"#);
        text(logger, out);
        out.extend_from_slice(br#","data":"#);
        reply::visible(data, out);
        out.extend_from_slice(b"}}\n");
    }

    /// Notes what has changed, for [`Self::notices`].
    pub fn touch(&mut self, touched: &Touched) {
        self.subscriptions.touch(touched);
    }

    /// Whether there is anything to be told of changes.
    #[must_use]
    pub fn has_subscriptions(&self) -> bool {
        !self.subscriptions.is_empty()
    }

    /// Whether a notice waits to be written.
    #[must_use]
    pub fn has_notices(&self) -> bool {
        self.subscriptions.waits()
    }

    /// Writes the notices that are due; returns how many.
    pub fn notices(&mut self, now_ns: u64, out: &mut Vec<u8>) -> usize {
        self.subscriptions.flush(now_ns, out)
    }

    /// The engine ends: what listens is told so, in the words of its revision.
    pub fn goodbye(&mut self, server: &Server, out: &mut Vec<u8>) {
        for id in self.subscriptions.end_listens() {
            listen_ended(server, &id, out);
        }
    }
}

/// Which request a notification ends.
pub(super) fn cancelled_id<'line>(method: &str, params: Option<&'line RawValue>) -> Option<&'line RawValue> {
    let params = params.filter(|_| method == "notifications/cancelled")?;
    let params: Params<'line> = serde_json::from_str(params.get()).ok()?;
    params.request_id.filter(|id| rpc::is_id(id))
}

/// Writes the error of a message that is not what its revision asks for.
fn refused(id: Option<&RawValue>, error: &RpcError, out: &mut Vec<u8>) -> Step<'static> {
    error.write(id, out);
    Step::Refused(error.code)
}

fn write_result(server: &Server, version: Version, id: &RawValue, result: &Result<Reply, RpcError>, out: &mut Vec<u8>) {
    match result {
        Ok(reply) => reply::write(server, version, id, reply, out),
        // Up to 2025-11-25 a resource that is not there has a code of its own.
        Err(error) if error.code == code::RESOURCE && version.is_modern() => {
            RpcError { code: code::PARAMS, ..error.clone() }.write(Some(id), out);
        }
        Err(error) => error.write(Some(id), out),
    }
}

//! Other servers of MCP that are asked for their agents: what is said to each, and when. Lines in, lines out; [`crate::handoff::Dialogue`]
//! is all that a loop with sockets has to know.
//!
//! A source is asked over one connection: `initialize` (a server that does not know it is tried with `server/discover`), `tools/list`, then
//! again and again the tool that lists agents, page by page. What it says goes to the same register as agents that report themselves.

mod answer;
mod breaker;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use answer::SourceAgent;
pub(super) use answer::rfc3339;
pub use breaker::BreakerState;

use self::breaker::Breaker;
use super::Version;
use super::rpc::{Message, parse};
use super::session::AUTHORIZATION;
use crate::handoff::{Deed, Dialogue};
use crate::limits::{SOURCE_AGENTS_MAX, SOURCE_LINES_MAX, SOURCE_OUTPUT_BYTES_MAX, SOURCE_PAGES_MAX};

const SECOND_NS: u64 = 1_000_000_000;

/// How long it may take to connect.
const CONNECT_NS_MAX: u64 = 5 * SECOND_NS;

/// How long an answer may take.
const CALL_NS_MAX: u64 = 10 * SECOND_NS;

/// The tools that list agents, ours first, then the one that is customary elsewhere.
const CUSTOMARY_TOOLS: [&str; 2] = ["list_agents", "agent_list"];

/// Agents asked for at once, where the tool can be told.
const LIMIT: i64 = 500;

/// Letters of another server's words in an error of ours.
const SAID_MAX: usize = 200;

/// What is asked, and how often.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// Host and port.
    pub address: Box<str>,
    /// Shown with every request, in the `_meta` of our own.
    pub token: Option<Box<str>>,
    /// The tool; `None` is `list_agents` or `agent_list`.
    pub tool: Option<Box<str>>,
    /// From one list to the next.
    pub interval_ns: u64,
}

/// How a source is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceState {
    /// Whether it is asked.
    pub breaker: BreakerState,
    /// A connection stands.
    pub connected: bool,
    /// The tool it is asked with; `None` before it is known.
    pub tool: Option<Box<str>>,
    /// Connections that there were.
    pub connections: u64,
    /// Whole lists.
    pub lists: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Those since the last list.
    pub failures_in_row: u32,
    /// Rows of lists that were no agent.
    pub left_out: u64,
    /// In words.
    pub last_error: Option<Box<str>>,
    /// Monotonic ns.
    pub last_error_ns: Option<u64>,
    /// Monotonic ns.
    pub last_success_ns: Option<u64>,
    /// Agents of the last list.
    pub agents: usize,
}

/// What a source tells.
#[derive(Clone, Debug)]
pub struct SourceReport {
    /// Which, as they were given.
    pub source: usize,
    /// How it is doing.
    pub state: SourceState,
    /// A whole list, when there is a new one.
    pub agents: Option<Vec<SourceAgent>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No connection.
    Off,
    Connecting,
    /// An answer is waited for.
    Asking(Question),
    /// A connection, and nothing to say.
    Idle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Initialize,
    Discover,
    Tools,
    Agents,
}

impl Question {
    const fn method(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Discover => "server/discover",
            Self::Tools => "tools/list",
            Self::Agents => "tools/call",
        }
    }
}

/// The tool, and what it can be told.
#[derive(Debug)]
struct Tool {
    name: Box<str>,
    limit: Option<i64>,
    cursor: bool,
}

/// One source.
#[derive(Debug)]
pub struct Source {
    index: usize,
    options: SourceOptions,
    breaker: Breaker,
    phase: Phase,
    /// When the phase has lasted long enough.
    due_ns: u64,
    modern: bool,
    tool: Option<Tool>,
    /// Of the last request.
    id: u64,
    /// Lines since the last answer to us.
    lines: usize,
    pages: usize,
    gathered: Vec<SourceAgent>,
    out: Vec<u8>,
    state: SourceState,
    told: bool,
    whole: Option<Vec<SourceAgent>>,
}

#[derive(Deserialize)]
struct Tools<'line> {
    #[serde(borrow)]
    tools: Vec<ToolRow<'line>>,
    #[serde(borrow, rename = "nextCursor")]
    next_cursor: Option<Cow<'line, str>>,
}

#[derive(Deserialize)]
struct ToolRow<'line> {
    #[serde(borrow)]
    name: Cow<'line, str>,
    #[serde(rename = "inputSchema")]
    input_schema: Option<Value>,
}

#[derive(Deserialize)]
struct Called<'line> {
    #[serde(rename = "isError", default)]
    is_error: bool,
    #[serde(borrow, rename = "structuredContent")]
    structured: Option<&'line RawValue>,
    #[serde(borrow, default)]
    content: Vec<Part<'line>>,
}

#[derive(Deserialize)]
struct Part<'line> {
    #[serde(borrow)]
    text: Option<Cow<'line, str>>,
}

#[derive(Deserialize)]
struct Agreed<'line> {
    #[serde(borrow, rename = "protocolVersion")]
    version: Option<Cow<'line, str>>,
}

/// What went wrong, and whether the connection is of no use any more.
struct Failure {
    why: String,
    close: bool,
}

/// The peer breaks the protocol, or cannot be spoken to.
fn broken(why: impl Into<String>) -> Failure {
    Failure { why: why.into(), close: true }
}

/// The peer answers as it should, but not with agents.
fn refused(why: impl Into<String>) -> Failure {
    Failure { why: why.into(), close: false }
}

impl Source {
    /// A source that is asked at once. `seed` is any value, another one in every engine.
    #[must_use]
    pub fn new(index: usize, options: SourceOptions, seed: u64) -> Self {
        Self {
            index,
            options,
            breaker: Breaker::new(seed),
            phase: Phase::Off,
            due_ns: 0,
            modern: false,
            tool: None,
            id: 0,
            lines: 0,
            pages: 0,
            gathered: Vec::new(),
            out: Vec::new(),
            state: SourceState::default(),
            told: false,
            whole: None,
        }
    }

    fn ask(&mut self, question: Question, mut params: Value, now_ns: u64) {
        self.id += 1;
        let mut meta = serde_json::Map::new();
        if self.modern {
            meta.insert("io.modelcontextprotocol/protocolVersion".to_owned(), json!(Version::V2026_07_28.name()));
            meta.insert("io.modelcontextprotocol/clientCapabilities".to_owned(), json!({}));
            meta.insert("io.modelcontextprotocol/clientInfo".to_owned(), client_info());
        }
        if let Some(token) = &self.options.token {
            meta.insert(AUTHORIZATION.to_owned(), json!(token));
        }
        if let Some(params) = params.as_object_mut().filter(|_| !meta.is_empty()) {
            params.insert("_meta".to_owned(), Value::Object(meta));
        }
        self.say(&json!({ "jsonrpc": "2.0", "id": self.id, "method": question.method(), "params": params }));
        self.phase = Phase::Asking(question);
        self.due_ns = now_ns + CALL_NS_MAX;
    }

    fn say(&mut self, message: &Value) {
        // Writing to a Vec does not fail.
        let _ = serde_json::to_writer(&mut self.out, message);
        self.out.push(b'\n');
    }

    /// Asks for the tools, or for the first page of agents when the tool is known.
    fn begin_list(&mut self, now_ns: u64) {
        self.gathered.clear();
        self.pages = 0;
        self.lines = 0;
        if self.tool.is_none() {
            return self.ask(Question::Tools, json!({}), now_ns);
        }
        self.ask_agents(None, now_ns);
    }

    fn ask_agents(&mut self, cursor: Option<&str>, now_ns: u64) {
        let Some(tool) = &self.tool else { return };
        let mut arguments = serde_json::Map::new();
        if let Some(limit) = tool.limit {
            arguments.insert("limit".to_owned(), json!(limit));
        }
        if let Some(cursor) = cursor {
            arguments.insert("cursor".to_owned(), json!(cursor));
        }
        self.ask(Question::Agents, json!({ "name": tool.name, "arguments": arguments }), now_ns);
    }

    fn failed(&mut self, failure: Failure, now_ns: u64) -> Deed {
        let pause_ns = self.breaker.failed();
        self.state.failures += 1;
        self.state.last_error = Some(visible(&failure.why).into());
        self.state.last_error_ns = Some(now_ns);
        self.note();
        self.due_ns = now_ns + pause_ns;
        if failure.close || self.phase == Phase::Connecting {
            self.off();
            return Deed::Close;
        }
        self.phase = Phase::Idle;
        Deed::Go
    }

    fn off(&mut self) {
        self.phase = Phase::Off;
        self.state.connected = false;
        self.out.clear();
        self.tool = None;
    }

    fn note(&mut self) {
        self.state.breaker = self.breaker.state();
        self.state.failures_in_row = self.breaker.failures();
        self.told = false;
    }

    fn answered(
        &mut self,
        question: Question,
        answer: Result<&RawValue, &RawValue>,
        now_ns: u64,
    ) -> Result<(), Failure> {
        self.lines = 0;
        let method = question.method();
        let answer = match (question, answer) {
            (Question::Initialize, Err(_)) => {
                self.modern = true;
                self.ask(Question::Discover, json!({}), now_ns);
                return Ok(());
            }
            (Question::Discover, Err(error)) => {
                self.modern = false;
                return Err(broken(format!("it knows neither initialize nor server/discover: {}", said(error.get()))));
            }
            (_, Err(error)) => return Err(refused(format!("{method} is refused: {}", said(error.get())))),
            (_, Ok(answer)) => answer.get(),
        };
        let unlike = |error: serde_json::Error| broken(format!("the answer to {method} is not what MCP says: {error}"));
        match question {
            Question::Initialize => {
                let agreed: Agreed<'_> = serde_json::from_str(answer).map_err(unlike)?;
                let version = agreed.version.as_deref().unwrap_or("none");
                if Version::from_name(version).is_none_or(Version::is_modern) {
                    return Err(broken(format!("it wants to speak version {:?} of MCP", said(version))));
                }
                self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
                self.begin_list(now_ns);
            }
            Question::Discover => self.begin_list(now_ns),
            Question::Tools => self.take_tools(serde_json::from_str(answer).map_err(unlike)?, now_ns)?,
            Question::Agents => self.take_agents(serde_json::from_str(answer).map_err(unlike)?, now_ns)?,
        }
        Ok(())
    }

    fn take_tools(&mut self, listed: Tools<'_>, now_ns: u64) -> Result<(), Failure> {
        self.pages += 1;
        let wanted = |name: &str| match &self.options.tool {
            Some(tool) => (**tool == *name).then_some(0),
            None => CUSTOMARY_TOOLS.iter().position(|tool| *tool == name),
        };
        let found = listed.tools.iter().filter_map(|row| Some((wanted(&row.name)?, row))).min_by_key(|(rank, _)| *rank);
        if let Some((_, row)) = found {
            let argument =
                |name: &str| row.input_schema.as_ref().and_then(|schema| schema.get("properties")?.get(name));
            let most = |limit: &Value| limit.get("maximum").and_then(Value::as_i64).unwrap_or(LIMIT).clamp(1, LIMIT);
            let is_whole = |limit: &&Value| limit.get("type").is_some_and(|kind| kind == "integer" || kind == "number");
            let tool = Tool {
                name: row.name.as_ref().into(),
                limit: argument("limit").filter(is_whole).map(most),
                cursor: argument("cursor").is_some(),
            };
            self.state.tool = Some(tool.name.clone());
            self.tool = Some(tool);
            self.begin_list(now_ns);
            return Ok(());
        }
        match listed.next_cursor.filter(|cursor| !cursor.is_empty()) {
            Some(cursor) if self.pages < SOURCE_PAGES_MAX => {
                self.ask(Question::Tools, json!({ "cursor": cursor }), now_ns);
                Ok(())
            }
            _ => {
                let wanted = self.options.tool.as_deref().map_or_else(|| CUSTOMARY_TOOLS.join(" or "), str::to_owned);
                Err(refused(format!("it has no tool {wanted}; agents.tool names another")))
            }
        }
    }

    fn take_agents(&mut self, called: Called<'_>, now_ns: u64) -> Result<(), Failure> {
        let text = called.content.iter().find_map(|part| part.text.as_deref());
        let body = called.structured.map(RawValue::get).or(text);
        if called.is_error {
            return Err(refused(format!("the tool failed: {}", said(text.unwrap_or("it does not say why")))));
        }
        let body = body.ok_or_else(|| refused("the tool returned neither structuredContent nor text"))?;
        let answer: Value =
            serde_json::from_str(body).map_err(|_| refused(format!("the tool's text is no JSON: {:?}", said(body))))?;
        let page = answer::page(&answer).map_err(refused)?;
        self.pages += 1;
        self.state.left_out += page.left_out;
        self.gathered.extend(page.agents);
        if self.gathered.len() > SOURCE_AGENTS_MAX {
            return Err(refused(format!(
                "it has more than {SOURCE_AGENTS_MAX} agents, as many as are taken of one source"
            )));
        }
        if let Some(cursor) = page.cursor.filter(|_| self.tool.as_ref().is_some_and(|tool| tool.cursor)) {
            if self.pages >= SOURCE_PAGES_MAX {
                return Err(refused(format!("its list has more than {SOURCE_PAGES_MAX} pages")));
            }
            self.ask_agents(Some(&cursor), now_ns);
            return Ok(());
        }
        self.breaker.succeeded();
        self.phase = Phase::Idle;
        self.due_ns = now_ns + self.options.interval_ns;
        self.state.lists += 1;
        self.state.agents = self.gathered.len();
        self.state.last_success_ns = Some(now_ns);
        self.whole = Some(std::mem::take(&mut self.gathered));
        self.note();
        Ok(())
    }

    fn heard(&mut self, line: &[u8], now_ns: u64) -> Result<(), Failure> {
        let message =
            parse(line).map_err(|(_, error)| broken(format!("it does not speak JSON-RPC: {}", error.message)))?;
        match message {
            Message::Response { id, answer } => match self.phase {
                Phase::Asking(question) if id.get() == self.id.to_string() => self.answered(question, answer, now_ns),
                // An answer to something that nobody asked.
                _ => Ok(()),
            },
            Message::Notification { method, .. } => {
                if method == "notifications/tools/list_changed" {
                    self.tool = None;
                }
                Ok(())
            }
            Message::Request { id, method, .. } => {
                if self.out.len() + id.get().len() > SOURCE_OUTPUT_BYTES_MAX {
                    return Err(broken("it asks and does not read"));
                }
                self.say(&match &*method {
                    "ping" => json!({ "jsonrpc": "2.0", "id": id, "result": {} }),
                    _ => {
                        let error = json!({ "code": super::code::METHOD, "message": "this client offers nothing" });
                        json!({ "jsonrpc": "2.0", "id": id, "error": error })
                    }
                });
                Ok(())
            }
        }
    }
}

impl Dialogue for Source {
    type Report = SourceReport;

    fn address(&self) -> &str {
        &self.options.address
    }

    fn due_ns(&self) -> u64 {
        self.due_ns
    }

    fn turn(&mut self, now_ns: u64) -> Deed {
        if now_ns < self.due_ns {
            return Deed::Go;
        }
        match self.phase {
            Phase::Off => {
                self.breaker.attempt();
                self.phase = Phase::Connecting;
                self.due_ns = now_ns + CONNECT_NS_MAX;
                self.note();
                Deed::Connect
            }
            Phase::Connecting => self.failed(broken("no connection within 5 s"), now_ns),
            Phase::Asking(question) => {
                self.failed(broken(format!("no answer to {} within 10 s", question.method())), now_ns)
            }
            Phase::Idle => {
                self.breaker.attempt();
                self.note();
                self.begin_list(now_ns);
                Deed::Go
            }
        }
    }

    fn connected(&mut self, now_ns: u64) {
        self.state.connected = true;
        self.state.connections += 1;
        self.modern = false;
        self.tool = None;
        self.lines = 0;
        self.note();
        let params = json!({
            "protocolVersion": Version::LAST_LEGACY.name(),
            "capabilities": {},
            "clientInfo": client_info(),
        });
        self.ask(Question::Initialize, params, now_ns);
    }

    fn lost(&mut self, why: &str, now_ns: u64) {
        match self.phase {
            Phase::Connecting => {
                self.failed(broken(why), now_ns);
            }
            Phase::Asking(question) => {
                self.failed(broken(format!("{why} while {} waited for its answer", question.method())), now_ns);
            }
            // Nobody waited for anything: it is called again when it is time.
            Phase::Idle => {
                self.off();
                self.note();
            }
            Phase::Off => {}
        }
    }

    fn line(&mut self, line: Option<&[u8]>, now_ns: u64) -> Deed {
        self.lines += 1;
        let heard = match line {
            None => Err(broken(format!("a line of more than {} bytes", crate::limits::MCP_LINE_BYTES_MAX))),
            Some(_) if self.lines > SOURCE_LINES_MAX => {
                Err(broken(format!("more than {SOURCE_LINES_MAX} messages between two answers")))
            }
            Some(line) => self.heard(line, now_ns),
        };
        match heard {
            Ok(()) => Deed::Go,
            Err(failure) => self.failed(failure, now_ns),
        }
    }

    fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn report(&mut self) -> Option<SourceReport> {
        let agents = self.whole.take();
        let is_news = !std::mem::replace(&mut self.told, true);
        (is_news || agents.is_some()).then(|| SourceReport { source: self.index, state: self.state.clone(), agents })
    }
}

fn client_info() -> Value {
    json!({ "name": "swarmcast", "version": env!("CARGO_PKG_VERSION") })
}

/// The beginning of what somebody else said.
fn said(text: &str) -> String {
    text.chars().take(SAID_MAX).collect()
}

/// Without what a terminal would take for an order.
fn visible(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests;

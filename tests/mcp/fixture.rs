//! The server that the official conformance suite of MCP talks to: our doors, our sessions, and tools, resources and prompts that
//! the suite asks for and no product has.
//!
//! Method: `control` is a stub over [`Talks`]; there is no graph. Prints the URL of HTTP and the address of TCP and runs until its
//! input ends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use swarmcast::base::Handle;
use swarmcast::handoff::{AgentsTurn, Consumer, Doorbell, McpEvent, McpReply, Overflow, Producer, lane};
use swarmcast::mcp::{
    Ask, Call, CallKey, Catalogue, Line, Principal, Reply, RpcError, Scopes, Server, Step, Talks, Version, code,
};
use swarmcast::metrics::{Health, Metrics};
use swarmcast::net::{
    Door, DoorLanes, DoorOptions, FixedPages, McpDoor, McpLanes, McpListeners, Patience, SocketOptions, poll_with_bell,
};

/// One red pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// No sound, in one sample.
const WAV: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA==";

const TICK: Duration = Duration::from_millis(50);

/// What a tool does in time.
enum Act {
    Progress(f64),
    Log(&'static str),
    Finish(Result<Reply, RpcError>),
}

struct Job {
    due: Instant,
    talk: Handle,
    key: CallKey,
    act: Act,
}

/// How an answer of the client becomes the answer of the tool.
type Told = fn(Result<&Value, &Value>) -> Reply;

struct Fixture {
    server: Server,
    talks: Talks,
    jobs: Vec<Job>,
    asked: HashMap<String, (Handle, CallKey, Told)>,
    questions: u64,
}

fn content(blocks: Value) -> Reply {
    members("complete", json!({ "content": blocks }))
}

fn text(said: impl Into<String>) -> Reply {
    content(json!([{ "type": "text", "text": said.into() }]))
}

fn failed(said: &str) -> Reply {
    members("complete", json!({ "content": [{ "type": "text", "text": said }], "isError": true }))
}

/// The members of an object, as they stand on the wire.
fn members(kind: &'static str, object: Value) -> Reply {
    let whole = object.to_string();
    Reply::Members { kind, members: whole[1..whole.len() - 1].to_owned() }
}

fn elicit(message: &str, properties: Value, required: &[&str]) -> Value {
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    json!({ "method": "elicitation/create", "params": { "mode": "form", "message": message, "requestedSchema": schema } })
}

fn sample(prompt: &str, tokens: u32) -> Value {
    let messages = json!([{ "role": "user", "content": { "type": "text", "text": prompt } }]);
    json!({ "method": "sampling/createMessage", "params": { "messages": messages, "maxTokens": tokens } })
}

fn input_required(requests: Value, state: Option<String>) -> Reply {
    let mut object = json!({ "inputRequests": requests });
    if let Some(state) = state {
        object["requestState"] = state.into();
    }
    members("input_required", object)
}

fn named(message: &'static str) -> Value {
    elicit(message, json!({ "name": { "type": "string" } }), &["name"])
}

impl Fixture {
    fn new() -> Self {
        let catalogue = Catalogue::new(include_str!("fixture.json")).unwrap();
        let everybody = Principal { name: "everybody".into(), scopes: Scopes::READ };
        Self {
            server: Server::with(catalogue, "conformance", "1.0.0", [7; 32]),
            talks: Talks::new(everybody.clone(), Some(everybody)),
            jobs: Vec::new(),
            asked: HashMap::new(),
            questions: 0,
        }
    }

    fn run(
        mut self,
        (mut events, mut replies): (Consumer<McpEvent>, Producer<McpReply>),
        bell: &Doorbell,
        stop: &AtomicBool,
    ) {
        let began = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let now_ns = began.elapsed().as_nanos() as u64;
            while let Some(event) = events.pop() {
                if let Some(talk) = self.talks.event(&self.server, event, now_ns) {
                    self.jobs.retain(|job| job.talk != talk);
                }
            }
            while let Some(line) = self.talks.next_line(now_ns) {
                self.line(&line);
            }
            self.work();
            self.talks.notify(&Default::default(), now_ns);
            self.talks.send(|reply| replies.push(reply).map(|_| ()));
            bell.arm();
            if events.is_empty() {
                thread::park_timeout(Duration::from_millis(if self.jobs.is_empty() { 100 } else { 1 }));
            }
            bell.disarm();
        }
    }

    fn line(&mut self, line: &Line) {
        let step = self.talks.feed(&self.server, line);
        match step {
            Step::Call(call) => self.call(line, &call),
            Step::Cancel(key) => self.jobs.retain(|job| (job.talk, job.key) != (line.talk, key)),
            Step::Answered { id, answer } => {
                let id: String = serde_json::from_str(id.get()).unwrap_or_default();
                let Some((talk, key, told)) = self.asked.remove(&id) else { return };
                let value = |raw: &serde_json::value::RawValue| serde_json::from_str::<Value>(raw.get()).unwrap();
                let reply = match answer {
                    Ok(result) => told(Ok(&value(result))),
                    Err(error) => told(Err(&value(error))),
                };
                self.talks.finish(&self.server, talk, key, &Ok(reply));
            }
            Step::Done | Step::Refused(_) | Step::Close => {}
        }
    }

    fn work(&mut self) {
        let now = Instant::now();
        let mut due: Vec<Job> = self.jobs.extract_if(.., |job| job.due <= now).collect();
        due.sort_by_key(|job| job.due);
        for Job { talk, key, act, .. } in due {
            match act {
                Act::Progress(done) => self.talks.progress(talk, key, done, Some(100.0)),
                Act::Log(said) => self.talks.say(talk, key, &log(said)),
                Act::Finish(result) => self.talks.finish(&self.server, talk, key, &result),
            }
        }
    }

    fn call(&mut self, line: &Line, call: &Call<'_>) {
        let params = call.params.map_or(json!({}), |raw| serde_json::from_str(raw.get()).unwrap());
        let result = match &call.ask {
            Ask::Tool { tool, arguments } => {
                let name = self.server.catalogue.tools()[*tool].name.to_string();
                let arguments: Value = serde_json::from_str(arguments).unwrap();
                match self.tool(line, call, &name, &arguments, &params) {
                    Some(result) => result,
                    None => return,
                }
            }
            Ask::Resource { uri } => resource(uri),
            Ask::Prompt { name, arguments } => {
                let arguments: Value = serde_json::from_str(arguments).unwrap();
                Ok(prompt(name, &arguments, &params["inputResponses"]))
            }
            Ask::Complete { name, value, .. } => {
                let known = ["paris", "park", "party"].map(str::to_owned);
                let fit = known.into_iter().filter(|known| name.starts_with("arg") && known.starts_with(&**value));
                let values: Vec<String> = fit.collect();
                Ok(Reply::Completion { total: values.len(), values })
            }
        };
        self.talks.answer(&self.server, line, call, &result);
    }

    /// What a tool does; `None` when it is answered later.
    fn tool(
        &mut self,
        line: &Line,
        call: &Call<'_>,
        name: &str,
        arguments: &Value,
        params: &Value,
    ) -> Option<Result<Reply, RpcError>> {
        let resource = |uri: &str, mime: &str, said: &str| json!({ "type": "resource", "resource": { "uri": uri, "mimeType": mime, "text": said } });
        let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png" });
        Some(Ok(match name {
            "test_simple_text" | "test_custom_headers" | "json_schema_2020_12_tool" => {
                text("This is a simple text response for testing.")
            }
            "test_image_content" => content(json!([image])),
            "test_audio_content" => content(json!([{ "type": "audio", "data": WAV, "mimeType": "audio/wav" }])),
            "test_embedded_resource" => content(json!([resource(
                "test://embedded-resource",
                "text/plain",
                "This is an embedded resource content."
            )])),
            "test_multiple_content_types" => content(json!([
                { "type": "text", "text": "Multiple content types test:" },
                image,
                resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
            ])),
            "test_error_handling" => failed("This tool intentionally returns an error for testing"),
            "test_tool_with_logging" => {
                let said = ["Tool execution started", "Tool processing data", "Tool execution completed"];
                let logs = call.version < Version::V2026_07_28;
                self.later(line, call, said.into_iter().filter(|_| logs).map(Act::Log), text("logged"));
                return None;
            }
            "test_logging_tool" => {
                let level = &params["_meta"]["io.modelcontextprotocol/logLevel"];
                let logs = call.version < Version::V2026_07_28 || level.is_string();
                self.later(line, call, ["logged"].into_iter().filter(|_| logs).map(Act::Log), text("logged"));
                return None;
            }
            "test_tool_with_progress" => {
                self.later(line, call, [0.0, 50.0, 100.0].into_iter().map(Act::Progress), text("done"));
                return None;
            }
            "test_missing_capability" => {
                let has = params["_meta"]["io.modelcontextprotocol/clientCapabilities"]["sampling"].is_object();
                if has {
                    return Some(Ok(text("the client samples")));
                }
                let needed = json!({ "requiredCapabilities": { "sampling": {} } });
                return Some(Err(RpcError::new(code::CAPABILITY, "this tool needs sampling").with(needed)));
            }
            "test_sampling"
            | "test_elicitation"
            | "test_elicitation_sep1034_defaults"
            | "test_elicitation_sep1330_enums"
            | "test_streaming_elicitation" => {
                return self.question(line, call, name, arguments, params);
            }
            _ => return Some(self.rounds(name, params)),
        }))
    }

    /// Acts 50 ms apart, then the answer.
    fn later(&mut self, line: &Line, call: &Call<'_>, acts: impl Iterator<Item = Act>, reply: Reply) {
        let (talk, key) = (line.talk, self.talks.defer(line, call));
        let mut due = Instant::now();
        for act in acts.chain([Act::Finish(Ok(reply))]) {
            self.jobs.push(Job { due, talk, key, act });
            due += TICK;
        }
    }

    /// Asks the client of an era with requests of the server.
    fn question(
        &mut self,
        line: &Line,
        call: &Call<'_>,
        name: &str,
        arguments: &Value,
        params: &Value,
    ) -> Option<Result<Reply, RpcError>> {
        let (mut question, told): (Value, Told) = match name {
            "test_sampling" => (sample(arguments["prompt"].as_str().unwrap_or(""), 100), |answer| match answer {
                Ok(result) => text(format!("LLM response: {}", result["content"]["text"].as_str().unwrap_or(""))),
                Err(error) => failed(&error.to_string()),
            }),
            "test_elicitation" | "test_streaming_elicitation" => {
                let properties = json!({
                    "username": { "type": "string", "description": "User's response" },
                    "email": { "type": "string", "description": "User's email address" },
                });
                let message = arguments["message"].as_str().unwrap_or("Who are you?");
                (elicit(message, properties, &["username", "email"]), |answer| match answer {
                    Ok(result) => {
                        let (action, given) = (result["action"].as_str().unwrap_or(""), &result["content"]);
                        text(format!("User response: action: {action}, content: {given}"))
                    }
                    Err(error) => failed(&error.to_string()),
                })
            }
            _ => {
                let properties = if name.ends_with("defaults") { defaults() } else { enums() };
                (elicit("Please fill this in", properties, &[]), |answer| match answer {
                    Ok(result) => {
                        let (action, given) = (result["action"].as_str().unwrap_or(""), &result["content"]);
                        text(format!("Elicitation completed: action={action}, content={given}"))
                    }
                    Err(error) => failed(&error.to_string()),
                })
            }
        };
        if call.version.is_modern() {
            let answers = &params["inputResponses"];
            return Some(Ok(match answers.get("question") {
                Some(answer) => told(Ok(answer)),
                None => input_required(json!({ "question": question }), None),
            }));
        }
        if call.version < Version::V2025_11_25 {
            question["params"].as_object_mut().unwrap().remove("mode");
        }
        let key = self.talks.defer(line, call);
        self.questions += 1;
        let id = format!("question-{}", self.questions);
        question["jsonrpc"] = "2.0".into();
        question["id"] = id.clone().into();
        self.asked.insert(id, (line.talk, key, told));
        self.talks.say(line.talk, key, &question.to_string());
        None
    }

    /// Tools of 2026-07-28 that need more than one round.
    fn rounds(&self, name: &str, params: &Value) -> Result<Reply, RpcError> {
        let answers = &params["inputResponses"];
        let state = params["requestState"].as_str();
        let answered = |key: &str| answers.get(key).filter(|answer| answer.is_object());
        let name_of = |key: &str| answered(key).and_then(|it| it["content"]["name"].as_str()).map(str::to_owned);
        let sign = |round: u64| Some(self.server.sign("everybody", name, round));
        let round = match state.map(|state| self.server.verify("everybody", name, state)) {
            Some(None) => {
                return Err(RpcError::new(code::PARAMS, "this requestState was not given out by this server"));
            }
            Some(round) => round,
            None => None,
        };
        let confirm = elicit("Please confirm", json!({ "ok": { "type": "boolean" } }), &["ok"]);
        let roots = json!({ "method": "roots/list", "params": {} });
        let short = name.trim_start_matches("test_input_required_result_");
        Ok(match short {
            "elicitation" => match name_of("user_name") {
                Some(name) => text(format!("Hello, {name}!")),
                None => input_required(json!({ "user_name": named("What is your name?") }), None),
            },
            "sampling" => match answered("capital_question") {
                Some(answer) => text(answer["content"]["text"].as_str().unwrap_or("").to_owned()),
                None => {
                    input_required(json!({ "capital_question": sample("What is the capital of France?", 100) }), None)
                }
            },
            "list_roots" => match answered("client_roots") {
                Some(answer) => text(format!("roots: {}", answer["roots"])),
                None => input_required(json!({ "client_roots": roots }), None),
            },
            "request_state" | "tampered_state" => match (round, answered("confirm")) {
                (Some(_), Some(_)) => text("state-ok"),
                _ => input_required(json!({ "confirm": confirm }), sign(1)),
            },
            "multiple_inputs" => {
                let all = ["user_name", "greeting", "client_roots"].iter().all(|key| answered(key).is_some());
                match all && round.is_some() {
                    true => text("all of it came"),
                    false => input_required(
                        json!({
                            "user_name": named("What is your name?"),
                            "greeting": sample("Generate a greeting", 50),
                            "client_roots": roots,
                        }),
                        sign(1),
                    ),
                }
            }
            "multi_round" => match (round, answered("step1"), answered("step2")) {
                (Some(2), _, Some(_)) => text("both steps are done"),
                (Some(1), Some(_), _) => {
                    let color = json!({ "color": { "type": "string" } });
                    let asks = elicit("Step 2: What is your favorite color?", color, &["color"]);
                    input_required(json!({ "step2": asks }), sign(2))
                }
                _ => input_required(json!({ "step1": named("Step 1: What is your name?") }), sign(1)),
            },
            "capabilities" => {
                let has = &params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
                let mut asks = json!({});
                if has["sampling"].is_object() {
                    asks["sample"] = sample("Say something", 20);
                }
                if has["elicitation"].is_object() {
                    asks["user_name"] = named("What is your name?");
                }
                let wanted = asks.as_object().unwrap();
                match wanted.is_empty() || wanted.keys().all(|key| answered(key).is_some()) {
                    true => text("the client can do no more"),
                    false => input_required(asks, None),
                }
            }
            _ => failed("there is no such tool"),
        })
    }
}

fn log(said: &str) -> String {
    let params = json!({ "level": "info", "logger": "conformance", "data": said });
    json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params }).to_string()
}

fn defaults() -> Value {
    json!({
        "name": { "type": "string", "default": "John Doe" },
        "age": { "type": "integer", "default": 30 },
        "score": { "type": "number", "default": 95.5 },
        "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
        "verified": { "type": "boolean", "default": true },
    })
}

fn enums() -> Value {
    let titled = |value: &str, title: &str| json!({ "const": value, "title": title });
    let options = ["option1", "option2", "option3"];
    let choices =
        [titled("value1", "First Choice"), titled("value2", "Second Choice"), titled("value3", "Third Choice")];
    let single =
        [titled("value1", "First Option"), titled("value2", "Second Option"), titled("value3", "Third Option")];
    json!({
        "untitledSingle": { "type": "string", "enum": options },
        "titledSingle": { "type": "string", "oneOf": single },
        "legacyEnum": {
            "type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": { "type": "array", "items": { "type": "string", "enum": options } },
        "titledMulti": { "type": "array", "items": { "anyOf": choices } },
    })
}

fn resource(uri: &str) -> Result<Reply, RpcError> {
    let of = |mime: &str, member: &str, said: &str| {
        let contents = json!([{ "uri": uri, "mimeType": mime, member: said }]);
        // Revisions that know no caching leave what they do not know alone.
        Ok(members("complete", json!({ "contents": contents, "ttlMs": 0, "cacheScope": "private" })))
    };
    match uri {
        "test://static-text" => of("text/plain", "text", "This is the content of the static text resource."),
        "test://static-binary" => of("image/png", "blob", PNG),
        "test://watched-resource" => of("text/plain", "text", "This may change."),
        _ => match uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data")) {
            Some(id) => {
                let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
                of("application/json", "text", &data.to_string())
            }
            None => Err(RpcError::new(code::RESOURCE, "there is no such resource").with(json!({ "uri": uri }))),
        },
    }
}

fn prompt(name: &str, arguments: &Value, answers: &Value) -> Reply {
    let user = |content: Value| json!({ "role": "user", "content": content });
    let said = |said: &str| user(json!({ "type": "text", "text": said }));
    let messages = match name {
        "test_simple_prompt" => json!([said("This is a simple prompt for testing.")]),
        "test_prompt_with_arguments" => {
            let (first, second) = (arguments["arg1"].as_str().unwrap_or(""), arguments["arg2"].as_str().unwrap_or(""));
            json!([said(&format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))])
        }
        "test_prompt_with_embedded_resource" => {
            let inner = json!({
                "uri": arguments["resourceUri"], "mimeType": "text/plain", "text": "Embedded resource content for testing.",
            });
            let resource = json!({ "type": "resource", "resource": inner });
            json!([user(resource), said("Please process the embedded resource above.")])
        }
        "test_prompt_with_image" => {
            let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png" });
            json!([user(image), said("Please analyze the image above.")])
        }
        _ => match answers["user_context"]["content"]["context"].as_str() {
            Some(context) => json!([said(&format!("The context is {context}."))]),
            None => {
                let asks = elicit(
                    "What context should the prompt use?",
                    json!({ "context": { "type": "string" } }),
                    &["context"],
                );
                return input_required(json!({ "user_context": asks }), None);
            }
        },
    };
    members("complete", json!({ "description": name, "messages": messages }))
}

/// What agents ask is answered by its own thread, always.
struct OwnThread;

impl AgentsTurn for OwnThread {
    fn try_take(&self) -> Option<bool> {
        None
    }
}

fn main() {
    let metrics = Arc::new(Metrics::new(1));
    let quiet = Arc::new(Doorbell::silent());
    let stop = Arc::new(AtomicBool::new(false));
    let (ready, is_ready) = std::sync::mpsc::channel();
    let (mcp_poll, mcp_bell) = poll_with_bell().unwrap();
    let (door_poll, door_bell) = poll_with_bell().unwrap();
    let (mut stop_door, door_stop) = lane("main->door.stop", 1, Overflow::Refuse, Arc::clone(&door_bell));
    let (mut stop_mcp, mcp_stop) = lane("main->mcp.stop", 1, Overflow::Refuse, Arc::clone(&mcp_bell));
    let (adopt, adopted) = lane("door->mcp.connection", 64, Overflow::Refuse, Arc::clone(&mcp_bell));
    let (back, taken_back) = lane("mcp->door.connection", 64, Overflow::Refuse, Arc::clone(&door_bell));
    let (replies, replies_in) = lane("control->mcp.reply", 1_024, Overflow::Refuse, Arc::clone(&mcp_bell));
    let stopped = Arc::clone(&stop);
    let control = thread::spawn(move || {
        let own = thread::current();
        let bell = Arc::new(Doorbell::new(Box::new(move || own.unpark())));
        let (events_out, events) = lane("mcp->control.event", 1_024, Overflow::Refuse, Arc::clone(&bell));
        ready.send(events_out).unwrap();
        Fixture::new().run((events, replies), &bell, &stopped);
    });
    let events = is_ready.recv().unwrap();

    let listen = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    };
    let ((http, http_address), (tcp, tcp_address)) = (listen(), listen());
    let listeners = McpListeners { tcp: Some(tcp), unix: None };
    let lanes = McpLanes { events, replies: replies_in, adopted, back, stop: mcp_stop };
    let mcp =
        McpDoor::new(mcp_poll, mcp_bell, listeners, lanes, false, Arc::clone(&metrics), Arc::new(OwnThread)).unwrap();
    let mcp = thread::spawn(move || mcp.run().unwrap());

    let (requests, _requests_in) = lane("door->control.request", 64, Overflow::Refuse, Arc::clone(&quiet));
    let (_answers, answers_in) = lane("control->door.reply", 64, Overflow::Refuse, Arc::clone(&door_bell));
    let options = DoorOptions {
        handshake_ns_max: 5_000_000_000,
        hold_max: 64,
        hold_ns_max: 1_000_000_000,
        socket: SocketOptions {
            notsent_lowat_bytes: None,
            send_buffer_bytes: None,
            patience: Patience::default(),
            stall_ns_max: 60_000_000_000,
        },
        trust_any_host: false,
        pages: FixedPages { viewer: b"", openapi: "" },
    };
    let lanes = DoorLanes {
        requests,
        replies: answers_in,
        adopt: Vec::new(),
        agents: Some((adopt, taken_back)),
        stop: door_stop,
    };
    let health = Arc::new(Health::default());
    let door = Door::new(door_poll, door_bell, http, None, lanes, options, metrics, health).unwrap();
    let door = thread::spawn(move || door.run().unwrap());
    println!("http://{http_address}/mcp\n{tcp_address}");

    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let _ = (stop_door.push(()), stop_mcp.push(()));
    stop.store(true, Ordering::Relaxed);
    control.thread().unpark();
    for thread in [control, mcp, door] {
        thread.join().unwrap();
    }
}

//! The engine as MCP sees it, in one thread: a graph, a server, connections; every call is run where it is asked.
#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use swarmcast::analytics::Unwatched;
use swarmcast::base::clock::monotonic_ns;
use swarmcast::graph::formats::ImportOptions;
use swarmcast::graph::{Batch, Graph, GraphBuilder, GraphLimits, Pending, Value as Property};
use swarmcast::mcp::{
    Agents, Audience, Body, Bounds, Caller, Errand, Exports, Looked, Next, Plan, Principal, Recent, Refusal, Reply,
    RpcError, Scopes, Server, Session, SimFacts, SimulationChange, Society, Stage, Step, Stepped, Stepping, ToolError,
    Uploads, View, app, compared, imported, look, plan, reply, restored, snapshot_shown, steered,
};
use swarmcast::worker::{Meeting, Ticket, read_file, write_file};

pub const TOKEN: &str = "a token of the test";

const LIMITS: GraphLimits = GraphLimits { nodes: 10_000, edges: 20_000 };

pub struct Engine {
    pub graph: Graph,
    pub positions: Vec<[f32; 3]>,
    pub server: Server,
    pub sim: SimFacts,
    pub recent: Recent,
    pub agents: Agents,
    pub revision: u64,
    pub now_ns: u64,
    pub steered: Vec<SimulationChange>,
    pub snapshot: Graph,
    exports: Exports,
    uploads: Uploads,
    society: Society,
    pub stage: Stage,
    random: [u8; 16],
    pending: Pending,
}

pub fn me() -> Principal {
    Principal { name: "tester".into(), scopes: Scopes::ALL }
}

impl Engine {
    pub fn new(graph: Graph) -> Self {
        Self::with_sets(graph, &["core"])
    }

    /// An engine that offers the tools of these sets.
    pub fn with_sets(graph: Graph, sets: &[&str]) -> Self {
        let mut server = Server::new("9.9.9", [7; 32], sets).unwrap();
        server.add_token(TOKEN, me());
        let positions = (0..graph.nodes().len()).map(|node| [node as f32, (node * node % 17) as f32, 1.0]).collect();
        let sim = SimFacts { running: true, layout: "force_directed", tick_hz: 60.0, ..SimFacts::default() };
        Self {
            graph,
            positions,
            server,
            sim,
            recent: Recent::at(0),
            agents: Agents::default(),
            revision: 0,
            now_ns: 1,
            steered: Vec::new(),
            snapshot: Graph::default(),
            exports: Exports::default(),
            uploads: Uploads::default(),
            society: Society::default(),
            stage: Stage::default(),
            random: [0; 16],
            pending: Pending::default(),
        }
    }

    /// The same as [`Self::sample`], with the tools of every set.
    pub fn complete(n: usize) -> Self {
        let sets: Vec<&str> = swarmcast::mcp::Catalogue::set_names().collect();
        Self::with_sets(Self::sample(n).graph, &sets)
    }

    /// A ring of `n` nodes "n0".. with a hub, types, groups and properties.
    pub fn sample(n: usize) -> Self {
        let mut builder = GraphBuilder::new(LIMITS.nodes, LIMITS.edges);
        let all: Vec<_> = (0..n).map(|node| builder.node(&format!("n{node}")).unwrap()).collect();
        for (node, index) in all.iter().enumerate() {
            let row = builder.node_mut(*index).unwrap();
            row.label = format!("Node {node}").into();
            row.group = Some(if node % 2 == 0 { "even" } else { "odd" }.into());
            row.attributes = vec![
                ("rank".into(), Property::Int(node as i64)),
                ("note".into(), Property::Text("a < b & \u{202e}c".into())),
            ];
        }
        for node in 0..n {
            let edge = builder.edge(all[node], all[(node + 1) % n], 1.0 + node as f64, true).unwrap();
            edge.relation = Some("next".into());
            if node % 3 == 0 && node > 0 {
                builder.edge(all[0], all[node], 2.0, false).unwrap().relation = Some("spoke".into());
            }
        }
        Self::new(builder.finish())
    }

    pub fn view(&self) -> View<'_> {
        View {
            graph: &self.graph,
            positions: Some(&self.positions),
            tick: Some(42),
            revision: self.revision,
            sim: &self.sim,
            recent: &self.recent,
            agents: self.agents.rows(),
            stage: &self.stage,
            side: None,
            graph_limits: (LIMITS.nodes, LIMITS.edges),
        }
    }

    /// Makes a batch true.
    pub fn commit(
        &mut self,
        batch: &swarmcast::graph::Batch,
    ) -> Result<Vec<swarmcast::graph::Outcome>, swarmcast::graph::OpError> {
        let staged = self.pending.stage(&self.graph, batch, LIMITS)?;
        self.pending.settle();
        self.graph.commit(&staged.changes);
        self.positions.resize(self.graph.nodes().len(), [0.0; 3]);
        self.revision += 1;
        self.recent.push(self.revision, &batch.author, &staged.changes);
        Ok(staged.outcomes)
    }

    /// Feeds a line to a connection; what it sends, line by line, as JSON. `None` when it is closed.
    pub fn say(&mut self, session: &mut Session, line: &str) -> Option<Vec<Value>> {
        self.feed(session, line.as_bytes()).map(|out| lines(&out))
    }

    /// The same in bytes.
    pub fn feed(&mut self, session: &mut Session, line: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let step = session.feed(&self.server, line, &mut out);
        match step {
            Step::Done | Step::Refused(_) | Step::Answered { .. } | Step::Cancel(_) => {}
            Step::Close => return None,
            Step::Call(call) => {
                let principal = call.principal.clone();
                let planned = {
                    let view = View {
                        agents: self.agents.rows(),
                        stage: &self.stage,
                        side: None,
                        graph: &self.graph,
                        positions: Some(&self.positions),
                        tick: Some(42),
                        revision: self.revision,
                        sim: &self.sim,
                        recent: &self.recent,
                        graph_limits: (1, 1),
                    };
                    plan(&self.server, &call.ask, &principal, &view)
                };
                let result = match planned {
                    Err(error) => Ok(reply(Err(error))),
                    Ok(Plan::Read { .. } | Plan::Wait { .. }) => {
                        let bounds = Bounds::new(&self.server, &principal.name, &Unwatched, monotonic_ns);
                        match look(&self.server, &call.ask, &self.view(), &bounds) {
                            Ok(Looked::Reply(reply)) => Ok(reply),
                            Ok(Looked::Write(write)) => Ok(reply(self.write(&write))),
                            Err(error) => Err(error),
                        }
                    }
                    Ok(Plan::Write(write)) => Ok(reply(self.write(&write))),
                    Ok(Plan::Steer(change)) => {
                        self.sim.running = change.running.unwrap_or(self.sim.running);
                        self.steered.push(change);
                        Ok(reply(steered(&self.view(), &json!({}), false)))
                    }
                    Ok(Plan::Among(among)) => {
                        let mut society = std::mem::take(&mut self.society);
                        self.random[0] = self.random[0].wrapping_add(1);
                        let now_ms = self.now_ns / 1_000_000;
                        let caller = Caller {
                            by: &principal.name,
                            random: self.random,
                            now_ns: self.now_ns,
                            now_ms,
                            may_wait: false,
                        };
                        let done = match society.obey(&among, &self.view(), &self.agents, &caller) {
                            Ok(Next::Done(done)) => done,
                            Ok(Next::Write(write)) => self.write(&write),
                            Ok(Next::Wait { .. }) => Err(ToolError::new("it would wait, and was told not to")),
                            Err(error) => Err(error),
                        };
                        self.society = society;
                        Ok(reply(done))
                    }
                    Ok(Plan::Errand(Errand::Describe { snapshot, uri })) => {
                        let body = snapshot_shown(&snapshot, &self.snapshot, 7, 1, 2);
                        let body = Body::Text(body);
                        Ok(Reply::Resource { uri: uri.into(), mime: "application/json", body, ttl_ms: 0, meta: None })
                    }
                    Ok(Plan::Errand(Errand::Names { typed })) => {
                        let values: Vec<String> = [format!("{typed}1")].into();
                        Ok(Reply::Completion { total: 1, values })
                    }
                    Ok(Plan::Errand(errand)) => Ok(reply(self.errand(errand, &principal.name))),
                    Ok(Plan::App) => Ok(app("http://127.0.0.1:7400/")),
                    Ok(Plan::Stage(asked)) => {
                        let audience = Audience {
                            by: &principal.name,
                            now_ms: self.now_ns / 1_000_000,
                            revision: self.revision,
                            page: "http://127.0.0.1:7400/",
                            viewers: 2,
                        };
                        Ok(reply(self.stage.obey(&asked, &audience)))
                    }
                    // What of the engine itself is measured and kept is not here: tests over sockets see it.
                    Ok(Plan::Stats) => Ok(reply(Err(ToolError::new("there is no engine")))),
                    Ok(Plan::Exported { name, part, uri }) => self
                        .exports
                        .read(&name, part, &principal.name, &uri, self.now_ns)
                        .ok_or_else(|| RpcError::no_resource(&uri)),
                    Ok(Plan::Step(stepping)) => {
                        self.sim.settled = true;
                        let ticks = stepping.ticks.unwrap_or(7);
                        Ok(reply(Stepping::answer(Stepped { ticks, timed_out: false, us: 9 }, &self.view())))
                    }
                    Ok(Plan::Register(asked)) => {
                        let now = (self.now_ns, self.now_ns / 1_000_000);
                        let made = self.agents.register(&asked, &principal.name, [3; 16], now, self.revision);
                        self.agents.refresh();
                        Ok(reply(made.map(|made| tool_result(&made))))
                    }
                    Ok(Plan::Report(asked)) => {
                        let now = (self.now_ns, self.now_ns / 1_000_000);
                        let taken = self.agents.report(&asked, &principal.name, &self.graph, now, self.revision);
                        self.agents.refresh();
                        Ok(reply(taken.map(|taken| tool_result(&taken))))
                    }
                };
                session.answer(&self.server, &call, &result, &mut out);
            }
        }
        Some(out)
    }

    /// What `files` and the store do, with the graph of another time in the place of every snapshot.
    fn errand(&mut self, errand: Errand, author: &str) -> swarmcast::mcp::Done {
        match errand {
            Errand::Snapshot { name } => {
                self.snapshot = self.graph.clone();
                let name = name.as_deref().unwrap_or("unnamed");
                Ok(tool_result(
                    &json!({ "name": name, "version": self.revision, "bytes": 1, "revision": self.revision }),
                ))
            }
            Errand::Restore { snapshot, dry_run, if_revision } => {
                let at = if_revision.unwrap_or(self.revision);
                let write = restored(&snapshot, &self.graph, &self.snapshot, author, at, dry_run, &mut |_| true)?;
                self.write(&write)
            }
            Errand::Diff { from, to, limit } => {
                let after = if to.is_some() { &self.snapshot } else { &self.graph };
                let names = (&*from, to.as_deref().unwrap_or("now"));
                compared(names, &self.snapshot, after, limit, self.revision, &mut |_| true)
            }
            Errand::Describe { .. } | Errand::Names { .. } => Err(ToolError::new("this is no tool")),
            Errand::Upload { upload, data } => {
                self.random[1] = self.random[1].wrapping_add(1);
                let whose = author.into();
                let (name, bytes) = self.uploads.take(upload.as_deref(), &data, &whose, &self.random, self.now_ns)?;
                let revision = self.revision;
                Ok(tool_result(&json!({ "upload": name, "bytes": bytes, "dry_run": false, "revision": revision })))
            }
            Errand::Import { format, data, upload, replace, skip_bad, if_revision, dry_run } => {
                let data = match upload {
                    None => data.into_string(),
                    Some(name) => self.uploads.end(&name, &data, &author.into(), dry_run, self.now_ns)?,
                };
                let (nodes_max, edges_max) = (LIMITS.nodes, LIMITS.edges);
                let options = ImportOptions { format, skip_bad, vault_all_pages: false, nodes_max, edges_max };
                let meeting = if replace { Meeting::Replace } else { Meeting::Merge };
                let terms = Batch { if_version: if_revision, author: author.into(), ..Batch::default() };
                let read = read_file(
                    &self.graph,
                    self.revision,
                    data.as_bytes(),
                    &options,
                    meeting,
                    terms,
                    &Ticket::default(),
                );
                let (batch, format, remarks) = read.map_err(ToolError::new)?;
                let about = json!({
                    "format": format.to_string(), "skipped": remarks.skipped, "skipped_count": remarks.skipped_count,
                    "warnings": remarks.warnings,
                });
                let write = imported(batch, &self.graph, about, dry_run);
                self.write(&write)
            }
            Errand::Export { format, part, .. } => {
                let part = part.map(|part| part.cut_out(&self.graph, None)).transpose()?;
                let graph = part.as_ref().map_or(&self.graph, |(part, _)| part);
                let (body, losses) = write_file(graph, None, format).map_err(ToolError::new)?;
                let mut random = [0; 16];
                random[0] = self.revision as u8;
                let kept = self.exports.keep(&random, author.into(), body, format.media_type(), self.now_ns)?;
                Ok(tool_result(&json!({
                    "format": format.name(), "bytes": kept.bytes, "uri": kept.uris[0], "parts": kept.uris,
                    "losses": losses, "expires_s": kept.expires_s, "revision": self.revision,
                })))
            }
        }
    }

    fn write(&mut self, write: &swarmcast::mcp::Write) -> swarmcast::mcp::Done {
        if let Some(done) = write.turned_down(self.revision) {
            return done;
        }
        if write.batch.if_version.is_some_and(|version| version != self.revision) {
            return Err(write.stale(self.revision));
        }
        let staged = match Pending::default().stage(&self.graph, &write.batch, LIMITS) {
            Ok(staged) => staged,
            Err(error) => {
                let alone = Batch { ops: write.batch.ops.clone(), each: true, ..Batch::default() };
                let all = Pending::default().stage(&self.graph, &alone, LIMITS).unwrap().refused;
                let all: Vec<Refusal> = all.iter().map(Refusal::from).collect();
                return write.refused(&self.graph, &error, &all, self.revision);
            }
        };
        let refused: Vec<Refusal> = staged.refused.iter().map(Refusal::from).collect();
        if write.dry_run || staged.outcomes.is_empty() {
            return write.answer(&self.graph, &staged.outcomes, &refused, self.revision);
        }
        let outcomes = self.commit(&write.batch).unwrap();
        write.answer(&self.graph, &outcomes, &refused, self.revision)
    }

    /// Calls a tool in the stateless way; the result.
    pub fn call(&mut self, session: &mut Session, name: &str, arguments: Value) -> Value {
        let said =
            self.say(session, &modern(1, "tools/call", json!({ "name": name, "arguments": arguments }))).unwrap();
        assert_eq!(said.len(), 1, "{said:?}");
        said[0].get("result").unwrap_or_else(|| panic!("{}", said[0])).clone()
    }

    /// The same, of a call that succeeds: its structured content.
    pub fn done(&mut self, session: &mut Session, name: &str, arguments: Value) -> Value {
        let result = self.call(session, name, arguments.clone());
        assert!(result.get("isError").is_none(), "{name} {arguments}: {result}");
        result["structuredContent"].clone()
    }

    /// The same, of a call that fails: its words.
    pub fn refused(&mut self, session: &mut Session, name: &str, arguments: Value) -> String {
        let result = self.call(session, name, arguments.clone());
        assert_eq!(result["isError"], json!(true), "{name} {arguments}: {result}");
        assert!(result.get("structuredContent").is_none_or(|it| it["refused"].as_u64() > Some(0)), "{result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }
}

pub fn tool_result<T: serde::Serialize>(result: &T) -> swarmcast::mcp::ToolResult {
    swarmcast::mcp::ToolResult {
        structured: Some(serde_json::to_string(result).unwrap()),
        content: Vec::new(),
        is_error: false,
    }
}

pub fn lines(out: &[u8]) -> Vec<Value> {
    assert!(out.is_empty() || out.ends_with(b"\n"));
    out.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// A request of 2026-07-28.
pub fn modern(id: impl Into<Value>, method: &str, mut params: Value) -> String {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    request(id, method, params)
}

pub fn request(id: impl Into<Value>, method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params }).to_string()
}

/// A connection that is known, in the era of `initialize`.
pub fn initialized(engine: &mut Engine, version: &str) -> Session {
    let mut session = Session::new(Some(me()));
    let params =
        json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    engine.say(&mut session, &request("i", "initialize", params)).unwrap();
    engine.say(&mut session, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap();
    session
}

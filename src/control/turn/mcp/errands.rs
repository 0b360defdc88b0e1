//! What agents want of files: snapshots, and files into the graph and out of it. `files` and `store` do the work, by the same orders as
//! for REST; what is to change the graph comes back as a batch.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Awaited, McpDesk, Pending, random};
use crate::base::{Handle, fault};
use crate::control::turn::Control;
use crate::control::turn::files::about;
use crate::control::turn::snapshots::{ENDING, Waiter, checked};
use crate::graph::formats::ImportOptions;
use crate::graph::{Batch, Graph};
use crate::mcp::{
    Ask, Body, Call, CallKey, Content, Done, Errand, Line, Reply, RpcError, ToolError, ToolResult, code, compared,
    imported, reply, restored, snapshot_shown, structured, why,
};
use crate::store;
use crate::worker::{AgentProduct, AgentWork, FileOrder, Meeting, Ticket, Written, places, read_file, write_part};

/// Snapshots that an error names.
const NAMED_MAX: usize = 10;

/// Values that a completion offers.
const COMPLETIONS_MAX: usize = 100;

/// An errand whose file is whole, or what there is to say of one whose file is not.
enum Gathered {
    Whole(Errand),
    Part(Value),
}

/// Names of the snapshots that there are.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter_map(|name| Some(name.strip_suffix(ENDING)?.to_owned())).collect();
    names.sort();
    names
}

/// What is in a snapshot; `None` where there is none of that name that can be read.
fn described(folder: &Path, name: &str) -> Option<String> {
    let name = checked(name).ok()?;
    let path = folder.join(format!("{name}{ENDING}"));
    let about = std::fs::metadata(&path).ok()?;
    let since = about.modified().ok()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let loaded = store::read(&path).ok()?;
    let (version, next) = (loaded.version, (loaded.next_node_id, loaded.next_edge_id));
    let graph = Graph::from_rows(loaded.nodes, loaded.edges, next).ok()?;
    Some(snapshot_shown(name, &graph, version, about.len(), since.as_millis() as u64))
}

/// The graph of a snapshot.
fn snapshot(folder: &Path, name: &str) -> Result<Graph, ToolError> {
    checked(name).map_err(|error| ToolError::new(error.message))?;
    fault::point(fault::Point::SnapshotRead, name.as_bytes());
    let path = folder.join(format!("{name}{ENDING}"));
    if !path.exists() {
        let mut names = names(folder);
        names.truncate(NAMED_MAX);
        let there =
            if names.is_empty() { "there are none".to_owned() } else { format!("there are {}", names.join(", ")) };
        return Err(ToolError::new(format!("there is no snapshot {name:?}: {there}; snapshot_graph makes one")));
    }
    let failed =
        |error: &dyn std::fmt::Display| ToolError::new(format!("the snapshot {name:?} cannot be read: {error}"));
    let loaded = store::read(&path).map_err(|error| failed(&error))?;
    let next = (loaded.next_node_id, loaded.next_edge_id);
    Graph::from_rows(loaded.nodes, loaded.edges, next).map_err(|error| failed(&error))
}

impl Control {
    pub(super) fn begin_errand(&mut self, desk: &McpDesk, line: &Line, call: &Call<'_>, errand: Errand, now_ns: u64) {
        let errand = match self.gathered(errand, &call.principal.name, now_ns) {
            Ok(Gathered::Whole(errand)) => errand,
            Ok(Gathered::Part(shown)) => {
                let result = Ok(reply(structured(&shown)));
                return self.mcp.answer(&desk.server, line, call, &result);
            }
            Err(error) => return self.mcp.answer(&desk.server, line, call, &Ok(reply(Err(error)))),
        };
        let key = self.mcp.defer(line, call);
        let conn = line.talk;
        let no_tool = matches!(errand, Errand::Describe { .. } | Errand::Names { .. });
        let why = match &call.ask {
            Ask::Tool { arguments, .. } => why(arguments),
            _ => Ok(None),
        };
        let begun = why.and_then(|why| {
            self.mcp.book.reason(conn, key, why);
            self.order_errand(conn, key, errand, &call.principal.name)
        });
        match begun {
            Ok(ticket) => self.mcp.pending.push(Pending { conn, key, what: Awaited::Errand { ticket } }),
            Err(error) if no_tool => self.finish(desk, conn, key, &Err(RpcError::new(code::INTERNAL, error.0))),
            Err(error) => self.finish(desk, conn, key, &Ok(reply(Err(error)))),
        }
    }

    /// An errand with all the parts of its file; or what there is to say of one whose file is not whole yet.
    fn gathered(&mut self, errand: Errand, whose: &Arc<str>, now_ns: u64) -> Result<Gathered, ToolError> {
        match errand {
            Errand::Upload { upload, data } => {
                let random = random("a name")?;
                let (name, bytes) = self.mcp.uploads.take(upload.as_deref(), &data, whose, &random, now_ns)?;
                let shown = json!({ "upload": name, "bytes": bytes, "dry_run": false, "revision": self.version() });
                Ok(Gathered::Part(shown))
            }
            Errand::Import { format, data, upload: Some(name), replace, skip_bad, if_revision, dry_run } => {
                let data = self.mcp.uploads.end(&name, &data, whose, dry_run, now_ns)?.into();
                let upload = None;
                Ok(Gathered::Whole(Errand::Import { format, data, upload, replace, skip_bad, if_revision, dry_run }))
            }
            other => Ok(Gathered::Whole(other)),
        }
    }

    fn order_errand(
        &mut self,
        conn: Handle,
        key: CallKey,
        errand: Errand,
        principal: &Arc<str>,
    ) -> Result<Arc<Ticket>, ToolError> {
        match errand {
            Errand::Snapshot { name } => self.snapshot_for(conn, key, name.as_deref()).map(|()| Arc::default()),
            other => self.work_for(other, principal).and_then(|work| {
                let ticket = work.ticket();
                let sent = self.order_file(FileOrder::ForAgent { conn, key, work });
                sent.map(|()| ticket).map_err(|error| ToolError::new(error.message))
            }),
        }
    }

    fn snapshot_folder(&self) -> Result<PathBuf, ToolError> {
        self.snapshots_folder().map_err(|error| ToolError::new(error.message))
    }

    fn snapshot_for(&mut self, conn: Handle, key: CallKey, name: Option<&str>) -> Result<(), ToolError> {
        name.map(checked).transpose().map_err(|error| ToolError::new(error.message))?;
        self.copy_store(Waiter::Agent { conn, key }, name).map_err(|error| ToolError::new(error.message))
    }

    /// The part that `files` does.
    fn work_for(&mut self, errand: Errand, principal: &Arc<str>) -> Result<AgentWork, ToolError> {
        let (graph, version, author) = (Arc::clone(&self.graph), self.version(), Arc::clone(principal));
        Ok(match errand {
            Errand::Snapshot { .. } | Errand::Upload { .. } => {
                AgentWork::new(|_| AgentProduct::Answer(Err(ToolError::new("this is done elsewhere"))))
            }
            Errand::Describe { snapshot: name, uri } => {
                let folder = self.snapshot_folder();
                AgentWork::new(move |_| {
                    let shown = folder.ok().and_then(|folder| described(&folder, &name));
                    let body = |text| Reply::Resource {
                        uri: uri.to_string(),
                        mime: "application/json",
                        body: Body::Text(text),
                        ttl_ms: 0,
                        meta: None,
                    };
                    AgentProduct::Reply(shown.map(body).ok_or_else(|| RpcError::no_resource(&uri)))
                })
            }
            Errand::Names { typed } => {
                let folder = self.snapshot_folder();
                AgentWork::new(move |_| {
                    let names = folder.map(|folder| names(&folder)).unwrap_or_default();
                    let fits: Vec<String> = names.into_iter().filter(|name| name.starts_with(&*typed)).collect();
                    let total = fits.len();
                    let values = fits.into_iter().take(COMPLETIONS_MAX).collect();
                    AgentProduct::Reply(Ok(Reply::Completion { values, total }))
                })
            }
            Errand::Restore { snapshot: name, dry_run, if_revision } => {
                let folder = self.snapshot_folder()?;
                AgentWork::new(move |ticket| {
                    let wanted = snapshot(&folder, &name);
                    let at = if_revision.unwrap_or(version);
                    let goes_on = &mut |_| !ticket.is_cancelled();
                    AgentProduct::Write(
                        wanted.and_then(|wanted| restored(&name, &graph, &wanted, &author, at, dry_run, goes_on)),
                    )
                })
            }
            Errand::Diff { from, to, limit } => {
                let folder = self.snapshot_folder()?;
                AgentWork::new(move |ticket| {
                    let compare = || {
                        let before = snapshot(&folder, &from)?;
                        let after = match &to {
                            Some(to) => Arc::new(snapshot(&folder, to)?),
                            None => graph,
                        };
                        let names = (&*from, to.as_deref().unwrap_or("now"));
                        compared(names, &before, &after, limit, version, &mut |_| !ticket.is_cancelled())
                    };
                    AgentProduct::Answer(compare())
                })
            }
            Errand::Import { format, data, upload: _, replace, skip_bad, if_revision, dry_run } => {
                let limits = self.facts.limits;
                let (nodes_max, edges_max) = (limits.nodes, limits.edges);
                let options = ImportOptions { format, skip_bad, vault_all_pages: false, nodes_max, edges_max };
                let meeting = if replace { Meeting::Replace } else { Meeting::Merge };
                AgentWork::new(move |ticket| {
                    let terms = Batch { if_version: if_revision, author: (&*author).into(), ..Batch::default() };
                    let read = read_file(&graph, version, data.as_bytes(), &options, meeting, terms, ticket);
                    let read = read.map_err(|error| ToolError::new(format!("data: {error}. Nothing was changed.")));
                    AgentProduct::Write(
                        read.map(|(batch, format, remarks)| imported(batch, &graph, about(format, &remarks), dry_run)),
                    )
                })
            }
            Errand::Export { format, positions, part } => {
                self.take_latest();
                let frame = self.latest.clone().filter(|frame| positions && frame.stamp().epoch == self.epoch);
                AgentWork::new(move |_| {
                    let places = places(frame);
                    let written = match part {
                        None => write_part(&graph, places.as_deref(), format).map_err(ToolError::new),
                        Some(part) => part.cut_out(&graph, places.as_deref()).and_then(|(part, places)| {
                            write_part(&part, places.as_deref(), format).map_err(ToolError::new)
                        }),
                    };
                    AgentProduct::File(written.map(|(body, losses)| Written { format, body, losses }))
                })
            }
        })
    }

    /// What came of a call's work on files: answered here, or a change of the graph from now on.
    pub(super) fn end_errand(
        &mut self,
        desk: &McpDesk,
        conn: Handle,
        key: CallKey,
        product: AgentProduct,
        now_ns: u64,
    ) {
        if self.mcp.take(conn, key).is_none() {
            // Nobody waits for it any more: what it would change stays as it is.
            return;
        }
        let done = match product {
            AgentProduct::Answer(done) => done,
            AgentProduct::Reply(result) => return self.finish(desk, conn, key, &result),
            AgentProduct::Write(Ok(write)) => return self.send_write(desk, conn, key, write),
            AgentProduct::Write(Err(error)) | AgentProduct::File(Err(error)) => Err(error),
            AgentProduct::File(Ok(written)) => self.hand_out(conn, key, written, now_ns),
        };
        self.finish(desk, conn, key, &Ok(reply(done)));
    }

    /// Keeps a file for whoever asked for it, and says where.
    fn hand_out(&mut self, conn: Handle, key: CallKey, written: Written, now_ns: u64) -> Done {
        let whose = self.mcp.book.whose(conn, key);
        let random = random("a name")?;
        let Written { format, body, losses } = written;
        let kept = self.mcp.exports.keep(&random, whose, body, format.media_type(), now_ns)?;
        let link = Content::Link {
            uri: kept.uris.first().cloned().unwrap_or_default(),
            name: format!("graph.{}", format.extension()),
            mime: format.media_type(),
        };
        let result = structured(&json!({
            "format": format.name(), "bytes": kept.bytes, "uri": kept.uris.first(), "parts": kept.uris, "losses": losses,
            "expires_s": kept.expires_s, "revision": self.version(),
        }))?;
        let text = result.structured.clone().map(Content::Text);
        Ok(ToolResult { content: text.into_iter().chain([link]).collect(), ..result })
    }

    /// A copy of the store is made for an agent, or is not.
    pub(in crate::control::turn) fn snapshot_made_for(
        &mut self,
        conn: Handle,
        key: CallKey,
        done: Result<Value, String>,
    ) {
        let revision = self.version();
        let done = done.map_err(ToolError::new).and_then(|mut row| {
            if let Some(members) = row.as_object_mut() {
                members.insert("revision".to_owned(), json!(revision));
            }
            structured(&row)
        });
        self.errand_done(conn, key, AgentProduct::Answer(done));
    }

    /// Work for an agent is done: its call is answered in this turn or the next.
    pub(in crate::control::turn) fn errand_done(&mut self, conn: Handle, key: CallKey, product: AgentProduct) {
        self.mcp.filed.push((conn, key, product));
    }
}

//! Changes of the graph that calls ask for: tried out, or worked out and sent on their way with who asks and why, and answered once they are
//! durable and told.

use super::{Awaited, McpDesk, Pending};
use crate::api::steer::RestError;
use crate::base::Handle;
use crate::control::turn::Control;
use crate::control::turn::mutate::{Answering, Refused, Reply as Told, RetryKey};
use crate::graph::{Batch, OpError};
use crate::mcp::{
    Call, CallKey, Done, Line, Looked, Refusal, Registered, RpcError, ToolError, Write, reply, structured,
};

impl Control {
    /// A change that a call asks for.
    pub(super) fn mcp_write(&mut self, desk: &McpDesk, line: &Line, call: &Call<'_>, write: Box<Write>) {
        if let Some(done) = self.known_write(&write) {
            return self.mcp.answer(&desk.server, line, call, &Ok(reply(done)));
        }
        let key = self.mcp.defer(line, call);
        self.commit_write(desk, line.talk, key, write);
    }

    /// A change that a call has come to that is under way.
    pub(super) fn send_write(&mut self, desk: &McpDesk, conn: Handle, key: CallKey, write: Box<Write>) {
        match self.known_write(&write) {
            Some(done) => self.finish(desk, conn, key, &Ok(reply(done))),
            None => self.commit_write(desk, conn, key, write),
        }
    }

    /// A look is over: answered here, or a change of the graph from now on.
    pub(super) fn end_look(&mut self, desk: &McpDesk, conn: Handle, key: CallKey, result: Result<Looked, RpcError>) {
        if self.mcp.take(conn, key).is_none() {
            // Nobody waits for it any more: what it would change stays as it is.
            return;
        }
        match result {
            Ok(Looked::Write(write)) => self.send_write(desk, conn, key, write),
            Ok(Looked::Reply(reply)) => self.finish(desk, conn, key, &Ok(reply)),
            Err(error) => self.finish(desk, conn, key, &Err(error)),
        }
    }

    /// The answer to a change that changes nothing: one that cannot be read, that is to be tried out alone, or that is empty and no retry.
    fn known_write(&mut self, write: &Write) -> Option<Done> {
        let revision = self.mutations.version();
        if let Some(done) = write.turned_down(revision) {
            return Some(done);
        }
        match (write.dry_run, write.batch.ops.is_empty()) {
            (true, _) => Some(match self.try_out(&write.batch) {
                Ok(staged) => {
                    let refused: Vec<Refusal> = staged.refused.iter().map(Refusal::from).collect();
                    write.answer(&self.graph, &staged.outcomes, &refused, revision)
                }
                Err(error) => self.refused_write(write, &error),
            }),
            // What it deleted the first time is not there any more.
            (false, true) if retry_of(write).is_some_and(|retry| self.mutations.knows(&retry)) => None,
            (false, true) => Some(write.answer(&self.graph, &[], &[], revision)),
            (false, false) => None,
        }
    }

    /// The answer to a batch that is not done, with every operation that cannot be.
    fn refused_write(&mut self, write: &Write, error: &OpError) -> Done {
        let alone = Batch { ops: write.batch.ops.clone(), each: true, ..Batch::default() };
        let all = self.try_out(&alone).map(|staged| staged.refused).unwrap_or_default();
        let all = if all.is_empty() { std::slice::from_ref(error) } else { &all };
        let all: Vec<Refusal> = all.iter().map(Refusal::from).collect();
        write.refused(&self.graph, error, &all, self.mutations.version())
    }

    fn commit_write(&mut self, desk: &McpDesk, conn: Handle, key: CallKey, mut write: Box<Write>) {
        self.mcp.book.sign(conn, key, &mut write.batch.author);
        let answering = Answering::RowsAnd(write.beside());
        let done = match self.mutate_for_as(&write.batch, retry_of(&write), Told::Mcp { conn, key }, answering) {
            Ok(mut agreed) => {
                if let Some(first) = agreed.first.take() {
                    write.recall(&first, &agreed.outcomes);
                }
                self.mcp.pending.push(Pending { conn, key, what: Awaited::Write { write, agreed } });
                return;
            }
            Err(Refused::Op(error)) => self.refused_write(&write, &error),
            Err(Refused::All(refused)) => write.answer(&self.graph, &[], &refused, self.mutations.version()),
            Err(Refused::Version { at }) => Err(write.stale(at)),
            Err(Refused::Other(error)) => Err(ToolError::new(error.message)),
        };
        self.finish(desk, conn, key, &Ok(reply(done)));
    }

    /// A batch of an agent is done, or is not: its call is answered in this turn or the next.
    pub(in crate::control::turn) fn mcp_written(&mut self, conn: Handle, key: CallKey, error: Option<&RestError>) {
        self.mcp.written.push((conn, key, error.cloned()));
    }

    pub(super) fn answer_write(&mut self, desk: &McpDesk, conn: Handle, key: CallKey, error: Option<&RestError>) {
        let done = match (self.mcp.take(conn, key), error) {
            (Some(Awaited::Registered { registered }), error) => {
                // It is an agent though the graph cannot show it yet.
                structured(&Registered { node_id: registered.node_id.filter(|_| error.is_none()), ..*registered })
            }
            (Some(Awaited::Write { .. }), Some(error)) => Err(ToolError::new(error.message.clone())),
            (Some(Awaited::Write { write, agreed }), None) => {
                write.answer(&self.graph, &agreed.outcomes, &agreed.refused, agreed.version)
            }
            _ => return,
        };
        self.finish(desk, conn, key, &Ok(reply(done)));
    }
}

/// What a change is known by when it comes again: what was sent, since names lead elsewhere once it is done.
fn retry_of(write: &Write) -> Option<RetryKey> {
    let key = write.batch.idempotency_key.clone()?;
    Some(RetryKey::of_parts(key, &[write.sent.as_bytes()]))
}

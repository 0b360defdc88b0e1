//! Changes of the graph that calls ask for: tried out, sent on their way with who asks and why, and answered when they are done.

use super::{Awaited, McpDesk, Pending};
use crate::api::steer::RestError;
use crate::base::Handle;
use crate::control::turn::Control;
use crate::control::turn::mutate::{Refused, Reply as Told};
use crate::mcp::{Call, CallKey, Line, Registered, ToolError, Write, reply, structured};

impl Control {
    pub(super) fn mcp_write(&mut self, desk: &McpDesk, line: &Line, call: &Call<'_>, write: Box<Write>) {
        let (server, conn) = (&desk.server, line.talk);
        if write.dry_run {
            let done = match self.try_out(&write.batch) {
                Ok(outcomes) => write.answer(&self.graph, &outcomes, self.mutations.version()),
                Err(error) => Err(write.refused(&self.graph, &error)),
            };
            return self.mcp.answer(server, line, call, &Ok(reply(done)));
        }
        if write.batch.ops.is_empty() {
            let done = write.answer(&self.graph, &[], self.mutations.version());
            return self.mcp.answer(server, line, call, &Ok(reply(done)));
        }
        let key = self.mcp.defer(line, call);
        self.commit_write(desk, conn, key, write);
    }

    /// A change that work on files has come to, of a call that is under way.
    pub(super) fn send_write(&mut self, desk: &McpDesk, conn: Handle, key: CallKey, write: Box<Write>) {
        let done = match (write.dry_run, write.batch.ops.is_empty()) {
            (true, _) => match self.try_out(&write.batch) {
                Ok(outcomes) => write.answer(&self.graph, &outcomes, self.mutations.version()),
                Err(error) => Err(write.refused(&self.graph, &error)),
            },
            (false, true) => write.answer(&self.graph, &[], self.mutations.version()),
            (false, false) => return self.commit_write(desk, conn, key, write),
        };
        self.finish(desk, conn, key, &Ok(reply(done)));
    }

    fn commit_write(&mut self, desk: &McpDesk, conn: Handle, key: CallKey, mut write: Box<Write>) {
        let server = &desk.server;
        self.mcp.book.sign(conn, key, &mut write.batch.author);
        match self.mutate_for(&write.batch, Told::Mcp { conn, key }) {
            Ok((version, outcomes)) => {
                self.mcp.pending.push(Pending { conn, key, what: Awaited::Write { write, outcomes, version } });
            }
            Err(refused) => {
                let error = match refused {
                    Refused::Op(error) => write.refused(&self.graph, &error),
                    Refused::Version { at } => write.stale(at),
                    Refused::Other(error) => ToolError::new(error.message),
                };
                self.mcp.finish(server, conn, key, &Ok(reply(Err(error))));
            }
        }
    }

    /// A batch of an agent is done, or is not: its call is answered in this turn or the next.
    pub(in crate::control::turn) fn mcp_written(&mut self, conn: Handle, key: CallKey, error: Option<&RestError>) {
        self.mcp.written.push((conn, key, error.cloned()));
    }

    pub(super) fn answer_write(&mut self, desk: &McpDesk, conn: Handle, key: CallKey, error: Option<&RestError>) {
        let place = self.mcp.pending.iter().position(|pending| (pending.conn, pending.key) == (conn, key));
        let done = match (place.map(|place| self.mcp.pending.swap_remove(place).what), error) {
            (Some(Awaited::Registered { registered }), error) => {
                // It is an agent though the graph cannot show it yet.
                structured(&Registered { node_id: registered.node_id.filter(|_| error.is_none()), ..*registered })
            }
            (Some(Awaited::Write { .. }), Some(error)) => Err(ToolError::new(error.message.clone())),
            (Some(Awaited::Write { write, outcomes, version }), None) => write.answer(&self.graph, &outcomes, version),
            _ => return,
        };
        self.finish(desk, conn, key, &Ok(reply(done)));
    }
}

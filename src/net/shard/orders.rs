//! What `control` has a shard do.

use bytes::Bytes;

use super::{LINGER_NS, Shard, queue};
use crate::base::Handle;
use crate::handoff::{ClassRef, Interest, ShardMessage};
use crate::net::platform::Platform;
use crate::wire::CloseCode;

impl<P: Platform> Shard<P> {
    pub(super) fn obey(&mut self, message: ShardMessage, now_ns: u64) {
        match message {
            ShardMessage::Text { handle, text } => self.tell(handle, now_ns, |conn| conn.out.text(&text)),
            ShardMessage::Binary { handle, message } => self.tell(handle, now_ns, |conn| conn.out.binary(&message)),
            ShardMessage::Watch { handle, watching, message } => {
                self.tell(handle, now_ns, |conn| conn.watch(watching, &message));
            }
            ShardMessage::SettingsChanged { text, binary } => self.tell_all(|conn| conn.hear(&text, &binary)),
            ShardMessage::Stage { part, text } => self.set_stage(part, text),
            ShardMessage::WatchAgents { handle, heard, text } => {
                self.tell(handle, now_ns, |conn| conn.watch_agents(heard, &text));
            }
            ShardMessage::AgentEvents { texts } => self.tell_watchers(now_ns, |conn| conn.hear_of_agents(&texts)),
            ShardMessage::AgentActions { texts, message } => {
                self.tell_watchers(now_ns, |conn| conn.hear_of_actions(&texts, &message));
            }
            ShardMessage::Broadcast { text } => self.spread(&text, now_ns),
            ShardMessage::Changed { version, text } => {
                self.spread(&text, now_ns);
                self.changed = Some((version, text));
            }
            ShardMessage::Reclass { handle, class, demand_bytes, text } => {
                self.reclass(handle, class, demand_bytes);
                if let Some(conn) = self.conns.get_mut(handle) {
                    let _ = conn.out.text(&text);
                }
                self.serve(handle, false, now_ns);
            }
            ShardMessage::Interest { handle, interest, text, asked } => {
                self.take_interest(handle, interest, text.as_ref(), asked);
                self.serve(handle, false, now_ns);
            }
            ShardMessage::Expel { class, code, reason } => self.expel(class, code, reason, now_ns),
            ShardMessage::Shutdown { code, reason } => {
                self.stopping = Some((code, reason));
                for (_, conn) in self.conns.iter_mut() {
                    conn.out.close(code, reason);
                    conn.linger_until_ns.get_or_insert(now_ns + LINGER_NS);
                    queue(&mut self.ready, conn);
                }
            }
        }
    }

    /// Sends away all of a class, and notes it for those who were let in and are still on their way.
    fn expel(&mut self, class: ClassRef, code: CloseCode, reason: &'static str, now_ns: u64) {
        let slot = usize::from(class.slot);
        if let Some(expelled) = self.expelled.get_mut(slot) {
            *expelled = Some((class, code, reason));
        }
        let members = self.members.get(slot).cloned().unwrap_or_default();
        for handle in members {
            let Some(conn) = self.conns.get_mut(handle).filter(|conn| conn.out.class() == class) else { continue };
            conn.out.close(code, reason);
            conn.linger_until_ns.get_or_insert(now_ns + LINGER_NS);
            queue(&mut self.ready, conn);
        }
    }

    /// A client's interest, resolved: what it asked for last counts. The memory of the one before is kept.
    fn take_interest(&mut self, handle: Handle, interest: Box<Interest>, text: Option<&Bytes>, asked: bool) {
        let Self { conns, links, interests, .. } = self;
        let Some(conn) = conns.get_mut(handle) else { return interests.put(interest) };
        let Some(link) = links.get(usize::from(conn.out.class().slot)) else { return interests.put(interest) };
        let same = |before: &Interest| before.order == interest.order && before.wanted == interest.wanted;
        let tell = asked || !conn.out.interest().is_some_and(same);
        conn.out.set_interest(interest, link, interests);
        if tell && text.is_some_and(|text| !conn.out.text(text)) {
            conn.out.close_unread();
        }
    }

    fn reclass(&mut self, handle: Handle, class: ClassRef, demand_bytes: u64) {
        self.leave_members(handle);
        let Some(conn) = self.conns.get_mut(handle) else { return };
        self.demand_bytes = self.demand_bytes + demand_bytes - conn.demand_bytes;
        conn.demand_bytes = demand_bytes;
        conn.out.reclass(class);
        if let Some(members) = self.members.get_mut(usize::from(class.slot)) {
            conn.member = members.len();
            members.push(handle);
        }
        self.gauge();
    }
}

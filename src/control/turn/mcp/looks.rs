//! Long looks and whose turn it is: a principal has one of the threads at a time, and whoever was served longest ago comes first, of one
//! principal's connections, too.

use super::{Mcp, McpDesk};
use crate::base::Handle;
use crate::control::turn::Control;
use crate::worker::{LookOrder, LookReport};

/// Who looks: the principal and its connection.
type Who = (std::sync::Arc<str>, Handle);

/// Looks that wait, and those under way.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// In the order in which they came.
    waiting: Vec<LookOrder>,
    /// By thread, who it looks for.
    busy: Vec<Option<Who>>,
    /// Who was served last, the latest at the end.
    served: Vec<Who>,
}

/// How many are remembered as served.
const SERVED_MAX: usize = 64;

fn who(order: &LookOrder) -> Who {
    (order.principal.name.clone(), order.conn)
}

impl Looks {
    /// Those that wait and those under way.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.busy.iter().flatten().count()
    }

    pub(super) fn add(&mut self, order: LookOrder) {
        self.waiting.push(order);
    }

    /// Whose turn it is: of those who have no thread, the principal served longest ago, then its connection served longest ago, then who
    /// came first. Nobody looks for whoever `is_behind` with reading.
    fn next(&mut self, is_behind: impl Fn(Handle) -> bool) -> Option<LookOrder> {
        let is_busy = |(principal, _): &Who| self.busy.iter().flatten().any(|(busy, _)| busy == principal);
        let last = |fits: &dyn Fn(&Who) -> bool| self.served.iter().rposition(fits).map_or(0, |place| place + 1);
        let turn = |(place, order): (usize, &LookOrder)| {
            let (principal, conn) = who(order);
            (last(&|served| served.0 == principal), last(&|served| *served == (principal.clone(), conn)), place)
        };
        let free = self.waiting.iter().enumerate().filter(|(_, order)| !is_busy(&who(order)) && !is_behind(order.conn));
        let (.., place) = free.map(turn).min()?;
        Some(self.waiting.remove(place))
    }

    fn serve(&mut self, who: Who) {
        self.served.retain(|served| *served != who);
        if self.served.len() >= SERVED_MAX {
            self.served.remove(0);
        }
        self.served.push(who);
    }
}

impl Control {
    /// Takes what was found, and gives threads that are free their next look. Returns how many were taken.
    pub(super) fn take_looks(&mut self, desk: &mut McpDesk) -> usize {
        self.mcp.looks.waiting.retain(|order| !order.ticket.is_cancelled());
        let mut taken = 0;
        let mut found = Vec::new();
        self.mcp.looks.busy.resize(desk.looks.len(), None);
        for (lanes, busy) in desk.looks.iter_mut().zip(&mut self.mcp.looks.busy) {
            if let Some(report) = lanes.reports.pop() {
                *busy = None;
                found.push(report);
            }
        }
        for LookReport { conn, key, result } in found {
            taken += 1;
            self.end_look(desk, conn, key, result);
        }
        for thread in 0..desk.looks.len() {
            if self.mcp.looks.busy.get(thread).is_none_or(Option::is_some) {
                continue;
            }
            let Mcp { looks, talks, .. } = &mut self.mcp;
            let Some(order) = looks.next(|conn| talks.is_behind(conn)) else { break };
            let (who, lanes) = (who(&order), desk.looks.get_mut(thread));
            let sent = lanes.is_some_and(|lanes| lanes.orders.push(order).is_ok());
            debug_assert!(sent, "a thread that is free has room for one");
            self.mcp.looks.serve(who.clone());
            if let Some(busy) = self.mcp.looks.busy.get_mut(thread) {
                *busy = Some(who);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::mcp::{Ask, CallKey, Principal, Scopes, Server, SimFacts};

    fn order(server: &Arc<Server>, principal: &str, conn: u32, key: u64) -> LookOrder {
        LookOrder {
            conn: Handle { slot: conn, generation: 0 },
            key: CallKey(key),
            ask: Ask::Resource { uri: "graph://overview".into() },
            principal: Principal { name: principal.into(), scopes: Scopes::READ },
            server: Arc::clone(server),
            graph: Arc::default(),
            frame: None,
            revision: 0,
            sim: SimFacts::default(),
            agents: [].into(),
            stage: Arc::default(),
            side: None,
            graph_limits: (0, 0),
            until_ns: 0,
            ticket: Arc::default(),
        }
    }

    #[test]
    fn turns_go_round() {
        let server = Arc::new(Server::new("1", [0; 32], &["core"]).unwrap());
        let mut looks = Looks { busy: vec![None, None], ..Looks::default() };
        for (principal, conn, key) in [("a", 1, 1), ("a", 1, 2), ("a", 2, 3), ("a", 1, 4), ("b", 3, 5), ("c", 4, 6)] {
            looks.add(order(&server, principal, conn, key));
        }
        let begin = |looks: &mut Looks| {
            let order = looks.next(|_| false)?;
            looks.serve(who(&order));
            let free = looks.busy.iter().position(Option::is_none).unwrap();
            looks.busy[free] = Some(who(&order));
            Some((free, order.key.0))
        };
        assert_eq!(begin(&mut looks), Some((0, 1)));
        assert_eq!(begin(&mut looks), Some((1, 5)), "one thread for each");
        looks.busy[1] = None;
        assert_eq!(begin(&mut looks), Some((1, 6)));
        looks.busy[1] = None;
        assert_eq!(begin(&mut looks), None, "a has a thread already");
        assert_eq!(looks.len(), 4);
        for key in [3, 2, 4] {
            looks.busy[0] = None;
            assert_eq!(begin(&mut looks), Some((0, key)), "its other connection first, then in order");
        }
    }
}

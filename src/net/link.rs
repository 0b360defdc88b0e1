//! A shard's end of a chain: what it keeps for clients that are behind, and where each client stands in it.
//!
//! Deltas are kept once for all clients of the class, for half a second. A client is a cursor into them: being behind costs
//! no memory. One that falls off the end waits for the next snapshot, which all that wait share.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::clock::MILLISECOND_NS;
use crate::handoff::{ChainMessage, ChainPart, ClassRef, Interest};
use crate::wire::BlockSet;

/// Messages kept at most: sixty deltas and the marks among them.
const KEPT_MAX: usize = 64;

/// A snapshot that has not come for so long after it was asked for is asked for again.
const ASK_AGAIN_NS: u64 = 250 * MILLISECOND_NS;

/// Info and columns.
type Lead = (Arc<ChainMessage>, Arc<[Arc<ChainMessage>]>);

/// The chain of one class as a shard sees it.
#[derive(Debug)]
pub struct Link {
    class: ClassRef,
    /// 0 before the first part.
    generation: u32,
    /// Version of the wire order.
    order: u32,
    /// Info and columns of the generation.
    lead: Option<Lead>,
    /// Deltas and marks, oldest first.
    kept: VecDeque<Arc<ChainMessage>>,
    /// Place of the oldest one; places count up for ever.
    first: u64,
    last_sequence: u64,
    /// Sequence of the snapshot that the generation began with; 0 when that was lost on the way here.
    begun_with: u64,
    /// The newest snapshot, and the place of the message behind it.
    snapshot: Option<(Arc<ChainMessage>, u64)>,
    asked_ns: Option<u64>,
}

impl Link {
    /// No chain yet.
    pub fn new() -> Self {
        Self {
            class: ClassRef::NONE,
            generation: 0,
            order: 0,
            lead: None,
            kept: VecDeque::with_capacity(KEPT_MAX + 1),
            first: 0,
            last_sequence: 0,
            begun_with: 0,
            snapshot: None,
            asked_ns: None,
        }
    }

    /// Takes what a tick added.
    pub fn take(&mut self, class: ClassRef, part: &ChainPart) {
        if self.class != class || self.generation != part.generation {
            self.drop_all();
            self.class = class;
            self.generation = part.generation;
            self.order = part.order;
            let first = part.snapshot.as_ref().filter(|_| part.delta.is_none());
            self.begun_with = first.map_or(0, |snapshot| snapshot.sequence());
            self.lead = Some((Arc::clone(&part.info), Arc::clone(&part.columns)));
        }
        if let Some(delta) = &part.delta {
            // The frame before was lost on the way here: nobody can go on from what they have, not even who has it all.
            if delta.base() != self.last_sequence {
                self.drop_all();
                self.first += 1;
            }
            self.last_sequence = delta.sequence();
            self.keep(delta, part.keep);
        }
        if let Some(snapshot) = &part.snapshot {
            self.last_sequence = snapshot.sequence();
            self.snapshot = Some((Arc::clone(snapshot), self.end()));
            self.asked_ns = None;
        }
        if let Some(mark) = &part.mark {
            self.keep(mark, part.keep);
        }
    }

    /// Whose chain it is: the slot's class before, until the first message of the present one.
    pub fn class(&self) -> ClassRef {
        self.class
    }

    /// Version of its wire order; 0 before the first part.
    pub fn order(&self) -> u32 {
        self.order
    }

    /// Forgets the deltas and the snapshot, for the pool's sake. Clients wait for the next snapshot.
    pub fn drop_all(&mut self) {
        self.first = self.end();
        self.kept.clear();
        self.snapshot = None;
    }

    /// Whether a snapshot has to be asked for, now that somebody waits for one. Says so once.
    pub fn ask(&mut self, now_ns: u64) -> Option<ClassRef> {
        let waiting = self.asked_ns.is_some_and(|asked_ns| now_ns.saturating_sub(asked_ns) < ASK_AGAIN_NS);
        if waiting || self.class == ClassRef::NONE {
            return None;
        }
        self.asked_ns = Some(now_ns);
        Some(self.class)
    }

    /// The asking did not get through.
    pub fn not_asked(&mut self) {
        self.asked_ns = None;
    }

    fn keep(&mut self, message: &Arc<ChainMessage>, keep: usize) {
        self.kept.push_back(Arc::clone(message));
        while self.kept.len() > keep.min(KEPT_MAX) {
            self.kept.pop_front();
            self.first += 1;
        }
    }

    fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn at(&self, place: u64) -> Option<&Arc<ChainMessage>> {
        let offset = place.checked_sub(self.first)?;
        self.kept.get(usize::try_from(offset).ok()?)
    }

    /// The newest snapshot from which the kept messages lead on.
    fn snapshot(&self) -> Option<(&Arc<ChainMessage>, u64)> {
        self.snapshot.as_ref().filter(|(_, place)| *place >= self.first).map(|(message, place)| (message, *place))
    }
}

/// What a client takes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Info,
    /// The one at this place.
    Columns(u8),
    Snapshot,
    Deltas,
}

/// Where a client stands in its chain.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    generation: u32,
    step: Step,
    place: u64,
    sequence: u64,
    /// Of the newest state it was shown, in whatever class.
    tick: u64,
}

/// Which part of a message a client is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// The blocks it follows.
    Followed,
    /// The blocks it wants and does not follow yet; it follows them from then on.
    Entered,
    /// All blocks it wants: what it followed until now is of another time.
    Wanted,
}

/// A message that a client can be sent, and where it stands then.
#[derive(Debug)]
pub struct Next<'link> {
    /// The shared bytes.
    pub message: &'link Arc<ChainMessage>,
    /// Which of them.
    pub extent: Extent,
    /// Deltas that it goes without.
    pub left_out: u64,
    /// Where it stands afterwards.
    pub after: Cursor,
}

impl Cursor {
    /// Before the first message.
    pub const NEW: Self = Self { generation: 0, step: Step::Info, place: 0, sequence: 0, tick: 0 };

    /// Sequence of what it has; 0 before its first snapshot.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Before the first message of another class.
    pub fn reclass(&mut self) {
        *self = Self { tick: self.tick, ..Self::NEW };
    }

    /// It goes on with the next snapshot.
    pub fn restart(&mut self) {
        if self.step == Step::Deltas {
            self.step = Step::Snapshot;
        }
    }

    /// Whether both are of one chain.
    pub fn is_same_generation(&self, other: &Self) -> bool {
        self.generation == other.generation
    }

    /// Whether it has the state of the link's generation.
    pub fn follows(&self, link: &Link) -> bool {
        self.generation == link.generation && self.step == Step::Deltas
    }

    /// Whether it is of the link's generation and not so far behind that the kept messages have passed it.
    fn step_in(&self, link: &Link) -> Step {
        match self.step {
            _ if self.generation != link.generation => Step::Info,
            Step::Deltas if self.place < link.first => Step::Snapshot,
            step => step,
        }
    }

    /// The newest snapshot, unless it is of a time before what the client has: nothing is shown to go back.
    fn snapshot<'link>(&self, link: &'link Link) -> Option<(&'link Arc<ChainMessage>, u64)> {
        link.snapshot().filter(|(message, _)| message.sequence() >= self.sequence && message.tick() >= self.tick)
    }

    /// What comes next, if it is there. `interest` is what the client wants; an interest in another wire order waits.
    pub fn next<'link>(&self, link: &'link Link, interest: Option<&Interest>) -> Option<Next<'link>> {
        let (info, columns) = link.lead.as_ref()?;
        let whole = |message, after| Some(Next { message, extent: Extent::Whole, left_out: 0, after });
        let resolved = interest.is_none_or(|interest| interest.order == link.order);
        match self.step_in(link) {
            Step::Info => {
                let after = Self { generation: link.generation, step: Step::Columns(0), ..*self };
                whole(info, after)
            }
            Step::Columns(at) => {
                let last = usize::from(at) + 1 >= columns.len();
                let step = if last { Step::Snapshot } else { Step::Columns(at + 1) };
                whole(columns.get(usize::from(at))?, Self { step, ..*self })
            }
            _ if !resolved => None,
            Step::Snapshot => {
                let (message, place) = self.snapshot(link)?;
                let sequence = message.sequence();
                // A chain that begins does so with a snapshot in place of a delta: that one is not gone without.
                let from = self.sequence + u64::from(sequence == link.begun_with && sequence > self.sequence);
                let left_out = if self.sequence == 0 { 0 } else { sequence.saturating_sub(from) };
                let after = Self { step: Step::Deltas, place, sequence, tick: message.tick(), ..*self };
                let extent = if interest.is_some() { Extent::Wanted } else { Extent::Whole };
                Some(Next { message, extent, left_out, after })
            }
            Step::Deltas => {
                if interest.is_some_and(|interest| interest.wanted.exceeds(&interest.followed))
                    && let Some((message, place)) = link.snapshot()
                    && (place, message.sequence()) == (self.place, self.sequence)
                {
                    return Some(Next { message, extent: Extent::Entered, left_out: 0, after: *self });
                }
                let message = link.at(self.place)?;
                let (place, sequence, tick) = (self.place + 1, message.sequence(), message.tick());
                let after = Self { place, sequence, tick, ..*self };
                let extent = if interest.is_some() { Extent::Followed } else { Extent::Whole };
                Some(Next { message, extent, left_out: 0, after })
            }
        }
    }

    /// Whether it waits for a snapshot that is not there.
    pub fn waits(&self, link: &Link, interest: Option<&Interest>) -> bool {
        match self.step_in(link) {
            Step::Info | Step::Columns(_) => false,
            Step::Snapshot => self.snapshot(link).is_none(),
            Step::Deltas => {
                let enters = interest.is_some_and(|interest| interest.wanted.exceeds(&interest.followed));
                // One that is still to come would do as well.
                enters && link.snapshot().is_none_or(|(_, place)| place < self.place)
            }
        }
    }
}

/// The blocks that a client with an interest gets of a message.
pub fn blocks_of(interest: &Interest, extent: Extent) -> BlockSet {
    if extent == Extent::Followed {
        return interest.followed.clone();
    }
    let mut blocks = interest.wanted.clone();
    if extent == Extent::Entered {
        blocks.take_out(&interest.followed);
    }
    blocks
}

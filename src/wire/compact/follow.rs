//! A whole client of the compact profile: takes messages in the order of the stream, and knows where every node is.

use super::{CompactError, Decoder, Info};
use crate::wire::{
    COLUMN_IDS, COLUMN_LAST, ColumnsError, FLAG_NORMALISE, FrameHeader, HeaderError, KIND_COLUMNS, KIND_DELTA,
    KIND_INFO, KIND_MARK, KIND_SNAPSHOT, decode_column,
};

/// Follows one stream.
#[derive(Debug)]
pub struct Follower {
    nodes_max: u32,
    decoder: Option<Decoder>,
    /// Id words in wire order.
    ids: Vec<u32>,
    /// The other columns, words in wire order, by number.
    columns: Vec<(u8, Vec<u32>)>,
    /// A snapshot has been taken since the last one was missed.
    live: bool,
}

/// Why a message was not taken. Nothing is followed then until the next snapshot.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum FollowError {
    /// It is no message of ours.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The codec refuses it.
    #[error(transparent)]
    Codec(#[from] CompactError),
    /// The ids do not come apart.
    #[error(transparent)]
    Columns(#[from] ColumnsError),
    /// A message came before the info that it needs.
    #[error("a message of kind {kind} came before the info of its chain")]
    TooEarly {
        /// Its kind.
        kind: u8,
    },
}

impl Follower {
    /// Follows nothing yet. A graph of more than `nodes_max` nodes is refused before memory is asked for.
    #[must_use]
    pub fn new(nodes_max: u32) -> Self {
        Self { nodes_max, decoder: None, ids: Vec::new(), columns: Vec::new(), live: false }
    }

    /// Takes one binary message; returns its header.
    ///
    /// # Errors
    /// [`FollowError`]; ask for a full snapshot then.
    pub fn take<'message>(&mut self, message: &'message [u8]) -> Result<&'message FrameHeader, FollowError> {
        let taken = self.take_in(message);
        self.live &= taken.is_ok();
        taken
    }

    fn take_in<'message>(&mut self, message: &'message [u8]) -> Result<&'message FrameHeader, FollowError> {
        let (header, body) = FrameHeader::parse_compact(message)?;
        let (kind, sequence) = (header.kind, header.sequence.get());
        if kind == KIND_INFO {
            self.live = false;
            self.ids.clear();
            self.columns.clear();
            self.decoder = Some(Decoder::new(Info::parse(body, self.nodes_max)?)?);
            return Ok(header);
        }
        let decoder = self.decoder.as_mut().ok_or(FollowError::TooEarly { kind })?;
        match kind {
            // A column of a later version is passed over.
            KIND_COLUMNS if body.first().is_some_and(|column| *column > COLUMN_LAST) => {}
            KIND_COLUMNS => match decode_column(body, decoder.info().node_count)? {
                (COLUMN_IDS, ids) => self.ids = ids,
                other => {
                    self.columns.retain(|(column, _)| *column != other.0);
                    self.columns.push(other);
                }
            },
            KIND_SNAPSHOT => {
                decoder.snapshot(sequence, body)?;
                self.live = true;
            }
            KIND_DELTA => {
                decoder.delta(header.base.get(), sequence, header.flags.get() & FLAG_NORMALISE != 0, body)?;
            }
            KIND_MARK => decoder.mark(body)?,
            found => return Err(HeaderError::Kind { found }.into()),
        }
        Ok(header)
    }

    /// The blocks that an `interest_confirmed` does not name are no longer sent: `keep` says which are.
    pub fn keep(&mut self, keep: impl Fn(usize) -> bool) {
        if let Some(decoder) = &mut self.decoder {
            (0..decoder.block_count()).filter(|block| !keep(*block)).for_each(|block| decoder.leave(block));
        }
    }

    /// What the chain began with.
    #[must_use]
    pub fn info(&self) -> Option<&Info> {
        self.decoder.as_ref().map(Decoder::info)
    }

    /// Sequence of the last message that counts; 0 before the first.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.decoder.as_ref().map_or(0, Decoder::sequence)
    }

    /// Whether every followed node is where the server has it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Whether a block is followed.
    #[must_use]
    pub fn follows(&self, block: usize) -> bool {
        self.live && self.decoder.as_ref().is_some_and(|decoder| decoder.follows(block))
    }

    /// What was said of every node in this column, with its id word, in wire order; `None` where the chain has no such column.
    /// Words are the bits of what the column holds.
    #[must_use]
    pub fn column(&self, column: u8) -> Option<impl Iterator<Item = (u32, u32)> + '_> {
        let (_, words) = self.columns.iter().find(|(found, _)| *found == column)?;
        Some(self.ids.iter().copied().zip(words.iter().copied()))
    }

    /// Id words, positions in world units and velocities in world units per second of every node that is followed.
    pub fn nodes(&self) -> impl Iterator<Item = (u32, [f32; 3], [f32; 3])> + '_ {
        let nodes = self.decoder.iter().filter(|_| self.live).flat_map(Decoder::nodes);
        nodes.map(|(place, position, velocity)| {
            (self.ids.get(place as usize).copied().unwrap_or(u32::MAX), position, velocity)
        })
    }
}

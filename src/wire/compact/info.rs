//! The info message: what a decoder must know before the first snapshot.

use zerocopy::little_endian::{F32, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::error::CompactError;
use super::model::{BLOCK_NODES, BOX_QUANTA, UNITS};
use super::tables::table_hash;

/// Bytes of an info message's body.
pub const INFO_BYTES: usize = 32;

/// What both sides of a chain agree on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Info {
    /// Nodes, in wire order.
    pub node_count: u32,
    /// World position of the state's 0.
    pub origin: [f32; 3],
    /// Quantum, world units. Twice the largest error of a coordinate, but for the rounding of floats.
    pub quantum: f32,
    /// Ticks a second.
    pub tick_rate: u16,
    /// Version of the wire order that the columns message beside it tells.
    pub order: u32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Wire {
    node_count: U32,
    origin: [F32; 3],
    quantum: F32,
    table_hash: U32,
    tick_rate: U16,
    block_log2: u8,
    units_log2: u8,
    order: U32,
}

const _: () = assert!(size_of::<Wire>() == INFO_BYTES);

impl Info {
    /// The message's body.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; INFO_BYTES] {
        let wire = Wire {
            node_count: self.node_count.into(),
            origin: self.origin.map(F32::new),
            quantum: self.quantum.into(),
            table_hash: table_hash().into(),
            tick_rate: self.tick_rate.into(),
            block_log2: BLOCK_NODES.ilog2() as u8,
            units_log2: UNITS.ilog2() as u8,
            order: self.order.into(),
        };
        zerocopy::transmute!(wire)
    }

    /// Reads the message's body. `nodes_max` is what the caller is ready to hold.
    ///
    /// # Errors
    /// [`CompactError`], naming the field that this version cannot follow.
    pub fn parse(bytes: &[u8], nodes_max: u32) -> Result<Self, CompactError> {
        let wire = Wire::ref_from_bytes(bytes).map_err(|_| CompactError::InfoLength { found: bytes.len() })?;
        let wrong = |field, found: u64| Err(CompactError::Info { field, found });
        let info = Self {
            node_count: wire.node_count.get(),
            origin: wire.origin.map(F32::get),
            quantum: wire.quantum.get(),
            tick_rate: wire.tick_rate.get(),
            order: wire.order.get(),
        };
        if wire.table_hash.get() != table_hash() {
            return wrong("table_hash", wire.table_hash.get().into());
        }
        if u32::from(wire.block_log2) != BLOCK_NODES.ilog2() {
            return wrong("block_log2", wire.block_log2.into());
        }
        if u32::from(wire.units_log2) != UNITS.ilog2() {
            return wrong("units_log2", wire.units_log2.into());
        }
        if info.node_count > nodes_max {
            return Err(CompactError::TooManyNodes { nodes: info.node_count, limit: nodes_max });
        }
        info.check().map(|()| info)
    }

    /// Whether an encoder or decoder can work with these values.
    ///
    /// # Errors
    /// [`CompactError::Info`].
    pub fn check(&self) -> Result<(), CompactError> {
        let finite = self.origin.iter().find(|axis| !axis.is_finite());
        if let Some(axis) = finite {
            return Err(CompactError::Info { field: "origin", found: axis.to_bits().into() });
        }
        // Both the step of a unit and its inverse must be normal numbers, and the box's corner finite.
        let corner = self.quantum * BOX_QUANTA as f32;
        let steps = self.units_per_world().is_normal() && self.world_per_unit().is_normal();
        let usable = self.quantum > 0.0 && steps && corner.is_finite();
        if !usable {
            return Err(CompactError::Info { field: "quantum", found: self.quantum.to_bits().into() });
        }
        Ok(())
    }

    pub(super) fn units_per_world(&self) -> f32 {
        UNITS as f32 / self.quantum
    }

    pub(super) fn world_per_unit(&self) -> f32 {
        self.quantum / UNITS as f32
    }
}

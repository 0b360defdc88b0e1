//! The node record: what the simulation writes, what our own frames carry, what the legacy encoders read.

use zerocopy::little_endian::{F32, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::NODE_ID_MAX;

/// One node of one frame, 28 bytes, little-endian, no padding.
///
/// | offset | size | field | unit |
/// |---|---|---|---|
/// | 0 | 4 | id, bits 26-31 class flags | |
/// | 4 | 12 | position x, y, z | world units |
/// | 16 | 12 | velocity x, y, z | world units / s |
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct NodeRecord {
    /// Node id in bits 0-25, class flags in bits 26-31.
    pub id_flags: U32,
    /// World units.
    pub position: [F32; 3],
    /// World units per second.
    pub velocity: [F32; 3],
}

const _: () = {
    assert!(size_of::<NodeRecord>() == 28);
    assert!(align_of::<NodeRecord>() == 1);
    assert!(std::mem::offset_of!(NodeRecord, position) == 4);
    assert!(std::mem::offset_of!(NodeRecord, velocity) == 16);
};

impl NodeRecord {
    /// The id without its class flags.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id_flags.get() & NODE_ID_MAX
    }

    /// Position as native floats, world units.
    #[must_use]
    pub fn position(&self) -> [f32; 3] {
        self.position.map(F32::get)
    }

    /// Velocity as native floats, world units per second.
    #[must_use]
    pub fn velocity(&self) -> [f32; 3] {
        self.velocity.map(F32::get)
    }

    /// Writes position and velocity, leaving the id as it is.
    pub fn set_motion(&mut self, position: [f32; 3], velocity: [f32; 3]) {
        self.position = position.map(F32::new);
        self.velocity = velocity.map(F32::new);
    }
}

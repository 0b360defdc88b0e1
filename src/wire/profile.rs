//! The formats a client can subscribe to.

use crate::limits::{NODE_ID_MAX, NODE_ID_V1_MAX};

/// Highest rate a client can ask for, Hz.
pub const RATE_HZ_MAX: u16 = 120;

/// Bytes of the count behind the records of `vf0`.
pub(super) const COUNT_BYTES: usize = 4;

/// A frame format. Fixed by the subscription, never guessed from bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Profile {
    /// Our own: 64-byte header, 28-byte records.
    Own,
    /// 34-byte records, 14-bit ids.
    V1,
    /// Version byte 2, 36-byte records.
    V2,
    /// Version byte 3, 48-byte records.
    V3,
    /// Our own, as corrections to a predictor: one chain of messages of the module `compact` for each class.
    Compact,
    /// 26-byte records, 16-bit ids, no flags.
    Legacy26,
    /// 28-byte records, agent and knowledge flags.
    Legacy28,
    /// Version byte 1, then as `V1`.
    V1Lead,
    /// Version byte 5 and a sequence, then records as `V3`.
    V5,
    /// Byte 0x42 and a sequence, 28-byte records without flags.
    V42,
    /// A magic word and a frame id, 28-byte records without flags, their count.
    Vf0,
    /// Our own, with the records as byte planes in an LZ4 block.
    OwnLz4,
}

/// All profiles, in the order of [`Profile::index`].
pub const PROFILES: [Profile; 12] = [
    Profile::Own,
    Profile::V1,
    Profile::V2,
    Profile::V3,
    Profile::Compact,
    Profile::Legacy26,
    Profile::Legacy28,
    Profile::V1Lead,
    Profile::V5,
    Profile::V42,
    Profile::Vf0,
    Profile::OwnLz4,
];

/// Their names, for a person who asked for another one.
pub const PROFILE_NAMES: &str =
    "swarmcast.v1, v1, v2, v3, swarmcast.compact, legacy-26, legacy-28, v1-lead, v5, v42, vf0, swarmcast.v1.lz4";

/// What a frame's records are. Profiles with the same records share the encoded body of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Records {
    /// None: the messages of a chain.
    None,
    /// Our own, as they are.
    Own,
    /// Our own, packed.
    Packed,
    /// 26 bytes.
    R26,
    /// 28 bytes, with flags in the id.
    R28,
    /// 28 bytes, the id alone.
    Plain28,
    /// 34 bytes.
    R34,
    /// 36 bytes.
    R36,
    /// 48 bytes.
    R48,
}

/// All kinds of records, in the order of [`Records::index`].
pub const RECORDS: [Records; 9] = [
    Records::None,
    Records::Own,
    Records::Packed,
    Records::R26,
    Records::R28,
    Records::Plain28,
    Records::R34,
    Records::R36,
    Records::R48,
];

impl Records {
    /// Place in arrays that hold something per kind.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Bytes of one node; the most of them where they are packed.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Own | Self::Packed | Self::R28 | Self::Plain28 => 28,
            Self::None => 0,
            Self::R26 => 26,
            Self::R34 => 34,
            Self::R36 => 36,
            Self::R48 => 48,
        }
    }
}

/// Bytes of a node and frame that a compact class is expected to take, for sharing the load out. Measured ones lie
/// between 0.1 and 1.4.
const COMPACT_NODE_BYTES: usize = 1;

impl Profile {
    /// The name in sub-protocols, queries and hello lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "swarmcast.v1",
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
            Self::Compact => "swarmcast.compact",
            Self::Legacy26 => "legacy-26",
            Self::Legacy28 => "legacy-28",
            Self::V1Lead => "v1-lead",
            Self::V5 => "v5",
            Self::V42 => "v42",
            Self::Vf0 => "vf0",
            Self::OwnLz4 => "swarmcast.v1.lz4",
        }
    }

    /// Whether its frames build on each other, so that none may be left out.
    #[must_use]
    pub const fn is_chain(self) -> bool {
        matches!(self, Self::Compact)
    }

    /// The profile called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        PROFILES.into_iter().find(|profile| profile.name() == name)
    }

    /// Place in arrays that hold something per profile.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether the first byte of each of its frames is always the same, and no other message's: its clients can be sent other binary
    /// messages beside frames.
    #[must_use]
    pub const fn has_lead_byte(self) -> bool {
        !matches!(self, Self::V1 | Self::Legacy26 | Self::Legacy28)
    }

    /// Whether other systems' clients speak it: its frames have no header of ours.
    #[must_use]
    pub const fn is_legacy(self) -> bool {
        !matches!(self, Self::Own | Self::OwnLz4 | Self::Compact)
    }

    /// Largest id that its records can carry.
    #[must_use]
    pub const fn id_max(self) -> u32 {
        match self {
            Self::V1 | Self::V1Lead => NODE_ID_V1_MAX,
            Self::Legacy26 => u16::MAX as u32,
            _ => NODE_ID_MAX,
        }
    }

    /// What the body of its frames is made of.
    #[must_use]
    pub const fn records(self) -> Records {
        match self {
            Self::Compact => Records::None,
            Self::Own => Records::Own,
            Self::OwnLz4 => Records::Packed,
            Self::Legacy26 => Records::R26,
            Self::Legacy28 => Records::R28,
            Self::V42 | Self::Vf0 => Records::Plain28,
            Self::V1 | Self::V1Lead => Records::R34,
            Self::V2 => Records::R36,
            Self::V3 | Self::V5 => Records::R48,
        }
    }

    /// Bytes of one node's record; 0 in the compact profile, which has none.
    #[must_use]
    pub const fn record_bytes(self) -> usize {
        self.records().bytes()
    }

    /// Bytes in front of the shared body: our header, or version and count of a legacy frame.
    #[must_use]
    pub const fn head_bytes(self) -> usize {
        match self {
            Self::Own | Self::OwnLz4 | Self::Compact => super::HEADER_BYTES,
            Self::Legacy26 | Self::Legacy28 | Self::V1 => 0,
            Self::V1Lead | Self::V2 | Self::V3 => 1,
            Self::V5 | Self::V42 => 9,
            Self::Vf0 => 8,
        }
    }

    /// Bytes of the body that all classes of this profile share; the most of it where it is packed.
    #[must_use]
    pub const fn body_bytes(self, node_count: usize) -> usize {
        let count = if matches!(self, Self::Vf0) { COUNT_BYTES } else { 0 };
        node_count * self.record_bytes() + count
    }

    /// Bytes of a whole frame as a client counts them, framing apart; the most of it where it is packed, a guess in the
    /// compact profile.
    #[must_use]
    pub const fn frame_bytes(self, node_count: usize) -> usize {
        let chain = if self.is_chain() { node_count * COMPACT_NODE_BYTES } else { 0 };
        self.head_bytes() + self.body_bytes(node_count) + chain
    }

    /// Nodes in a whole frame of so many bytes, by its length alone; `None` when no frame is that long, or when its length
    /// does not tell.
    #[must_use]
    pub const fn nodes_in(self, frame_bytes: usize) -> Option<usize> {
        let Some(records) = frame_bytes.checked_sub(self.frame_bytes(0)) else { return None };
        let each = self.record_bytes();
        if each > 0 && records.is_multiple_of(each) { Some(records / each) } else { None }
    }
}

/// Least bits of a position in the compact profile.
pub const BITS_MIN: u8 = 10;
/// Most bits of a position in the compact profile.
pub const BITS_MAX: u8 = 16;
/// Bits that a client gets which does not say: an error of a thirtieth of a pixel in a view of 1,000.
pub const BITS_DEFAULT: u8 = 14;

/// How exactly a class shows positions. Only the compact profile offers a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Detail {
    /// Quanta along the longest side of the layout, as a power of two: 10, 12, 14 or 16.
    pub bits: u8,
    /// Every z is sent as 0.
    pub flat: bool,
}

impl Default for Detail {
    fn default() -> Self {
        Self { bits: BITS_DEFAULT, flat: false }
    }
}

/// What makes a subscription class: who asks for the same shares its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClassSpec {
    /// The format.
    pub profile: Profile,
    /// Frames a second.
    pub rate_hz: u16,
    /// How exact.
    pub detail: Detail,
}

impl ClassSpec {
    /// A class of full detail.
    #[must_use]
    pub fn new(profile: Profile, rate_hz: u16) -> Self {
        Self { profile, rate_hz, detail: Detail::default() }
    }

    /// The class that is `levels` steps coarser and slower: half the rate, down to 5 Hz, and two bits fewer, each.
    #[must_use]
    pub fn coarser(self, levels: u8) -> Self {
        let slowest = self.rate_hz.min(RATE_HZ_COARSEST);
        let rate_hz = self.rate_hz.checked_shr(levels.into()).unwrap_or(0).max(slowest);
        let bits = match self.profile {
            Profile::Compact => self.detail.bits.saturating_sub(levels.saturating_mul(2)).max(BITS_MIN),
            _ => self.detail.bits,
        };
        Self { rate_hz, detail: Detail { bits, ..self.detail }, ..self }
    }
}

/// Rate below which a slow client is not taken.
const RATE_HZ_COARSEST: u16 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_profiles() {
        for (index, profile) in PROFILES.into_iter().enumerate() {
            assert_eq!(Profile::from_name(profile.name()), Some(profile));
            assert_eq!(profile.index(), index);
        }
        assert_eq!(Profile::from_name("V1"), None);
        assert_eq!(Profile::V3.frame_bytes(10), 481);
        assert_eq!(Profile::Own.frame_bytes(10), 344);
        assert_eq!(PROFILES.map(Profile::name).join(", "), PROFILE_NAMES);
    }

    #[test]
    fn kinds_of_records_have_their_place() {
        assert!(RECORDS.iter().enumerate().all(|(index, records)| records.index() == index));
        assert!(PROFILES.iter().all(|profile| RECORDS.contains(&profile.records())));
    }

    #[test]
    fn a_length_tells_the_nodes() {
        for profile in PROFILES.into_iter().filter(|profile| !profile.is_chain()) {
            assert_eq!(profile.nodes_in(profile.frame_bytes(7)), Some(7), "{profile:?}");
            assert_eq!(profile.nodes_in(profile.frame_bytes(7) + 1), None, "{profile:?}");
            assert_eq!(profile.nodes_in(profile.frame_bytes(0)), Some(0));
            assert_eq!(profile.frame_bytes(0).checked_sub(1).and_then(|bytes| profile.nodes_in(bytes)), None);
        }
    }

    #[test]
    fn a_coarser_class_has_half_the_rate_and_two_bits_less_down_to_a_floor() {
        let of = |profile, rate, levels| {
            let spec = ClassSpec::new(profile, rate).coarser(levels);
            (spec.rate_hz, spec.detail.bits)
        };
        assert_eq!(
            [0, 1, 2, 3, 9].map(|levels| of(Profile::Compact, 60, levels)),
            [(60, 14), (30, 12), (15, 10), (7, 10), (5, 10)]
        );
        assert_eq!(of(Profile::V1, 60, 2), (15, 14));
        assert_eq!(of(Profile::Own, 2, 200), (2, 14));
    }
}

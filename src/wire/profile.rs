//! The formats a client can subscribe to.

/// Highest rate a client can ask for, Hz.
pub const RATE_HZ_MAX: u16 = 120;

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
}

/// All profiles, in the order of [`Profile::index`].
pub const PROFILES: [Profile; 5] = [Profile::Own, Profile::V1, Profile::V2, Profile::V3, Profile::Compact];

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

    /// Bytes of one node's record; 0 in the compact profile, which has none.
    #[must_use]
    pub const fn record_bytes(self) -> usize {
        match self {
            Self::Own => 28,
            Self::V1 => 34,
            Self::V2 => 36,
            Self::V3 => 48,
            Self::Compact => 0,
        }
    }

    /// Bytes before the first record in the shared body: the legacy version byte.
    #[must_use]
    pub const fn lead_bytes(self) -> usize {
        match self {
            Self::Own | Self::V1 | Self::Compact => 0,
            Self::V2 | Self::V3 => 1,
        }
    }

    /// Bytes of the body that all classes of this profile share.
    #[must_use]
    pub const fn body_bytes(self, node_count: usize) -> usize {
        self.lead_bytes() + node_count * self.record_bytes()
    }

    /// Bytes of a whole frame as a client counts them, framing apart; a guess in the compact profile.
    #[must_use]
    pub const fn frame_bytes(self, node_count: usize) -> usize {
        match self {
            Self::Own => super::HEADER_BYTES + self.body_bytes(node_count),
            Self::Compact => super::HEADER_BYTES + node_count * COMPACT_NODE_BYTES,
            _ => self.body_bytes(node_count),
        }
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

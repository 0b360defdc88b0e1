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
}

/// All profiles, in the order of [`Profile::index`].
pub const PROFILES: [Profile; 4] = [Profile::Own, Profile::V1, Profile::V2, Profile::V3];

impl Profile {
    /// The name in sub-protocols, queries and hello lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "swarmcast.v1",
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
        }
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

    /// Bytes of one node's record.
    #[must_use]
    pub const fn record_bytes(self) -> usize {
        match self {
            Self::Own => 28,
            Self::V1 => 34,
            Self::V2 => 36,
            Self::V3 => 48,
        }
    }

    /// Bytes before the first record in the shared body: the legacy version byte.
    #[must_use]
    pub const fn lead_bytes(self) -> usize {
        match self {
            Self::Own | Self::V1 => 0,
            Self::V2 | Self::V3 => 1,
        }
    }

    /// Bytes of the body that all classes of this profile share.
    #[must_use]
    pub const fn body_bytes(self, node_count: usize) -> usize {
        self.lead_bytes() + node_count * self.record_bytes()
    }

    /// Bytes of a whole frame as a client counts them, framing apart.
    #[must_use]
    pub const fn frame_bytes(self, node_count: usize) -> usize {
        let header = if matches!(self, Self::Own) { super::HEADER_BYTES } else { 0 };
        header + self.body_bytes(node_count)
    }
}

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
}

//! What a client that cannot keep up is given instead.

/// How much a client is given, from everything down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// The class that it asked for.
    Full,
    /// The same; it goes without some frames.
    Skipping,
    /// Half the rate, and two bits less.
    Half,
    /// A quarter of the rate, and four bits less.
    Quarter,
    /// Snapshots alone, one a second; compact profile only.
    Snapshots,
}

impl Rung {
    /// One step down, if there is one.
    #[must_use]
    pub fn down(self, chain: bool) -> Option<Self> {
        match self {
            Self::Full => Some(Self::Skipping),
            Self::Skipping => Some(Self::Half),
            Self::Half => Some(Self::Quarter),
            Self::Quarter if chain => Some(Self::Snapshots),
            Self::Quarter | Self::Snapshots => None,
        }
    }

    /// One step up, if there is one.
    #[must_use]
    pub fn up(self) -> Option<Self> {
        match self {
            Self::Full => None,
            Self::Skipping => Some(Self::Full),
            Self::Half => Some(Self::Skipping),
            Self::Quarter => Some(Self::Half),
            Self::Snapshots => Some(Self::Quarter),
        }
    }

    /// Steps of [`crate::wire::ClassSpec::coarser`] that it means.
    #[must_use]
    pub fn coarser(self) -> u8 {
        match self {
            Self::Full | Self::Skipping => 0,
            Self::Half => 1,
            Self::Quarter | Self::Snapshots => 2,
        }
    }

    /// The name in `stream_quality`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Skipping => "skipping",
            Self::Half | Self::Quarter => "coarser",
            Self::Snapshots => "snapshots",
        }
    }
}

//! The published revisions of the protocol, and what differs between them.

/// A revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 2024-11-05.
    V2024_11_05,
    /// 2025-03-26: tools have annotations.
    V2025_03_26,
    /// 2025-06-18: structured results, titles.
    V2025_06_18,
    /// 2025-11-25.
    V2025_11_25,
    /// 2026-07-28: stateless; everything a request needs is in its `_meta`.
    V2026_07_28,
}

impl Version {
    /// All, oldest first.
    pub const ALL: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];

    /// The newest that begins with `initialize`.
    pub const LAST_LEGACY: Self = Self::V2025_11_25;

    /// Its date, which is its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }

    /// What `initialize` is answered with: the version asked for when it is one that begins so, else the newest such.
    #[must_use]
    pub fn negotiate(asked: &str) -> Self {
        Self::from_name(asked).filter(|version| !version.is_modern()).unwrap_or(Self::LAST_LEGACY)
    }

    /// Whether every request stands for itself.
    #[must_use]
    pub fn is_modern(self) -> bool {
        self == Self::V2026_07_28
    }

    /// Whether tools have `outputSchema` and results `structuredContent`.
    #[must_use]
    pub fn has_structured(self) -> bool {
        self >= Self::V2025_06_18
    }

    /// Whether tools have annotations.
    #[must_use]
    pub fn has_annotations(self) -> bool {
        self >= Self::V2025_03_26
    }
}

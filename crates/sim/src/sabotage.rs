//! Mechanisms that are taken away on purpose, to show that the checker finds what is missing then.

/// What is taken away, at the seam between the engine and what it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Every commit of a router proves an epoch that holds.
    Fence,
    /// An append is not told which ids are in the log, and the index that would refuse them is gone.
    Dedupe,
    /// Lanes that lag get no row.
    LaneRow,
    /// What failed and waits is not written down.
    Retries,
    /// Rows of an outbox are gone once they are read.
    DeleteFirst,
    /// An intent that was never decided on counts as a fact.
    ProbeGuesses,
    /// Whoever reads ahead in an outbox is told that nothing has come up below.
    Overtaking,
    /// Whoever takes over a partition finds every lane that lags at its beginning.
    LanePlace,
}

impl Sabotage {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Fence,
        Self::Dedupe,
        Self::LaneRow,
        Self::Retries,
        Self::DeleteFirst,
        Self::ProbeGuesses,
        Self::Overtaking,
        Self::LanePlace,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fence => "fence",
            Self::Dedupe => "dedupe",
            Self::LaneRow => "lane-row",
            Self::Retries => "retries",
            Self::DeleteFirst => "delete-first",
            Self::ProbeGuesses => "probe-guesses",
            Self::Overtaking => "overtaking",
            Self::LanePlace => "lane-place",
        }
    }

    /// How the promises begin that are broken without it.
    #[must_use]
    pub const fn breaks(self) -> &'static [&'static str] {
        match self {
            Self::Fence => &["the fence"],
            Self::Dedupe => &["exactly one row"],
            Self::LaneRow | Self::Retries => &["at least once"],
            Self::DeleteFirst => &["no loss"],
            Self::ProbeGuesses => &["no phantom"],
            Self::Overtaking => &["commit order"],
            Self::LanePlace => &["settled"],
        }
    }

    /// The one with this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|sabotage| sabotage.as_str() == name)
    }
}

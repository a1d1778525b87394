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
}

impl Sabotage {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Fence, Self::Dedupe, Self::LaneRow, Self::Retries, Self::DeleteFirst, Self::ProbeGuesses];

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
        }
    }

    /// The one with this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|sabotage| sabotage.as_str() == name)
    }
}

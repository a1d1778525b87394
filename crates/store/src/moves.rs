//! Tenants that move from one partition to another.

use std::fmt;

use tidings_event::{PartitionId, Sequence, TenantNo};

/// That a tenant's log does not hold what its head says.
pub(crate) const LOST: &str =
    "the log lacks events of the tenant, so what is delivered cannot be told; nothing was moved";

/// What became of a step of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveOutcome {
    /// The tenant lives there, and did before.
    Already,
    /// It lives there from now on.
    Moved {
        /// Where it lived.
        from: PartitionId,
        /// Its last sequence; what comes next goes to the other partition.
        head: Sequence,
    },
    /// Not yet: the other partition's router has not come past what a tenant left there that moved away. Nothing was
    /// done; to be asked again.
    Later,
    /// There is no such tenant.
    NoTenant,
    /// There is no such partition.
    NoPartition,
    /// The partition lies in another database, and the tenant is on its way: so far its events were brought over. To be
    /// asked again.
    Copying {
        /// The last of its events that is there, and was proved to be the same.
        copied: Sequence,
        /// The last of its events.
        head: Sequence,
    },
    /// The tenant is the system's own, which stays.
    Fixed,
}

/// Tenants that do not live in the partition in which they were looked for. Nothing was written; where each lives must be
/// asked anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere(pub Vec<TenantNo>);

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tenant(s) live in another partition", self.0.len())
    }
}

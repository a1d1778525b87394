//! Who runs, and who owns what: the nodes of a log and their leases.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tidings_event::{Epoch, PartitionId, Position, Timestamp};
use ulid::Ulid;

use crate::Result;

/// One of the databases that partitions live in; 0 is the only one of a store that is not sharded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShardNo(pub u16);

impl fmt::Display for ShardNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What has one owner at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseRole {
    /// Delivering the events of a partition. Its checkpoint is how far it has routed.
    Router,
    /// Writing the events of a partition to the bus. Its checkpoint is what its owner makes of it.
    Publisher,
    /// Emptying the outbox of a source, and resolving its intents.
    Pump,
}

impl LeaseRole {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Router, Self::Publisher, Self::Pump];

    /// Its name, as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Publisher => "publisher",
            Self::Pump => "pump",
        }
    }

    /// The role with this name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for LeaseRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One of the things that a role has: a partition, or a source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(String);

impl Slot {
    /// A partition, of a router or publisher.
    #[must_use]
    pub fn partition(partition: PartitionId) -> Self {
        Self(partition.to_string())
    }

    /// A source, of a pump.
    #[must_use]
    pub fn source(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Its name, as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition that it is; nothing where it is a source.
    #[must_use]
    pub fn as_partition(&self) -> Option<PartitionId> {
        self.0.parse().ok().map(PartitionId)
    }

    pub(crate) const fn stored(name: String) -> Self {
        Self(name)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One run of a node's process. A node that is started again is another boot under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boot(pub Ulid);

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a node takes upon itself. Names that this version does not know are kept: nodes of two versions run side by
/// side.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Serves {
    /// Its roles: `api`, and those of [`LeaseRole`]. Empty for a node that is about to leave.
    #[serde(default)]
    pub roles: BTreeSet<String>,
    /// The sources that it can reach; a pump takes these.
    #[serde(default)]
    pub sources: BTreeSet<String>,
}

impl Serves {
    /// The role of a node that answers calls.
    pub const API: &'static str = "api";

    /// Whether it answers calls.
    #[must_use]
    pub fn api(&self) -> bool {
        self.roles.contains(Self::API)
    }

    /// Whether it can own a slot.
    #[must_use]
    pub fn takes(&self, role: LeaseRole, slot: &Slot) -> bool {
        self.roles.contains(role.as_str()) && (role != LeaseRole::Pump || self.sources.contains(slot.as_str()))
    }
}

/// What a node says of itself with each heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Its name; no two nodes of one log share one.
    pub node: String,
    /// This run of it.
    pub boot: Boot,
    /// What it takes upon itself.
    pub serves: Serves,
    /// Where it listens, for people.
    pub address: Option<String>,
    /// Its version.
    pub version: String,
}

/// A node whose heartbeat is younger than the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub node: String,
    /// This run of it.
    pub boot: Boot,
    /// What it takes upon itself.
    pub serves: Serves,
    /// Where it listens.
    pub address: Option<String>,
    /// Its version.
    pub version: String,
    /// Its first heartbeat, by the database's clock.
    pub started_at: Timestamp,
    /// Its last one.
    pub seen_at: Timestamp,
}

/// A lease, taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// What its owner proves from now on.
    pub epoch: Epoch,
    /// Where it stands.
    pub checkpoint: Position,
}

/// A lease as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// Of which role.
    pub role: LeaseRole,
    /// Of what.
    pub slot: Slot,
    /// Who has it, and in which run; nothing where nobody has.
    pub owner: Option<(String, Boot)>,
    /// Counts the owners.
    pub epoch: Epoch,
    /// Where it stands.
    pub checkpoint: Position,
}

/// The nodes of a log and what each owns.
///
/// A lease has no time of its own: it is good as long as its owner's heartbeat, which the database's clock alone judges.
/// It says who should act. Who may is said by the epoch, which every claim raises and every write of consequence proves.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// How many databases there are, each with nodes and leases of its own; 1 unless the store is sharded.
    fn shards(&self) -> u16;

    /// In which of them a lease is kept.
    fn shard_of(&self, role: LeaseRole, slot: &Slot) -> ShardNo;

    /// Writes a node's heartbeat and tells all nodes whose own is younger than `ttl`, by name; in one statement. Of two
    /// runs of one node that both beat, the one that came later is told and the other is not: it may find itself
    /// missing.
    async fn beat(&self, shard: ShardNo, beat: &Beat, ttl: Duration) -> Result<Vec<Member>>;

    /// Gives everything back that a node's run has, and forgets it.
    async fn leave(&self, shard: ShardNo, node: &str, boot: Boot) -> Result<()>;

    /// Takes a lease for a node that beats, unless another node has it whose own heartbeat is younger than `ttl`. Every
    /// claim makes a new epoch, also one by the node that had it before. Nothing for a node that does not beat, or that
    /// was started again since.
    async fn claim(&self, role: LeaseRole, slot: &Slot, node: &str, boot: Boot, ttl: Duration)
    -> Result<Option<Claim>>;

    /// Gives a lease back, so that another node may take it at once. The epoch stays spent.
    async fn release(&self, role: LeaseRole, slot: &Slot, epoch: Epoch) -> Result<()>;

    /// Moves a lease's checkpoint where the epoch holds; false where it does not. A router moves its own by
    /// [`commit_route`](crate::DeliveryStore::commit_route). It may also fall, for a publisher whose stream begins anew.
    async fn advance(&self, role: LeaseRole, slot: &Slot, epoch: Epoch, checkpoint: Position) -> Result<bool>;

    /// All leases of a database, by role and slot.
    async fn leases(&self, shard: ShardNo) -> Result<Vec<LeaseRow>>;

    /// Proves that a node has the master key of the log: `check` is derived from it, and the first one that is shown is
    /// kept. False where another one is kept; with `replace` this one takes its place.
    async fn master_check(&self, check: &[u8; 32], replace: bool) -> Result<bool>;
}

/// Who of those who beat is the node under its name: of several runs the last that came. `found` holds each with the
/// number of its coming.
pub(crate) fn latest(mut found: Vec<(i64, Member)>) -> Vec<Member> {
    found.sort_by(|(one, a), (two, b)| a.node.cmp(&b.node).then(two.cmp(one)));
    found.dedup_by(|(_, after), (_, before)| after.node == before.node);
    found.into_iter().map(|(_, member)| member).collect()
}

/// By role, partitions by number.
pub(crate) fn in_order(mut rows: Vec<LeaseRow>) -> Vec<LeaseRow> {
    rows.sort_by(|a, b| {
        let key = |row: &LeaseRow| (row.role, row.slot.as_partition().filter(|_| row.role != LeaseRole::Pump));
        key(a).cmp(&key(b)).then_with(|| a.slot.cmp(&b.slot))
    });
    rows
}

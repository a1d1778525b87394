//! Which node owns what: heartbeats, the spread of slots over the nodes that beat, and the loop of an owner.
//!
//! Everything that has one owner at a time (a partition's router, its publisher, a source's pump) has a lease. Each node
//! beats about every second; who beats is a member, and from the members every node computes the same owner for each
//! slot (`tidings_core::lease`). A node claims what is its own and waits where another still has it; it gives back what
//! is another's, once what it had under way has ended.
//!
//! A lease says who should act; the epoch, proved by every write of consequence, says who may. So nothing here is needed
//! for correctness: two nodes that both think that they own a slot cost work, not events.

mod owner;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use metrics::{counter, gauge, histogram};
use parking_lot::Mutex;
use tidings_core::lease::assign;
use tidings_event::{Epoch, PartitionId};
use tidings_store::{
    Beat, Boot, Error as StoreError, LeaseRole, LeaseRow, Member, Result, Serves, ShardNo, Slot, Store,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use owner::{Held, own};

use crate::metrics as names;
use crate::options::NodeOptions;
use crate::pause::sleep_unless;
use crate::watch;
use crate::{Engine, Error};

/// The shortest time between two heartbeats that nobody asked for.
const BEAT_MIN: Duration = Duration::from_millis(20);
/// The shortest time from a heartbeat to the next that a hint asks for: hints come from anybody on the bus.
const POKED_MIN: Duration = Duration::from_millis(20);
/// How long giving back may take what nobody here knows of; the next heartbeat tries again.
const RELEASE_MAX: Duration = Duration::from_secs(1);
/// How long one of the databases may take to tell what is owned, when somebody asks.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// How long leaving may take, for each database. Without it others wait for the lease to run out.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// What is owned.
type Key = (LeaseRole, Slot);

/// This node among the others.
pub(crate) struct Leases {
    store: Arc<dyn Store>,
    node: String,
    boot: Boot,
    address: Option<String>,
    ttl: Duration,
    beat: Duration,
    /// Whether it answers calls.
    api: bool,
    serves: Mutex<Serves>,
    shards: Vec<Shard>,
    held: Mutex<BTreeMap<Key, Mine>>,
    /// Raised by every hint that leases may have moved: whoever waits looks at once.
    pokes: watch::Sender<u64>,
    /// Raised whenever this node gave something back, came or goes: others should be poked.
    moves: watch::Sender<u64>,
}

/// A lease that this node has.
struct Mine {
    epoch: Epoch,
    /// Ends its owner's work.
    token: CancellationToken,
}

/// What is known of one database's nodes.
struct Shard {
    view: watch::Sender<View>,
    /// Until when this node's last heartbeat is good; nothing before the first.
    good_until: Mutex<Option<Instant>>,
}

/// Who runs, and what of it is this node's.
#[derive(Clone, Default)]
struct View {
    members: Arc<[Member]>,
    mine: Arc<BTreeSet<Key>>,
}

impl Leases {
    /// Beats for the first time, in each database. One that cannot be reached holds nothing up: the heartbeat goes on.
    pub(crate) async fn open(store: Arc<dyn Store>, options: &NodeOptions, serves: Serves) -> Arc<Self> {
        let shards = (0..store.shards())
            .map(|_| Shard { view: watch::Sender::new(View::default()), good_until: Mutex::default() })
            .collect();
        let leases = Arc::new(Self {
            store,
            node: options.id.clone(),
            boot: Boot(crate::dice::ulid()),
            address: options.address.clone(),
            ttl: options.lease,
            beat: options.beat,
            api: options.roles.api,
            serves: Mutex::new(serves),
            shards,
            held: Mutex::default(),
            pokes: watch::Sender::new(0),
            moves: watch::Sender::new(0),
        });
        join_all(leases.shards().map(async |shard| {
            if let Err(error) = leases.round(shard).await {
                tracing::warn!(%shard, %error, "the first heartbeat cannot be written");
            }
        }))
        .await;
        leases
    }

    fn shards(&self) -> impl Iterator<Item = ShardNo> + use<> {
        (0..self.store.shards()).map(ShardNo)
    }

    /// Starts the heartbeats. They end with the token.
    pub(crate) fn start(self: &Arc<Self>, ending: &CancellationToken) -> Vec<JoinHandle<()>> {
        self.shards().map(|shard| tokio::spawn(self.clone().keep_beating(shard, ending.clone()))).collect()
    }

    /// This node's name.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// All that run, as the first database tells; as of about a second ago, and this node among them unless it cannot
    /// beat.
    pub(crate) fn members(&self) -> Arc<[Member]> {
        self.shards.first().map(|shard| shard.view.borrow().members.clone()).unwrap_or_default()
    }

    /// How many of those that run answer calls; at least one.
    pub(crate) fn serving_api(&self) -> u32 {
        let serving = self.members().iter().filter(|member| member.serves.api()).count();
        u32::try_from(serving).unwrap_or(u32::MAX).max(1)
    }

    /// Whether this node may start new work for what it owns in a database: its last heartbeat is younger than the lease.
    pub(crate) fn is_good(&self, shard: ShardNo) -> bool {
        let Some(shard) = self.shards.get(usize::from(shard.0)) else { return false };
        shard.good_until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Whether this node may start new work for a slot.
    pub(crate) fn is_good_for(&self, role: LeaseRole, slot: &Slot) -> bool {
        self.is_good(self.store.shard_of(role, slot))
    }

    /// Looks at once who runs and what is free: for whoever heard from another node that leases moved.
    pub(crate) fn poke(&self) {
        self.pokes.send_modify(|pokes| *pokes += 1);
    }

    /// Changes whenever other nodes should look at once.
    pub(crate) fn moves(&self) -> watch::Receiver<u64> {
        self.moves.subscribe()
    }

    fn moved(&self) {
        self.moves.send_modify(|moves| *moves += 1);
    }

    /// Tells the others that this node takes nothing from now on. What it owns goes on until it is given back.
    pub(crate) fn retire(&self) {
        *self.serves.lock() = Serves::default();
        self.poke();
        self.moved();
    }

    /// Leaves: whatever this node still has is free at once. The heartbeats must have ended.
    pub(crate) async fn leave(&self) {
        for shard in self.shards() {
            let left = timeout(LEAVE_MAX, self.store.leave(shard, &self.node, self.boot)).await;
            if !matches!(left, Ok(Ok(()))) {
                tracing::warn!(%shard, "the node could not leave in order; others wait for its leases to run out");
            }
        }
        self.moved();
    }

    async fn keep_beating(self: Arc<Self>, shard: ShardNo, ending: CancellationToken) {
        let mut pokes = self.pokes.subscribe();
        let mut failing = false;
        let mut delay = self.beat;
        let mut beaten = Instant::now();
        loop {
            let poked = tokio::select! {
                biased;
                () = ending.cancelled() => return,
                _ = pokes.changed() => true,
                () = tokio::time::sleep(delay) => false,
            };
            if poked && !sleep_unless(POKED_MIN.saturating_sub(beaten.elapsed()), &ending).await {
                return;
            }
            // What was poked while it waited is seen by this round.
            drop(pokes.borrow_and_update());
            beaten = Instant::now();
            delay = match self.round(shard).await {
                Ok(next) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!(%shard, "heartbeats are written again");
                    }
                    next
                }
                Err(error) => {
                    counter!(names::HEARTBEATS_FAILED).increment(1);
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%shard, %error, "a heartbeat cannot be written; without one for as long as a \
                            lease lasts this node starts nothing new");
                    }
                    self.beat
                }
            };
        }
    }

    /// One heartbeat, and what follows from what it tells. Returns when the next is due.
    async fn round(&self, shard: ShardNo) -> Result<Duration> {
        let began = Instant::now();
        let beat = Beat {
            node: self.node.clone(),
            boot: self.boot,
            serves: self.serves.lock().clone(),
            address: self.address.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let told = async { Ok((self.store.beat(shard, &beat, self.ttl).await?, self.store.leases(shard).await?)) };
        let (members, rows) = timeout(self.ttl, told).await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable { reason: "it took longer than a lease".to_owned(), ambiguous: true })
        })?;
        histogram!(names::HEARTBEAT_SECONDS).record(began.elapsed());
        let mine = self.share(shard, &members);
        // In this order: what was lost ends before anything new may be started.
        self.give_up_lost(&rows);
        self.take(shard, members, mine, began);
        self.release_strays(&rows).await;
        Ok(self.next(shard))
    }

    /// What this node shall own of a database.
    fn share(&self, shard: ShardNo, members: &[Member]) -> BTreeSet<Key> {
        let Some(own) = members.iter().position(|member| member.node == self.node && member.boot == self.boot) else {
            tracing::warn!(node = self.node, "another process runs under this node's name; this one owns nothing");
            return BTreeSet::new();
        };
        let nodes: Vec<&str> = members.iter().map(|member| member.node.as_str()).collect();
        let mut mine = BTreeSet::new();
        for role in LeaseRole::ALL {
            let slots: Vec<Slot> = self
                .slots(*role, members)
                .into_iter()
                .filter(|slot| self.store.shard_of(*role, slot) == shard)
                .collect();
            let of: Vec<&str> = slots.iter().map(Slot::as_str).collect();
            let owners = assign(kind(*role), &nodes, &of, |node, slot| members[node].serves.takes(*role, &slots[slot]));
            let owned = slots.into_iter().zip(owners).filter(|(_, owner)| *owner == Some(own));
            mine.extend(owned.map(|(slot, _)| (*role, slot)));
        }
        mine
    }

    /// All that a role has.
    fn slots(&self, role: LeaseRole, members: &[Member]) -> BTreeSet<Slot> {
        match role {
            LeaseRole::Router | LeaseRole::Publisher => {
                (0..self.store.log().partitions).map(|partition| Slot::partition(PartitionId(partition))).collect()
            }
            LeaseRole::Pump => {
                members.iter().flat_map(|member| &member.serves.sources).map(|name| Slot::source(name)).collect()
            }
        }
    }

    /// Ends the work for what another owner has taken; its commits would be refused anyway.
    fn give_up_lost(&self, rows: &[LeaseRow]) {
        let held = self.held.lock();
        for row in rows {
            let Some(mine) = held.get(&(row.role, row.slot.clone())) else { continue };
            let lost = row.epoch > mine.epoch || (row.epoch == mine.epoch && !self.is_owner(row));
            if lost && !mine.token.is_cancelled() {
                tracing::warn!(role = %row.role, slot = %row.slot, "another node has taken what this one owned");
                mine.token.cancel();
            }
        }
    }

    fn is_owner(&self, row: &LeaseRow) -> bool {
        row.owner.as_ref().is_some_and(|(node, boot)| *node == self.node && *boot == self.boot)
    }

    /// Takes what a round told.
    fn take(&self, shard: ShardNo, members: Vec<Member>, mine: BTreeSet<Key>, began: Instant) {
        gauge!(names::NODES, "shard" => shard.to_string()).set(members.len() as f64);
        let Some(known) = self.shards.get(usize::from(shard.0)) else { return };
        *known.good_until.lock() = Some(began + self.ttl);
        known.view.send_if_modified(|view| {
            let changed = *view.mine != mine;
            if changed {
                tracing::debug!(%shard, nodes = members.len(), slots = mine.len(), "this node's share changed");
                view.mine = Arc::new(mine);
            }
            view.members = members.into();
            changed
        });
    }

    /// Gives back what is this node's by the store, but which nobody here knows of or wants: the answer to a claim or to
    /// a release was lost.
    async fn release_strays(&self, rows: &[LeaseRow]) {
        for row in rows.iter().filter(|row| self.is_owner(row)) {
            let key = (row.role, row.slot.clone());
            let shard = self.store.shard_of(row.role, &row.slot);
            let wanted =
                self.shards.get(usize::from(shard.0)).is_some_and(|shard| shard.view.borrow().mine.contains(&key));
            let is_stray = !wanted && !self.held.lock().contains_key(&key);
            if !is_stray {
                continue;
            }
            match timeout(RELEASE_MAX, self.store.release(row.role, &row.slot, row.epoch)).await {
                Ok(Ok(())) => self.moved(),
                // A heartbeat that is late costs more than a slot that stays free for a moment longer.
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    /// When the next heartbeat is due: earlier where one of another node runs out before.
    fn next(&self, shard: ShardNo) -> Duration {
        let Some(known) = self.shards.get(usize::from(shard.0)) else { return self.beat };
        let members = known.view.borrow().members.clone();
        let Some(own) = members.iter().find(|member| member.boot == self.boot) else { return self.beat };
        let ttl = i64::try_from(self.ttl.as_micros()).unwrap_or(i64::MAX);
        let left = |member: &Member| (member.seen_at.as_micros() - own.seen_at.as_micros()).saturating_add(ttl);
        let first = members.iter().filter(|member| member.boot != self.boot).map(left).min();
        let first = first.map_or(self.beat, |left| Duration::from_micros(u64::try_from(left).unwrap_or(0)));
        self.beat.min(first + Duration::from_millis(1)).max(BEAT_MIN.min(self.beat))
    }
}

/// A node, and what it owns.
#[derive(Debug, Clone)]
pub struct Node {
    /// The node.
    pub member: Member,
    /// What it owns, by role and slot.
    pub leases: Vec<LeaseRow>,
}

/// The nodes of a log.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// Those that beat, by name.
    pub nodes: Vec<Node>,
    /// Leases that none of them has: those of nodes that are gone, and those that nobody took yet.
    pub free: Vec<LeaseRow>,
}

impl Engine {
    /// All nodes that beat, as of about a second ago, and what they own now. What is owned of a database that does not
    /// answer is left out, unless none does.
    pub async fn nodes(&self) -> Result<Nodes, Error> {
        let leases = &self.shared.leases;
        let mut nodes: BTreeMap<(String, Boot), Node> = BTreeMap::new();
        for shard in &leases.shards {
            for member in shard.view.borrow().members.iter() {
                let key = (member.node.clone(), member.boot);
                let node = nodes.entry(key).or_insert_with(|| Node { member: member.clone(), leases: Vec::new() });
                node.member.seen_at = node.member.seen_at.max(member.seen_at);
            }
        }
        let looks = leases.shards().map(async |shard| {
            let late = || Err(StoreError::Unavailable { reason: "it does not answer".to_owned(), ambiguous: false });
            let looked = timeout(LOOK_MAX, leases.store.leases(shard)).await.unwrap_or_else(|_| late());
            looked.inspect_err(|error| tracing::debug!(%shard, %error, "what is owned cannot be told"))
        });
        let mut looks = join_all(looks).await;
        if looks.iter().all(std::result::Result::is_err)
            && let Some(error) = looks.pop()
        {
            error?;
        }
        let mut free = Vec::new();
        for rows in looks {
            for row in rows.unwrap_or_default() {
                match row.owner.as_ref().and_then(|owner| nodes.get_mut(owner)) {
                    Some(node) => node.leases.push(row),
                    None => free.push(row),
                }
            }
        }
        Ok(Nodes { nodes: nodes.into_values().collect(), free })
    }

    /// Whether this node answers calls; one that does not serves its state alone.
    #[must_use]
    pub fn answers_calls(&self) -> bool {
        self.shared.leases.api
    }

    /// This node's name.
    #[must_use]
    pub fn node(&self) -> &str {
        self.shared.leases.node()
    }
}

/// What roles are dealt out by. What concerns one partition goes to one node, which reads its events once for all.
const fn kind(role: LeaseRole) -> &'static str {
    match role {
        LeaseRole::Router | LeaseRole::Publisher => "partition",
        LeaseRole::Pump => "source",
    }
}

//! Which lanes want an event: every subscription of a partition, compiled.
//!
//! An [`Index`] is one immutable snapshot. Whoever routes holds it and swaps it whole when a subscription changes;
//! the parts of the other tenants are shared between the old snapshot and the new. What an event costs follows the
//! subscriptions of its tenant that might want it, not their number in the partition:
//!
//! - exact types are found by hash, prefixes in a trie, and a regular expression is tried only on types that hold a
//!   literal which it cannot do without;
//! - each distinct path is evaluated at most once an event, each distinct comparison made at most once, and many
//!   values that one path may equal are found by hash;
//! - `data` is parsed at most once, and only for a subscription that wants the type and has filters.
//!
//! What a subscription means is said by [`wants`], one selection after the other; the index gives the same answer.
//! Both use the same filters and the same type tests.

mod explain;
mod filters;
mod tenant;
mod trie;
mod types;

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use tidings_event::{EventType, LaneNo, Recorded, Sequence, TenantNo};

use crate::pattern::Selection;
use tenant::Tenant;

pub use explain::{Explained, VALUE_CHARS_MAX, VALUES_MAX, explain};

/// What one lane wants of a tenant's events in a range of sequences.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Who wants them.
    pub lane: LaneNo,
    /// Whose events.
    pub tenant: TenantNo,
    /// Holds for sequences above this one.
    pub after: Sequence,
    /// Holds up to this sequence, itself included; without end if none.
    pub until: Option<Sequence>,
    /// Which of them.
    pub selection: Arc<Selection>,
}

/// What a subscription means by a selection: the events that the selection matches, those of Tidings itself only
/// where one of its types names them (see [`crate::pattern`]). So "all types" are all types of producers.
#[must_use]
pub fn wants(selection: &Selection, event: &Recorded) -> bool {
    (!is_system(event) || selection.names_system()) && selection.matches(event)
}

/// Whether a subscription to the selection may want events of a type; see [`wants`].
#[must_use]
pub fn wants_type(selection: &Selection, event_type: &EventType) -> bool {
    (!event_type.is_reserved() || selection.names_system()) && selection.accepts(event_type)
}

/// Whether an event is one of Tidings' own.
fn is_system(event: &Recorded) -> bool {
    event.event.event_type.is_reserved()
}

/// A stated hash function: an index is the same function of its subscriptions wherever it is built.
type Hashed = BuildHasherDefault<DefaultHasher>;

/// A change copies the list of one shard, so a shard of a hundred thousand tenants stays at a few hundred of them.
const SHARDS: usize = 256;

/// Tenants in order of their numbers.
type Shard = Box<[(TenantNo, Arc<Tenant>)]>;

/// The subscriptions of a partition, compiled. Immutable and cheap to clone.
#[derive(Clone)]
pub struct Index(Arc<Snapshot>);

#[derive(Clone)]
struct Snapshot {
    /// As many as [`SHARDS`].
    shards: Box<[Arc<Shard>]>,
    /// Subscriptions in all of them.
    len: usize,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({} subscriptions)", self.len())
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::empty()
    }
}

impl Index {
    /// Without subscriptions.
    #[must_use]
    pub fn empty() -> Self {
        let none = Arc::new(Shard::default());
        Self(Arc::new(Snapshot { shards: (0..SHARDS).map(|_| Arc::clone(&none)).collect(), len: 0 }))
    }

    /// Compiles the subscriptions of any number of tenants.
    #[must_use]
    pub fn build(subscriptions: impl IntoIterator<Item = Subscription>) -> Self {
        let mut subscriptions: Vec<Subscription> = subscriptions.into_iter().collect();
        let len = subscriptions.len();
        subscriptions.sort_by_key(|subscription| subscription.tenant);
        let mut shards: Vec<Vec<(TenantNo, Arc<Tenant>)>> = (0..SHARDS).map(|_| Vec::new()).collect();
        for of_tenant in subscriptions.chunk_by(|a, b| a.tenant == b.tenant) {
            if let Some(first) = of_tenant.first()
                && let Some(shard) = shards.get_mut(shard_of(first.tenant))
            {
                shard.push((first.tenant, Arc::new(Tenant::compile(of_tenant))));
            }
        }
        let shards = shards.into_iter().map(|shard| Arc::new(shard.into_boxed_slice())).collect();
        Self(Arc::new(Snapshot { shards, len }))
    }

    /// All of one tenant's subscriptions replaced by these; other tenants' parts are shared with the old snapshot.
    ///
    /// A subscription of another tenant is taken as one of this tenant.
    #[must_use]
    pub fn with_tenant(&self, tenant: TenantNo, subscriptions: Vec<Subscription>) -> Self {
        let mut snapshot = (*self.0).clone();
        let part = (!subscriptions.is_empty()).then(|| Arc::new(Tenant::compile(&subscriptions)));
        // What the last selections of a tenant held is let go before the index is used.
        drop(subscriptions);
        if let Some(shard) = snapshot.shards.get_mut(shard_of(tenant)) {
            let added = part.as_ref().map_or(0, |part| part.len());
            let place = shard.binary_search_by_key(&tenant, |(tenant, _)| *tenant);
            let removed = place.ok().and_then(|at| shard.get(at)).map_or(0, |(_, part)| part.len());
            let mut tenants = Vec::with_capacity(shard.len() + 1);
            tenants.extend(shard.iter().filter(|(other, _)| *other < tenant).cloned());
            tenants.extend(part.map(|part| (tenant, part)));
            tenants.extend(shard.iter().filter(|(other, _)| *other > tenant).cloned());
            *shard = Arc::new(tenants.into());
            snapshot.len = snapshot.len - removed + added;
        }
        Self(Arc::new(snapshot))
    }

    /// Finds the lanes that want the event: `lanes` is cleared and then holds each once, in ascending order.
    pub fn matches(&self, event: &Recorded, lanes: &mut Vec<LaneNo>) {
        lanes.clear();
        let Some(shard) = self.0.shards.get(shard_of(event.tenant_no)) else { return };
        if let Ok(at) = shard.binary_search_by_key(&event.tenant_no, |(tenant, _)| *tenant)
            && let Some((_, tenant)) = shard.get(at)
        {
            tenant.matches(event, lanes);
            lanes.sort_unstable();
            lanes.dedup();
        }
    }

    /// How many subscriptions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there are no subscriptions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }
}

fn shard_of(tenant: TenantNo) -> usize {
    // Numbers of tenants are dense or have a stride; multiplied by the golden ratio their upper bits are neither.
    let spread = tenant.0.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from(spread >> 32).unwrap_or_default() % SHARDS
}

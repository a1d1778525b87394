//! Reading for lanes that lag, and judging what was read by the selections that held for it.

use std::sync::Arc;

use parking_lot::RwLock;
use tidings_core::deliver::{Item, Read, ReadDone};
use tidings_core::index::wants;
use tidings_core::pattern::Selection;
use tidings_event::{PartitionId, Position, Recorded, Sequence};
use tidings_store::ReadLimit;

use super::Means;
use super::attempt::Payload;
use crate::FeedEvent;
use crate::places::Place;
use crate::ring::Ring;

/// Events that one read looks at; where few match, the lane asks again from there.
const SCAN_EVENTS_MAX: usize = 5_000;
/// Bytes of `data` that one read hands to its lane.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Events that are taken from memory or from the log at once.
const CHUNK: ReadLimit = ReadLimit { events: 256, bytes: 4 * 1024 * 1024 };
/// An event with more `data` is not held by a lane, but read again when it is sent: windows full of large events would
/// take far more memory than events are worth that may not be sent for long.
const HELD_BYTES_MAX: usize = 32 * 1024;

/// What a lane wants, from some sequence on.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// It holds for sequences above this one, up to where the next begins.
    pub(super) after: Sequence,
    pub(super) selection: Arc<Selection>,
}

/// All that a lane wanted, oldest first.
pub(super) type Selections = Arc<[Held]>;

/// Whether a lane wants an event: judged by what held when it was appended.
pub(super) fn judge(selections: &[Held], event: &Recorded) -> bool {
    let held = selections.iter().rev().find(|held| held.after < event.sequence);
    held.is_some_and(|held| wants(&held.selection, event))
}

/// An event as lanes of a partition take it.
pub(super) fn item(event: &Arc<FeedEvent>, partition: PartitionId) -> Item<Payload> {
    let recorded = &event.recorded;
    Item {
        sequence: recorded.sequence,
        // What the tenant brought along from another partition came before all that it has here.
        position: if recorded.partition == partition { recorded.position } else { Position(0) },
        recorded_at: recorded.recorded_at,
        key: recorded.event.entity.as_ref().map(|entity| key(entity.kind.as_str(), entity.id.as_str())),
        system: is_system(event),
        payload: (recorded.event.data.as_bytes().len() <= HELD_BYTES_MAX).then(|| event.clone()),
    }
}

/// Whether it is an event of Tidings itself.
pub(super) fn is_system(event: &FeedEvent) -> bool {
    event.recorded.event.event_type.is_reserved()
}

/// A hash of an entity that is the same on every machine and in every version, as retries keep it: FNV-1a of 64 bits.
/// Entities that share one are only kept in order among each other.
fn key(kind: &str, id: &str) -> u64 {
    // A control character, which neither part can hold, keeps apart what is written alike.
    let bytes = kind.bytes().chain([0x1f]).chain(id.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// What the router last read from the log. Lanes that lag mostly read the same soon after, each of them.
pub(super) type History = Arc<RwLock<Ring>>;

/// A read for one lane.
pub(super) struct LaneRead {
    pub(super) means: Arc<Means>,
    pub(super) partition: PartitionId,
    pub(super) history: History,
    pub(super) read: Read,
    pub(super) selections: Selections,
    /// What lies beyond is left out: it comes through the router, which first learns what was changed before it. None
    /// where nothing can change, as for a replay.
    pub(super) routed: Option<Position>,
}

impl LaneRead {
    /// Reads until there is as much as was asked for, the end was reached, or much was looked at. Also tells the last
    /// position that was looked at, if any was.
    pub(super) async fn read(self) -> tidings_store::Result<(ReadDone<Payload>, Option<Position>)> {
        let Read { tenant, after, upto, limit, .. } = self.read;
        let end = upto.unwrap_or(Sequence(u64::MAX));
        let mut done = ReadDone { items: Vec::new(), upto: after, at_head: false };
        let (mut looked_at, mut bytes) = (0, 0);
        let mut reached = None;
        while done.upto < end {
            let place = Place { no: tenant, partition: self.partition };
            let (events, at_end) = match self.chunk(place, done.upto).await? {
                Chunk::Found { events, at_end } => (events, at_end),
                Chunk::Erased { upto } => {
                    // Nobody can be sent what is no more; what is left of the log comes next.
                    tracing::warn!(lane = self.read.lane.0, after = %done.upto, %upto, "events were erased undelivered");
                    done.upto = upto.min(end);
                    continue;
                }
            };
            looked_at += events.len();
            for event in &events {
                let recorded = &event.recorded;
                let here = recorded.partition == self.partition;
                if here && self.routed.is_some_and(|routed| recorded.position > routed) {
                    done.at_head = true;
                    return Ok((done, self.routed));
                }
                if recorded.sequence > end {
                    return Ok((done, reached));
                }
                if judge(&self.selections, recorded) {
                    done.items.push(item(event, self.partition));
                    bytes += recorded.event.data.as_bytes().len();
                }
                done.upto = recorded.sequence;
                reached = if here { Some(recorded.position) } else { reached };
                if done.items.len() >= limit || bytes >= READ_BYTES_MAX {
                    done.at_head = at_end && events.last().is_none_or(|last| last.recorded.sequence == done.upto);
                    return Ok((done, reached));
                }
            }
            if at_end || looked_at >= SCAN_EVENTS_MAX {
                done.at_head = at_end;
                return Ok((done, reached));
            }
            // Judging many events is work that would keep a thread from everybody else.
            tokio::task::consume_budget().await;
        }
        Ok((done, reached))
    }

    /// Events that follow a sequence among those that the router read from the log.
    fn known(&self, place: Place, after: Sequence) -> Option<(Vec<Arc<FeedEvent>>, bool)> {
        let history = self.history.read();
        let events = history.read(place.no, after, CHUNK.events);
        if !events.is_empty() {
            return Some((events, false));
        }
        // Where it reaches as far as was routed, nothing that was routed follows the tenant's last in it.
        let last = history.last(place.no)?;
        let reaches = self.routed.is_some_and(|routed| history.end() >= routed);
        (reaches && after >= last).then_some((events, true))
    }

    /// Events that follow a sequence, from memory or from the log.
    async fn chunk(&self, place: Place, after: Sequence) -> tidings_store::Result<Chunk> {
        let routed = self.routed.unwrap_or_default();
        if let Some((events, at_end)) = self.means.tail.read_to_end(place, after, CHUNK.events, routed) {
            return Ok(Chunk::Found { events, at_end });
        }
        if let Some((events, at_end)) = self.known(place, after) {
            return Ok(Chunk::Found { events, at_end });
        }
        let slice = self.means.store.feed(place.no, after, CHUNK).await?;
        if after < slice.floor {
            return Ok(Chunk::Erased { upto: slice.floor });
        }
        let last = slice.events.last().map_or(after, |event| event.sequence);
        if slice.events.is_empty() && after < slice.head {
            let reason = format!("the log of tenant {} has a gap after {after}", place.no);
            return Err(tidings_store::Error::Broken(reason));
        }
        let events = slice.events.into_iter().map(|event| Arc::new(FeedEvent::new(event))).collect();
        Ok(Chunk::Found { events, at_end: last >= slice.head })
    }
}

/// What follows a sequence in a tenant's log.
enum Chunk {
    Found {
        events: Vec<Arc<FeedEvent>>,
        /// Whether they reach the tenant's last.
        at_end: bool,
    },
    /// What follows was erased, up to this sequence.
    Erased { upto: Sequence },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_an_entity_never_changes() {
        assert_eq!(key("lead", "lead_42"), 0xd3ee_5c63_7db6_13dd);
        assert_ne!(key("a", "bc"), key("ab", "c"));
    }
}

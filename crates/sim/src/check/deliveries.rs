//! Deliveries as endpoints took them: each event that was wanted, with its content, in order where that was asked for,
//! and again only where something went wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::books::{Books, Endpoint};
use super::log::Log;
use crate::receivers::{Receivers, Taken};
use crate::universe::{Excuse, Universe};

/// What is wrong with the deliveries of a whole run, once all is quiet.
pub fn judge(books: &Books, log: &Log, receivers: &Receivers, universe: &Universe) -> Option<String> {
    books.endpoints.iter().filter(|(_, endpoint)| endpoint.status != "deleted").find_map(|(no, endpoint)| {
        receivers.taken(&endpoint.url, |taken| {
            let dead = |sequence| books.dead.contains(&(*no, sequence));
            content(endpoint, log, taken)
                .or_else(|| complete(endpoint, log, taken, dead))
                .or_else(|| in_order(endpoint, log, taken, dead))
                .or_else(|| settled(endpoint, taken))
                .or_else(|| without_reason(endpoint, taken, universe))
        })
    })
}

/// Whether all that was delivered is in the log as it was delivered, and was wanted.
fn content(endpoint: &Endpoint, log: &Log, taken: &[Taken]) -> Option<String> {
    taken.iter().find_map(|one| {
        let row = log.at(endpoint.tenant, one.sequence);
        let is_right = row.is_some_and(|row| {
            row.id == one.id && endpoint.wants(row) && row.data == format!(r#"{{"n":{}}}"#, one.number)
        });
        (!is_right).then(|| format!("{} was given {one:?} where the log has {row:?}", endpoint.url))
    })
}

/// Whether every event that was wanted was delivered or given up.
fn complete(endpoint: &Endpoint, log: &Log, taken: &[Taken], dead: impl Fn(u64) -> bool) -> Option<String> {
    if endpoint.status != "active" {
        return None;
    }
    let got: BTreeSet<u64> = taken.iter().map(|one| one.sequence).collect();
    let missing = log
        .of_tenant(endpoint.tenant)
        .find(|row| endpoint.wants(row) && !got.contains(&row.sequence) && !dead(row.sequence));
    missing.map(|row| format!("at least once: {} never got {}", endpoint.url, row.sequence))
}

/// Whether no event came for the first time after a later one of its entity, or after any later one where the order is
/// strict.
fn in_order(endpoint: &Endpoint, log: &Log, taken: &[Taken], dead: impl Fn(u64) -> bool) -> Option<String> {
    let strict = match endpoint.ordering.as_str() {
        "entity" => false,
        "strict" => true,
        _ => return None,
    };
    let mut newest: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    let mut got = BTreeSet::new();
    for one in taken {
        if !got.insert(one.sequence) {
            continue;
        }
        let entity = log.at(endpoint.tenant, one.sequence)?.entity.as_deref().filter(|_| !strict);
        let last = newest.entry(entity).or_default();
        // One that was given up and then redriven comes for itself.
        if one.sequence < *last && !dead(one.sequence) {
            return Some(format!(
                "entity order: {} got {} of {entity:?} for the first time after {last}",
                endpoint.url, one.sequence
            ));
        }
        *last = one.sequence.max(*last);
    }
    None
}

/// For how long a fault has consequences: a lease and a drain, and then some.
const AFTERMATH_US: u64 = 12_000_000;

/// Whether nothing came that had long been settled, whatever befell: what is settled is left alone by whoever takes over.
fn settled(endpoint: &Endpoint, taken: &[Taken]) -> Option<String> {
    let (late, settled) = endpoint.came_late(taken)?;
    Some(format!("settled: {} was given {late:?}, which was settled at {settled}", endpoint.url))
}

/// Whether what came again has a reason: a fault not long before that can have this consequence, or a hand-over of its
/// partition between. A hand-over in good order leaves behind what a lane delivered beyond an event that it had no time
/// for.
fn without_reason(endpoint: &Endpoint, taken: &[Taken], universe: &Universe) -> Option<String> {
    let faults = [Excuse::Everybody, Excuse::Url(endpoint.url.clone())];
    let hand_over = Excuse::Partition(endpoint.partition);
    let mut first: BTreeMap<u64, &Taken> = BTreeMap::new();
    for one in taken {
        if let Some(before) = first.get(&one.sequence)
            && !universe.had_excuse(&hand_over, before.at_us, one.at_us)
            && !faults
                .iter()
                .any(|fault| universe.had_excuse(fault, before.at_us.saturating_sub(AFTERMATH_US), one.at_us))
        {
            return Some(format!("{} got {} again without a reason: {before:?}, {one:?}", endpoint.url, one.sequence));
        }
        first.insert(one.sequence, one);
    }
    None
}

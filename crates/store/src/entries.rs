//! What both databases do alike with the catalog's rows, before they are written and after they are read.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use sha2::{Digest, Sha256};
use tidings_event::log::{AppendPlan, Mark};
use tidings_event::{Recorded, Violation};

use crate::encoding::last_of;
use crate::{Aside, CatalogRevision, CatalogSlice, EntryChange, EntryRow, Error, ObservedRow, Result};

/// Above every type's name.
pub(crate) const BEYOND_TYPES: &str = "~";

/// Refuses a change that names nothing, or an entry twice.
pub(crate) fn check(changes: &[EntryChange]) -> Result<()> {
    let keys: BTreeSet<_> = changes.iter().map(|change| &change.key).collect();
    if keys.is_empty() || keys.len() < changes.len() {
        return Err(Error::Broken("a change of the catalog must name entries, each once".to_owned()));
    }
    Ok(())
}

/// What was read of the catalog, cut where a change ends.
pub(crate) enum Piece {
    /// All that fits.
    Cut(CatalogSlice),
    /// Not even the first change fits; it is to be read whole.
    First,
}

/// Makes a piece of rows of every revision above `after`, in order, of which one more than `limit` were asked for.
pub(crate) fn cut(mut rows: Vec<EntryRow>, after: CatalogRevision, head: CatalogRevision, limit: usize) -> Piece {
    let mut upto = head.max(after);
    if rows.len() > limit
        && let Some(last) = rows.last()
    {
        upto = CatalogRevision(last.revision.0 - 1);
        rows.retain(|row| row.revision <= upto);
        if rows.is_empty() {
            return Piece::First;
        }
    }
    Piece::Cut(slice(rows, upto, head))
}

/// The newest revision of each entry among rows of every revision, in order.
pub(crate) fn slice(mut rows: Vec<EntryRow>, upto: CatalogRevision, head: CatalogRevision) -> CatalogSlice {
    let mut seen = HashSet::with_capacity(rows.len());
    rows.reverse();
    rows.retain(|row| seen.insert(row.key.clone()));
    rows.sort_unstable_by(|one, other| (one.revision, &one.key).cmp(&(other.revision, &other.key)));
    CatalogSlice { rows, upto, head }
}

/// An event to put aside, with the hash of its bytes.
pub(crate) struct Hashed<'a> {
    pub(crate) aside: &'a Aside,
    pub(crate) hash: [u8; 32],
}

/// Each event once, in the order in which all lock them.
pub(crate) fn hashed(events: &[Aside]) -> Vec<Hashed<'_>> {
    let hashed: Vec<Hashed<'_>> =
        events.iter().map(|aside| Hashed { aside, hash: Sha256::digest(aside.event.as_bytes()).into() }).collect();
    let last = last_of(&hashed, |row| (row.aside.tenant.as_str(), row.aside.event_id.as_str(), row.hash));
    last.into_iter().map(|row| Hashed { aside: row.aside, hash: row.hash }).collect()
}

/// What was seen of each publisher, added up, in one order.
pub(crate) fn merged(seen: &[ObservedRow]) -> Vec<ObservedRow> {
    let mut sums: BTreeMap<(&str, &str, &str, &str), ObservedRow> = BTreeMap::new();
    for row in seen {
        let key = (row.event_type.as_str(), row.version.as_str(), row.source_kind.as_str(), row.source_id.as_str());
        match sums.get_mut(&key) {
            Some(sum) => {
                sum.events = sum.events.saturating_add(row.events);
                sum.first_at = sum.first_at.min(row.first_at);
                sum.last_at = sum.last_at.max(row.last_at);
            }
            None => {
                sums.insert(key, row.clone());
            }
        }
    }
    sums.into_values().collect()
}

/// The marks of a plan that was proved, each with its row.
pub(crate) fn marked(plan: &AppendPlan) -> impl Iterator<Item = (&Recorded, &Mark)> {
    plan.marks.iter().filter_map(|mark| Some((plan.rows.get(mark.row)?, mark)))
}

/// Violations as the column holds them.
pub(crate) fn reasons(violations: &[Violation]) -> Result<String> {
    serde_json::to_string(violations).map_err(|error| Error::Broken(error.to_string()))
}

#[cfg(test)]
mod tests {
    use tidings_event::Timestamp;

    use super::*;
    use crate::EntryKey;

    fn row(name: &str, revision: u64) -> EntryRow {
        EntryRow {
            key: EntryKey { kind: "set".to_owned(), name: name.to_owned(), version: String::new() },
            revision: CatalogRevision(revision),
            source: None,
            by: String::new(),
            reason: None,
            at: Timestamp::from_micros(0),
        }
    }

    #[test]
    fn a_piece_ends_where_a_change_ends_and_holds_each_entry_once() {
        let rows = [("a", 3), ("b", 3), ("a", 4), ("c", 5), ("d", 5)].map(|(name, revision)| row(name, revision));
        let found = |limit: usize| {
            let read = rows[..(limit + 1).min(rows.len())].to_vec();
            match cut(read, CatalogRevision(2), CatalogRevision(5), limit) {
                Piece::First => None,
                Piece::Cut(slice) => {
                    let names: Vec<String> =
                        slice.rows.iter().map(|row| format!("{}{}", row.key.name, row.revision.0)).collect();
                    Some((names.join(" "), slice.upto.0))
                }
            }
        };
        assert_eq!(found(1), None);
        assert_eq!(found(2), Some(("a3 b3".to_owned(), 3)));
        assert_eq!(found(3), Some(("b3 a4".to_owned(), 4)));
        assert_eq!(found(4), Some(("b3 a4".to_owned(), 4)));
        assert_eq!(found(5), Some(("b3 a4 c5 d5".to_owned(), 5)));
        let nothing = cut(Vec::new(), CatalogRevision(5), CatalogRevision(5), 5);
        assert!(matches!(nothing, Piece::Cut(slice) if slice.upto == slice.head && slice.rows.is_empty()));
    }
}

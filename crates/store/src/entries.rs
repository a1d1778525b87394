//! What both databases do alike with the catalog's rows, before they are written and after they are read.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Not even the first change fits; it is to be read whole, up to this revision.
    First(CatalogRevision),
}

/// Makes a piece of the newest revisions above `after`, in order, of which one more than `limit` were asked for.
pub(crate) fn cut(mut rows: Vec<EntryRow>, after: CatalogRevision, head: CatalogRevision, limit: usize) -> Piece {
    let mut upto = head.max(after);
    if rows.len() > limit
        && let Some(last) = rows.last().map(|row| row.revision)
    {
        upto = CatalogRevision(last.0 - 1);
        rows.retain(|row| row.revision <= upto);
        if rows.is_empty() {
            return Piece::First(last);
        }
    }
    Piece::Cut(CatalogSlice { rows, upto, head })
}

/// Each event once, in the order in which all lock them.
pub(crate) fn each_once(events: &[Aside]) -> Vec<&Aside> {
    last_of(events, |aside| (aside.tenant.as_str(), aside.event_id.as_str(), aside.content))
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
    fn a_piece_ends_where_a_change_ends() {
        let rows = [("a", 3), ("b", 3), ("c", 5), ("d", 7), ("e", 7)].map(|(name, revision)| row(name, revision));
        let found = |limit: usize| {
            let read = rows[..(limit + 1).min(rows.len())].to_vec();
            match cut(read, CatalogRevision(2), CatalogRevision(8), limit) {
                Piece::First(whole) => Err(whole.0),
                Piece::Cut(slice) => {
                    let names: Vec<String> =
                        slice.rows.iter().map(|row| format!("{}{}", row.key.name, row.revision.0)).collect();
                    Ok((names.join(" "), slice.upto.0))
                }
            }
        };
        assert_eq!((found(0), found(1)), (Err(3), Err(3)));
        assert_eq!(found(2), Ok(("a3 b3".to_owned(), 4)));
        assert_eq!(found(3), Ok(("a3 b3 c5".to_owned(), 6)));
        assert_eq!(found(4), Ok(("a3 b3 c5".to_owned(), 6)));
        assert_eq!(found(5), Ok(("a3 b3 c5 d7 e7".to_owned(), 8)));
        let nothing = cut(Vec::new(), CatalogRevision(8), CatalogRevision(8), 5);
        assert!(matches!(nothing, Piece::Cut(slice) if slice.upto == slice.head && slice.rows.is_empty()));
    }
}

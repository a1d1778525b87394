//! Why a subscription gets an event or not.

use tidings_event::Recorded;

use super::is_system;
use crate::json::Node;
use crate::pattern::{Document, Selection, Steps};

/// What came of holding an event against a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explained {
    /// It is wanted.
    Wanted,
    /// Its type is none of those that are wanted.
    TypeNotWanted,
    /// It is one of Tidings' own, and the selection does not name those.
    SystemNotNamed,
    /// A filter does not hold; the first of them, if several do not.
    FilterFailed {
        /// Which, counted from 0 in the order of the pattern.
        index: usize,
        /// Its JSONPath.
        field: String,
        /// Its operator, as it is written in a pattern.
        operator: &'static str,
        /// What the path selects in the event, as JSON: the first [`VALUES_MAX`] values, each cut to
        /// [`VALUE_CHARS_MAX`] characters. Empty where it selects nothing.
        found: Vec<String>,
    },
}

/// Values that an explanation shows.
pub const VALUES_MAX: usize = 5;
/// Characters of a value that an explanation shows.
pub const VALUE_CHARS_MAX: usize = 200;

/// Why an event is wanted or not, by the meaning of [`wants`](super::wants).
#[must_use]
pub fn explain(selection: &Selection, event: &Recorded) -> Explained {
    if !selection.accepts(&event.event.event_type) {
        return Explained::TypeNotWanted;
    }
    if is_system(event) && !selection.names_system() {
        return Explained::SystemNotNamed;
    }
    let document = Document::new(event);
    let failed = selection.filters().iter().enumerate().find(|(_, filter)| !filter.holds(&document));
    failed.map_or(Explained::Wanted, |(index, filter)| Explained::FilterFailed {
        index,
        field: filter.path().text().to_owned(),
        operator: filter.operator(),
        found: document
            .select(filter.path(), &Steps::new())
            .map(|nodes| nodes.into_iter().take(VALUES_MAX).map(show).collect())
            .unwrap_or_default(),
    })
}

fn show(node: &Node<'_>) -> String {
    let mut text = String::new();
    node.write_json(VALUE_CHARS_MAX, &mut text);
    text
}

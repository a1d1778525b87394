//! Patterns: JSON, JSONPath and regular expressions, alone, beside shorthand types, and in the index of all
//! subscriptions.

use tidings_core::index::{Index, Subscription, wants, wants_type};
use tidings_core::pattern::{Selection, TypeHint};
use tidings_event::{Data, LaneNo, Recorded, Sequence};

use super::given::{is_pointer, parts, recorded, with_data};

/// An input is shorthand types on lines, a zero, a pattern, a zero, and the data of an event.
pub fn check(input: &[u8]) {
    let parts = parts(input, 3);
    let (types, filter) = match parts.as_slice() {
        [filter] => (Vec::new(), Some(*filter)),
        [types, filter, ..] => {
            let Ok(types) = std::str::from_utf8(types) else { return };
            (types.lines().map(str::to_owned).collect(), (!filter.is_empty()).then_some(*filter))
        }
        [] => return,
    };
    let selection = match Selection::shared(&types, filter) {
        Ok(selection) => selection,
        Err(error) => {
            assert!(is_pointer(&error.path) && !error.message.is_empty(), "{error:?}");
            assert_eq!(Selection::new(&types, filter).err(), Some(error));
            return;
        }
    };
    let again = Selection::new(&types, filter).expect("what was taken is taken again");
    assert_eq!(again.hash(), selection.hash());
    let data = parts.get(2).and_then(|data| Data::parse(data.to_vec()).ok());
    let sample =
        Data::trusted(br#"{"amount":1500,"name":"x","list":[1,"a",null,{"b":true}],"deep":{"a":{"a":1}}}"#.to_vec());
    for data in [Some(sample), data].into_iter().flatten() {
        for event in ["sales.lead.created", "tidings.endpoint.disabled"].map(|name| of_type(name, data.clone())) {
            agrees(&selection, &again, &event);
        }
    }
}

/// Everybody who asks whether an event is wanted gets the same answer.
fn agrees(selection: &std::sync::Arc<Selection>, again: &Selection, event: &Recorded) {
    let matches = selection.matches(event);
    assert_eq!(again.matches(event), matches);
    assert!(!selection.is_all() || matches, "a selection of all events leaves one out");
    let hints = selection.type_hints();
    let covered = hints.is_empty()
        || hints.iter().any(|hint| match hint {
            TypeHint::Exact(name) => *name == event.event.event_type,
            TypeHint::Prefix(prefix) => event.event.event_type.as_str().starts_with(prefix),
        });
    if matches {
        assert!(covered, "the hints {hints:?} leave out an event that is wanted");
        assert!(selection.accepts(&event.event.event_type));
    }
    let wanted = wants(selection, event);
    assert!(!wanted || wants_type(selection, &event.event.event_type));
    let subscription = Subscription {
        lane: LaneNo(1),
        tenant: event.tenant_no,
        after: Sequence(0),
        until: None,
        selection: selection.clone(),
    };
    let mut lanes = Vec::new();
    Index::build([subscription]).matches(event, &mut lanes);
    assert_eq!(lanes == [LaneNo(1)], wanted, "the index and the matcher differ");
}

fn of_type(name: &str, data: Data) -> Recorded {
    let mut event = with_data(data);
    event.event_type = tidings_event::EventType::parse(name).expect("a type");
    recorded(event)
}

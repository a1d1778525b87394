//! Whether the elements of a list differ from each other.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use super::{Document, Number};

/// So few elements are compared each with each.
const PAIRED_MAX: usize = 16;

/// Whether no two elements are equal, numbers by what they are worth. Equal hashes are found by sorting, and only what
/// has the same hash is compared: as its keys are drawn by lot, no document can be made for which that is much.
pub(super) fn all(items: &[Document<'_>]) -> bool {
    if items.len() <= PAIRED_MAX {
        return items.iter().enumerate().all(|(at, one)| items[..at].iter().all(|other| !equal(one, other)));
    }
    let state = RandomState::new();
    let mut hashed: Vec<(u64, &Document<'_>)> = items
        .iter()
        .map(|item| {
            let mut hasher = state.build_hasher();
            hash(item, &mut hasher, &state);
            (hasher.finish(), item)
        })
        .collect();
    hashed.sort_unstable_by_key(|(hash, _)| *hash);
    let mut groups = hashed.chunk_by(|a, b| a.0 == b.0);
    groups.all(|group| {
        group.iter().enumerate().all(|(at, (_, one))| group[..at].iter().all(|(_, other)| !equal(one, other)))
    })
}

fn hash(value: &Document<'_>, hasher: &mut impl Hasher, state: &RandomState) {
    std::mem::discriminant(value).hash(hasher);
    match value {
        Document::Null => {}
        Document::Bool(bool) => bool.hash(hasher),
        Document::Number(number) => worth(*number).hash(hasher),
        Document::Text(text) => text.hash(hasher),
        Document::List(items) => {
            items.len().hash(hasher);
            items.iter().for_each(|item| hash(item, hasher, state));
        }
        Document::Map(members) => {
            members.len().hash(hasher);
            // Whatever their order.
            let sum = members.iter().fold(0_u64, |sum, (name, value)| {
                let mut hasher = state.build_hasher();
                name.hash(&mut hasher);
                self::hash(value, &mut hasher, state);
                sum.wrapping_add(hasher.finish())
            });
            sum.hash(hasher);
        }
    }
}

/// What a number is worth: the same for all ways to write it.
fn worth(number: Number) -> (Option<i128>, u64) {
    match number {
        Number::Int(int) => (Some(int.into()), 0),
        Number::Unsigned(unsigned) => (Some(unsigned.into()), 0),
        // Beyond these a double is no whole number of 64 bits, so nothing else equals it.
        Number::Float(float) if float.fract() == 0.0 && float.abs() < 1e20 => (Some(float as i128), 0),
        Number::Float(float) => (None, float.to_bits()),
    }
}

fn equal(a: &Document<'_>, b: &Document<'_>) -> bool {
    match (a, b) {
        (Document::Number(a), Document::Number(b)) => worth(*a) == worth(*b),
        (Document::List(a), Document::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Document::Map(a), Document::Map(b)) => {
            a.len() == b.len() && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| equal(value, other)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::any_json;

    fn unique(items: &[Value]) -> bool {
        let items: Vec<Document<'_>> = items.iter().map(Document::of).collect();
        all(&items)
    }

    #[test]
    fn elements_are_equal_by_what_they_are_worth() {
        for same in [
            [json!(1), json!(1.0)],
            [json!(0), json!(-0.0)],
            [json!(10_000_000_000_000_000_000_u64), json!(1e19)],
            [json!({"a": [1], "b": null}), json!({"b": null, "a": [1.0]})],
        ] {
            assert!(!unique(&same), "{same:?}");
        }
        for others in [
            [json!(1), json!("1")],
            [json!(1), json!(true)],
            [json!([]), json!({})],
            [json!([[], []]), json!([[[]]])],
            [json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992.0)],
            [json!({"a": 1}), json!({"b": 1})],
        ] {
            assert!(unique(&others), "{others:?}");
        }
    }

    proptest! {
        #[test]
        fn a_list_is_unique_unless_it_holds_an_element_twice(items in prop::collection::vec(any_json(), 0..24)) {
            let reference = jsonschema::validator_for(&json!({"uniqueItems": true})).expect("a schema");
            let is_unique = unique(&items);
            prop_assert_eq!(is_unique, reference.is_valid(&Value::Array(items)));
        }
    }
}

//! The scanner against serde_json, on documents of any kind.

use std::collections::HashSet;
use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tidings_event::json::{self, Kind, Value, Wrong};

use crate::given;

/// Whether serde_json takes the text. It ignores what numbers mean and whether keys repeat, as is wanted here.
fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

fn is_taken(bytes: &[u8]) -> bool {
    match json::check(bytes, usize::MAX) {
        Ok(_) => true,
        Err(fault) => fault.wrong == Wrong::Duplicate,
    }
}

/// A document in which no object holds a key twice; anything else fails to deserialize.
struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = Distinct;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_unit<E>(self) -> Result<Distinct, E> {
                Ok(Distinct)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Distinct, E> {
                Ok(Distinct)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Distinct, E> {
                Ok(Distinct)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Distinct, E> {
                Ok(Distinct)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Distinct, E> {
                Ok(Distinct)
            }
            fn visit_str<E>(self, _: &str) -> Result<Distinct, E> {
                Ok(Distinct)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Distinct, A::Error> {
                while seq.next_element::<Distinct>()?.is_some() {}
                Ok(Distinct)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Distinct, A::Error> {
                let mut keys = HashSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    map.next_value::<Distinct>()?;
                    if !keys.insert(key) {
                        return Err(serde::de::Error::custom("twice"));
                    }
                }
                Ok(Distinct)
            }
        }
        deserializer.deserialize_any(Look)
    }
}

/// Builds the tree that the scanner's slices describe.
fn tree(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Object => value.members().map(|(key, value)| (key.decode().unwrap().into_owned(), tree(value))).collect(),
        Kind::Array => value.elements().map(tree).collect(),
        Kind::String => value.as_string().unwrap().decode().unwrap().into(),
        _ => serde_json::from_str(value.text()).unwrap(),
    }
}

#[derive(Debug, Clone)]
enum Change {
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, u8),
    Replace(prop::sample::Index, u8),
    Truncate(prop::sample::Index),
}

fn changes() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let byte = prop_oneof![
        4 => prop::sample::select(b"{}[]:,\"\\/ 0123456789-+.eEtrufalsn\n\0\x1f\x7f".to_vec()),
        1 => any::<u8>(),
    ];
    prop_oneof![
        at().prop_map(Change::Remove),
        (at(), byte.clone()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        (at(), byte).prop_map(|(at, byte)| Change::Replace(at, byte)),
        at().prop_map(Change::Truncate),
    ]
}

fn changed(document: &str, changes: &[Change]) -> Vec<u8> {
    let mut bytes = document.as_bytes().to_vec();
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len();
        match change {
            Change::Remove(at) => {
                bytes.remove(at.index(len));
            }
            Change::Insert(at, byte) => bytes.insert(at.index(len), *byte),
            Change::Replace(at, byte) => bytes[at.index(len)] = *byte,
            Change::Truncate(at) => bytes.truncate(at.index(len)),
        }
    }
    bytes
}

proptest! {
    #[test]
    fn every_document_is_taken_as_serde_json_takes_it(document in given::json(true)) {
        prop_assert!(is_json(document.as_bytes()));
        prop_assert!(json::check(document.as_bytes(), usize::MAX).is_ok());
    }

    #[test]
    fn a_changed_document_is_judged_as_serde_json_judges_it(
        document in given::json(true),
        changes in prop::collection::vec(changes(), 1..4),
    ) {
        let bytes = changed(&document, &changes);
        prop_assert_eq!(is_taken(&bytes), is_json(&bytes), "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_bytes_are_judged_as_serde_json_judges_them(bytes in prop::collection::vec(
        prop::sample::select(b"{}[]:,\"\\ 01-.eutrfalsn\xc3\xa9".to_vec()), 0..12))
    {
        prop_assert_eq!(is_taken(&bytes), is_json(&bytes), "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn the_slices_make_the_tree_that_serde_json_makes(document in given::json(false)) {
        let ours = tree(json::check(document.as_bytes(), usize::MAX).unwrap());
        prop_assert_eq!(ours, serde_json::from_str::<serde_json::Value>(&document).unwrap());
    }

    #[test]
    fn a_key_that_repeats_is_found_in_objects_of_any_size(
        keys in prop::collection::vec("[ab]{1,3}|\\\\u006[12]|a\\\\u0062", 0..30),
        depth in 0usize..3,
    ) {
        let members: Vec<String> = keys.iter().map(|key| format!("\"{key}\":{{}}")).collect();
        let document = format!("{}{{{}}}{}", "[0,".repeat(depth), members.join(","), "]".repeat(depth));
        let distinct = serde_json::from_str::<Distinct>(&document).is_ok();
        prop_assert_eq!(json::check(document.as_bytes(), usize::MAX).is_ok(), distinct, "{}", document);
    }
}

#[test]
fn a_fault_says_where() {
    let document = "{\n  \"a\": [1, 2,\n    {\"é\": x}]\n}";
    let fault = json::check(document.as_bytes(), usize::MAX).unwrap_err();
    assert_eq!(fault.wrong, Wrong::Syntax("a value is expected"));
    assert_eq!(json::line_and_column(document.as_bytes(), fault.offset), (3, 11));
    assert_eq!(json::path_at(document.as_bytes(), fault.offset), "/a/2/é");
}

#[test]
fn an_object_of_very_many_keys_is_searched_in_one_sort() {
    let keys: Vec<String> = (0..200_000).map(|i| format!("\"{i}\":0")).collect();
    let distinct = format!("{{{}}}", keys.join(","));
    assert!(json::check(distinct.as_bytes(), 1).is_ok());
    let twice = format!("{{{},\"777\":1}}", keys.join(","));
    assert_eq!(json::check(twice.as_bytes(), 1).unwrap_err().wrong, Wrong::Duplicate);
}

#[test]
fn every_byte_is_judged_alike_at_every_place_of_a_string() {
    for before in 0..20 {
        for byte in 0..=255u8 {
            let mut bytes = vec![b'"'];
            bytes.extend(std::iter::repeat_n(b'a', before));
            bytes.push(byte);
            bytes.extend(*b"n\xc3\xa9aaaaaaa\"");
            assert_eq!(is_taken(&bytes), is_json(&bytes), "byte {byte} after {before}");
        }
    }
}

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::definition::{ConversionTest, Definition, Pointer};
use crate::entry::{Entry, Key, Kind};
use crate::judge::Catalog;
use crate::source;
use crate::testing::{any_json, definition};

fn at(pointer: &str) -> Pointer {
    Pointer::parse(pointer).expect("a pointer")
}

fn conversion(other: &str, steps: Vec<Step>) -> Conversion {
    Conversion { other: Version::parse(other).expect("a version"), steps, tests: Vec::<ConversionTest>::new() }
}

fn apply(steps: Vec<Step>, data: &Value) -> Result<Value, String> {
    let version = Version::parse("2").expect("a version");
    let converter = Converter::compile(&version, &conversion("1", steps)).map_err(|errors| format!("{errors:?}"))?;
    let mut data = data.clone();
    converter.apply(&mut data).map_err(|error| error.to_string())?;
    Ok(data)
}

#[test]
fn every_step_does_what_it_says() {
    let data = json!({"a": 1, "b": {"c": "x"}, "list": [{"s": "open"}, {"s": "odd"}, 7], "n": null});
    let map = |otherwise| Step::Map {
        at: at("/list/*/s"),
        values: BTreeMap::from([("open".to_owned(), json!("new"))]),
        otherwise,
    };
    let rows = [
        (
            vec![Step::Move { from: at("/a"), to: at("/price/amount") }],
            json!({"b": {"c": "x"}, "list": data["list"], "n": null, "price": {"amount": 1}}),
        ),
        (
            vec![Step::Move { from: at("/b"), to: at("/b/inner") }],
            json!({"a": 1, "b": {"inner": {"c": "x"}}, "list": data["list"], "n": null}),
        ),
        (vec![Step::Move { from: at("/missing"), to: at("/x") }], data.clone()),
        (
            vec![Step::Copy { from: at("/list/2"), to: at("/a") }],
            json!({"a": 7, "b": {"c": "x"}, "list": data["list"], "n": null}),
        ),
        (
            vec![Step::Remove { at: at("/list/2") }, Step::Set { at: at("/list/*/t"), value: json!(1) }],
            json!({"a": 1, "b": {"c": "x"}, "list": [{"s": "open", "t": 1}, {"s": "odd", "t": 1}], "n": null}),
        ),
        (
            vec![Step::Set { at: at("/x/y/z"), value: json!([]) }, Step::Remove { at: at("/list") }],
            json!({"a": 1, "b": {"c": "x"}, "n": null, "x": {"y": {"z": []}}}),
        ),
        (
            vec![Step::Default { at: at("/a"), value: json!(9) }, Step::Default { at: at("/n"), value: json!(9) }],
            data.clone(),
        ),
        (
            vec![Step::Default { at: at("/b/d"), value: json!(9) }],
            json!({"a": 1, "b": {"c": "x", "d": 9}, "list": data["list"], "n": null}),
        ),
        (vec![Step::Remove { at: at("/b/missing") }], data.clone()),
        (vec![Step::Remove { at: at("/list/*") }], json!({"a": 1, "b": {"c": "x"}, "list": [], "n": null})),
        (vec![map(None)], json!({"a": 1, "b": {"c": "x"}, "list": [{"s": "new"}, {"s": "odd"}, 7], "n": null})),
        (
            vec![map(Some(json!(null)))],
            json!({"a": 1, "b": {"c": "x"}, "list": [{"s": "new"}, {"s": null}, 7], "n": null}),
        ),
        (
            vec![Step::Compute { at: at("/sum"), expression: "data.a + size(data.list)".to_owned() }],
            json!({"a": 1, "b": {"c": "x"}, "list": data["list"], "n": null, "sum": 4}),
        ),
        (
            vec![Step::Compute { at: at("/b"), expression: "{'of': data.b.c, 'all': [data.a]}".to_owned() }],
            json!({"a": 1, "b": {"of": "x", "all": [1]}, "list": data["list"], "n": null}),
        ),
    ];
    for (steps, expected) in rows {
        let shown = format!("{steps:?}");
        assert_eq!(apply(steps, &data), Ok(expected), "{shown}");
    }
}

#[test]
fn a_step_that_cannot_be_done_says_which_and_why() {
    let data = json!({"a": 1, "list": [1]});
    let rows = [
        (Step::Set { at: at("/a/b"), value: json!(1) }, "'b' cannot be put into what is neither"),
        (Step::Set { at: at("/list/7"), value: json!(1) }, "a list has no place '7'"),
        (Step::Set { at: at("/list/*/t"), value: json!(1) }, "'t' cannot be put into what is neither"),
        (Step::Compute { at: at("/x"), expression: "data.missing".to_owned() }, "'missing' is missing"),
        (
            Step::Compute { at: at("/x"), expression: "duration('1s')".to_owned() },
            "it is a duration that JSON cannot hold",
        ),
        (Step::Compute { at: at("/x"), expression: "1.0 / 0".to_owned() }, "it is a number that JSON cannot hold"),
    ];
    for (step, expected) in rows {
        let noop = Step::Remove { at: at("/nothing") };
        let found = apply(vec![noop, step], &data).expect_err(expected);
        assert!(found.starts_with("step 2 of the conversion between version 1 and version 2: "), "{found}");
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn no_conversion_makes_data_grow_without_bound() {
    let data = json!({"list": vec![json!({}); 20_000], "text": "x".repeat(100_000)});
    let set = Step::Set { at: at("/list/*/t"), value: json!("y".repeat(100_000)) };
    assert!(apply(vec![set], &data).expect_err("too much").contains("too large"));
    let copies = (0..100).map(|i| Step::Copy { from: at("/text"), to: at(&format!("/t{i}")) }).collect();
    assert!(apply(copies, &data).expect_err("too much").contains("too large"));
}

/// Version 1 has `amount`, version 2 `price.amount`, version 3 a currency as well.
fn versions() -> Vec<Definition> {
    let of = |version: &str, schema: Value| definition("sales.deal.won", version, schema);
    let one = of("1", json!({"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}));
    let mut two = of(
        "2",
        json!({"type": "object", "properties": {"price": {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}}, "required": ["price"], "additionalProperties": false}),
    );
    two.upcast = Some(conversion("1", vec![Step::Move { from: at("/amount"), to: at("/price/amount") }]));
    two.downcast = Some(conversion(
        "1",
        vec![Step::Move { from: at("/price/amount"), to: at("/amount") }, Step::Remove { at: at("/price") }],
    ));
    let mut three = of(
        "3",
        json!({"type": "object", "properties": {"price": {"type": "object", "required": ["amount", "currency"]}}, "required": ["price"]}),
    );
    three.upcast = Some(conversion("2", vec![Step::Default { at: at("/price/currency"), value: json!("EUR") }]));
    vec![one, two, three]
}

fn catalog(definitions: &[Definition]) -> Catalog {
    let catalog = Catalog::empty().with(definitions.iter().map(|definition| Entry {
        key: Key { kind: Kind::Definition, name: definition.name.to_string(), version: definition.version.to_string() },
        source: Some(source::write(definition)),
    }));
    assert!(catalog.faults().is_empty(), "{:?}", catalog.faults());
    catalog
}

fn convert(catalog: &Catalog, from: &str, to: &str, data: &str) -> Result<Option<String>, ConvertError> {
    let name = EventType::parse("sales.deal.won").expect("a type");
    let version = |text: &str| Version::parse(text).expect("a version");
    let converted = catalog.convert(&name, &version(from), &version(to), data.as_bytes())?;
    Ok(converted.map(|bytes| String::from_utf8(bytes).expect("JSON")))
}

#[test]
fn conversions_are_chained_up_and_down() {
    let catalog = catalog(&versions());
    let data = r#"{ "amount": 7 }"#;
    assert_eq!(convert(&catalog, "1", "1", data), Ok(None));
    assert_eq!(convert(&catalog, "1", "2", data), Ok(Some(r#"{"price":{"amount":7}}"#.to_owned())));
    assert_eq!(convert(&catalog, "1", "3", data), Ok(Some(r#"{"price":{"amount":7,"currency":"EUR"}}"#.to_owned())));
    assert_eq!(convert(&catalog, "2", "1", r#"{"price":{"amount":7}}"#), Ok(Some(r#"{"amount":7}"#.to_owned())));
}

#[test]
fn what_cannot_be_converted_is_an_error_and_never_something_else() {
    let catalog = catalog(&versions());
    let version = |text: &str| Version::parse(text).expect("a version");
    let no_chain = |from: &str, to: &str| ConvertError::NoChain { from: version(from), to: version(to) };
    assert_eq!(convert(&catalog, "3", "1", "{}"), Err(no_chain("3", "1")));
    assert_eq!(convert(&catalog, "3", "2", "{}"), Err(no_chain("3", "2")));
    assert_eq!(convert(&catalog, "x", "2", "{}"), Err(no_chain("x", "2")));
    assert!(matches!(convert(&catalog, "1", "9", "{}"), Err(ConvertError::Unknown { .. })));
    assert!(matches!(convert(&catalog, "1", "2", "{"), Err(ConvertError::Unreadable(_))));
    assert!(matches!(convert(&catalog, "1", "2", r#"{"amount":1e999}"#), Err(ConvertError::Unreadable(_))));
    let invalid = convert(&catalog, "1", "2", r#"{"amount":7,"more":1}"#);
    assert!(matches!(&invalid, Err(ConvertError::Invalid { path, .. }) if path == "/data/more"), "{invalid:?}");
    assert!(matches!(convert(&catalog, "1", "2", "{}"), Err(ConvertError::Invalid { .. })));
}

#[test]
fn an_old_version_that_is_gone_can_still_be_converted_from() {
    let catalog = catalog(&versions()[1..]);
    assert!(matches!(convert(&catalog, "1", "3", r#"{"amount":7}"#), Ok(Some(_))));
}

proptest! {
    #[test]
    fn no_document_makes_a_conversion_panic(data in any_json(), pointer in prop::collection::vec("[a-c*01]", 1..4), value in any_json()) {
        let at = Pointer::of(pointer);
        for step in [
            Step::Set { at: at.clone(), value: value.clone() },
            Step::Default { at: at.clone(), value: value.clone() },
            Step::Remove { at: at.clone() },
            Step::Map { at: at.clone(), values: BTreeMap::from([("a".to_owned(), value)]), otherwise: Some(json!(1)) },
            Step::Move { from: at.clone(), to: Pointer::of(["x", "y"]) },
            Step::Copy { from: Pointer::of(["a"]), to: at },
        ] {
            let _ = apply(vec![step], &data);
        }
    }
}

//! What is generated: the Rust that it writes is compiled into this test and run; the other languages are run by
//! `tests/black-box/generated.test.mjs`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidings_catalog::definition::Definition;
use tidings_catalog::generate::{File, Options, PROTO_LOCK_FILE, Target, generate};
use tidings_catalog::source;

/// The Rust that was generated from `generate/catalog`, as the folder keeps it.
#[rustfmt::skip]
#[allow(dead_code, unused_imports, unreachable_pub, missing_docs, clippy::all, clippy::unwrap_used)]
#[path = "generate/rust/src/lib.rs"]
mod kept;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generate")
}

fn sources(at: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect()
}

fn definitions() -> Vec<Arc<Definition>> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        Arc::new(source::read(&text).unwrap_or_else(|findings| panic!("{}: {findings:#?}", path.display())))
    };
    sources(&folder().join("catalog/types")).into_iter().map(read).collect()
}

fn definition(yaml: &str) -> Arc<Definition> {
    Arc::new(source::read(yaml).unwrap_or_else(|findings| panic!("{findings:#?}")))
}

fn options() -> Options {
    Options { title: "Test".to_owned(), package: "test-events".to_owned(), ..Options::default() }
}

fn generated(target: Target, definitions: &[Arc<Definition>]) -> Vec<File> {
    generate(target, definitions, &options()).unwrap()
}

fn text<'f>(files: &'f [File], path: &str) -> &'f str {
    &files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).text
}

/// An event as it would be delivered.
fn event(definition: &Definition, data: &Value) -> Value {
    json!({
        "id": "e1", "type": definition.name, "version": definition.version, "timestamp": "2026-03-15T10:00:00.000Z",
        "tenant": "acme", "project": "emea", "source": { "type": "service", "id": definition.owner },
        "entity": { "type": "shape", "id": "n-1" }, "actor": "user_7", "data": data,
        "metadata": {
            "correlation_id": "c", "causation_id": "e0", "context": { "type": "user", "id": "u" }, "later": [1],
        },
        "sequence": 7, "recorded_at": "2026-03-15T10:00:00.012Z", "added_later": { "a": null },
    })
}

#[test]
fn numbers_keep_every_digit_that_64_bits_hold() {
    let definition = definitions().into_iter().find(|definition| definition.name.as_str() == "test.shape.recorded");
    let definition = definition.unwrap();
    for (member, number) in [
        ("big", json!(u64::MAX)),
        ("count", json!(i64::MIN)),
        ("ratio", json!(u64::MAX)),
        ("ratio", json!(5)),
        ("ratio", json!(5.0)),
        ("ratio", json!(1e300)),
    ] {
        let mut event = event(&definition, &definition.examples[1].data);
        event["data"][member] = number;
        let parsed = kept::AnyEvent::parse(event.to_string()).unwrap();
        assert_eq!(parsed.to_value().to_string(), event.to_string());
    }
}

/// With `TIDINGS_UPDATE_GENERATED=1` the kept files are written anew instead.
#[test]
fn the_generated_rust_is_the_one_that_is_compiled_here() {
    let root = folder().join("rust");
    let files: Vec<File> = generated(Target::Rust, &definitions())
        .into_iter()
        .filter(|file| Path::new(&file.path).extension().is_some_and(|extension| extension == "rs"))
        .collect();
    if std::env::var_os("TIDINGS_UPDATE_GENERATED").is_some() {
        let _ = fs::remove_dir_all(&root);
        for file in &files {
            let path = root.join(&file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &file.text).unwrap();
        }
        return;
    }
    for file in &files {
        let there = fs::read_to_string(root.join(&file.path)).unwrap_or_default();
        assert!(there == file.text, "{} is out of date: run with TIDINGS_UPDATE_GENERATED=1", file.path);
    }
    let kept = fs::read_dir(root.join("src")).unwrap().count();
    assert_eq!(kept, files.len(), "a file is kept that is not generated");
}

#[test]
fn every_example_comes_out_of_the_generated_types_as_it_went_in() {
    let mut examples = 0;
    for definition in definitions() {
        for example in &definition.examples {
            let event = event(&definition, &example.data);
            let parsed = kept::AnyEvent::parse(event.to_string())
                .unwrap_or_else(|error| panic!("{} {}: {error}", definition.name, example.name));
            assert!(!matches!(parsed, kept::AnyEvent::Unknown(_)), "{}", definition.name);
            assert_eq!(parsed.to_value(), event, "{} {}", definition.name, example.name);
            examples += 1;
        }
    }
    assert!(examples >= 9, "{examples}");
}

#[test]
fn an_event_that_the_code_does_not_know_is_kept_as_it_is() {
    let definition = &definitions()[0];
    let data = json!({ "any": [1, null] });
    for (event_type, version) in [("sales.lead.created", "1"), (definition.name.as_str(), "99")] {
        let mut event = event(definition, &data);
        (event["type"], event["version"]) = (json!(event_type), json!(version));
        let parsed = kept::AnyEvent::parse(event.to_string()).unwrap();
        assert!(matches!(parsed, kept::AnyEvent::Unknown(_)));
        assert_eq!(parsed.to_value(), event);
    }
}

#[test]
fn data_of_another_shape_is_refused_and_not_bent() {
    let payment = |data: Value| {
        let event = json!({
            "id": "e1", "type": "test.payment.settled", "version": "2", "timestamp": "2026-03-15T10:00:00.000Z",
            "tenant": "acme", "source": { "type": "service", "id": "test-service" }, "data": data, "metadata": {},
        });
        kept::TestPaymentSettledV2::parse(event.to_string()).map(|event| event.to_value()["data"].clone())
    };
    let card = json!({ "method": "card", "payment_id": 1, "last4": "4242" });
    assert_eq!(payment(card.clone()).unwrap(), card);
    for (data, reason) in [
        (json!({ "method": "card", "payment_id": 1 }), "last4"),
        (json!({ "method": "cash", "payment_id": 1 }), "cash"),
        (json!({ "payment_id": 1 }), "method is missing"),
        (json!({ "method": "sepa", "payment_id": "1" }), "payment_id|i64"),
    ] {
        let error = payment(data).unwrap_err().to_string();
        assert!(reason.split('|').any(|reason| error.contains(reason)), "{error}");
    }
    let other = json!({
        "id": "e1", "type": "test.payment.settled", "version": "1", "timestamp": "2026-03-15T10:00:00.000Z",
        "tenant": "acme", "source": { "type": "service", "id": "test-service" }, "data": {},
    });
    let error = kept::TestPaymentSettledV2::parse(other.to_string()).unwrap_err().to_string();
    assert_eq!(error, "an event test.payment.settled@1, not test.payment.settled@2");
}

#[test]
#[allow(deprecated)]
fn a_constructor_makes_an_event_that_can_be_sent() {
    let sepa = kept::TestPaymentSettledV2Sepa::new(42);
    let data = kept::TestPaymentSettledV2Data::Sepa(Box::new(sepa));
    let cause = json!({
        "id": "e0", "type": "a.b", "version": "1", "timestamp": "2026-03-15T10:00:00.000Z", "tenant": "acme",
        "source": { "type": "service", "id": "a" }, "data": {}, "metadata": { "correlation_id": "c0" },
    });
    let kept::AnyEvent::Unknown(cause) = kept::AnyEvent::parse(cause.to_string()).unwrap() else { panic!("known") };
    let event = kept::TestPaymentSettledV2::create("acme", data).id("e7").actor("user_7").caused_by(&cause);
    let expected = json!({
        "id": "e7", "type": "test.payment.settled", "version": "2", "tenant": "acme",
        "source": { "type": "service", "id": "test-service" }, "entity": { "type": "payment", "id": "42" },
        "actor": "user_7", "data": { "method": "sepa", "payment_id": 42 },
        "metadata": { "correlation_id": "c0", "causation_id": "e0" },
    });
    assert_eq!(event.to_value(), expected);
    let mut mint = tidings_event::SystemMint::default();
    tidings_event::parse_event(event.to_value().to_string().as_bytes(), &mut mint).unwrap();
    let plain = kept::TestPaymentSettledV1::create("acme", kept::TestPaymentSettledV1Data::new("p")).entity_id("p");
    assert_eq!(plain.to_value()["entity"], json!({ "type": "payment", "id": "p" }));
    assert_eq!(plain.to_value().get("metadata"), None);
}

#[test]
fn null_and_a_missing_member_stay_apart() {
    let mut nested = kept::TestShapeRecordedV1Nested::new("x");
    let json = |nested: &kept::TestShapeRecordedV1Nested| serde_json::to_value(nested).unwrap();
    assert_eq!(json(&nested), json!({ "a/b": "x" }));
    nested.c_d = Some(None);
    assert_eq!(json(&nested), json!({ "a/b": "x", "c~d": null }));
    nested.additional = Map::from_iter([("more".to_owned(), json!(1))]);
    let read: kept::TestShapeRecordedV1Nested = serde_json::from_value(json(&nested)).unwrap();
    assert_eq!(read, nested);
}

#[test]
fn the_order_of_definitions_changes_nothing() {
    let mut definitions = definitions();
    for target in Target::ALL {
        let first = generated(*target, &definitions);
        definitions.reverse();
        assert_eq!(generated(*target, &definitions), first, "{target}");
        let mut paths: Vec<&str> = first.iter().map(|file| file.path.as_str()).collect();
        paths.dedup();
        assert_eq!(paths.len(), first.len(), "{target}: two files of one path");
    }
}

const LEAD: &str = "
name: sales.lead.created
version: 1
owner: sales
description: A lead was created.
schema:
  type: object
  required: [lead_id]
  properties:
    lead_id: { type: string }
    source: { type: string, enum: [web, phone] }
";

#[test]
fn a_new_member_changes_the_number_of_no_field() {
    let lead = definition(LEAD);
    let first = generated(Target::Protobuf, &[Arc::clone(&lead)]);
    let path = "test_events/sales_lead_created_v1.proto";
    assert!(text(&first, path).contains("string lead_id = 1 [json_name = \"lead_id\"];"));
    assert!(text(&first, path).contains("optional SalesLeadCreatedV1Source source = 2;"));
    let grown =
        LEAD.replace("    source:", "    campaign: { type: string }\n    source:").replace("[web,", "[ad, web,");
    let with_lock = Options { proto_lock: Some(text(&first, PROTO_LOCK_FILE).to_owned()), ..options() };
    let second = generate(Target::Protobuf, &[definition(&grown)], &with_lock).unwrap();
    let second = text(&second, path);
    assert!(second.contains("string lead_id = 1 [json_name = \"lead_id\"];"));
    assert!(second.contains("optional SalesLeadCreatedV1Source source = 2;"));
    assert!(second.contains("optional string campaign = 3;"));
    assert!(second.contains("SALES_LEAD_CREATED_V1_SOURCE_WEB = 1;"));
    assert!(second.contains("SALES_LEAD_CREATED_V1_SOURCE_AD = 3;"));
    let shrunk = LEAD.replace("    source: { type: string, enum: [web, phone] }\n", "");
    let third = generate(Target::Protobuf, &[definition(&shrunk)], &with_lock).unwrap();
    assert!(text(&third, path).contains("reserved 2;"));
}

#[test]
fn a_new_member_renames_nothing() {
    let grown = LEAD.replace("    source:", "    a: { type: object, properties: { b: { enum: [c] } } }\n    source:");
    for target in [Target::Rust, Target::Typescript, Target::Python, Target::Go] {
        let names = |yaml: &str| -> Vec<String> {
            let files = generated(target, &[definition(yaml)]);
            let all: String = files.iter().map(|file| file.text.as_str()).collect();
            ["SalesLeadCreatedV1", "SalesLeadCreatedV1Data", "SalesLeadCreatedV1Source"]
                .into_iter()
                .filter(|name| all.contains(name))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(names(LEAD), names(&grown), "{target}");
        assert_eq!(names(LEAD).len(), 3, "{target}");
    }
}

#[test]
fn what_cannot_be_generated_is_told() {
    let lead = definition(LEAD);
    let codes = |definitions: &[Arc<Definition>], options: &Options| -> Vec<&'static str> {
        let findings = generate(Target::Protobuf, definitions, options).unwrap_err();
        findings.iter().map(|finding| finding.code).collect()
    };
    assert_eq!(codes(&[], &options()), ["generate_nothing"]);
    assert_eq!(codes(&[Arc::clone(&lead), Arc::clone(&lead)], &options()), ["generate_twice"]);
    assert_eq!(codes(&[Arc::clone(&lead)], &Options { package: "!".to_owned(), ..options() }), ["generate_package"]);
    let broken = Options { proto_lock: Some("{}".to_owned()), ..options() };
    assert_eq!(codes(&[lead], &broken), ["generate_lock"]);
}

#[test]
fn comments_tell_what_a_definition_tells() {
    let definitions = definitions();
    for target in [Target::Rust, Target::Typescript, Target::Python, Target::Go] {
        let files = generated(target, &definitions);
        let all: String = files.iter().map(|file| file.text.as_str()).collect();
        for told in [
            "Everything that a schema can say",
            "owned by `test-service`",
            "Classified pii, redact",
            "Classified secret, drop",
            "not taken any more from 2027-01-01 on; use test.payment.settled@2",
            "Default: 3",
            "Kept for 30 days",
            "A draft: it may change in any way",
        ] {
            let flat = all.replace("\n// ", " ").replace("\n/// ", " ").replace("\n * ", " ").replace("\n    ", " ");
            assert!(flat.contains(told), "{target} does not say: {told}");
        }
    }
}

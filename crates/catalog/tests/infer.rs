//! What is proposed from events takes all of them, claims no more than they show, and shows nobody's data.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use proptest::prelude::*;
use serde_json::{Value, json};
use tidings_catalog::definition::{Class, Definition, Pointer, Stage};
use tidings_catalog::infer::Inference;
use tidings_catalog::judge::examine;
use tidings_catalog::limits::DEFINITION_BYTES_MAX;
use tidings_catalog::report::Severity;
use tidings_catalog::schema::Schema;
use tidings_catalog::source;
use tidings_event::{
    Data, Entity, Event, EventId, EventType, Metadata, Source, SourceKind, TenantId, Text, Timestamp, Version,
};

fn event(data: &Value) -> Event {
    let text = |text: &str| Text::parse(text).unwrap();
    Event {
        id: EventId::parse("e1").unwrap(),
        event_type: EventType::parse("sales.lead.created").unwrap(),
        version: Version::first(),
        timestamp: Timestamp::from_micros(0),
        tenant: TenantId::parse("acme").unwrap(),
        project: None,
        source: Source { kind: SourceKind::Service, id: text("sales") },
        entity: None,
        actor: None,
        data: Data::trusted(data.to_string()),
        metadata: Metadata { correlation_id: text("e1"), causation_id: None, context: None, traceparent: None },
    }
}

fn inferred<'a>(documents: impl IntoIterator<Item = &'a Value>) -> Definition {
    let mut inference = Inference::new(EventType::parse("sales.lead.created").unwrap());
    documents.into_iter().for_each(|data| inference.observe(&event(data)));
    inference.definition()
}

/// What every proposal must be: readable again, within bounds, its schema sound, its examples and all that was seen
/// valid.
fn assert_sound(definition: &Definition, documents: &[Value]) {
    let written = source::write(definition);
    assert!(written.len() <= DEFINITION_BYTES_MAX, "{} bytes", written.len());
    assert_eq!(source::read(&written).as_ref(), Ok(definition));
    let schema = Schema::compile(&definition.schema).unwrap_or_else(|found| panic!("{found:?}"));
    for document in documents.iter().chain(definition.examples.iter().map(|example| &example.data)) {
        let broken = schema.violations(document, 3);
        assert!(broken.is_empty(), "{document}\n{broken:?}\n{}", definition.schema);
    }
    let found = examine(definition, &std::collections::BTreeMap::new(), &|_, _| None);
    let wrong: Vec<_> = found.iter().filter(|finding| finding.severity > Severity::Info).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\n{written}");
    assert_eq!(definition.lifecycle.stage, Stage::Draft);
}

fn documents() -> impl Strategy<Value = Vec<Value>> {
    let text = prop_oneof![
        Just("open".to_owned()),
        Just("closed".to_owned()),
        Just("2026-03-15".to_owned()),
        Just("2026-03-15T10:00:00Z".to_owned()),
        Just("ada@example.org".to_owned()),
        Just("https://example.org/a".to_owned()),
        Just("123e4567-e89b-12d3-a456-426614174000".to_owned()),
        "\\PC{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let name = prop_oneof!["[a-f]", "email", "id", "[*~/$]", "key_1", "ada@example.org", "[0-9]{4}", "\\PC{0,3}"];
    let value = leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    let member = prop_oneof!["[a-e]", "email", "\\PC{0,3}", "key_1", "[0-9]{4}"];
    let object = prop::collection::btree_map(member, value, 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect()));
    // Often the same documents again, so that there is evidence for formats and small sets.
    (prop::collection::vec(object, 0..6), 1..60_usize)
        .prop_map(|(objects, times)| objects.iter().cycle().take(objects.len() * times).cloned().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn all_that_was_seen_is_valid(documents in documents()) {
        assert_sound(&inferred(&documents), &documents);
    }
}

#[test]
fn what_is_there_each_time_is_required_and_what_is_null_may_be_null() {
    let documents = [json!({"a": 1, "b": "x", "c": null}), json!({"a": 2.5, "c": "y"}), json!({"a": 3, "c": "z"})];
    let schema = inferred(&documents).schema;
    assert_eq!(schema["required"], json!(["a", "c"]));
    assert_eq!(schema["properties"]["a"]["type"], "number");
    assert_eq!(schema["properties"]["c"]["type"], json!(["string", "null"]));
    assert_eq!(inferred(&documents[..1]).schema["properties"]["a"]["type"], "integer");
}

#[test]
fn a_small_set_of_values_is_proposed_with_evidence_and_told_without() {
    let documents: Vec<Value> = ["new", "won", "lost"].iter().map(|status| json!({ "status": status })).collect();
    let few = inferred(&documents).schema["properties"]["status"].clone();
    assert_eq!(few.get("enum"), None);
    assert!(few["description"].as_str().unwrap().contains("lost, new, won"), "{few}");
    let many: Vec<Value> = documents.iter().cycle().take(90).cloned().collect();
    assert_eq!(inferred(&many).schema["properties"]["status"]["enum"], json!(["lost", "new", "won"]));
}

#[test]
fn an_object_whose_names_vary_is_a_map() {
    let by_id =
        |id: u32| json!({"by_unit": {format!("unit_{id}"): {"count": 1}, format!("unit_{}", id + 1): {"count": 2}}});
    let documents: Vec<Value> = (1000..1040).map(by_id).collect();
    let definition = inferred(&documents);
    let place = &definition.schema["properties"]["by_unit"];
    assert_eq!(place["additionalProperties"]["properties"]["count"]["type"], "integer", "{place}");
    assert_eq!(place.get("properties"), None);
    assert_sound(&definition, &documents);
}

#[test]
fn what_looks_personal_is_classified_and_not_shown() {
    let data = json!({"person_id": "p_1", "email": "ada@example.org", "customer": {"name": "Ada Byron", "api_key": "sk_1"},
        "status": "new"});
    let documents = vec![data; 60];
    let definition = inferred(&documents);
    let class = |at: &str| definition.classification.get(&Pointer::parse(at).unwrap()).map(|is| is.class);
    assert_eq!(class("/email"), Some(Class::Pii));
    assert_eq!(class("/customer/name"), Some(Class::Pii));
    assert_eq!(class("/customer/api_key"), Some(Class::Secret));
    assert_eq!(class("/status"), None);
    assert_eq!(definition.subject, Some(Pointer::parse("/person_id").unwrap()));
    let written = source::write(&definition);
    for shown in ["ada@example.org", "Ada Byron", "sk_1"] {
        assert!(!written.contains(shown), "{shown} in\n{written}");
    }
    assert_sound(&definition, &documents);
}

#[test]
fn owner_and_entity_come_from_the_envelopes() {
    let mut inference = Inference::new(EventType::parse("sales.lead.created").unwrap());
    for (source, id) in [("sales.eu", "lead_1"), ("sales.us/worker", "lead_2")] {
        let mut event = event(&json!({"lead_id": id, "other": "lead_1"}));
        event.source.id = Text::parse(source).unwrap();
        event.entity = Some(Entity { kind: Text::parse("lead").unwrap(), id: Text::parse(id).unwrap() });
        inference.observe(&event);
    }
    let definition = inference.definition();
    assert_eq!(definition.owner, "sales");
    let entity = definition.entity.unwrap();
    assert_eq!((entity.kind.as_str(), entity.id), ("lead", Some(Pointer::parse("/lead_id").unwrap())));
    let mut without = event(&json!({}));
    without.source.id = Text::parse("other").unwrap();
    inference.observe(&without);
    assert_eq!(inference.definition().entity, None);
    assert_eq!(inference.definition().examples.len(), 2);
}

#[test]
fn events_of_another_type_are_left_out() {
    let mut inference = Inference::new(EventType::parse("sales.lead.moved").unwrap());
    inference.observe(&event(&json!({"a": 1})));
    assert_eq!(inference.seen(), 0);
    assert_sound(&inference.definition(), &[]);
}

#[test]
fn a_name_that_the_rules_refuse_is_excepted() {
    let mut inference = Inference::new(EventType::parse("sales.send_email").unwrap());
    let mut event = event(&json!({}));
    event.event_type = EventType::parse("sales.send_email").unwrap();
    inference.observe(&event);
    assert!(inference.definition().name_exception.is_some());
}

#[test]
fn memory_and_the_draft_stay_bounded_whatever_comes() {
    let mut documents = Vec::new();
    let mut inference = Inference::new(EventType::parse("sales.lead.created").unwrap());
    for i in 0..300_u32 {
        // Wide in one place, deep in another, with ever new names and values.
        let wide: serde_json::Map<String, Value> = (0..40)
            .map(|j| (format!("name {} {}", "é".repeat(50), i * 40 + j), json!({"x": format!("v{i}"), "y": [i]})))
            .collect();
        let deep = (0..60).fold(json!(i), |inner, level| json!({ format!("level_{level}_{}", i % 7): inner }));
        let data = json!({"wide": wide, "deep": deep, format!("top_{i}"): {format!("inner_{i}"): i}});
        inference.observe(&event(&data));
        documents.push(data);
    }
    let definition = inference.definition();
    assert_sound(&definition, &documents);
    assert!(format!("{inference:?}").len() < 4 * 1024 * 1024);
}

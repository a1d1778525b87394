//! What tests of this crate share.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use tidings_event::{
    Data, Entity, Event, EventId, EventType, Metadata, Source, SourceKind, TenantId, Text, Timestamp, Version,
};

use crate::definition::{Compatibility, Definition, Lifecycle, Ordering, Stage};

/// Any JSON value, small.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        "[a-c~/\"\\\\é€😀\n]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-e~/é]{0,3}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A definition that says nothing but its schema.
pub(crate) fn definition(name: &str, version: &str, schema: Value) -> Definition {
    Definition {
        name: EventType::parse(name).expect("a type"),
        version: Version::parse(version).expect("a version"),
        owner: "sales".to_owned(),
        description: "Something happened.".to_owned(),
        lifecycle: Lifecycle { stage: Stage::Stable, sunset: None, successor: None },
        ordering: Ordering::Entity,
        retention: None,
        entity: None,
        subject: None,
        classification: BTreeMap::new(),
        compatibility: Compatibility::Published,
        schema,
        examples: Vec::new(),
        rules: Vec::new(),
        transitions: Vec::new(),
        upcast: None,
        downcast: None,
        name_exception: None,
    }
}

/// An event of the entity `lead/lead_42`, emitted by `sales`.
#[expect(clippy::needless_pass_by_value, reason = "data stands in the calls as a literal")]
pub(crate) fn event(event_type: &str, version: &str, data: Value) -> Event {
    let text = |text: &str| Text::parse(text).expect("a text");
    Event {
        id: EventId::parse("e1").expect("an id"),
        event_type: EventType::parse(event_type).expect("a type"),
        version: Version::parse(version).expect("a version"),
        timestamp: Timestamp::parse("2026-03-15T10:00:00.000Z").expect("a moment"),
        tenant: TenantId::parse("acme").expect("a tenant"),
        project: None,
        source: Source { kind: SourceKind::Service, id: text("sales") },
        entity: Some(Entity { kind: text("lead"), id: text("lead_42") }),
        actor: Some(text("user_7")),
        data: Data::trusted(data.to_string().into_bytes()),
        metadata: Metadata { correlation_id: text("e1"), causation_id: None, context: None, traceparent: None },
    }
}

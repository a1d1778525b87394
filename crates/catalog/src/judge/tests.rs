use jiff::civil::date;
use serde_json::{Value, json};

use super::*;
use crate::definition::{EntityRule, Lifecycle, Pointer};
use crate::testing::{definition, event};

const TODAY: Date = date(2026, 3, 15);

fn entry(definition: &Definition) -> Entry {
    let key =
        Key { kind: Kind::Definition, name: definition.name.to_string(), version: definition.version.to_string() };
    Entry { key, source: Some(source::write(definition)) }
}

fn policy(text: &str) -> Entry {
    let policy = source::read_policy(text).expect("a policy");
    Entry { key: Key { kind: Kind::Policy, name: policy.name, version: String::new() }, source: Some(text.to_owned()) }
}

fn lead(version: &str) -> Definition {
    definition(
        "sales.lead.created",
        version,
        json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}),
    )
}

fn created(version: &str, data: Value) -> Event {
    event("sales.lead.created", version, data)
}

fn broken(judgement: &Judgement) -> Vec<(&str, &str)> {
    let violations = match judgement {
        Judgement::Pass(_) => return Vec::new(),
        Judgement::Observe(violations, _) | Judgement::Quarantine(violations) | Judgement::Refuse(violations) => {
            violations
        }
    };
    violations.iter().map(|violation| (violation.path.as_str(), violation.code)).collect()
}

#[test]
fn an_event_that_breaks_the_schema_is_refused_with_the_place() {
    let catalog = Catalog::empty().with([entry(&lead("1"))]);
    assert!(catalog.faults().is_empty(), "{:?}", catalog.faults());
    assert!(matches!(catalog.judge(&created("1", json!({"n": 1})), TODAY), Judgement::Pass(None)));
    let judgement = catalog.judge(&created("1", json!({"n": "1"})), TODAY);
    assert!(matches!(judgement, Judgement::Refuse(_)));
    assert_eq!(broken(&judgement), [("/data/n", "schema_type")]);
}

#[test]
fn unknown_types_and_versions_are_judged_by_their_own_mode() {
    let catalog = Catalog::empty().with([entry(&lead("1"))]);
    let (unknown_type, unknown_version) = (event("chat.message.sent", "1", json!({})), created("9", json!({})));
    assert!(matches!(catalog.judge(&unknown_type, TODAY), Judgement::Pass(None)));
    assert!(matches!(catalog.judge(&unknown_version, TODAY), Judgement::Pass(None)));
    let catalog = catalog.with([policy("{name: all, unknown: quarantine}")]);
    let judgement = catalog.judge(&unknown_type, TODAY);
    assert!(matches!(judgement, Judgement::Quarantine(_)));
    assert_eq!(broken(&judgement), [("/type", "type_unknown")]);
    assert_eq!(broken(&catalog.judge(&unknown_version, TODAY)), [("/version", "version_unknown")]);
}

#[test]
fn each_mode_does_what_it_says() {
    let catalog = Catalog::empty().with([entry(&lead("1"))]);
    let wrong = created("1", json!({}));
    let judge = |mode: &str| catalog.with([policy(&format!("{{name: all, known: {mode}}}"))]).judge(&wrong, TODAY);
    assert!(matches!(judge("off"), Judgement::Pass(None)));
    assert!(matches!(judge("observe"), Judgement::Observe(_, None)));
    assert!(matches!(judge("quarantine"), Judgement::Quarantine(_)));
    assert!(matches!(judge("strict"), Judgement::Refuse(_)));
}

#[test]
fn tidings_own_events_are_never_judged() {
    let catalog = Catalog::empty().with([policy("{name: all, unknown: strict}")]);
    assert!(matches!(catalog.judge(&event("tidings.catalog.changed", "1", json!({})), TODAY), Judgement::Pass(None)));
}

#[test]
fn the_current_version_is_the_highest_of_the_highest_stage() {
    let of = |version: &str, stage: Stage| {
        let mut definition = lead(version);
        definition.lifecycle = Lifecycle { stage, sunset: None, successor: None };
        entry(&definition)
    };
    use Stage::{Deprecated, Draft, Stable};
    let rows: [(&[(&str, Stage)], &str); 4] = [
        (&[("1", Stable), ("2", Stable), ("10", Stable), ("11", Draft)], "10"),
        (&[("1", Deprecated), ("2", Draft)], "1"),
        (&[("1", Deprecated), ("2", Deprecated)], "2"),
        (&[("1", Draft), ("3", Draft)], "3"),
    ];
    let name = EventType::parse("sales.lead.created").expect("a type");
    for (versions, current) in rows {
        let catalog = Catalog::empty().with(versions.iter().map(|(version, stage)| of(version, *stage)));
        assert_eq!(catalog.current(&name).map(Version::as_str), Some(current), "{versions:?}");
    }
    assert_eq!(Catalog::empty().current(&name), None);
}

#[test]
fn versions_are_served_side_by_side_and_go_one_by_one() {
    let mut second = lead("2");
    second.schema = json!({"type": "object", "properties": {"n": {"type": "string"}}});
    let catalog = Catalog::empty().with([entry(&lead("1")), entry(&second)]);
    assert!(broken(&catalog.judge(&created("1", json!({"n": 1})), TODAY)).is_empty());
    assert!(broken(&catalog.judge(&created("2", json!({"n": "1"})), TODAY)).is_empty());
    assert!(!broken(&catalog.judge(&created("2", json!({"n": 1})), TODAY)).is_empty());
    let name = EventType::parse("sales.lead.created").expect("a type");
    assert_eq!(catalog.versions(&name).count(), 2);
    let gone = catalog.with([Entry { source: None, ..entry(&second) }]);
    assert_eq!(gone.current(&name).map(Version::as_str), Some("1"));
    let empty = gone.with([Entry { source: None, ..entry(&lead("1")) }]);
    assert_eq!((empty.owner(&name), empty.definitions().count(), empty.entries().count()), (None, 0, 0));
    assert_eq!(catalog.definitions().count(), 2, "a catalog never changes");
}

#[test]
fn an_entry_that_cannot_be_read_counts_as_unknown_until_it_is_mended() {
    let mut wrong = entry(&lead("1"));
    wrong.source = Some("name: [".to_owned());
    let catalog = Catalog::empty().with([wrong]);
    assert_eq!(catalog.faults().len(), 1);
    assert!(matches!(catalog.judge(&created("1", json!({})), TODAY), Judgement::Pass(None)));
    let mended = catalog.with([entry(&lead("1"))]);
    assert!(mended.faults().is_empty());
    assert!(matches!(mended.judge(&created("1", json!({})), TODAY), Judgement::Refuse(_)));
}

#[test]
fn a_version_is_not_taken_from_its_sunset_on() {
    let mut old = lead("1");
    let successor = (old.name.clone(), Version::parse("2").expect("a version"));
    old.lifecycle = Lifecycle { stage: Stage::Deprecated, sunset: Some(TODAY), successor: Some(successor) };
    let catalog = Catalog::empty().with([entry(&old)]);
    let fine = created("1", json!({"n": 1}));
    assert!(broken(&catalog.judge(&fine, TODAY.yesterday().expect("a day"))).is_empty());
    let judgement = catalog.judge(&fine, TODAY);
    assert_eq!(broken(&judgement), [("/version", "type_sunset")]);
}

#[test]
fn an_event_names_the_entity_that_its_type_speaks_of() {
    let mut with_entity = lead("1");
    with_entity.schema = json!({"type": "object"});
    with_entity.entity = Some(EntityRule { kind: "lead".to_owned(), id: Some(Pointer::of(["lead_id"])) });
    let catalog = Catalog::empty().with([entry(&with_entity)]);
    let of = |kind: &str, id: &str, data: Value| {
        let mut event = created("1", data);
        let text = |text: &str| tidings_event::Text::parse(text).expect("a text");
        event.entity = Some(tidings_event::Entity { kind: text(kind), id: text(id) });
        event
    };
    let mut without = created("1", json!({}));
    without.entity = None;
    let rows = [
        (of("lead", "7", json!({"lead_id": "7"})), vec![]),
        (of("lead", "7", json!({"lead_id": 7})), vec![]),
        (of("lead", "7", json!({})), vec![]),
        (of("lead", "7", json!({"lead_id": "8"})), vec![("/data/lead_id", "entity_mismatch")]),
        (of("lead", "7", json!({"lead_id": null})), vec![("/data/lead_id", "entity_mismatch")]),
        (of("lead", "07", json!({"lead_id": 7})), vec![("/data/lead_id", "entity_mismatch")]),
        (of("deal", "7", json!({"lead_id": "7"})), vec![("/entity/type", "entity_mismatch")]),
        (without, vec![("/entity", "entity_missing")]),
    ];
    for (event, expected) in rows {
        assert_eq!(broken(&catalog.judge(&event, TODAY)), expected, "{event:?}");
    }
}

#[test]
fn a_number_beyond_every_double_is_a_violation() {
    let catalog = Catalog::empty().with([entry(&definition("sales.lead.created", "1", json!({"type": "object"})))]);
    let mut event = created("1", json!({}));
    event.data = tidings_event::Data::trusted(br#"{"a":{"b":[1e400]}}"#.to_vec());
    assert_eq!(broken(&catalog.judge(&event, TODAY)), [("/data/a/b/0", "number_out_of_range")]);
}

#[test]
fn rules_are_judged_where_the_schema_holds_and_follow_their_sets() {
    let rule = |name: &str, check: &str| crate::definition::Rule {
        name: name.to_owned(),
        check: check.to_owned(),
        message: format!("{name} does not hold"),
    };
    let mut ruled = lead("1");
    ruled.rules = vec![rule("positive", "data.n > 0"), rule("known", "data.n in sets.numbers")];
    let set = |text: &str| Entry {
        key: Key { kind: Kind::Set, name: "numbers".to_owned(), version: String::new() },
        source: Some(text.to_owned()),
    };
    let catalog = Catalog::empty().with([entry(&ruled)]);
    assert_eq!(broken(&catalog.judge(&created("1", json!({"n": 1})), TODAY)), [("/data/n", "rule_not_judged")]);
    let catalog = catalog.with([set("{name: numbers, description: some, values: [-1, 1]}")]);
    assert!(broken(&catalog.judge(&created("1", json!({"n": 1})), TODAY)).is_empty());
    assert_eq!(broken(&catalog.judge(&created("1", json!({"n": -1})), TODAY)), [("/data/n", "rule_failed")]);
    assert_eq!(broken(&catalog.judge(&created("1", json!({"n": "x"})), TODAY)), [("/data/n", "schema_type")]);
    let catalog = catalog.with([set("{name: numbers, description: some, values: [2]}")]);
    assert_eq!(broken(&catalog.judge(&created("1", json!({"n": 1})), TODAY)), [("/data/n", "rule_failed")]);
    assert!(broken(&catalog.judge(&created("1", json!({"n": 2})), TODAY)).is_empty());
}

#[test]
fn an_event_that_passes_brings_the_rule_about_states_of_its_mode() {
    let mut moving = lead("1");
    moving.transitions = vec![crate::definition::Transitions {
        field: Pointer::of(["state"]),
        of: vec![moving.name.clone()],
        initial: vec!["new".to_owned()],
        moves: BTreeMap::new(),
    }];
    let catalog = Catalog::empty().with([entry(&moving)]);
    assert!(catalog.faults().is_empty(), "{:?}", catalog.faults());
    let fine = created("1", json!({"n": 1, "state": "new"}));
    let Judgement::Pass(Some(state)) = catalog.judge(&fine, TODAY) else { panic!("it brings the rule") };
    assert_eq!((state.mode(), state.types().len()), (Mode::Strict, 1));
    let observed = catalog.with([policy("{name: all, known: observe}")]);
    let Judgement::Pass(Some(state)) = observed.judge(&fine, TODAY) else { panic!("it brings the rule") };
    assert_eq!(state.mode(), Mode::Observe);
    let mut without = fine;
    without.entity = None;
    assert!(matches!(catalog.judge(&without, TODAY), Judgement::Pass(None)));
}

#[test]
fn documents_as_large_and_deep_as_they_may_be_are_judged() {
    let mut wide = definition(
        "sales.lead.created",
        "1",
        json!({"type": "object", "additionalProperties": {"$ref": "#/$defs/any"}, "$defs": {"any": {
            "type": ["object", "array", "string", "integer"],
            "items": {"$ref": "#/$defs/any"}, "additionalProperties": {"$ref": "#/$defs/any"},
        }}}),
    );
    wide.rules = vec![crate::definition::Rule {
        name: "small".to_owned(),
        check: "!has(data.items) || data.items.all(i, !has(i.n) || i.n < 10000)".to_owned(),
        message: "numbers are small".to_owned(),
    }];
    let catalog = Catalog::empty().with([entry(&wide)]);
    let members: serde_json::Map<String, Value> =
        (0..5_000).map(|n| (format!("member_{n}"), json!("x".repeat(20)))).collect();
    let items: Vec<Value> = (0..8_000).map(|n| json!({"n": n, "s": "y"})).collect();
    let deep = (0..62).fold(json!(1), |inner, _| json!({"x": inner}));
    for data in [Value::Object(members), json!({"items": items}), deep] {
        let judgement = catalog.judge(&created("1", data), TODAY);
        assert!(matches!(judgement, Judgement::Pass(None)), "{judgement:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_data_makes_judging_panic(data in crate::testing::any_json()) {
        let mut ruled = lead("1");
        ruled.entity = Some(EntityRule { kind: "lead".to_owned(), id: Some(Pointer::of(["a", "b"])) });
        ruled.rules = vec![crate::definition::Rule {
            name: "r".to_owned(),
            check: "has(data.a) ? data.a.b.all(x, x > data.n) : data.n > 0".to_owned(),
            message: "no".to_owned(),
        }];
        let catalog = Catalog::empty().with([entry(&ruled)]);
        let judgement = catalog.judge(&created("1", data), TODAY);
        proptest::prop_assert!(broken(&judgement).len() <= tidings_event::limits::VIOLATIONS_MAX);
    }
}

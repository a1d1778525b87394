//! What a change of the catalog would mean for what is there already, and who publishes and subscribes to a type.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy does not see that macros make these")]

mod support;

use support::{Log, admin, event, tenant, typed};
use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_catalog::lineage::Publisher;
use tidings_engine::catalog::{LogCheck, LogChecked, LogReport, Proposal};
use tidings_engine::endpoints::{EndpointSettings, NewEndpoint, Who};
use tidings_engine::{Engine, Role};
use tidings_event::{Entity, Event, EventType, Sequence, TenantId, Text, Version, violation_code as code};

/// A definition of `sales.lead.created` with this schema, given as JSON.
fn proposed(version: &str, schema: &str) -> Entry {
    let source = format!(
        "name: sales.lead.created\nversion: \"{version}\"\nowner: sales\ndescription: A lead was created.\n\
         lifecycle: stable\nschema: {schema}\n"
    );
    Entry { key: key(version), source: Some(source) }
}

fn key(version: &str) -> Key {
    Key { kind: Kind::Definition, name: "sales.lead.created".to_owned(), version: version.to_owned() }
}

fn numbers(members: &str) -> String {
    format!(r#"{{ "type": "object", "required": ["number"], "properties": {{ {members} }} }}"#)
}

fn boss() -> Who {
    Who { key: "key_boss".to_owned(), role: Role::Admin }
}

async fn push(engine: &Engine, entry: Entry) {
    let proposal = Proposal { entries: vec![entry], ..Proposal::default() };
    let pushed = engine.catalogs().push(&boss().into(), proposal).await.unwrap();
    assert!(pushed.revision.is_some(), "{:#?}", pushed.report);
}

async fn emit(engine: &Engine, tenant: &str, range: std::ops::Range<usize>) {
    let events = range.map(|number| event(tenant, &format!("{{\"number\":{number}}}"))).collect();
    engine.emit(&admin(), events).await.unwrap();
}

async fn check(engine: &Engine, entry: Entry, search: LogCheck) -> LogReport {
    engine.catalogs().check_log(&[entry], search).await.unwrap()
}

fn sampled(checked: &LogChecked) -> Vec<(&str, u64)> {
    checked.samples.iter().map(|sample| (sample.tenant.as_str(), sample.sequence.get())).collect()
}

/// An endpoint of the tenant that filters so.
async fn endpoint(engine: &Engine, name: &str, types: &[&str], filter: Option<(&str, &str, &str)>) -> String {
    let filter = filter.map(|(field, operator, value)| {
        format!(r#"{{"filters":[{{"field":"{field}","operator":"{operator}","value":{value}}}]}}"#)
    });
    let new = NewEndpoint {
        url: "https://hooks.example/tidings?key=secret".to_owned(),
        types: types.iter().map(|name| (*name).to_owned()).collect(),
        filter,
        settings: EndpointSettings { description: format!("of {name}"), ..EndpointSettings::default() },
        paused: true,
        ..NewEndpoint::default()
    };
    let (endpoint, ..) = engine.endpoints().create(&boss(), &tenant(name), new).await.unwrap();
    endpoint.id.to_string()
}

const BEFORE: &str =
    r#""number": { "type": "integer" }, "status": { "enum": ["new", "won"] }, "note": { "type": "string" }"#;
const AFTER: &str = r#""number": { "type": "string" }, "status": { "enum": ["new", "lost"] }"#;

fn blinded(report: &LogReport) -> Vec<(&str, &str)> {
    report.blinded.iter().map(|one| (one.field.as_str(), one.why.as_str())).collect()
}

on_both! {
    async fn retained_events_are_validated_by_what_is_proposed(log: Log) {
        let engine = log.engine().await;
        emit(&engine, "acme", 0..700).await;
        engine
            .emit(&admin(), vec![event("acme", r#"{"number":"one"}"#), typed("acme", "sales.lead.lost", "{}")])
            .await
            .unwrap();
        let schema = numbers(r#""number": { "type": "integer", "minimum": 30 }"#);
        let report = check(&engine, proposed("1", &schema), LogCheck::default()).await;
        assert!(report.complete && report.blinded_complete && report.blinded.is_empty());
        assert_eq!(report.scanned, 701);
        let [checked] = &report.definitions[..] else { panic!("{report:#?}") };
        assert_eq!((checked.event_type.as_str(), checked.version.as_str()), ("sales.lead.created", "1"));
        assert_eq!((checked.matched, checked.invalid), (701, 31));
        let newest: Vec<(&str, u64)> = [701].into_iter().chain((1..31).rev()).map(|at| ("acme", at)).take(20).collect();
        assert_eq!(sampled(checked), newest);
        let found = |at: usize| (checked.samples[at].violations[0].code, checked.samples[at].violations[0].path.as_str());
        assert_eq!(found(0), (code::SCHEMA_TYPE, "/data/number"));
        assert_eq!(found(1), (code::SCHEMA_RANGE, "/data/number"));
        let event = engine.event(&tenant("acme"), &checked.samples[1].id).await.unwrap().unwrap();
        assert_eq!(event.sequence, Sequence(30));
        // Nothing was changed by looking.
        assert!(engine.catalog().current(&EventType::parse("sales.lead.created").unwrap()).is_none());
        engine.shutdown().await;
    }

    async fn a_check_of_the_log_ends_where_it_is_told_and_says_so(log: Log) {
        let engine = log.engine().await;
        emit(&engine, "acme", 0..10).await;
        emit(&engine, "globex", 0..10).await;
        let entry = || proposed("1", &numbers(r#""number": { "maximum": 3 }"#));
        for (events_max, scanned, complete) in [(0, 1, false), (15, 15, false), (19, 19, false), (20, 20, true)] {
            let report = check(&engine, entry(), LogCheck { events_max, ..LogCheck::default() }).await;
            assert_eq!((report.scanned, report.complete), (scanned, complete), "{events_max}");
            assert_eq!(report.definitions[0].matched, scanned);
        }
        engine.shutdown().await;
    }

    async fn every_tenant_has_its_turn(log: Log) {
        let engine = log.engine().await;
        emit(&engine, "acme", 0..1_200).await;
        emit(&engine, "globex", 0..700).await;
        let entry = || proposed("1", &numbers(r#""number": { "maximum": -1 }"#));
        let report = check(&engine, entry(), LogCheck { events_max: 1_100, ..LogCheck::default() }).await;
        assert!(!report.complete);
        let checked = &report.definitions[0];
        assert_eq!((checked.matched, checked.invalid, checked.samples.len()), (1_100, 1_100, 20));
        let all = check(&engine, entry(), LogCheck::default()).await;
        assert_eq!((all.scanned, all.complete, all.definitions[0].invalid), (1_900, true, 1_900));
        engine.shutdown().await;
    }

    async fn only_the_events_of_the_proposed_version_count(log: Log) {
        let engine = log.engine().await;
        push(&engine, proposed("1", &numbers(r#""number": { "type": "integer" }"#))).await;
        emit(&engine, "acme", 0..5).await;
        let report =
            check(&engine, proposed("2", &numbers(r#""number": { "type": "string" }"#)), LogCheck::default()).await;
        assert_eq!((report.definitions[0].matched, report.complete), (0, true));
        let mut of_two = event("acme", r#"{"number":7}"#);
        of_two.version = Version::parse("2").unwrap();
        engine.emit(&admin(), vec![of_two]).await.unwrap();
        let report =
            check(&engine, proposed("2", &numbers(r#""number": { "type": "string" }"#)), LogCheck::default()).await;
        assert_eq!((report.definitions[0].matched, report.definitions[0].invalid), (1, 1));
        engine.shutdown().await;
    }

    async fn a_filter_that_a_change_would_blind_is_found(log: Log) {
        let engine = log.engine().await;
        push(&engine, proposed("1", &numbers(BEFORE))).await;
        let one = |operator, field, value| Some((field, operator, value));
        for (types, filter) in [
            (&["sales.lead.created"][..], one("equals", "$.data.note", "\"x\"")),
            (&["sales.*"], one("equals", "$.data.status", "\"won\"")),
            (&[], one("gt", "$.data.number", "5")),
            (&[], one("in", "$['data']['number']", "[1, true]")),
            (&[], one("exists", "$.data.note", "true")),
            // These go on to see.
            (&[], one("in", "$.data.status", "[\"won\", \"lost\"]")),
            (&[], one("exists", "$.data.note", "false")),
            (&[], one("equals", "$.entity.id", "\"won\"")),
            (&[], one("equals", "$..note", "\"x\"")),
            (&["crm.*"], one("equals", "$.data.note", "\"x\"")),
            (&["sales.lead.created"], None),
        ] {
            endpoint(&engine, "acme", types, filter).await;
        }
        let expected = [
            ("$.data.note", "data.note is not declared"),
            ("$.data.status", "data.status is never \"won\""),
            ("$.data.number", "data.number is never a number"),
            ("$['data']['number']", "data.number is never a number"),
            ("$.data.note", "data.note is not declared"),
        ];
        // As a change of the version, and as a new one beside it.
        for version in ["1", "2"] {
            let report = check(&engine, proposed(version, &numbers(AFTER)), LogCheck::default()).await;
            let (mut found, mut expected) = (blinded(&report), expected.to_vec());
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "version {version}");
            assert!(report.blinded_complete);
            assert!(report.blinded.iter().all(|one| one.tenant == tenant("acme") && one.version.as_str() == version));
        }
        // Members that may be there see as before.
        let more = format!(r#"{BEFORE}, "more": {{}}"#);
        let report = check(&engine, proposed("1", &numbers(&more)), LogCheck::default()).await;
        assert_eq!(blinded(&report), [] as [(&str, &str); 0]);
        engine.shutdown().await;
    }

    async fn a_filter_that_was_blind_before_is_not_the_changes_fault(log: Log) {
        let engine = log.engine().await;
        push(&engine, proposed("1", &numbers(BEFORE))).await;
        endpoint(&engine, "acme", &[], Some(("$.data.unheard_of", "exists", "true"))).await;
        let report = check(&engine, proposed("1", &numbers(AFTER)), LogCheck::default()).await;
        assert!(report.blinded.is_empty(), "{:#?}", report.blinded);
        engine.shutdown().await;
    }

    async fn only_named_tenants_are_looked_at(log: Log) {
        let engine = log.engine().await;
        for name in ["acme", "globex", "zeta"] {
            emit(&engine, name, 0..3).await;
            endpoint(&engine, name, &[], Some(("$.data.note", "exists", "true"))).await;
        }
        let tenants = Some(["zeta", "acme", "acme", "nobody"].map(tenant).to_vec());
        let entry = proposed("1", &numbers(r#""number": { "maximum": 1 }"#));
        let report = check(&engine, entry, LogCheck { tenants, ..LogCheck::default() }).await;
        assert_eq!((report.scanned, report.definitions[0].invalid, report.complete), (6, 2, true));
        assert_eq!(sampled(&report.definitions[0]), [("acme", 3), ("zeta", 3)]);
        let of: Vec<&str> = report.blinded.iter().map(|one| one.tenant.as_str()).collect();
        assert_eq!(of, ["acme", "zeta"]);
        engine.shutdown().await;
    }

    async fn what_cannot_be_read_is_passed_over(log: Log) {
        let engine = log.engine().await;
        emit(&engine, "acme", 0..3).await;
        let broken = Entry { key: key("1"), source: Some("name: [".to_owned()) };
        let gone = Entry { key: key("2"), source: None };
        let set = Entry { key: Key::set("currencies"), source: Some("name: currencies\nvalues: [EUR]\n".to_owned()) };
        let report = engine.catalogs().check_log(&[broken, gone, set], LogCheck::default()).await.unwrap();
        assert_eq!((report.definitions.len(), report.scanned, report.complete), (0, 0, true));
        engine.shutdown().await;
    }

    async fn lineage_tells_who_publishes_and_who_subscribes(log: Log) {
        let engine = log.engine().await;
        push(&engine, proposed("1", &numbers(BEFORE))).await;
        emit(&engine, "acme", 0..3).await;
        let mut other = typed("globex", "crm.deal.won", "{}");
        other.source.id = Text::parse("crm").unwrap();
        other.entity = Some(Entity { kind: Text::parse("deal").unwrap(), id: Text::parse("d1").unwrap() });
        let other: Event = other;
        engine.emit(&admin(), vec![other]).await.unwrap();
        let narrow = endpoint(&engine, "globex", &["sales.*"], Some(("$.data.number", "gt", "1"))).await;
        let all = endpoint(&engine, "acme", &[], None).await;
        let gone = endpoint(&engine, "acme", &[], None).await;
        engine.endpoints().delete(&boss(), &tenant("acme"), &gone.parse().unwrap()).await.unwrap();

        let all_of_it = engine.catalogs().lineage(None, None).await.unwrap();
        assert!(all_of_it.complete);
        let lineages = all_of_it.types;
        let names: Vec<&str> = lineages.iter().map(|lineage| lineage.event_type.as_str()).collect();
        assert_eq!(names, ["crm.deal.won", "sales.lead.created"]);
        let short = |publisher: &Publisher| (publisher.version.to_string(), publisher.source.clone(), publisher.events);
        let sales = &lineages[1];
        assert_eq!(sales.observed.iter().map(short).collect::<Vec<_>>(), [("1".to_owned(), "sales".to_owned(), 3)]);
        assert!(sales.observed[0].first_at <= sales.observed[0].last_at);
        let who: Vec<(&str, &str)> =
            sales.subscribers.iter().map(|one| (one.tenant.as_str(), one.endpoint.as_str())).collect();
        assert_eq!(who, [("acme", &*all), ("globex", &*narrow)]);
        let last = &sales.subscribers[1];
        assert_eq!((last.url_host.as_str(), last.description.as_str()), ("hooks.example", "of globex"));
        assert_eq!(
            (&last.types[..], &sales.subscribers[0].types[..]),
            (&["sales.*".to_owned()][..], &["*".to_owned()][..])
        );
        assert_eq!(lineages[0].observed[0].source, "crm");
        assert_eq!(lineages[0].subscribers.len(), 1);

        let of_type = async |name: &str, tenants: Option<&[TenantId]>| {
            let name = EventType::parse(name).unwrap();
            engine.catalogs().lineage(Some(&name), tenants).await.unwrap().types
        };
        assert_eq!(of_type("sales.lead.created", None).await, lineages[1..]);
        let of_globex = of_type("sales.lead.created", Some(&[tenant("globex"), tenant("nobody")])).await;
        assert_eq!(of_globex[0].subscribers, sales.subscribers[1..]);
        let unknown = of_type("a.b", None).await;
        assert_eq!((unknown[0].observed.len(), unknown[0].subscribers.len()), (0, 1));
        let own = of_type("tidings.endpoint.created", None).await;
        assert!(own[0].subscribers.is_empty(), "all types are those of producers");
        engine.shutdown().await;
    }
}

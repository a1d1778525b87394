//! The subscription index gives the answer that every subscription would give alone.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod support;

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tidings_core::index::{Explained, Index, Subscription, VALUE_CHARS_MAX, VALUES_MAX, explain, wants};
use tidings_core::pattern::Selection;
use tidings_event::{Data, Entity, LaneNo, Recorded, Sequence, TenantNo, Text};

fn selection(types: &[&str], pattern: &str) -> Arc<Selection> {
    let types: Vec<String> = types.iter().map(|shorthand| (*shorthand).to_owned()).collect();
    Selection::shared(&types, (!pattern.is_empty()).then_some(pattern.as_bytes())).unwrap()
}

fn filters(filters: &[(&str, &str, &str)]) -> String {
    let filters = filters.iter().map(|(field, operator, value)| {
        let value = if value.is_empty() { String::new() } else { format!(r#","value":{value}"#) };
        format!(r#"{{"field":{field:?},"operator":"{operator}"{value}}}"#)
    });
    format!(r#"{{"filters":[{}]}}"#, filters.collect::<Vec<_>>().join(","))
}

fn subscription(lane: i64, tenant: i64, selection: Arc<Selection>) -> Subscription {
    Subscription { lane: LaneNo(lane), tenant: TenantNo(tenant), after: Sequence(0), until: None, selection }
}

fn recorded(tenant: i64, event_type: &str, data: &str, sequence: u64) -> Recorded {
    let mut recorded = support::recorded(support::event("id_1", event_type, data), sequence);
    recorded.tenant_no = TenantNo(tenant);
    recorded
}

fn matches(index: &Index, event: &Recorded) -> Vec<i64> {
    let mut lanes = vec![LaneNo(-99)];
    index.matches(event, &mut lanes);
    lanes.into_iter().map(|lane| lane.0).collect()
}

/// What the index has to find: every subscription asked alone.
fn naive(subscriptions: &[Subscription], event: &Recorded) -> Vec<i64> {
    let wanting = subscriptions.iter().filter(|subscription| {
        subscription.tenant == event.tenant_no
            && subscription.after < event.sequence
            && subscription.until.is_none_or(|until| event.sequence <= until)
            && wants(&subscription.selection, event)
    });
    let mut lanes: Vec<i64> = wanting.map(|subscription| subscription.lane.0).collect();
    lanes.sort_unstable();
    lanes.dedup();
    lanes
}

const TYPES: &[&str] = &[
    "sales.lead.created",
    "sales.lead.status_changed",
    "sales.leader.hired",
    "sales.deal.won",
    "billing.invoice.paid",
    "billing.invoice.created",
    "hr.person.hired",
    "tidings.endpoint.disabled",
    "tidings.delivery.dead_lettered",
    "tidingsx.fake.created",
];
const SHORTHANDS: &[&str] = &["*", "sales.*", "sales.lead.*", "billing.invoice.*", "tidings.*", "tidings.endpoint.*"];
const PREFIXES: &[&str] = &["", "s", "sales.lead", "sales.lead.", "billing.", "tid", "tidings.", "tidings.d", "x"];
const REGEXES: &[&str] = &[
    r"sales\..*",
    r"(sales|billing)\.[a-z]+\.created",
    r".*\.created",
    r".*(created|hired)",
    r"[a-z]+\.lead\.[a-z_]+",
    r"[a-z]*\.invoice.*",
    r"(?i)SALES\.LEAD\..*",
    r"^hr\.person\.hired$",
    r"(sales\.)?(lead\.)?.*d",
    r"s.{4}\..*",
    r"[a-z.]+",
    r"[a-z._]+",
    r"",
    r".*tidings.*",
    r"tidings\..*",
    r"(?:sales|hr|billing|tidings|other|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\..*",
    r"\bsales\b.*",
    r"[a&&b]",
    r"\p{Ll}+\.\p{Ll}+\.\w+",
];
const FIELDS: &[&str] = &[
    "$.data.a",
    "$.data.b",
    "$.data.list[*]",
    "$.data.list[0]",
    "$.data..a",
    "$.data",
    "$.type",
    "$.entity.id",
    "$.sequence",
    "$.data.list[?@.a > 1].a",
    "$[?@ == $.data.a]",
];
const SCALARS: &[&str] =
    &["0", "1", "1.0", "1e0", "2", "-3.5", "1e400", "\"\"", "\"x\"", "\"xy\"", "\"1\"", "null", "true", "false"];

fn value() -> impl Strategy<Value = String> {
    let scalar = select(SCALARS).prop_map(str::to_owned);
    let nested = scalar.clone().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|elements| format!("[{}]", elements.join(","))),
            (inner.clone(), inner).prop_map(|(a, c)| format!(r#"{{"c":{c},"a":{a}}}"#)),
        ]
    });
    prop_oneof![3 => scalar, 1 => nested]
}

fn filter() -> impl Strategy<Value = (&'static str, &'static str, String)> {
    let operator = prop_oneof![
        4 => (Just("equals"), value()),
        2 => (Just("in"), vec(value(), 0..4).prop_map(|values| format!("[{}]", values.join(",")))),
        1 => (Just("not_equals"), value()),
        1 => (Just("contains"), value()),
        1 => (Just("exists"), select(vec!["", "true", "false"]).prop_map(str::to_owned)),
        1 => (select(vec!["gt", "gte", "lt", "lte"]), select(vec!["0", "1.5", "\"x\""]).prop_map(str::to_owned)),
    ];
    (select(FIELDS), operator).prop_map(|(field, (operator, value))| (field, operator, value))
}

fn pattern() -> impl Strategy<Value = String> {
    let type_test = prop_oneof![
        2 => Just(String::new()),
        1 => select(TYPES).prop_map(|value| format!(r#""type":"exact","value":"{value}","#)),
        2 => select(PREFIXES).prop_map(|value| format!(r#""type":"prefix","value":"{value}","#)),
        3 => select(REGEXES).prop_map(|value| format!(r#""type":"regex","value":{value:?},"#)),
    ];
    (type_test, vec(filter(), 0..3)).prop_map(|(type_test, of_pattern)| {
        let of_pattern: Vec<_> = of_pattern.iter().map(|(field, op, value)| (*field, *op, value.as_str())).collect();
        filters(&of_pattern).replacen('{', &format!("{{{type_test}"), 1)
    })
}

fn any_selection() -> impl Strategy<Value = Arc<Selection>> {
    let shorthand = prop_oneof![select(TYPES), select(SHORTHANDS)];
    (vec(shorthand, 0..3), proptest::option::weighted(0.8, pattern()))
        .prop_map(|(types, pattern)| selection(&types, pattern.as_deref().unwrap_or_default()))
}

fn any_subscription() -> impl Strategy<Value = Subscription> {
    let until = prop_oneof![2 => Just(None), 1 => (0_u64..12).prop_map(|until| Some(Sequence(until)))];
    (-3_i64..12, 0_i64..3, 0_u64..8, until, any_selection()).prop_map(|(lane, tenant, after, until, selection)| {
        let (lane, tenant, after) = (LaneNo(lane), TenantNo(tenant), Sequence(after));
        Subscription { lane, tenant, after, until, selection }
    })
}

fn any_event() -> impl Strategy<Value = Recorded> {
    let list = vec(value(), 0..4).prop_map(|values| format!("[{}]", values.join(",")));
    (0_i64..4, select(TYPES), (value(), value(), list), 0_u64..12, proptest::option::of("[xy]{1,2}")).prop_map(
        |(tenant, event_type, (a, b, list), sequence, entity)| {
            let mut event = recorded(tenant, event_type, &format!(r#"{{"a":{a},"b":{b},"list":{list}}}"#), sequence);
            event.event.entity =
                entity.map(|id| Entity { kind: Text::parse("lead").unwrap(), id: Text::parse(id).unwrap() });
            event
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_index_finds_what_asking_every_subscription_finds(
        subscriptions in vec(any_subscription(), 0..40),
        events in vec(any_event(), 1..8),
    ) {
        let index = Index::build(subscriptions.clone());
        prop_assert_eq!(index.len(), subscriptions.len());
        for event in &events {
            prop_assert_eq!(matches(&index, event), naive(&subscriptions, event), "{:?}", event);
        }
    }

    #[test]
    fn a_tenant_that_is_replaced_is_as_if_it_had_been_built_so(
        mut subscriptions in vec(any_subscription(), 0..20),
        changes in vec((0_i64..3, vec(any_subscription(), 0..6)), 1..6),
        events in vec(any_event(), 1..6),
    ) {
        let mut index = Index::build(subscriptions.clone());
        for (tenant, mut of_tenant) in changes {
            let before = (index.clone(), subscriptions.clone());
            of_tenant.iter_mut().for_each(|subscription| subscription.tenant = TenantNo(tenant));
            index = index.with_tenant(TenantNo(tenant), of_tenant.clone());
            subscriptions.retain(|subscription| subscription.tenant != TenantNo(tenant));
            subscriptions.extend(of_tenant);
            prop_assert_eq!(index.len(), subscriptions.len());
            for event in &events {
                prop_assert_eq!(matches(&index, event), naive(&subscriptions, event));
                // The old snapshot is what it was.
                prop_assert_eq!(matches(&before.0, event), naive(&before.1, event));
            }
        }
    }

    #[test]
    fn many_values_of_one_path_are_told_apart_as_if_each_were_asked_alone(
        wanted in vec(vec(value(), 1..4), 4..24),
        events in vec(any_event(), 1..8),
    ) {
        let subscriptions: Vec<Subscription> = wanted.iter().zip(1..).map(|(values, lane)| {
            let (operator, value) = match values.as_slice() {
                [value] => ("equals", value.clone()),
                values => ("in", format!("[{}]", values.join(","))),
            };
            subscription(lane, 1, selection(&["*"], &filters(&[("$.data.list[*]", operator, &value)])))
        }).collect();
        let index = Index::build(subscriptions.clone());
        for mut event in events {
            event.tenant_no = TenantNo(1);
            prop_assert_eq!(matches(&index, &event), naive(&subscriptions, &event), "{:?}", event);
        }
    }

    #[test]
    fn an_explanation_says_wanted_where_an_event_is_wanted(selection in any_selection(), event in any_event()) {
        prop_assert_eq!(explain(&selection, &event) == Explained::Wanted, wants(&selection, &event));
    }
}

#[test]
fn events_of_tidings_itself_go_only_to_who_names_them() {
    let rows: &[(&[&str], &str, bool)] = &[
        (&[], "", false),
        (&["*"], "", false),
        (&["tidings.*"], "", true),
        (&["sales.*", "tidings.endpoint.*"], "", true),
        (&["tidings.endpoint.disabled"], "", true),
        (&["tidings.endpoint.enabled"], "", false),
        (&[], r#"{"type":"prefix","value":""}"#, false),
        (&[], r#"{"type":"prefix","value":"tidings"}"#, false),
        (&[], r#"{"type":"prefix","value":"tidings."}"#, true),
        (&[], r#"{"type":"exact","value":"tidings.endpoint.disabled"}"#, true),
        (&[], r#"{"type":"regex","value":"tidings\\..*"}"#, false),
        (&["tidings.*"], r#"{"type":"regex","value":".*disabled"}"#, true),
        (&["tidings.*"], &filters(&[("$.data.a", "equals", "2")]), false),
    ];
    let event = recorded(1, "tidings.endpoint.disabled", r#"{"a":1}"#, 7);
    for (types, pattern, expect) in rows {
        let selection = selection(types, pattern);
        assert_eq!(wants(&selection, &event), *expect, "{types:?} {pattern}");
        let index = Index::build([subscription(1, 1, selection)]);
        assert_eq!(matches(&index, &event).len(), usize::from(*expect), "{types:?} {pattern}");
    }
}

#[test]
fn a_changed_selection_judges_only_the_events_after_the_change() {
    let of = |after, until, event_type| Subscription {
        after: Sequence(after),
        until,
        ..subscription(5, 1, selection(&[event_type], ""))
    };
    let index = Index::build([of(2, Some(Sequence(4)), "sales.lead.created"), of(4, None, "sales.deal.won")]);
    let wanted = |event_type| {
        let wanted = (1..=6).filter(|sequence| !matches(&index, &recorded(1, event_type, "{}", *sequence)).is_empty());
        wanted.collect::<Vec<_>>()
    };
    assert_eq!(wanted("sales.lead.created"), [3, 4]);
    assert_eq!(wanted("sales.deal.won"), [5, 6]);
}

#[test]
fn a_lane_is_found_once_and_another_tenants_never() {
    let index = Index::build([
        subscription(9, 1, selection(&["sales.*"], "")),
        subscription(9, 1, selection(&["sales.deal.won"], "")),
        subscription(-4, 1, selection(&[], "")),
        subscription(2, 1, selection(&["sales.*"], "")),
        subscription(3, 2, selection(&["sales.*"], "")),
    ]);
    assert_eq!(matches(&index, &recorded(1, "sales.deal.won", "{}", 1)), [-4, 2, 9]);
    assert_eq!(matches(&index, &recorded(2, "sales.deal.won", "{}", 1)), [3]);
    assert_eq!(matches(&index, &recorded(7, "sales.deal.won", "{}", 1)), Vec::<i64>::new());
    let without = index.with_tenant(TenantNo(1), Vec::new());
    assert_eq!(matches(&without, &recorded(1, "sales.deal.won", "{}", 1)), Vec::<i64>::new());
    assert_eq!((index.len(), without.len(), Index::empty().len()), (5, 1, 0));
}

#[test]
fn many_values_of_one_path_are_told_apart() {
    let rows = ["1", "1.50", "\"1\"", "null", "true", "\"ü\"", "[1]", r#"{"a":1}"#, "1e2", "-0"];
    let equal = rows
        .iter()
        .zip(0..)
        .map(|(value, lane)| subscription(lane, 1, selection(&[], &filters(&[("$.data.list[*]", "equals", value)]))));
    let among = subscription(100, 1, selection(&[], &filters(&[("$.data.list[*]", "in", r#"["ü", 1.5, "nothing"]"#)])));
    let index = Index::build(equal.chain([among]));
    let found = |list: &str| matches(&index, &recorded(1, "sales.deal.won", &format!(r#"{{"list":{list}}}"#), 1));
    assert_eq!(found("[1.0]"), [0]);
    assert_eq!(found(r#"[1.5, "1", null, 3]"#), [1, 2, 3, 100]);
    assert_eq!(found(r#"[true, "\u00fc"]"#), [4, 5, 100]);
    assert_eq!(found(r#"[[1.0], {"a":1e0}, 100, 0]"#), [6, 7, 8, 9]);
    assert_eq!(found(r#"[[2], {"a":2}, 101, false]"#), Vec::<i64>::new());
}

#[test]
fn a_filter_that_runs_out_of_steps_alone_does_so_beside_others_too() {
    // 1,000 values for each of 4,000 nodes are more steps than an evaluation may take, so the last node goes unseen.
    let values = |last: &str| format!("[{}{last}]", "\"none\",".repeat(999));
    let subscriptions: Vec<Subscription> = [("in", values("1")), ("in", values("0")), ("equals", "1".to_owned())]
        .iter()
        .zip(1..)
        .map(|((operator, value), lane)| {
            subscription(lane, 1, selection(&[], &filters(&[("$.data.list[*]", operator, value)])))
        })
        .collect();
    let mut data = String::from(r#"{"list":[0"#);
    (0..4_000).for_each(|_| data.write_str(",2").unwrap());
    data.push_str(",1]}");
    let event = recorded(1, "sales.deal.won", &data, 1);
    // A path that runs out itself does not even say that it selects nothing.
    let quadratic = "$.data.list[?count($.data.list[*]) > 1]";
    let nothing = subscription(4, 1, selection(&[], &filters(&[(quadratic, "exists", "false")])));
    let subscriptions = [subscriptions, vec![nothing]].concat();
    assert_eq!(naive(&subscriptions, &event), [2, 3]);
    assert_eq!(matches(&Index::build(subscriptions), &event), [2, 3]);
}

#[test]
fn what_the_payload_held_is_missing_once_it_is_erased() {
    let index = Index::build([
        subscription(1, 1, selection(&["sales.*"], "")),
        subscription(2, 1, selection(&[], &filters(&[("$.data.a", "exists", "")]))),
        subscription(3, 1, selection(&[], &filters(&[("$.data.a", "exists", "false")]))),
    ]);
    let mut event = recorded(1, "sales.deal.won", r#"{"a":1}"#, 1);
    assert_eq!(matches(&index, &event), [1, 2]);
    event.event.data = Data::trusted(Vec::new());
    assert_eq!(matches(&index, &event), [1, 3]);
}

#[test]
fn an_explanation_names_the_filter_that_failed_and_what_it_saw() {
    let event = recorded(1, "sales.deal.won", r#"{"a":1.50,"list":[1,2,3,4,5,6,7],"s":"é"}"#, 1);
    let explain = |types: &[&str], pattern: &str| explain(&selection(types, pattern), &event);
    assert_eq!(explain(&["sales.*"], &filters(&[("$.data.a", "equals", "1.5")])), Explained::Wanted);
    assert_eq!(explain(&["billing.*"], ""), Explained::TypeNotWanted);
    assert_eq!(explain(&["sales.*"], r#"{"type":"regex","value":".*lost"}"#), Explained::TypeNotWanted);
    let failed = |index, field: &str, operator, found: &[&str]| Explained::FilterFailed {
        index,
        field: field.to_owned(),
        operator,
        found: found.iter().map(|value| (*value).to_owned()).collect(),
    };
    let second = filters(&[("$.data.s", "contains", "\"é\""), ("$.data.a", "gte", "2")]);
    assert_eq!(explain(&[], &second), failed(1, "$.data.a", "gte", &["1.50"]));
    let gone = filters(&[("$.data.gone", "not_equals", "2")]);
    assert_eq!(explain(&[], &gone), failed(0, "$.data.gone", "not_equals", &[]));
    let many = filters(&[("$.data.list[*]", "in", "[9]")]);
    assert_eq!(explain(&[], &many), failed(0, "$.data.list[*]", "in", &["1", "2", "3", "4", "5"]));
    let system = recorded(1, "tidings.endpoint.disabled", "{}", 1);
    assert_eq!(tidings_core::index::explain(&Selection::all(), &system), Explained::SystemNotNamed);
    assert_eq!(tidings_core::index::explain(&selection(&["sales.*"], ""), &system), Explained::TypeNotWanted);
}

#[test]
fn an_explanation_is_bounded_whatever_the_event_holds() {
    let list = format!("[{}\"{}\"]", "{\"a\":[1,2,3]},".repeat(40), "é".repeat(5_000));
    let event = recorded(1, "sales.deal.won", &format!(r#"{{"list":{list}}}"#), 1);
    let selection = selection(&[], &filters(&[("$.data..*", "equals", "\"no\"")]));
    let Explained::FilterFailed { found, .. } = explain(&selection, &event) else { panic!("it is not wanted") };
    assert_eq!(found.len(), VALUES_MAX);
    assert!(found.iter().all(|value| value.chars().count() <= VALUE_CHARS_MAX));
    assert!(found[0].ends_with('…'));
}

#[test]
fn selections_that_are_written_the_same_are_shared() {
    let pattern = filters(&[("$.data.a", "equals", "1")]);
    assert!(Arc::ptr_eq(&selection(&["sales.*"], &pattern), &selection(&["sales.*"], &pattern)));
    assert!(!Arc::ptr_eq(&selection(&["sales.*"], ""), &selection(&["sales.*"], "{}")));
    assert!(Selection::shared(&["sales".to_owned()], None).is_err());
}

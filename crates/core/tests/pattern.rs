//! What a pattern means.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod support;

use proptest::prelude::*;
use tidings_core::limits;
use tidings_core::pattern::{Ask, Pattern, Selection, Step, TypeHint, Wanted};
use tidings_event::{ContextKind, Entity, EventType, FilterHash, Recorded, Text};

fn with_data(data: &str) -> Recorded {
    support::recorded(support::event("id_1", "sales.lead.status_changed", data), 7)
}

fn filter(field: &str, operator: &str, value: Option<&str>) -> Vec<u8> {
    let value = value.map_or(String::new(), |value| format!(r#","value":{value}"#));
    let field = serde_json::to_string(field).unwrap();
    format!(r#"{{"filters":[{{"field":{field},"operator":"{operator}"{value}}}]}}"#).into_bytes()
}

fn holds(data: &str, field: &str, operator: &str, value: &str) -> bool {
    let value = (!value.is_empty()).then_some(value);
    Pattern::parse(&filter(field, operator, value)).unwrap().matches(&with_data(data))
}

#[track_caller]
fn check(data: &str, field: &str, operator: &str, value: &str, expect: bool) {
    assert_eq!(holds(data, field, operator, value), expect, "{data} {field} {operator} {value}");
}

#[test]
fn numbers_compare_exactly() {
    let rows = [
        ("1.0", "equals", "1", true),
        ("1e0", "equals", "1", true),
        ("100", "equals", "1e2", true),
        ("0.1", "equals", "0.10000000000000000001", false),
        ("0.1", "lt", "0.10000000000000000001", true),
        ("9007199254740993", "equals", "9007199254740992", false),
        ("9007199254740993", "gt", "9007199254740992", true),
        ("9007199254740993.0", "equals", "9007199254740993", true),
        ("1e400", "gt", "1e399", true),
        ("1e400", "equals", "1e400", true),
        ("1e999999999", "gt", "1", true),
        ("-1e999999999999999999999999", "lt", "-1e999", true),
        ("1e-999", "gt", "0", true),
        ("-0.0", "equals", "0", true),
        ("0", "gte", "-0", true),
        ("18446744073709551616", "gt", "18446744073709551615", true),
        ("5", "gte", "5.0", true),
        ("5", "lte", "4.999999999999999999999", false),
        ("1.0", "in", "[3, 2, 1]", true),
        ("[1.0]", "equals", "[1]", true),
        (r#"{"a":{"b":1e2}}"#, "equals", r#"{"a":{"b":100}}"#, true),
        ("[2, 1.50]", "contains", "1.5", true),
    ];
    for (number, operator, value, expect) in rows {
        check(&format!(r#"{{"x":{number}}}"#), "$.data.x", operator, value, expect);
    }
}

#[test]
fn nothing_is_coerced_and_missing_is_not_null() {
    let data = r#"{"five":"5","n":5,"nil":null,"yes":true,"empty":"","list":[],"map":{}}"#;
    let rows = [
        ("$.data.five", "equals", "5", false),
        ("$.data.five", "gt", "4", false),
        ("$.data.n", "equals", "\"5\"", false),
        ("$.data.n", "not_equals", "\"5\"", false),
        ("$.data.nil", "not_equals", "5", false),
        ("$.data.yes", "equals", "1", false),
        ("$.data.yes", "equals", "true", true),
        ("$.data.empty", "equals", "null", false),
        ("$.data.list", "equals", "{}", false),
        ("$.data.nil", "equals", "null", true),
        ("$.data.nil", "exists", "true", true),
        ("$.data.nil", "exists", "", true),
        ("$.data.nil", "exists", "false", false),
        ("$.data.gone", "equals", "null", false),
        ("$.data.gone", "not_equals", "null", false),
        ("$.data.gone", "exists", "", false),
        ("$.data.gone", "exists", "false", true),
        ("$.data.gone", "in", "[null]", false),
        ("$.data.nil", "in", "[null]", true),
        ("$.data.n", "contains", "5", false),
        ("$.data.list", "contains", "null", false),
    ];
    for (field, operator, value, expect) in rows {
        check(data, field, operator, value, expect);
    }
}

#[test]
fn strings_compare_by_code_point_and_contain_their_parts() {
    let rows = [
        ("lead", "contains", "ea", true),
        ("lead", "contains", "", true),
        ("lead", "contains", "EA", false),
        ("lead", "gt", "le", true),
        ("Z", "lt", "a", true),
        ("é", "gt", "z", true),
        ("\u{ff5e}", "lt", "\u{10000}", true),
        ("10", "lt", "9", true),
        ("e\u{301}", "equals", "é", false),
    ];
    for (text, operator, value, expect) in rows {
        check(&format!(r#"{{"x":"{text}"}}"#), "$.data.x", operator, &format!("\"{value}\""), expect);
    }
    check(r#"{"x":"\u0061"}"#, "$.data.x", "equals", "\"a\"", true);
    check(r#"{"x":"\ud800!"}"#, "$.data.x", "contains", "\"!\"", true);
}

#[test]
fn any_selected_node_satisfies_and_all_filters_must_hold() {
    let data = r#"{"lines":[{"sku":"a","n":1},{"sku":"b","n":5}]}"#;
    check(data, "$.data.lines[*].n", "gt", "4", true);
    check(data, "$.data.lines[*].n", "gt", "5", false);
    check(data, "$.data.lines[?@.sku=='b'].n", "equals", "5", true);
    check(data, "$.data.lines[?@.n == 5.000].sku", "equals", "\"b\"", true);
    check(data, "$..sku", "equals", "\"b\"", true);
    check(data, "$.data.lines[-1].sku", "equals", "\"b\"", true);
    check(data, "$.data.lines[?@.n > $.sequence]", "exists", "", false);
    check(data, "$.data.lines[?@.n < $.sequence]", "exists", "", true);
    let both = |second: &str| {
        format!(
            r#"{{"filters":[{{"field":"$.data.lines[*].n","operator":"equals","value":1}},
                {{"field":"$.data.lines[*].n","operator":"equals","value":{second}}}]}}"#
        )
    };
    assert!(Pattern::parse(both("5").as_bytes()).unwrap().matches(&with_data(data)));
    assert!(!Pattern::parse(both("6").as_bytes()).unwrap().matches(&with_data(data)));
}

#[test]
fn paths_speak_of_the_native_envelope() {
    let mut recorded = with_data(r#"{"type":"inner"}"#);
    recorded.event.entity = Some(Entity { kind: Text::parse("lead").unwrap(), id: Text::parse("lead_42").unwrap() });
    recorded.event.metadata.context =
        Some(tidings_event::Context { kind: ContextKind::Client, id: Text::parse("c1").unwrap() });
    let rows = [
        ("$.id", "\"id_1\""),
        ("$.type", "\"sales.lead.status_changed\""),
        ("$.version", "\"1\""),
        ("$.tenant", "\"acme\""),
        ("$.source.type", "\"service\""),
        ("$['source']['id']", "\"sales\""),
        ("$.entity.id", "\"lead_42\""),
        ("$.metadata.correlation_id", "\"id_1\""),
        ("$.metadata.context.type", "\"client\""),
        ("$.sequence", "7"),
        ("$.timestamp", "\"1970-01-01T00:00:01.000Z\""),
        ("$.recorded_at", "\"1970-01-01T00:00:02.000Z\""),
        ("$.data.type", "\"inner\""),
    ];
    for (field, value) in rows {
        let pattern = Pattern::parse(&filter(field, "equals", Some(value))).unwrap();
        assert!(pattern.matches(&recorded), "{field}");
    }
    for missing in ["$.actor", "$.project", "$.metadata.causation_id", "$.metadata.traceparent"] {
        assert!(Pattern::parse(&filter(missing, "exists", Some("false"))).unwrap().matches(&recorded), "{missing}");
    }
    // The document is what a reader of the feed gets.
    let native: serde_json::Value = serde_json::from_slice(&recorded.to_json()).unwrap();
    let whole = Pattern::parse(&filter("$", "equals", Some(&native.to_string()))).unwrap();
    assert!(whole.matches(&recorded), "{native}");
}

#[test]
fn types_match_exactly_by_prefix_and_by_whole_regular_expression() {
    let of = |event_type: &str| support::recorded(support::event("id_1", event_type, "{}"), 1);
    let rows = [
        (r#"{"type":"exact","value":"sales.lead.created"}"#, "sales.lead.created", true),
        (r#"{"type":"exact","value":"sales.lead.created"}"#, "sales.lead.created_twice", false),
        (r#"{"type":"prefix","value":"sales.lead."}"#, "sales.lead.created", true),
        (r#"{"type":"prefix","value":"sales.lead."}"#, "sales.leads.created", false),
        (r#"{"type":"prefix","value":""}"#, "sales.leads.created", true),
        (r#"{"type":"regex","value":"sales\\.(lead|deal)\\..*"}"#, "sales.deal.won", true),
        (r#"{"type":"regex","value":"lead"}"#, "sales.lead.created", false),
        (r#"{"type":"regex","value":"sales.*|x"}"#, "y.sales.won", false),
        ("{}", "any.thing", true),
        (r#"{"filters":[]}"#, "any.thing", true),
    ];
    for (pattern, event_type, expect) in rows {
        assert_eq!(Pattern::parse(pattern.as_bytes()).unwrap().matches(&of(event_type)), expect, "{pattern}");
    }
    for (shorthand, event_type, expect) in [
        ("sales.*", "sales.lead.created", true),
        ("sales.*", "sales_eu.lead.created", false),
        ("sales.lead.*", "sales.lead.created", true),
        ("sales.lead.*", "sales.lead", false),
        ("sales.lead", "sales.lead.created", false),
        ("*", "sales.lead.created", true),
    ] {
        assert_eq!(Pattern::of_type(shorthand).unwrap().matches(&of(event_type)), expect, "{shorthand} {event_type}");
    }
    for wrong in ["", "sales", "sales*", "*.lead", "sales.*.created", "sales.**", ".*", "Sales.*", "a.b.c.d.e.*", "**"]
    {
        assert!(Pattern::of_type(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_wrong_with_a_pattern_is_told_with_its_place() {
    let one = |inner: &str| format!(r#"{{"filters":[{{"field":"$.a","operator":"exists"}},{inner}]}}"#);
    let deep = format!("$[?{}@.a{}]", "(".repeat(20), ")".repeat(20));
    let rows = [
        ("[".to_owned(), ""),
        ("[]".to_owned(), ""),
        (" ".repeat(limits::PATTERN_BYTES_MAX + 1), ""),
        (r#"{"types":[]}"#.to_owned(), "/types"),
        (r#"{"type":"exact"}"#.to_owned(), ""),
        (r#"{"value":"a.b"}"#.to_owned(), ""),
        (r#"{"type":"glob","value":"a.b"}"#.to_owned(), "/type"),
        (r#"{"type":1,"value":"a.b"}"#.to_owned(), "/type"),
        (r#"{"type":"exact","value":"A"}"#.to_owned(), "/value"),
        (r#"{"type":"regex","value":"("}"#.to_owned(), "/value"),
        (r#"{"type":"regex","value":"a)|(b"}"#.to_owned(), "/value"),
        (r#"{"type":"regex","value":"(\\w{100}){100}"}"#.to_owned(), "/value"),
        (r#"{"type":"regex","value":"(a)\\1"}"#.to_owned(), "/value"),
        (format!(r#"{{"type":"regex","value":"{}"}}"#, "a".repeat(2_000)), "/value"),
        (format!(r#"{{"type":"prefix","value":"{}"}}"#, "a".repeat(300)), "/value"),
        (r#"{"filters":{}}"#.to_owned(), "/filters"),
        (format!(r#"{{"filters":[{}]}}"#, vec!["{}"; 17].join(",")), "/filters"),
        (one("1"), "/filters/1"),
        (one("{}"), "/filters/1"),
        (one(r#"{"field":"$.a"}"#), "/filters/1"),
        (one(r#"{"field":"$.a","operator":"equals"}"#), "/filters/1"),
        (one(r#"{"field":"$.a","operator":"equals","value":1,"value":2}"#), "/filters/1/value"),
        (one(r#"{"field":"$.a","operator":"exists","values":1}"#), "/filters/1/values"),
        (one(r#"{"field":"a","operator":"exists"}"#), "/filters/1/field"),
        (one(r#"{"field":"$.a[","operator":"exists"}"#), "/filters/1/field"),
        (one(r#"{"field":"$..a..b..c","operator":"exists"}"#), "/filters/1/field"),
        (one(&format!(r#"{{"field":"{deep}","operator":"exists"}}"#)), "/filters/1/field"),
        (one(&format!(r#"{{"field":"$.{}","operator":"exists"}}"#, "a".repeat(2_000))), "/filters/1/field"),
        (one(r#"{"field":"$.a","operator":"like","value":1}"#), "/filters/1/operator"),
        (one(r#"{"field":"$.a","operator":"in","value":1}"#), "/filters/1/value"),
        (one(r#"{"field":"$.a","operator":"exists","value":1}"#), "/filters/1/value"),
        (one(r#"{"field":"$.a","operator":"gt","value":true}"#), "/filters/1/value"),
        (one(r#"{"field":"$.a","operator":"equals","value":[1e99999999999999]}"#), "/filters/1/value"),
        (one(r#"{"field":"$.a","operator":"equals","value":"\ud800"}"#), ""),
    ];
    for (pattern, path) in rows {
        let error = Pattern::parse(pattern.as_bytes()).unwrap_err();
        assert_eq!(error.path, path, "{pattern}: {error}");
    }
    let error = Selection::new(&["a.b".to_owned(), "A".to_owned()], None).unwrap_err();
    assert_eq!(error.path, "/types/1");
    assert_eq!(Selection::new(&vec!["a.b".to_owned(); 101], None).unwrap_err().path, "/types");
}

#[test]
fn a_path_that_is_too_much_work_on_an_event_selects_nothing() {
    let data = format!(r#"{{"list":[{}0]}}"#, "0,".repeat(20_000));
    check(&data, "$.data.list[?count($.data.list[*]) > 1]", "exists", "", false);
    check(&data, "$.data.list[?count($.data.list[*]) > 1]", "exists", "false", false);
    check(&data, "$.data.list[?@ == 0]", "exists", "", true);
    check(&data, "$..list[*]", "equals", "0", true);
    check(&data, "$.data.list[?match($.type, 'sales.*')]", "exists", "", true);
}

fn selection(types: &[&str], filter: Option<&str>) -> Selection {
    let types: Vec<String> = types.iter().map(|text| (*text).to_owned()).collect();
    Selection::new(&types, filter.map(str::as_bytes)).unwrap()
}

#[test]
fn selections_that_mean_the_same_have_the_same_hash() {
    let same = [
        (selection(&["a.b", "c.*"], None), selection(&["c.*", "a.b", "a.b"], None)),
        (
            selection(
                &[],
                Some(
                    r#"{"filters":[{"field":"$.a","operator":"equals","value":1.0},{"field":"$.b","operator":"exists"}]}"#,
                ),
            ),
            selection(
                &[],
                Some(
                    r#" {"filters":[{"operator":"exists","field":"$.b","value":true},{"field":"$.a","operator":"equals","value":1}]}"#,
                ),
            ),
        ),
        (selection(&["*"], Some("{}")), Selection::all()),
        (selection(&["a.b", "*"], Some(r#"{"type":"prefix","value":""}"#)), Selection::all()),
    ];
    for (a, b) in &same {
        assert_eq!((a.hash(), a.is_all()), (b.hash(), b.is_all()), "{a:?} {b:?}");
    }
    assert_eq!(Selection::all().hash(), FilterHash([0; 8]));
    let different = [
        selection(&["a.b"], None),
        selection(&["a.b.*"], None),
        selection(&["a.b", "a.c"], None),
        selection(&[], Some(r#"{"type":"exact","value":"a.b"}"#)),
        selection(&[], Some(r#"{"filters":[{"field":"$.a","operator":"gt","value":1}]}"#)),
        selection(&[], Some(r#"{"filters":[{"field":"$.a","operator":"gte","value":1}]}"#)),
        selection(&[], Some(r#"{"filters":[{"field":"$.a","operator":"gte","value":"1"}]}"#)),
        Selection::all(),
    ];
    for (i, a) in different.iter().enumerate() {
        for (j, b) in different.iter().enumerate() {
            assert_eq!(a.hash() == b.hash(), i == j, "{a:?} {b:?}");
        }
    }
}

#[test]
fn type_hints_cover_all_that_a_selection_wants() {
    let exact = |event_type: &str| TypeHint::Exact(EventType::parse(event_type).unwrap());
    let prefix = |prefix: &str| TypeHint::Prefix(prefix.to_owned());
    let sales_prefix = Some(r#"{"type":"prefix","value":"sales."}"#);
    let rows = [
        (Selection::all(), vec![]),
        (selection(&["a.b", "c.*"], None), vec![exact("a.b"), prefix("c.")]),
        (selection(&[], sales_prefix), vec![prefix("sales.")]),
        (selection(&["sales.lead.*", "hr.*"], sales_prefix), vec![prefix("sales.lead.")]),
        (selection(&["sales.lead"], sales_prefix), vec![exact("sales.lead")]),
        (selection(&["hr.*"], sales_prefix), vec![prefix("sales.")]),
        (selection(&["hr.*"], Some(r#"{"type":"regex","value":"hr.*"}"#)), vec![prefix("hr.")]),
        (selection(&[], Some(r#"{"type":"regex","value":"hr.*"}"#)), vec![]),
    ];
    for (selection, hints) in rows {
        assert_eq!(selection.type_hints(), hints, "{selection:?}");
    }
}

/// A JSON value as the naive matcher sees it. Numbers are whole thousandths.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Value>),
    Map(std::collections::BTreeMap<String, Value>),
}

impl Value {
    /// Writes the value; the spelling of numbers and the order of members vary with `style`.
    fn write(&self, style: u8) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(n) => match style % 3 {
                0 => format!("{n}e-3"),
                1 => format!("{}.00E-6", n * 1_000),
                _ => format!("{}{}.{:03}", if *n < 0 { "-" } else { "" }, n.abs() / 1_000, n.abs() % 1_000),
            },
            Self::Text(text) => serde_json::to_string(text).unwrap(),
            Self::List(list) => {
                format!("[{}]", list.iter().map(|value| value.write(style + 1)).collect::<Vec<_>>().join(","))
            }
            Self::Map(map) => {
                let mut members: Vec<String> =
                    map.iter().map(|(name, value)| format!("{name:?}: {}", value.write(style + 1))).collect();
                if style % 2 == 1 {
                    members.reverse();
                }
                format!("{{{}}}", members.join(" , "))
            }
        }
    }

    fn below(&self, name: &str) -> Vec<&Value> {
        match self {
            Self::Map(map) => map.get(name).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn children(&self) -> Vec<&Value> {
        match self {
            Self::List(list) => list.iter().collect(),
            Self::Map(map) => map.values().collect(),
            _ => Vec::new(),
        }
    }

    fn everywhere(&self, name: &str) -> Vec<&Value> {
        let mut found = self.below(name);
        found.extend(self.children().into_iter().flat_map(|child| child.everywhere(name)));
        found
    }
}

const PATHS: [&str; 6] = ["$.data.a", "$.data.a.b", "$.data.a[*]", "$.data..b", "$.data.a[0]", "$.data[?@.b == 1]"];

fn naive_select<'v>(path: &str, data: &'v Value) -> Vec<&'v Value> {
    let all = |nodes: Vec<&'v Value>, step: fn(&'v Value) -> Vec<&'v Value>| nodes.into_iter().flat_map(step).collect();
    match path {
        "$.data.a" => data.below("a"),
        "$.data.a.b" => all(data.below("a"), |node| node.below("b")),
        "$.data.a[*]" => all(data.below("a"), Value::children),
        "$.data..b" => data.everywhere("b"),
        "$.data.a[0]" => all(data.below("a"), |node| match node {
            Value::List(list) => list.first().into_iter().collect(),
            _ => Vec::new(),
        }),
        _ => data.children().into_iter().filter(|node| node.below("b") == [&Value::Number(1_000)]).collect(),
    }
}

fn naive_accepts(node: &Value, operator: &str, value: &Value) -> bool {
    let order = match (node, value) {
        (Value::Number(a), Value::Number(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.chars().cmp(b.chars())),
        _ => None,
    };
    match (operator, node, value) {
        ("equals", ..) => node == value,
        ("not_equals", ..) => std::mem::discriminant(node) == std::mem::discriminant(value) && node != value,
        ("in", _, Value::List(list)) => list.contains(node),
        ("contains", Value::Text(text), Value::Text(part)) => text.contains(part.as_str()),
        ("contains", Value::List(list), _) => list.contains(value),
        ("gt", ..) => order.is_some_and(|order| order.is_gt()),
        ("gte", ..) => order.is_some_and(|order| order.is_ge()),
        ("lt", ..) => order.is_some_and(|order| order.is_lt()),
        ("lte", ..) => order.is_some_and(|order| order.is_le()),
        _ => false,
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-2_i64..=2).prop_map(|n| Value::Number(n * 500)),
        "[ab]{0,2}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map("[ab]", inner, 0..3).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn filters_hold_exactly_where_a_naive_matcher_says(
        members in prop::collection::btree_map("[ab]", values(), 0..3),
        path in prop::sample::select(&PATHS[..]),
        operator in prop::sample::select(vec!["equals", "not_equals", "in", "contains", "gt", "gte", "lt", "lte"]),
        wanted in values(),
        wanted_from_data in any::<prop::sample::Index>(),
        take in any::<bool>(),
        styles in any::<(u8, u8)>(),
    ) {
        let data = Value::Map(members);
        let nodes = naive_select(path, &data);
        // Half of the values are taken from the data, so that matches are not rare.
        let mut wanted = if take && !nodes.is_empty() { wanted_from_data.get(&nodes).to_owned().clone() } else { wanted };
        if operator == "in" {
            wanted = Value::List(vec![wanted]);
        } else if operator.starts_with(['g', 'l']) && !matches!(wanted, Value::Number(_) | Value::Text(_)) {
            wanted = Value::Number(0);
        }
        let expect = nodes.iter().any(|node| naive_accepts(node, operator, &wanted));
        let (style, wanted_style) = (styles.0 % 6, styles.1 % 6);
        let pattern = filter(path, operator, Some(&wanted.write(wanted_style)));
        let matches = Pattern::parse(&pattern).unwrap().matches(&with_data(&data.write(style)));
        prop_assert_eq!(matches, expect, "{} on {}", String::from_utf8_lossy(&pattern), data.write(style));
    }

    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,40}", path in "\\$[\\[\\].*?@'a0-9()=!<>&| :,-]{0,30}") {
        let _ = Pattern::parse(text.as_bytes());
        let _ = Pattern::of_type(&text);
        if let Ok(pattern) = Pattern::parse(&filter(&path, "exists", None)) {
            let _ = pattern.matches(&with_data(r#"{"a":[{"a":1},0]}"#));
        }
    }
}

#[test]
fn a_selection_tells_what_it_asks_of_events() {
    let name = |name: &str| Step::Name(name.to_owned());
    let amount = Some(vec![name("data"), name("amount")]);
    let rows = [
        ("$.data.amount", "equals", Some("5"), amount.clone(), Wanted::AnyOf(vec![5.into()])),
        ("$['data']['amount']", "in", Some(r#"[5, "x"]"#), amount.clone(), Wanted::AnyOf(vec![5.into(), "x".into()])),
        ("$.data.amount", "equals", Some("1e999"), amount.clone(), Wanted::Other),
        ("$.data.amount", "gt", Some("0.5"), amount.clone(), Wanted::TypeOf(0.5.into())),
        ("$.data.amount", "not_equals", Some("\"a\""), amount.clone(), Wanted::TypeOf("a".into())),
        ("$.data.amount", "contains", Some("1"), amount.clone(), Wanted::Other),
        ("$.data.amount", "exists", None, amount.clone(), Wanted::Present),
        ("$.data.amount", "exists", Some("false"), amount, Wanted::Absent),
        ("$.data[1][-1]", "exists", None, Some(vec![name("data"), Step::Index(1), Step::Index(-1)]), Wanted::Present),
        (
            "$.data[*].a[?@.b]['x','y'][1:2]",
            "exists",
            None,
            Some(wide(&["data", "", "a", "", "", ""])),
            Wanted::Present,
        ),
        ("$.data..amount", "exists", None, None, Wanted::Present),
    ];
    for (field, operator, value, steps, wanted) in rows {
        let selection = Selection::new(&[], Some(&filter(field, operator, value))).unwrap();
        let ask = Ask { field: field.to_owned(), steps, operator: selection.asks()[0].operator, wanted };
        assert_eq!(selection.asks(), [ask], "{field}");
        assert_eq!(selection.asks()[0].operator, operator);
    }
    assert!(Selection::all().asks().is_empty());
}

/// Steps by name; the empty name is any.
fn wide(names: &[&str]) -> Vec<Step> {
    names.iter().map(|name| if name.is_empty() { Step::Any } else { Step::Name((*name).to_owned()) }).collect()
}

#[test]
fn a_selection_tells_which_types_it_accepts() {
    let pattern = br#"{"type":"prefix","value":"sales.lead."}"#;
    let selection = Selection::new(&["sales.*".to_owned()], Some(pattern)).unwrap();
    for (name, accepted) in [("sales.lead.created", true), ("sales.deal.won", false), ("crm.lead.created", false)] {
        assert_eq!(selection.accepts(&EventType::parse(name).unwrap()), accepted, "{name}");
    }
}

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::entry::Set;
use crate::testing::{any_json, event};

fn rule(check: &str) -> Rule {
    Rule { name: "r".to_owned(), check: check.to_owned(), message: "no".to_owned() }
}

/// The value of an expression that sees everything; the set `currencies` holds EUR, USD and 978.
fn eval(text: &str, data: &Json) -> Result<Json, String> {
    eval_counted(text, data).0
}

/// The same, and the steps that it took.
fn eval_counted(text: &str, data: &Json) -> (Result<Json, String>, u32) {
    let steps = Steps::for_one_event();
    let value = eval_within(text, data, &steps);
    (value, STEPS_MAX - steps.0.get())
}

fn eval_within(text: &str, data: &Json, steps: &Steps) -> Result<Json, String> {
    let expression = Expression::compile(text, Sees::Everything)?;
    let event = event("sales.lead.created", "3", data.clone());
    let document = Document::of(data);
    let currencies = Set {
        name: "currencies".to_owned(),
        description: String::new(),
        values: vec!["EUR".into(), "USD".into(), 978.into()],
    };
    let values = Arc::new(SetValues::new(&currencies));
    let sets: Vec<_> =
        expression.set_names().iter().map(|name| (name == "currencies").then(|| Arc::clone(&values))).collect();
    let mut evaluator = Evaluator { data: &document, event: Some(&event), sets: &sets, steps, variables: Vec::new() };
    let value = evaluator.value(&expression.root).map_err(|failure| failure.to_string())?;
    let value_or_kind = value.to_json(steps).map_err(|failure| failure.to_string())?;
    value_or_kind.ok_or_else(|| value.kind().to_owned())
}

#[test]
fn expressions_have_the_values_that_the_guide_promises() {
    let data = json!({
        "amount": 1500, "rate": 0.2, "currency": "EUR", "name": "Ada Lovelace", "none": null, "yes": true,
        "items": [{"count": 2, "price": 1.1}, {"count": 1, "price": 2.2, "tags": ["a", "b"]}],
        "words": ["x", "y"], "four": 4.0, "big": 18_446_744_073_709_551_615_u64, "x-y": {"inner": 7},
        "from": "2026-03-15T10:00:00Z", "to": "2026-03-16T09:30:00+01:00", "day": "2026-02-28",
    });
    let rows = [
        // Literals and operators.
        ("1 + 2 * 3", json!(7)),
        ("7 / 2", json!(3)),
        ("-7 / 2", json!(-3)),
        ("7 % 4", json!(3)),
        ("7.0 / 2", json!(3.5)),
        ("1 + 0.5", json!(1.5)),
        ("data.amount * 0.1", json!(150.0)),
        ("'a' + \"b\"", json!("ab")),
        ("[1] + [2]", json!([1, 2])),
        ("{'a': [1, null]}", json!({"a": [1, null]})),
        ("1 == 1.0", json!(true)),
        ("1 == '1'", json!(false)),
        ("null == data.none", json!(true)),
        ("1 < 1.5", json!(true)),
        ("'a' < 'b'", json!(true)),
        ("data.big > 9223372036854775807", json!(true)),
        ("!data.yes || data.amount >= 1500", json!(true)),
        ("data.yes ? 'y' : 'n'", json!("y")),
        ("[1, [2, {'a': 3}]] == [1.0, [2, {'a': 3}]]", json!(true)),
        ("-data.amount", json!(-1500)),
        ("-data.rate", json!(-0.2)),
        ("false && data.missing", json!(false)),
        ("data.missing || true", json!(true)),
        // Members.
        ("data.items[1].price", json!(2.2)),
        ("data['name']", json!("Ada Lovelace")),
        ("data.`x-y`.inner", json!(7)),
        ("data[data.currency == 'EUR' ? 'amount' : 'rate']", json!(1500)),
        ("has(data.amount)", json!(true)),
        ("has(data.missing)", json!(false)),
        ("has(data.none)", json!(true)),
        ("has(data.missing.deeper.still)", json!(false)),
        ("has(data['x-y'])", json!(true)),
        ("has(data.name.first)", json!(false)),
        // The envelope.
        ("event.id", json!("e1")),
        ("event.type", json!("sales.lead.created")),
        ("event.version", json!("3")),
        ("event.tenant", json!("acme")),
        ("event.source.type + '/' + event.source.id", json!("service/sales")),
        ("event.entity.type + event.entity.id", json!("leadlead_42")),
        ("event.actor", json!("user_7")),
        ("event.metadata.correlation_id", json!("e1")),
        ("has(event.project)", json!(false)),
        ("has(event.entity)", json!(true)),
        ("has(event.metadata.context)", json!(false)),
        ("event.timestamp == timestamp(data.from)", json!(true)),
        // Sets and lists.
        ("data.currency in sets.currencies", json!(true)),
        ("'CHF' in sets.currencies", json!(false)),
        ("978.0 in sets.currencies", json!(true)),
        ("size(sets.currencies)", json!(3)),
        ("data.currency in ['EUR']", json!(true)),
        ("'amount' in data", json!(true)),
        ("3 in [1, 2]", json!(false)),
        ("data.items.all(i, i.count > 0)", json!(true)),
        ("data.items.exists(i, has(i.tags))", json!(true)),
        ("data.items.exists_one(i, i.count == 2)", json!(true)),
        ("data.items.map(i, i.count)", json!([2, 1])),
        ("data.items.map(i, i.count > 1, i.price)", json!([1.1])),
        ("size(data.items.filter(i, i.count > 1))", json!(1)),
        ("data.items.all(i, !has(i.tags) || i.tags.all(t, t in data.items[1].tags))", json!(true)),
        ("data['x-y'].all(k, k == 'inner')", json!(true)),
        ("[].all(x, x.y)", json!(true)),
        ("[1, 2].exists(x, x == 2 || x.y)", json!(true)),
        ("[{'a': 1}].map(x, x.a)", json!([1])),
        // Strings.
        ("size('né€')", json!(3)),
        ("data.name.size()", json!(12)),
        ("data.name.contains('Love')", json!(true)),
        ("startsWith(data.name, 'Ada')", json!(true)),
        ("data.name.endsWith('x')", json!(false)),
        ("data.name.matches('^A[a-z]+ ')", json!(true)),
        ("data.name.matches('^L')", json!(false)),
        ("'aBc'.lowerAscii() + 'aBc'.upperAscii()", json!("abcABC")),
        ("' a '.trim()", json!("a")),
        ("data.name.substring(4)", json!("Lovelace")),
        ("'né€!'.substring(1, 3)", json!("é€")),
        ("data.name.split(' ')", json!(["Ada", "Lovelace"])),
        ("data.words.join('-')", json!("x-y")),
        ("data.words.join()", json!("xy")),
        ("'a.b.c'.replace('.', '/')", json!("a/b/c")),
        ("string(1) + string(true) + string(1.5)", json!("1true1.5")),
        // Numbers.
        ("int('42') + int(1.9)", json!(43)),
        ("double('1.5')", json!(1.5)),
        ("abs(-3)", json!(3)),
        ("abs(-3.5)", json!(3.5)),
        ("ceil(1.2) + floor(1.8) + round(1.5)", json!(5.0)),
        ("round(0.1 + 0.2, 2) == 0.3", json!(true)),
        ("round(1.005, 2)", json!(1.01)),
        ("round(-2.345, 2)", json!(-2.35)),
        ("round(7, 2)", json!(7)),
        ("sum(data.items.map(i, i.count))", json!(3)),
        ("sum([])", json!(0)),
        ("round(sum(data.items.map(i, i.price * i.count)), 2)", json!(4.4)),
        ("data.four % 2", json!(0)),
        ("7.0 % data.four", json!(3)),
        ("data.words[data.four - 3]", json!("y")),
        ("'abcdef'.substring(data.four)", json!("ef")),
        ("round(1.234, data.four - 2)", json!(1.23)),
        ("data.four / 8", json!(0.5)),
        ("min([3, 1.5, 2])", json!(1.5)),
        ("max(3, 1, 2)", json!(3)),
        ("max(['a', 'b'])", json!("b")),
        // Time.
        ("timestamp(data.from) < timestamp(data.to)", json!(true)),
        ("timestamp(data.to) - timestamp(data.from) < duration('23h')", json!(true)),
        ("timestamp(data.from) + duration('1d') > timestamp(data.to)", json!(true)),
        ("string(timestamp(data.to))", json!("2026-03-16T08:30:00.000Z")),
        ("timestamp(0) == timestamp('1970-01-01T00:00:00Z')", json!(true)),
        ("date(data.day) + duration('24h') == date('2026-03-01')", json!(true)),
        ("int(timestamp('1970-01-01T00:01:00Z'))", json!(60)),
        ("timestamp(data.from).getFullYear()", json!(2026)),
        ("timestamp(data.from).getMonth()", json!(2)),
        ("timestamp(data.from).getDate()", json!(15)),
        ("timestamp(data.from).getDayOfMonth()", json!(14)),
        ("timestamp(data.from).getDayOfWeek()", json!(0)),
        ("timestamp(data.from).getDayOfYear()", json!(73)),
        ("timestamp(data.from).getHours()", json!(10)),
        ("duration('1h30m').getMinutes()", json!(90)),
        ("duration('-1.5s').getMilliseconds()", json!(-1500)),
    ];
    for (text, expected) in rows {
        assert_eq!(eval(text, &data), Ok(expected), "{text}");
    }
}

#[test]
fn what_has_no_value_says_why() {
    let data = json!({"a": {"b": 1}, "text": "x", "list": [1], "none": null});
    let rows = [
        ("data.missing > 1", "'missing' is missing"),
        ("data.a.b.c == 1", "'c' is asked of a number"),
        ("data.none.x == 1", "'x' is asked of null"),
        ("data.text > 1", "a string is compared with a number"),
        ("data.text + 1 == 2", "a string cannot be calculated with a number"),
        ("data.list[1] == 1", "a list has no such element"),
        ("data.list[-1] == 1", "a list has no such element"),
        ("1 / 0 == 1", "a whole number is divided by zero"),
        ("9223372036854775807 * 4 > 0", "a number becomes larger than 64 bits hold"),
        ("1.5 % 2 == 1", "a remainder is there of whole numbers only"),
        ("9007199254740994.0 % 2 == 0", "a remainder is there of whole numbers only"),
        ("data.list[0.5] == 1", "a list has no such element"),
        ("0.0 / 0.0 > 0", "the result of a calculation like 0.0 / 0.0 is no number, and is compared"),
        ("max([1, 0.0 / 0.0]) > 0", "the result of a calculation like 0.0 / 0.0 is no number, and is compared"),
        ("data.text && true", "a string stands where a boolean is needed"),
        ("data.missing && true", "'missing' is missing"),
        ("data.text.all(c, true)", "a string has no elements"),
        ("event.project == 'x'", "event.project is missing"),
        ("data.text in sets.missing", "a set that it looks into is not in the catalog"),
        ("timestamp(data.text) > timestamp(0)", "timestamp() is asked of a string that is no RFC 3339 moment"),
        ("duration('1 hour') > duration('1s')", "duration() is asked of a string that is no duration like 1h30m"),
        ("size(1) > 0", "a number has no size"),
        ("contains(data.list, 1)", "contains() does not take a list and a number"),
        ("min([]) > 0", "an empty list has no least and no greatest element"),
        ("'abc'.substring(2, 1) == ''", "a string has no such characters"),
        ("{'a': 1, 'a': 2} == {}", "a map has a key twice"),
        ("data.list.all(x, x > 0 && x.y)", "'y' is asked of a number"),
    ];
    for (text, expected) in rows {
        assert_eq!(eval(text, &data), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn what_is_no_expression_is_refused_before_it_is_used() {
    let long = format!("'{}' == ''", "x".repeat(2_000));
    let chain = "1 + ".repeat(380) + "1 > 0";
    let deep = "(".repeat(300) + "true" + &")".repeat(300);
    let rows = [
        ("", "is not CEL"),
        ("data.a >", "is not CEL"),
        ("data.a = 1", "is not CEL"),
        ("'unterminated", "is not CEL"),
        ("data.?a == 1", "is not CEL"),
        ("amount > 1", "there is no 'amount'"),
        ("event == 1", "'event' is used through"),
        ("event.entity == 1", "'event.entity' is used through"),
        ("event.data.x == 1", "the data is seen as 'data'"),
        ("event.sequence > 1", "there is no event.sequence"),
        ("sets.a == 1", "a set is used like"),
        ("sets == 1", "'sets' is used like"),
        ("now() > 1", "there is no function 'now'"),
        ("size(1, 2) > 1", "size() takes 1"),
        ("has(data)", "has() takes a member"),
        ("data.a.matches(data.b)", "matches() takes a text and a pattern"),
        ("data.a.matches('(?=a)')", "matches() takes a regular expression"),
        ("data.a.matches('((a{1,99}){1,99}){1,99}')", "matches() takes a regular expression"),
        ("data.a.all(data, true)", "a loop's variable must not be called"),
        ("data.a.all(x)", "a loop takes a variable"),
        ("data.a.all(1, true)", "the first argument of a loop"),
        ("[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))", "has more than 3 loops"),
        ("b'bytes' == b''", "bytes are not known"),
        ("Type{a: 1} == 1", "messages are not known"),
        (&long, "must have at most 2000 characters"),
        (&chain, "is nested more than 96"),
        (&deep, "is not CEL"),
        (&"!".repeat(500), "has more than 400 operators"),
    ];
    for (text, expected) in rows {
        let found = Expression::compile(text, Sees::Everything).map(|_| ()).expect_err(text);
        assert!(found.starts_with(expected), "{text:.60}: {found}");
    }
    assert!(Expression::compile("event.id == 'x'", Sees::Data).is_err());
    for piece in [
        "!",
        "-",
        "(",
        "[",
        "{",
        "{'a': ",
        "a.",
        "a ? ",
        "a ? b : ",
        "1 + ",
        "true && ",
        "[1].all(x, ",
        "size(",
        "!(",
        "a[",
    ] {
        let count = 400 / piece.bytes().filter(|byte| b"+-*/%!<>=&|?([{.".contains(byte)).count();
        for end in ["", "1", "true"] {
            let text = piece.repeat(count.min(2_000 / piece.len() - 1)) + end;
            let _ = Expression::compile(&text, Sees::Everything);
        }
    }
    assert!(CompiledRule::compile(&rule("data.a + 1")).is_err(), "a rule must be a boolean");
    assert!(CompiledRule::compile(&rule("data.a")).is_ok());
}

#[test]
fn a_broken_rule_is_told_in_its_authors_words_and_at_its_place() {
    let rows = [
        ("data.price.net <= data.price.gross", "/data/price"),
        ("data.price.net > 0", "/data/price/net"),
        ("data.a > data.b", "/data"),
        ("data.items.all(i, i.n > 0)", "/data/items"),
        ("event.actor != 'user_7'", ""),
    ];
    let data = json!({"price": {"net": 0, "gross": -1}, "a": 1, "b": 2, "items": [{"n": 0}]});
    let event = event("sales.lead.created", "1", data.clone());
    for (check, path) in rows {
        let compiled = CompiledRule::compile(&rule(check)).expect("a rule");
        let steps = Steps::for_one_event();
        let broken = compiled.judge(&Document::of(&data), &event, &[], &steps).expect("it is broken");
        assert_eq!((broken.path.as_str(), broken.code, broken.message.as_str()), (path, "rule_failed", "no (rule r)"));
    }
    let compiled = CompiledRule::compile(&rule("data.missing > 0")).expect("a rule");
    let broken = compiled.judge(&Document::of(&data), &event, &[], &Steps::for_one_event()).expect("it is broken");
    assert_eq!(broken.code, "rule_not_judged");
    assert_eq!(broken.message, "the rule r cannot be judged: 'missing' is missing");
}

/// What grows faster than the data, however it goes about it.
const ATTACKS: &[&str] = &[
    "data.a.all(x, data.a.all(y, x == y))",
    "data.a.all(x, data.a == data.a)",
    "data.a.all(x, !data.text.contains('z'))",
    "data.a.all(x, data.text == data.text2)",
    "data.a.all(x, data.text <= data.text2)",
    "data.a.all(x, !data.text.matches('(z|y)+z'))",
    "data.a.all(x, size(data.text + data.text) > 0)",
    "data.a.all(x, size(data.text.replace('y', data.text)) > 0)",
    "data.a.all(x, size(data.a + data.a) > 0)",
    "data.a.all(x, size(data.text.split('')) > 0)",
    "data.a.all(x, data.text.split(',').size() > 0)",
    "data.a.map(x, data.a).all(l, l.all(y, y == 0))",
    "data.a.all(x, x in data.a && !(1 in data.a))",
    "data.a.all(x, sum(data.a) == 0)",
    "data.a.all(x, min(data.a) == 0)",
    "data.a.all(x, !(data.text in sets.currencies))",
    "data.a.all(x, !data.text.matches('a[ab]{300}c'))",
    "data.a.all(x, x.y || x.y || x.y || x.y || true)",
    "data.a.map(x, data.text).all(t, t == data.text2)",
    "max(data.a.map(x, data.text)) == data.text2",
    "[data.text + data.text].map(t, data.a.map(x, t.lowerAscii()))",
    "data.a.map(x, data.a)",
    "data.a.map(x, data.text)",
    "data.a.map(x, data.texts).map(l, l)",
    "data.a.all(x, data[data.text] == 0 || true)",
    "data.a.all(x, has(data.many.m59999) || true) && data.a.all(x, data.many == data.many)",
    "data.a.all(x, data.a.map(y, y).join('') == '' || true)",
    "data.texts.all(t, data.texts.all(u, data.texts.all(v, t == u && u == v)))",
];

fn large() -> Json {
    let many: serde_json::Map<_, _> = (0..5_000).map(|i| (format!("m{i}"), json!(i))).collect();
    json!({
        "a": vec![0; 30_000], "texts": vec!["x".repeat(100); 500], "text": "y".repeat(100_000),
        "text2": "y".repeat(100_000), "many": many,
    })
}

#[test]
fn no_expression_takes_more_than_its_steps_whatever_the_data() {
    let data = large();
    for text in ATTACKS {
        let (outcome, steps) = eval_counted(text, &data);
        assert_eq!(outcome, Err("it takes too long on this data".to_owned()), "{text}");
        assert_eq!(steps, STEPS_MAX, "{text}");
    }
}

#[test]
fn what_decides_early_costs_little() {
    let mut data = large();
    data["b"] = json!([1]).as_array().into_iter().flatten().cloned().chain(vec![json!(0); 29_999]).collect();
    data["t"] = "x".repeat(100_001).into();
    for (text, steps_max) in [
        ("data.a != data.b", 20),
        ("0 in data.a && 1 in data.b", 30),
        ("data.b.exists(y, y == 1)", 30),
        ("data.text != data.t", 20),
        ("data.text.startsWith('yy') && data.text.endsWith('yy')", 30),
        ("data.a[29999] == data.a[data.a.size() - 1]", 40),
        ("size(data.a.filter(x, x == 0)) > 0 || true", 200_000),
        ("[data.text + data.t].all(s, s != data.text && s != data.t && !(s in [s + 'x']))", 40_000),
        ("data.a.all(x, x == 0) && sum(data.a) == 0", 250_000),
        ("!data.text.matches('^[a-z0-9._%+-]+@[a-z0-9.-]+$')", 51_000),
    ] {
        let (outcome, steps) = eval_counted(text, &data);
        assert_eq!(outcome, Ok(json!(true)), "{text}");
        assert!(steps <= steps_max, "{text}: {steps}");
    }
}

#[test]
fn common_rules_take_few_steps() {
    let data = json!({"amount": 5, "currency": "EUR", "email": "ada@example.com", "lines": [{"price": 2, "count": 2}]});
    for (text, steps_max) in [
        ("data.amount > 0", 4),
        ("data.currency in sets.currencies", 6),
        ("!has(data.discount) || data.discount < data.amount", 4),
        ("data.lines.all(line, line.price * line.count > 0)", 16),
        ("data.email.matches('^[^@ ]+@[^@ ]+$')", 12),
    ] {
        let (outcome, steps) = eval_counted(text, &data);
        assert_eq!(outcome, Ok(json!(true)), "{text}");
        let to_json = 8;
        assert!(steps <= steps_max + to_json, "{text}: {steps}");
    }
}

#[test]
fn an_expression_says_what_it_uses_and_what_it_asks_for() {
    let mentions = |text: &str| {
        let (used, tested) = Expression::compile(text, Sees::Everything).expect("an expression").mentions();
        let texts = |pointers: Vec<Pointer>| pointers.iter().map(Pointer::to_string).collect::<Vec<_>>().join(" ");
        (texts(used), texts(tested))
    };
    let rows = [
        ("data.a.b > data.c", "/a/b /c", ""),
        ("has(data.a) && data.a.b == 1", "/a/b", "/a"),
        ("data.items.all(i, i.count > 0)", "/items /items/*/count", ""),
        ("data.items.filter(i, has(i.x)).all(j, j.y in data.z)", "/items /items/*/y /z", "/items/*/x"),
        ("data.items[data.n].x", "/items/*/x /n", ""),
        ("event.id in sets.s", "", ""),
        ("data == {}", "", ""),
    ];
    for (text, used, tested) in rows {
        let found = mentions(text);
        let used = if text == "data == {}" { "" } else { used };
        assert_eq!(found, (used.to_owned(), tested.to_owned()), "{text}");
    }
}

/// Texts that look like expressions, most of them wrong somewhere.
fn any_expression() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "data",
            "data.a",
            "data.b[0]",
            "event.id",
            "sets.s",
            "1",
            "2.5",
            "'x'",
            "null",
            "true",
            "-",
            "!",
            "&&",
            "||",
            "==",
            "<",
            "+",
            "*",
            "/",
            "%",
            "in",
            "?",
            ":",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            ",",
            ".",
            ".all(x, x > 0)",
            ".map(x, x)",
            ".filter(x, has(x.y))",
            "has(data.a)",
            "size(",
            "timestamp(",
            "round(",
            ".split('')",
            ".matches('a+')",
            "x",
            "min(data.b)",
            "sum(data.b)",
            "string(",
        ])
        .prop_map(str::to_owned),
        "[ -~]{1,3}",
    ];
    prop::collection::vec(piece, 1..12).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_compiling_or_evaluating_panic(text in any_expression(), data in any_json()) {
        if let Ok(expression) = Expression::compile(&text, Sees::Everything) {
            let _ = expression.mentions();
            let _ = eval(&text, &data);
        }
    }

    #[test]
    fn what_is_taken_from_data_is_the_same_as_there(data in any_json()) {
        let twice = json!({"v": data, "w": data});
        prop_assert_eq!(eval("data.v", &twice), Ok(data));
        prop_assert_eq!(eval("data.v == data.w", &twice), Ok(json!(true)));
    }
}

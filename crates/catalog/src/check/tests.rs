use jiff::civil::date;

use super::*;

const BASE: &str = "name: sales.lead.created
owner: sales
description: A lead came in.
entity: { type: lead }
examples: [{ name: one, data: { id: a } }]
";

const SCHEMA: &str = "schema: { type: object, required: [id], properties: { id: { type: string } } }";

/// A definition of `sales.lead.created` with these lines, which take the place of what `BASE` and the schema say.
fn definition(version: u32, more: &str) -> Entry {
    let lines = format!("version: {version}\n{more}");
    let overridden = |line: &&str| !more.lines().any(|other| other.split(':').next() == line.split(':').next());
    let base: Vec<&str> = BASE.lines().chain([SCHEMA]).filter(overridden).collect();
    let source = format!("{}\n{lines}\n", base.join("\n"));
    Entry { key: source::key_of(Kind::Definition, &source).expect("a key"), source: Some(source) }
}

fn set(name: &str, values: &str) -> Entry {
    Entry { key: Key::set(name), source: Some(format!("name: {name}\nvalues: [{values}]\n")) }
}

fn policy(name: &str, more: &str) -> Entry {
    Entry { key: Key::policy(name), source: Some(format!("name: {name}\n{more}\n")) }
}

fn removed(entry: &Entry) -> Entry {
    Entry { key: entry.key.clone(), source: None }
}

fn run(history: &[Entry], proposed: &[Entry]) -> Report {
    check(&Known::new(history.to_vec()), proposed, date(2026, 6, 1))
}

/// Codes of errors and warnings, errors marked by `!`, those that can be allowed by `?`.
fn codes(report: &Report) -> Vec<String> {
    let findings = report.entries.iter().flat_map(|entry| &entry.findings);
    let serious = findings.filter(|finding| finding.severity != Severity::Info);
    let mark = |finding: &Finding| match (finding.severity, finding.overridable) {
        (Severity::Error, true) => "?",
        (Severity::Error, false) => "!",
        _ => "",
    };
    serious.map(|finding| format!("{}{}", mark(finding), finding.code)).collect()
}

#[test]
fn a_right_definition_passes_without_a_word() {
    assert_eq!(codes(&run(&[], &[definition(1, "")])), Vec::<String>::new());
}

/// Every row: what is there, what comes, and what is said of it.
#[test]
#[expect(clippy::type_complexity, reason = "a table")]
fn everything_that_is_wrong_with_a_change_is_said() {
    let v1 = definition(1, "");
    let optional =
        "schema: { type: object, required: [id], properties: { id: { type: string }, x: { type: string } } }";
    let narrowed = "schema: { type: object, required: [id], properties: { id: { type: string, maxLength: 3 } } }";
    let rows: Vec<(&str, Vec<Entry>, Vec<Entry>, Vec<&str>)> = vec![
        ("an optional member comes", vec![v1.clone()], vec![definition(1, optional)], vec![]),
        ("a member is narrowed", vec![v1.clone()], vec![definition(1, narrowed)], vec!["?schema_breaking"]),
        ("of a draft", vec![definition(1, "lifecycle: draft")], vec![definition(1, narrowed)], vec![]),
        (
            "back to a draft with another break",
            vec![v1.clone()],
            vec![definition(1, &format!("lifecycle: draft\n{narrowed}"))],
            vec!["?lifecycle_back", "?schema_breaking"],
        ),
        (
            "in a new version",
            vec![v1.clone()],
            vec![definition(
                2,
                &format!(
                    "{narrowed}\nupcast: {{ from: 1, steps: [], tests: [{{ from: {{ id: a }}, to: {{ id: a }} }}] }}\nexamples: []"
                ),
            )],
            vec![],
        ),
        ("without an upcast", vec![v1.clone()], vec![definition(2, narrowed)], vec!["upcast_missing"]),
        ("unchanged", vec![v1.clone(), definition(1, narrowed)], vec![definition(1, narrowed)], vec![]),
        // That the second revision broke the first was allowed then.
        (
            "after a break that was allowed",
            vec![v1.clone(), definition(1, narrowed)],
            vec![definition(1, &format!("{narrowed}\ndescription: Another one."))],
            vec![],
        ),
        ("another owner", vec![v1.clone()], vec![definition(1, "owner: crm")], vec!["?owner_changed"]),
        (
            "an earlier revision that cannot be read any more",
            vec![Entry { key: v1.key.clone(), source: Some("name: [".to_owned()) }, v1.clone()],
            vec![definition(1, optional)],
            vec!["revision_unreadable"],
        ),
        (
            "another owner of one version",
            vec![v1.clone()],
            vec![definition(
                2,
                "owner: crm\nupcast: { from: 1, steps: [], tests: [{ from: { id: a }, to: { id: a } }] }",
            )],
            vec!["!owner_differs"],
        ),
        (
            "a hole",
            vec![v1.clone()],
            vec![definition(3, "upcast: { from: 1, steps: [], tests: [{ from: { id: a }, to: { id: a } }] }")],
            vec!["?version_hole"],
        ),
        (
            "an upcast from nowhere",
            vec![],
            vec![
                definition(1, ""),
                definition(2, ""),
                definition(3, "upcast: { from: 1, steps: [], tests: [{ from: { id: a }, to: { id: a } }] }"),
            ],
            vec!["upcast_missing", "!conversion_not_next"],
        ),
        ("no successor", vec![], vec![definition(1, "lifecycle: { stage: deprecated, sunset: 2027-01-01 }")], vec![]),
        (
            "an unknown successor and a past sunset",
            vec![],
            vec![definition(1, "lifecycle: { stage: deprecated, sunset: 2026-01-01, successor: a.b.moved@1 }")],
            vec!["!successor_unknown", "sunset_passed"],
        ),
        ("no sunset", vec![], vec![definition(1, "lifecycle: deprecated")], vec!["sunset_missing"]),
        ("no description", vec![], vec![definition(1, "description: x\nexamples: []")], vec![]),
        (
            "two machines",
            vec![],
            vec![definition(1, "transitions: [{ field: /id, moves: {} }, { field: /id, of: [a.b.moved], moves: {} }]")],
            vec!["!machine_twice", "machines_differ", "machine_type_unknown"],
        ),
        ("a removed stable one", vec![v1.clone()], vec![removed(&v1)], vec!["!removed_in_use"]),
        ("a removed draft", vec![definition(1, "lifecycle: draft")], vec![removed(&v1)], vec![]),
        (
            "removed after its sunset",
            vec![definition(1, "lifecycle: { stage: deprecated, sunset: 2026-05-31 }")],
            vec![removed(&v1)],
            vec!["?removed_in_use"],
        ),
        ("removed and unknown", vec![], vec![removed(&v1)], vec!["!entry_unknown"]),
        ("twice", vec![], vec![v1.clone(), v1.clone()], vec!["!entry_twice"]),
        (
            "under another name",
            vec![],
            vec![Entry { key: Key::set("a"), source: set("b", "1").source }],
            vec!["!entry_misnamed"],
        ),
        (
            "a wrong source",
            vec![],
            vec![Entry { key: v1.key.clone(), source: Some("a: [".to_owned()) }],
            vec!["!yaml_syntax"],
        ),
        (
            "an example that is not valid",
            vec![],
            vec![definition(1, "examples: [{ name: one, data: { id: 1 } }]")],
            vec!["!example_invalid"],
        ),
        (
            "values gone from a set that is used",
            vec![
                definition(1, "rules: [{ name: a, check: data.id in sets.ids, message: m }]\nexamples: []"),
                set("ids", "a, b"),
            ],
            vec![set("ids", "a")],
            vec!["?set_values_removed"],
        ),
        ("values gone from one that is not", vec![v1.clone(), set("ids", "a, b")], vec![set("ids", "a")], vec![]),
        (
            "a set that is used goes",
            vec![definition(1, "rules: [{ name: a, check: data.id in sets.ids, message: m }]"), set("ids", "a")],
            vec![removed(&set("ids", ""))],
            vec!["!set_in_use"],
        ),
        (
            "policies that speak of the same",
            vec![policy("a", "known: off")],
            vec![policy("b", "known: strict")],
            vec!["!policy_twice"],
        ),
        ("policies that do not", vec![policy("a", "known: off")], vec![policy("b", "unknown: strict")], vec![]),
    ];
    for (what, history, proposed, expected) in rows {
        let report = run(&history, &proposed);
        assert_eq!(codes(&report), expected, "{what}: {report:#?}");
    }
}

#[test]
fn a_break_names_its_line_and_shows_a_document() {
    let before = definition(1, "");
    let after = definition(1, "schema:\n  type: object\n  properties:\n    id: { type: integer }\nexamples: []");
    let report = run(&[before], &[after]);
    let found = &report.entries[0].findings[0];
    assert_eq!((found.code, found.path.as_str()), ("schema_breaking", "/schema/properties/id"));
    assert_eq!(found.line, Some(9));
    assert!(found.witness.is_some());
}

#[test]
fn a_reason_turns_what_can_be_allowed_into_a_warning() {
    let mut report = run(&[definition(1, "")], &[definition(1, "owner: crm\nlifecycle: draft")]);
    let key = report.entries[0].key.clone();
    assert!(report.has_errors());
    apply_overrides(&mut report, &BTreeMap::from([(key, "the team was renamed".to_owned())]));
    assert!(!report.has_errors());
    assert!(report.entries[0].findings[0].message.ends_with("(allowed: the team was renamed)"));
}

#[test]
fn bounds_of_a_change_are_kept() {
    let many: Vec<Entry> = (0..=CHANGES_MAX).map(|n| set(&format!("s{n}"), "1")).collect();
    let report = run(&[], &many);
    assert!(
        report.entries.iter().flat_map(|entry| &entry.findings).filter(|found| found.code == "too_many").count() >= 2
    );
    let history: Vec<Entry> = (0..REVISIONS_MAX).map(|n| set("a", &n.to_string())).collect();
    assert_eq!(codes(&run(&history, &[set("a", "x")])), ["!too_many"]);
}

/// What the guide says of the default mode: the schema of `id` and `x` before and after, and whether it breaks.
#[test]
fn the_default_mode_keeps_what_the_guide_says_of_it() {
    let schema = |required: &str, x: &str| {
        format!("schema: {{ type: object, required: [{required}], properties: {{ id: {{ type: string }}{x} }} }}")
    };
    let x = ", x: { type: string, maxLength: 5 }";
    let rows = [
        ("an optional member comes", schema("id", ""), schema("id", x), false),
        ("an optional member goes", schema("id", x), schema("id", ""), false),
        ("a required member comes", schema("id", ""), schema("id, x", x), true),
        ("an optional member becomes required", schema("id", x), schema("id, x", x), true),
        ("a required member becomes optional", schema("id, x", x), schema("id", x), true),
        ("a required member goes", schema("id, x", x), schema("id", ""), true),
        ("a bound rises", schema("id", x), schema("id", ", x: { type: string, maxLength: 6 }"), true),
        ("a bound falls", schema("id", x), schema("id", ", x: { type: string, maxLength: 4 }"), true),
        ("a value comes", schema("id", ", x: { enum: [a] }"), schema("id", ", x: { enum: [a, b] }"), true),
        ("words change", schema("id", x), schema("id", ", x: { maxLength: 5, type: [string], title: X }"), false),
    ];
    for (what, before, after, breaks) in rows {
        let report = run(
            &[definition(1, &format!("{before}\nexamples: []"))],
            &[definition(1, &format!("{after}\nexamples: []"))],
        );
        assert_eq!(codes(&report).contains(&"?schema_breaking".to_owned()), breaks, "{what}: {report:#?}");
    }
}

/// Every row: the schemas of the revisions, the last one proposed, and what is said of it. Of those before, each was
/// allowed for a reason.
#[test]
fn a_break_that_was_allowed_excuses_that_break_alone() {
    let schema = |members: &str| {
        let schema = format!("schema: {{ type: object, properties: {{ id: {{ type: string }}, {members} }} }}");
        definition(1, &format!("{schema}\nexamples: []"))
    };
    let rows: [(&str, &[&str], usize); 10] = [
        (
            "the same values",
            &["x: { enum: [a, b] }, y: { type: integer }", "x: { enum: [b, c] }", "x: { enum: [b, c] }, z: {}"],
            0,
        ),
        (
            "what was left out comes back as it was",
            &[
                "x: { enum: [a, b] }, y: { type: integer }",
                "x: { enum: [b, c] }",
                "x: { enum: [b, c] }, y: { type: integer }",
            ],
            0,
        ),
        (
            "what was left out comes back as something else",
            &[
                "x: { enum: [a, b] }, y: { type: integer }",
                "x: { enum: [b, c] }",
                "x: { enum: [b, c] }, y: { type: string }",
            ],
            2,
        ),
        ("a value more than was given up", &["x: { enum: [a, b] }", "x: { enum: [b, c] }", "x: { enum: [c] }"], 1),
        ("a value more than was taken in", &["x: { enum: [a] }", "x: { enum: [a, b] }", "x: { enum: [a, b, c] }"], 2),
        ("back to what was", &["x: { enum: [a, b] }", "x: { enum: [b, c] }", "x: { enum: [a, b] }"], 2),
        ("a type that changed", &["x: { type: string }", "x: { type: integer }", "x: { type: integer }, y: {}"], 0),
        (
            "a break within, beside an allowed one",
            &[
                "e: { type: string }, o: { type: object, properties: { p: { type: string }, q: { type: string } } }",
                "e: { type: integer }, o: { type: object, properties: { p: { type: string } } }",
                "e: { type: integer }, o: { type: object, properties: { p: { type: string }, q: { type: integer } } }",
            ],
            2,
        ),
        (
            "what could not be told, with the same reason",
            &[
                "x: { not: { multipleOf: 0.0000001 } }",
                "x: { not: { multipleOf: 0.0000002 } }",
                "x: { not: { multipleOf: 0.0000002 } }, y: {}",
            ],
            0,
        ),
        (
            "a proven break after what could not be told",
            &[
                "x: { type: number, multipleOf: 0.0000001 }",
                "x: { type: number, multipleOf: 0.0000002 }",
                "x: { type: string }",
            ],
            2,
        ),
    ];
    for (what, revisions, expected) in rows {
        let mut all: Vec<Entry> = revisions.iter().map(|members| schema(members)).collect();
        let last = all.pop().expect("a row has revisions");
        let report = run(&all, &[last]);
        let told: Vec<String> = codes(&report);
        assert_eq!(told.iter().filter(|code| code.starts_with('?')).count(), expected, "{what}: {report:#?}");
    }
}

#[test]
fn producers_whom_the_door_refuses_are_named() {
    let schema = |members: &str, more: &str| {
        let schema = format!("schema: {{ type: object, properties: {{ id: {{ type: string }}, {members} }}{more} }}");
        definition(1, &format!("{schema}\nexamples: []"))
    };
    let closed = ", additionalProperties: false";
    let (both, one) = ("a: { type: string }, b: { type: string }", "a: { type: string }");
    for (what, before, after, expected) in [
        ("a member of a closed schema goes", schema(both, closed), schema(one, closed), vec!["producers_refused"]),
        ("a schema is closed without a member", schema(both, ""), schema(one, closed), vec!["producers_refused"]),
        ("a schema is closed as it is", schema(both, ""), schema(both, closed), vec![]),
        ("a member goes, and may be sent", schema(both, ""), schema(one, ""), vec![]),
    ] {
        let report = run(&[before], &[after]);
        assert_eq!(codes(&report), expected, "{what}: {report:#?}");
        let refused = report.entries[0].findings.iter().filter(|found| found.code == "producers_refused");
        assert!(refused.into_iter().all(|found| found.witness.is_some()));
    }
}

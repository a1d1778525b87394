//! The documentation site: hostile text stays text, links lead somewhere, nothing is loaded from outside.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regex::Regex;
use serde_json::json;
use tidings_catalog::definition::{
    Action, Class, Classification, Compatibility, Conversion, ConversionTest, Definition, EntityRule, Example,
    Lifecycle, Ordering, Pointer, Retention, Rule, Stage, Step, Transitions,
};
use tidings_catalog::entry::{Key, Kind, Mode, Policy, Set};
use tidings_catalog::generate::File;
use tidings_catalog::lineage::{Lineage, Publisher, Subscriber};
use tidings_catalog::report::Change;
use tidings_catalog::site::{Revised, SiteInput, site};
use tidings_event::{EventType, Timestamp, Version};

/// Ends attributes, tags, comments, scripts and templates, and begins a tag that no page has.
const HOSTILE: &str =
    "\"'`--></script></style><zq onload=alert(1) x=\"{{ 7 * 7 }}{% raw %}&lt;\u{2028}\u{202e}javascript:";

fn hostile() -> String {
    HOSTILE.to_owned()
}

fn name(text: &str) -> EventType {
    EventType::parse(text).unwrap()
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn conversion(other: &str) -> Conversion {
    let at = || Pointer::of([HOSTILE, "b"]);
    let value = || json!({HOSTILE: HOSTILE});
    Conversion {
        other: version(other),
        steps: vec![
            Step::Move { from: at(), to: at() },
            Step::Copy { from: at(), to: at() },
            Step::Set { at: at(), value: value() },
            Step::Default { at: at(), value: value() },
            Step::Remove { at: at() },
            Step::Map { at: at(), values: BTreeMap::from([(hostile(), value())]), otherwise: Some(value()) },
            Step::Compute { at: at(), expression: hostile() },
        ],
        tests: vec![ConversionTest { from: value(), to: value() }],
    }
}

/// A definition that says something hostile wherever it can say anything.
fn definition(event_type: &str, number: &str, stage: Stage) -> Definition {
    let text = |keywords: serde_json::Value| {
        let mut schema = json!({"type": "string", "description": HOSTILE, "title": HOSTILE});
        schema.as_object_mut().unwrap().extend(keywords.as_object().unwrap().clone());
        schema
    };
    let pii = Classification { class: Class::Pii, action: Action::Redact };
    Definition {
        name: name(event_type),
        version: version(number),
        owner: hostile(),
        description: hostile(),
        lifecycle: Lifecycle {
            stage,
            sunset: (stage == Stage::Deprecated).then(|| jiff::civil::date(2027, 1, 1)),
            successor: (stage == Stage::Deprecated).then(|| (name(event_type), version("2"))),
        },
        ordering: Ordering::Entity,
        retention: Some(Retention::Days(400)),
        entity: Some(EntityRule { kind: hostile(), id: Some(Pointer::of([HOSTILE])) }),
        subject: Some(Pointer::of([HOSTILE])),
        classification: BTreeMap::from([(Pointer::of([HOSTILE]), pii)]),
        compatibility: Compatibility::Published,
        schema: json!({"type": "object", "required": [HOSTILE], "properties": {
            HOSTILE: text(json!({"pattern": HOSTILE, "default": HOSTILE, "format": HOSTILE, "deprecated": true})),
            "words": text(json!({"enum": [HOSTILE, 1]})),
            "either": {"oneOf": [{"title": HOSTILE, "properties": {"a": {"const": HOSTILE}}}, {"type": HOSTILE}]},
            "list": {"type": "array", "items": {"type": "object", "properties": {"deep": text(json!({}))}}},
            "map": {"patternProperties": {HOSTILE: text(json!({}))}, "additionalProperties": text(json!({}))},
            "again": {"$ref": "#"}, "nowhere": {"$ref": HOSTILE}}}),
        examples: vec![Example { name: hostile(), data: json!({HOSTILE: [HOSTILE]}) }],
        rules: vec![Rule { name: hostile(), check: format!("data.x in sets.words {HOSTILE}"), message: hostile() }],
        transitions: vec![Transitions {
            field: Pointer::of([HOSTILE]),
            of: vec![name(event_type), name("sales.lead.unheard")],
            initial: vec![hostile()],
            moves: BTreeMap::from([(hostile(), vec![hostile(), "won".to_owned()])]),
        }],
        upcast: (number == "2").then(|| conversion("1")),
        downcast: (number == "2").then(|| conversion("1")),
        name_exception: Some(hostile()),
    }
}

fn lineage(event_type: &str) -> Lineage {
    let at = Timestamp::from_micros(0);
    let publisher = |source: &str, number: &str| Publisher {
        version: version(number),
        source: source.to_owned(),
        events: 12_345,
        first_at: at,
        last_at: at,
    };
    let subscriber = Subscriber {
        tenant: hostile(),
        endpoint: hostile(),
        url_host: hostile(),
        description: hostile(),
        types: vec![hostile()],
    };
    Lineage {
        event_type: name(event_type),
        observed: vec![publisher(HOSTILE, "1"), publisher("stranger", "9")],
        subscribers: vec![subscriber],
    }
}

fn input() -> SiteInput {
    let revised = |change| Revised {
        key: Key { kind: Kind::Definition, name: "sales.lead.created".to_owned(), version: hostile() },
        revision: 7,
        change,
        by: hostile(),
        reason: Some(hostile()),
        at: Timestamp::from_micros(0),
    };
    SiteInput {
        title: hostile(),
        definitions: vec![
            Arc::new(definition("sales.lead.created", "1", Stage::Deprecated)),
            Arc::new(definition("sales.lead.created", "2", Stage::Stable)),
            Arc::new(definition("sales.lead.moved", "1", Stage::Draft)),
            Arc::new(definition("billing.paid", "1", Stage::Stable)),
        ],
        sets: vec![
            Set { name: "words".to_owned(), description: hostile(), values: vec![json!(HOSTILE), json!(1)] },
            Set { name: hostile(), description: String::new(), values: (0..600).map(|i| json!(i)).collect() },
        ],
        policies: vec![
            Policy {
                name: hostile(),
                tenant: Some(hostile()),
                types: Some(hostile()),
                known: Some(Mode::Observe),
                unknown: None,
            },
            Policy { name: "all".to_owned(), tenant: None, types: None, known: None, unknown: Some(Mode::Strict) },
        ],
        history: vec![revised(Change::Added), revised(Change::Changed)],
        lineage: Some(vec![lineage("sales.lead.created")]),
        generated_at: hostile(),
    }
}

fn pages(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.path.ends_with(".html"))
}

#[test]
fn hostile_text_stays_text() {
    let files = site(&input());
    let tags = Regex::new(r"<([a-zA-Z][a-zA-Z0-9]*)((?:[^<>\x22]|\x22[^\x22]*\x22)*)>").unwrap();
    let known: BTreeSet<&str> = "a article aside body button circle code dd defs details div dl dt fieldset figcaption figure \
        footer g h1 h2 h3 h4 head header html input kbd label li link main marker meta nav ol option p path pre rect script \
        section select span strong summary svg table tbody td text th thead time title tr ul wbr em"
        .split_whitespace()
        .collect();
    let beginning = Regex::new("<[a-zA-Z]").unwrap();
    let quoted = Regex::new("\"[^\"]*\"").unwrap();
    let handlers = Regex::new(r"\s(on[a-z]+|style|srcdoc)\s*=").unwrap();
    for page in pages(&files) {
        assert!(!page.text.contains("<zq"), "{}", page.path);
        let beginnings = beginning.find_iter(&page.text).count();
        assert_eq!(beginnings, tags.find_iter(&page.text).count(), "{}: a tag that is none", page.path);
        for tag in tags.captures_iter(&page.text) {
            assert!(known.contains(&tag[1]), "{}: <{}>", page.path, &tag[1]);
            let attributes = quoted.replace_all(&tag[2], "\"\"");
            assert!(!handlers.is_match(&attributes), "{}: {}", page.path, &tag[0]);
        }
        assert_eq!(page.text.matches("<script").count(), 3, "{}", page.path);
    }
    let index = files.iter().find(|file| file.path == "assets/search-index.js").unwrap();
    assert!(!index.text.contains(['<', '>', '&', '\u{2028}']), "{}", index.text);
}

#[test]
fn every_internal_link_resolves() {
    let files = site(&input());
    let paths: BTreeMap<&str, &str> = files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    let links = Regex::new("(?:href|src)=\"([^\"]*)\"").unwrap();
    let named = Regex::new(" id=\"([^\"]*)\"").unwrap();
    let mut seen = 0;
    for page in pages(&files) {
        let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in links.captures_iter(&page.text) {
            let (path, fragment) = link[1].split_once('#').unwrap_or((&link[1], ""));
            let target = match path.strip_prefix("../") {
                _ if path.is_empty() => page.path.clone(),
                Some(rest) => rest.to_owned(),
                None if folder.is_empty() => path.to_owned(),
                None => format!("{folder}/{path}"),
            };
            let text = paths.get(target.as_str()).unwrap_or_else(|| panic!("{} links to {}", page.path, &link[1]));
            let there = fragment.is_empty() || text.contains(&format!("id=\"{fragment}\""));
            assert!(there, "{} links to {}", page.path, &link[1]);
            seen += 1;
        }
        let ids: Vec<&str> = named.captures_iter(&page.text).map(|c| c.extract::<1>().1[0]).collect();
        assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{}: an id twice", page.path);
    }
    assert!(seen > 100);
}

#[test]
fn nothing_is_loaded_from_outside() {
    let outside = Regex::new(r#"(?i)(href|src|action|srcset|data)\s*=\s*["']?\s*([a-z][a-z0-9+.-]*:|//)"#).unwrap();
    for file in site(&input()) {
        assert!(!outside.is_match(&file.text), "{}: {:?}", file.path, outside.find(&file.text));
        if file.path.ends_with(".css") {
            assert!(!file.text.contains("url(") && !file.text.contains("@import"), "{}", file.path);
        }
        if file.path.ends_with(".html") {
            assert!(file.text.contains("default-src 'none'"), "{}", file.path);
        }
        if file.path == "assets/site.js" || file.path == "assets/theme.js" {
            for call in ["fetch(", "XMLHttpRequest", "innerHTML", "eval(", "import(", "document.write"] {
                assert!(!file.text.contains(call), "{}: {call}", file.path);
            }
        }
    }
}

#[test]
fn the_same_input_gives_the_same_site_in_whatever_order_it_comes() {
    let mut turned = input();
    turned.definitions.reverse();
    turned.sets.reverse();
    turned.policies.reverse();
    assert_eq!(site(&input()), site(&turned));
}

#[test]
fn paths_are_plain_and_none_is_written_twice() {
    let files = site(&input());
    let plain =
        |path: &str| path.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b)) && !path.contains("..");
    assert!(files.iter().all(|file| plain(&file.path)));
    assert_eq!(files.iter().map(|file| &file.path).collect::<BTreeSet<_>>().len(), files.len());
}

#[test]
fn a_publisher_that_is_not_the_owner_is_marked() {
    let files = site(&input());
    let page = files.iter().find(|file| file.path == "types/sales.lead.created.html").unwrap();
    assert!(page.text.contains("not the owner") && page.text.contains("not declared"));
    let unseen = files.iter().find(|file| file.path == "types/sales.lead.moved.html").unwrap();
    assert!(unseen.text.contains("not seen yet") && !unseen.text.contains("not the owner"));
    let unknown = site(&SiteInput { lineage: None, ..input() });
    let page = unknown.iter().find(|file| file.path == "types/sales.lead.moved.html").unwrap();
    assert!(page.text.contains("was not known when this page was written"));
}

#[test]
fn an_empty_catalog_has_a_site_too() {
    let files = site(&SiteInput::default());
    assert!(files.iter().any(|file| file.path == "index.html" && file.text.contains("No type is declared yet")));
}

#[test]
fn what_is_personal_is_listed_with_what_becomes_of_it() {
    let files = site(&input());
    let page = files.iter().find(|file| file.path == "personal-data.html").unwrap();
    assert_eq!(page.text.matches("<tbody>").count(), 4);
    assert!(page.text.contains("redact") && page.text.contains("400 days"));
}

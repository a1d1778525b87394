//! The catalogs that people start from are sound, whole and say what they promise.
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidings_catalog::check::{Known, check};
use tidings_catalog::definition::{Definition, Stage};
use tidings_catalog::entry::Kind;
use tidings_catalog::folder::Folder;
use tidings_catalog::judge::examine;
use tidings_catalog::report::{Finding, Severity};
use tidings_catalog::schema::Schema;
use tidings_catalog::source;

const CATALOGS: [&str; 5] = ["ai", "chat", "property-management", "sales", "workflow"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/catalogs")
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{path}/"), files);
        } else if !path.ends_with(".md") {
            files.push((path, fs::read_to_string(entry.path()).unwrap()));
        }
    }
    files.sort();
}

fn folder(catalog: &str) -> Folder {
    let mut files = Vec::new();
    collect(&root().join(catalog), "", &mut files);
    let (folder, found) = Folder::read(files);
    assert!(found.is_empty(), "{catalog}: {found:#?}");
    folder
}

fn definitions(catalog: &str) -> Vec<Definition> {
    let entries = folder(catalog).entries().into_iter().filter(|entry| entry.key.kind == Kind::Definition);
    entries.map(|entry| source::read(&entry.source.unwrap()).unwrap_or_else(|found| panic!("{found:#?}"))).collect()
}

#[test]
fn every_folder_is_one_of_the_catalogs() {
    let folders = fs::read_dir(root()).unwrap().map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_dir());
    let names: BTreeSet<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(CATALOGS.map(str::to_owned)));
}

/// What stops or should be looked at, a line each.
fn told(at: &str, findings: &[Finding]) -> Vec<String> {
    let bad = findings.iter().filter(|finding| finding.severity > Severity::Info);
    bad.map(|finding| format!("{at} {} {}: {}", finding.path, finding.code, finding.message)).collect()
}

#[test]
fn checking_finds_neither_errors_nor_warnings() {
    let mut bad = Vec::new();
    for catalog in CATALOGS {
        let proposed = folder(catalog).entries();
        let report = check(&Known::new([]), &proposed, jiff::civil::date(2026, 3, 15));
        assert_eq!(report.entries.len(), proposed.len());
        for entry in &report.entries {
            bad.extend(told(&format!("{} {}", entry.key.name, entry.key.version), &entry.findings));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn examining_finds_neither_errors_nor_warnings() {
    let mut bad = Vec::new();
    for catalog in CATALOGS {
        let all: Vec<Arc<Definition>> = definitions(catalog).into_iter().map(Arc::new).collect();
        let sets = folder(catalog).entries().into_iter().filter(|entry| entry.key.kind == Kind::Set);
        let sets = sets.map(|entry| source::read_set(&entry.source.unwrap()).unwrap());
        let sets = sets.map(|set| (set.name.clone(), set)).collect();
        for definition in &all {
            let others = |name: &_, version: &_| all.iter().find(|d| d.name == *name && d.version == *version).cloned();
            let found = examine(definition, &sets, &others);
            bad.extend(told(&format!("{} {}", definition.name, definition.version), &found));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn every_example_is_valid_and_every_member_is_described() {
    for definition in CATALOGS.iter().flat_map(|catalog| definitions(catalog)) {
        let schema = Schema::compile(&definition.schema).unwrap();
        assert!(!definition.examples.is_empty(), "{}", definition.name);
        for example in &definition.examples {
            let broken = schema.violations(&example.data, 5);
            assert!(broken.is_empty(), "{} {}: {broken:?}", definition.name, example.name);
        }
        undescribed(&definition.schema, &format!("{} {}", definition.name, definition.version));
    }
}

fn undescribed(schema: &serde_json::Value, at: &str) {
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        assert!(member["description"].as_str().is_some_and(|text| !text.is_empty()), "{at}");
        undescribed(member, &at);
        undescribed(&member["items"], &at);
    }
}

#[test]
fn the_catalogs_hold_the_types_that_they_promise() {
    let has = |catalog: &str, expected: &[String]| {
        let names: BTreeSet<String> =
            definitions(catalog).iter().map(|definition| definition.name.to_string()).collect();
        for name in expected {
            assert!(names.contains(name), "{catalog} has no {name}");
        }
    };
    let lives = ["created", "updated", "status_changed", "deleted"];
    let entities = ["issue", "property", "tenant", "document", "attachment", "conversation"];
    let of = |entity: &str| lives.map(|verb| format!("property.{entity}.{verb}"));
    has("property-management", &entities.iter().flat_map(|entity| of(entity)).collect::<Vec<_>>());
    let domain =
        ["issue.assigned", "issue.escalated", "property.occupied", "document.signed", "conversation.message_posted"];
    has("property-management", &domain.map(|name| format!("property.{name}")));
    let ai = ["decision.recorded", "tool.invoked", "policy.violated", "evaluation.completed", "feedback.ingested"];
    has("ai", &ai.map(|name| format!("ai.{name}")));
    let run = ["started", "paused", "resumed", "completed", "failed", "cancelled", "timed_out"];
    let lifecycle = |entity: &str| run.map(|verb| format!("workflow.{entity}.{verb}"));
    has("workflow", &["run", "task"].iter().flat_map(|entity| lifecycle(entity)).collect::<Vec<_>>());
    has("chat", &["chat.message.posted".to_owned(), "chat.channel.created".to_owned()]);
    has("sales", &["lead", "opportunity", "quote", "order"].map(|entity| format!("sales.{entity}.created")));
}

#[test]
fn they_show_conversions_deprecations_rules_and_state_machines() {
    let all: Vec<Definition> = CATALOGS.iter().flat_map(|catalog| definitions(catalog)).collect();
    let tested = |definition: &&Definition| {
        let tested = |conversion: &Option<_>| {
            conversion.as_ref().is_some_and(|c: &tidings_catalog::definition::Conversion| !c.tests.is_empty())
        };
        tested(&definition.upcast) && tested(&definition.downcast)
    };
    assert!(all.iter().filter(tested).count() >= 3);
    let ending = |definition: &&Definition| {
        definition.lifecycle.stage == Stage::Deprecated
            && definition.lifecycle.sunset.is_some()
            && definition.lifecycle.successor.is_some()
    };
    assert!(all.iter().filter(ending).count() >= 4);
    assert!(all.iter().any(|definition| definition.rules.iter().any(|rule| rule.check.contains("sets."))));
    assert!(all.iter().filter(|definition| !definition.transitions.is_empty()).count() >= 10);
    assert!(all.iter().all(|definition| definition.entity.is_some() && definition.retention.is_some()));
}

#[test]
fn every_read_me_names_every_type() {
    for catalog in CATALOGS {
        let text = fs::read_to_string(root().join(catalog).join("README.md")).unwrap();
        for definition in definitions(catalog) {
            assert!(text.contains(&format!("`{}`", definition.name)), "{catalog}: {}", definition.name);
        }
    }
}

#[test]
fn catalogs_can_be_merged() {
    let mut merged = BTreeMap::new();
    for entry in CATALOGS.iter().flat_map(|catalog| folder(catalog).entries()) {
        let before = merged.insert(entry.key.clone(), entry.source.clone());
        assert!(before.is_none_or(|before| before == entry.source), "{:?}", entry.key);
    }
}

//! The arrows between crates point downwards only.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Each crate, and what it may know.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tidings-event", &[]),
    ("tidings-core", &["tidings-event"]),
    ("tidings-catalog", &["tidings-event"]),
    ("tidings-outbox", &["tidings-event"]),
    ("tidings-store", &["tidings-outbox", "tidings-event"]),
    ("tidings-bus", &["tidings-event"]),
    (
        "tidings-engine",
        &["tidings-bus", "tidings-core", "tidings-catalog", "tidings-store", "tidings-outbox", "tidings-event"],
    ),
    ("tidings-server", &["tidings-engine", "tidings-core", "tidings-catalog", "tidings-event"]),
    (
        "tidings",
        &[
            "tidings-server",
            "tidings-engine",
            "tidings-bus",
            "tidings-core",
            "tidings-catalog",
            "tidings-store",
            "tidings-outbox",
            "tidings-event",
        ],
    ),
    ("tidings-testkit", &[]),
    // It knows the product from outside alone: nothing that decides.
    ("tidings-chaos", &["tidings-testkit", "tidings-event"]),
    ("tidings-sim", &["tidings-engine", "tidings-bus", "tidings-core", "tidings-store", "tidings-event"]),
    ("tidings-hostile", &["tidings-core", "tidings-catalog", "tidings-outbox", "tidings-event"]),
    (
        "tidings-bench",
        &[
            "tidings-engine",
            "tidings-core",
            "tidings-catalog",
            "tidings-store",
            "tidings-outbox",
            "tidings-event",
            "tidings-testkit",
        ],
    ),
];

/// Each crate of the workspace with the others that it links, of some kinds.
fn links(kinds: &[DependencyKind]) -> BTreeMap<String, BTreeSet<String>> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let mut command = MetadataCommand::new();
    let command = command.manifest_path(manifest).no_deps().other_options(["--offline".to_owned()]);
    let metadata = command.exec().expect("cargo metadata");
    let ours: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let of = |package: &cargo_metadata::Package| {
        let wanted = package.dependencies.iter().filter(|dependency| kinds.contains(&dependency.kind));
        wanted.map(|dependency| dependency.name.clone()).filter(|name| ours.contains(name)).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), of(package))).collect()
}

#[test]
fn no_crate_links_one_that_it_must_not_know() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    for (name, linked) in links(&[DependencyKind::Normal, DependencyKind::Build]) {
        let known = allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no place among the arrows"));
        for other in linked {
            assert!(known.contains(&other.as_str()), "{name} must not link {other}");
        }
    }
}

#[test]
fn what_is_linked_for_tests_makes_no_arrow_upwards_either() {
    // A crate's tests may use what helps them, but never what stands above the crate: that would be a circle.
    let above = |name: &str, other: &str| {
        ALLOWED.iter().any(|(upper, below)| *upper == other && below.contains(&name)) && other != "tidings-testkit"
    };
    for (name, linked) in links(&[DependencyKind::Development]) {
        for other in linked {
            assert!(!above(&name, &other), "{name}'s tests must not link {other}, which stands above it");
        }
    }
}

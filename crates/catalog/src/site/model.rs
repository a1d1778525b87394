//! What all pages look into: definitions grouped by type, addresses, lineage by type.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_event::{EventType, Version};

use super::SiteInput;
use super::properties::{self, Row};
use super::slug::Slugs;
use crate::definition::{Class, Definition, Stage};
use crate::lineage::Lineage;

/// The input, arranged.
pub(super) struct Model<'a> {
    pub(super) input: &'a SiteInput,
    /// By name.
    pub(super) types: Vec<Known<'a>>,
    pub(super) owners: Slugs,
    pub(super) sets: Slugs,
    lineage: BTreeMap<&'a str, &'a Lineage>,
}

/// A type with its versions.
pub(super) struct Known<'a> {
    pub(super) name: &'a EventType,
    /// The oldest first; never empty.
    pub(super) versions: Vec<VersionOf<'a>>,
    current: usize,
}

/// A version with what its schema declares.
pub(super) struct VersionOf<'a> {
    pub(super) definition: &'a Arc<Definition>,
    pub(super) rows: Vec<Row>,
    /// The fragment of its section.
    pub(super) anchor: String,
}

impl Known<'_> {
    /// The definition that events without a version follow.
    pub(super) fn current(&self) -> &Definition {
        self.versions[self.current].definition
    }

    pub(super) fn path(&self) -> String {
        path_of(self.name)
    }

    /// The most sensitive class that any of its versions declares.
    pub(super) fn class(&self) -> Option<Class> {
        let of = |version: &VersionOf<'_>| version.definition.classification.values().map(|c| c.class).max();
        self.versions.iter().filter_map(of).max()
    }
}

/// The path of a type's page.
pub(super) fn path_of(name: &EventType) -> String {
    format!("types/{name}.html")
}

impl<'a> Model<'a> {
    pub(super) fn new(input: &'a SiteInput) -> Self {
        let mut by_name: BTreeMap<&EventType, Vec<&Arc<Definition>>> = BTreeMap::new();
        for definition in &input.definitions {
            by_name.entry(&definition.name).or_default().push(definition);
        }
        let lineage = input.lineage.iter().flatten();
        let subscribed = lineage.clone().map(|lineage| (lineage.event_type.as_str(), lineage));
        let owners = input.definitions.iter().map(|definition| definition.owner.as_str());
        Self {
            input,
            types: by_name.into_iter().map(|(name, versions)| known(name, versions)).collect(),
            owners: Slugs::of("owner-", owners),
            sets: Slugs::of("set-", input.sets.iter().map(|set| set.name.as_str())),
            lineage: subscribed.collect(),
        }
    }

    /// What the site is called.
    pub(super) fn title(&self) -> &str {
        if self.input.title.is_empty() { "Events" } else { &self.input.title }
    }

    /// Who publishes and subscribes a type, where it is known.
    pub(super) fn lineage(&self, name: &EventType) -> Option<&'a Lineage> {
        self.lineage.get(name.as_str()).copied()
    }

    /// Where one version of a type is described, seen from the root; none where it is not in the catalog.
    pub(super) fn link(&self, name: &EventType, version: &Version) -> Option<String> {
        let known = self.types.binary_search_by(|known| known.name.cmp(name)).ok().map(|found| &self.types[found])?;
        let version = known.versions.iter().find(|candidate| candidate.definition.version == *version)?;
        Some(format!("{}#{}", known.path(), version.anchor))
    }
}

fn known<'a>(name: &'a EventType, mut versions: Vec<&'a Arc<Definition>>) -> Known<'a> {
    versions.sort_by_key(|definition| order(&definition.version));
    let stage = |definition: &Definition| match definition.lifecycle.stage {
        Stage::Stable => 2,
        Stage::Deprecated => 1,
        Stage::Draft => 0,
    };
    let current = (0..versions.len()).max_by_key(|at| (stage(versions[*at]), *at)).unwrap_or_default();
    let slugs = Slugs::of("v", versions.iter().map(|definition| definition.version.as_str()));
    let version_of = |definition: &'a Arc<Definition>| VersionOf {
        definition,
        rows: properties::rows(&definition.schema, &definition.classification),
        anchor: slugs.get(definition.version.as_str()).to_owned(),
    };
    Known { name, versions: versions.into_iter().map(version_of).collect(), current }
}

/// Versions are whole numbers; anything else comes after them.
fn order(version: &Version) -> (u64, String) {
    let text = version.as_str();
    (text.parse().unwrap_or(u64::MAX), text.to_owned())
}

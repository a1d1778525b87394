//! What a catalog is stored as: sources under keys, each with its revisions.

use std::fmt;

use tidings_event::{EventType, Version};

use crate::definition::words;

words!(
    /// What an entry is.
    Kind {
        /// A definition: one version of one type.
        Definition = "definition",
        /// A reference set: named values that rules look into.
        Set = "set",
        /// A policy: how strictly events of some tenants and types are judged.
        Policy = "policy",
    }
);

/// The name of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    /// A definition's type, a set's or a policy's name.
    pub name: String,
    /// A definition's version; empty for anything else.
    pub version: String,
}

/// An entry as its author wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub key: Key,
    /// Its source, YAML or JSON, byte for byte as it was given; none when it was removed.
    pub source: Option<String>,
}

words!(
    /// What becomes of events that break the catalog's rules. From the mildest to the strictest.
    Mode {
        /// They are not judged.
        Off = "off",
        /// They are taken, marked and counted.
        Observe = "observe",
        /// They are kept aside with the reasons, and can be redriven.
        Quarantine = "quarantine",
        /// They are refused.
        Strict = "strict",
    }
);

/// How strictly events of some tenants and types are judged.
///
/// Of several policies the most specific one that says something counts: one that names the tenant before one that
/// does not, then the longer pattern of types. Where none says anything, known types are `strict` and unknown ones `off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// The tenant; every one when it says nothing.
    pub tenant: Option<String>,
    /// The types: one, or a prefix like `sales.*`; all when it says nothing.
    pub types: Option<String>,
    /// For types that are in the catalog.
    pub known: Option<Mode>,
    /// For types and versions that are not.
    pub unknown: Option<Mode>,
}

/// Named values that rules look into: `data.currency in sets.currencies`.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    /// Its name, lower snake case.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The values: strings or numbers, each once.
    pub values: Vec<serde_json::Value>,
}

impl Key {
    /// The name of a definition's entry.
    #[must_use]
    pub fn definition(name: &EventType, version: &Version) -> Self {
        Self { kind: Kind::Definition, name: name.to_string(), version: version.to_string() }
    }

    /// The name of a set's entry.
    pub fn set(name: impl Into<String>) -> Self {
        Self { kind: Kind::Set, name: name.into(), version: String::new() }
    }

    /// The name of a policy's entry.
    pub fn policy(name: impl Into<String>) -> Self {
        Self { kind: Kind::Policy, name: name.into(), version: String::new() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Definition => write!(f, "{}@{}", self.name, self.version),
            Kind::Set | Kind::Policy => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

//! What checking finds.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::definition::words;
use crate::entry::Key;

words!(
    /// How bad a finding is.
    Severity {
        /// Good to know.
        Info = "info",
        /// Should be looked at; stops nothing.
        Warning = "warning",
        /// Must be mended, or allowed with a reason where the finding can be.
        Error = "error",
    }
);

words!(
    /// What was looked at.
    Subject {
        /// The source's form: YAML, members, values.
        Source = "source",
        /// The name.
        Name = "name",
        /// The schema by itself.
        Schema = "schema",
        /// An example.
        Example = "example",
        /// A rule, a reference set or a state machine.
        Rule = "rule",
        /// A conversion between versions.
        Conversion = "conversion",
        /// Whether the schema's change keeps its promise.
        Compatibility = "compatibility",
        /// Whether the change of owner, entity, subject, classification, retention or lifecycle does.
        Governance = "governance",
    }
);

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at.
    pub subject: Subject,
    /// A stable name of the rule, lower snake case, like `name_not_past_tense` or `schema_breaking`.
    pub code: &'static str,
    /// Where in the definition: an RFC 6901 pointer into the source's tree, like `/schema/properties/amount`.
    pub path: String,
    /// The line in the source, from 1, where it is known.
    pub line: Option<u32>,
    /// What is wrong and what to do, for a person.
    pub message: String,
    /// What to write instead, where there is a proposal.
    pub proposal: Option<String>,
    /// A document that shows it, where there is one.
    pub witness: Option<Value>,
    /// Whether it can be allowed with a reason.
    pub overridable: bool,
}

impl Finding {
    /// A finding of this severity, about which no more is known.
    #[must_use]
    pub fn new(severity: Severity, subject: Subject, code: &'static str, path: String, message: String) -> Self {
        Self { severity, subject, code, path, line: None, message, proposal: None, witness: None, overridable: false }
    }

    /// An error that cannot be allowed.
    #[must_use]
    pub fn error(subject: Subject, code: &'static str, path: String, message: String) -> Self {
        Self::new(Severity::Error, subject, code, path, message)
    }
}

/// What was found about one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The entry.
    pub key: Key,
    /// What the change does to it.
    pub change: Change,
    /// What was found, errors first.
    pub findings: Vec<Finding>,
}

words!(
    /// What a change does to an entry.
    Change {
        /// It is new.
        Added = "added",
        /// It is another one than before.
        Changed = "changed",
        /// It says the same as before.
        Unchanged = "unchanged",
        /// It goes.
        Removed = "removed",
    }
);

/// What was found about a whole change.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Every entry that was looked at, by key.
    pub entries: Vec<Checked>,
}

impl Report {
    /// Whether anything must be mended or allowed.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.entries.iter().flat_map(|entry| &entry.findings).any(|finding| finding.severity == Severity::Error)
    }
}

//! Everything that is said about a change of the catalog, on a server and in a folder alike: the form of its sources,
//! names, schemas, examples, rules and conversions, compatibility with what was published, and how its parts fit.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use crate::definition::{Definition, Stage};
use crate::entry::{Entry, Key, Kind};
use crate::limits::{CHANGE_BYTES_MAX, CHANGES_MAX, POLICIES_MAX, REVISIONS_MAX, SETS_MAX, TYPES_MAX, VERSIONS_MAX};
use crate::report::{Change, Checked, Finding, Report, Severity, Subject};
use crate::source::{self, Outline};

mod combined;
mod definitions;
mod published;
mod sets;
#[cfg(test)]
mod tests;

use combined::Combined;

/// What a catalog holds and has held.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Every revision of every entry, oldest first; none where it was removed.
    revisions: BTreeMap<Key, Vec<Option<String>>>,
}

impl Known {
    /// Takes a history: entries in the order of their revisions, several of one key as a rule.
    #[must_use]
    pub fn new(history: impl IntoIterator<Item = Entry>) -> Self {
        let mut revisions: BTreeMap<Key, Vec<Option<String>>> = BTreeMap::new();
        for entry in history {
            revisions.entry(entry.key).or_default().push(entry.source);
        }
        Self { revisions }
    }

    /// The source that is in force.
    #[must_use]
    pub fn source(&self, key: &Key) -> Option<&str> {
        self.revisions.get(key)?.last()?.as_deref()
    }

    fn revisions(&self, key: &Key) -> &[Option<String>] {
        self.revisions.get(key).map_or(&[], Vec::as_slice)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.revisions.iter().filter(|(_, all)| matches!(all.last(), Some(Some(_)))).map(|(key, _)| key)
    }
}

/// Checks a change against what is known. Entries that the change does not name stay as they are.
#[must_use]
pub fn check(known: &Known, proposed: &[Entry], today: Date) -> Report {
    let combined = Combined::new(known, proposed);
    let mut report = Report::default();
    let mut seen = BTreeSet::new();
    for entry in proposed {
        let change = change_of(known, entry);
        let mut findings = Vec::new();
        if !seen.insert(&entry.key) {
            findings.push(error(Subject::Source, "entry_twice", "", "the change names it more than once".to_owned()));
        } else {
            match &entry.source {
                Some(text) => one_source(&combined, &entry.key, text, change, today, &mut findings),
                None => removal(&combined, &entry.key, today, &mut findings),
            }
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        report.entries.push(Checked { key: entry.key.clone(), change, findings });
    }
    bounds(&combined, proposed, &mut report);
    report.entries.sort_by(|a, b| a.key.cmp(&b.key));
    report
}

/// Errors that can be allowed become warnings where a reason is given for their entry.
pub fn apply_overrides(report: &mut Report, reasons: &BTreeMap<Key, String>) {
    for entry in &mut report.entries {
        let Some(reason) = reasons.get(&entry.key) else { continue };
        for finding in &mut entry.findings {
            if finding.severity == Severity::Error && finding.overridable {
                finding.severity = Severity::Warning;
                finding.message = format!("{} (allowed: {reason})", finding.message);
            }
        }
        entry.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    }
}

fn change_of(known: &Known, entry: &Entry) -> Change {
    match (known.source(&entry.key), &entry.source) {
        (_, None) => Change::Removed,
        (None, Some(_)) => Change::Added,
        (Some(before), Some(after)) if before == after => Change::Unchanged,
        (Some(_), Some(_)) => Change::Changed,
    }
}

fn one_source(
    combined: &Combined<'_>,
    key: &Key,
    text: &str,
    change: Change,
    today: Date,
    findings: &mut Vec<Finding>,
) {
    // Where the name itself is wrong, the reader below tells it with all else.
    if let Ok(said) = source::key_of(key.kind, text) {
        misnamed(key, &said, findings);
    }
    match key.kind {
        Kind::Definition => match source::read(text) {
            Ok(definition) => definitions::judge(combined, &definition, change, today, findings),
            Err(mistakes) => findings.extend(mistakes),
        },
        Kind::Set => match source::read_set(text) {
            Ok(set) => sets::judge(combined, &set, change, findings),
            Err(mistakes) => findings.extend(mistakes),
        },
        Kind::Policy => match source::read_policy(text) {
            Ok(policy) => sets::judge_policy(combined, &policy, findings),
            Err(mistakes) => findings.extend(mistakes),
        },
    }
    let outline = Outline::of(text);
    for finding in findings.iter_mut().filter(|finding| finding.line.is_none()) {
        finding.line = outline.line(&finding.path);
    }
}

fn misnamed(key: &Key, said: &Key, findings: &mut Vec<Finding>) {
    if key != said {
        let message = format!("the source says that it is {said}, and stands under {key}");
        findings.push(error(Subject::Source, "entry_misnamed", "/name", message));
    }
}

fn removal(combined: &Combined<'_>, key: &Key, today: Date, findings: &mut Vec<Finding>) {
    let Some(text) = combined.known.source(key) else {
        let message = "there is nothing of this name that could be removed".to_owned();
        findings.push(error(Subject::Source, "entry_unknown", "", message));
        return;
    };
    match key.kind {
        Kind::Definition => {
            if let Ok(definition) = source::read(text) {
                definition_removal(&definition, today, findings);
            }
        }
        Kind::Set => sets::judge_removal(combined, &key.name, findings),
        Kind::Policy => {}
    }
}

/// Drafts may go at any time. What was in use goes after its sunset, and for a reason.
fn definition_removal(definition: &Definition, today: Date, findings: &mut Vec<Finding>) {
    let lifecycle = &definition.lifecycle;
    let past = lifecycle.sunset.is_some_and(|sunset| sunset <= today);
    let (message, allowed) = match lifecycle.stage {
        Stage::Draft => return,
        Stage::Stable => ("it is in use: deprecate it first, with a sunset".to_owned(), false),
        Stage::Deprecated if past => {
            ("events of this version in the log will not be understood any more: give a reason".to_owned(), true)
        }
        Stage::Deprecated => match lifecycle.sunset {
            Some(sunset) => (format!("it is taken until {sunset}: it can go after that"), false),
            None => ("it has no sunset: consumers must know by when to have left".to_owned(), false),
        },
    };
    let mut found = error(Subject::Governance, "removed_in_use", "", message);
    found.overridable = allowed;
    findings.push(found);
}

/// What the change and the catalog after it may hold at most.
fn bounds(combined: &Combined<'_>, proposed: &[Entry], report: &mut Report) {
    let mut over = Vec::new();
    if proposed.len() > CHANGES_MAX {
        over.push(format!("a change holds at most {CHANGES_MAX} entries, and this one {}", proposed.len()));
    }
    let bytes: usize = proposed.iter().filter_map(|entry| entry.source.as_ref()).map(String::len).sum();
    if bytes > CHANGE_BYTES_MAX {
        over.push(format!("a change has at most {CHANGE_BYTES_MAX} bytes, and this one {bytes}"));
    }
    let counts = combined.counts();
    for (what, count, max) in [
        ("types", counts.types, TYPES_MAX),
        ("sets", counts.sets, SETS_MAX),
        ("policies", counts.policies, POLICIES_MAX),
    ] {
        if count > max {
            over.push(format!("a catalog holds at most {max} {what}, and would hold {count}"));
        }
    }
    for entry in &mut report.entries {
        let mut add = |message: String| entry.findings.insert(0, error(Subject::Source, "too_many", "", message));
        if entry.change == Change::Removed || entry.change == Change::Unchanged {
            continue;
        }
        if combined.known.revisions(&entry.key).len() >= REVISIONS_MAX {
            add(format!("an entry has at most {REVISIONS_MAX} revisions"));
        }
        if entry.key.kind == Kind::Definition && combined.versions(&entry.key.name).count() > VERSIONS_MAX {
            add(format!("a type has at most {VERSIONS_MAX} versions"));
        }
    }
    if let Some(first) = report.entries.first_mut() {
        let found = over.into_iter().map(|message| error(Subject::Source, "too_many", "", message));
        first.findings.splice(0..0, found);
    }
}

fn finding(severity: Severity, subject: Subject, code: &'static str, path: &str, message: String) -> Finding {
    Finding {
        severity,
        subject,
        code,
        path: path.to_owned(),
        line: None,
        message,
        proposal: None,
        witness: None,
        overridable: false,
    }
}

fn error(subject: Subject, code: &'static str, path: &str, message: String) -> Finding {
    finding(Severity::Error, subject, code, path, message)
}

fn warning(subject: Subject, code: &'static str, path: &str, message: String) -> Finding {
    finding(Severity::Warning, subject, code, path, message)
}

//! Reads what is asked of the catalog.

use std::collections::{BTreeMap, BTreeSet};

use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_catalog::limits::{CHANGES_MAX, DEFINITION_BYTES_MAX};
use tidings_catalog::source::key_of;
use tidings_engine::catalog::{AsideSearch, LOG_CHECK_DEFAULT, LOG_CHECK_MAX, LogCheck, Proposal, REASON_CHARS_MAX};
use tidings_event::json;
use tidings_event::{ErrorCode, EventType, TenantId, violation_code as code};

use crate::failure::Failure;
use crate::limits::{CATALOG_BODY_DEPTH_MAX, KEY_TENANTS_MAX, PAGE_LIMIT_MAX};
use crate::members::{Members, Place, Readable, Report};

/// A change of the catalog.
pub(crate) fn change(body: &[u8]) -> Result<Proposal, Failure> {
    let mut report = Report::new(ErrorCode::DefinitionInvalid);
    let r = &mut report;
    let mut members = Members::of_deep_body(body, false, CATALOG_BODY_DEPTH_MAX, r)?;
    let m = &mut members;
    let mut entries = Vec::new();
    for (member, kind) in [("definitions", Kind::Definition), ("sets", Kind::Set), ("policies", Kind::Policy)] {
        entries.extend(sent(m, member, kind, r));
    }
    let removed: Vec<Named> = m.take("remove", r).value().unwrap_or_default();
    entries.extend(removed.into_iter().map(|Named(path, key)| (path, Entry { key, source: None })));
    let given: Vec<Allowed> = m.take("overrides", r).value().unwrap_or_default();
    let dry_run = m.take("dry_run", r).value().unwrap_or_default();
    members.finish(&[], r);
    if entries.len() > CHANGES_MAX {
        r.add("", code::TOO_MANY, format!("a change may name at most {CHANGES_MAX} entries"));
    }
    let entries = each_once(entries, r);
    let mut overrides = BTreeMap::new();
    for Allowed { path, key, reason } in given {
        if !entries.iter().any(|entry| entry.key == key) {
            r.add(path, code::ENTRY_NOT_FOUND, "names no entry of the change");
        } else if overrides.insert(key, reason).is_some() {
            r.add(path, code::ENTRY_REPEATED, "names an entry that another one names already");
        }
    }
    report.finish()?;
    Ok(Proposal { entries, overrides, dry_run })
}

/// What past events shall be held against.
pub(crate) fn log_check(body: &[u8]) -> Result<(Vec<Entry>, LogCheck), Failure> {
    let mut report = Report::new(ErrorCode::DefinitionInvalid);
    let r = &mut report;
    let mut members = Members::of_deep_body(body, false, CATALOG_BODY_DEPTH_MAX, r)?;
    let m = &mut members;
    let mut entries = sent(m, "definitions", Kind::Definition, r);
    entries.extend(sent(m, "sets", Kind::Set, r));
    let tenants = m.take::<Vec<Tenant>>("tenants", r).value();
    let events_max = m.take("events_max", r).value().unwrap_or(LOG_CHECK_DEFAULT);
    members.finish(&[], r);
    if entries.is_empty() && r.is_empty() {
        r.add("/definitions", code::MEMBER_MISSING, "must hold at least one definition");
    }
    if entries.len() > CHANGES_MAX {
        r.add("", code::TOO_MANY, format!("may name at most {CHANGES_MAX} entries"));
    }
    if tenants.as_ref().is_some_and(|tenants| tenants.len() > KEY_TENANTS_MAX) {
        r.add("/tenants", code::TOO_MANY, format!("must name at most {KEY_TENANTS_MAX} tenants"));
    }
    if !(1..=LOG_CHECK_MAX).contains(&events_max) {
        r.add("/events_max", code::NUMBER_OUT_OF_RANGE, format!("must be from 1 to {LOG_CHECK_MAX}"));
    }
    let entries = each_once(entries, r);
    report.finish()?;
    let tenants = tenants.map(|tenants| tenants.into_iter().map(|Tenant(tenant)| tenant).collect());
    Ok((entries, LogCheck { tenants, events_max }))
}

/// Which events in quarantine are meant.
pub(crate) fn quarantine_filter(body: &[u8]) -> Result<AsideSearch, Failure> {
    let mut report = Report::new(ErrorCode::RequestInvalid);
    let mut members = Members::of_body(body, false, &mut report)?;
    let event_type = members.take::<Type>("type", &mut report).value().map(|Type(event_type)| event_type);
    members.finish(&[], &mut report);
    report.finish()?;
    Ok(AsideSearch { event_type, cursor: None, limit: PAGE_LIMIT_MAX })
}

/// Which events in quarantine shall be redriven, and whether as they are.
pub(crate) struct Redrive {
    pub(crate) search: AsideSearch,
    pub(crate) as_is: bool,
}

/// Which events in quarantine shall be redriven.
pub(crate) fn redrive(body: &[u8]) -> Result<Redrive, Failure> {
    let mut report = Report::new(ErrorCode::RequestInvalid);
    let r = &mut report;
    let mut members = Members::of_body(body, false, r)?;
    let event_type = members.take::<Type>("type", r).value().map(|Type(event_type)| event_type);
    let as_is = members.take("as_is", r).value().unwrap_or_default();
    let cursor = members.take("cursor", r).value();
    members.finish(&[], r);
    report.finish()?;
    Ok(Redrive { search: AsideSearch { event_type, cursor, limit: PAGE_LIMIT_MAX }, as_is })
}

/// The key that the source of one entry names.
pub(crate) fn key(kind: Kind, source: &str) -> Result<Key, Failure> {
    let mut report = Report::new(ErrorCode::DefinitionInvalid);
    let key = named(kind, source, "", &mut report);
    report.finish()?;
    key.ok_or_else(|| Failure::new(ErrorCode::DefinitionInvalid, "The source names no entry."))
}

/// The entries under a member of the body, each with its place.
fn sent(members: &mut Members<'_>, member: &str, kind: Kind, report: &mut Report) -> Vec<(String, Entry)> {
    let texts: Vec<Sent> = members.take(member, report).value().unwrap_or_default();
    let mut entries = Vec::with_capacity(texts.len());
    for Sent { path, source } in texts {
        if let Some(key) = named(kind, &source, &path, report) {
            entries.push((path, Entry { key, source: Some(source) }));
        }
    }
    entries
}

/// The name in a source; says what is wrong where it has none.
fn named(kind: Kind, source: &str, path: &str, report: &mut Report) -> Option<Key> {
    match key_of(kind, source) {
        Ok(key) => Some(key),
        Err(findings) => {
            for finding in findings {
                let line = finding.line.map_or_else(String::new, |line| format!(" (line {line})"));
                let at = format!("{path}{}", finding.path);
                report.add(at, code::SOURCE_UNREADABLE, format!("{}{line}", finding.message));
            }
            None
        }
    }
}

/// The entries, of which none may stand there twice.
fn each_once(entries: Vec<(String, Entry)>, report: &mut Report) -> Vec<Entry> {
    let mut seen = BTreeSet::new();
    let mut once = Vec::with_capacity(entries.len());
    for (path, entry) in entries {
        if seen.insert(entry.key.clone()) {
            once.push(entry);
        } else {
            report.add(path, code::ENTRY_REPEATED, "names an entry that stands in the change before");
        }
    }
    once
}

/// The source of an entry, and where it stands in the body.
struct Sent {
    path: String,
    source: String,
}

impl Readable for Sent {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        let path = place.path().to_owned();
        let mut members = place.members();
        let source = if place.has("source") {
            let source = members.require("source", place.report())?;
            members.finish(&[], place.report());
            source
        } else if place.is_object() {
            place.text().to_owned()
        } else {
            return None;
        };
        if source.len() > DEFINITION_BYTES_MAX {
            return place.refuse(code::TOO_LONG, format!("must have at most {DEFINITION_BYTES_MAX} bytes"));
        }
        Some(Self { path, source })
    }
}

/// The name of an entry, and where it stands in the body.
struct Named(String, Key);

impl Readable for Named {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        let path = place.path().to_owned();
        let mut members = place.members();
        let key = read_key(&mut members, &path, place.report());
        members.finish(&[], place.report());
        Some(Self(path, key?))
    }
}

/// Why what the checks find about an entry is allowed.
struct Allowed {
    path: String,
    key: Key,
    reason: String,
}

impl Readable for Allowed {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        let path = place.path().to_owned();
        let mut members = place.members();
        let key = read_key(&mut members, &path, place.report());
        let reason: Option<String> = members.require("reason", place.report());
        members.finish(&[], place.report());
        let (key, reason) = (key?, reason?);
        if !(1..=REASON_CHARS_MAX).contains(&reason.trim().chars().count()) {
            let message = format!("must have 1 to {REASON_CHARS_MAX} characters");
            place.report().add(format!("{path}/reason"), code::STRING_TOO_LONG, message);
        } else if reason.contains(char::is_control) {
            let message = "must not hold control characters";
            place.report().add(format!("{path}/reason"), code::STRING_CONTROL_CHARACTER, message);
        }
        Some(Self { path, key, reason })
    }
}

/// The members that name an entry.
fn read_key(members: &mut Members<'_>, path: &str, report: &mut Report) -> Option<Key> {
    let kind = members.take::<Kinded>("kind", report).value().map_or(Kind::Definition, |Kinded(kind)| kind);
    let name = printable(members, path, "name", report);
    let version = match kind {
        Kind::Definition => printable(members, path, "version", report)?,
        Kind::Set | Kind::Policy => {
            if members.take::<String>("version", report).value().is_some_and(|version| !version.is_empty()) {
                let mut path = path.to_owned();
                json::push_step(&mut path, "version");
                report.add(path, code::MEMBER_UNKNOWN, "only definitions have versions");
            }
            String::new()
        }
    };
    Some(Key { kind, name: name?, version })
}

/// A member that must be a string without control characters: no name has any, and not every database can look for them.
fn printable(members: &mut Members<'_>, path: &str, member: &'static str, report: &mut Report) -> Option<String> {
    let text = members.require::<String>(member, report)?;
    if !text.contains(char::is_control) {
        return Some(text);
    }
    let mut path = path.to_owned();
    json::push_step(&mut path, member);
    report.add(path, code::STRING_CONTROL_CHARACTER, "must not hold control characters");
    None
}

/// What an entry is, as a word.
struct Kinded(Kind);

impl Readable for Kinded {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        let words: Vec<(&str, Kind)> = Kind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
        place.word(&words).map(Self)
    }
}

/// A tenant's name.
struct Tenant(TenantId);

impl Readable for Tenant {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        let name = String::read(place)?;
        match TenantId::parse(name) {
            Ok(tenant) => Some(Self(tenant)),
            Err(error) => place.refuse(code::TENANT_MALFORMED, error.to_string()),
        }
    }
}

/// An event's type.
struct Type(EventType);

impl Readable for Type {
    fn read(place: &mut Place<'_, '_>) -> Option<Self> {
        let name = String::read(place)?;
        match EventType::parse(name) {
            Ok(event_type) => Some(Self(event_type)),
            Err(error) => place.refuse(code::TYPE_MALFORMED, error.to_string()),
        }
    }
}

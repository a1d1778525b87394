//! Changes of the catalog: what several operations share.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_catalog::entry::{Entry, Key, Kind};
use tidings_catalog::limits::DEFINITION_BYTES_MAX;
use tidings_catalog::report::{Change, Checked, Finding, Report, Severity, Subject};
use tidings_engine::catalog::{CatalogError, Proposal, Pushed, REASON_CHARS_MAX};
use tidings_event::{ErrorCode, Violation, violation_code as code};
use utoipa::IntoParams;

use super::{not_found, parse, render};
use crate::app::Shared;
use crate::auth::{Admin, Author};
use crate::body::{Collected, collect, media_type, unsupported};
use crate::failure::Failure;
use crate::members::refusal;
use crate::query::{Query, refuse};
use crate::{json, wire};

/// The media types under which YAML is sent.
const YAML: &[&str] = &["application/yaml", "text/yaml", "application/x-yaml", "text/x-yaml"];

/// Takes in the source of one entry, YAML or JSON.
pub(crate) async fn source(app: &Shared, headers: &HeaderMap, body: Body) -> Result<(Collected, String), Failure> {
    let media = media_type(headers)?;
    if media != "application/json" && !YAML.contains(&media.as_str()) {
        return Err(unsupported(&media));
    }
    let collected = collect(&app.admission, headers, body, DEFINITION_BYTES_MAX).await?;
    let text = std::str::from_utf8(&collected.bytes).map(str::to_owned);
    let text = text.map_err(|_| Failure::new(ErrorCode::BodyMalformed, "The body is not UTF-8."))?;
    Ok((collected, text))
}

/// The parameters of a change of one entry.
pub(crate) const CHANGE_PARAMETERS: &[&str] = &["dry_run", "reason"];

/// The parameters of a change of one entry, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
pub(crate) struct ChangeParameters {
    /// Whether the change is only checked. The answer is 200 then, whatever is found.
    #[param(default = false)]
    dry_run: Option<bool>,
    /// Why what the check finds, and can be allowed, is allowed. It is kept in the history.
    #[param(max_length = 500, example = "nobody reads it yet")]
    reason: Option<String>,
}

/// Checks and makes a change of one entry.
pub(crate) async fn change_one(
    app: &Shared,
    author: &Author,
    query: &Query,
    entry: Entry,
) -> Result<Response, Failure> {
    let dry_run = query.flag("dry_run")?;
    let reason = reason(query)?;
    let overrides: BTreeMap<Key, String> = reason.map(|reason| (entry.key.clone(), reason)).into_iter().collect();
    let changed = change(app, author, Proposal { entries: vec![entry], overrides, dry_run }).await?;
    let added = changed.report.entries.iter().any(|entry| entry.change == Change::Added.as_str());
    let status = if added && changed.revision.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    json::answer(status, &changed)
}

/// A request to put or delete what has a name and no versions: a set or a policy.
pub(crate) struct Named<'r> {
    pub(crate) app: &'r Shared,
    pub(crate) admin: Admin,
    pub(crate) kind: Kind,
    pub(crate) name: &'r str,
    /// The query, as it came.
    pub(crate) raw: Option<&'r str>,
}

impl Named<'_> {
    pub(crate) async fn put(self, headers: &HeaderMap, body: Body) -> Result<Response, Failure> {
        let query = self.query()?;
        let (_room, source) = source(self.app, headers, body).await?;
        let key = self.key();
        expect_named(&key, &parse::key(self.kind, &source)?)?;
        change_one(self.app, &self.admin.into(), &query, Entry { key, source: Some(source) }).await
    }

    pub(crate) async fn delete(self) -> Result<Response, Failure> {
        let query = self.query()?;
        let key = self.key();
        expect_there(self.app, &key)?;
        change_one(self.app, &self.admin.into(), &query, Entry { key, source: None }).await
    }

    fn query(&self) -> Result<Query, Failure> {
        Query::parse(self.raw, CHANGE_PARAMETERS, &[])
    }

    fn key(&self) -> Key {
        Key { kind: self.kind, name: self.name.to_owned(), version: String::new() }
    }
}

/// The reason for which findings shall be allowed.
fn reason(query: &Query) -> Result<Option<String>, Failure> {
    match query.get("reason") {
        Some(text) if text.chars().count() > REASON_CHARS_MAX => {
            Err(refuse("reason", "too_long", &format!("must have at most {REASON_CHARS_MAX} characters")))
        }
        Some(text) if text.contains(char::is_control) => {
            Err(refuse("reason", "parameter_malformed", "must not hold control characters"))
        }
        other => Ok(other.map(str::to_owned)),
    }
}

/// Checks and makes a change. One in which errors were found fails with all that was found, unless it was only to be
/// checked.
pub(crate) async fn change(app: &Shared, author: &Author, proposal: Proposal) -> Result<wire::CatalogChanged, Failure> {
    let dry_run = proposal.dry_run;
    let pushed = app.engine.catalogs().push(&author.limits(), proposal).await;
    let Pushed { report, revision } = pushed.map_err(|error| not_made(error, author))?;
    if !dry_run && report.has_errors() {
        return Err(broken(&report));
    }
    Ok(wire::CatalogChanged { revision, report: render::report(&report) })
}

/// Why a change was not even checked.
fn not_made(error: CatalogError, author: &Author) -> Failure {
    match error {
        CatalogError::NotOwned(violations) => author
            .refused("The key does not allow all of what is to be changed; nothing was changed.")
            .with_errors(violations),
        other => other.into(),
    }
}

/// The failure that shows a report with errors.
fn broken(report: &Report) -> Failure {
    fn errors(checked: &Checked) -> impl Iterator<Item = (&Key, &Finding)> {
        let errors = checked.findings.iter().filter(|finding| finding.severity == Severity::Error);
        errors.map(|finding| (&checked.key, finding))
    }
    let errors = || report.entries.iter().flat_map(errors);
    let promise = |finding: &Finding| matches!(finding.subject, Subject::Compatibility | Subject::Governance);
    let kept = !errors().all(|(_, finding)| promise(finding));
    let code = if kept { ErrorCode::DefinitionInvalid } else { ErrorCode::CatalogBreaking };
    let words = |(key, finding): (&Key, &Finding)| format!("{key}: {}: {}", finding.path, finding.message);
    let detail = match (errors().next().map(words), errors().count()) {
        (Some(first), 1) => first,
        (Some(first), count) => format!("{first} (and {} more)", count - 1),
        (None, _) => code.title().to_owned(),
    };
    match serde_json::to_vec(&render::report(report)) {
        Ok(json) => Failure::new(code, detail).with_json("report", json),
        Err(error) => Failure::internal(error),
    }
}

/// The refusal of a body that names another entry than the path.
pub(crate) fn expect_named(key: &Key, found: &Key) -> Result<(), Failure> {
    let mut violations = Vec::new();
    for (member, wanted, found) in [("/name", &key.name, &found.name), ("/version", &key.version, &found.version)] {
        if wanted != found {
            let message = format!("must be '{wanted}', as in the path");
            violations.push(Violation { path: member.to_owned(), code: code::NAME_MISMATCH, message });
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(refusal(ErrorCode::DefinitionInvalid, violations)) }
}

/// Checks that the catalog has an entry.
pub(crate) fn expect_there(app: &Shared, key: &Key) -> Result<(), Failure> {
    let there = app.engine.catalog().entry(key).is_some_and(|entry| entry.source.is_some());
    if there { Ok(()) } else { Err(not_found(key)) }
}

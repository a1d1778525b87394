//! Changing an endpoint, and deleting it.

use serde_json::json;
use tidings_event::{EndpointId, TenantId, Timestamp, Violation};
use tidings_store::{EndpointRow, EndpointStatus, EndpointView};

use super::change::{Change, select};
use super::check::Report;
use super::error::EndpointError;
use super::types::{Endpoint, EndpointPatch, EndpointSettings, Kept, Wanted, Who};
use super::{Endpoints, Result, UNVERIFIED};
use crate::system::{Fact, Kind};

impl Endpoints {
    /// Changes an endpoint. New types and filters hold for the events after this change. An endpoint that was made
    /// with a challenge and gets a new URL must answer one again. What changes nothing tells nobody.
    pub async fn update(
        &self,
        who: &Who,
        tenant: &TenantId,
        id: &EndpointId,
        mut patch: EndpointPatch,
    ) -> Result<Endpoint> {
        self.check_open()?;
        self.judge_change(&mut patch).finish()?;
        let place = self.place(tenant).await?;
        let who = who.clone();
        let row = self.change(tenant, place, id, move |view, now| decide(&view, patch, &who, now)).await?;
        Endpoint::of(&row).map_err(EndpointError::unreadable)
    }

    /// Deletes an endpoint, its secrets, and what waits for it. What is under way still ends.
    pub async fn delete(&self, who: &Who, tenant: &TenantId, id: &EndpointId) -> Result<()> {
        let place = self.place(tenant).await?;
        let who = who.clone();
        let decide = move |view: EndpointView, now| {
            let row = view.row.ok_or(EndpointError::NotFound)?;
            let data = json!({ "url": row.url });
            let facts = vec![Fact::of_endpoint(Kind::EndpointDeleted, Some(&who), &row.tenant, &row.id, data)];
            let row = EndpointRow {
                status: EndpointStatus::Deleted,
                status_reason: None,
                secrets: Vec::new(),
                updated_at: now,
                ..row
            };
            Ok(Change::Put { row: Box::new(row), lane: None, facts })
        };
        self.change(tenant, place, id, decide).await.map(drop)
    }

    /// All that is wrong with a change by itself, without making it.
    #[must_use]
    pub fn violations_of_change(&self, patch: &EndpointPatch) -> Vec<Violation> {
        self.judge_change(&mut patch.clone()).into_violations()
    }

    /// Judges a change. Names of headers become lower case.
    fn judge_change(&self, patch: &mut EndpointPatch) -> Report {
        let mut report = Report::default();
        if let Some(url) = &patch.url {
            report.url(&self.engine.shared.endpoints.egress, url);
        }
        report.selection(
            patch.types.as_deref().unwrap_or_default(),
            patch.filter.as_ref().and_then(|filter| filter.as_deref()),
        );
        // What is not given is right: it takes the place of the defaults, and those are.
        let mut settings = EndpointSettings::default();
        merge(&mut settings, patch);
        report.settings(&mut settings);
        if patch.headers.is_some() {
            patch.headers = Some(settings.headers);
        }
        report
    }
}

/// Takes over what a patch gives; returns the names of what is different then.
fn merge(settings: &mut EndpointSettings, patch: &EndpointPatch) -> Vec<&'static str> {
    fn take<T: Clone + PartialEq>(to: &mut T, from: Option<&T>, name: &'static str, names: &mut Vec<&'static str>) {
        if let Some(from) = from.filter(|from| *from != to) {
            *to = from.clone();
            names.push(name);
        }
    }
    let mut names = Vec::new();
    take(&mut settings.format, patch.format.as_ref(), "format", &mut names);
    take(&mut settings.cloudevents_mode, patch.cloudevents_mode.as_ref(), "cloudevents_mode", &mut names);
    take(&mut settings.ordering, patch.ordering.as_ref(), "ordering", &mut names);
    take(&mut settings.rate_limit_per_s, patch.rate_limit_per_s.as_ref(), "rate_limit_per_s", &mut names);
    take(&mut settings.timeout_ms, patch.timeout_ms.as_ref(), "timeout_ms", &mut names);
    take(&mut settings.headers, patch.headers.as_ref(), "headers", &mut names);
    take(&mut settings.retry_schedule_s, patch.retry_schedule_s.as_ref(), "retry_schedule_s", &mut names);
    take(&mut settings.versions, patch.versions.as_ref(), "versions", &mut names);
    take(&mut settings.description, patch.description.as_ref(), "description", &mut names);
    names
}

fn decide(view: &EndpointView, patch: EndpointPatch, who: &Who, now: Timestamp) -> Result<Change> {
    let before = view.row.as_ref().ok_or(EndpointError::NotFound)?;
    let mut row = before.clone();
    let mut kept = Kept::of(&row).map_err(EndpointError::unreadable)?;
    let mut changed = merge(&mut kept.settings, &patch);
    if let Some(url) = patch.url.filter(|url| *url != row.url) {
        row.url = url;
        changed.push("url");
        if kept.challenge {
            row.status = EndpointStatus::Disabled;
            row.status_reason = Some(UNVERIFIED.to_owned());
        }
    }
    let wanted = row.selections.last().map(|last| (last.types.clone(), last.filter.clone())).unwrap_or_default();
    let types = patch.types.unwrap_or_else(|| wanted.0.clone());
    let filter = patch.filter.unwrap_or_else(|| wanted.1.clone());
    changed.extend((types != wanted.0).then_some("types"));
    changed.extend((filter != wanted.1).then_some("filter"));
    if (&types, &filter) != (&wanted.0, &wanted.1) {
        select(&mut row, view, types, filter)?;
    }
    if let Some(status) = patch.status {
        set_status(&mut row, status)?;
    }
    if row.status != before.status {
        changed.push("status");
    }
    if changed.is_empty() {
        return Ok(Change::Same(Box::new(row)));
    }
    row.settings = kept.write();
    row.updated_at = now;
    let facts = facts(before, &row, who, &changed);
    Ok(Change::Put { row: Box::new(row), lane: None, facts })
}

fn set_status(row: &mut EndpointRow, wanted: Wanted) -> Result<()> {
    let status = match wanted {
        Wanted::Active => EndpointStatus::Active,
        Wanted::Paused => EndpointStatus::Paused,
    };
    if row.status == EndpointStatus::Disabled && row.status_reason.as_deref() == Some(UNVERIFIED) {
        return Err(EndpointError::Busy("the owner of the URL has not answered the challenge yet".to_owned()));
    }
    if row.status != status {
        row.status = status;
        row.status_reason = None;
    }
    Ok(())
}

/// What is told of a change: that the endpoint goes on after Tidings had disabled it, that it was disabled, and all
/// else as an update.
fn facts(before: &EndpointRow, row: &EndpointRow, who: &Who, changed: &[&str]) -> Vec<Fact> {
    use EndpointStatus::{Active, Disabled};
    let fact = |kind, data| Fact::of_endpoint(kind, Some(who), &row.tenant, &row.id, data);
    let mut facts = Vec::new();
    let kind = match (before.status, row.status) {
        (Disabled, Active) => Some(Kind::EndpointEnabled),
        (Disabled, Disabled) => None,
        (_, Disabled) => Some(Kind::EndpointDisabled),
        _ => None,
    };
    if let Some(kind) = kind {
        let was = before.status_reason.as_deref().unwrap_or_default();
        let data = match kind {
            Kind::EndpointEnabled => json!({ "was": was }),
            _ => json!({ "reason": row.status_reason }),
        };
        facts.push(fact(kind, data));
    }
    let rest: Vec<&str> = changed.iter().copied().filter(|name| kind.is_none() || *name != "status").collect();
    if !rest.is_empty() {
        facts.push(fact(
            Kind::EndpointUpdated,
            json!({ "changed": rest, "url": row.url, "status": row.status.as_str() }),
        ));
    }
    facts
}

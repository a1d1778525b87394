//! Making an endpoint.

use serde_json::json;
use tidings_event::signature::Secret;
use tidings_event::{EndpointId, EndpointNo, Revision, Sequence, TenantId, Timestamp};
use tidings_event::{Violation, violation_code as code};
use tidings_store::{EndpointRow, EndpointStatus, EndpointView, SelectionRow};

use super::change::Change;
use super::check::Report;
use super::error::EndpointError;
use super::types::{ENDPOINTS_MAX, Endpoint, From, Kept, NewEndpoint, Scheme, Who};
use super::{Endpoints, Result, UNVERIFIED};
use crate::places::Place;
use crate::secrets::{KeptSecret, Keyring, SecretBox};
use crate::system::{Fact, Kind};

impl Endpoints {
    /// Makes an endpoint. Returns it with the secret's text, shown this once, and the public key where there is one.
    /// A tenant that has no events yet may have endpoints. With a challenge its status is disabled, for the reason
    /// `unverified`, until [`Self::verify`] succeeds.
    pub async fn create(
        &self,
        who: &Who,
        tenant: &TenantId,
        mut new: NewEndpoint,
    ) -> Result<(Endpoint, String, Option<String>)> {
        self.check_open()?;
        let parts = &self.engine.shared.endpoints;
        let (report, secret) = self.judge(&mut new);
        report.finish()?;
        let secret = secret.ok_or_else(|| EndpointError::unreadable("a secret that is right is none".to_owned()))?;
        let (text, public) = (secret.reveal(), secret.public());

        let place = self.feeds().places.of(tenant).await?;
        let start = self.start(place, new.from).await?;
        let id = EndpointId::trusted(format!("ep_{}", crate::dice::ulid()));
        let draft = Draft { id: id.clone(), tenant: tenant.clone(), place, who: who.clone(), new, start };
        let sealer = parts.secrets.clone();
        let row = self.change(tenant, place, &id, move |view, now| draft.decide(&view, secret, &sealer, now)).await?;
        let endpoint = Endpoint::of(&row).map_err(EndpointError::unreadable)?;
        Ok((endpoint, text, public))
    }

    /// All that is wrong with a new endpoint by itself, without making it.
    #[must_use]
    pub fn violations(&self, new: &NewEndpoint) -> Vec<Violation> {
        let (report, _) = self.judge(&mut new.clone());
        report.into_violations()
    }

    /// Judges a new endpoint, and reads its secret. Names of headers become lower case.
    fn judge(&self, new: &mut NewEndpoint) -> (Report, Option<Secret>) {
        let mut report = Report::default();
        report.url(&self.engine.shared.endpoints.egress, &new.url);
        report.selection(&new.types, new.filter.as_deref());
        report.settings(&mut new.settings);
        if new.from == From::Sequence(0) {
            report.add("/from", code::NUMBER_OUT_OF_RANGE, "sequences begin at 1");
        }
        let secret = secret(&mut report, "/secret", new.secret.as_deref(), new.scheme);
        (report, secret)
    }

    /// What of a beginning can be known before the partition's head is locked.
    pub(super) async fn start(&self, place: Place, from: From) -> Result<Start> {
        Ok(match from {
            From::Now => Start::Now,
            From::Start => Start::Floor,
            From::Sequence(sequence) => Start::After(Sequence(sequence.saturating_sub(1))),
            From::Time(moment) => Start::After(self.feeds().store.sequence_before(place.no, moment).await?),
        })
    }
}

/// Where a range begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// After the newest event.
    Now,
    /// At the oldest that is kept.
    Floor,
    /// After this one.
    After(Sequence),
}

impl Start {
    /// The sequence after which it is. A place that cannot be given is an error, never moved.
    pub(super) fn after(self, floor: Sequence, head: Sequence) -> Result<Sequence> {
        match self {
            Self::Now => Ok(head),
            Self::Floor => Ok(floor),
            Self::After(after) if after > head => {
                let message = format!("lies beyond the tenant's newest event, which has sequence {head}");
                let path = "/from".to_owned();
                Err(EndpointError::Invalid(vec![Violation { path, code: code::NUMBER_OUT_OF_RANGE, message }]))
            }
            Self::After(after) if after < floor => Err(EndpointError::Expired { oldest: floor.next() }),
            Self::After(after) => Ok(after),
        }
    }
}

/// A secret of the caller's own, or a new one.
pub(super) fn secret(report: &mut Report, path: &str, own: Option<&str>, scheme: Scheme) -> Option<Secret> {
    let Some(own) = own else {
        return Some(match scheme {
            Scheme::V1 => Secret::hmac(crate::dice::bytes()),
            Scheme::V1a => Secret::ed25519(crate::dice::bytes()),
        });
    };
    match Secret::parse(own) {
        Ok(secret) => Some(secret),
        Err(error) => {
            report.add(path, code::SECRET_MALFORMED, error.to_string());
            None
        }
    }
}

/// An endpoint that was checked, before the log's end is known.
struct Draft {
    id: EndpointId,
    tenant: TenantId,
    place: Place,
    who: Who,
    new: NewEndpoint,
    start: Start,
}

impl Draft {
    fn decide(self, view: &EndpointView, secret: Secret, sealer: &SecretBox, now: Timestamp) -> Result<Change> {
        let Self { id, tenant, place, who, new, start } = self;
        if view.count >= ENDPOINTS_MAX {
            return Err(EndpointError::LimitReached { max: ENDPOINTS_MAX });
        }
        let after = start.after(view.floor, view.head)?;
        let (status, status_reason) = match (new.challenge, new.paused) {
            (true, _) => (EndpointStatus::Disabled, Some(UNVERIFIED.to_owned())),
            (false, true) => (EndpointStatus::Paused, None),
            (false, false) => (EndpointStatus::Active, None),
        };
        let data = json!({ "url": new.url, "status": status.as_str(), "from_sequence": after.next() });
        let facts = vec![Fact::of_endpoint(Kind::EndpointCreated, Some(&who), &tenant, &id, data)];
        let kept = Kept { settings: new.settings, challenge: new.challenge, since: after };
        let secrets = sealer.seal(&id, &Keyring::new(KeptSecret::new(secret, now)));
        let row = EndpointRow {
            no: EndpointNo(0),
            id,
            tenant,
            tenant_no: place.no,
            partition: place.partition,
            revision: Revision(0),
            status,
            status_reason,
            url: new.url,
            selections: vec![SelectionRow { after, position: view.position, types: new.types, filter: new.filter }],
            settings: kept.write(),
            secrets,
            created_at: now,
            updated_at: now,
        };
        let lane = (after < view.head).then_some(after);
        Ok(Change::Put { row: Box::new(row), lane, facts })
    }
}

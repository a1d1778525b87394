//! Secrets: which there are, and new ones.

use serde_json::json;
use tidings_event::signature::Secret;
use tidings_event::{EndpointId, TenantId, Timestamp, violation_code as code};
use tidings_store::EndpointView;

use super::change::Change;
use super::check::Report;
use super::create::secret;
use super::error::EndpointError;
use super::types::{OVERLAP_S_MAX, Rotate, SECRETS_MAX, Scheme, SecretInfo, Who};
use super::{Endpoints, Result};
use crate::append::now;
use crate::secrets::{KeptSecret, SecretBox};
use crate::system::{Fact, Kind};

impl Endpoints {
    /// The secrets that sign now, newest first, without the secrets.
    pub async fn secrets(&self, tenant: &TenantId, id: &EndpointId) -> Result<Vec<SecretInfo>> {
        let (_, row) = self.row(tenant, id).await?;
        let sealer = &self.engine.shared.endpoints.secrets;
        let keyring = sealer.open(&row.id, &row.secrets).map_err(EndpointError::unreadable)?;
        Ok(keyring.valid(now()).map(info).collect())
    }

    /// Gives an endpoint a new secret; the old ones go on to sign for a while. Returns the new secret's text, shown
    /// this once, and the public key where there is one. At most [`SECRETS_MAX`] may be valid at once.
    pub async fn rotate(
        &self,
        who: &Who,
        tenant: &TenantId,
        id: &EndpointId,
        rotate: Rotate,
    ) -> Result<(String, Option<String>)> {
        let (place, row) = self.row(tenant, id).await?;
        let sealer = self.engine.shared.endpoints.secrets.clone();
        let keyring = sealer.open(&row.id, &row.secrets).map_err(EndpointError::unreadable)?;
        let scheme = rotate.scheme.or_else(|| keyring.valid(now()).next().map(scheme_of)).unwrap_or_default();
        let mut report = Report::default();
        if rotate.overlap_s > OVERLAP_S_MAX {
            report.add("/overlap_s", code::NUMBER_OUT_OF_RANGE, format!("must be at most {OVERLAP_S_MAX}"));
        }
        let secret = secret(&mut report, "/secret", rotate.secret.as_deref(), scheme);
        if let Some(secret) = &secret {
            if keyring.valid(now()).any(|kept| kept.secret.reveal() == secret.reveal()) {
                report.add("/secret", code::SECRET_MALFORMED, "is one of the endpoint's secrets already");
            }
            if rotate.secret.is_some() && rotate.scheme.is_some_and(|scheme| scheme.as_str() != secret.scheme()) {
                report.add("/scheme", code::SECRET_MALFORMED, "is not the scheme of the secret that is given");
            }
        }
        report.finish()?;
        let secret = secret.ok_or_else(|| EndpointError::unreadable("a secret that is right is none".to_owned()))?;
        let answer = (secret.reveal(), secret.public());
        let (who, overlap_s) = (who.clone(), rotate.overlap_s);
        let decide = move |view: EndpointView, now| decide(view, secret, overlap_s, &sealer, &who, now);
        self.change(tenant, place, id, decide).await?;
        Ok(answer)
    }
}

fn scheme_of(kept: &KeptSecret) -> Scheme {
    if kept.secret.scheme() == Scheme::V1a.as_str() { Scheme::V1a } else { Scheme::V1 }
}

fn info(kept: &KeptSecret) -> SecretInfo {
    SecretInfo {
        id: kept.id.clone(),
        scheme: scheme_of(kept),
        public: kept.secret.public(),
        created_at: kept.created_at,
        expires_at: kept.expires_at,
    }
}

fn decide(
    view: EndpointView,
    secret: Secret,
    overlap_s: u32,
    sealer: &SecretBox,
    who: &Who,
    now: Timestamp,
) -> Result<Change> {
    let mut row = view.row.ok_or(EndpointError::NotFound)?;
    let mut keyring = sealer.open(&row.id, &row.secrets).map_err(EndpointError::unreadable)?;
    let until = Timestamp::from_micros(now.as_micros() + i64::from(overlap_s) * 1_000_000);
    let new = KeptSecret::new(secret, now);
    let data = json!({ "secret": new.id, "scheme": new.secret.scheme(), "old_until": until });
    keyring.rotate(new, until, now);
    if keyring.valid(now).count() > SECRETS_MAX {
        return Err(EndpointError::LimitReached { max: SECRETS_MAX as u64 });
    }
    row.secrets = sealer.seal(&row.id, &keyring);
    row.updated_at = now;
    let facts = vec![Fact::of_endpoint(Kind::SecretRotated, Some(who), &row.tenant, &row.id, data)];
    Ok(Change::Put { row: Box::new(row), lane: None, facts })
}

//! Who calls, and what they may do.
//!
//! A handler gets at an operation only through one of the extractors here: [`Admin`], [`Producer`], [`Author`],
//! [`Inspector`], [`Reader`], [`Manager`] or [`Caller`]. What belongs to a tenant is read through [`Reader`] and changed through [`Manager`], which
//! have checked the tenant of the path. Whatever they refuse is told to the engine on the way out.

use axum::extract::{FromRequestParts, RawPathParams};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tidings_engine::endpoints::Who;
use tidings_engine::{Emitter, KeyRow, Role, covers_type};
use tidings_event::{ErrorCode, Event, EventType, TenantId, Text, Violation};

use crate::app::{App, Shared};
use crate::failure::Failure;

/// Somebody with a valid key.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// The operator, by a key of the server's configuration.
    Operator,
    /// The holder of a key of the store.
    Holder(Box<KeyRow>),
}

impl Caller {
    async fn authenticate(app: &Shared, headers: &HeaderMap) -> Result<Self, Failure> {
        let secret = bearer(headers)?;
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        // All of them are compared, each in constant time.
        let known = app.admin_keys.iter().fold(subtle::Choice::from(0), |known, key| known | key.ct_eq(&hash));
        if known.into() {
            return Ok(Self::Operator);
        }
        match app.engine.key_by_secret(secret).await? {
            Some(key) => Ok(Self::Holder(Box::new(key))),
            None => Err(Failure::new(ErrorCode::Unauthenticated, "The key is unknown, expired or revoked.")),
        }
    }

    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Operator => Role::Admin,
            Self::Holder(key) => key.role,
        }
    }

    /// The tenants that the caller is limited to; all when empty.
    pub(crate) fn tenants(&self) -> &[TenantId] {
        match self {
            Self::Operator => &[],
            Self::Holder(key) if key.role == Role::Admin => &[],
            Self::Holder(key) => &key.tenants,
        }
    }

    fn covers(&self, tenant: &TenantId) -> bool {
        match self {
            Self::Operator => true,
            // A consumer's key without a tenant opens none, not all.
            Self::Holder(key) => match key.role {
                Role::Admin => true,
                Role::Consumer => key.tenants.contains(tenant),
                Role::Producer | Role::Auditor => key.tenants.is_empty() || key.tenants.contains(tenant),
            },
        }
    }

    fn may_read(&self, tenant: &TenantId) -> Result<(), Failure> {
        match self.role() {
            Role::Admin | Role::Consumer | Role::Auditor if self.covers(tenant) => Ok(()),
            // The answer is the same whether the tenant exists or not.
            _ => Err(self.refused(Some(tenant), "The key does not open this tenant for reading.")),
        }
    }

    fn may_manage(&self, tenant: &TenantId) -> Result<(), Failure> {
        match self.role() {
            Role::Admin | Role::Consumer if self.covers(tenant) => Ok(()),
            _ => Err(self.refused(Some(tenant), "The key does not allow changes in this tenant.")),
        }
    }

    /// Who this is, as events about changes name it.
    pub(crate) fn who(&self) -> Who {
        let key = match self {
            Self::Operator => "admin".to_owned(),
            Self::Holder(key) => key.id.clone(),
        };
        Who { key, role: self.role() }
    }

    /// The service that the key belongs to, if it is one's.
    fn service(&self) -> Option<&Text> {
        match self {
            Self::Operator => None,
            Self::Holder(key) => key.service.as_ref(),
        }
    }

    /// The answer that this caller may not do what it asked for.
    pub(crate) fn refused(&self, tenant: Option<&TenantId>, detail: &str) -> Failure {
        Failure::new(ErrorCode::Forbidden, detail).denied(Denied { who: self.who(), tenant: tenant.cloned() })
    }

    fn owns_type(&self, event_type: &str) -> bool {
        match self {
            Self::Holder(key) if key.role == Role::Producer => covers_type(&key.type_prefixes, event_type),
            _ => true,
        }
    }
}

/// Reads the key out of the `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Failure> {
    let missing = || Failure::new(ErrorCode::Unauthenticated, "The header 'Authorization: Bearer <key>' is required.");
    let value = headers.get(AUTHORIZATION).ok_or_else(missing)?.to_str().map_err(|_| missing())?;
    let (scheme, secret) = value.split_once(' ').ok_or_else(missing)?;
    let secret = secret.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty() { Ok(secret) } else { Err(missing()) }
}

/// That a caller was refused; goes with the answer to where it leaves the server, and from there to the engine.
#[derive(Debug, Clone)]
pub(crate) struct Denied {
    pub(crate) who: Who,
    /// Whose data it was about, where it was one tenant's.
    pub(crate) tenant: Option<TenantId>,
}

impl FromRequestParts<App> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        Self::authenticate(app, &parts.headers).await
    }
}

/// A caller who may do everything.
pub(crate) struct Admin(Caller);

impl Admin {
    /// Who it is.
    pub(crate) fn who(&self) -> Who {
        self.0.who()
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let caller = Caller::authenticate(app, &parts.headers).await?;
        if caller.role() == Role::Admin {
            Ok(Self(caller))
        } else {
            Err(caller.refused(None, "This takes an admin's key."))
        }
    }
}

/// A caller who may emit events, of some tenants and types.
pub(crate) struct Producer(Caller);

impl Producer {
    /// Checks that the caller may emit all of these events. `path` writes where an event stands in the body.
    pub(crate) fn check(&self, events: &[Event], path: impl Fn(usize) -> String) -> Result<(), Failure> {
        let mut violations = Vec::new();
        for (index, event) in events.iter().enumerate() {
            if violations.len() >= tidings_event::limits::VIOLATIONS_MAX {
                break;
            }
            if !self.0.covers(&event.tenant) {
                violations.push(Violation {
                    path: format!("{}/tenant", path(index)),
                    code: "tenant_forbidden",
                    message: "the key does not open this tenant".to_owned(),
                });
            } else if !self.0.owns_type(event.event_type.as_str()) {
                violations.push(Violation {
                    path: format!("{}/type", path(index)),
                    code: "type_forbidden",
                    message: "the key does not own this type".to_owned(),
                });
            }
        }
        if violations.is_empty() {
            return Ok(());
        }
        let tenant = match events {
            [only] => Some(&only.tenant),
            _ => None,
        };
        let refused = self.0.refused(tenant, "The key does not allow all of these events; nothing was written.");
        Err(refused.with_errors(violations))
    }

    /// Who emits, for the judgement of the catalog.
    pub(crate) fn emitter(&self) -> Emitter {
        Emitter::Key { who: self.0.who(), service: self.0.service().cloned() }
    }

    /// Whether the caller's key opens this tenant and this type. Whether the catalog lets it emit the type is for the
    /// engine to say.
    pub(crate) fn opens(&self, tenant: &TenantId, event_type: &EventType) -> bool {
        self.0.covers(tenant) && self.0.owns_type(event_type.as_str())
    }

    /// Whether the caller may do everything.
    pub(crate) fn is_admin(&self) -> bool {
        self.0.role() == Role::Admin
    }
}

impl FromRequestParts<App> for Producer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let caller = Caller::authenticate(app, &parts.headers).await?;
        match caller.role() {
            Role::Admin | Role::Producer => Ok(Self(caller)),
            Role::Consumer | Role::Auditor => Err(caller.refused(None, "This takes a producer's key.")),
        }
    }
}

/// A caller who may change the catalog: an admin all of it, a producer's key with a service the definitions that the
/// service owns, of the types that its prefixes cover. Which those are is for the engine to say.
pub(crate) struct Author(Caller);

impl Author {
    /// Who it is, and what it is limited to.
    pub(crate) fn limits(&self) -> tidings_engine::catalog::Author {
        let who = self.0.who();
        match &self.0 {
            Caller::Holder(key) if key.role != Role::Admin => tidings_engine::catalog::Author {
                who,
                service: key.service.clone(),
                type_prefixes: key.type_prefixes.clone(),
                tenants: key.tenants.clone(),
            },
            Caller::Operator | Caller::Holder(_) => who.into(),
        }
    }

    /// The answer that the caller may not change all of what it asked for.
    pub(crate) fn refused(&self, detail: &str) -> Failure {
        self.0.refused(None, detail)
    }
}

impl From<Admin> for Author {
    fn from(Admin(caller): Admin) -> Self {
        Self(caller)
    }
}

impl FromRequestParts<App> for Author {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let caller = Caller::authenticate(app, &parts.headers).await?;
        match caller.role() {
            Role::Admin => Ok(Self(caller)),
            Role::Producer if caller.service().is_some() => Ok(Self(caller)),
            Role::Producer | Role::Consumer | Role::Auditor => {
                Err(caller.refused(None, "This takes an admin's key, or a producer's key that names its service."))
            }
        }
    }
}

/// A caller who may look into what all its tenants have in common: an admin, or an auditor.
pub(crate) struct Inspector(Caller);

impl Inspector {
    /// The tenants that the caller is limited to; none where it is not.
    pub(crate) fn tenants(&self) -> Option<&[TenantId]> {
        Some(self.0.tenants()).filter(|tenants| !tenants.is_empty())
    }

    /// Checks that the caller may look into a tenant.
    pub(crate) fn check(&self, tenant: &TenantId) -> Result<(), Failure> {
        self.0.may_read(tenant)
    }
}

impl FromRequestParts<App> for Inspector {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let caller = Caller::authenticate(app, &parts.headers).await?;
        match caller.role() {
            Role::Admin | Role::Auditor => Ok(Self(caller)),
            Role::Producer | Role::Consumer => Err(caller.refused(None, "This takes an admin's or an auditor's key.")),
        }
    }
}

/// A caller who may read the tenant that the path names.
pub(crate) struct Reader {
    pub(crate) tenant: TenantId,
    caller: Caller,
    /// The path's other parameters, by name.
    params: Vec<(String, String)>,
}

impl Reader {
    /// A parameter of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str())
    }

    /// The answer that the caller may not do this in the tenant.
    pub(crate) fn refused(&self, detail: &str) -> Failure {
        self.caller.refused(Some(&self.tenant), detail)
    }

    /// Whether the caller may do everything.
    pub(crate) fn is_admin(&self) -> bool {
        self.caller.role() == Role::Admin
    }

    /// Whether the caller may also change what it reads here.
    pub(crate) fn manages(&self) -> bool {
        self.caller.may_manage(&self.tenant).is_ok()
    }

    async fn of(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let caller = Caller::authenticate(app, &parts.headers).await?;
        let params = path_params(parts, app).await?;
        let name = params.iter().find(|(name, _)| name == "tenant").map_or("", |(_, value)| value.as_str());
        let tenant = TenantId::parse(name).map_err(|error| invalid_param("tenant", "tenant_malformed", &error))?;
        Ok(Self { tenant, caller, params })
    }
}

impl FromRequestParts<App> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let reader = Self::of(parts, app).await?;
        reader.caller.may_read(&reader.tenant)?;
        Ok(reader)
    }
}

/// A caller who may change what belongs to the tenant that the path names: its endpoints and their dead letters.
pub(crate) struct Manager(Reader);

impl Manager {
    /// Who it is.
    pub(crate) fn who(&self) -> Who {
        self.0.caller.who()
    }
}

impl std::ops::Deref for Manager {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.0
    }
}

impl FromRequestParts<App> for Manager {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let reader = Reader::of(parts, app).await?;
        reader.caller.may_manage(&reader.tenant)?;
        Ok(Self(reader))
    }
}

/// The parameters of the path, decoded.
async fn path_params(parts: &mut Parts, app: &App) -> Result<Vec<(String, String)>, Failure> {
    let params = RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|_| Failure::new(ErrorCode::RequestInvalid, "A segment of the path is not percent-encoded UTF-8."))?;
    Ok(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The parameters of a path that names no tenant.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str())
    }
}

impl FromRequestParts<App> for Params {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        path_params(parts, app).await.map(Self)
    }
}

/// The refusal of a segment of the path.
pub(crate) fn invalid_param(name: &str, code: &'static str, message: &dyn std::fmt::Display) -> Failure {
    let violation = Violation { path: format!("path/{name}"), code, message: message.to_string() };
    Failure::new(ErrorCode::RequestInvalid, format!("The path's '{name}' {message}.")).with_errors(vec![violation])
}

#[cfg(test)]
mod tests {
    use tidings_event::Timestamp;

    use super::*;

    fn holder(role: Role, tenants: &[&str], type_prefixes: &[&str]) -> Caller {
        Caller::Holder(Box::new(KeyRow {
            id: "key_1".to_owned(),
            hash: [0; 32],
            role,
            tenants: tenants.iter().map(|t| TenantId::parse(t).expect("a tenant")).collect(),
            type_prefixes: type_prefixes.iter().map(|&p| p.to_owned()).collect(),
            service: None,
            description: String::new(),
            created_at: Timestamp::from_micros(0),
            expires_at: None,
            revoked_at: None,
        }))
    }

    #[test]
    fn a_key_reads_only_the_tenants_it_names() {
        let check = |role, tenants: &[&str], tenant: &str, expect: bool| {
            let tenant = TenantId::parse(tenant).expect("a tenant");
            assert_eq!(holder(role, tenants, &[]).may_read(&tenant).is_ok(), expect, "{role:?} {tenants:?} {tenant}");
        };
        check(Role::Consumer, &["acme"], "acme", true);
        check(Role::Consumer, &["acme"], "globex", false);
        check(Role::Consumer, &[], "acme", false);
        check(Role::Auditor, &["acme"], "acme", true);
        check(Role::Auditor, &["acme"], "globex", false);
        check(Role::Auditor, &[], "globex", true);
        check(Role::Producer, &["acme"], "acme", false);
        check(Role::Producer, &[], "acme", false);
        check(Role::Admin, &[], "acme", true);
    }

    #[test]
    fn a_key_changes_only_what_belongs_to_its_tenant_and_an_auditors_nothing() {
        let check = |role, tenants: &[&str], tenant: &str, expect: bool| {
            let tenant = TenantId::parse(tenant).expect("a tenant");
            assert_eq!(holder(role, tenants, &[]).may_manage(&tenant).is_ok(), expect, "{role:?} {tenants:?} {tenant}");
        };
        check(Role::Admin, &[], "acme", true);
        check(Role::Consumer, &["acme"], "acme", true);
        check(Role::Consumer, &["acme"], "globex", false);
        check(Role::Consumer, &[], "acme", false);
        check(Role::Auditor, &["acme"], "acme", false);
        check(Role::Auditor, &[], "acme", false);
        check(Role::Producer, &["acme"], "acme", false);
        check(Role::Producer, &[], "acme", false);
    }

    #[test]
    fn a_producer_owns_whole_segments_of_types() {
        let check = |prefixes: &[&str], event_type: &str, expect: bool| {
            assert_eq!(
                holder(Role::Producer, &[], prefixes).owns_type(event_type),
                expect,
                "{prefixes:?} {event_type}"
            );
        };
        check(&[], "sales.lead.created", true);
        check(&["sales."], "sales.lead.created", true);
        check(&["sales"], "sales.lead.created", true);
        check(&["sales"], "salesforce.lead.created", false);
        check(&["sales.lead.created"], "sales.lead.created", true);
        check(&["sales.lead.created"], "sales.lead.created_twice", false);
        check(&["hr.", "sales.lead."], "sales.lead.created", true);
        check(&["hr.", "sales.lead."], "sales.offer.created", false);
    }
}

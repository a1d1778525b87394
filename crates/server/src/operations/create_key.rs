//! `POST /v1/keys`: makes a key.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_engine::{NewKey, Role};
use tidings_event::{ErrorCode, TenantId, Text, Timestamp, Violation};

use super::key::render;
use crate::app::App;
use crate::auth::Admin;
use crate::body::{collect, expect_json};
use crate::failure::Failure;
use crate::limits::{KEY_DESCRIPTION_CHARS_MAX, KEY_TENANTS_MAX, KEY_TYPE_PREFIXES_MAX, SMALL_BODY_BYTES_MAX};
use crate::{json, wire};

crate::problems!(Problems: BodyMalformed, RequestInvalid, RequestTimeout, BodyTooLarge, ContentTypeUnsupported,
    StorageUnavailable);

/// Create a key
///
/// The answer holds the secret, this once.
#[utoipa::path(
    post, path = "/v1/keys", tag = "keys", operation_id = "create_key",
    request_body(content = wire::NewKey, description = "What the key shall be."),
    responses((status = 201, description = "The key and its secret.", body = wire::CreatedKey), Problems),
    security(("key" = ["admin"])),
)]
pub(crate) async fn create_key(
    State(app): State<App>,
    admin: Admin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    expect_json(&headers)?;
    let body = collect(&app.admission, &headers, body, SMALL_BODY_BYTES_MAX).await?;
    let new = check(json::read(&body.bytes)?)?;
    let (row, secret) = app.engine.create_key(&admin.who(), new).await?;
    json::answer(StatusCode::CREATED, &wire::CreatedKey { key: secret, row: render(&row) })
}

/// Collects all that is wrong with a request for a key.
#[derive(Default)]
struct Report(Vec<Violation>);

impl Report {
    fn add(&mut self, path: impl Into<String>, code: &'static str, message: impl Into<String>) {
        if self.0.len() < tidings_event::limits::VIOLATIONS_MAX {
            self.0.push(Violation { path: path.into(), code, message: message.into() });
        }
    }
}

fn check(request: wire::NewKey) -> Result<NewKey, Failure> {
    let mut report = Report::default();
    let role = role(request.role);
    let tenants = tenants(role, &request.tenants, &mut report);
    check_prefixes(role, &request.type_prefixes, &mut report);
    let service = request.service.as_deref().and_then(|name| service(role, name, &mut report));
    if request.description.chars().count() > KEY_DESCRIPTION_CHARS_MAX {
        let message = format!("must have at most {KEY_DESCRIPTION_CHARS_MAX} characters");
        report.add("/description", "string_too_long", message);
    }
    let expires_at = request.expires_at.as_deref().and_then(|text| {
        let parsed = Timestamp::parse(text);
        if parsed.is_err() {
            report.add("/expires_at", "timestamp_malformed", "must be a moment in RFC 3339");
        }
        parsed.ok()
    });
    let Report(violations) = report;
    if let Some(first) = violations.first() {
        let detail = format!("{}: {}", first.path, first.message);
        return Err(Failure::new(ErrorCode::RequestInvalid, detail).with_errors(violations));
    }
    let (type_prefixes, description) = (request.type_prefixes, request.description);
    Ok(NewKey { role, tenants, type_prefixes, service, description, expires_at })
}

fn role(role: wire::Role) -> Role {
    match role {
        wire::Role::Admin => Role::Admin,
        wire::Role::Producer => Role::Producer,
        wire::Role::Consumer => Role::Consumer,
        wire::Role::Auditor => Role::Auditor,
    }
}

fn tenants(role: Role, names: &[String], report: &mut Report) -> Vec<TenantId> {
    match role {
        Role::Consumer if names.len() != 1 => {
            report.add("/tenants", "tenants_wrong", "must name exactly one tenant for a consumer");
        }
        Role::Admin if !names.is_empty() => {
            report.add("/tenants", "tenants_wrong", "must be empty for an admin, who may do everything");
        }
        _ if names.len() > KEY_TENANTS_MAX => {
            report.add("/tenants", "too_many", format!("must name at most {KEY_TENANTS_MAX} tenants"));
        }
        _ => {}
    }
    let mut tenants = Vec::with_capacity(names.len().min(KEY_TENANTS_MAX));
    for (index, name) in names.iter().enumerate() {
        match TenantId::parse(name) {
            Ok(tenant) => tenants.push(tenant),
            Err(error) => report.add(format!("/tenants/{index}"), "tenant_malformed", error.to_string()),
        }
    }
    tenants
}

fn service(role: Role, name: &str, report: &mut Report) -> Option<Text> {
    if role != Role::Producer {
        report.add("/service", "service_wrong", "must be left out: only producers emit");
        return None;
    }
    match Text::parse(name) {
        Ok(name) => Some(name),
        Err(error) => {
            report.add("/service", "service_wrong", error.to_string());
            None
        }
    }
}

fn check_prefixes(role: Role, prefixes: &[String], report: &mut Report) {
    if role != Role::Producer && !prefixes.is_empty() {
        report.add("/type_prefixes", "type_prefixes_wrong", "must be empty: only producers emit");
    }
    if prefixes.len() > KEY_TYPE_PREFIXES_MAX {
        report.add("/type_prefixes", "too_many", format!("must have at most {KEY_TYPE_PREFIXES_MAX} entries"));
    }
    for (index, prefix) in prefixes.iter().enumerate() {
        let segments = prefix.strip_suffix('.').unwrap_or(prefix);
        let whole = prefix.len() <= tidings_event::limits::TEXT_CHARS_MAX
            && segments.split('.').all(|segment| {
                segment.starts_with(|c: char| c.is_ascii_lowercase())
                    && segment.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            });
        if !whole {
            let message = "must be segments of a type, like 'sales.' or 'sales.lead.created'";
            report.add(format!("/type_prefixes/{index}"), "type_prefix_malformed", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_would_open_too_much_or_nothing_is_refused() {
        let refused = |body: &str| -> Vec<String> {
            let request = serde_json::from_str(body).unwrap_or_else(|error| panic!("{body}: {error}"));
            let Err(failure) = check(request) else { return Vec::new() };
            let problem: serde_json::Value = serde_json::from_slice(&failure.to_json()).expect("a document");
            let errors = problem["errors"].as_array().expect("errors").clone();
            errors.iter().map(|error| error["path"].as_str().unwrap_or_default().to_owned()).collect()
        };
        let none: [&str; 0] = [];
        assert_eq!(refused(r#"{"role":"admin"}"#), none);
        assert_eq!(refused(r#"{"role":"admin","tenants":["acme"]}"#), ["/tenants"]);
        assert_eq!(refused(r#"{"role":"consumer","tenants":["acme"]}"#), none);
        assert_eq!(refused(r#"{"role":"consumer"}"#), ["/tenants"]);
        assert_eq!(refused(r#"{"role":"consumer","tenants":["acme","globex"]}"#), ["/tenants"]);
        assert_eq!(refused(r#"{"role":"consumer","tenants":["a/b"]}"#), ["/tenants/0"]);
        assert_eq!(refused(r#"{"role":"auditor","type_prefixes":["sales."]}"#), ["/type_prefixes"]);
        assert_eq!(refused(r#"{"role":"producer","type_prefixes":["sales.","hr.person.hired"]}"#), none);
        assert_eq!(
            refused(r#"{"role":"producer","type_prefixes":["sales.*",""]}"#),
            ["/type_prefixes/0", "/type_prefixes/1"]
        );
        assert_eq!(refused(r#"{"role":"producer","expires_at":"tomorrow"}"#), ["/expires_at"]);
        assert_eq!(refused(r#"{"role":"producer","service":"sales"}"#), none);
        assert_eq!(refused(r#"{"role":"producer","service":""}"#), ["/service"]);
        assert_eq!(refused(r#"{"role":"admin","service":"sales"}"#), ["/service"]);
    }
}

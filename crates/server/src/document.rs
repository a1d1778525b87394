//! The OpenAPI document: what is beside the operations themselves.

use bytes::Bytes;
use tidings_event::ErrorCode;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi, RefOr, Schema, Tag};
use utoipa::{PartialSchema, ToSchema};

use crate::wire;

/// The OpenAPI document of this server, as `/openapi.json` gives it.
#[must_use]
pub fn openapi() -> OpenApi {
    complete(crate::operations::routes().split_for_parts().1)
}

/// Adds what no operation says by itself.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Tidings")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .contact(Some(ContactBuilder::new().url(Some(env!("CARGO_PKG_REPOSITORY"))).build()))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    document.tags = Some(TAGS.iter().map(|(name, description)| tag(name, description)).collect());
    let components = document.components.get_or_insert_default();
    let mut schemas = vec![(wire::Problem::name().into_owned(), wire::Problem::schema())];
    wire::Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    if let Some(RefOr::T(Schema::Object(problem))) = components.schemas.get_mut("Problem")
        && let Some(RefOr::T(Schema::Object(code))) = problem.properties.get_mut("code")
    {
        code.enum_values = Some(ErrorCode::ALL.iter().map(|code| code.as_str().into()).collect());
    }
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A key, as `Authorization: Bearer <key>`. What stands beside it in an operation's `security` are the roles \
             that may call the operation.",
        ))
        .build();
    components.security_schemes.insert("key".to_owned(), SecurityScheme::Http(scheme).into());
    document
}

/// The document as it is served and kept in the repository.
pub(crate) fn to_bytes(document: &OpenApi) -> Bytes {
    let mut json = document.to_pretty_json().expect("the document holds only what JSON can write");
    json.push('\n');
    json.into()
}

const DESCRIPTION: &str = "The event backbone of a product: events go in once they are facts, and come out in order, \
without gaps, at least once. Every failure is a problem document (RFC 9457) with a stable `code`. Lists page by \
opaque cursors. Unknown parameters and members are refused. Every answer carries `X-Request-Id`, the caller's own \
where one was sent.";

const TAGS: &[(&str, &str)] = &[
    ("events", "Emitting events, and finding them."),
    ("feed", "Reading a tenant's log with a cursor."),
    ("intents", "Emitting in two steps, for producers without a database of their own."),
    ("catalog", "The types of events: what they look like, who owns them, how they may change."),
    ("quarantine", "Events that broke the catalog's rules."),
    ("endpoints", "Where a tenant's events are delivered to, and how that goes."),
    ("dead letters", "Events that an endpoint did not take."),
    ("outbox", "The producers' outboxes, and the rows that the log refused."),
    ("tenants", "The tenants."),
    ("keys", "Who may do what."),
    ("operations", "How the server stands."),
];

fn tag(name: &str, description: &str) -> Tag {
    let mut tag = Tag::new(name);
    tag.description = Some(description.to_owned());
    tag
}

/// Codes that every operation behind a key can answer with.
pub(crate) const COMMON: &[ErrorCode] = &[
    ErrorCode::RequestInvalid,
    ErrorCode::Unauthenticated,
    ErrorCode::Forbidden,
    ErrorCode::Internal,
    ErrorCode::Overloaded,
    ErrorCode::Unavailable,
    ErrorCode::StorageUnavailable,
];

/// The documentation of these codes, by status.
pub(crate) fn problem_responses(
    codes: &[ErrorCode],
) -> std::collections::BTreeMap<String, RefOr<utoipa::openapi::Response>> {
    use utoipa::openapi::example::ExampleBuilder;
    use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, ResponseBuilder};

    let mut by_status: std::collections::BTreeMap<u16, Vec<ErrorCode>> = std::collections::BTreeMap::new();
    for code in COMMON.iter().chain(codes) {
        let of_status = by_status.entry(code.status()).or_default();
        if !of_status.contains(code) {
            of_status.push(*code);
        }
    }
    let response = |codes: &[ErrorCode]| {
        let example = |code: &ErrorCode| {
            let value: serde_json::Value =
                serde_json::from_slice(&tidings_event::Problem::new(*code, code.title()).to_json()).unwrap_or_default();
            (code.as_str().to_owned(), ExampleBuilder::new().summary(code.title()).value(Some(value)).build())
        };
        let names: Vec<String> = codes.iter().map(|code| format!("`{code}`: {}.", code.title())).collect();
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .examples_from_iter(codes.iter().map(example))
            .build();
        ResponseBuilder::new().description(names.join(" ")).content("application/problem+json", content)
    };
    let header = |status: u16| match status {
        401 => Some(("WWW-Authenticate", "`Bearer`.")),
        429 | 503 => Some(("Retry-After", "Seconds after which to try again.")),
        _ => None,
    };
    let documented = |(status, codes): (&u16, &Vec<ErrorCode>)| {
        let response = match header(*status) {
            Some((name, description)) => {
                let header = HeaderBuilder::new().schema(Some(String::schema())).description(Some(description)).build();
                response(codes).header(name, header)
            }
            None => response(codes),
        };
        (status.to_string(), response.build().into())
    };
    by_status.iter().map(documented).collect()
}

/// Declares which problems an operation answers with, beside those that all can.
macro_rules! problems {
    ($name:ident: $($code:ident),+ $(,)?) => {
        /// The problems that the operation answers with.
        pub(crate) struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses()
            -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::response::Response>> {
                $crate::document::problem_responses(&[$(tidings_event::ErrorCode::$code),+])
            }
        }
    };
}

pub(crate) use problems;

//! The catalog between wire and domain: what several operations share.

pub(crate) mod change;
pub(crate) mod parse;
pub(crate) mod render;

use axum::response::Response;
use http::{HeaderMap, StatusCode};
use tidings_catalog::entry::{Key, Kind};
use tidings_catalog::judge::Catalog;
use tidings_engine::CatalogError;
use tidings_engine::catalog::HistorySearch;
use tidings_event::{ErrorCode, EventType, Version};
use utoipa::IntoParams;

use crate::app::Shared;
use crate::auth::{Params, Reader};
use crate::cursors::List;
use crate::failure::{Failure, below};
use crate::limits::PAGE_BYTES_MAX;
use crate::members::refusal;
use crate::negotiate::choose;
use crate::query::Query;
use crate::{json, wire};

/// How an entry is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As JSON with all defaults written out.
    Json,
    /// As its author wrote it, under this media type.
    Source(&'static str),
}

impl Form {
    /// The form that `Accept` asks for.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        const OFFERS: &[(&str, Form)] = &[
            ("application/json", Form::Json),
            ("application/yaml", Form::Source("application/yaml")),
            ("text/yaml", Form::Source("text/yaml")),
            ("application/x-yaml", Form::Source("application/x-yaml")),
            ("text/plain", Form::Source("text/plain; charset=utf-8")),
        ];
        choose(headers, OFFERS)
    }
}

/// The parameters of a list that is not searched, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
pub(crate) struct PageParameters {
    /// Entries of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the list goes on: the cursor of the page before.
    cursor: Option<String>,
}

/// The definition that the path names.
pub(crate) fn definition_key(params: &Params) -> Key {
    let (name, version) = (params.get("name").to_owned(), params.get("version").to_owned());
    Key { kind: Kind::Definition, name, version }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        let code = error.code();
        match error {
            CatalogError::QuarantinedNotFound => {
                Self::new(code, "The tenant has no event in quarantine with this number.")
            }
            CatalogError::NotOwned(violations) => refusal(code, violations),
            CatalogError::Busy => {
                Self::new(code, "Others changed the catalog while the change was checked; nothing was changed.")
            }
            CatalogError::Full { what, max } => {
                Self::new(code, format!("The catalog may hold {max} {what}; nothing was changed."))
            }
            CatalogError::TooLarge { what, max } => Self::new(code, format!("One change may have {max} {what}.")),
            CatalogError::ControlCharacter => {
                Self::new(code, "Names and reasons must not hold control characters; nothing was changed.")
            }
            CatalogError::Cursor => Self::new(code, "The cursor was not made for this list."),
            CatalogError::Append(error) => error.into(),
            CatalogError::Store(_) | CatalogError::ShuttingDown => below(code, &error),
        }
    }
}

/// Checks that there can be a definition of this name at all: what is no name need not be asked for.
fn expect_name(key: &Key) -> Result<(), Failure> {
    let version = key.version.is_empty() || Version::parse(&key.version).is_ok();
    if version && EventType::parse(&key.name).is_ok() { Ok(()) } else { Err(not_found(key)) }
}

/// The failure that the catalog has no such entry.
pub(crate) fn not_found(key: &Key) -> Failure {
    match key.kind {
        Kind::Definition if key.version.is_empty() => {
            Failure::new(ErrorCode::EventTypeNotFound, format!("The catalog has no type '{}'.", key.name))
        }
        Kind::Definition => Failure::new(
            ErrorCode::EventTypeNotFound,
            format!("The catalog has no version '{}' of '{}'.", key.version, key.name),
        ),
        Kind::Set | Kind::Policy => {
            Failure::new(ErrorCode::CatalogEntryNotFound, format!("The catalog has no {} '{}'.", key.kind, key.name))
        }
    }
}

/// An entry as its author wrote it.
pub(crate) fn source_of(catalog: &Catalog, key: &Key, media: &'static str) -> Result<Response, Failure> {
    let source = catalog.entry(key).and_then(|entry| entry.source.clone()).ok_or_else(|| not_found(key))?;
    Ok(json::typed(StatusCode::OK, media, source))
}

/// The number in quarantine that the path names. What is no number is the number of nothing.
pub(crate) fn quarantine_no(reader: &Reader) -> Result<i64, Failure> {
    reader.param("no").parse().map_err(|_| CatalogError::QuarantinedNotFound.into())
}

/// Checks that the caller may have events taken whatever rules they break: who set the rules may, and nobody else.
pub(crate) fn expect_as_is(reader: &Reader, as_is: bool) -> Result<(), Failure> {
    if as_is && !reader.is_admin() {
        return Err(reader.refused("To take events as they are takes an admin's key."));
    }
    Ok(())
}

/// A page of the history of a definition, or of all versions of a type.
pub(crate) async fn history(app: &Shared, query: &Query, key: &Key) -> Result<Response, Failure> {
    let limit = query.limit()?;
    let list = List::History.within(&[&key.name, &key.version], query);
    let after = query.get("cursor").map(|text| app.open_name(list, text)).transpose()?;
    expect_name(key)?;
    let after = after.as_deref().and_then(read_place);
    let is_first = after.is_none();
    let version = Some(key.version.as_str()).filter(|version| !version.is_empty());
    let search = HistorySearch { after, limit, bytes: PAGE_BYTES_MAX };
    let page = app.engine.catalogs().history(key.kind, &key.name, version, search).await?;
    if is_first && page.revisions.is_empty() {
        return Err(not_found(key));
    }
    let last = page.revisions.last().filter(|_| !page.complete);
    let cursor = last.map(|last| app.seal_name(list, &format!("{} {}", last.revision, last.entry.key.version)));
    let data = page.revisions.into_iter().map(render::revision).collect();
    json::answer(StatusCode::OK, &wire::CatalogRevisionList { data, cursor })
}

/// The place of a revision in a cursor: the change that made it, and its version.
fn read_place(text: &str) -> Option<(u64, String)> {
    let (revision, version) = text.split_once(' ')?;
    Some((revision.parse().ok()?, version.to_owned()))
}

//! `GET /v1/tenants/{tenant}/endpoints`: a tenant's endpoints.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tidings_event::EndpointId;
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::Reader;
use crate::cursors::{List, cut};
use crate::endpoints::render;
use crate::failure::Failure;
use crate::query::Query;
use crate::{json, wire};

crate::problems!(Problems: RequestInvalid, CursorInvalid, CursorMismatch, StorageUnavailable);

/// The parameters, as they are documented.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the documentation only")]
struct Parameters {
    /// Endpoints of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Where the list goes on: the cursor of the page before, with all other parameters as they were.
    cursor: Option<String>,
}

/// List endpoints
///
/// By id, which is the order in which they were made; paused and disabled ones too. Secrets are never listed.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/endpoints", tag = "endpoints", operation_id = "list_endpoints",
    params(("tenant" = String, Path, description = "The tenant's name."), Parameters),
    responses((status = 200, description = "A page of endpoints.", body = wire::EndpointList), Problems),
    security(("key" = ["admin", "consumer", "auditor"])),
)]
pub(crate) async fn endpoints(
    State(app): State<App>,
    reader: Reader,
    RawQuery(raw): RawQuery,
) -> Result<Response, Failure> {
    let query = Query::parse(raw.as_deref(), &["limit", "cursor"], &[])?;
    let limit = query.limit()?;
    let list = List::Endpoints.within(&[reader.tenant.as_str()], &query);
    let after = query.get("cursor").map(|text| app.open_name(list, text)).transpose()?.map(EndpointId::trusted);
    let mut rows = app.engine.endpoints().list(&reader.tenant, after.as_ref(), limit + 1).await?;
    let cursor = cut(&mut rows, limit).map(|row| app.seal_name(list, row.id.as_str()));
    let data = rows.iter().map(|row| render::endpoint(row, reader.manages())).collect();
    json::answer(StatusCode::OK, &wire::EndpointList { data, cursor })
}

//! Reading endpoints.

use tidings_event::{EndpointId, TenantId};

use super::answers::PAGE_MAX;
use super::error::EndpointError;
use super::types::Endpoint;
use super::{Endpoints, Result};

impl Endpoints {
    /// One endpoint.
    pub async fn get(&self, tenant: &TenantId, id: &EndpointId) -> Result<Endpoint> {
        let (_, row) = self.row(tenant, id).await?;
        Endpoint::of(&row).map_err(EndpointError::unreadable)
    }

    /// Endpoints by id, after the given one; at most `limit`, and never more than [`PAGE_MAX`]. None for a tenant that was never seen.
    pub async fn list(&self, tenant: &TenantId, after: Option<&EndpointId>, limit: usize) -> Result<Vec<Endpoint>> {
        let Some(place) = self.feeds().places.find(tenant).await? else { return Ok(Vec::new()) };
        let rows = self.feeds().store.endpoints(place.no, after, limit.min(PAGE_MAX)).await?;
        rows.iter().map(|row| Endpoint::of(row).map_err(EndpointError::unreadable)).collect()
    }
}

//! What the store keeps of subscriptions and their delivery.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_event::delivery::{AttemptRow, DeadRow, RetryRow, RouteCommit};
use tidings_event::{EndpointId, EndpointNo, LaneNo, PartitionId, ReplayNo, Revision, Sequence, TenantNo, Timestamp};

use super::{PostgresStore, attempts, commit_route, dead, endpoints, replays, routers};
use crate::{
    Append, AttemptQuery, DeadFate, DeadLetter, DeadQuery, DecideEndpoint, DeliveryState, DeliveryStore,
    EndpointChanged, EndpointRow, ReplayRow, Result, RouteOutcome, RouterState, RoutingChanges,
};

#[async_trait]
impl DeliveryStore for PostgresStore {
    async fn change_endpoint(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        id: &EndpointId,
        decide: DecideEndpoint,
        appends: Vec<Append>,
    ) -> Result<EndpointChanged> {
        let (appends, elsewhere) = self.split(appends);
        let change = endpoints::Change { partition, tenant, id: id.clone(), elsewhere };
        endpoints::change(Arc::clone(&self.connections), Arc::clone(&self.names), change, decide, appends).await
    }

    async fn endpoint(&self, tenant: TenantNo, id: &EndpointId) -> Result<Option<EndpointRow>> {
        endpoints::by_id(self.connections.reader().await?, tenant, id).await
    }

    async fn endpoints(&self, tenant: TenantNo, after: Option<&EndpointId>, limit: usize) -> Result<Vec<EndpointRow>> {
        endpoints::list(self.connections.reader().await?, tenant, after, limit).await
    }

    async fn all_endpoints(&self, after: EndpointNo, limit: usize) -> Result<Vec<EndpointRow>> {
        endpoints::all(self.connections.reader().await?, after, limit).await
    }

    async fn router_state(&self, partition: PartitionId) -> Result<RouterState> {
        routers::state(self.connections.reader().await?, partition).await
    }

    async fn routing(&self, partition: PartitionId, after: Revision) -> Result<RoutingChanges> {
        routers::routing(self.connections.reader().await?, partition, after).await
    }

    async fn commit_route(&self, commit: &RouteCommit, appends: Vec<Append>) -> Result<RouteOutcome> {
        let (connections, names) = (Arc::clone(&self.connections), Arc::clone(&self.names));
        let (appends, elsewhere) = self.split(appends);
        commit_route::commit_route(connections, names, commit.clone(), appends, elsewhere).await
    }

    async fn attempts(&self, endpoint: EndpointNo, query: &AttemptQuery) -> Result<Vec<AttemptRow>> {
        attempts::list(self.connections.reader().await?, endpoint, query).await
    }

    async fn dead_letters(&self, tenant: TenantNo, query: &DeadQuery) -> Result<Vec<DeadLetter>> {
        dead::list(self.connections.reader().await?, tenant, query).await
    }

    async fn settle_dead(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        query: &DeadQuery,
        fate: DeadFate,
    ) -> Result<Vec<(EndpointNo, Sequence)>> {
        dead::settle(self.connections.writer().await?, partition, tenant, query, fate).await
    }

    async fn retry(&self, lane: LaneNo, sequence: Sequence) -> Result<Option<RetryRow>> {
        dead::retry(self.connections.reader().await?, lane, sequence).await
    }

    async fn dead(&self, endpoint: EndpointNo, sequence: Sequence) -> Result<Option<DeadRow>> {
        dead::dead(self.connections.reader().await?, endpoint, sequence).await
    }

    async fn delivery(&self, endpoint: EndpointNo) -> Result<Option<DeliveryState>> {
        dead::state(self.connections.reader().await?, endpoint).await
    }

    async fn insert_replay(
        &self,
        partition: PartitionId,
        row: ReplayRow,
        running_max: u64,
    ) -> Result<Option<ReplayRow>> {
        replays::insert(self.connections.writer().await?, partition, &row, running_max).await
    }

    async fn cancel_replay(&self, partition: PartitionId, no: ReplayNo, at: Timestamp) -> Result<Option<ReplayRow>> {
        replays::cancel(self.connections.writer().await?, partition, no, at).await
    }

    async fn replay(&self, endpoint: EndpointNo, id: &str) -> Result<Option<(ReplayRow, Option<Sequence>)>> {
        replays::by_id(self.connections.reader().await?, endpoint, id).await
    }

    async fn replays(&self, endpoint: EndpointNo, before: Option<ReplayNo>, limit: usize) -> Result<Vec<ReplayRow>> {
        replays::list(self.connections.reader().await?, endpoint, before, limit).await
    }

    async fn keep_attempts(&self, now: Timestamp, keep_from: Timestamp) -> Result<bool> {
        attempts::keep(&self.connections, now, keep_from).await
    }
}

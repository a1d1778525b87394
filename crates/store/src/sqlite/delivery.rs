//! What the store keeps of subscriptions and their delivery.

use std::sync::Arc;

use async_trait::async_trait;
use tidings_event::delivery::{AttemptRow, DeadRow, RetryRow, RouteCommit};
use tidings_event::{EndpointId, EndpointNo, LaneNo, PartitionId, ReplayNo, Revision, Sequence, TenantNo, Timestamp};

use super::attempts::{self, Tidied};
use super::{SqliteStore, commit_route, dead, endpoints, replays, routers};
use crate::{
    Append, AttemptQuery, DeadFate, DeadLetter, DeadQuery, DecideEndpoint, DeliveryState, DeliveryStore,
    EndpointChanged, EndpointRow, ReplayRow, Result, RouteOutcome, RouterState, RoutingChanges,
};

#[async_trait]
impl DeliveryStore for SqliteStore {
    async fn change_endpoint(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        id: &EndpointId,
        decide: DecideEndpoint,
        appends: Vec<Append>,
    ) -> Result<EndpointChanged> {
        let (names, id) = (Arc::clone(&self.names), id.clone());
        self.writer
            .call(move |connection, caller| {
                let change = endpoints::Change { partition, tenant, id: &id };
                endpoints::change(connection, &names, &change, decide, appends, caller)
            })
            .await
    }

    async fn endpoint(&self, tenant: TenantNo, id: &EndpointId) -> Result<Option<EndpointRow>> {
        let id = id.clone();
        self.readers.call(move |connection| endpoints::by_id(connection, tenant, &id)).await
    }

    async fn endpoints(&self, tenant: TenantNo, after: Option<&EndpointId>, limit: usize) -> Result<Vec<EndpointRow>> {
        let after = after.cloned();
        self.readers.call(move |connection| endpoints::list(connection, tenant, after.as_ref(), limit)).await
    }

    async fn all_endpoints(&self, after: EndpointNo, limit: usize) -> Result<Vec<EndpointRow>> {
        self.readers.call(move |connection| endpoints::all(connection, after, limit)).await
    }

    async fn router_state(&self, partition: PartitionId) -> Result<RouterState> {
        self.readers.call(move |connection| routers::state(connection, partition)).await
    }

    async fn routing(&self, partition: PartitionId, after: Revision) -> Result<RoutingChanges> {
        self.readers.call(move |connection| routers::routing(connection, partition, after)).await
    }

    async fn commit_route(&self, commit: &RouteCommit, appends: Vec<Append>) -> Result<RouteOutcome> {
        let (names, commit) = (Arc::clone(&self.names), commit.clone());
        self.writer.call(move |connection, _| commit_route::commit_route(connection, &names, &commit, appends)).await
    }

    async fn attempts(&self, endpoint: EndpointNo, query: &AttemptQuery) -> Result<Vec<AttemptRow>> {
        let query = query.clone();
        self.readers.call(move |connection| attempts::list(connection, endpoint, &query)).await
    }

    async fn dead_letters(&self, tenant: TenantNo, query: &DeadQuery) -> Result<Vec<DeadLetter>> {
        let query = query.clone();
        self.readers.call(move |connection| dead::list(connection, tenant, &query)).await
    }

    async fn settle_dead(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        query: &DeadQuery,
        fate: DeadFate,
    ) -> Result<Vec<(EndpointNo, Sequence)>> {
        let query = query.clone();
        self.writer.call(move |connection, _| dead::settle(connection, partition, tenant, &query, fate)).await
    }

    async fn retry(&self, lane: LaneNo, sequence: Sequence) -> Result<Option<RetryRow>> {
        self.readers.call(move |connection| dead::retry(connection, lane, sequence)).await
    }

    async fn dead(&self, endpoint: EndpointNo, sequence: Sequence) -> Result<Option<DeadRow>> {
        self.readers.call(move |connection| dead::dead(connection, endpoint, sequence)).await
    }

    async fn delivery(&self, endpoint: EndpointNo) -> Result<Option<DeliveryState>> {
        self.readers.call(move |connection| dead::state(connection, endpoint)).await
    }

    async fn insert_replay(
        &self,
        partition: PartitionId,
        row: ReplayRow,
        running_max: u64,
    ) -> Result<Option<ReplayRow>> {
        self.writer.call(move |connection, _| replays::insert(connection, partition, row, running_max)).await
    }

    async fn cancel_replay(&self, partition: PartitionId, no: ReplayNo, at: Timestamp) -> Result<Option<ReplayRow>> {
        self.writer.call(move |connection, _| replays::cancel(connection, partition, no, at)).await
    }

    async fn replay(&self, endpoint: EndpointNo, id: &str) -> Result<Option<(ReplayRow, Option<Sequence>)>> {
        let id = id.to_owned();
        self.readers.call(move |connection| replays::by_id(connection, endpoint, &id)).await
    }

    async fn replays(&self, endpoint: EndpointNo, before: Option<ReplayNo>, limit: usize) -> Result<Vec<ReplayRow>> {
        self.readers.call(move |connection| replays::list(connection, endpoint, before, limit)).await
    }

    async fn keep_attempts(&self, _now: Timestamp, keep_from: Timestamp) -> Result<bool> {
        // Room needs no making here; each piece is a transaction of its own, so that other writes come between.
        let mut dropped = false;
        while let Tidied::Some { attempts } =
            self.writer.call(move |connection, _| attempts::tidy(connection, keep_from)).await?
        {
            dropped |= attempts;
        }
        Ok(dropped)
    }
}

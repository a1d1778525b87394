//! Subscriptions and their delivery.

use super::*;
use crate::*;
use std::time::Duration;
use tidings_event::delivery::*;
use tidings_event::*;

#[async_trait]
#[allow(unused_variables)]
impl DeliveryStore for SqliteStore {
    async fn change_endpoint(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        id: &EndpointId,
        decide: DecideEndpoint,
        appends: Vec<Append>,
    ) -> Result<EndpointChanged> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn endpoint(&self, tenant: TenantNo, id: &EndpointId) -> Result<Option<EndpointRow>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn endpoints(&self, tenant: TenantNo, after: Option<&EndpointId>, limit: usize) -> Result<Vec<EndpointRow>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn claim_router(&self, partition: PartitionId, node: &str, ttl: Duration) -> Result<Option<Claim>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn renew_router(&self, partition: PartitionId, epoch: Epoch) -> Result<bool> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn release_router(&self, partition: PartitionId, epoch: Epoch) -> Result<()> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn router_state(&self, partition: PartitionId) -> Result<RouterState> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn routing(&self, partition: PartitionId, after: Revision) -> Result<RoutingChanges> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn commit_route(&self, commit: &RouteCommit, appends: Vec<Append>) -> Result<RouteOutcome> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn attempts(&self, endpoint: EndpointNo, query: &AttemptQuery) -> Result<Vec<AttemptRow>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn dead_letters(&self, tenant: TenantNo, query: &DeadQuery) -> Result<Vec<DeadLetter>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn settle_dead(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        query: &DeadQuery,
        fate: DeadFate,
    ) -> Result<Vec<(EndpointNo, Sequence)>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn retry(&self, lane: LaneNo, sequence: Sequence) -> Result<Option<RetryRow>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn dead(&self, endpoint: EndpointNo, sequence: Sequence) -> Result<Option<DeadRow>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn delivery(&self, endpoint: EndpointNo) -> Result<Option<DeliveryState>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn insert_replay(
        &self,
        partition: PartitionId,
        row: ReplayRow,
        running_max: u64,
    ) -> Result<Option<ReplayRow>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn cancel_replay(&self, partition: PartitionId, no: ReplayNo, at: Timestamp) -> Result<Option<ReplayRow>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn replay(&self, endpoint: EndpointNo, id: &str) -> Result<Option<(ReplayRow, Option<Sequence>)>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn replays(&self, endpoint: EndpointNo, before: Option<ReplayNo>, limit: usize) -> Result<Vec<ReplayRow>> {
        Err(Error::Broken("not there yet".to_owned()))
    }

    async fn keep_attempts(&self, now: Timestamp, keep_from: Timestamp) -> Result<bool> {
        Err(Error::Broken("not there yet".to_owned()))
    }
}

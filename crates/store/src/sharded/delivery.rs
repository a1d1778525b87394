//! Subscriptions and their delivery: all of a partition's lie in its database.

use async_trait::async_trait;
use futures_util::future::join_all;
use std::sync::Arc;
use tidings_event::delivery::{AttemptRow, DeadRow, RetryRow, RouteCommit};
use tidings_event::{EndpointId, EndpointNo, LaneNo, PartitionId, ReplayNo, Revision, Sequence, TenantNo, Timestamp};

use super::ShardedStore;
use super::places::{went_along, where_it_lives};
use crate::postgres::PostgresStore;
use crate::postgres::setup::SHARD_SHIFT;
use crate::{
    Append, AttemptQuery, DeadFate, DeadLetter, DeadQuery, DecideEndpoint, DeliveryState, DeliveryStore,
    EndpointChanged, EndpointRow, Error, ReplayRow, Result, RouteOutcome, RouterState, RoutingChanges, ShardNo,
};

/// The database that a number was given out by.
fn maker(no: i64) -> ShardNo {
    ShardNo(u16::try_from(no.unsigned_abs() >> SHARD_SHIFT).unwrap_or(u16::MAX))
}

impl ShardedStore {
    /// What goes to partitions of another database is kept until it is told there, so they must be there.
    fn check_partitions(&self, appends: &[Append]) -> Result<()> {
        match appends.iter().find(|append| self.all.shard_of_partition(append.partition).is_err()) {
            Some(append) => Err(Error::Broken(format!("there is no partition {}", append.partition))),
            None => Ok(()),
        }
    }

    /// The database of an endpoint.
    async fn of_endpoint(&self, no: EndpointNo) -> Result<Arc<PostgresStore>> {
        self.all.at(maker(no.get())).await
    }

    /// What was read of an endpoint, unless its tenant left the database that it was read from.
    async fn there<T>(&self, store: &PostgresStore, no: EndpointNo, read: Result<T>) -> Result<T> {
        if store.endpoint_left(no.get()).await? { Err(went_along()) } else { read }
    }
}

#[async_trait]
impl DeliveryStore for ShardedStore {
    async fn change_endpoint(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        id: &EndpointId,
        decide: DecideEndpoint,
        appends: Vec<Append>,
    ) -> Result<EndpointChanged> {
        self.check_partitions(&appends)?;
        self.all.of(partition).await?.change_endpoint(partition, tenant, id, decide, appends).await
    }

    async fn endpoint(&self, tenant: TenantNo, id: &EndpointId) -> Result<Option<EndpointRow>> {
        where_it_lives!(self.all, self.all.look_at_delivery(tenant), |store| store.endpoint(tenant, id))
    }

    async fn endpoints(&self, tenant: TenantNo, after: Option<&EndpointId>, limit: usize) -> Result<Vec<EndpointRow>> {
        where_it_lives!(self.all, self.all.look_at_delivery(tenant), |store| store.endpoints(tenant, after, limit))
    }

    async fn all_endpoints(&self, after: EndpointNo, limit: usize) -> Result<Vec<EndpointRow>> {
        // Numbers of a later database are above all of the one before.
        let mut rows = Vec::new();
        for no in maker(after.get()).0..=u16::try_from(self.all.shards.len()).unwrap_or(u16::MAX) {
            if rows.len() >= limit {
                break;
            }
            let room = limit - rows.len();
            rows.extend(self.all.at(ShardNo(no)).await?.all_endpoints(after, room).await?);
        }
        Ok(rows)
    }

    async fn router_state(&self, partition: PartitionId) -> Result<RouterState> {
        self.all.of(partition).await?.router_state(partition).await
    }

    async fn routing(&self, partition: PartitionId, after: Revision) -> Result<RoutingChanges> {
        self.all.of(partition).await?.routing(partition, after).await
    }

    async fn commit_route(&self, commit: &RouteCommit, appends: Vec<Append>) -> Result<RouteOutcome> {
        self.check_partitions(&appends)?;
        self.all.of(commit.partition).await?.commit_route(commit, appends).await
    }

    async fn attempts(&self, endpoint: EndpointNo, query: &AttemptQuery) -> Result<Vec<AttemptRow>> {
        self.of_endpoint(endpoint).await?.attempts(endpoint, query).await
    }

    async fn dead_letters(&self, tenant: TenantNo, query: &DeadQuery) -> Result<Vec<DeadLetter>> {
        where_it_lives!(self.all, self.all.look_at_delivery(tenant), |store| store.dead_letters(tenant, query))
    }

    async fn settle_dead(
        &self,
        partition: PartitionId,
        tenant: TenantNo,
        query: &DeadQuery,
        fate: DeadFate,
    ) -> Result<Vec<(EndpointNo, Sequence)>> {
        self.all.of(partition).await?.settle_dead(partition, tenant, query, fate).await
    }

    async fn retry(&self, lane: LaneNo, sequence: Sequence) -> Result<Option<RetryRow>> {
        self.all.at(maker(lane.0)).await?.retry(lane, sequence).await
    }

    async fn dead(&self, endpoint: EndpointNo, sequence: Sequence) -> Result<Option<DeadRow>> {
        let store = self.of_endpoint(endpoint).await?;
        let read = store.dead(endpoint, sequence).await;
        self.there(&store, endpoint, read).await
    }

    async fn delivery(&self, endpoint: EndpointNo) -> Result<Option<DeliveryState>> {
        let store = self.of_endpoint(endpoint).await?;
        let read = store.delivery(endpoint).await;
        self.there(&store, endpoint, read).await
    }

    async fn insert_replay(
        &self,
        partition: PartitionId,
        row: ReplayRow,
        running_max: u64,
    ) -> Result<Option<ReplayRow>> {
        self.all.of(partition).await?.insert_replay(partition, row, running_max).await
    }

    async fn cancel_replay(&self, partition: PartitionId, no: ReplayNo, at: Timestamp) -> Result<Option<ReplayRow>> {
        self.all.of(partition).await?.cancel_replay(partition, no, at).await
    }

    async fn replay(&self, endpoint: EndpointNo, id: &str) -> Result<Option<(ReplayRow, Option<Sequence>)>> {
        let store = self.of_endpoint(endpoint).await?;
        let read = store.replay(endpoint, id).await;
        self.there(&store, endpoint, read).await
    }

    async fn replays(&self, endpoint: EndpointNo, before: Option<ReplayNo>, limit: usize) -> Result<Vec<ReplayRow>> {
        let store = self.of_endpoint(endpoint).await?;
        let read = store.replays(endpoint, before, limit).await;
        self.there(&store, endpoint, read).await
    }

    async fn keep_attempts(&self, now: Timestamp, keep_from: Timestamp) -> Result<bool> {
        let all = (0..=self.all.shards.len()).map(async |at| {
            let store = self.all.at(ShardNo(u16::try_from(at).unwrap_or(0))).await?;
            store.keep_attempts(now, keep_from).await
        });
        // A database that is down must not keep the others from delivering: what is tried there before it is asked again
        // has room among the rest.
        let mut dropped: Option<bool> = None;
        let mut failure: Option<Error> = None;
        for kept in join_all(all).await {
            match kept {
                Ok(some) => dropped = Some(dropped.unwrap_or(false) | some),
                Err(error) => {
                    tracing::debug!(%error, "room for attempts could not be made in one of the databases");
                    failure = Some(error);
                }
            }
        }
        match (dropped, failure) {
            (Some(dropped), _) => Ok(dropped),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(false),
        }
    }
}

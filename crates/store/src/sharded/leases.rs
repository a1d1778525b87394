//! Nodes and leases: each database has its own, for its own partitions; the sources' are at home.

use std::time::Duration;

use async_trait::async_trait;
use tidings_event::{Epoch, Position, TenantId};

use super::ShardedStore;
use crate::{
    Beat, Boot, Claim, LeaseRole, LeaseRow, LeaseStore, Member, QuotaOutcome, QuotaRevision, QuotaRow, QuotaSlice,
    QuotaStore, Result, ShardNo, Slot,
};

#[async_trait]
impl LeaseStore for ShardedStore {
    fn shards(&self) -> u16 {
        u16::try_from(self.all.shards.len() + 1).unwrap_or(u16::MAX)
    }

    fn shard_of(&self, role: LeaseRole, slot: &Slot) -> ShardNo {
        if role == LeaseRole::Pump {
            return ShardNo(0);
        }
        slot.as_partition().and_then(|id| self.all.of.get(id.get() as usize)).copied().unwrap_or_default()
    }

    async fn beat(&self, shard: ShardNo, beat: &Beat, ttl: Duration) -> Result<Vec<Member>> {
        self.all.at(shard).await?.beat(ShardNo(0), beat, ttl).await
    }

    async fn leave(&self, shard: ShardNo, node: &str, boot: Boot) -> Result<()> {
        self.all.at(shard).await?.leave(ShardNo(0), node, boot).await
    }

    async fn claim(
        &self,
        role: LeaseRole,
        slot: &Slot,
        node: &str,
        boot: Boot,
        ttl: Duration,
    ) -> Result<Option<Claim>> {
        self.all.at(self.shard_of(role, slot)).await?.claim(role, slot, node, boot, ttl).await
    }

    async fn release(&self, role: LeaseRole, slot: &Slot, epoch: Epoch) -> Result<()> {
        self.all.at(self.shard_of(role, slot)).await?.release(role, slot, epoch).await
    }

    async fn advance(&self, role: LeaseRole, slot: &Slot, epoch: Epoch, checkpoint: Position) -> Result<bool> {
        self.all.at(self.shard_of(role, slot)).await?.advance(role, slot, epoch, checkpoint).await
    }

    async fn leases(&self, shard: ShardNo) -> Result<Vec<LeaseRow>> {
        self.all.at(shard).await?.leases(ShardNo(0)).await
    }

    async fn master_check(&self, check: &[u8; 32], replace: bool) -> Result<bool> {
        self.all.home.master_check(check, replace).await
    }
}

#[async_trait]
impl QuotaStore for ShardedStore {
    async fn put_quota(&self, row: &QuotaRow) -> Result<QuotaOutcome> {
        self.all.home.put_quota(row).await
    }

    async fn quota(&self, tenant: &TenantId) -> Result<Option<QuotaRow>> {
        self.all.home.quota(tenant).await
    }

    async fn quotas(&self, after: QuotaRevision, limit: usize) -> Result<QuotaSlice> {
        self.all.home.quotas(after, limit).await
    }
}

//! A tenant's move from one of the log's databases into another.
//!
//! 1. *Copy.* Its events are brought over, page by page, and proved to be the same there. Nobody notices.
//! 2. *Hold.* In the database that it leaves nothing is taken in for it any more.
//! 3. *Arrive.* The rest is brought over and proved, and in one transaction of the other database what its deliveries
//!    remember is brought over and proved, and the tenant lives there. Before that transaction it lives where it was, after
//!    it there: `arrivals` decides, by a token that no other move has.
//! 4. *Tidy.* Home is told, and what it left behind is taken away. Its events stay.
//!
//! Each step can be made again, by anybody, at any time: whoever comes late finds a token that is spent. Where the tenant
//! must not arrive it is turned away first, by the same row that decides, and only then let go on where it was.

use std::sync::Arc;
use std::time::Duration;

use tidings_event::{PartitionId, Sequence, TenantNo};
use tokio::time::Instant;

use super::places::{Databases, Whereabouts};
use crate::postgres::PostgresStore;
use crate::postgres::moves::arrive::Arrival;
use crate::postgres::moves::leave::Hold;
use crate::postgres::moves::stand::{Passage, Standing};
use crate::{Error, MoveOutcome, Result, ShardNo};

/// How long one call works, about, before it says how far it has come.
const CALL_MAX: Duration = Duration::from_secs(2);
/// A tenant is held once no more of its events than these are to be brought over.
const CLOSE: u64 = 1_000;
/// Events that one proof covers.
const PROOF_EVENTS: u64 = 2_000;
/// So many of the last events are proved once more when nothing more can come.
const PROVED_AGAIN: u64 = 10_000;

/// What became of a stretch of work.
enum Step<T> {
    /// It is done.
    Done(T),
    /// There was no more time, or somebody else works on it too.
    OutOfTime,
}

/// One call's work on a move.
pub(super) struct Mover {
    databases: Arc<Databases>,
    tenant: TenantNo,
    until: Instant,
}

impl Mover {
    pub(super) fn new(databases: Arc<Databases>, tenant: TenantNo) -> Self {
        Self { databases, tenant, until: Instant::now() + CALL_MAX }
    }

    /// Moves the tenant, or goes on with the move that it is on.
    pub(super) async fn run(self, to: PartitionId) -> Result<MoveOutcome> {
        let databases = &self.databases;
        if databases.shard_of_partition(to).is_err() {
            return Ok(MoveOutcome::NoPartition);
        }
        let Some(first) = databases.home.partition_of(self.tenant).await? else { return Ok(MoveOutcome::NoTenant) };
        let stands = match databases.locate(self.tenant, first).await? {
            Whereabouts::Nowhere => self.adopted(first).await?,
            Whereabouts::Held(stands, passage) => return self.pass(stands, &passage, to).await,
            Whereabouts::Lives(stands) => stands,
        };
        let lives = stands.row.partition;
        let own = databases.of(lives).await?;
        if let Some(passage) = stands.arriving.clone().filter(|passage| passage.arrived) {
            let outcome = self.tidy(&own, &passage, stands.row.head).await?;
            return Ok(if to == lives { outcome } else { MoveOutcome::Later });
        }
        if first != lives {
            databases.home.note_place(self.tenant, lives).await?;
        }
        let shard = databases.shard_of_partition(lives)?;
        if shard != databases.shard_of_partition(to)? {
            return self.begin(stands, to).await;
        }
        let outcome = own.move_within(self.tenant, to).await?;
        if shard != ShardNo(0) && matches!(outcome, MoveOutcome::Moved { .. } | MoveOutcome::Already) {
            // Home only needs to know in which database the tenant lives, so this may come late.
            databases.home.note_place(self.tenant, to).await?;
            databases.remember(self.tenant, to);
        }
        Ok(outcome)
    }

    /// A tenant whose placing broke off, as its database has it now.
    async fn adopted(&self, partition: PartitionId) -> Result<Standing> {
        let databases = &self.databases;
        let missing = || Error::Broken("a tenant that was placed has no row".to_owned());
        let row = databases.home.standing(self.tenant).await?.ok_or_else(missing)?.row;
        let own = databases.of(partition).await?;
        own.adopt(std::slice::from_ref(&row)).await?;
        own.standing(self.tenant).await?.filter(|stands| own.has(stands.row.partition)).ok_or_else(missing)
    }

    /// Brings over what can be while the tenant lives where it is; holds it once little is left.
    async fn begin(&self, stands: Standing, to: PartitionId) -> Result<MoveOutcome> {
        if stands.row.id.as_str().starts_with('$') {
            return Ok(MoveOutcome::Fixed);
        }
        let databases = &self.databases;
        let (source, target) = (databases.of(stands.row.partition).await?, databases.of(to).await?);
        let is_home = databases.shard_of_partition(to)? == ShardNo(0);
        let Some((token, verified)) = target.expect(&stands, to, is_home).await? else {
            // It has come there meanwhile.
            return Ok(MoveOutcome::Later);
        };
        let mut copied = verified;
        loop {
            let head = source.standing(self.tenant).await?.map_or(stands.row.head, |now| now.row.head);
            let step = self.copy(&source, &target, &token, (copied, stands.row.floor), head, Some(self.until)).await?;
            let Step::Done(upto) = step else {
                let copied = target.standing(self.tenant).await?.map_or(copied, |there| there.verified);
                return Ok(MoveOutcome::Copying { copied, head });
            };
            copied = upto;
            let now = source.standing(self.tenant).await?.map_or(head, |now| now.row.head);
            if now.get().saturating_sub(copied.get()) <= CLOSE {
                break;
            }
            if Instant::now() >= self.until {
                return Ok(MoveOutcome::Copying { copied, head: now });
            }
        }
        // Asked again when it arrives; here it spares holding a tenant that would have to wait.
        if !target.is_ready(to).await? {
            return Ok(MoveOutcome::Later);
        }
        let passage = Passage { token, from: stands.row.partition, to, arrived: false };
        match source.hold(self.tenant, &passage, copied).await? {
            Hold::Behind => Ok(MoveOutcome::Copying { copied, head: stands.row.head.max(copied) }),
            Hold::Held => {
                let held = source.standing(self.tenant).await?;
                let held = held.ok_or_else(|| Error::Broken("a tenant that is held has no row".to_owned()))?;
                self.pass(held, &passage, to).await
            }
        }
    }

    /// Goes on with a tenant that is held.
    async fn pass(&self, stands: Standing, passage: &Passage, to: PartitionId) -> Result<MoveOutcome> {
        let databases = &self.databases;
        let (source, target) = (databases.of(passage.from).await?, databases.of(passage.to).await?);
        let why = match self.arrive(&source, &target, &stands, passage).await {
            Ok(Step::OutOfTime) => return Ok(MoveOutcome::Later),
            Ok(Step::Done(Arrival::Now | Arrival::Before)) => None,
            Ok(Step::Done(Arrival::NotReady | Arrival::Never)) => Some(Ok(MoveOutcome::Later)),
            Ok(Step::Done(Arrival::Unequal(how))) => Some(Err(unequal(self.tenant, &how))),
            Err(error) => Some(Err(error)),
        };
        // A failure may hide that it has arrived, so the database that decides is asked in any case. Where that does not
        // answer the tenant is held until it does: nobody else can say where it lives.
        if let Some(why) = why
            && !target.turn_away(self.tenant, &passage.token).await?
        {
            source.release_tenant(self.tenant, passage).await?;
            return why;
        }
        let outcome = self.tidy(&target, passage, stands.row.head).await?;
        Ok(if to == passage.to { outcome } else { MoveOutcome::Later })
    }

    /// Brings the rest of a tenant over that is held, and has it arrive.
    async fn arrive(
        &self,
        source: &PostgresStore,
        target: &PostgresStore,
        stands: &Standing,
        passage: &Passage,
    ) -> Result<Step<Arrival>> {
        let coming = target.standing(self.tenant).await?;
        let Some(coming) =
            coming.filter(|coming| coming.arriving.as_ref().is_some_and(|arriving| arriving.token == passage.token))
        else {
            return Ok(Step::Done(Arrival::Never));
        };
        let (head, floor) = (stands.row.head, stands.row.floor);
        if let Step::OutOfTime = self.copy(source, target, &passage.token, (coming.verified, floor), head, None).await?
        {
            return Ok(Step::OutOfTime);
        }
        let again = Sequence(head.get().saturating_sub(PROVED_AGAIN)).max(floor);
        self.prove(source, target, again, head).await?;
        target.arrive(source, stands, passage).await.map(Step::Done)
    }

    /// Brings events over and proves them, up to a sequence. `begun` is up to where that was proved before, and the floor.
    async fn copy(
        &self,
        source: &PostgresStore,
        target: &PostgresStore,
        token: &str,
        (verified, floor): (Sequence, Sequence),
        head: Sequence,
        until: Option<Instant>,
    ) -> Result<Step<Sequence>> {
        let is_late = || until.is_some_and(|until| Instant::now() >= until);
        // What was erased cannot be compared, and needs not be there.
        let (mut noted, mut verified) = (verified, verified.max(floor));
        let mut last = target.last_event(self.tenant).await?.max(floor);
        loop {
            while verified < last.min(head) {
                let upto = Sequence(verified.get() + PROOF_EVENTS).min(last).min(head);
                self.prove(source, target, verified, upto).await?;
                if !target.note_verified(self.tenant, token, noted, upto).await? {
                    return Ok(Step::OutOfTime);
                }
                (noted, verified) = (upto, upto);
                if is_late() && verified < head {
                    return Ok(Step::OutOfTime);
                }
            }
            if last >= head {
                let is_noted = noted == verified || target.note_verified(self.tenant, token, noted, verified).await?;
                return Ok(if is_noted { Step::Done(verified) } else { Step::OutOfTime });
            }
            let page = source.page(self.tenant, last, head).await?;
            let Some(end) = page.last else {
                return Err(unequal(self.tenant, &format!("the log has nothing after {last}, and its head is {head}")));
            };
            if target.take_page(self.tenant, floor, last, page).await? {
                last = end;
            } else {
                // The other database lost what it had taken in.
                last = target.last_event(self.tenant).await?.max(floor);
            }
            if is_late() {
                return Ok(Step::OutOfTime);
            }
        }
    }

    /// Proves that two databases hold the same events of the tenant, without a gap.
    async fn prove(
        &self,
        source: &PostgresStore,
        target: &PostgresStore,
        after: Sequence,
        upto: Sequence,
    ) -> Result<()> {
        if after >= upto {
            return Ok(());
        }
        let own = source.proof(self.tenant, after, upto).await?;
        let there = target.proof(self.tenant, after, upto).await?;
        let expected = upto.get() - after.get();
        if own.events != expected {
            return Err(unequal(self.tenant, &format!("its log lacks events between {after} and {upto}")));
        }
        if own != there {
            return Err(unequal(self.tenant, &format!("its events between {after} and {upto} are not the same there")));
        }
        Ok(())
    }

    /// Tells where the tenant lives that has arrived, and takes away what it left behind.
    async fn tidy(&self, target: &PostgresStore, passage: &Passage, head: Sequence) -> Result<MoveOutcome> {
        let databases = &self.databases;
        databases.home.note_place(self.tenant, passage.to).await?;
        databases.remember(self.tenant, passage.to);
        let source = databases.of(passage.from).await?;
        source.note_left(self.tenant, passage).await?;
        let leaves = source.standing(self.tenant).await?.and_then(|stands| stands.leaving);
        if leaves.is_some_and(|leaving| leaving.token == passage.token) {
            while let Some(endpoint) = source.left_behind(self.tenant).await? {
                target.take_attempts(&source, self.tenant, &endpoint).await?;
                source.clear(self.tenant, passage, &endpoint).await?;
                if Instant::now() >= self.until {
                    return Ok(MoveOutcome::Copying { copied: head, head });
                }
            }
        }
        let last = source.leave_for_good(self.tenant, passage).await?;
        target.note_tidied(self.tenant, &passage.token).await?;
        Ok(if last { MoveOutcome::Moved { from: passage.from, head } } else { MoveOutcome::Already })
    }
}

fn unequal(tenant: TenantNo, how: &str) -> Error {
    Error::Broken(format!("tenant {tenant} stays where it is, since its copy would not be whole: {how}"))
}

//! Brings events of the system into the log that tell of changes made in another of its databases, and tenants to their
//! end whose move from one database into another broke off.
//!
//! Where a change and the event that tells of it belong to two databases they cannot be one transaction: the event is
//! kept with the change, and this appends it. An event keeps its id, so that whoever appends it again, here or on another
//! node, finds it there.

use std::sync::Arc;
use std::time::Duration;

use tidings_event::{Event, SystemMint, parse_own_event};
use tidings_store::{MoveOutcome, ShardNo, Store};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::system::{self, Fact};
use crate::{AppendError, Appender};

/// How often each database is asked.
const EVERY: Duration = Duration::from_millis(500);
/// Events that are taken at once.
const BATCH: usize = 100;
/// How often each database is asked for tenants whose move stands still.
const MOVES_EVERY: Duration = Duration::from_secs(2);

/// Starts one courier for each database of a log that has several; they end with the token.
pub(crate) fn start(store: &Arc<dyn Store>, appender: &Appender, ending: &CancellationToken) -> Vec<JoinHandle<()>> {
    let shards = store.shards();
    if shards < 2 {
        return Vec::new();
    }
    (0..shards)
        .map(|shard| {
            let (store, appender, ending) = (store.clone(), appender.clone(), ending.clone());
            let courier =
                Courier { store, appender, shard: ShardNo(shard), after: 0, known: 0, moves_at: Instant::now() };
            tokio::spawn(async move {
                let _ended = ending.run_until_cancelled(courier.carry()).await;
            })
        })
        .collect()
}

/// Carries what waits in one database.
struct Courier {
    store: Arc<dyn Store>,
    appender: Appender,
    shard: ShardNo,
    /// Behind which number the next step reads: what cannot be read stays, and must not stand in the way of the rest.
    after: i64,
    /// Up to which number it was said of what cannot be read that it cannot.
    known: i64,
    /// When tenants whose move stands still are asked for next.
    moves_at: Instant,
}

impl Courier {
    async fn carry(mut self) {
        let mut failing = false;
        loop {
            let step = match self.finish_moves().await {
                Ok(()) => self.step().await,
                Err(error) => Err(error.into()),
            };
            match step {
                Ok(true) => continue,
                Ok(false) => failing = false,
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        let shard = self.shard;
                        tracing::warn!(%shard, %error, "what waits in one of the log's databases cannot be seen to");
                    }
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Goes on with moves that nobody works on any more: whoever began them is gone, and their tenants are held.
    async fn finish_moves(&mut self) -> tidings_store::Result<()> {
        if Instant::now() < self.moves_at {
            return Ok(());
        }
        self.moves_at = Instant::now() + MOVES_EVERY;
        for (tenant, name, to) in self.store.stalled_moves(self.shard).await? {
            match self.store.move_tenant(tenant, to).await {
                Ok(MoveOutcome::Moved { from, .. }) => {
                    tracing::info!(tenant = %name, %from, %to, "a move that stood still was finished");
                    system::tell(&self.appender, &Fact::of_move(None, &name, from, to)).await;
                }
                Ok(outcome) => tracing::info!(tenant = %name, %to, ?outcome, "a move that stood still goes on"),
                // It is told again in a while.
                Err(error) => tracing::warn!(tenant = %name, %to, %error, "a move stands still"),
            }
        }
        Ok(())
    }

    /// Brings some events into the log and takes them away where they waited; whether there may be more.
    async fn step(&mut self) -> Result<bool, AppendError> {
        let untold = self.store.untold(self.shard, self.after, BATCH).await?;
        let full = untold.last().filter(|_| untold.len() >= BATCH).map(|(no, _)| *no);
        let (mut nos, mut events): (Vec<i64>, Vec<Event>) = (Vec::new(), Vec::new());
        for (no, json) in untold {
            match parse_own_event(json.as_bytes(), &mut SystemMint::default()) {
                Ok(event) => {
                    nos.push(no);
                    events.push(event);
                }
                // It was written by a version that knows more than this one, which will bring it in.
                Err(rejection) if no > self.known => {
                    self.known = no;
                    tracing::error!(shard = %self.shard, no, ?rejection, "an event of the system cannot be read");
                }
                Err(_) => {}
            }
        }
        if !nos.is_empty() {
            // One whose id is taken is there already.
            self.appender.append_each(events).await?;
            self.store.told(self.shard, &nos).await?;
        }
        // From the start again in the end: a number that was given out early may be committed late.
        self.after = full.unwrap_or(0);
        Ok(full.is_some())
    }
}

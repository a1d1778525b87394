//! Brings events of the system into the log that tell of changes made in another of its databases.
//!
//! Where a change and the event that tells of it belong to two databases they cannot be one transaction: the event is
//! kept with the change, and this appends it. An event keeps its id, so that whoever appends it again, here or on another
//! node, finds it there.

use std::sync::Arc;
use std::time::Duration;

use tidings_event::{Event, SystemMint, parse_own_event};
use tidings_store::{ShardNo, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{AppendError, Appender};

/// How often each database is asked.
const EVERY: Duration = Duration::from_millis(500);
/// Events that are taken at once.
const BATCH: usize = 100;

/// Starts one courier for each database of a log that has several; they end with the token.
pub(crate) fn start(store: &Arc<dyn Store>, appender: &Appender, ending: &CancellationToken) -> Vec<JoinHandle<()>> {
    let shards = store.shards();
    if shards < 2 {
        return Vec::new();
    }
    (0..shards)
        .map(|shard| {
            let (store, appender, ending) = (store.clone(), appender.clone(), ending.clone());
            let courier = Courier { store, appender, shard: ShardNo(shard), after: 0, known: 0 };
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
}

impl Courier {
    async fn carry(mut self) {
        let mut failing = false;
        loop {
            match self.step().await {
                Ok(true) => continue,
                Ok(false) => failing = false,
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        let shard = self.shard;
                        tracing::warn!(%shard, %error, "events of the system wait in one of the log's databases");
                    }
                }
            }
            tokio::time::sleep(EVERY).await;
        }
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

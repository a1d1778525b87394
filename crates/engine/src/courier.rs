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
            tokio::spawn(async move {
                let _ended = ending.run_until_cancelled(carry(&store, &appender, ShardNo(shard))).await;
            })
        })
        .collect()
}

async fn carry(store: &Arc<dyn Store>, appender: &Appender, shard: ShardNo) {
    let mut failing = false;
    loop {
        match step(store, appender, shard).await {
            Ok(BATCH) => continue,
            Ok(_) => failing = false,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%shard, %error, "events of the system wait in one of the log's databases");
                }
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Brings some events into the log and takes them away where they waited; how many there were.
async fn step(store: &Arc<dyn Store>, appender: &Appender, shard: ShardNo) -> Result<usize, AppendError> {
    let untold = store.untold(shard, BATCH).await?;
    let count = untold.len();
    if count == 0 {
        return Ok(0);
    }
    let (mut nos, mut events): (Vec<i64>, Vec<Event>) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for (no, json) in untold {
        match parse_own_event(json.as_bytes(), &mut SystemMint::default()) {
            Ok(event) => events.push(event),
            // It was written by a version that knows more than this one, which will bring it in.
            Err(rejection) => {
                tracing::error!(%shard, no, ?rejection, "an event of the system cannot be read");
                continue;
            }
        }
        nos.push(no);
    }
    // One whose id is taken is there already.
    appender.append_each(events).await?;
    store.told(shard, &nos).await?;
    Ok(nos.len())
}

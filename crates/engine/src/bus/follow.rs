//! Hearing what is published of a partition.

use std::sync::Arc;

use tidings_core::pace::{Bounds, Pace};
use tidings_event::PartitionId;
use tokio_util::sync::CancellationToken;

use super::Means;
use crate::pause::sleep_unless;

/// Hands what is heard of a partition to the tail while anybody here wants it, until the token ends it.
pub(super) async fn run(means: Arc<Means>, partition: PartitionId, ending: CancellationToken) {
    let _ended = ending.run_until_cancelled(follow(&means, partition, &ending)).await;
}

async fn follow(means: &Means, partition: PartitionId, ending: &CancellationToken) {
    let mut failures = Pace::new(Bounds::FAILURE);
    'wanted: loop {
        means.tail.wanted(partition).await;
        match means.bus.follow(partition).await {
            Ok(mut follow) => {
                // What was appended before the first that will be heard.
                means.tail.look(partition);
                while let Ok(heard) = follow.next().await {
                    failures.reset();
                    means.tail.hear(partition, heard);
                    if !means.tail.wants(partition) {
                        continue 'wanted;
                    }
                }
            }
            Err(error) => tracing::debug!(%partition, %error, "the bus cannot be followed"),
        }
        sleep_unless(failures.found(0), ending).await;
    }
}

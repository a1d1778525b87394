//! Waiting that a shutdown cuts short.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Sleeps; `false` when the token ends meanwhile.
pub(crate) async fn sleep_unless(delay: Duration, ending: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = ending.cancelled() => false,
        () = tokio::time::sleep(delay) => true,
    }
}

//! Hints from the producer's database.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::AsyncMessage;

use super::connect::Target;

/// Rest between two tries to connect. Polling goes on meanwhile, so nothing depends on it.
const REST: Duration = Duration::from_secs(2);
/// The channel is part of the outbox's contract.
const LISTEN: &str = "listen tidings_outbox";

/// A task that listens for notifications, for as long as this lives.
pub(super) struct Listener {
    hinted: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Listener {
    pub(super) fn start(target: Target) -> Self {
        let hinted = Arc::new(Notify::new());
        let notify = Arc::clone(&hinted);
        let task = tokio::spawn(async move {
            loop {
                listen(&target, &notify).await;
                tokio::time::sleep(REST).await;
            }
        });
        Self { hinted, task }
    }

    /// Waits for the next hint, or takes one that came since the last.
    pub(super) async fn hint(&self) {
        self.hinted.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens until the connection is lost.
async fn listen(target: &Target, hinted: &Notify) {
    let Ok((client, mut messages)) = target.open().await else { return };
    let mut listening = std::pin::pin!(client.batch_execute(LISTEN));
    let mut is_listening = false;
    loop {
        tokio::select! {
            answer = &mut listening, if !is_listening => {
                if answer.is_err() {
                    return;
                }
                is_listening = true;
                // What was committed before this moment was notified to nobody.
                hinted.notify_one();
            }
            message = messages.next() => match message {
                Some(Ok(AsyncMessage::Notification(_))) => hinted.notify_one(),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

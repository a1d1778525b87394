//! What is watched while everything runs: the books, the audit, and nodes that end by themselves.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::books::Books;
use crate::cluster::Cluster;
use crate::direct;
use crate::history::History;
use crate::receiver::Receiver;

const EVERY: Duration = Duration::from_secs(2);
const SUPERVISE: Duration = Duration::from_millis(250);

/// Looks into the books again and again until it is told to end; gives the books back.
pub(crate) async fn books(
    cluster: Arc<Cluster>,
    receivers: Vec<Arc<Receiver>>,
    history: Arc<History>,
    stop: CancellationToken,
) -> Books {
    let mut books = Books::default();
    while tokio::time::timeout(EVERY, stop.cancelled()).await.is_err() {
        // The database may be away: then there is nothing to see.
        let url = cluster.log.url();
        let looked =
            direct::within(async { books.look(&mut direct::connect(&url).await?, &receivers, &history).await });
        let looked = looked.await;
        if let Err(error) = looked {
            history.note("books", serde_json::json!({ "error": format!("{error:#}") }));
        }
    }
    books
}

/// Starts nodes again that ended by themselves, as a service manager would.
pub(crate) async fn supervise(cluster: Arc<Cluster>, history: Arc<History>, stop: CancellationToken) {
    while tokio::time::timeout(SUPERVISE, stop.cancelled()).await.is_err() {
        for node in &cluster.nodes {
            match node.revive() {
                Ok(true) => history.note("restarted", serde_json::json!({ "node": node.name })),
                Ok(false) => {}
                Err(error) => history.say(&format!("{} cannot be started: {error:#}", node.name)),
            }
        }
    }
}

//! How long the partitions of a killed owner stand still.

use std::time::Duration;

use tokio_postgres::Client;

use crate::direct;
use crate::history::History;
use crate::owners::{Owner, owners};

/// How often the database is asked.
const POLL: Duration = Duration::from_millis(25);
/// After this a partition that nobody has claimed is given up on; other faults may hold it up.
const PATIENCE: Duration = Duration::from_secs(90);

/// What became of one partition of a killed owner.
#[derive(Debug, Clone)]
pub(crate) struct Move {
    pub(crate) partition: i32,
    /// Whether no other fault was there.
    pub(crate) alone: bool,
    pub(crate) killed: Duration,
    /// When somebody had claimed it.
    pub(crate) claimed: Duration,
    /// Whether the killed node itself took it again, under its old name.
    pub(crate) returned: bool,
}

/// Waits until each partition of a killed owner has a new one.
pub(crate) async fn follow(history: &History, url: &str, killed: Duration, had: &[Owner], alone: bool) -> Vec<Move> {
    let mut left = had.to_vec();
    let mut moves = Vec::new();
    let mut client: Option<Client> = None;
    while !left.is_empty() && history.now() < killed + PATIENCE {
        let Some(connected) = &client else {
            client = direct::connect(url).await.ok();
            tokio::time::sleep(POLL).await;
            continue;
        };
        let asked = tokio::time::timeout(Duration::from_secs(5), owners(connected)).await;
        let Ok(Ok(now)) = asked else {
            client = None;
            continue;
        };
        let claimed = history.now();
        left.retain(|old| {
            let new = now.iter().find(|new| new.partition == old.partition);
            let Some(new) = new.filter(|new| new.epoch > old.epoch && new.node.is_some()) else { return true };
            let returned = new.node == old.node;
            moves.push(Move { partition: old.partition, alone, killed, claimed, returned });
            false
        });
        tokio::time::sleep(POLL).await;
    }
    if alone && !left.is_empty() {
        history.broken(format!("nobody took over {left:?} in {PATIENCE:?}"));
    }
    moves
}

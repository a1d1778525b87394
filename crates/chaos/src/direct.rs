//! A connection to PostgreSQL beside every proxy, for what is looked at behind the nodes' backs.

use std::time::Duration;

use anyhow::Context as _;
use tokio_postgres::{Client, Config, NoTls};

/// Longer than any statement here takes on a busy machine whose database is well.
const PATIENCE: Duration = Duration::from_secs(15);

/// Connects anew to the database at a URL.
pub(crate) async fn connect(url: &str) -> anyhow::Result<Client> {
    let mut config: Config = url.parse()?;
    config.connect_timeout(Duration::from_secs(3)).application_name("chaos");
    let connecting = tokio::time::timeout(Duration::from_secs(5), config.connect(NoTls));
    let (client, connection) = connecting.await.context("no connection in time")??;
    tokio::spawn(connection);
    Ok(client)
}

/// Waits for something that asks the database; an error when it does not answer in time.
pub(crate) async fn within<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::time::timeout(PATIENCE, work).await.context("no answer in time")?
}

/// The same again and again until it succeeds.
pub(crate) async fn until_done<T, F: Future<Output = anyhow::Result<T>>>(
    time: Duration,
    mut work: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let deadline = tokio::time::Instant::now() + time;
    loop {
        match within(work()).await {
            Ok(done) => return Ok(done),
            Err(error) if tokio::time::Instant::now() >= deadline => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Whether the database answers, tried for so long.
pub(crate) async fn answers(url: &str, time: Duration) -> anyhow::Result<()> {
    until_done(time, || async { Ok(connect(url).await?.batch_execute("select 1").await?) }).await
}

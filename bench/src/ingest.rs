//! Single events over HTTP.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tidings_testkit::Postgres;

use crate::Scale;
use crate::events::envelope;
use crate::load::post_for;
use crate::report::{Figure, Report, Target};
use crate::server::{KEY, Server, Setup};

const CONNECTIONS: usize = 64;

pub(crate) async fn run(report: &mut Report, scale: Scale, server: Option<&Arc<Postgres>>) -> Result<()> {
    let time = scale.time(Duration::from_secs(5));
    let body = |connection: usize, n: u64| envelope("acme", n * 64 + connection as u64);
    let bare = Server::bare().await?;
    let ceiling = post_for(bare.address, CONNECTIONS, time, KEY, body).await?;
    drop(bare);

    let dir = tempfile::tempdir()?;
    let tidings = Server::tidings(dir.path(), &Setup::default()).await?;
    let value = post_for(tidings.address, CONNECTIONS, time, KEY, body).await?;
    report.push(
        Figure::new("HTTP ingest", format!("SQLite, {CONNECTIONS} connections"), value, "events/s")
            .against(ceiling, "bare HTTP")
            .target(Target::RatioAtLeast(0.25)),
    );
    report.push(Figure::new("memory", "SQLite, after HTTP ingest", tidings.resident_mib()?, "MiB"));
    drop(tidings);

    if let Some(server) = server {
        let database = server.database().await;
        let dir = tempfile::tempdir()?;
        let setup = Setup { database_url: Some(database.url()), sources: None, ..Setup::default() };
        let tidings = Server::tidings(dir.path(), &setup).await?;
        let value = post_for(tidings.address, CONNECTIONS, time, KEY, body).await?;
        report.push(
            Figure::new("HTTP ingest", format!("PostgreSQL, {CONNECTIONS} connections"), value, "events/s")
                .against(ceiling, "bare HTTP"),
        );
    }
    Ok(())
}

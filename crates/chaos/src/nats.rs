//! What is done to the broker beside starting and ending it.

use std::time::Duration;

use anyhow::Context as _;
use tidings_testkit::Nats;

const PATIENCE: Duration = Duration::from_secs(10);

/// A server with JetStream; nothing where none is installed.
pub(crate) async fn start() -> anyhow::Result<Option<Nats>> {
    let Some(program) = Nats::programs().into_iter().next() else { return Ok(None) };
    Ok(Some(tokio::task::spawn_blocking(move || Nats::start_program(&program, "")).await?))
}

/// Purges every stream; returns how many there are.
pub(crate) async fn purge(nats: &Nats) -> anyhow::Result<usize> {
    let work = async {
        let client = async_nats::connect(nats.url()).await?;
        let ask = async |subject: String| {
            let answer = client.request(subject, "".into()).await?;
            Ok::<_, anyhow::Error>(serde_json::from_slice::<serde_json::Value>(&answer.payload)?)
        };
        let names = ask("$JS.API.STREAM.NAMES".to_owned()).await?;
        let names: Vec<String> = serde_json::from_value(names["streams"].clone()).unwrap_or_default();
        for name in &names {
            ask(format!("$JS.API.STREAM.PURGE.{name}")).await?;
        }
        Ok(names.len())
    };
    tokio::time::timeout(PATIENCE, work).await.context("NATS does not answer")?
}

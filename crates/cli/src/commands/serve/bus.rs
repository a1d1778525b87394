//! The bus that is configured, if one is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidings_bus::nats::{NatsBus, NatsError, NatsOptions, Servers};
use tidings_bus::{Bus, Prefix, SealKey};
use tidings_event::LogId;

use crate::config::layer::Layers;
use crate::failure::Failure;

const SECONDS_AN_HOUR: u64 = 60 * 60;
const MEBIBYTE: u64 = 1024 * 1024;

/// The bus of a log; none where no broker is configured. One that cannot be reached is no failure: it is connected to
/// whenever it can be.
pub(crate) async fn bus(
    layers: &Layers,
    node: &str,
    log: LogId,
    master: &[u8; 32],
) -> Result<Option<Arc<dyn Bus>>, Failure> {
    let Some(options) = options(layers, node)? else { return Ok(None) };
    let made = NatsBus::connect(options, log, SealKey::derive(master)).await;
    let bus = made.map_err(|error| match error {
        NatsError::Credentials(_) => Failure::usage(format!("nats.credentials: {error}")),
        NatsError::Options(_) => Failure::usage(error.to_string()),
    })?;
    Ok(Some(bus))
}

fn options(layers: &Layers, node: &str) -> Result<Option<NatsOptions>, Failure> {
    let Some(servers) = layers.text("nats_url") else { return Ok(None) };
    let wrong = |name: &str, reason: String| Failure::usage(format!("{name}: {reason}"));
    Ok(Some(NatsOptions {
        servers: Servers::parse(servers).map_err(|error| wrong("nats_url", error.to_string()))?,
        credentials: layers.text("nats.credentials").map(PathBuf::from),
        authorities: layers.text("nats.authorities").map(PathBuf::from),
        prefix: Prefix::parse(&layers.get("nats.prefix").text)
            .map_err(|error| wrong("nats.prefix", error.to_string()))?,
        age_max: Duration::from_secs(layers.number("nats.max_age_h") * SECONDS_AN_HOUR),
        stream_bytes_max: layers.number("nats.max_stream_mib") * MEBIBYTE,
        replicas: usize::try_from(layers.number("nats.replicas")).unwrap_or(1),
        name: format!("tidings {node}"),
    }))
}

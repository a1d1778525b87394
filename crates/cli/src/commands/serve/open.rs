//! Opens the databases and starts the engine on them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidings_engine::trace::Tracer;
use tidings_engine::{Engine, NamedSource, Options, PLATFORM, QuotaInForce};
use tidings_event::Text;
use tidings_store::{Backend, Error as StoreError, Store, StoreOptions};

use super::bus::bus;
use super::database_url;
use crate::commands::outbox::source_failure;
use crate::config::check::{ports, proxy, ranges, roles};
use crate::config::layer::Layers;
use crate::config::mask::mask_url;
use crate::config::shards::shards;
use crate::database::Target;
use crate::failure::{Exit, Failure};

/// The file of Tidings' own outbox beside an SQLite log.
pub(crate) const OUTBOX_FILE: &str = "outbox.db";
const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// Who this process is among the nodes of its database.
pub(super) struct Node {
    /// Its name.
    pub(super) id: String,
    /// Where the others reach it, if that is known.
    pub(super) address: Option<String>,
    /// The key that secrets of endpoints are encrypted with.
    pub(super) master: [u8; 32],
    /// Whether that key takes the place of the one that the log was used with.
    pub(super) replace_master: bool,
}

/// An engine over the configured databases, running.
pub(super) async fn engine(layers: &Layers, data_dir: &Path, node: Node, tracer: Tracer) -> Result<Engine, Failure> {
    let roles = roles(&layers.get("roles").text).map_err(Failure::usage)?;
    let url = database_url(layers, data_dir);
    let store = open_log(&url, layers).await?;
    let platform = match store.backend() {
        Backend::Sqlite => format!("sqlite:{}", data_dir.join(OUTBOX_FILE).display()),
        Backend::Postgres => url.clone(),
    };
    tidings_store::install_outbox(&platform).await.map_err(|error| source_failure(&platform, &error))?;
    // All of them on every node: whoever answers calls is asked how they stand, too.
    let mut sources = vec![source(PLATFORM, &platform, None)?];
    for setting in &layers.get("sources").sources {
        sources.push(source(&setting.name, &setting.url, setting.service.clone())?);
    }
    let mut options = engine_options(layers)?;
    // About half of the connections that read, so that those who are far behind leave some for everybody else.
    options.tail.store_reads = match store.backend() {
        Backend::Sqlite => store_options(layers).sqlite.readers / 2,
        Backend::Postgres => store_options(layers).postgres.connections * 3 / 8,
    };
    options.bus = bus(layers, &node.id, store.log().id, &node.master).await?;
    options.tracer = tracer;
    options.node.id = node.id;
    options.node.address = node.address;
    options.node.roles = roles;
    options.deliver.master = node.master;
    options.deliver.replace_master = node.replace_master;
    let started = Engine::start(store, sources, options).await;
    started.map_err(|error| store_failure(&url, &error))
}

/// The log, in all of its databases; what is missing is made.
pub(crate) async fn open_log(url: &str, layers: &Layers) -> Result<Arc<dyn Store>, Failure> {
    must_be_restored(url)?;
    open(url, layers, store_options(layers)).await?.map_err(|error| store_failure(url, &error))
}

/// The log as it is, in all of its databases: nothing is made, migrated or added.
pub(crate) async fn open_existing(url: &str, layers: &Layers) -> Result<Result<Arc<dyn Store>, StoreError>, Failure> {
    must_be_restored(url)?;
    open(url, layers, store_options(layers).existing()).await
}

async fn open(
    url: &str,
    layers: &Layers,
    options: StoreOptions,
) -> Result<Result<Arc<dyn Store>, StoreError>, Failure> {
    let shards = shards(&layers.get("shards").text).map_err(Failure::usage)?;
    Ok(tidings_store::open_sharded(url, &shards, options).await)
}

/// Refuses a log whose files a restore was putting in their places when it was interrupted: some are of the one before
/// and some are not.
pub(crate) fn must_be_restored(url: &str) -> Result<(), Failure> {
    let Target::Sqlite(file) = Target::parse(url) else { return Ok(()) };
    let restoring = beside(&file, RESTORING);
    if !restoring.exists() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "a restore was interrupted while it put files in their places ({} is there): run `tidings restore … --replace` \
         again",
        restoring.display()
    )))
}

/// What the name of a log that is being put in its place ends with. As long as there is one, nobody opens the log.
pub(crate) const RESTORING: &str = "restoring";

/// A file with another ending, beside it.
pub(crate) fn beside(file: &Path, ending: &str) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{name}.{ending}"))
}

/// A source. It connects when it is first used, so that a producer's database that is down holds up nothing else.
fn source(name: &str, url: &str, service: Option<Text>) -> Result<NamedSource, Failure> {
    let source = tidings_store::open_source(url).map_err(|error| source_failure(url, &error))?;
    Ok(NamedSource { name: name.to_owned(), source, service })
}

/// What a store's error means for a command.
pub(crate) fn store_failure(url: &str, error: &StoreError) -> Failure {
    let exit = if matches!(error, StoreError::Unavailable { .. }) { Exit::Unreachable } else { Exit::Failed };
    Failure::new(exit, format!("the database {} cannot be used: {error}", mask_url(url)))
}

/// How the log's database is opened.
pub(crate) fn store_options(layers: &Layers) -> StoreOptions {
    let mut options = StoreOptions::default();
    let size = |name: &str| usize::try_from(layers.number(name)).unwrap_or(usize::MAX);
    if let Ok(partitions @ 1..) = u32::try_from(layers.number("partitions")) {
        options.sqlite.partitions = partitions;
        options.postgres.partitions = partitions;
    }
    options.sqlite.readers = size("sqlite.readers");
    options.sqlite.synchronous = match layers.get("sqlite.synchronous").text.as_str() {
        "normal" => tidings_store::sqlite::Synchronous::Normal,
        _ => tidings_store::sqlite::Synchronous::Full,
    };
    options.postgres.connections = size("postgres.connections");
    options
}

fn engine_options(layers: &Layers) -> Result<Options, Failure> {
    let mut options = Options::default();
    options.node.lease = Duration::from_millis(layers.number("lease_ms"));
    options.node.beat = options.node.lease / 3;
    let size = |name: &str| usize::try_from(layers.number(name)).unwrap_or(usize::MAX);
    options.append.queue_events = size("append.queue_events");
    options.append.queue_bytes = size("append.queue_bytes");
    options.quota.default = QuotaInForce {
        events_per_s: layers.number("quota.events_per_s"),
        events_burst: layers.number("quota.events_burst"),
        bytes_per_s: layers.number("quota.bytes_per_s"),
        bytes_burst: layers.number("quota.bytes_burst"),
    };
    options.tail.ring_bytes = size("tail.ring_bytes");
    options.pump.poll.idle = Duration::from_millis(layers.number("pump.poll_max_ms"));
    options.pump.sweep = Duration::from_millis(layers.number("pump.sweep_ms"));
    options.reconcile.default_stale_s = u32::try_from(layers.number("intents.stale_after_s")).unwrap_or(u32::MAX);
    options.egress.allow_cidrs = ranges(&layers.get("allow_cidrs").text).map_err(Failure::usage)?;
    options.egress.allow_http = layers.switch("allow_http");
    options.egress.allow_ports = ports(&layers.get("allow_ports").text).map_err(Failure::usage)?;
    options.egress.proxy = layers.text("egress_proxy").map(proxy).transpose().map_err(Failure::usage)?;
    options.deliver.limits.in_flight_max = size("deliver.in_flight");
    options.deliver.attempts_kept = Duration::from_secs(layers.number("deliver.attempts_days") * SECONDS_A_DAY);
    Ok(options)
}

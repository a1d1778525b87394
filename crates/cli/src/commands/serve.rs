//! `tidings serve`: wires the parts together and runs them until it is told to stop.

mod banner;
pub(crate) mod bus;
mod logging;
mod measures;
mod open;
mod otlp;

use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tidings_event::CursorKey;
use tidings_server::ServerOptions;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::banner::Banner;
use self::open::Node;
pub(crate) use self::open::{OUTBOX_FILE, RESTORING, beside, must_be_restored, open_existing, open_log, store_failure};
use crate::config::check::master_key;
use crate::config::flags::{Flags, ServerScope};
use crate::config::layer::Layers;
use crate::config::{self, mask::mask_url};
use crate::context::Context;
use crate::datadir::{self, DataDir};
use crate::failure::{Exit, Failure};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The first start makes the data directory, its keys (admin.key, master.key), its name (node.id) and the databases. SIGTERM or Ctrl-C \
ends it in good order: no new requests, those in progress are finished, streams are given their last cursor. \
A second signal ends it at once. After a crash or kill -9 it just starts again.

Examples:
  tidings serve
  tidings serve --data-dir /var/lib/tidings --listen 0.0.0.0:7411
  TIDINGS_DATABASE_URL=postgres://tidings@localhost/tidings tidings serve
  TIDINGS_SOURCES=shop=postgres://tidings@localhost/shop tidings serve

Every setting: tidings serve --help (long form), docs/configuration.md, tidings config show")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    flags: Flags<ServerScope>,
    /// Go on with another master key than the log was used with: the secrets of endpoints that were sealed under that
    /// one are lost and have to be made anew, and every cursor that was given out is refused
    #[arg(long)]
    replace_master_key: bool,
    /// End when standard input does, so that a parent's death is ours too
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

pub(crate) fn run(context: &Context, args: &ServeArgs) -> Result<(), Failure> {
    let layers = config::load(&args.flags.given, context.file.clone())?;
    let human = logging::install(&layers)?;
    layers.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let data = DataDir::take(&config::data_dir(&layers))?;
    datadir::exposures(data.path()).iter().for_each(|exposure| tracing::warn!("{exposure}"));
    let keys = Keys::read(&layers, &data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(&layers, &data, keys, human, args));
    data.renounce();
    // What still runs after the orderly end, or after a second signal, has nothing left that matters.
    runtime.shutdown_background();
    ended
}

/// What the server trusts.
struct Keys {
    admin_hash: [u8; 32],
    master: [u8; 32],
    /// Whether the admin key is the one in the data directory.
    admin_in_file: bool,
}

impl Keys {
    fn read(layers: &Layers, data: &DataDir) -> Result<Self, Failure> {
        let given = layers.text("admin_key").map(str::to_owned);
        let admin_in_file = given.is_none();
        let admin = given.map_or_else(|| data.admin_key(), Ok)?;
        let master = match layers.text("master_key") {
            Some(text) => master_key(text).map_err(Failure::usage)?,
            None => data.master_key()?,
        };
        Ok(Self { admin_hash: Sha256::digest(admin.as_bytes()).into(), master, admin_in_file })
    }
}

async fn serve(layers: &Layers, data: &DataDir, keys: Keys, human: bool, args: &ServeArgs) -> Result<(), Failure> {
    let mut stop = Stop::new(args.end_with_stdin)?;
    tidings_server::install_metrics();
    measures::describe();
    let (tracer, exporter) = otlp::start(layers)?;
    let watched = tokio::spawn(measures::watch_disk(data.path().to_owned()));
    let id = layers.text("node_id").map_or_else(|| data.node_id(), |id| Ok(id.to_owned()))?;
    let listen = &layers.get("listen").text;
    let listener = TcpListener::bind(listen).await.map_err(|error| cannot_listen(listen, &error))?;
    let url = reachable_url(&listener)?;
    let node =
        Node { id, address: address(layers, &listener)?, master: keys.master, replace_master: args.replace_master_key };
    let engine = tokio::select! {
        engine = Box::pin(open::engine(layers, data.path(), node, tracer)) => engine?,
        // Told to stop before it began: nothing to finish.
        () = stop.first() => return Ok(()),
    };
    let banner = Banner::new(layers, data.path(), &url, keys.admin_in_file, &engine).await;
    let options = ServerOptions { admin_keys: vec![keys.admin_hash], cursor_key: CursorKey::derive(&keys.master) };
    let draining = CancellationToken::new();
    let patience = Duration::from_secs(layers.number("shutdown_s"));
    // The kernel takes connections from here on, so whoever reads the URL can use it.
    data.announce(&url)?;
    banner.show(human);
    let work = async {
        let token = draining.clone();
        let served = tidings_server::serve(listener, engine.clone(), options, token.cancelled_owned()).await;
        engine.shutdown().await;
        if let Some(exporter) = exporter {
            exporter.finish().await;
        }
        watched.abort();
        served.map_err(|error| Failure::failed(format!("the server failed: {error}")))
    };
    let mut work = Box::pin(work);
    tokio::select! {
        ended = &mut work => return ended,
        () = stop.first() => {}
    }
    tracing::info!("shutting down: requests in progress are finished (a second signal ends at once)");
    data.renounce();
    draining.cancel();
    tokio::select! {
        ended = &mut work => {
            tracing::info!("shut down");
            ended
        }
        () = stop.next() => Err(Failure::new(Exit::Interrupted, "a second signal: ended at once")),
        () = tokio::time::sleep(patience) => {
            Err(Failure::failed(format!("the shutdown took longer than {} seconds and was cut off", patience.as_secs())))
        }
    }
}

/// What asks the server to stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
    with_stdin: bool,
}

impl Stop {
    fn new(with_stdin: bool) -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            with_stdin,
        })
    }

    /// Waits until the server shall stop.
    async fn first(&mut self) {
        if !self.with_stdin {
            return self.next().await;
        }
        let mut input = tokio::io::stdin();
        let mut bytes = [0_u8; 64];
        tokio::select! {
            () = self.next() => {}
            () = async { while matches!(input.read(&mut bytes).await, Ok(1..)) {} } => {}
        }
    }

    /// Waits for the next signal.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn cannot_listen(listen: &str, error: &std::io::Error) -> Failure {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => "; another program listens there. --listen 127.0.0.1:0 takes a free port",
        _ => "",
    };
    Failure::failed(format!("cannot listen on {listen}: {error}{hint}"))
}

/// What this node tells the others that it is reached at: what is set, else where it listens. A listener on all addresses
/// says nothing about that: the URL that is good on this machine would be another node's on theirs.
fn address(layers: &Layers, listener: &TcpListener) -> Result<Option<String>, Failure> {
    match layers.text("advertise") {
        Some(url) => Ok(Some(url.trim_end_matches('/').to_owned())),
        None if listener.local_addr()?.ip().is_unspecified() => Ok(None),
        None => reachable_url(listener).map(Some),
    }
}

/// The URL at which a process of this machine reaches a listener.
fn reachable_url(listener: &TcpListener) -> Result<String, Failure> {
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr =
            if address.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    Ok(format!("http://{address}"))
}

/// Where the log is kept: the setting, else a file in the data directory.
pub(crate) fn database_url(layers: &Layers, data_dir: &Path) -> String {
    match layers.text("database_url") {
        Some(url) => url.to_owned(),
        None => format!("sqlite:{}", data_dir.join("tidings.db").display()),
    }
}

/// The same for people.
fn database_shown(layers: &Layers, data_dir: &Path) -> String {
    mask_url(&database_url(layers, data_dir))
}

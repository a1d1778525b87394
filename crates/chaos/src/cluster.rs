//! The processes and the proxies between them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tidings_testkit::{Database, Nats, Postgres, PostgresOptions};

use crate::api::{Api, KEY};
use crate::disk::Disk;
use crate::node::{BOOT, Node};
use crate::proxy::Proxy;
use crate::settings::PARTITIONS;
use crate::{audit, direct, nats};

/// Longer than a start takes on a busy machine.
pub(crate) const START: Duration = Duration::from_secs(90);
/// Below the ports that the system gives to outgoing connections, so that nobody takes a node's while it is down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// The master key of all nodes: 32 bytes in base64.
const MASTER_KEY: &str = "Y2hhb3MtY2hhb3MtY2hhb3MtY2hhb3MtY2hhb3MtISE=";
/// The producers' databases.
pub(crate) const SOURCES: [&str; 2] = ["books", "tools"];

/// Everything that runs. Dropped from the top: whoever uses something goes before it.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Arc<Node>>,
    /// One for each node.
    pub(crate) to_postgres: Vec<Proxy>,
    pub(crate) to_nats: Vec<Proxy>,
    pub(crate) to_api: Vec<Proxy>,
    /// The way out of the last node.
    pub(crate) egress: Proxy,
    pub(crate) api: Api,
    pub(crate) nats: Option<Arc<Nats>>,
    pub(crate) sources: Vec<Database>,
    pub(crate) log: Database,
    pub(crate) postgres: Arc<Postgres>,
    pub(crate) disk: Option<Disk>,
}

impl Cluster {
    /// Starts PostgreSQL and NATS, makes the databases and the proxies; starts no node yet.
    pub(crate) async fn prepare(binary: &Path, directory: &Path, count: usize) -> anyhow::Result<Self> {
        let disk = Disk::make(directory).map_err(|error| tell(&error)).ok();
        let options = PostgresOptions {
            fsync: true,
            max_connections: 200,
            settings: vec![("max_wal_size".into(), "256MB".into()), ("log_min_messages".into(), "warning".into())],
            parent: disk.as_ref().map(|disk| disk.path().to_owned()),
        };
        let postgres = tokio::task::spawn_blocking(|| Postgres::start_with(options)).await?;
        let log = postgres.database().await;
        let mut sources = Vec::new();
        for _ in SOURCES {
            let database = postgres.database().await;
            install_outbox(binary, &database.url())?;
            let orders = "create table orders (id text primary key, tenant text not null)";
            direct::connect(&database.url()).await?.batch_execute(orders).await?;
            sources.push(database);
        }
        let nats = nats::start().await?.map(Arc::new);
        let server = address(&log.url())?;
        let mut cluster = Self {
            nodes: Vec::new(),
            to_postgres: Vec::new(),
            to_nats: Vec::new(),
            to_api: Vec::new(),
            egress: Proxy::tunnel().await,
            api: Api::new(),
            nats,
            sources,
            log,
            postgres,
            disk,
        };
        for no in 0..count {
            cluster.to_postgres.push(Proxy::to(server).await);
            if let Some(nats) = &cluster.nats {
                cluster.to_nats.push(Proxy::to((Ipv4Addr::LOCALHOST, nats.port()).into()).await);
            }
            let port = free_port()?;
            cluster.to_api.push(Proxy::to((Ipv4Addr::LOCALHOST, port).into()).await);
            let name = format!("node-{}", no + 1);
            let environment = cluster.environment(no, no + 1 == count)?;
            cluster.nodes.push(Arc::new(Node::new(&name, port, binary, directory, environment)));
        }
        Ok(cluster)
    }

    fn environment(&self, no: usize, last: bool) -> anyhow::Result<Vec<(String, String)>> {
        let proxy = &self.to_postgres[no];
        let through = |url: &str| {
            let url = url.replace(&format!(":{}/", address(url)?.port()), &format!(":{}/", proxy.port()));
            Ok::<_, anyhow::Error>(format!("{url}?application_name={BOOT}"))
        };
        let mut sources = Vec::new();
        for (source, database) in SOURCES.iter().zip(&self.sources) {
            sources.push(format!("{source}={}", through(&database.url())?));
        }
        let mut environment = vec![
            ("TIDINGS_ADMIN_KEY", KEY.to_owned()),
            ("TIDINGS_MASTER_KEY", MASTER_KEY.to_owned()),
            ("TIDINGS_DATABASE_URL", through(&self.log.url())?),
            ("TIDINGS_SOURCES", sources.join(",")),
            ("TIDINGS_PARTITIONS", PARTITIONS.to_string()),
            ("TIDINGS_ALLOW_CIDRS", "127.0.0.0/8".to_owned()),
            ("TIDINGS_ALLOW_HTTP", "true".to_owned()),
            ("TIDINGS_SHUTDOWN_S", "10".to_owned()),
            ("TIDINGS_LOG_FORMAT", "human".to_owned()),
        ];
        if let Some(nats) = self.to_nats.get(no) {
            environment.push(("TIDINGS_NATS_URL", format!("nats://127.0.0.1:{}", nats.port())));
        }
        if last {
            environment.push(("TIDINGS_EGRESS_PROXY", format!("http://127.0.0.1:{}", self.egress.port())));
        }
        Ok(environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Starts all nodes and waits until they are ready; the first makes the log's tables, and the triggers of the audit
    /// come before the others.
    pub(crate) async fn start(&self) -> anyhow::Result<()> {
        let (first, others) = self.nodes.split_first().context("a cluster has a node")?;
        first.start()?;
        self.ready(first, START).await?;
        audit::install(&direct::connect(&self.log.url()).await?).await.context("the triggers of the audit")?;
        for node in others {
            node.start()?;
        }
        for node in others {
            self.ready(node, START).await?;
        }
        Ok(())
    }

    /// Waits until a node says that it is ready, beside its proxy.
    pub(crate) async fn ready(&self, node: &Node, within: Duration) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + within;
        while !self.api.is_ready(node.port).await {
            if tokio::time::Instant::now() >= deadline {
                bail!("{} is not ready, see {}", node.name, node.log().display());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Ports of the nodes' APIs as clients reach them, through the proxies.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.to_api.iter().map(Proxy::port).collect()
    }
}

/// Why there is no disk of our own. The run goes on without that fault.
fn tell(error: &anyhow::Error) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "no disk that can run full: {error:#}");
}

/// What the program under test says of itself.
pub(crate) fn version(binary: &Path) -> anyhow::Result<String> {
    let output = Command::new(binary).arg("--version").output().with_context(|| binary.display().to_string())?;
    ensure!(output.status.success(), "{} does not tell its version", binary.display());
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.trim().trim_start_matches("tidings ").to_owned())
}

fn install_outbox(binary: &Path, url: &str) -> anyhow::Result<()> {
    let output = Command::new(binary).args(["outbox", "install", "--url", url]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Host and port of a URL of the testkit's.
fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let after = url.split_once('@').map(|(_, rest)| rest).context("a URL with a user")?;
    Ok(after.split('/').next().unwrap_or_default().parse()?)
}

fn free_port() -> anyhow::Result<u16> {
    let port = (0..100)
        .map(|_| rand::random_range(PORTS))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    port.context("no port is free")
}

/// Lines in a node's log that speak of a panic.
pub(crate) fn panics(log: &PathBuf) -> Vec<String> {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().filter(|line| line.contains("panicked at")).map(str::to_owned).collect()
}

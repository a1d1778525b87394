//! Servers as processes of their own, so that their memory and processor time can be told from the generator's.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::load::{Connection, get};

pub(crate) const KEY: &str = "tidings-bench-admin-key-0123456789abcdef";

/// A server process, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// What to start it with.
#[derive(Default)]
pub(crate) struct Setup {
    pub(crate) database_url: Option<String>,
    pub(crate) sources: Option<String>,
}

fn binary(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.is_file() {
        bail!("{} is missing: build it with `cargo build --release -p tidings`", path.display());
    }
    Ok(path)
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Server {
    pub(crate) async fn tidings(data_dir: &Path, setup: &Setup) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(binary("tidings")?);
        command.arg("serve").arg("--data-dir").arg(data_dir).arg("--listen").arg(address.to_string());
        command.env("TIDINGS_ADMIN_KEY", KEY).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(url) = &setup.database_url {
            command.arg("--database-url").arg(url);
        }
        if let Some(sources) = &setup.sources {
            command.env("TIDINGS_SOURCES", sources);
        }
        Self::start(command, address).await
    }

    pub(crate) async fn bare() -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--bare-http").arg(address.to_string()).stdout(Stdio::null());
        Self::start(command, address).await
    }

    async fn start(mut command: Command, address: SocketAddr) -> Result<Self> {
        let server = Self { child: command.spawn().context("the server does not start")?, address };
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if let Ok(mut connection) = Connection::open(address).await
                && connection.exchange(&get("/healthz", KEY, "*/*")).await.is_ok()
            {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the server at {address} does not answer");
    }

    /// Resident memory in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Processor time used so far, user and system, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit_once(')').context("no name")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        // Linux counts in hundredths of a second on every platform we run on.
        Ok(ticks / 100.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

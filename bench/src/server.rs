//! Servers as processes of their own, so that their memory and processor time can be told from the generator's.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::load::{Connection, get};

pub(crate) const KEY: &str = "tidings-bench-admin-key-0123456789abcdef";

/// All nodes of one log need the same.
const MASTER_KEY: &str = "dGlkaW5ncy1iZW5jaC1tYXN0ZXIta2V5LTAxMjM0NTY=";

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
    /// Further variables of its environment.
    pub(crate) more: Vec<(String, String)>,
}

fn binary(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.is_file() {
        bail!("{} is missing: build it with `cargo build --release -p tidings`", path.display());
    }
    Ok(path)
}

/// An address at which nobody listens.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Server {
    pub(crate) async fn tidings(data_dir: &Path, setup: &Setup) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(binary("tidings")?);
        command.arg("serve").arg("--data-dir").arg(data_dir).arg("--listen").arg(address.to_string());
        command.env("TIDINGS_ADMIN_KEY", KEY).stdout(Stdio::null()).stderr(Stdio::null());
        command.env("TIDINGS_MASTER_KEY", MASTER_KEY).envs(setup.more.iter().cloned());
        command.env("TIDINGS_ALLOW_CIDRS", "127.0.0.0/8").env("TIDINGS_ALLOW_HTTP", "true");
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

    /// A receiver of webhooks.
    pub(crate) async fn sink() -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--sink").arg(address.to_string()).stdout(Stdio::null());
        Self::start(command, address).await
    }

    /// Ends the process without a warning.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
        cpu_seconds(self.child.id(), false)
    }
}

/// Processor time of this process so far, in seconds.
pub(crate) fn own_cpu_seconds() -> Result<f64> {
    cpu_seconds(std::process::id(), false)
}

/// Processor time of a process, of its children that live and of those that it has waited for, in seconds.
pub(crate) fn children_cpu_seconds(parent: u32) -> Result<f64> {
    let mut sum = cpu_seconds(parent, true)?;
    for entry in std::fs::read_dir("/proc")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end between being listed and being read; then its parent has its time.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        let after_name = stat.rsplit_once(')').context("no name")?.1;
        if after_name.split_whitespace().nth(1) == Some(parent.to_string().as_str()) {
            sum += cpu_seconds(process, false).unwrap_or(0.0);
        }
    }
    Ok(sum)
}

/// User and system time, with or without those of children that were waited for.
fn cpu_seconds(process: u32, with_children: bool) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after_name = stat.rsplit_once(')').context("no name")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let counted = if with_children { 11..15 } else { 11..13 };
    let mut ticks = 0.0;
    for field in fields.get(counted).context("no times")? {
        ticks += field.parse::<f64>()?;
    }
    // Linux counts in hundredths of a second on every platform we run on.
    Ok(ticks / 100.0)
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The demo's other processes: a real server, and the shop. Both end when their standard input does, so that none of
//! them outlives the demo, however it ends.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::Place;
use super::shop::Report;
use crate::datadir::{ADMIN_KEY, SERVER_URL};
use crate::failure::Failure;

/// The address that clients try by default.
const USUAL: &str = "127.0.0.1:7411";
/// How long the server may take to start.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a process may take to end before it is made to.
const END_MAX: Duration = Duration::from_secs(20);
/// How often a starting server is looked at.
const START_POLL: Duration = Duration::from_millis(10);
/// Lines of the server's log that are shown when it does not start.
const LOG_LINES: usize = 10;

/// This program again, with nothing of our configuration, in a process group of its own: Ctrl-C is for the demo,
/// which ends the others in order.
fn ourselves() -> Result<Command, Failure> {
    let program =
        std::env::current_exe().map_err(|error| Failure::failed(format!("this program cannot be found: {error}")))?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDINGS_")) {
        command.env_remove(name);
    }
    command.env_remove("DEMO_SECONDS").stdin(Stdio::piped()).kill_on_drop(true).process_group(0);
    Ok(command)
}

/// Ends a child by closing its input.
async fn end(mut child: Child, what: &str) -> Result<(), Failure> {
    drop(child.stdin.take());
    match tokio::time::timeout(END_MAX, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(Failure::failed(format!("{what} ended badly: {status}"))),
        Ok(Err(error)) => Err(Failure::failed(format!("{what} cannot be waited for: {error}"))),
        // Dropping the child kills it.
        Err(_) => Err(Failure::failed(format!("{what} did not end within {} seconds", END_MAX.as_secs()))),
    }
}

/// A server that reads the shop's outbox.
pub(super) struct Server {
    child: Child,
    pub(super) url: String,
    pub(super) key: String,
}

impl Server {
    /// Starts a server at the usual address, or on any free port where that is taken.
    pub(super) async fn start(place: &Place) -> Result<Self, Failure> {
        if TcpListener::bind(USUAL).is_ok()
            && let Ok(server) = Self::start_at(place, USUAL).await
        {
            return Ok(server);
        }
        // Somebody is there, or came between looking and starting.
        Self::start_at(place, "127.0.0.1:0").await
    }

    async fn start_at(place: &Place, address: &str) -> Result<Self, Failure> {
        let log = std::fs::File::create(place.log())?;
        let mut command = ourselves()?;
        command
            .args(["serve", "--end-with-stdin", "--log-format", "human", "--listen", address, "--data-dir"])
            .arg(place.data());
        command.env("TIDINGS_SOURCES", format!("shop=sqlite:{}", place.shop().display()));
        // The demo's receiver is on this machine, where webhooks are not sent unless that is allowed.
        command.env("TIDINGS_ALLOW_HTTP", "true").env("TIDINGS_ALLOW_CIDRS", "127.0.0.1/32");
        command.stdout(Stdio::null()).stderr(Stdio::from(log));
        let mut child =
            command.spawn().map_err(|error| Failure::failed(format!("the server does not start: {error}")))?;
        let begun = Instant::now();
        loop {
            if let Ok(url) = std::fs::read_to_string(place.data().join(SERVER_URL)) {
                let key = std::fs::read_to_string(place.data().join(ADMIN_KEY))?;
                return Ok(Self { child, url: url.trim().to_owned(), key: key.trim().to_owned() });
            }
            let ended = child.try_wait()?;
            if ended.is_some() || begun.elapsed() > START_MAX {
                let log = std::fs::read_to_string(place.log()).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
                return Err(Failure::failed(format!("the server does not start:\n{tail}")));
            }
            tokio::time::sleep(START_POLL).await;
        }
    }

    pub(super) async fn end(self) -> Result<(), Failure> {
        end(self.child, "the server").await
    }
}

/// The shop, selling.
pub(super) struct Shop {
    child: Child,
    reports: Lines<BufReader<ChildStdout>>,
}

impl Shop {
    pub(super) fn start(place: &Place, rate: u32) -> Result<Self, Failure> {
        let mut command = ourselves()?;
        command
            .args(["demo", "shop", "--rate", &rate.to_string(), "--database"])
            .arg(place.shop())
            .stdout(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| Failure::failed(format!("the shop does not start: {error}")))?;
        let stdout = child.stdout.take().ok_or_else(|| Failure::failed("the shop has no output"))?;
        Ok(Self { child, reports: BufReader::new(stdout).lines() })
    }

    /// What the shop did next; nothing when it has closed.
    pub(super) async fn next(&mut self) -> Option<Report> {
        let line = self.reports.next_line().await.ok().flatten()?;
        serde_json::from_str(&line).ok()
    }

    /// Asks the shop to close after the transaction it is in.
    pub(super) fn close(&mut self) {
        drop(self.child.stdin.take());
    }

    pub(super) async fn end(self) -> Result<(), Failure> {
        end(self.child, "the shop").await
    }
}

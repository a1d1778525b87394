//! The real binary, started, killed and started again.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tidings_testkit::Process;

use crate::api::{Api, KEY};

/// Longer than a start takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often readiness is asked for: the server cannot tell from its side that it is up.
const POLL: Duration = Duration::from_millis(10);
/// Below the ports that the system gives to outgoing connections, so that nobody takes the server's while it is down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A server over one log, across its restarts.
pub(crate) struct Server {
    pub(crate) api: Api,
    data_dir: PathBuf,
    port: u16,
    environment: Vec<(String, String)>,
    /// A program and arguments that the server's command line is appended to.
    wrapper: Vec<OsString>,
    process: Option<Process>,
}

impl Server {
    /// A server that is not started yet. Its log is in PostgreSQL where a URL is given, else in the data directory.
    pub(crate) fn new(data_dir: &Path, database_url: Option<&str>, sources: &[(&str, &str)]) -> Self {
        let port = (0..100)
            .map(|_| rand::random_range(PORTS))
            .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
            .expect("one of a hundred ports is free");
        let mut environment = vec![("TIDINGS_ADMIN_KEY".to_owned(), KEY.to_owned())];
        if let Some(url) = database_url {
            environment.push(("TIDINGS_DATABASE_URL".to_owned(), url.to_owned()));
        }
        if !sources.is_empty() {
            let list: Vec<String> = sources.iter().map(|(name, url)| format!("{name}={url}")).collect();
            environment.push(("TIDINGS_SOURCES".to_owned(), list.join(",")));
        }
        let data_dir = data_dir.to_owned();
        Self { api: Api::new(port), data_dir, port, environment, wrapper: Vec::new(), process: None }
    }

    /// Sets a variable of its environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has another program start the server.
    pub(crate) fn wrapped_in(mut self, wrapper: Vec<OsString>) -> Self {
        self.wrapper = wrapper;
        self
    }

    /// Starts the process and does not wait.
    pub(crate) fn start(&mut self) {
        let mut line = self.wrapper.clone();
        line.push(env!("CARGO_BIN_EXE_tidings").into());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).arg("serve").arg("--data-dir").arg(&self.data_dir);
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        without_settings(&mut command);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::spawn(command));
    }

    /// Waits until the server is ready.
    pub(crate) async fn ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.api.is_ready().await {
            let process = self.process.as_mut().expect("the server was started");
            let ended = process.try_wait().is_some();
            assert!(!ended && Instant::now() < deadline, "the server is not up:\n{}", process.output().last(40));
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the server says of itself that it is not ready. It looks about once a second.
    pub(crate) async fn not_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.api.get("/readyz").await.unwrap();
            match answer.status {
                StatusCode::SERVICE_UNAVAILABLE => return,
                status => assert!(status == StatusCode::OK && Instant::now() < deadline, "{status}: {}", answer.text()),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Starts the process and waits until it is ready.
    pub(crate) async fn start_ready(&mut self) {
        self.start();
        self.ready().await;
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub(crate) fn kill9(&mut self) {
        self.process.take().expect("the server was started").kill9();
    }

    /// SIGTERM, and the end it leads to.
    pub(crate) async fn stop(&mut self) {
        let mut process = self.process.take().expect("the server was started");
        process.terminate();
        let status = process.wait(PATIENCE).await;
        assert!(status.success(), "{status}:\n{}", process.output().last(40));
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server was started").id()
    }
}

/// Installs the outbox in a producer's database.
pub(crate) fn install_outbox(url: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.args(["outbox", "install", "--url", url]);
    without_settings(&mut command);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What the environment of the test says must not reach the server under test.
fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("TIDINGS_")) {
            command.env_remove(name);
        }
    }
}

//! A server and commands of a test's own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tidings_testkit::Process;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, with nothing of this process's settings.
pub(crate) fn tidings(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.env_remove("DEMO_SECONDS").env("NO_COLOR", "1").env("COLUMNS", "110").args(args);
    command
}

fn is_setting(name: &str) -> bool {
    name.starts_with("TIDINGS_") || name.starts_with("OTEL_")
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Its output, if it ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// Its output as one JSON value, if it ended well.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).expect("JSON")
    }

    /// Its output as one JSON value a line, if it ended well.
    #[track_caller]
    pub(crate) fn lines(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).expect("JSON on each line")).collect()
    }
}

/// Runs a command to its end.
pub(crate) async fn run(mut command: Command, input: &str) -> Ran {
    let input = input.to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            // A command that ends without reading all of it closes its end: that is its right.
            let _ = stdin.write_all(input.as_bytes());
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    });
    let output = tokio::time::timeout(PATIENCE, ran).await.expect("the command ends in time").unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running server on a directory that goes away with it.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) url: String,
    dir: Option<TempDir>,
    data: PathBuf,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    pub(crate) async fn start_with(args: &[&str], env: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut server = Self::on(&data, args, env).await;
        server.dir = Some(dir);
        server
    }

    /// A server on a directory of the caller's.
    pub(crate) async fn on(data: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = tidings(&["serve", "--data-dir", data.to_str().unwrap()]);
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(args).envs(env.iter().copied());
        let mut process = Process::spawn(command);
        let line = process.line(PATIENCE, |line| line.contains("\"message\":\"ready\"")).await;
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["url"].as_str().unwrap().to_owned();
        Self { process, url, dir: None, data: data.to_owned() }
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn key(&self) -> String {
        std::fs::read_to_string(self.data.join("admin.key")).unwrap().trim().to_owned()
    }

    /// A command that speaks to this server.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = tidings(args);
        command.env("TIDINGS_URL", &self.url).env("TIDINGS_KEY", self.key());
        command
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        run(self.command(args), "").await
    }

    /// Runs a command with standard input.
    pub(crate) async fn feed(&self, args: &[&str], input: &str) -> Ran {
        run(self.command(args), input).await
    }

    /// All events of a tenant, oldest first.
    pub(crate) async fn events(&self, tenant: &str) -> Vec<Value> {
        self.run(&["tail", tenant, "--from", "start", "--no-follow", "--json"]).await.lines()
    }

    /// Follows a tenant's feed from its start until so many events have come.
    pub(crate) async fn wait_for(&self, tenant: &str, count: usize) -> Vec<Value> {
        self.run(&["tail", tenant, "--from", "start", "--json", "--limit", &count.to_string()]).await.lines()
    }

    /// Ends it in good order.
    pub(crate) async fn stop(&mut self) {
        self.process.terminate();
        let status = self.process.wait(PATIENCE).await;
        assert_eq!(status.code(), Some(0), "{}", self.process.output().last(20));
    }
}

/// An event as a line.
pub(crate) fn event(tenant: &str, number: usize) -> String {
    format!(
        "{{\"type\":\"sales.lead.created\",\"tenant\":\"{tenant}\",\"source\":{{\"type\":\"service\",\"id\":\"sales\"}},\"data\":{{\"n\":{number}}}}}"
    )
}

/// So many events of one tenant, a line each.
pub(crate) fn events(tenant: &str, count: usize) -> String {
    (0..count).map(|number| event(tenant, number) + "\n").collect()
}

/// The flags of one event.
pub(crate) const ONE: [&str; 9] = [
    "emit",
    "--tenant",
    "acme",
    "--type",
    "sales.lead.created",
    "--source",
    "service/sales",
    "--data",
    "{\"n\": 1.50}",
];

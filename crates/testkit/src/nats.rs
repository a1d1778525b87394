//! An ephemeral NATS server with JetStream.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{NATS_SERVER_VARIABLE, Process, free_port};

/// Longer than any start or stop takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a server that starts is asked whether it takes connections.
const START_POLL: Duration = Duration::from_millis(5);
/// Ports tried before a start is given up: another process may take one between choosing and using it.
const PORTS_TRIED_MAX: usize = 5;

/// A NATS server for tests. It ends, and its directory disappears, with the handle.
pub struct Nats {
    process: Mutex<Option<Process>>,
    program: PathBuf,
    directory: TempDir,
    port: u16,
    /// Ends the server and removes its directory if this process dies without dropping anything.
    watchdog: Child,
}

impl Nats {
    /// Starts the server that [`Nats::programs`] finds first.
    ///
    /// # Panics
    /// When there is none, or it does not start.
    #[must_use]
    pub fn start() -> Self {
        let program = Self::programs().into_iter().next().unwrap_or_else(|| {
            panic!(
                "nats-server is not installed: neither PATH, /usr/sbin nor .tools/bin has one. Install it (Debian: \
                 apt-get install nats-server), or name one in {NATS_SERVER_VARIABLE}."
            )
        });
        Self::start_program(&program, "")
    }

    /// Starts a server with further lines of configuration.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_program(program: &Path, settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for _ in 0..PORTS_TRIED_MAX {
            let port = free_port();
            write_config(directory.path(), port, settings);
            if let Some(process) = launch(program, directory.path(), port) {
                let watchdog = watch(directory.path());
                return Self {
                    process: Mutex::new(Some(process)),
                    program: program.to_owned(),
                    directory,
                    port,
                    watchdog,
                };
            }
        }
        panic!("no port could be had for nats-server");
    }

    /// The servers of different versions that are installed: the one that `TIDINGS_TEST_NATS` names alone, else those in
    /// PATH or /usr/sbin and in `.tools/bin` of the workspace.
    #[must_use]
    pub fn programs() -> Vec<PathBuf> {
        if let Some(named) = std::env::var_os(NATS_SERVER_VARIABLE).filter(|named| !named.is_empty()) {
            return vec![PathBuf::from(named)];
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let system = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).map(|at| at.join("nats-server"));
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin/nats-server");
        let tools = tools.canonicalize().ok();
        let mut found: Vec<PathBuf> =
            system.filter(|program| program.is_file() && program.canonicalize().ok() != tools).take(1).collect();
        found.extend(tools.filter(|program| program.is_file()));
        found
    }

    /// Its URL, without a user.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server, as a crash would.
    pub fn kill9(&self) {
        if let Some(mut process) = self.process().take() {
            process.kill9();
        }
    }

    /// Lets the server stand still (SIGSTOP): its connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.process().iter().for_each(Process::freeze);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process().iter().for_each(Process::thaw);
    }

    /// Removes all that it has stored. Only while it is down.
    ///
    /// # Panics
    /// When it runs.
    pub fn wipe(&self) {
        assert!(self.process().is_none(), "a server that runs cannot be wiped");
        let _nothing_stored = std::fs::remove_dir_all(self.directory.path().join("jetstream"));
    }

    /// Starts the server again after [`Nats::kill9`], on the same port and data.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&self) {
        let mut process = self.process();
        if process.is_none() {
            let started = launch(&self.program, self.directory.path(), self.port);
            *process = Some(started.expect("the server's port was taken while it was down"));
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // The watchdog first: it must not wake when its pipe closes, for by then the id may belong to another.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        if let Some(mut process) = self.process().take() {
            process.signal(Signal::KILL);
            process.ended_within(Duration::from_secs(10));
        }
    }
}

fn write_config(directory: &Path, port: u16, settings: &str) {
    let config = format!(
        "listen: \"127.0.0.1:{port}\"\npid_file: \"{dir}/nats.pid\"\njetstream: {{ store_dir: \"{dir}\" }}\n{settings}\n",
        dir = directory.display()
    );
    std::fs::write(directory.join("nats.conf"), config).expect("the configuration can be written");
}

/// Starts the server and waits until it takes connections. Nothing when its port is taken.
fn launch(program: &Path, directory: &Path, port: u16) -> Option<Process> {
    let mut command = Command::new(program);
    command.arg("-c").arg(directory.join("nats.conf"));
    let mut process = Process::spawn(command);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if answers(port) {
            return Some(process);
        }
        if process.try_wait().is_some() {
            process.ended_within(PATIENCE);
            let said = process.output().last(40);
            assert!(said.contains("address already in use"), "nats-server did not start:\n{said}");
            return None;
        }
        // There is no signal to wait for: the system does not tell when somebody begins to listen.
        std::thread::park_timeout(START_POLL);
    }
    panic!("nats-server did not start:\n{}", process.output().last(40));
}

/// Whether a NATS server greets there.
fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut greeting = [0; 4];
    let greeted = stream.read_exact(&mut greeting).is_ok() && &greeting == b"INFO";
    let _ = stream.flush();
    greeted
}

/// Starts a shell that waits for this process's end, then ends the server and removes its directory.
fn watch(directory: &Path) -> Child {
    let script = r#"trap '' INT TERM HUP; read _; pid=$(head -n 1 "$1/nats.pid" 2>/dev/null)
        [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$1""#;
    Command::new("sh")
        .args(["-c", script, "watchdog"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell can be started")
}

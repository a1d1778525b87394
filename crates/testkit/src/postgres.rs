//! An ephemeral PostgreSQL server.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Database, Output, POSTGRES_URL_VARIABLE, Process, free_port};

/// Longer than any start or stop takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ports tried before a start is given up: another process may take one between choosing and using it.
const PORTS_TRIED_MAX: usize = 5;
/// How often a start is tried again while children of a server that was killed are still ending.
const RESTART_POLL: Duration = Duration::from_millis(100);
/// A socket's path has at most 107 bytes, of which the file's name takes about 17.
const SOCKET_DIR_BYTES_MAX: usize = 88;

/// How an ephemeral server is set up.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Whether commits wait for the disk. Off by default: tests kill processes, not the power.
    pub fsync: bool,
    /// Connections that the server takes.
    pub max_connections: u32,
    /// Further settings of postgresql.conf; they win over the ones above.
    pub settings: Vec<(String, String)>,
    /// Where the server's own directory is made; by default among the system's temporary files.
    pub parent: Option<PathBuf>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { fsync: false, max_connections: 200, settings: Vec::new(), parent: None }
    }
}

/// A PostgreSQL server for tests. One that was started here ends, and its directory disappears, with the last handle.
pub struct Postgres {
    /// The administrator's URL.
    url: String,
    /// Nothing when the server is not ours (`TIDINGS_TEST_POSTGRES`).
    server: Option<Server>,
}

struct Server {
    process: Mutex<Option<Process>>,
    programs: Programs,
    directory: TempDir,
    options: PostgresOptions,
    port: u16,
    /// Ends the server and removes its directory if this process dies without dropping anything.
    watchdog: Child,
}

impl Postgres {
    /// The server that the tests of this process share: the one that `TIDINGS_TEST_POSTGRES` names, else one that is
    /// started by the first caller and ends with the last handle.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(postgres) = shared.upgrade() {
            return postgres;
        }
        let postgres = match std::env::var(POSTGRES_URL_VARIABLE) {
            Ok(url) if !url.is_empty() => Arc::new(Self { url, server: None }),
            _ => Self::start(),
        };
        *shared = Arc::downgrade(&postgres);
        postgres
    }

    /// Starts a server of the caller's own, with the default options.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start() -> Arc<Self> {
        Self::start_with(PostgresOptions::default())
    }

    /// Starts a server of the caller's own.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    #[must_use]
    pub fn start_with(options: PostgresOptions) -> Arc<Self> {
        let programs = Programs::find();
        let parent = options.parent.clone().unwrap_or_else(std::env::temp_dir);
        let directory =
            tempfile::Builder::new().prefix("tidings-pg-").tempdir_in(parent).expect("a temporary directory");
        programs.init(directory.path());
        let mut server = None;
        for _ in 0..PORTS_TRIED_MAX {
            let port = free_port();
            if let Some(process) = programs.launch(directory.path(), port, &options) {
                server = Some((process, port));
                break;
            }
        }
        let (process, port) = server.expect("PostgreSQL found its port taken again and again");
        let watchdog = watch(process.id(), directory.path());
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let server = Server { process: Mutex::new(Some(process)), programs, directory, options, port, watchdog };
        Arc::new(Self { url, server: Some(server) })
    }

    /// Makes a fresh, empty database, dropped with its handle.
    ///
    /// # Panics
    /// When the server cannot be reached.
    pub async fn database(self: &Arc<Self>) -> Database {
        Database::create(Arc::clone(self)).await
    }

    /// The administrator's URL, of the database `postgres`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same server by its unix socket, if it is ours and the socket's path is short enough.
    #[must_use]
    pub fn socket_url(&self, database: &str) -> Option<String> {
        let server = self.server.as_ref()?;
        let directory = socket_directory(server.directory.path())?;
        Some(format!("postgres://postgres@{}:{}/{database}", directory.replace('/', "%2F"), server.port))
    }

    /// Stops the server as `systemctl stop` would: connections are closed, nothing is lost.
    ///
    /// # Panics
    /// When the server is not ours, or does not stop.
    pub fn stop(&self) {
        let server = self.own();
        if let Some(mut process) = server.process().take() {
            process.signal(Signal::INT);
            assert!(process.ended_within(PATIENCE), "PostgreSQL did not stop:\n{}", process.output().last(40));
        }
    }

    /// Kills the server and every backend at once, as a crash would.
    ///
    /// # Panics
    /// When the server is not ours.
    pub fn kill9(&self) {
        if let Some(mut process) = self.own().process().take() {
            // The postmaster stands still first, so that it starts no further backend while the others are found.
            process.freeze();
            for pid in children(process.id()) {
                let _ = kill_process(pid, Signal::KILL);
            }
            process.kill9();
        }
    }

    /// Stops the server and every backend where they stand (SIGSTOP), as a disk that hangs would.
    ///
    /// # Panics
    /// When the server is not ours.
    pub fn freeze(&self) {
        if let Some(process) = &*self.own().process() {
            // The postmaster first, so that it starts nobody while the others are found.
            process.freeze();
            children(process.id()).into_iter().for_each(crate::process::freeze);
        }
    }

    /// What the server has written since its last start; nothing while it is down.
    ///
    /// # Panics
    /// When the server is not ours.
    #[must_use]
    pub fn output(&self) -> Option<Output> {
        self.own().process().as_ref().map(|process| process.output().clone())
    }

    /// Lets the server go on after [`Postgres::freeze`].
    ///
    /// # Panics
    /// When the server is not ours.
    pub fn thaw(&self) {
        if let Some(process) = &*self.own().process() {
            for pid in children(process.id()) {
                let _ = kill_process(pid, Signal::CONT);
            }
            process.thaw();
        }
    }

    /// Starts the server again after [`Postgres::stop`] or [`Postgres::kill9`], on the same port and data.
    ///
    /// # Panics
    /// When the server is not ours, or does not start.
    pub fn restart(&self) {
        let server = self.own();
        let mut process = server.process();
        if process.is_none() {
            let started = server.programs.launch(server.directory.path(), server.port, &server.options);
            *process = Some(started.expect("the server's port was taken while it was down"));
        }
    }

    fn own(&self) -> &Server {
        self.server.as_ref().expect("only a server that was made by Postgres::start can be stopped")
    }
}

impl Server {
    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The watchdog first: it must not wake when its pipe closes, for by then the ids may belong to others.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        if let Some(mut process) = self.process().take() {
            // An immediate shutdown: the postmaster ends its backends and frees the shared memory.
            process.signal(Signal::QUIT);
            process.ended_within(Duration::from_secs(10));
        }
    }
}

/// Starts a shell that waits for this process's end, then ends the server and removes its directory.
fn watch(postmaster: u32, directory: &Path) -> Child {
    // The id of a restarted postmaster is read from its own file; the first one serves while there is no such file.
    let script = r#"trap '' INT TERM HUP; read _; pid=$(head -n 1 "$2/data/postmaster.pid" 2>/dev/null || echo "$1")
        kill -QUIT "$pid" 2>/dev/null; sleep 1; kill -KILL "$pid" 2>/dev/null; rm -rf "$2""#;
    Command::new("sh")
        .args(["-c", script, "watchdog"])
        .arg(postmaster.to_string())
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell can be started")
}

/// The processes whose parent is the given one.
fn children(parent: u32) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The fields after the name, which stands in parentheses: state, parent, …
        let of = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u32>().ok());
        if of == Some(parent) {
            found.extend(Pid::from_raw(pid));
        }
    }
    found
}

fn socket_directory(directory: &Path) -> Option<&str> {
    directory.to_str().filter(|path| path.len() <= SOCKET_DIR_BYTES_MAX)
}

/// Where PostgreSQL's programs are, and as whom they run.
struct Programs {
    directory: PathBuf,
    /// User and group ids: PostgreSQL refuses to run as root.
    run_as: Option<(u32, u32)>,
}

impl Programs {
    fn find() -> Self {
        let directory = binaries().unwrap_or_else(|| {
            panic!(
                "PostgreSQL is not installed: neither /usr/lib/postgresql/*/bin nor PATH has initdb and postgres. \
                 Install it (Debian: apt-get install postgresql), or name a running server in {POSTGRES_URL_VARIABLE}."
            )
        });
        Self { directory, run_as: unprivileged() }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.directory.join(program));
        command.env("LC_ALL", "C").env_remove("PGDATA").env_remove("PGPORT").env_remove("PGHOST").current_dir("/");
        if let Some((user, group)) = self.run_as {
            command.uid(user).gid(group);
        }
        command
    }

    fn init(&self, directory: &Path) {
        if let Some((user, group)) = self.run_as {
            chown(directory, Some(user), Some(group)).expect("root may give a directory away");
        }
        let made = self
            .command("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .args(["--no-instructions", "-D"])
            .arg(directory.join("data"))
            .output()
            .unwrap_or_else(|error| panic!("cannot run initdb: {error}"));
        assert!(made.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Starts the server and waits until it takes connections. Nothing when its port is taken.
    fn launch(&self, directory: &Path, port: u16, options: &PostgresOptions) -> Option<Process> {
        let on = |on: bool| if on { "on" } else { "off" };
        let mut settings = vec![
            ("listen_addresses".into(), "127.0.0.1".into()),
            ("port".into(), port.to_string()),
            ("unix_socket_directories".into(), socket_directory(directory).unwrap_or_default().into()),
            ("max_connections".into(), options.max_connections.to_string()),
            ("shared_buffers".into(), "64MB".into()),
            ("fsync".into(), on(options.fsync).into()),
            ("full_page_writes".into(), on(options.fsync).into()),
            ("autovacuum_naptime".into(), "5s".into()),
            ("logging_collector".into(), "off".into()),
            ("lc_messages".into(), "C".into()),
        ];
        settings.extend(options.settings.iter().cloned());

        let until = Instant::now() + PATIENCE;
        loop {
            let mut command = self.command("postgres");
            command.arg("-D").arg(directory.join("data"));
            for (name, value) in &settings {
                command.arg("-c").arg(format!("{name}={value}"));
            }
            let process = Process::spawn(command);
            let (mut taken, mut early) = (false, false);
            let ready = process.output().find(0, PATIENCE, |line| {
                taken |= line.contains("could not bind");
                early |= line.contains("pre-existing shared memory block");
                line.contains("database system is ready to accept connections")
            });
            if ready.is_some() {
                return Some(process);
            }
            if taken {
                return None;
            }
            // Children of a server that was killed end by themselves, soon.
            assert!(early && Instant::now() < until, "PostgreSQL did not start:\n{}", process.output().last(40));
            std::thread::park_timeout(RESTART_POLL);
        }
    }
}

/// The directory that holds initdb and postgres, of the newest version.
fn binaries() -> Option<PathBuf> {
    let complete = |directory: &PathBuf| directory.join("initdb").is_file() && directory.join("postgres").is_file();
    let mut packaged: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, directory)| complete(directory))
        .collect();
    packaged.sort();
    if let Some((_, directory)) = packaged.pop() {
        return Some(directory);
    }
    std::env::split_paths(&std::env::var_os("PATH")?).find(complete)
}

/// Whom the server runs as when we are root: the user `postgres`, else `nobody`.
pub(crate) fn unprivileged() -> Option<(u32, u32)> {
    let probe = tempfile::tempfile().and_then(|file| file.metadata()).expect("a temporary file");
    if probe.uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    let find = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then_some(())?;
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        })
    };
    let ids = find("postgres").or_else(|| find("nobody"));
    Some(ids.expect("running as root, and there is neither a user postgres nor nobody to run PostgreSQL as"))
}

//! An ephemeral PgBouncer in front of a PostgreSQL server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::postgres::unprivileged;
use crate::{Database, Postgres, Process, free_port};

/// Longer than a start takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Ports tried before a start is given up: another process may take one between choosing and using it.
const PORTS_TRIED_MAX: usize = 5;

/// A pooler that lends the server's connections by the transaction (`pool_mode = transaction`), as PgBouncer 1.18 and
/// later do. It ends with the handle.
pub struct Pgbouncer {
    port: u16,
    _process: Process,
    _directory: TempDir,
    _server: Arc<Postgres>,
}

impl Pgbouncer {
    /// Starts one that opens at most `connections` to the server for each of its databases.
    ///
    /// # Panics
    /// When PgBouncer is not installed or does not start.
    #[must_use]
    pub fn start(server: &Arc<Postgres>, connections: u32) -> Self {
        let directory = tempfile::Builder::new().prefix("tidings-pgb-").tempdir().expect("a temporary directory");
        // PgBouncer does not run as root, so another user reads the file.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("the directory is ours");
        let (host, port) = host_and_port(server.url());
        for _ in 0..PORTS_TRIED_MAX {
            let listen = free_port();
            let file = directory.path().join("pgbouncer.ini");
            let text = format!(
                "[databases]\n* = host={host} port={port} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {listen}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
                 max_client_conn = 500\ndefault_pool_size = {connections}\nlog_connections = 0\n\
                 log_disconnections = 0\nserver_idle_timeout = 5\n"
            );
            fs::write(&file, text).expect("the directory takes a file");
            let mut command = Command::new(program());
            command.arg(&file).current_dir("/");
            if let Some((user, group)) = unprivileged() {
                use std::os::unix::process::CommandExt as _;
                command.uid(user).gid(group);
            }
            let process = Process::spawn(command);
            let mut taken = false;
            let ready = process.output().find(0, PATIENCE, |line| {
                taken |= line.contains("Address already in use");
                line.contains("process up")
            });
            if ready.is_some() && !taken {
                return Self { port: listen, _process: process, _directory: directory, _server: Arc::clone(server) };
            }
            assert!(taken, "PgBouncer did not start:\n{}", process.output().last(40));
        }
        panic!("PgBouncer found its port taken again and again")
    }

    /// The URL at which a database is reached through it.
    #[must_use]
    pub fn url(&self, database: &Database) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{}?pooler=transaction", self.port, database.name())
    }
}

/// Where a URL of the testkit's form points.
fn host_and_port(url: &str) -> (String, String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "5432"));
    (host.to_owned(), port.to_owned())
}

fn program() -> PathBuf {
    let packaged = PathBuf::from("/usr/sbin/pgbouncer");
    if packaged.is_file() { packaged } else { PathBuf::from("pgbouncer") }
}

//! An outbox in an SQLite file.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags};
use tidings_event::{EventId, Timestamp};
use tidings_outbox::sql;

use super::{Intent, IntentAnswer, OutboxRow, OutboxSource, OutboxStatus, ProbeAnswer, Refused, RowProbe, SourceError};

mod probe;
mod rows;

/// How long a statement waits for another process's write.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);
/// How long a waiting statement rests between two tries. Producers' transactions are short, so is the rest: whoever
/// waits longer than the others never gets its turn under constant writing.
const BUSY_REST: Duration = Duration::from_millis(1);
/// How long a row probe may take; a table without a fitting index may be large.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

type Result<T, E = SourceError> = std::result::Result<T, E>;

/// An outbox in an SQLite file. Connects when it is first used, and again when the file was replaced.
pub struct SqliteSource {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    /// Each has a connection of its own, so that none waits for another. What the pump writes itself must not look
    /// like a change to it, hence its reads and deletes share one.
    pump: Mutex<Slot>,
    desk: Mutex<Slot>,
    probe: Mutex<Slot>,
    /// Ends the probe that runs.
    interrupt: Mutex<Option<InterruptHandle>>,
}

/// Who uses a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Reads, deletes, refuses.
    Pump,
    /// Intents, refused rows, status.
    Desk,
    /// Row probes, which may take long.
    Probe,
}

#[derive(Default)]
struct Slot {
    open: Option<Open>,
}

struct Open {
    connection: Connection,
    /// Device and inode of the file that was opened.
    file: (u64, u64),
    /// The file's version when changes were last asked for.
    version: Option<i64>,
}

impl SqliteSource {
    /// A source in a file. Nothing is opened yet.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let shared = Shared {
            path: path.to_owned(),
            pump: Mutex::default(),
            desk: Mutex::default(),
            probe: Mutex::default(),
            interrupt: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes the outbox's table, and the file where there is none, readable for its owner alone.
    pub async fn install(&self) -> Result<()> {
        let path = self.shared.path.clone();
        let installed = tokio::task::spawn_blocking(move || {
            use std::os::unix::fs::OpenOptionsExt;
            let mut options = std::fs::OpenOptions::new();
            let file = options.create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
            file.map_err(|error| SourceError::Unavailable(format!("cannot open {}: {error}", path.display())))?;
            let mut connection = connect(&path).map_err(|error| classify(&error))?;
            tidings_outbox::rusqlite::install(&mut connection).map_err(from_outbox)
        });
        installed.await.map_err(|error| SourceError::Broken(error.to_string()))?
    }

    /// Runs blocking work on a connection, off the runtime.
    async fn run<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&mut Open) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            let slot = match lane {
                Lane::Pump => &shared.pump,
                Lane::Desk => &shared.desk,
                Lane::Probe => &shared.probe,
            };
            let mut slot = slot.lock();
            let open = slot.ready(&shared.path, lane)?;
            if lane == Lane::Probe {
                *shared.interrupt.lock() = Some(open.connection.get_interrupt_handle());
            }
            work(open).map_err(|error| {
                if is_connection_lost(&error) {
                    slot.open = None;
                }
                classify(&error)
            })
        });
        done.await.map_err(|error| SourceError::Broken(error.to_string()))?
    }
}

impl Slot {
    /// The connection, to the file that is there now.
    fn ready(&mut self, path: &Path, lane: Lane) -> Result<&mut Open> {
        let unavailable = |error: std::io::Error| SourceError::Unavailable(format!("{}: {error}", path.display()));
        let metadata = std::fs::metadata(path).map_err(unavailable)?;
        let file = (metadata.dev(), metadata.ino());
        if self.open.as_ref().is_some_and(|open| open.file != file) {
            self.open = None;
        }
        if self.open.is_none() {
            let connection = connect(path).map_err(|error| classify(&error))?;
            prepare(&connection, lane)?;
            self.open = Some(Open { connection, file, version: None });
        }
        Ok(self.open.as_mut().expect("it was opened above"))
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_handler(Some(|tries| {
        // This thread is one of those that may block.
        #[allow(clippy::disallowed_methods)]
        std::thread::sleep(BUSY_REST);
        i64::from(tries) < i64::try_from(BUSY_PATIENCE.as_millis()).unwrap_or(i64::MAX)
    }))?;
    Ok(connection)
}

/// Sets a new connection up, and looks whether there is an outbox that this version knows.
fn prepare(connection: &Connection, lane: Lane) -> Result<()> {
    let set = |name: &str, value: &str| connection.pragma_update_and_check(None, name, value, |_| Ok(()));
    if lane == Lane::Probe {
        return connection.pragma_update(None, "query_only", true).map_err(|error| classify(&error));
    }
    // Without it a reader blocks the writers. A file that someone holds right now stays as it is until next time.
    let _ = set("journal_mode", "wal");
    // A delete that a power cut undoes is repeated, and the log knows the event already. An intent is a promise.
    let synchronous = if lane == Lane::Pump { "normal" } else { "full" };
    connection.pragma_update(None, "synchronous", synchronous).map_err(|error| classify(&error))?;
    match tidings_outbox::rusqlite::version(connection).map_err(from_outbox)? {
        Some(version) if version <= sql::VERSION => Ok(()),
        Some(version) => Err(SourceError::NotInstalled(format!("the file has version {version}"))),
        None => Err(SourceError::NotInstalled("the file has no table tidings_outbox_meta".to_owned())),
    }
}

fn from_outbox(error: tidings_outbox::rusqlite::Error) -> SourceError {
    use tidings_outbox::Error as Outbox;
    match error {
        Outbox::Database(error) => classify(&error),
        Outbox::NotInstalled | Outbox::TooNew { .. } => SourceError::NotInstalled(error.to_string()),
        Outbox::SourceKeyTaken(_) | Outbox::DataTooLarge { .. } => SourceError::Broken(error.to_string()),
    }
}

fn classify(error: &rusqlite::Error) -> SourceError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::SchemaChanged
            | ErrorCode::OperationInterrupted,
        ) => SourceError::Unavailable(text),
        Some(ErrorCode::NotADatabase) => SourceError::NotInstalled(text),
        _ if text.contains("no such table: tidings_") => SourceError::NotInstalled(text),
        _ => SourceError::Broken(text),
    }
}

/// After these the connection may know the file no better than its user does.
fn is_connection_lost(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

#[async_trait]
impl OutboxSource for SqliteSource {
    async fn read(&self, floor: i64, limit: usize, bytes: usize) -> Result<Vec<OutboxRow>> {
        self.run(Lane::Pump, move |open| rows::read(&open.connection, floor, limit, bytes)).await
    }

    async fn waiting_before(&self, id: i64) -> Result<u64> {
        self.run(Lane::Pump, move |open| rows::waiting_before(&open.connection, id)).await
    }

    async fn delete(&self, ids: &[i64]) -> Result<()> {
        let ids = ids.to_vec();
        self.run(Lane::Pump, move |open| rows::delete(&mut open.connection, &ids)).await
    }

    async fn refuse(&self, refused: &[(i64, String)]) -> Result<()> {
        let refused = refused.to_vec();
        self.run(Lane::Pump, move |open| rows::refuse(&mut open.connection, &refused)).await
    }

    async fn changed(&self) -> Result<bool> {
        self.run(Lane::Pump, |open| {
            let now = open.connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
            Ok(open.version.replace(now) != Some(now))
        })
        .await
    }

    async fn hint(&self) {
        std::future::pending::<()>().await;
    }

    async fn refused(&self, after: i64, limit: usize) -> Result<Vec<Refused>> {
        self.run(Lane::Desk, move |open| rows::refused(&open.connection, after, limit)).await
    }

    async fn retry(&self, id: i64, event: Option<&[u8]>) -> Result<bool> {
        let event = event.map(text).transpose()?;
        self.run(Lane::Desk, move |open| rows::retry(&open.connection, id, event.as_deref())).await
    }

    async fn discard_refused(&self, id: i64) -> Result<bool> {
        self.run(Lane::Desk, move |open| rows::discard_refused(&open.connection, id)).await
    }

    async fn append_intent(&self, key: &EventId, event: &[u8], probe: Option<&[u8]>) -> Result<bool> {
        let (key, event, probe) = (key.clone(), text(event)?, probe.map(text).transpose()?);
        self.run(Lane::Desk, move |open| rows::append_intent(&mut open.connection, &key, &event, probe.as_deref()))
            .await
    }

    async fn row(&self, key: &EventId) -> Result<Option<OutboxRow>> {
        let key = key.clone();
        self.run(Lane::Desk, move |open| rows::row(&open.connection, &key)).await
    }

    async fn confirm_intent(&self, key: &EventId) -> Result<IntentAnswer> {
        let key = key.clone();
        self.run(Lane::Desk, move |open| Ok(rows::resolve(&mut open.connection, &key, true))).await?
    }

    async fn discard_intent(&self, key: &EventId) -> Result<IntentAnswer> {
        let key = key.clone();
        self.run(Lane::Desk, move |open| Ok(rows::resolve(&mut open.connection, &key, false))).await?
    }

    async fn stale_intents(&self, after: i64, default_stale_s: u32, limit: usize) -> Result<Vec<Intent>> {
        self.run(Lane::Desk, move |open| rows::stale_intents(&open.connection, after, default_stale_s, limit)).await
    }

    async fn count_unresolved(&self, id: i64, reason: &str) -> Result<u32> {
        let reason = reason.to_owned();
        self.run(Lane::Desk, move |open| rows::count_unresolved(&open.connection, id, &reason)).await
    }

    async fn probe_row(&self, probe: &RowProbe) -> Result<ProbeAnswer> {
        let probe = probe.clone();
        let mut answer = std::pin::pin!(self.run(Lane::Probe, move |open| probe::ask(&open.connection, &probe)));
        loop {
            // Interrupted, the statement ends with an error of its own; a statement that had not begun yet is caught
            // the next time round.
            match tokio::time::timeout(PROBE_PATIENCE, &mut answer).await {
                Ok(answer) => return answer,
                Err(_) => self.shared.interrupt.lock().iter().for_each(InterruptHandle::interrupt),
            }
        }
    }

    async fn status(&self) -> Result<OutboxStatus> {
        self.run(Lane::Desk, |open| rows::status(&open.connection)).await
    }

    async fn clock(&self) -> Result<Timestamp> {
        self.run(Lane::Desk, |open| rows::clock(&open.connection)).await
    }
}

/// JSON that someone checked is UTF-8; anything else is refused here.
fn text(json: &[u8]) -> Result<String> {
    String::from_utf8(json.to_vec()).map_err(|_| SourceError::Broken("the text is not UTF-8".to_owned()))
}

//! An outbox in a PostgreSQL database.

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use tidings_event::{EventId, Timestamp};
use tidings_outbox::sql;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::{Intent, IntentAnswer, OutboxRow, OutboxSource, OutboxStatus, ProbeAnswer, Refused, RowProbe, SourceError};

mod connect;
mod link;
mod listen;
mod probe;
mod statements;

use connect::Target;
use link::Link;
use listen::Listener;

type Result<T, E = SourceError> = std::result::Result<T, E>;

/// The longest that one call waits for its answer, above the server's own limit on a statement.
const CALL_PATIENCE: Duration = Duration::from_secs(40);
/// Ids in one statement at most.
const IDS_MAX: usize = 5_000;

/// An outbox in a PostgreSQL database. Connects when it is first used, and again whenever a connection is lost.
pub struct PostgresSource {
    target: Target,
    /// Each has a connection of its own, so that a slow statement of one does not hold the others up.
    pump: Link,
    desk: Link,
    probe: Link,
    listener: OnceLock<Listener>,
}

impl PostgresSource {
    /// A source at a URL. Nothing is connected yet; fails only when the URL makes no sense.
    pub fn connect(url: &str) -> Result<Self> {
        let target = Target::parse(url)?;
        Ok(Self {
            pump: Link::new(target.clone(), link::Setup::Outbox),
            desk: Link::new(target.clone(), link::Setup::Outbox),
            probe: Link::new(target.clone(), link::Setup::Probe),
            listener: OnceLock::new(),
            target,
        })
    }

    /// Makes the outbox's table and functions, or brings them up to date.
    pub async fn install(&self) -> Result<()> {
        let (mut client, messages) = self.target.open().await?;
        let driver = link::Driver::start(messages);
        let installed = tidings_outbox::tokio_postgres::install(&mut client).await;
        drop(driver);
        installed.map_err(|error| match error {
            tidings_outbox::Error::Database(error) => classify(&error),
            other => SourceError::NotInstalled(other.to_string()),
        })
    }

    async fn answer(&self, statement: &str, key: &EventId) -> Result<IntentAnswer> {
        let client = self.desk.client().await?;
        let row = timed(client.query_one(statement, &[(&key.as_str(), Type::TEXT)])).await?;
        Ok(match get::<&str>(&row, 0)? {
            "done" => IntentAnswer::Done,
            "confirmed" => IntentAnswer::AlreadyConfirmed,
            _ => IntentAnswer::Absent,
        })
    }

    async fn execute(&self, link: &Link, statement: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<u64> {
        let client = link.client().await?;
        timed(client.execute(statement, parameters)).await
    }

    async fn query(
        &self,
        link: &Link,
        statement: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>> {
        let client = link.client().await?;
        timed(client.query(statement, parameters)).await
    }
}

/// Waits for an answer, but not for ever: a server that vanished without a word is noticed late by TCP.
async fn timed<T>(answer: impl Future<Output = Result<T, tokio_postgres::Error>> + Send) -> Result<T> {
    match tokio::time::timeout(CALL_PATIENCE, answer).await {
        Ok(answer) => answer.map_err(|error| classify(&error)),
        Err(_) => Err(SourceError::Unavailable(format!("no answer in {} s", CALL_PATIENCE.as_secs()))),
    }
}

/// The driver's text with the server's, which it keeps as the cause.
fn text_of(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn classify(error: &tokio_postgres::Error) -> SourceError {
    let text = text_of(error);
    let Some(code) = error.code() else {
        // Without a code it was not the server that complained: the connection is gone, or an answer made no sense.
        return if error.is_closed()
            || std::error::Error::source(error).is_some_and(|cause| cause.is::<std::io::Error>())
        {
            SourceError::Unavailable(text)
        } else {
            SourceError::Broken(text)
        };
    };
    match (code.code().get(..2).unwrap_or_default(), code.code()) {
        // Missing table, schema, column, function.
        (_, "42P01" | "3F000" | "42703" | "42883") => SourceError::NotInstalled(text),
        // Connection, login, no such database, resources, interference, shutdown, conflicts, locks, read only.
        ("08" | "28" | "3D" | "53" | "55" | "57" | "58" | "40", _) | (_, "25006") => SourceError::Unavailable(text),
        _ => SourceError::Broken(text),
    }
}

fn get<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, column: usize) -> Result<T> {
    row.try_get(column).map_err(|error| SourceError::Broken(text_of(&error)))
}

/// The first four columns of a statement.
fn outbox_row(row: &Row) -> Result<OutboxRow> {
    Ok(OutboxRow {
        id: get(row, 0)?,
        source_key: get(row, 1)?,
        event: get::<&str>(row, 2)?.as_bytes().to_vec(),
        created_at: Timestamp::from_micros(get(row, 3)?),
    })
}

fn number<T: TryFrom<i64>>(row: &Row, column: usize) -> Result<T> {
    T::try_from(get(row, column)?).map_err(|_| SourceError::Broken("a count is out of range".to_owned()))
}

/// JSON that someone checked is UTF-8; anything else is refused here.
fn utf8(json: &[u8]) -> Result<&str> {
    std::str::from_utf8(json).map_err(|_| SourceError::Broken("the text is not UTF-8".to_owned()))
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl OutboxSource for PostgresSource {
    async fn read(&self, floor: i64, limit: usize, bytes: usize) -> Result<Vec<OutboxRow>> {
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&floor, Type::INT8), (&count(limit), Type::INT8), (&count(bytes), Type::INT8)];
        let rows = self.query(&self.pump, statements::READ, &parameters).await?;
        rows.iter().map(outbox_row).collect()
    }

    async fn waiting_before(&self, id: i64) -> Result<u64> {
        let rows = self.query(&self.pump, statements::WAITING_BEFORE, &[(&id, Type::INT8)]).await?;
        let count: i64 = rows.first().map_or(Ok(0), |row| get(row, 0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn delete(&self, ids: &[i64]) -> Result<()> {
        // In order, so that two nodes that delete the same rows do not wait for each other in a circle.
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        for ids in ids.chunks(IDS_MAX) {
            self.execute(&self.pump, statements::DELETE, &[(&ids, Type::INT8_ARRAY)]).await?;
        }
        Ok(())
    }

    async fn refuse(&self, refused: &[(i64, String)]) -> Result<()> {
        for piece in refused.chunks(IDS_MAX) {
            let ids: Vec<i64> = piece.iter().map(|(id, _)| *id).collect();
            // PostgreSQL's text cannot hold the character zero.
            let errors: Vec<String> = piece.iter().map(|(_, error)| error.replace('\0', "\u{fffd}")).collect();
            let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&ids, Type::INT8_ARRAY), (&errors, Type::TEXT_ARRAY)];
            self.execute(&self.pump, statements::REFUSE, &parameters).await?;
        }
        Ok(())
    }

    async fn changed(&self) -> Result<bool> {
        // PostgreSQL has no cheap sign of a commit, but one look at the index costs a fraction of a read.
        let client = self.pump.client().await?;
        get(&timed(client.query_one(statements::ANY_WAITING, &[])).await?, 0)
    }

    async fn hint(&self) {
        // Who listens does so on a connection, which a pooler takes back at once.
        if self.target.is_pooled() {
            return std::future::pending().await;
        }
        self.listener.get_or_init(|| Listener::start(self.target.clone())).hint().await;
    }

    async fn refused(&self, after: i64, limit: usize) -> Result<Vec<Refused>> {
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&after, Type::INT8), (&count(limit), Type::INT8)];
        let rows = self.query(&self.desk, statements::REFUSED, &parameters).await?;
        let refused = |row| Ok(Refused { row: outbox_row(row)?, attempts: number(row, 4)?, error: get(row, 5)? });
        rows.iter().map(refused).collect()
    }

    async fn retry(&self, id: i64, event: Option<&[u8]>) -> Result<bool> {
        let event = event.map(utf8).transpose()?;
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&id, Type::INT8), (&event, Type::TEXT)];
        Ok(self.execute(&self.desk, statements::RETRY, &parameters).await? == 1)
    }

    async fn discard_refused(&self, id: i64) -> Result<bool> {
        Ok(self.execute(&self.desk, statements::DISCARD_REFUSED, &[(&id, Type::INT8)]).await? == 1)
    }

    async fn append_intent(&self, key: &EventId, event: &[u8], probe: Option<&[u8]>) -> Result<bool> {
        let (key, event, probe) = (key.as_str(), utf8(event)?, probe.map(utf8).transpose()?);
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&key, Type::TEXT), (&event, Type::TEXT), (&probe, Type::TEXT)];
        if self.execute(&self.desk, sql::postgres::APPEND_INTENT, &parameters).await? == 1 {
            return Ok(true);
        }
        let stored = self.query(&self.desk, sql::postgres::STORED, &[(&key, Type::TEXT)]).await?;
        match stored.first() {
            Some(row) => Ok(tidings_outbox::same_content(get(row, 0)?, event)),
            // It was in the way and is gone since: discarded, or already in the log.
            None => Ok(self.execute(&self.desk, sql::postgres::APPEND_INTENT, &parameters).await? == 1),
        }
    }

    async fn row(&self, key: &EventId) -> Result<Option<OutboxRow>> {
        let rows = self.query(&self.desk, statements::ROW, &[(&key.as_str(), Type::TEXT)]).await?;
        rows.first().map(outbox_row).transpose()
    }

    async fn confirm_intent(&self, key: &EventId) -> Result<IntentAnswer> {
        self.answer(sql::postgres::CONFIRM_INTENT, key).await
    }

    async fn discard_intent(&self, key: &EventId) -> Result<IntentAnswer> {
        self.answer(sql::postgres::DISCARD_INTENT, key).await
    }

    async fn stale_intents(&self, after: i64, default_stale_s: u32, limit: usize) -> Result<Vec<Intent>> {
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&after, Type::INT8), (&i64::from(default_stale_s), Type::INT8), (&count(limit), Type::INT8)];
        let rows = self.query(&self.desk, statements::STALE_INTENTS, &parameters).await?;
        let intent = |row| {
            let OutboxRow { id, source_key, event, created_at } = outbox_row(row)?;
            let probe = get::<&str>(row, 5)?.as_bytes().to_vec();
            Ok(Intent { id, source_key, event, probe, created_at, attempts: number(row, 4)? })
        };
        rows.iter().map(intent).collect()
    }

    async fn count_unresolved(&self, id: i64, reason: &str) -> Result<u32> {
        let reason = reason.replace('\0', "\u{fffd}");
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&id, Type::INT8), (&reason, Type::TEXT)];
        let rows = self.query(&self.desk, statements::COUNT_UNRESOLVED, &parameters).await?;
        rows.first().map_or(Ok(0), |row| number(row, 0))
    }

    async fn probe_row(&self, probe: &RowProbe) -> Result<ProbeAnswer> {
        let client = self.probe.client().await?;
        let answer = tokio::time::timeout(CALL_PATIENCE, probe::ask(&client, probe)).await;
        answer.unwrap_or_else(|_| Err(SourceError::Unavailable("the probe was not answered".to_owned())))
    }

    async fn status(&self) -> Result<OutboxStatus> {
        let client = self.desk.client().await?;
        let row = timed(client.query_one(statements::STATUS, &[])).await?;
        let version: i32 = get(&row, 0)?;
        Ok(OutboxStatus {
            version: version.unsigned_abs(),
            pending: number(&row, 1)?,
            oldest_pending: get::<Option<i64>>(&row, 2)?.map(Timestamp::from_micros),
            intents: number(&row, 3)?,
            refused: number(&row, 4)?,
        })
    }

    async fn clock(&self) -> Result<Timestamp> {
        let client = self.desk.client().await?;
        let row = timed(client.query_one(statements::CLOCK, &[])).await?;
        get(&row, 0).map(Timestamp::from_micros)
    }
}

/// The version of the outbox that a connection finds, if it is one that this server knows.
async fn check_version(client: &link::Open) -> Result<()> {
    let row = timed(client.query_one(sql::postgres::VERSION, &[])).await?;
    let version: i32 = get(&row, 0)?;
    if version.unsigned_abs() > sql::VERSION {
        return Err(SourceError::NotInstalled(format!("the database has version {version}")));
    }
    Ok(())
}

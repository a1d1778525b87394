//! Bringing a database to where the store can use it, and asking how safe it is.

use tidings_event::{LogId, Timestamp};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::address::Address;
use super::pool::Lease;
use crate::{Durability, Error, LogInfo, Result, migrations};

/// The oldest version that is tried.
const VERSION_MIN: i32 = 150_000;

/// Held while the schema is made and brought up to date, so that servers that start together do it once. The number
/// is the first eight bytes of "tidings!".
pub(crate) const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"tidings!");

pub(super) const SERVER: &str = "\
    SELECT current_setting('server_version_num')::integer, current_setting('server_version'), \
           current_setting('server_encoding'), pg_is_in_recovery(), \
           current_setting('default_transaction_read_only')::boolean";
pub(super) const SCHEMA_EXISTS: &str = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'tidings'";
const HISTORY_EXISTS: &str = "SELECT 1 FROM pg_catalog.pg_class WHERE oid = to_regclass('tidings.schema_history')";
const LAST_STEP: &str = "SELECT max(version)::integer FROM tidings.schema_history";
const NEEDS_EXISTS: &str = "\
    SELECT 1 FROM pg_catalog.pg_attribute \
    WHERE attrelid = to_regclass('tidings.meta') AND attname = 'needs_step' AND NOT attisdropped";
const NEEDS_STEP: &str = "SELECT needs_step FROM tidings.meta";
pub(super) const LOG: &str = "SELECT log_id, (SELECT count(*) FROM tidings.partitions) FROM tidings.meta";
pub(super) const CREATE_LOG: &str =
    "INSERT INTO tidings.meta (only_row, log_id, created_at, probed_at) VALUES (1, $1, $2, $2)";
pub(super) const CREATE_PARTITIONS: &str =
    "INSERT INTO tidings.partitions (id) SELECT generate_series(0, $1::integer - 1)";
pub(super) const CREATE_LEASES: &str = "\
    INSERT INTO tidings.leases (role, slot) \
    SELECT role, id::text FROM tidings.partitions, unnest(ARRAY['router', 'publisher']) role";
pub(super) const SETTINGS: &str = "\
    SELECT name, setting FROM pg_catalog.pg_settings \
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name";

pub(super) const PLACE_IN_LOG: &str = "SELECT shard FROM tidings.meta";
pub(super) const PARTITIONS: &str = "SELECT id FROM tidings.partitions ORDER BY id";
pub(super) const JOIN_LOG: &str =
    "INSERT INTO tidings.meta (only_row, log_id, created_at, probed_at, shard) VALUES (1, $1, $2, $2, $3)";
pub(super) const ADD_PARTITIONS: &str =
    "INSERT INTO tidings.partitions (id) SELECT id FROM unnest($1::integer[]) id ON CONFLICT (id) DO NOTHING";
pub(super) const ADD_LEASES: &str = "\
    INSERT INTO tidings.leases (role, slot) \
    SELECT role, id::text FROM tidings.partitions, unnest(ARRAY['router', 'publisher']) role \
    ON CONFLICT (role, slot) DO NOTHING";

/// Numbers of endpoints and replays say in their upper bits in which database they were made.
pub(crate) const SHARD_SHIFT: u32 = 40;

/// Which of a log's databases is opened.
pub(crate) enum Part {
    /// Its home: made with so many partitions if there is none yet.
    Home { partitions: u32 },
    /// Another one.
    Shard(Membership),
}

/// What a database must be that belongs to a log and is not its home.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    pub(crate) log: LogId,
    pub(crate) shard: u16,
    pub(crate) name: String,
    /// Its partitions, rising.
    pub(crate) partitions: Vec<i32>,
    /// It was made before: one without a log is not the one that was.
    pub(crate) joined: bool,
}

/// Checks the server, migrates, and tells which log it holds and in which partitions.
pub(super) async fn prepare(address: &Address, part: &Part) -> Result<(LogInfo, Vec<i32>)> {
    let mut client = address.connect().await?;
    check_server(&client).await?;
    if !address.pooled {
        client.batch_execute("SET lock_timeout = '60s'").await?;
    }
    let guard = lock(address).await?;
    if client.query_typed_opt(SCHEMA_EXISTS, &[]).await?.is_none() {
        client.batch_execute("CREATE SCHEMA IF NOT EXISTS tidings").await?;
    }
    if is_behind(&client).await? {
        migrations::postgres()?.run_async(&mut client).await.map_err(|error| migration_failure(&error))?;
    }
    let log = match part {
        Part::Home { partitions } => describe(&mut client, *partitions).await?,
        Part::Shard(membership) => membership.join(&mut client).await?,
    };
    let partitions = own_partitions(&client).await?;
    guard.batch_execute("ROLLBACK").await?;
    Ok((log, partitions))
}

/// Checks the server, and tells which log it holds and in which partitions. Makes nothing: what is missing is refused.
pub(super) async fn look(address: &Address, part: &Part) -> Result<(LogInfo, Vec<i32>)> {
    let client = address.connect().await?;
    check_server(&client).await?;
    let none = || Error::Unusable("there is no log".to_owned());
    standing(&client).await?.ok_or_else(none)?.must_not_be_older()?;
    let row = client.query_typed_opt(LOG, &[]).await?.ok_or_else(none)?;
    let log = log_info(&row)?;
    let shard: i32 = client.query_typed_one(PLACE_IN_LOG, &[]).await?.try_get(0)?;
    let partitions = own_partitions(&client).await?;
    match part {
        Part::Home { .. } => check_home(shard)?,
        Part::Shard(membership) => {
            membership.check(log.id, shard, &partitions)?;
            if partitions.len() < membership.partitions.len() {
                let name = &membership.name;
                return Err(Error::Behind(format!("the database of shard '{name}' lacks partitions of its range")));
            }
        }
    }
    Ok((log, partitions))
}

async fn own_partitions(client: &Client) -> Result<Vec<i32>> {
    let rows = client.query_typed(PARTITIONS, &[]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn check_home(shard: i32) -> Result<()> {
    match shard {
        0 => Ok(()),
        _ => Err(Error::Unusable("it is a shard of a log whose home is another database".to_owned())),
    }
}

fn log_info(row: &Row) -> Result<LogInfo> {
    let log_id: &str = row.try_get(0)?;
    let partitions: i64 = row.try_get(1)?;
    Ok(LogInfo {
        id: LogId(log_id.parse().map_err(|_| crate::row::corrupt("log_id"))?),
        partitions: u32::try_from(partitions).map_err(|_| crate::row::corrupt("partitions"))?,
    })
}

impl Membership {
    fn refused<T>(&self, reason: &str) -> Result<T> {
        Err(Error::Unusable(format!("the database of shard '{}' {reason}", self.name)))
    }

    /// Proves that what a database holds is this part of the log.
    fn check(&self, log: LogId, shard: i32, partitions: &[i32]) -> Result<()> {
        if log != self.log {
            return self.refused(&format!("holds another log, {log}; home holds {}", self.log));
        }
        if shard != i32::from(self.shard) {
            let other = if shard == 0 { "the log's home".to_owned() } else { format!("shard number {shard}") };
            return self.refused(&format!("is {other}; it should be number {}", self.shard));
        }
        match partitions.iter().find(|id| !self.partitions.contains(id)) {
            Some(foreign) => self.refused(&format!("holds partition {foreign}, which is not in its range")),
            None => Ok(()),
        }
    }

    /// Makes the database a part of the log, or proves that it is one, and adds the partitions that are new.
    async fn join(&self, client: &mut Client) -> Result<LogInfo> {
        let transaction = client.transaction().await?;
        let log = transaction.query_opt(LOG, &[]).await?.map(|row| log_info(&row)).transpose()?;
        match log {
            None if self.joined => {
                return self.refused("holds no log, although it did: it is another database, or an empty one");
            }
            None => {
                let now = Timestamp::new(jiff::Timestamp::now()).as_micros();
                transaction.execute(JOIN_LOG, &[&self.log.to_string(), &now, &i32::from(self.shard)]).await?;
                let first = (i64::from(self.shard) << SHARD_SHIFT) + 1;
                for table in ["endpoints", "replays"] {
                    let restart = format!("ALTER TABLE tidings.{table} ALTER COLUMN no RESTART WITH {first}");
                    transaction.batch_execute(&restart).await?;
                }
            }
            Some(_) => {}
        }
        let shard: i32 = transaction.query_one(PLACE_IN_LOG, &[]).await?.try_get(0)?;
        let present = transaction.query(PARTITIONS, &[]).await?;
        let present = present.iter().map(|row| Ok(row.try_get(0)?)).collect::<Result<Vec<i32>>>()?;
        self.check(log.map_or(self.log, |log| log.id), shard, &present)?;
        transaction.execute(ADD_PARTITIONS, &[&self.partitions]).await?;
        transaction.execute(ADD_LEASES, &[]).await?;
        transaction.commit().await?;
        let partitions = u32::try_from(self.partitions.len()).map_err(|_| crate::row::corrupt("partitions"))?;
        Ok(LogInfo { id: self.log, partitions })
    }
}

/// Whether the schema has steps to come, those of a new one included.
async fn is_behind(client: &Client) -> Result<bool> {
    standing(client).await?.map_or(Ok(true), migrations::Standing::is_behind)
}

/// How far the schema is; nothing where there is none.
async fn standing(client: &Client) -> Result<Option<migrations::Standing>> {
    if client.query_typed_opt(HISTORY_EXISTS, &[]).await?.is_none() {
        return Ok(None);
    }
    let Some(step) = client.query_typed_one(LAST_STEP, &[]).await?.try_get(0)? else { return Ok(None) };
    let needs = match client.query_typed_opt(NEEDS_EXISTS, &[]).await? {
        Some(_) => client.query_typed_opt(NEEDS_STEP, &[]).await?.map(|row| row.try_get(0)).transpose()?,
        None => None,
    };
    Ok(Some(migrations::Standing { step, needs }))
}

/// Takes the lock, in a transaction of its own that ends with the connection: what belongs to a session would stay
/// behind on a connection that a pooler lends.
async fn lock(address: &Address) -> Result<Client> {
    let guard = address.connect().await?;
    let settings = "BEGIN; SET LOCAL lock_timeout = '60s'; SET LOCAL idle_in_transaction_session_timeout = 0";
    guard.batch_execute(settings).await?;
    guard.query_typed("SELECT pg_advisory_xact_lock($1)", &[(&MIGRATION_LOCK, Type::INT8)]).await?;
    Ok(guard)
}

async fn check_server(client: &Client) -> Result<()> {
    let row = client.query_typed_one(SERVER, &[]).await?;
    let (number, name, encoding): (i32, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if number < VERSION_MIN {
        return Err(Error::Unusable(format!("PostgreSQL is version {name}; it must be 15 or later")));
    }
    if encoding != "UTF8" {
        return Err(Error::Unusable(format!("the database's encoding is {encoding}; it must be UTF8")));
    }
    if row.try_get(3)? {
        return Err(Error::unavailable("the server is a replica, which takes no writes; connect to the primary"));
    }
    if row.try_get(4)? {
        return Err(Error::Unusable("default_transaction_read_only is on, so nothing can be written".to_owned()));
    }
    Ok(())
}

async fn describe(client: &mut Client, partitions: u32) -> Result<LogInfo> {
    let transaction = client.transaction().await?;
    if transaction.query_opt(LOG, &[]).await?.is_none() {
        let now = Timestamp::new(jiff::Timestamp::now()).as_micros();
        transaction.execute(CREATE_LOG, &[&ulid::Ulid::generate().to_string(), &now]).await?;
        let partitions = i32::try_from(partitions).map_err(|_| Error::Unusable("too many partitions".to_owned()))?;
        transaction.execute(CREATE_PARTITIONS, &[&partitions]).await?;
        transaction.execute(CREATE_LEASES, &[]).await?;
    }
    let row = transaction.query_one(LOG, &[]).await?;
    let shard: i32 = transaction.query_one(PLACE_IN_LOG, &[]).await?.try_get(0)?;
    check_home(shard)?;
    transaction.commit().await?;
    log_info(&row)
}

/// A migration that failed because the database did, or because of what it holds.
fn migration_failure(error: &refinery::Error) -> Error {
    use std::error::Error as _;
    let cause = error.source().and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    match cause {
        Some(cause) if cause.is_closed() || cause.code().is_some_and(is_passing) => {
            Error::unavailable(super::address::describe(cause))
        }
        Some(cause) => {
            Error::Unusable(format!("its schema cannot be brought up to date: {}", super::address::describe(cause)))
        }
        None => migrations::failure(error),
    }
}

fn is_passing(code: &tokio_postgres::error::SqlState) -> bool {
    matches!(&code.code()[..2], "08" | "53" | "57" | "58") || code.code() == "55P03" || code.code() == "25006"
}

/// The settings that decide whether an acknowledged commit survives a power cut.
pub(super) async fn durability(lease: Lease) -> Result<Durability> {
    let mut durability = Durability { settings: Vec::new(), warnings: Vec::new() };
    for row in lease.query(SETTINGS, &[]).await? {
        let (name, setting): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let warning = match (name.as_str(), setting.as_str()) {
            ("fsync", "off") => Some("fsync=off: a power cut can lose acknowledged events and the database with them"),
            ("full_page_writes", "off") => Some("full_page_writes=off: a power cut can leave torn pages"),
            ("synchronous_commit", "off") => {
                Some("synchronous_commit=off: the last acknowledged events can be lost in a crash")
            }
            _ => None,
        };
        durability.warnings.extend(warning.map(str::to_owned));
        durability.settings.push((name, setting));
    }
    Ok(durability)
}

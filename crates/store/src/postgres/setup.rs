//! Bringing a database to where the store can use it, and asking how safe it is.

use tidings_event::{LogId, Timestamp};
use tokio_postgres::Client;

use super::address::Address;
use super::pool::Lease;
use crate::{Durability, Error, LogInfo, Result, migrations};

/// The oldest version that is tried.
const VERSION_MIN: i32 = 150_000;

/// Held while the schema is made and brought up to date, so that servers that start together do it once. The number
/// is the first eight bytes of "tidings!".
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"tidings!");

pub(super) const SERVER: &str = "\
    SELECT current_setting('server_version_num')::integer, current_setting('server_version'), \
           current_setting('server_encoding'), pg_is_in_recovery(), \
           current_setting('default_transaction_read_only')::boolean";
pub(super) const SCHEMA_EXISTS: &str = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'tidings'";
pub(super) const LOG: &str = "SELECT log_id, (SELECT count(*) FROM tidings.partitions) FROM tidings.meta";
pub(super) const CREATE_LOG: &str =
    "INSERT INTO tidings.meta (only_row, log_id, created_at, probed_at) VALUES (1, $1, $2, $2)";
pub(super) const CREATE_PARTITIONS: &str =
    "INSERT INTO tidings.partitions (id) SELECT generate_series(0, $1::integer - 1)";
pub(super) const CREATE_ROUTERS: &str = "INSERT INTO tidings.routers (partition) SELECT id FROM tidings.partitions";
pub(super) const SETTINGS: &str = "\
    SELECT name, setting FROM pg_catalog.pg_settings \
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name";

/// Checks the server, migrates, and tells which log it holds.
pub(super) async fn prepare(address: &Address, partitions: u32) -> Result<LogInfo> {
    let mut client = address.connect().await?;
    check_server(&client).await?;
    client.batch_execute("SET lock_timeout = '60s'").await?;
    client.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await?;
    if client.query_opt(SCHEMA_EXISTS, &[]).await?.is_none() {
        client.batch_execute("CREATE SCHEMA IF NOT EXISTS tidings").await?;
    }
    migrations::postgres()?.run_async(&mut client).await.map_err(|error| migration_failure(&error))?;
    let log = describe(&mut client, partitions).await?;
    client.execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK]).await?;
    Ok(log)
}

async fn check_server(client: &Client) -> Result<()> {
    let row = client.query_one(SERVER, &[]).await?;
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
        transaction.execute(CREATE_ROUTERS, &[]).await?;
    }
    let row = transaction.query_one(LOG, &[]).await?;
    transaction.commit().await?;
    let log_id: &str = row.try_get(0)?;
    let partitions: i64 = row.try_get(1)?;
    Ok(LogInfo {
        id: LogId(log_id.parse().map_err(|_| crate::row::corrupt("log_id"))?),
        partitions: u32::try_from(partitions).map_err(|_| crate::row::corrupt("partitions"))?,
    })
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

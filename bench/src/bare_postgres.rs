//! What PostgreSQL can do without Tidings: the same rows into the same table with the same indexes.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, pin_mut};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Row};

pub(crate) async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// One batch of rows, as arrays by column.
pub(crate) struct Batch {
    columns: Vec<Box<dyn ToSql + Sync + Send>>,
    rows: usize,
}

/// The rows of a log in batches, with the statement that inserts one.
pub(crate) struct Rows {
    sql: String,
    names: String,
    pub(crate) batches: Vec<Batch>,
    copies: Vec<Vec<Bytes>>,
    pub(crate) count: usize,
}

/// Reads the first `count` rows of a log.
pub(crate) async fn rows(client: &Client, count: usize, batch: usize) -> Result<Rows> {
    let columns = client
        .query(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = 'tidings.events'::regclass AND attnum > 0 AND NOT attisdropped
               AND attgenerated = '' ORDER BY attnum",
            &[],
        )
        .await?;
    let names: Vec<String> = columns.iter().map(|row| row.get(0)).collect();
    let arrays: Vec<String> =
        columns.iter().enumerate().map(|(i, row)| format!("${}::{}[]", i + 1, row.get::<_, String>(1))).collect();
    let list = names.join(", ");
    let mut all = Rows {
        sql: format!("INSERT INTO tidings.events ({list}) SELECT * FROM UNNEST({})", arrays.join(", ")),
        names: list.clone(),
        batches: Vec::new(),
        copies: Vec::new(),
        count,
    };
    let key = "ORDER BY tenant_no, sequence";
    for offset in (0..count).step_by(batch) {
        let select = format!("SELECT {list} FROM tidings.events {key} LIMIT {batch} OFFSET {offset}");
        let read = client.query(&select, &[]).await?;
        all.batches.push(Batch { rows: read.len(), columns: transpose(&read)? });
        let stream = client.copy_out(&format!("COPY ({select}) TO STDOUT (FORMAT binary)")).await?;
        pin_mut!(stream);
        let mut chunks = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            chunks.push(chunk);
        }
        all.copies.push(chunks);
    }
    Ok(all)
}

fn transpose(rows: &[Row]) -> Result<Vec<Box<dyn ToSql + Sync + Send>>> {
    let first = rows.first().context("the log has fewer rows than asked for")?;
    let mut columns: Vec<Box<dyn ToSql + Sync + Send>> = Vec::new();
    for (i, column) in first.columns().iter().enumerate() {
        macro_rules! array {
            ($type:ty) => {
                Box::new(rows.iter().map(|row| row.get::<_, Option<$type>>(i)).collect::<Vec<_>>())
            };
        }
        columns.push(match *column.type_() {
            Type::INT2 => array!(i16),
            Type::INT4 => array!(i32),
            Type::INT8 => array!(i64),
            Type::TEXT => array!(String),
            Type::BYTEA => array!(Vec<u8>),
            Type::JSON => array!(RawJson),
            ref other => bail!("the events table has a column of type {other}; teach the benchmark to copy it"),
        });
    }
    Ok(columns)
}

/// JSON text as PostgreSQL's `json` keeps it.
#[derive(Debug)]
struct RawJson(Vec<u8>);

impl<'a> tokio_postgres::types::FromSql<'a> for RawJson {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }
    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }
}

impl ToSql for RawJson {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(tokio_postgres::types::IsNull::No)
    }
    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }
    tokio_postgres::types::to_sql_checked!();
}

/// Rows per second, one transaction a batch.
pub(crate) async fn insert(client: &Client, rows: &Rows) -> Result<f64> {
    let statement = client.prepare(&rows.sql).await?;
    let began = Instant::now();
    for batch in &rows.batches {
        let parameters: Vec<&(dyn ToSql + Sync)> =
            batch.columns.iter().map(|column| &**column as &(dyn ToSql + Sync)).collect();
        let written = client.execute(&statement, &parameters).await?;
        if written as usize != batch.rows {
            bail!("the bare insert wrote {written} of {} rows", batch.rows);
        }
    }
    Ok(rows.count as f64 / began.elapsed().as_secs_f64())
}

/// Rows per second by binary COPY, one transaction a batch.
pub(crate) async fn copy(client: &Client, rows: &Rows) -> Result<f64> {
    let sql = format!("COPY tidings.events ({}) FROM STDIN (FORMAT binary)", rows.names);
    let began = Instant::now();
    for chunks in &rows.copies {
        let sink = client.copy_in::<_, Bytes>(&sql).await?;
        pin_mut!(sink);
        for chunk in chunks {
            sink.feed(chunk.clone()).await?;
        }
        sink.finish().await?;
    }
    Ok(rows.count as f64 / began.elapsed().as_secs_f64())
}

/// One-row commits per second over several connections; `rows` must have been read with a batch of one.
pub(crate) async fn commits(url: &str, rows: Rows, clients: usize) -> Result<f64> {
    let sql: std::sync::Arc<str> = rows.sql.into();
    let count = rows.count;
    let mut shares: Vec<Vec<Batch>> = (0..clients).map(|_| Vec::new()).collect();
    for (i, batch) in rows.batches.into_iter().enumerate() {
        shares[i % clients].push(batch);
    }
    let mut connected = Vec::new();
    for share in shares {
        let client = connect(url).await?;
        let statement = client.prepare(&sql).await?;
        connected.push((client, statement, share));
    }
    let began = Instant::now();
    let tasks: Vec<_> = connected
        .into_iter()
        .map(|(client, statement, share)| {
            tokio::spawn(async move {
                for batch in &share {
                    let parameters: Vec<&(dyn ToSql + Sync)> =
                        batch.columns.iter().map(|column| &**column as &(dyn ToSql + Sync)).collect();
                    client.execute(&statement, &parameters).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// Rows per second when a log is read in pages by its key, every column fetched.
pub(crate) async fn keyset(client: &Client, page: i64) -> Result<f64> {
    let statement = client
        .prepare("SELECT * FROM tidings.events WHERE tenant_no = $1 AND sequence > $2 ORDER BY sequence LIMIT $3")
        .await?;
    let tenant: i64 = client.query_one("SELECT tenant_no FROM tidings.events LIMIT 1", &[]).await?.get(0);
    let began = Instant::now();
    let (mut after, mut read) = (0i64, 0usize);
    loop {
        let rows = client.query(&statement, &[&tenant, &after, &page]).await?;
        let Some(last) = rows.last() else { break };
        after = last.get("sequence");
        read += rows.len();
    }
    Ok(read as f64 / began.elapsed().as_secs_f64())
}

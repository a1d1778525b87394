//! Rows in PostgreSQL's binary copy format.

use bytes::{BufMut, Bytes, BytesMut};
use tidings_event::Recorded;

use crate::row::{correlation_column, signed};
use crate::{Error, Result};

/// Bytes after which a piece is sent, so that the server works on one while the next is on its way.
pub(in crate::postgres) const CHUNK_BYTES: usize = 256 * 1024;
/// The signature, no flags, no header extension.
pub(in crate::postgres) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const COLUMNS: i16 = 24;
pub(in crate::postgres) const NULL: i32 = -1;

/// The rows, in pieces to send.
pub(super) fn encode(partition: i32, rows: &[Recorded]) -> Result<Vec<Bytes>> {
    let mut chunks = Vec::new();
    let mut buffer = BytesMut::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
    buffer.put_slice(HEADER);
    for row in rows {
        put_row(&mut buffer, partition, row)?;
        if buffer.len() >= CHUNK_BYTES {
            chunks.push(buffer.split().freeze());
            buffer.reserve(CHUNK_BYTES + CHUNK_BYTES / 4);
        }
    }
    buffer.put_i16(-1);
    chunks.push(buffer.freeze());
    Ok(chunks)
}

fn put_row(buffer: &mut BytesMut, partition: i32, row: &Recorded) -> Result<()> {
    let event = &row.event;
    let (entity, context) = (event.entity.as_ref(), event.metadata.context.as_ref());
    let data = event.data.as_bytes();
    buffer.put_i16(COLUMNS);
    put_integer(buffer, partition);
    put_bigint(buffer, signed(row.position.get()));
    put_bigint(buffer, row.tenant_no.get());
    put_bigint(buffer, signed(row.sequence.get()));
    put(buffer, event.id.as_str().as_bytes())?;
    put(buffer, event.event_type.as_str().as_bytes())?;
    put(buffer, event.version.as_str().as_bytes())?;
    put_bigint(buffer, event.timestamp.as_micros());
    put_bigint(buffer, row.recorded_at.as_micros());
    put_optional(buffer, event.project.as_ref().map(AsRef::as_ref))?;
    put(buffer, event.source.kind.as_str().as_bytes())?;
    put(buffer, event.source.id.as_str().as_bytes())?;
    put_optional(buffer, entity.map(|entity| entity.kind.as_str()))?;
    put_optional(buffer, entity.map(|entity| entity.id.as_str()))?;
    put_optional(buffer, event.actor.as_ref().map(AsRef::as_ref))?;
    put_optional(buffer, correlation_column(event))?;
    put_optional(buffer, event.metadata.causation_id.as_ref().map(AsRef::as_ref))?;
    put_optional(buffer, context.map(|context| context.kind.as_str()))?;
    put_optional(buffer, context.map(|context| context.id.as_str()))?;
    put_optional(buffer, event.metadata.traceparent.as_ref().map(AsRef::as_ref))?;
    put(buffer, &row.salt.0)?;
    put(buffer, &row.digest.0)?;
    put_integer(buffer, length(data)?);
    put(buffer, data)
}

fn length(bytes: &[u8]) -> Result<i32> {
    i32::try_from(bytes.len()).map_err(|_| Error::Broken("a value is longer than PostgreSQL can hold".to_owned()))
}

pub(in crate::postgres) fn put(buffer: &mut BytesMut, bytes: &[u8]) -> Result<()> {
    buffer.put_i32(length(bytes)?);
    buffer.put_slice(bytes);
    Ok(())
}

fn put_optional(buffer: &mut BytesMut, text: Option<&str>) -> Result<()> {
    match text {
        Some(text) => put(buffer, text.as_bytes()),
        None => {
            buffer.put_i32(NULL);
            Ok(())
        }
    }
}

pub(in crate::postgres) fn put_integer(buffer: &mut BytesMut, number: i32) {
    buffer.put_i32(4);
    buffer.put_i32(number);
}

pub(in crate::postgres) fn put_bigint(buffer: &mut BytesMut, number: i64) {
    buffer.put_i32(8);
    buffer.put_i64(number);
}

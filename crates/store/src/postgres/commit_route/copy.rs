//! Attempts in PostgreSQL's binary copy format.

use bytes::{BufMut, Bytes, BytesMut};
use tidings_event::delivery::AttemptRow;

use crate::Result;
use crate::encoding::{count, result_code};
use crate::postgres::append::copy::{CHUNK_BYTES, HEADER, NULL, put, put_bigint, put_integer};
use crate::row::signed;

const COLUMNS: i16 = 8;

/// The rows, in pieces to send.
pub(super) fn encode(attempts: &[AttemptRow]) -> Result<Vec<Bytes>> {
    let mut chunks = Vec::new();
    let mut buffer = BytesMut::with_capacity(attempts.len().min(2_000) * 96 + HEADER.len());
    buffer.put_slice(HEADER);
    for row in attempts {
        buffer.put_i16(COLUMNS);
        put_bigint(&mut buffer, row.endpoint.get());
        put_bigint(&mut buffer, row.at.as_micros());
        put_bigint(&mut buffer, row.lane.0);
        put_bigint(&mut buffer, signed(row.sequence.get()));
        put_integer(&mut buffer, count(row.attempt));
        put_integer(&mut buffer, row.duration_us.cast_signed());
        put_integer(&mut buffer, result_code(row.result));
        if row.answer.is_empty() {
            buffer.put_i32(NULL);
        } else {
            put(&mut buffer, &row.answer)?;
        }
        if buffer.len() >= CHUNK_BYTES {
            chunks.push(buffer.split().freeze());
        }
    }
    buffer.put_i16(-1);
    chunks.push(buffer.freeze());
    Ok(chunks)
}

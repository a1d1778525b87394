//! Who was seen to emit which type.

use tidings_event::{EventType, SourceKind, Text, Timestamp, Version};
use tokio_postgres::Row;

use super::failure::of_commit;
use super::flight::{Flight, params};
use super::pool::Lease;
use crate::entries::{BEYOND_TYPES, merged};
use crate::row::{corrupt, signed, unsigned};
use crate::{ObservedRow, Result};

/// Held while rows are added, so that their bound holds. The number is the eight bytes of "observed".
const OBSERVE_LOCK: i64 = i64::from_be_bytes(*b"observed");

pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";
pub(super) const UPDATE: &str = "\
    UPDATE tidings.observed o SET events = least(o.events, 9223372036854775807 - s.events) + s.events, \
    first_at = least(o.first_at, s.first_at), last_at = greatest(o.last_at, s.last_at) \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[]) \
    s (type, version, source_kind, source_id, events, first_at, last_at) \
    WHERE o.type = s.type AND o.version = s.version AND o.source_kind = s.source_kind AND o.source_id = s.source_id";
pub(super) const INSERT: &str = "\
    INSERT INTO tidings.observed (type, version, source_kind, source_id, events, first_at, last_at) \
    SELECT s.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[]) \
    s (type, version, source_kind, source_id, events, first_at, last_at) \
    WHERE NOT EXISTS (SELECT 1 FROM tidings.observed o WHERE o.type = s.type AND o.version = s.version \
        AND o.source_kind = s.source_kind AND o.source_id = s.source_id)";
/// Takes the rows beyond the bound away that were seen the longest ago. Orders the table only where it is over its bound.
pub(super) const TRIM: &str = "\
    DELETE FROM tidings.observed WHERE ctid = ANY (ARRAY( \
        SELECT ctid FROM tidings.observed ORDER BY last_at, type, version, source_kind, source_id \
        LIMIT greatest((SELECT count(*) FROM tidings.observed) - $1, 0)))";
pub(super) const LIST: &str = "\
    SELECT type, version, source_kind, source_id, events, first_at, last_at FROM tidings.observed \
    WHERE type >= $1 AND type <= $2 ORDER BY type, version, source_kind, source_id LIMIT $3";

fn row(row: &Row) -> Result<ObservedRow> {
    Ok(ObservedRow {
        event_type: EventType::trusted(row.try_get::<_, &str>(0)?),
        version: Version::trusted(row.try_get::<_, &str>(1)?),
        source_kind: SourceKind::parse(row.try_get(2)?).ok_or_else(|| corrupt("source_kind"))?,
        source_id: Text::trusted(row.try_get::<_, &str>(3)?),
        events: unsigned(row.try_get(4)?)?,
        first_at: Timestamp::from_micros(row.try_get(5)?),
        last_at: Timestamp::from_micros(row.try_get(6)?),
    })
}

pub(super) async fn add(lease: Lease, seen: &[ObservedRow], rows_max: usize) -> Result<()> {
    let rows = merged(seen);
    let texts = |of: for<'a> fn(&'a ObservedRow) -> &'a str| rows.iter().map(of).collect::<Vec<&str>>();
    let numbers = |of: fn(&ObservedRow) -> i64| rows.iter().map(of).collect::<Vec<i64>>();
    let columns = || {
        params![
            texts(|row| row.event_type.as_str()),
            texts(|row| row.version.as_str()),
            texts(|row| row.source_kind.as_str()),
            texts(|row| row.source_id.as_str()),
            numbers(|row| signed(row.events)),
            numbers(|row| row.first_at.as_micros()),
            numbers(|row| row.last_at.as_micros()),
        ]
    };
    let mut flight = Flight::default();
    flight.simple("BEGIN");
    flight.add(&lease, LOCK, params![OBSERVE_LOCK]).await?;
    flight.add(&lease, UPDATE, columns()).await?;
    flight.add(&lease, INSERT, columns()).await?;
    flight.add(&lease, TRIM, params![i64::try_from(rows_max).unwrap_or(i64::MAX)]).await?;
    flight.simple("COMMIT");
    flight.send(&lease).await.map_err(of_commit)?;
    drop(flight);
    lease.done();
    Ok(())
}

pub(super) async fn list(lease: Lease, event_type: Option<&EventType>, limit: usize) -> Result<Vec<ObservedRow>> {
    let (first, last) = event_type.map_or(("", BEYOND_TYPES), |wanted| (wanted.as_str(), wanted.as_str()));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    lease.query(LIST, &[&first, &last, &limit]).await?.iter().map(row).collect()
}

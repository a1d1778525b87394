//! Searching one tenant's events by their columns.
//!
//! One column drives, by the index that is most likely to be narrow; the others are looked at row by row. First the
//! addresses of the hits are found, then the rows are read, so that no payload is carried through a sort.

use rusqlite::{Connection, ToSql, params};
use tidings_event::{Recorded, TenantNo, Text};

use super::read::Reader;
use crate::names::Names;
use crate::row::{Budget, signed};
use crate::search::{Driver, PREFIX_TYPES_MAX, Question};
use crate::{Direction, ReadLimit, Result, Search};

/// Which of a tenant's types begin with a text: one step through the index for each.
pub(super) const TYPES_OF_PREFIX: &str = "\
    WITH RECURSIVE found (type) AS ( \
        SELECT (SELECT min(type) FROM events WHERE tenant_no = ?1 AND type >= ?2 AND type < ?2 || '~') \
        UNION ALL \
        SELECT (SELECT min(type) FROM events WHERE tenant_no = ?1 AND type > found.type AND type < ?2 || '~') \
        FROM found WHERE found.type IS NOT NULL \
    ) SELECT type FROM found WHERE type IS NOT NULL LIMIT ?3";

pub(super) const CAUSED_BY: &str = "\
    SELECT sequence, address FROM events INDEXED BY events_by_causation \
    WHERE tenant_no = ?1 AND causation_id = ?2 ORDER BY sequence LIMIT ?3";

/// What every row must hold, whatever drives. A parameter that is NULL asks nothing.
const REST: &str = "\
    AND sequence > ?2 AND sequence < ?3 \
    AND (?5 IS NULL OR entity_kind = ?5) AND (?6 IS NULL OR entity_id = ?6) \
    AND (?7 IS NULL OR source_kind = ?7) AND (?8 IS NULL OR source_id = ?8) \
    AND (?9 IS NULL OR actor = ?9) AND (?10 IS NULL OR project = ?10) \
    AND (?11 IS NULL OR coalesce(correlation_id, event_id) = ?11) AND (?12 IS NULL OR causation_id = ?12) \
    AND (?13 IS NULL OR context_kind = ?13) AND (?14 IS NULL OR context_id = ?14) \
    AND (?15 IS NULL OR events.type IN (SELECT value FROM json_each(?15)) \
         OR EXISTS (SELECT 1 FROM json_each(?16) WHERE events.type >= value AND events.type < value || '~'))";

/// The statement that finds hits. Parameter 17 is what drives, where one value does.
pub(super) fn hits_sql(driver: Driver, direction: Direction) -> String {
    // Without statistics the planner cannot know which index is narrow; so it is told.
    let (index, driving) = match driver {
        Driver::Sequence => ("events_by_sequence", ""),
        Driver::Id => ("events_by_id", "AND event_id = ?17 AND correlation_id IS NULL"),
        Driver::Entity => ("events_by_entity", "AND entity_kind = ?5 AND entity_id = ?6"),
        Driver::Correlation => ("events_by_correlation", "AND correlation_id = ?17"),
        Driver::Causation => ("events_by_causation", "AND causation_id = ?17"),
        Driver::Type => ("events_by_type", "AND type = ?17"),
    };
    let order = match direction {
        Direction::Forward => "ASC",
        Direction::Backward => "DESC",
    };
    format!(
        "SELECT sequence, address FROM events INDEXED BY {index} WHERE tenant_no = ?1 {driving} {REST} ORDER BY sequence {order} LIMIT ?4"
    )
}

pub(super) fn search(
    connection: &Connection,
    names: &Names,
    tenant: TenantNo,
    search: &Search,
) -> Result<Vec<Recorded>> {
    let transaction = connection.unchecked_transaction()?;
    let mut question = Question::of(search);
    if question.drives_by_type() {
        let mut types = Vec::new();
        for prefix in &question.prefixes {
            types.extend(types_of(&transaction, tenant, prefix)?);
        }
        question.resolve(types);
    }
    let mut hits = Vec::new();
    let (drivers, values) = question.drivers();
    for driver in drivers {
        if driver.takes_values() {
            for value in &values {
                collect(&transaction, tenant, search, &question, (*driver, Some(value)), &mut hits)?;
            }
        } else {
            collect(&transaction, tenant, search, &question, (*driver, None), &mut hits)?;
        }
    }
    let events = fetch(&transaction, names, hits, search.direction, search.limit)?;
    transaction.commit()?;
    Ok(events)
}

/// Types of the tenant with this prefix; one more than the bound where there are too many.
fn types_of(connection: &Connection, tenant: TenantNo, prefix: &str) -> Result<Vec<String>> {
    let limit = i64::try_from(PREFIX_TYPES_MAX + 1).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(TYPES_OF_PREFIX)?;
    let mut rows = statement.query(params![tenant.get(), prefix, limit])?;
    let mut types = Vec::new();
    while let Some(row) = rows.next()? {
        types.push(row.get(0)?);
    }
    Ok(types)
}

fn collect(
    connection: &Connection,
    tenant: TenantNo,
    search: &Search,
    question: &Question,
    (driver, value): (Driver, Option<&str>),
    hits: &mut Vec<(i64, i64)>,
) -> Result<()> {
    let columns = &search.columns;
    let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
    let limit = i64::try_from(search.limit.events.max(1)).unwrap_or(i64::MAX);
    let (exact, prefixes) = question.rest_as_json();
    let bound: [&dyn ToSql; 17] = [
        &tenant.get(),
        &signed(search.after.get()),
        &signed(search.before.get()),
        &limit,
        &text(&columns.entity_kind),
        &text(&columns.entity_id),
        &columns.source_kind.map(|kind| kind.as_str()),
        &text(&columns.source_id),
        &text(&columns.actor),
        &text(&columns.project),
        &text(&columns.correlation_id),
        &text(&columns.causation_id),
        &columns.context_kind.map(|kind| kind.as_str()),
        &text(&columns.context_id),
        &exact,
        &prefixes,
        &value,
    ];
    let mut statement = connection.prepare_cached(&hits_sql(driver, search.direction))?;
    let mut rows = statement.query(&bound[..if value.is_some() { 17 } else { 16 }])?;
    while let Some(row) = rows.next()? {
        hits.push((row.get(0)?, row.get(1)?));
    }
    Ok(())
}

pub(super) fn caused_by(
    connection: &Connection,
    names: &Names,
    tenant: TenantNo,
    causes: &[Text],
    limit: usize,
) -> Result<Vec<Recorded>> {
    let transaction = connection.unchecked_transaction()?;
    let mut hits = Vec::new();
    {
        let mut statement = transaction.prepare_cached(CAUSED_BY)?;
        for cause in causes {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![tenant.get(), cause.as_str(), limit])?;
            while let Some(row) = rows.next()? {
                hits.push((row.get(0)?, row.get(1)?));
            }
        }
    }
    let events = match limit {
        0 => Vec::new(),
        events => fetch(&transaction, names, hits, Direction::Forward, ReadLimit { events, bytes: usize::MAX })?,
    };
    transaction.commit()?;
    Ok(events)
}

/// The rows of the hits, in order, each once, within the limit.
fn fetch(
    connection: &Connection,
    names: &Names,
    mut hits: Vec<(i64, i64)>,
    direction: Direction,
    limit: ReadLimit,
) -> Result<Vec<Recorded>> {
    hits.sort_unstable();
    hits.dedup();
    if direction == Direction::Backward {
        hits.reverse();
    }
    let mut reader = Reader::new(connection, names);
    let mut budget = Budget::new(limit);
    let mut events = Vec::new();
    for (_, address) in hits.into_iter().take(limit.events.max(1)) {
        let event = reader.at(address)?;
        if !budget.take(event.event.data.as_bytes().len()) {
            break;
        }
        events.push(event);
    }
    Ok(events)
}

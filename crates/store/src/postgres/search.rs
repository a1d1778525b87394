//! Searching one tenant's events by their columns.
//!
//! One column drives, by the index that is most likely to be narrow; the others are looked at row by row. First the
//! sequences of the hits are found, then the rows are read, so that no payload is carried through a sort.

use tidings_event::{Recorded, TenantNo, Text};
use tokio_postgres::types::ToSql;

use super::pool::Lease;
use super::read::{bounds, columns, decode};
use crate::names::Names;
use crate::row::signed;
use crate::search::{Driver, PREFIX_TYPES_MAX, Question};
use crate::{Direction, Result, Search};

/// Which of a tenant's types begin with any of some texts: one step through the index for each.
pub(super) const TYPES_OF_PREFIXES: &str = "\
    SELECT found.type FROM unnest($2::text[]) wanted (prefix) CROSS JOIN LATERAL ( \
        WITH RECURSIVE step (type) AS ( \
            (SELECT type FROM tidings.events WHERE tenant_no = $1 \
             AND type >= wanted.prefix COLLATE \"C\" AND type < (wanted.prefix || '~') COLLATE \"C\" \
             ORDER BY type LIMIT 1) \
            UNION ALL \
            SELECT next.type FROM step CROSS JOIN LATERAL \
                (SELECT type FROM tidings.events WHERE tenant_no = $1 \
                 AND type > step.type AND type < (wanted.prefix || '~') COLLATE \"C\" \
                 ORDER BY type LIMIT 1) next \
        ) SELECT type FROM step LIMIT $3 \
    ) found";

pub(super) const CAUSED_BY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM (SELECT DISTINCT hit.sequence FROM unnest($2::text[]) cause (id) CROSS JOIN LATERAL \
      (SELECT sequence FROM tidings.events WHERE tenant_no = $1 AND causation_id IS NOT NULL \
      AND causation_id >= cause.id COLLATE \"C\" AND causation_id <= cause.id COLLATE \"C\" \
      ORDER BY causation_id, sequence LIMIT $3) hit ORDER BY hit.sequence LIMIT $3) hits \
      CROSS JOIN LATERAL (SELECT * FROM tidings.events WHERE tenant_no = $1 \
      AND sequence >= hits.sequence AND sequence <= hits.sequence ORDER BY sequence LIMIT 1) e ORDER BY e.sequence"
);

/// What every row must hold, whatever drives. A parameter that is NULL asks nothing.
const REST: &str = "\
    AND ($5::text IS NULL OR entity_kind = $5) AND ($6::text IS NULL OR entity_id = $6) \
    AND ($7::text IS NULL OR source_kind = $7) AND ($8::text IS NULL OR source_id = $8) \
    AND ($9::text IS NULL OR actor = $9) AND ($10::text IS NULL OR project = $10) \
    AND ($11::text IS NULL OR coalesce(correlation_id, event_id) = $11) \
    AND ($12::text IS NULL OR causation_id = $12) \
    AND ($13::text IS NULL OR context_kind = $13) AND ($14::text IS NULL OR context_id = $14) \
    AND ($15::text[] IS NULL OR type = ANY ($15) OR EXISTS \
        (SELECT 1 FROM unnest($16::text[]) p (prefix) \
         WHERE type >= p.prefix COLLATE \"C\" AND type < (p.prefix || '~') COLLATE \"C\"))";

/// The statement that answers a search. Parameter 18 holds the values of what drives, where values do.
pub(super) fn search_sql(drivers: &[Driver], direction: Direction) -> String {
    let order = match direction {
        Direction::Forward => "ASC",
        Direction::Backward => "DESC",
    };
    let branches: Vec<String> = drivers.iter().map(|driver| hits_sql(*driver, order)).collect();
    format!(
        "WITH hits AS MATERIALIZED (SELECT sequence FROM ({}) hit ORDER BY sequence {order} LIMIT $4) \
         SELECT {} FROM (SELECT e.*, sum(e.data_bytes) OVER (ORDER BY e.sequence {order} ROWS UNBOUNDED PRECEDING) \
         AS total FROM hits CROSS JOIN LATERAL (SELECT * FROM tidings.events WHERE tenant_no = $1 \
         AND sequence >= hits.sequence AND sequence <= hits.sequence ORDER BY sequence LIMIT 1) e) e \
         WHERE e.total <= $17 OR e.total = e.data_bytes ORDER BY e.sequence {order}",
        branches.join(" UNION ALL "),
        columns!(),
    )
}

/// One way to the hits. The bounds of what drives and of the sequence are compared as rows, so that the index is
/// entered where the page begins; why not by equality, see [`super::read`].
fn hits_sql(driver: Driver, order: &str) -> String {
    let driving = |columns: &str, value: &str| {
        let (low, high) = (format!("({value}, $2::bigint)"), format!("({value}, $3::bigint)"));
        let order_by: Vec<String> =
            columns.split(", ").chain(["sequence"]).map(|column| format!("{column} {order}")).collect();
        let present = columns.split(", ").next().unwrap_or_default();
        let bounds =
            format!("AND {present} IS NOT NULL AND ({columns}, sequence) > {low} AND ({columns}, sequence) < {high}");
        (bounds, order_by.join(", "))
    };
    let value = "driving.value COLLATE \"C\"";
    let (bounds, order_by) = match driver {
        Driver::Sequence => ("AND sequence > $2 AND sequence < $3".to_owned(), format!("sequence {order}")),
        Driver::Id => (
            format!(
                "AND event_id >= {value} AND event_id <= {value} AND sequence > $2 AND sequence < $3 AND correlation_id IS NULL"
            ),
            format!("event_id {order}"),
        ),
        Driver::Entity => driving("entity_kind, entity_id", "$5::text, $6::text"),
        Driver::Correlation => driving("correlation_id", value),
        Driver::Causation => driving("causation_id", value),
        Driver::Type => driving("type", value),
    };
    let found = format!(
        "(SELECT sequence FROM tidings.events WHERE tenant_no = $1 {bounds} {REST} ORDER BY {order_by} LIMIT $4)"
    );
    if driver.takes_values() {
        format!("(SELECT one.sequence FROM unnest($18::text[]) driving (value) CROSS JOIN LATERAL {found} one)")
    } else {
        found
    }
}

pub(super) async fn search(lease: Lease, names: &Names, tenant: TenantNo, search: &Search) -> Result<Vec<Recorded>> {
    let mut question = Question::of(search);
    if question.drives_by_type() && !question.prefixes.is_empty() {
        let statement = lease.prepare_cached(TYPES_OF_PREFIXES).await?;
        let limit = i64::try_from(PREFIX_TYPES_MAX + 1).unwrap_or(i64::MAX);
        let rows = lease.rows(&statement, &[&tenant.get(), &question.prefixes, &limit]).await?;
        let types: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
        question.resolve(types?);
    }
    let (drivers, values) = question.drivers();
    let columns = &search.columns;
    let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
    let (events, bytes) = bounds(search.limit);
    let (exact, prefixes) = question.rest().unzip();
    let params: [&(dyn ToSql + Sync); 18] = [
        &tenant.get(),
        &signed(search.after.get()),
        &signed(search.before.get()),
        &events,
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
        &bytes,
        &values,
    ];
    let statement = lease.prepare_cached(&search_sql(drivers, search.direction)).await?;
    let rows = lease.rows(&statement, &params[..statement.takes()]).await?;
    let found = decode(&lease, names, &rows).await?;
    lease.done();
    Ok(found)
}

pub(super) async fn caused_by(
    lease: Lease,
    names: &Names,
    tenant: TenantNo,
    causes: &[Text],
    limit: usize,
) -> Result<Vec<Recorded>> {
    let causes: Vec<&str> = causes.iter().map(Text::as_str).collect();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let statement = lease.prepare_cached(CAUSED_BY).await?;
    let rows = lease.rows(&statement, &[&tenant.get(), &causes, &limit]).await?;
    let found = decode(&lease, names, &rows).await?;
    lease.done();
    Ok(found)
}

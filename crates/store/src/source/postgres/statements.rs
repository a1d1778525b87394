//! The statements on `tidings.outbox` that only this server needs.

/// $1 floor, $2 rows, $3 bytes. The first row comes whatever its size.
pub(super) const READ: &str = "\
select id, source_key, event, created_at from (\
select id, source_key, event, created_at, \
sum(octet_length(event)) over (order by id rows between unbounded preceding and 1 preceding) as before from (\
select id, source_key, event::text as event, (extract(epoch from created_at) * 1000000)::bigint as created_at \
from tidings.outbox where state = 'confirmed' and error is null and id >= $1 order by id limit $2) as waiting\
) as measured where before is null or before < $3 order by id";

pub(super) const ANY_WAITING: &str =
    "select exists (select 1 from tidings.outbox where state = 'confirmed' and error is null)";

/// $1 id.
pub(super) const WAITING_BEFORE: &str =
    "select count(*) from tidings.outbox where state = 'confirmed' and error is null and id < $1";

/// $1 ids.
pub(super) const DELETE: &str = "delete from tidings.outbox where id = any ($1) and state = 'confirmed'";

/// $1 ids, $2 reasons.
pub(super) const REFUSE: &str = "\
update tidings.outbox o set attempts = o.attempts + 1, error = refused.error \
from unnest($1, $2) as refused (id, error) where o.id = refused.id and o.state = 'confirmed'";

/// $1 id, $2 rows.
pub(super) const REFUSED: &str = "\
select id, source_key, event::text, (extract(epoch from created_at) * 1000000)::bigint, attempts::bigint, error \
from tidings.outbox where state = 'confirmed' and error is not null and id > $1 order by id limit $2";

/// $1 source key.
pub(super) const ROW: &str = "\
select id, source_key, event::text, (extract(epoch from created_at) * 1000000)::bigint \
from tidings.outbox where source_key = $1";

/// $1 id, $2 envelope or null.
pub(super) const RETRY: &str = "\
update tidings.outbox set error = null, event = coalesce($2::json, event) \
where id = $1 and state = 'confirmed' and error is not null";

/// $1 id.
pub(super) const DISCARD_REFUSED: &str =
    "delete from tidings.outbox where id = $1 and state = 'confirmed' and error is not null";

/// $1 id, $2 seconds, $3 rows. A `stale_after_s` beyond what an interval can hold counts as about thirty years.
pub(super) const STALE_INTENTS: &str = "\
select id, source_key, event::text, (extract(epoch from created_at) * 1000000)::bigint, attempts::bigint, \
coalesce(probe::text, '{}') from tidings.outbox \
where state = 'intent' and id > $1 and created_at <= clock_timestamp() - make_interval(secs => \
least(greatest(case when json_typeof(probe -> 'stale_after_s') = 'number' \
then (probe ->> 'stale_after_s')::numeric else $2 end, 0), 1e9)::double precision) \
order by id limit $3";

/// $1 id, $2 reason.
pub(super) const COUNT_UNRESOLVED: &str = "\
update tidings.outbox set attempts = attempts + 1, error = $2 \
where id = $1 and state = 'intent' returning attempts::bigint";

pub(super) const STATUS: &str = "\
select (select version from tidings.outbox_meta), \
(select count(*) from tidings.outbox where state = 'confirmed' and error is null), \
(select (extract(epoch from created_at) * 1000000)::bigint from tidings.outbox \
where state = 'confirmed' and error is null order by id limit 1), \
(select count(*) from tidings.outbox where state = 'intent'), \
(select count(*) from tidings.outbox where state = 'confirmed' and error is not null)";

pub(super) const CLOCK: &str = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";

//! The public contract: every table, function and statement, as SQL text.
//!
//! The install scripts may be run by any tool, in one transaction; running one again changes nothing. The statements
//! are those that this crate itself uses, for those who write a client in another language.

/// The version of the outbox contract that the scripts here install.
pub const VERSION: u32 = 1;

/// The SQLSTATE with which [`POSTGRES_OUTBOX`] refuses to touch a newer version.
pub const TOO_NEW_SQLSTATE: &str = "TD001";

/// The channel that is notified after a commit, and that Tidings listens to.
pub const CHANNEL: &str = "tidings_outbox";

/// Makes `tidings.outbox`, `tidings.emit(…)` and what they need. PostgreSQL 15 or later.
pub const POSTGRES_OUTBOX: &str = include_str!("sql/outbox.postgres.sql");
/// Makes `tidings_outbox`. SQLite 3.38 or later.
pub const SQLITE_OUTBOX: &str = include_str!("sql/outbox.sqlite.sql");
/// Makes `tidings.inbox`. PostgreSQL 15 or later.
pub const POSTGRES_INBOX: &str = include_str!("sql/inbox.postgres.sql");
/// Makes `tidings_inbox`. SQLite 3.37 or later.
pub const SQLITE_INBOX: &str = include_str!("sql/inbox.sqlite.sql");

/// Statements for PostgreSQL. Parameters are text unless said otherwise.
pub mod postgres {
    /// The installed version of the outbox; fails with `42P01` where there is none.
    pub const VERSION: &str = "select version from tidings.outbox_meta";
    /// $1 source key, $2 envelope. No row is inserted when the key is taken.
    pub const APPEND: &str = "insert into tidings.outbox (source_key, event) values ($1, $2::text::json) on conflict (source_key) do nothing";
    /// $1 source keys, $2 envelopes, both `text[]`. Returns the keys that were inserted.
    pub const APPEND_ALL: &str = "\
insert into tidings.outbox (source_key, event) \
select key, event::json from unnest($1::text[], $2::text[]) with ordinality as given (key, event, nth) order by nth \
on conflict (source_key) do nothing returning source_key";
    /// $1 source key, $2 envelope, $3 probe or null. No row is inserted when the key is taken.
    pub const APPEND_INTENT: &str = "\
insert into tidings.outbox (source_key, state, event, probe) values ($1, 'intent', $2::text::json, $3::text::json) \
on conflict (source_key) do nothing";
    /// $1 source key. Its envelope as text, with its state.
    pub const STORED: &str = "select event::text, state from tidings.outbox where source_key = $1";
    /// $1 source key. One row: `done`, `confirmed` or `absent`. The confirmed row goes to the end of the queue, so
    /// that events come in the order in which they became true.
    pub const CONFIRM_INTENT: &str = "\
with found as materialized (select source_key, state from tidings.outbox where source_key = $1 for update), \
confirmed as (update tidings.outbox o \
set id = default, state = 'confirmed', created_at = clock_timestamp(), attempts = 0, error = null \
from found where o.source_key = found.source_key and found.state = 'intent' returning 1) \
select case when exists (select from confirmed) then 'done' \
when exists (select from found) then 'confirmed' else 'absent' end";
    /// $1 source key. One row: `done`, `confirmed` or `absent`.
    pub const DISCARD_INTENT: &str = "\
with found as materialized (select source_key, state from tidings.outbox where source_key = $1 for update), \
discarded as (delete from tidings.outbox o using found \
where o.source_key = found.source_key and found.state = 'intent' returning 1) \
select case when exists (select from discarded) then 'done' \
when exists (select from found) then 'confirmed' else 'absent' end";
    /// Tells Tidings that something was committed. Send it after the commit, not in the transaction, and not on
    /// every one of many: a notify takes a lock that all committing transactions of the server share.
    pub const NOTIFY: &str = "notify tidings_outbox";

    /// $1 consumer, $2 tenant, $3 `bigint` sequence, $4 `bigint` previous sequence. One row: whether the mark moved,
    /// and the mark as it was before (null where there was none).
    pub const INBOX_ACCEPT: &str = "\
with moved as (insert into tidings.inbox as mark (consumer, tenant, sequence) \
select $1::text, $2::text, $3::bigint where $3 > 0 and ($4::bigint = 0 or exists (select from tidings.inbox where consumer = $1 and tenant = $2)) \
on conflict (consumer, tenant) do update set sequence = excluded.sequence, updated_at = now() \
where mark.sequence >= $4 and mark.sequence < excluded.sequence returning 1) \
select exists (select from moved), (select sequence from tidings.inbox where consumer = $1 and tenant = $2)";
    /// $1 consumer, $2 tenant, $3 `bigint` sequence, $4 cursor or null. Never moves the mark back; a cursor is taken
    /// over only with a sequence that is not behind.
    pub const INBOX_ADVANCE: &str = "\
insert into tidings.inbox as mark (consumer, tenant, sequence, cursor) values ($1, $2, $3, $4) \
on conflict (consumer, tenant) do update set sequence = excluded.sequence, \
cursor = coalesce(excluded.cursor, mark.cursor), updated_at = now() where mark.sequence <= excluded.sequence";
    /// $1 consumer, $2 tenant, $3 `bigint` sequence. Changes nothing where there is a mark.
    pub const INBOX_BEGIN: &str = "\
insert into tidings.inbox (consumer, tenant, sequence) values ($1, $2, $3) on conflict (consumer, tenant) do nothing";
    /// $1 consumer, $2 tenant. Locks the row until the transaction ends.
    pub const INBOX_MARK: &str =
        "select sequence, cursor from tidings.inbox where consumer = $1 and tenant = $2 for update";
    /// $1 consumer, $2 tenant.
    pub const INBOX_FORGET: &str = "delete from tidings.inbox where consumer = $1 and tenant = $2";
}

/// Statements for SQLite.
pub mod sqlite {
    /// The installed version of the outbox; fails where there is none.
    pub const VERSION: &str = "select version from tidings_outbox_meta";
    /// ?1 source key, ?2 envelope. No row is inserted when the key is taken.
    pub const APPEND: &str =
        "insert into tidings_outbox (source_key, event) values (?1, ?2) on conflict (source_key) do nothing";
    /// ?1 source key, ?2 envelope, ?3 probe or null. No row is inserted when the key is taken.
    pub const APPEND_INTENT: &str = "\
insert into tidings_outbox (source_key, state, event, probe) values (?1, 'intent', ?2, ?3) \
on conflict (source_key) do nothing";
    /// ?1 source key. Its envelope, with its state.
    pub const STORED: &str = "select event, state from tidings_outbox where source_key = ?1";
    /// ?1 source key. Takes the intent out; [`APPEND`] then puts its event at the end of the queue, so that events
    /// come in the order in which they became true. Both in one transaction.
    pub const TAKE_INTENT: &str =
        "delete from tidings_outbox where source_key = ?1 and state = 'intent' returning event";

    /// ?1 consumer, ?2 tenant, ?3 sequence, ?4 previous sequence. One row is changed when the mark moved.
    pub const INBOX_ACCEPT: &str = "\
insert into tidings_inbox as mark (consumer, tenant, sequence) \
select ?1, ?2, ?3 where ?3 > 0 and (?4 = 0 or exists (select 1 from tidings_inbox where consumer = ?1 and tenant = ?2)) \
on conflict (consumer, tenant) do update set sequence = excluded.sequence, \
updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') where mark.sequence >= ?4 and mark.sequence < excluded.sequence";
    /// ?1 consumer, ?2 tenant, ?3 sequence, ?4 cursor or null. Never moves the mark back; a cursor is taken over only
    /// with a sequence that is not behind.
    pub const INBOX_ADVANCE: &str = "\
insert into tidings_inbox as mark (consumer, tenant, sequence, cursor) select ?1, ?2, ?3, ?4 where true \
on conflict (consumer, tenant) do update set sequence = excluded.sequence, \
cursor = coalesce(excluded.cursor, mark.cursor), updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') \
where mark.sequence <= excluded.sequence";
    /// ?1 consumer, ?2 tenant, ?3 sequence. Changes nothing where there is a mark.
    pub const INBOX_BEGIN: &str = "\
insert into tidings_inbox (consumer, tenant, sequence) values (?1, ?2, ?3) on conflict (consumer, tenant) do nothing";
    /// ?1 consumer, ?2 tenant.
    pub const INBOX_MARK: &str = "select sequence, cursor from tidings_inbox where consumer = ?1 and tenant = ?2";
    /// ?1 consumer, ?2 tenant.
    pub const INBOX_FORGET: &str = "delete from tidings_inbox where consumer = ?1 and tenant = ?2";
}

-- The Tidings outbox in SQLite 3.38 or later, contract version 1.
-- Run it in one transaction; running it again changes nothing.

-- Which version of this contract the database holds. One row.
create table if not exists tidings_outbox_meta (
  only_row     integer primary key check (only_row = 1),
  version      integer not null,
  installed_at text    not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) strict;

create table if not exists tidings_outbox (
  -- Rises in order of insertion and is never used again; confirming an intent gives it a new one.
  id         integer primary key autoincrement,
  -- The event's id, chosen by the producer before the write: 1 to 255 visible ASCII characters without '.'.
  source_key text    not null unique check (length(source_key) between 1 and 255 and source_key not glob '*[^!-~]*'
                                            and instr(source_key, '.') = 0),
  state      text    not null default 'confirmed' check (state in ('intent', 'confirmed')),
  -- The envelope, kept as it was written.
  event      text    not null check (json_valid(event) and json_type(event) = 'object'),
  -- How the reconciler finds out what became of an intent.
  probe      text    check (probe is null or (json_valid(probe) and json_type(probe) = 'object')),
  -- Since when the row waits in its state, by this machine's clock: UTC, like 2026-03-15T10:00:00.000Z.
  created_at text    not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) check (created_at glob '????-??-??T*Z'),
  -- How often the log refused it, or the reconciler could not tell.
  attempts   integer not null default 0 check (attempts >= 0),
  -- Why. A confirmed row with an error is refused: it stays until someone retries or discards it.
  error      text
) strict;

-- What the pump reads; refused rows and intents are out of its way.
create index if not exists tidings_outbox_waiting on tidings_outbox (id) where state = 'confirmed' and error is null;
-- What the operator lists.
create index if not exists tidings_outbox_refused on tidings_outbox (id) where state = 'confirmed' and error is not null;
-- What the reconciler reads.
create index if not exists tidings_outbox_intents on tidings_outbox (id) where state = 'intent';

insert into tidings_outbox_meta (only_row, version) values (1, 1) on conflict (only_row) do update set version = excluded.version
where version < excluded.version;

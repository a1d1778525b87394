-- The Tidings inbox in PostgreSQL 15 or later, contract version 1.
-- Run it in one transaction (psql -1); running it again changes nothing.

select pg_advisory_xact_lock(6072343190110423411);

do $install$
begin
  if to_regnamespace('tidings') is null then
    create schema tidings;
  end if;
end
$install$;

-- One row for each consumer and tenant: the sequence up to which every event has had its effect.
create table if not exists tidings.inbox (
  consumer   text        not null check (char_length(consumer) between 1 and 255),
  tenant     text        not null check (char_length(tenant) between 1 and 255),
  sequence   bigint      not null check (sequence >= 0),
  -- Where a feed reader goes on.
  cursor     text,
  updated_at timestamptz not null default now(),
  primary key (consumer, tenant)
);

-- Rows are few and change with every event: room on the page keeps each change in place.
alter table tidings.inbox set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

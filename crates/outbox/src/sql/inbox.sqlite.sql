-- The Tidings inbox in SQLite 3.37 or later, contract version 1. Running it again changes nothing.

-- One row for each consumer and tenant: the sequence up to which every event has had its effect.
create table if not exists tidings_inbox (
  consumer   text    not null check (length(consumer) between 1 and 255),
  tenant     text    not null check (length(tenant) between 1 and 255),
  sequence   integer not null check (sequence >= 0),
  -- Where a feed reader goes on.
  cursor     text,
  updated_at text    not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  primary key (consumer, tenant)
) strict, without rowid;

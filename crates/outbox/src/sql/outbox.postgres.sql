-- The Tidings outbox in PostgreSQL 15 or later, contract version 1.
-- Run it in one transaction (psql -1); running it again changes nothing.

-- Two installers at once would trip over each other's "if not exists".
select pg_advisory_xact_lock(6072343190110423411);

do $install$
declare
  installed integer;
begin
  if to_regnamespace('tidings') is null then
    create schema tidings;
  end if;
  if to_regclass('tidings.outbox_meta') is not null then
    select version into installed from tidings.outbox_meta;
    if installed > 1 then
      raise exception 'the outbox in this database has version %; this script installs version 1', installed
        using errcode = 'TD001', hint = 'Use the newer Tidings that made it.';
    end if;
  end if;
end
$install$;

-- Which version of this contract the database holds. One row.
create table if not exists tidings.outbox_meta (
  only_row     boolean     primary key default true check (only_row),
  version      integer     not null,
  installed_at timestamptz not null default now()
);

create table if not exists tidings.outbox (
  -- Rises in order of insertion; confirming an intent gives it a new one.
  id         bigint      generated always as identity primary key,
  -- The event's id, chosen by the producer before the write.
  source_key text collate "C" not null unique check (
    octet_length(source_key) between 1 and 255 and source_key !~ '[^!-\-/-~]'),
  state      text        not null default 'confirmed' check (state in ('intent', 'confirmed')),
  -- The envelope, kept as it was written.
  event      json        not null check (json_typeof(event) = 'object'),
  -- How the reconciler finds out what became of an intent.
  probe      json        check (json_typeof(probe) = 'object'),
  -- Since when the row waits in its state, by this database's clock.
  created_at timestamptz not null default clock_timestamp(),
  -- How often the log refused it, or the reconciler could not tell.
  attempts   integer     not null default 0 check (attempts >= 0),
  -- Why. A confirmed row with an error is refused: it stays until someone retries or discards it.
  error      text
);

-- Rows come and go: vacuum soon and without pausing, whatever the table's size. Statistics of a queue are outdated
-- when they are taken, so they are taken rarely.
alter table tidings.outbox set (
  fillfactor = 100,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 100000
);

-- What the pump reads; refused rows and intents are out of its way.
create index if not exists outbox_waiting on tidings.outbox (id) where state = 'confirmed' and error is null;
-- What the operator lists.
create index if not exists outbox_refused on tidings.outbox (id) where state = 'confirmed' and error is not null;
-- What the reconciler reads.
create index if not exists outbox_intents on tidings.outbox (id) where state = 'intent';

-- A new ULID: 48 bits of milliseconds, 80 random bits, in Crockford's base 32.
create or replace function tidings.ulid() returns text
language plpgsql volatile as $ulid$
declare
  letters constant text := '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
  moment  constant bigint := floor(extract(epoch from clock_timestamp()) * 1000)::bigint;
  -- Digits 13 and 17 of a random UUID are fixed; twenty of the others give the 80 bits.
  digits  constant text := replace(gen_random_uuid()::text, '-', '');
  high    constant bigint := ('x000000' || substr(digits, 1, 10))::bit(64)::bigint;
  low     constant bigint := ('x000000' || substr(digits, 18, 10))::bit(64)::bigint;
begin
  return
    substr(letters, 1 + (moment >> 45 & 31)::int, 1) || substr(letters, 1 + (moment >> 40 & 31)::int, 1) ||
    substr(letters, 1 + (moment >> 35 & 31)::int, 1) || substr(letters, 1 + (moment >> 30 & 31)::int, 1) ||
    substr(letters, 1 + (moment >> 25 & 31)::int, 1) || substr(letters, 1 + (moment >> 20 & 31)::int, 1) ||
    substr(letters, 1 + (moment >> 15 & 31)::int, 1) || substr(letters, 1 + (moment >> 10 & 31)::int, 1) ||
    substr(letters, 1 + (moment >> 5 & 31)::int, 1) || substr(letters, 1 + (moment & 31)::int, 1) ||
    substr(letters, 1 + (high >> 35 & 31)::int, 1) || substr(letters, 1 + (high >> 30 & 31)::int, 1) ||
    substr(letters, 1 + (high >> 25 & 31)::int, 1) || substr(letters, 1 + (high >> 20 & 31)::int, 1) ||
    substr(letters, 1 + (high >> 15 & 31)::int, 1) || substr(letters, 1 + (high >> 10 & 31)::int, 1) ||
    substr(letters, 1 + (high >> 5 & 31)::int, 1) || substr(letters, 1 + (high & 31)::int, 1) ||
    substr(letters, 1 + (low >> 35 & 31)::int, 1) || substr(letters, 1 + (low >> 30 & 31)::int, 1) ||
    substr(letters, 1 + (low >> 25 & 31)::int, 1) || substr(letters, 1 + (low >> 20 & 31)::int, 1) ||
    substr(letters, 1 + (low >> 15 & 31)::int, 1) || substr(letters, 1 + (low >> 10 & 31)::int, 1) ||
    substr(letters, 1 + (low >> 5 & 31)::int, 1) || substr(letters, 1 + (low & 31)::int, 1);
end
$ulid$;

-- The content of a JSON string; null for anything else.
create or replace function tidings.outbox_text(value json) returns text
language sql immutable as $text$ select case when json_typeof(value) = 'string' then value #>> '{}' end $text$;

-- Refuses what the log would refuse, while the producer's transaction can still be told.
create or replace function tidings.outbox_check(member text, content text, pattern text, rule text) returns boolean
language plpgsql immutable as $check$
begin
  if (char_length(content) between 1 and 255 and content !~ '[\u0001-\u001f\u007f-\u009f]'
      and content ~ pattern) is not true then
    raise exception 'tidings.emit: % %', member, rule using errcode = 'invalid_parameter_value';
  end if;
  return true;
end
$check$;

-- Writes one event into the outbox, in the caller's transaction, and returns its source key.
--
-- The envelope may give id, version, timestamp, project, source, entity, actor and metadata; members that are null
-- count as left out. Without a source it is the setting tidings.source ('sales', or '{"type":"service","id":"sales"}'),
-- else the service named like this database. The same id with the same content again changes nothing.
create or replace function tidings.emit(tenant text, type text, data json, envelope json default '{}') returns text
language plpgsql volatile as $emit$
declare
  words    constant text := 'must be a string of 1 to 255 characters without control characters';
  key      text;
  source   json;
  moment   json;
  rest     text := '';
  seen     text[] := '{}';
  name     text;
  value    json;
  content  text;
  inner_name text;
  checked  boolean;
begin
  checked := tidings.outbox_check('tenant', emit.tenant, '^[^$/][^/]*$', words || ', without "/" and not beginning with "$"');
  checked := tidings.outbox_check('type', emit.type,
    '^[a-z][a-z0-9]*(_[a-z0-9]+)*(\.[a-z][a-z0-9]*(_[a-z0-9]+)*){1,4}$',
    'must be 2 to 5 dotted segments of lower snake case, like sales.lead.status_changed');
  if emit.data is null or json_typeof(emit.data) <> 'object' then
    raise exception 'tidings.emit: data must be a JSON object' using errcode = 'invalid_parameter_value';
  end if;
  if octet_length(emit.data::text) > 262144 then
    raise exception 'tidings.emit: data must have at most 262144 bytes' using errcode = 'invalid_parameter_value';
  end if;
  if json_typeof(coalesce(emit.envelope, '{}')) <> 'object' then
    raise exception 'tidings.emit: envelope must be a JSON object' using errcode = 'invalid_parameter_value';
  end if;

  if emit.envelope::text <> '{}' then
    for name, value in select * from json_each(emit.envelope) loop
      if name = any (seen) then
        raise exception 'tidings.emit: envelope has "%" twice', name using errcode = 'invalid_parameter_value';
      end if;
      seen := seen || name;
      continue when json_typeof(value) = 'null';
      content := tidings.outbox_text(value);
      case
        when name = 'id' then
          checked := tidings.outbox_check('id', content, '^[!-\-/-~]+$', 'must be 1 to 255 visible ASCII characters without "."');
          key := content;
          continue;
        when name = 'source' then
          source := value;
          continue;
        when name = 'timestamp' then
          checked := tidings.outbox_check('timestamp', content,
            '^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$', 'must be a moment like 2026-03-15T10:00:00Z');
          moment := value;
          continue;
        when name in ('version', 'project', 'actor') then
          checked := tidings.outbox_check(name, content, '', words);
        when name in ('entity', 'metadata') then
          if json_typeof(value) <> 'object' then
            raise exception 'tidings.emit: % must be an object', name using errcode = 'invalid_parameter_value';
          end if;
          if name = 'entity' then
            checked := tidings.outbox_check('entity.type', tidings.outbox_text(value -> 'type'), '', words);
            checked := tidings.outbox_check('entity.id', tidings.outbox_text(value -> 'id'), '', words);
          end if;
          for inner_name in select * from json_object_keys(value) loop
            if name = 'entity' and inner_name not in ('type', 'id')
               or name = 'metadata' and inner_name not in ('correlation_id', 'causation_id', 'context', 'traceparent') then
              raise exception 'tidings.emit: %.% is not a member of the envelope', name, inner_name
                using errcode = 'invalid_parameter_value';
            end if;
          end loop;
        when name in ('tenant', 'type', 'data') then
          raise exception 'tidings.emit: % is an argument of its own; leave it out of the envelope', name
            using errcode = 'invalid_parameter_value';
        when name in ('sequence', 'recorded_at') then
          raise exception 'tidings.emit: % is assigned by the log; leave it out of the envelope', name
            using errcode = 'invalid_parameter_value';
        else
          raise exception 'tidings.emit: % is not a member of the envelope', name using errcode = 'invalid_parameter_value';
      end case;
      rest := rest || ',' || to_json(name) || ':' || value::text;
    end loop;
  end if;

  if source is null then
    name := coalesce(nullif(current_setting('tidings.source', true), ''), current_database());
    source := case when name like '{%' then name::json else json_build_object('type', 'service', 'id', name) end;
  elsif json_typeof(source) <> 'object' then
    raise exception 'tidings.emit: source must be an object like {"type":"service","id":"sales"}'
      using errcode = 'invalid_parameter_value';
  end if;
  checked := tidings.outbox_check('source.type', tidings.outbox_text(source -> 'type'), '^(service|workflow|task|integration|external|system)$',
    'must be one of service, workflow, task, integration, external, system');
  checked := tidings.outbox_check('source.id', tidings.outbox_text(source -> 'id'), '', words);

  key := coalesce(key, tidings.ulid());
  moment := coalesce(moment, to_json(to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')));
  insert into tidings.outbox (source_key, event)
  values (key, ('{"id":' || to_json(key) || ',"type":' || to_json(emit.type) || ',"timestamp":' || moment::text
    || ',"tenant":' || to_json(emit.tenant) || ',"source":' || source::text || rest
    || ',"data":' || emit.data::text || '}')::json)
  on conflict (source_key) do nothing;
  if not found then
    perform from tidings.outbox o
    where o.source_key = key and o.state = 'confirmed'
      and o.event ->> 'tenant' = emit.tenant and o.event ->> 'type' = emit.type
      and (o.event -> 'data')::text = emit.data::text
      and o.event #>> '{source,type}' = source ->> 'type' and o.event #>> '{source,id}' = source ->> 'id'
      and o.event #>> '{entity,type}' is not distinct from emit.envelope #>> '{entity,type}'
      and o.event #>> '{entity,id}' is not distinct from emit.envelope #>> '{entity,id}';
    if not found then
      raise exception 'tidings.emit: the id % is taken by other content', key using errcode = 'unique_violation';
    end if;
  end if;
  return key;
end
$emit$;

insert into tidings.outbox_meta (version) values (1) on conflict (only_row) do update set version = excluded.version
where outbox_meta.version < excluded.version;

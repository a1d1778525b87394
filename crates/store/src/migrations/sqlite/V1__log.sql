-- The log of one SQLite file. The README beside this crate's Cargo.toml says who writes what.

CREATE TABLE meta (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    log_id     TEXT    NOT NULL CHECK (length(log_id) = 26),
    created_at INTEGER NOT NULL,
    probed_at  INTEGER NOT NULL
) STRICT;

-- The head of each partition: its last position, and when that was recorded.
CREATE TABLE partitions (
    id          INTEGER PRIMARY KEY CHECK (id BETWEEN 0 AND 32767),
    position    INTEGER NOT NULL DEFAULT 0 CHECK (position BETWEEN 0 AND 281474976710655),
    recorded_at INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TRIGGER partitions_only_advance BEFORE UPDATE ON partitions
WHEN NEW.id <> OLD.id OR NEW.position < OLD.position OR NEW.recorded_at < OLD.recorded_at
BEGIN SELECT RAISE(ABORT, 'the head of a partition only advances'); END;

CREATE TRIGGER partitions_stay BEFORE DELETE ON partitions WHEN OLD.position > 0
BEGIN SELECT RAISE(ABORT, 'a partition with events stays'); END;

-- The head of each tenant: its last sequence, and the floor below which retention erased.
CREATE TABLE tenants (
    no         INTEGER PRIMARY KEY CHECK (no > 0),
    name       TEXT    NOT NULL UNIQUE,
    partition  INTEGER NOT NULL REFERENCES partitions (id),
    sequence   INTEGER NOT NULL DEFAULT 0 CHECK (sequence >= 0),
    floor      INTEGER NOT NULL DEFAULT 0 CHECK (floor BETWEEN 0 AND sequence),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TRIGGER tenants_only_advance BEFORE UPDATE ON tenants
WHEN NEW.no <> OLD.no OR NEW.name <> OLD.name OR NEW.sequence < OLD.sequence OR NEW.floor < OLD.floor
  OR (NEW.partition <> OLD.partition AND OLD.sequence > 0)
BEGIN SELECT RAISE(ABORT, 'the head of a tenant only advances'); END;

CREATE TRIGGER tenants_stay BEFORE DELETE ON tenants WHEN OLD.sequence > 0
BEGIN SELECT RAISE(ABORT, 'a tenant with events stays'); END;

-- The log. The row's address encodes its place: partition << 48 | position, so that a partition lies in order and
-- an append adds to its end.
CREATE TABLE events (
    address        INTEGER PRIMARY KEY,
    tenant_no      INTEGER NOT NULL,
    sequence       INTEGER NOT NULL CHECK (sequence > 0),
    event_id       TEXT    NOT NULL,
    type           TEXT    NOT NULL,
    version        TEXT    NOT NULL,
    timestamp      INTEGER NOT NULL,
    recorded_at    INTEGER NOT NULL,
    project        TEXT,
    source_kind    TEXT    NOT NULL
                   CHECK (source_kind IN ('service', 'workflow', 'task', 'integration', 'external', 'system')),
    source_id      TEXT    NOT NULL,
    entity_kind    TEXT,
    entity_id      TEXT,
    actor          TEXT,
    correlation_id TEXT,
    causation_id   TEXT,
    context_kind   TEXT    CHECK (context_kind IN ('client', 'user', 'global')),
    context_id     TEXT,
    traceparent    TEXT,
    salt           BLOB,
    digest         BLOB    NOT NULL CHECK (length(digest) = 32),
    data           TEXT,
    CHECK ((entity_kind IS NULL) = (entity_id IS NULL)),
    CHECK ((context_kind IS NULL) = (context_id IS NULL)),
    CHECK ((data IS NULL) = (salt IS NULL))
) STRICT;

CREATE UNIQUE INDEX events_by_id ON events (tenant_no, event_id);
CREATE UNIQUE INDEX events_by_sequence ON events (tenant_no, sequence);
CREATE INDEX events_by_type ON events (tenant_no, type, sequence);
CREATE INDEX events_by_entity ON events (tenant_no, entity_kind, entity_id, sequence) WHERE entity_kind IS NOT NULL;
CREATE INDEX events_by_correlation ON events (tenant_no, correlation_id, sequence) WHERE correlation_id IS NOT NULL;
CREATE INDEX events_by_causation ON events (tenant_no, causation_id, sequence) WHERE causation_id IS NOT NULL;

-- Append-only: a row may lose its payload and the salt that hides it, together; nothing else of it changes.
CREATE TRIGGER events_do_not_change BEFORE UPDATE ON events
WHEN NOT (NEW.data IS NULL AND NEW.salt IS NULL
    AND NEW.address = OLD.address AND NEW.tenant_no = OLD.tenant_no AND NEW.sequence = OLD.sequence
    AND NEW.event_id = OLD.event_id AND NEW.type = OLD.type AND NEW.version = OLD.version
    AND NEW.timestamp = OLD.timestamp AND NEW.recorded_at = OLD.recorded_at AND NEW.project IS OLD.project
    AND NEW.source_kind = OLD.source_kind AND NEW.source_id = OLD.source_id
    AND NEW.entity_kind IS OLD.entity_kind AND NEW.entity_id IS OLD.entity_id AND NEW.actor IS OLD.actor
    AND NEW.correlation_id IS OLD.correlation_id AND NEW.causation_id IS OLD.causation_id
    AND NEW.context_kind IS OLD.context_kind AND NEW.context_id IS OLD.context_id
    AND NEW.traceparent IS OLD.traceparent AND NEW.digest = OLD.digest)
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

-- Append-only: whole rows go only at or below the floor that retention recorded before.
CREATE TRIGGER events_do_not_vanish BEFORE DELETE ON events
WHEN OLD.sequence > coalesce((SELECT floor FROM tenants WHERE no = OLD.tenant_no), 0)
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

-- API keys, by the hash of each.
CREATE TABLE keys (
    id            TEXT PRIMARY KEY,
    hash          BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    role          TEXT    NOT NULL CHECK (role IN ('admin', 'producer', 'consumer', 'auditor')),
    tenants       TEXT    NOT NULL CHECK (json_valid(tenants)),
    type_prefixes TEXT    NOT NULL CHECK (json_valid(type_prefixes)),
    description   TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    revoked_at    INTEGER
) STRICT, WITHOUT ROWID;

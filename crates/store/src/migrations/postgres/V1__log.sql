-- The log in one PostgreSQL database. The README beside this crate's Cargo.toml says who writes what.

CREATE TABLE tidings.meta (
    only_row   integer PRIMARY KEY CHECK (only_row = 1),
    log_id     text    NOT NULL CHECK (length(log_id) = 26),
    created_at bigint  NOT NULL,
    probed_at  bigint  NOT NULL
) WITH (fillfactor = 10);

-- The head of each partition: its last position, and when that was recorded. The row's lock is the sequencer; there
-- is room on its page, so that advancing it touches no index.
CREATE TABLE tidings.partitions (
    id          integer PRIMARY KEY CHECK (id >= 0),
    position    bigint  NOT NULL DEFAULT 0 CHECK (position >= 0),
    recorded_at bigint  NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

-- The head of each tenant: its last sequence, and the floor below which retention erased.
CREATE TABLE tidings.tenants (
    no         bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name       text    COLLATE "C" NOT NULL UNIQUE,
    partition  integer NOT NULL REFERENCES tidings.partitions (id),
    sequence   bigint  NOT NULL DEFAULT 0 CHECK (sequence >= 0),
    floor      bigint  NOT NULL DEFAULT 0 CHECK (floor BETWEEN 0 AND sequence),
    created_at bigint  NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE tidings.events (
    partition      integer NOT NULL,
    position       bigint  NOT NULL CHECK (position > 0),
    tenant_no      bigint  NOT NULL,
    sequence       bigint  NOT NULL CHECK (sequence > 0),
    event_id       text    COLLATE "C" NOT NULL,
    type           text    COLLATE "C" NOT NULL,
    version        text    COLLATE "C" NOT NULL,
    timestamp      bigint  NOT NULL,
    recorded_at    bigint  NOT NULL,
    project        text    COLLATE "C",
    source_kind    text    COLLATE "C" NOT NULL
                   CHECK (source_kind IN ('service', 'workflow', 'task', 'integration', 'external', 'system')),
    source_id      text    COLLATE "C" NOT NULL,
    entity_kind    text    COLLATE "C",
    entity_id      text    COLLATE "C",
    actor          text    COLLATE "C",
    correlation_id text    COLLATE "C",
    causation_id   text    COLLATE "C",
    context_kind   text    COLLATE "C" CHECK (context_kind IN ('client', 'user', 'global')),
    context_id     text    COLLATE "C",
    traceparent    text    COLLATE "C",
    salt           bytea,
    digest         bytea   NOT NULL CHECK (length(digest) = 32),
    data_bytes     integer NOT NULL CHECK (data_bytes > 0),
    data           json,
    PRIMARY KEY (partition, position),
    CHECK ((entity_kind IS NULL) = (entity_id IS NULL)),
    CHECK ((context_kind IS NULL) = (context_id IS NULL)),
    CHECK ((data IS NULL) = (salt IS NULL))
);

CREATE UNIQUE INDEX events_by_id ON tidings.events (tenant_no, event_id);
CREATE UNIQUE INDEX events_by_sequence ON tidings.events (tenant_no, sequence);
CREATE INDEX events_by_type ON tidings.events (tenant_no, type, sequence);
CREATE INDEX events_by_entity ON tidings.events (tenant_no, entity_kind, entity_id, sequence)
    WHERE entity_kind IS NOT NULL;
CREATE INDEX events_by_correlation ON tidings.events (tenant_no, correlation_id, sequence)
    WHERE correlation_id IS NOT NULL;
CREATE INDEX events_by_causation ON tidings.events (tenant_no, causation_id, sequence)
    WHERE causation_id IS NOT NULL;

-- API keys, by the hash of each.
CREATE TABLE tidings.keys (
    id            text   COLLATE "C" PRIMARY KEY,
    hash          bytea  NOT NULL UNIQUE CHECK (length(hash) = 32),
    role          text   NOT NULL CHECK (role IN ('admin', 'producer', 'consumer', 'auditor')),
    tenants       text[] NOT NULL,
    type_prefixes text[] NOT NULL,
    description   text   NOT NULL,
    created_at    bigint NOT NULL,
    expires_at    bigint,
    revoked_at    bigint
);

-- What refuses a change, with the reason that the trigger names.
CREATE FUNCTION tidings.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END
$$;

-- Whole rows go only at or below the floor that retention recorded before.
CREATE FUNCTION tidings.refuse_above_floor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.sequence > coalesce((SELECT floor FROM tidings.tenants WHERE no = OLD.tenant_no), 0) THEN
        RAISE EXCEPTION 'the log is append-only' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END
$$;

CREATE TRIGGER partitions_only_advance BEFORE UPDATE ON tidings.partitions FOR EACH ROW
    WHEN (NEW.id <> OLD.id OR NEW.position < OLD.position OR NEW.recorded_at < OLD.recorded_at)
    EXECUTE FUNCTION tidings.refuse('the head of a partition only advances');
CREATE TRIGGER partitions_stay BEFORE DELETE ON tidings.partitions FOR EACH ROW WHEN (OLD.position > 0)
    EXECUTE FUNCTION tidings.refuse('a partition with events stays');
CREATE TRIGGER tenants_only_advance BEFORE UPDATE ON tidings.tenants FOR EACH ROW
    WHEN (NEW.no <> OLD.no OR NEW.name <> OLD.name OR NEW.sequence < OLD.sequence OR NEW.floor < OLD.floor
          OR (NEW.partition <> OLD.partition AND OLD.sequence > 0))
    EXECUTE FUNCTION tidings.refuse('the head of a tenant only advances');
CREATE TRIGGER tenants_stay BEFORE DELETE ON tidings.tenants FOR EACH ROW WHEN (OLD.sequence > 0)
    EXECUTE FUNCTION tidings.refuse('a tenant with events stays');

-- Append-only: a row may lose its payload and the salt that hides it, together; nothing else of it changes.
CREATE TRIGGER events_do_not_change BEFORE UPDATE ON tidings.events FOR EACH ROW
    WHEN (NEW.data IS NOT NULL OR NEW.salt IS NOT NULL
          OR (NEW.partition, NEW.position, NEW.tenant_no, NEW.sequence, NEW.event_id, NEW.type, NEW.version,
              NEW.timestamp, NEW.recorded_at, NEW.project, NEW.source_kind, NEW.source_id, NEW.entity_kind,
              NEW.entity_id, NEW.actor, NEW.correlation_id, NEW.causation_id, NEW.context_kind, NEW.context_id,
              NEW.traceparent, NEW.digest, NEW.data_bytes)
          IS DISTINCT FROM
             (OLD.partition, OLD.position, OLD.tenant_no, OLD.sequence, OLD.event_id, OLD.type, OLD.version,
              OLD.timestamp, OLD.recorded_at, OLD.project, OLD.source_kind, OLD.source_id, OLD.entity_kind,
              OLD.entity_id, OLD.actor, OLD.correlation_id, OLD.causation_id, OLD.context_kind, OLD.context_id,
              OLD.traceparent, OLD.digest, OLD.data_bytes))
    EXECUTE FUNCTION tidings.refuse('the log is append-only');
CREATE TRIGGER events_do_not_vanish BEFORE DELETE ON tidings.events FOR EACH ROW
    EXECUTE FUNCTION tidings.refuse_above_floor();
CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON tidings.events
    EXECUTE FUNCTION tidings.refuse('the log is append-only');

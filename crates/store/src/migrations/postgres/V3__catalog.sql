-- The catalog, and what is kept of events that break its rules. The README beside this crate's Cargo.toml says who
-- writes what.

-- How often the catalog was changed. The row's lock orders the changes.
CREATE TABLE tidings.catalog (
    only_row integer PRIMARY KEY CHECK (only_row = 1),
    revision bigint  NOT NULL CHECK (revision >= 0)
) WITH (fillfactor = 10);

INSERT INTO tidings.catalog (only_row, revision) VALUES (1, 0);

CREATE TRIGGER catalog_only_advances BEFORE UPDATE ON tidings.catalog FOR EACH ROW WHEN (NEW.revision < OLD.revision)
    EXECUTE FUNCTION tidings.refuse('the revision of the catalog only rises');
CREATE TRIGGER catalog_stays BEFORE DELETE ON tidings.catalog FOR EACH ROW
    EXECUTE FUNCTION tidings.refuse('the catalog stays');

-- Every revision of every entry; one without a source removed it.
CREATE TABLE tidings.catalog_entries (
    kind       text   COLLATE "C" NOT NULL CHECK (kind <> ''),
    name       text   COLLATE "C" NOT NULL CHECK (name <> ''),
    version    text   COLLATE "C" NOT NULL,
    revision   bigint NOT NULL CHECK (revision > 0),
    source     text   COLLATE "C",
    changed_by text   COLLATE "C" NOT NULL,
    reason     text   COLLATE "C",
    at         bigint NOT NULL,
    PRIMARY KEY (kind, name, version, revision)
);

CREATE UNIQUE INDEX catalog_entries_by_name ON tidings.catalog_entries (kind, name, revision, version);

CREATE TRIGGER catalog_entries_do_not_change BEFORE UPDATE ON tidings.catalog_entries FOR EACH ROW
    EXECUTE FUNCTION tidings.refuse('the catalog keeps every revision');
CREATE TRIGGER catalog_entries_do_not_vanish BEFORE DELETE ON tidings.catalog_entries FOR EACH ROW
    EXECUTE FUNCTION tidings.refuse('the catalog keeps every revision');
CREATE TRIGGER catalog_entries_are_not_truncated BEFORE TRUNCATE ON tidings.catalog_entries
    EXECUTE FUNCTION tidings.refuse('the catalog keeps every revision');

-- The newest revision of each entry.
CREATE TABLE tidings.catalog_newest (
    kind     text   COLLATE "C" NOT NULL,
    name     text   COLLATE "C" NOT NULL,
    version  text   COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (kind, name, version),
    FOREIGN KEY (kind, name, version, revision) REFERENCES tidings.catalog_entries
);

CREATE UNIQUE INDEX catalog_newest_by_revision ON tidings.catalog_newest (revision, kind, name, version);

CREATE TRIGGER catalog_newest_only_advances BEFORE UPDATE ON tidings.catalog_newest FOR EACH ROW
    WHEN (NEW.revision <= OLD.revision) EXECUTE FUNCTION tidings.refuse('the newest revision of an entry only rises');
CREATE TRIGGER catalog_newest_stays BEFORE DELETE ON tidings.catalog_newest FOR EACH ROW
    EXECUTE FUNCTION tidings.refuse('the catalog keeps every entry');

-- How many events of each tenant are kept aside. The row's lock orders what is put aside and taken away.
CREATE TABLE tidings.quarantines (
    tenant text   COLLATE "C" PRIMARY KEY,
    events bigint NOT NULL CHECK (events >= 0)
) WITH (fillfactor = 50);

-- Events that are kept aside, out of the log; each once, by what it says.
CREATE TABLE tidings.asides (
    tenant   text   COLLATE "C" NOT NULL,
    no       bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    event_id text   COLLATE "C" NOT NULL,
    hash     bytea  NOT NULL CHECK (length(hash) = 32),
    type     text   COLLATE "C" NOT NULL,
    version  text   COLLATE "C" NOT NULL,
    event    text   COLLATE "C" NOT NULL,
    reasons  text   COLLATE "C" NOT NULL,
    sender   text   COLLATE "C" NOT NULL,
    at       bigint NOT NULL,
    PRIMARY KEY (tenant, no)
);

CREATE UNIQUE INDEX asides_by_event ON tidings.asides (tenant, event_id, hash);
CREATE INDEX asides_by_type ON tidings.asides (tenant, type, no);

-- Events of the log that break rules of the catalog and were taken all the same.
CREATE TABLE tidings.marks (
    tenant_no bigint NOT NULL,
    sequence  bigint NOT NULL CHECK (sequence > 0),
    type      text   COLLATE "C" NOT NULL,
    version   text   COLLATE "C" NOT NULL,
    reasons   text   COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_no, sequence)
);

CREATE INDEX marks_by_type ON tidings.marks (tenant_no, type, sequence);

-- Who was seen to emit which type.
CREATE TABLE tidings.observed (
    type        text   COLLATE "C" NOT NULL,
    version     text   COLLATE "C" NOT NULL,
    source_kind text   COLLATE "C" NOT NULL
                CHECK (source_kind IN ('service', 'workflow', 'task', 'integration', 'external', 'system')),
    source_id   text   COLLATE "C" NOT NULL,
    events      bigint NOT NULL CHECK (events >= 0),
    first_at    bigint NOT NULL,
    last_at     bigint NOT NULL,
    PRIMARY KEY (type, version, source_kind, source_id)
) WITH (fillfactor = 50);

ALTER TABLE tidings.keys ADD COLUMN service text;

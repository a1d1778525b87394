-- The catalog, and what is kept of events that break its rules. The README beside this crate's Cargo.toml says who
-- writes what.

-- How often the catalog was changed.
CREATE TABLE catalog (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision INTEGER NOT NULL CHECK (revision >= 0)
) STRICT;

INSERT INTO catalog (only_row, revision) VALUES (1, 0);

CREATE TRIGGER catalog_only_advances BEFORE UPDATE ON catalog WHEN NEW.revision < OLD.revision
BEGIN SELECT RAISE(ABORT, 'the revision of the catalog only rises'); END;

CREATE TRIGGER catalog_stays BEFORE DELETE ON catalog
BEGIN SELECT RAISE(ABORT, 'the catalog stays'); END;

-- Every revision of every entry; one without a source removed it.
CREATE TABLE catalog_entries (
    kind       TEXT    NOT NULL CHECK (kind <> ''),
    name       TEXT    NOT NULL CHECK (name <> ''),
    version    TEXT    NOT NULL,
    revision   INTEGER NOT NULL CHECK (revision > 0),
    source     TEXT,
    changed_by TEXT    NOT NULL,
    reason     TEXT,
    at         INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX catalog_entries_by_key ON catalog_entries (kind, name, version, revision);
CREATE UNIQUE INDEX catalog_entries_by_name ON catalog_entries (kind, name, revision, version);

CREATE TRIGGER catalog_entries_do_not_change BEFORE UPDATE ON catalog_entries
BEGIN SELECT RAISE(ABORT, 'the catalog keeps every revision'); END;

CREATE TRIGGER catalog_entries_do_not_vanish BEFORE DELETE ON catalog_entries
BEGIN SELECT RAISE(ABORT, 'the catalog keeps every revision'); END;

-- The newest revision of each entry.
CREATE TABLE catalog_newest (
    kind     TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    version  TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (kind, name, version)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX catalog_newest_by_revision ON catalog_newest (revision, kind, name, version);

CREATE TRIGGER catalog_newest_only_advances BEFORE UPDATE ON catalog_newest WHEN NEW.revision <= OLD.revision
BEGIN SELECT RAISE(ABORT, 'the newest revision of an entry only rises'); END;

CREATE TRIGGER catalog_newest_stays BEFORE DELETE ON catalog_newest
BEGIN SELECT RAISE(ABORT, 'the catalog keeps every entry'); END;

-- How many events of each tenant are kept aside.
CREATE TABLE quarantines (
    tenant TEXT PRIMARY KEY,
    events INTEGER NOT NULL CHECK (events >= 0)
) STRICT, WITHOUT ROWID;

-- Events that are kept aside, out of the log; each once, by what it says. A number is never given twice.
CREATE TABLE asides (
    no       INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant   TEXT    NOT NULL,
    event_id TEXT    NOT NULL,
    hash     BLOB    NOT NULL CHECK (length(hash) = 32),
    type     TEXT    NOT NULL,
    version  TEXT    NOT NULL,
    event    TEXT    NOT NULL,
    reasons  TEXT    NOT NULL,
    sender   TEXT    NOT NULL,
    at       INTEGER NOT NULL
) STRICT;

CREATE INDEX asides_by_tenant ON asides (tenant, no);
CREATE UNIQUE INDEX asides_by_event ON asides (tenant, event_id, hash);
CREATE INDEX asides_by_type ON asides (tenant, type, no);

-- Events of the log that break rules of the catalog and were taken all the same.
CREATE TABLE marks (
    tenant_no INTEGER NOT NULL,
    sequence  INTEGER NOT NULL CHECK (sequence > 0),
    type      TEXT    NOT NULL,
    version   TEXT    NOT NULL,
    reasons   TEXT    NOT NULL,
    PRIMARY KEY (tenant_no, sequence)
) STRICT, WITHOUT ROWID;

CREATE INDEX marks_by_type ON marks (tenant_no, type, sequence);

-- Who was seen to emit which type.
CREATE TABLE observed (
    type        TEXT    NOT NULL,
    version     TEXT    NOT NULL,
    source_kind TEXT    NOT NULL
                CHECK (source_kind IN ('service', 'workflow', 'task', 'integration', 'external', 'system')),
    source_id   TEXT    NOT NULL,
    events      INTEGER NOT NULL CHECK (events >= 0),
    first_at    INTEGER NOT NULL,
    last_at     INTEGER NOT NULL,
    PRIMARY KEY (type, version, source_kind, source_id)
) STRICT, WITHOUT ROWID;

ALTER TABLE keys ADD COLUMN service TEXT;

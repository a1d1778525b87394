-- What tenants may send. The README beside this crate's Cargo.toml says who writes what.

-- How often quotas were changed.
CREATE TABLE quotas_head (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision INTEGER NOT NULL CHECK (revision >= 0)
) STRICT;

INSERT INTO quotas_head (only_row, revision) VALUES (1, 0);

CREATE TRIGGER quotas_head_only_advances BEFORE UPDATE ON quotas_head WHEN NEW.revision < OLD.revision
BEGIN SELECT RAISE(ABORT, 'the revision of the quotas only rises'); END;

CREATE TRIGGER quotas_head_stays BEFORE DELETE ON quotas_head
BEGIN SELECT RAISE(ABORT, 'the revision of the quotas stays'); END;

-- What was said last about each tenant. One of which nothing is said any more keeps its row, so that others hear of it.
CREATE TABLE quotas (
    tenant       TEXT    PRIMARY KEY CHECK (tenant <> ''),
    events_per_s INTEGER CHECK (events_per_s >= 0),
    events_burst INTEGER CHECK (events_burst >= 0),
    bytes_per_s  INTEGER CHECK (bytes_per_s >= 0),
    bytes_burst  INTEGER CHECK (bytes_burst >= 0),
    revision     INTEGER NOT NULL CHECK (revision > 0),
    changed_by   TEXT    NOT NULL,
    at           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX quotas_by_revision ON quotas (revision);

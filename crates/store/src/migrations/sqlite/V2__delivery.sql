-- Subscriptions, and what their delivery must remember. The README beside this crate's Cargo.toml says who writes what.

-- How often a partition's subscriptions were changed: moved in the transaction that changes them, so that every change
-- stands between two positions.
ALTER TABLE partitions ADD COLUMN revision INTEGER NOT NULL DEFAULT 0 CHECK (revision >= 0);

CREATE TRIGGER partitions_revision_only_rises BEFORE UPDATE ON partitions WHEN NEW.revision < OLD.revision
BEGIN SELECT RAISE(ABORT, 'the revision of a partition only rises'); END;

-- Numbers are never given twice: attempts outlive their endpoint.
CREATE TABLE endpoints (
    no            INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL,
    tenant_no     INTEGER NOT NULL REFERENCES tenants (no),
    partition     INTEGER NOT NULL REFERENCES partitions (id),
    revision      INTEGER NOT NULL CHECK (revision > 0),
    status        TEXT    NOT NULL CHECK (status IN ('active', 'paused', 'disabled', 'deleted')),
    status_reason TEXT,
    url           TEXT    NOT NULL,
    selections    TEXT    NOT NULL CHECK (json_valid(selections)),
    settings      TEXT    NOT NULL,
    secrets       BLOB    NOT NULL,
    forgotten     INTEGER NOT NULL DEFAULT 0 CHECK (forgotten IN (0, 1) AND (status = 'deleted' OR forgotten = 0)),
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX endpoints_by_id ON endpoints (tenant_no, id);
CREATE INDEX endpoints_by_revision ON endpoints (partition, revision);
CREATE INDEX endpoints_deleted ON endpoints (partition, no) WHERE status = 'deleted';

-- Who routes a partition, and how far that has come.
CREATE TABLE routers (
    partition  INTEGER PRIMARY KEY REFERENCES partitions (id),
    node       TEXT,
    epoch      INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    checkpoint INTEGER NOT NULL DEFAULT 0 CHECK (checkpoint >= 0),
    renewed_at INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TRIGGER routers_only_advance BEFORE UPDATE ON routers
WHEN NEW.partition <> OLD.partition OR NEW.epoch < OLD.epoch OR NEW.checkpoint < OLD.checkpoint
BEGIN SELECT RAISE(ABORT, 'a router only advances'); END;

-- Nothing was subscribed to before, so what is in the log already is settled for everybody.
INSERT INTO routers (partition, checkpoint) SELECT id, position FROM partitions;

CREATE TABLE lanes (
    partition INTEGER NOT NULL,
    lane      INTEGER NOT NULL CHECK (lane <> 0),
    tenant_no INTEGER NOT NULL,
    settled   INTEGER NOT NULL CHECK (settled >= 0),
    PRIMARY KEY (partition, lane)
) STRICT, WITHOUT ROWID;

CREATE TABLE retries (
    partition INTEGER NOT NULL,
    lane      INTEGER NOT NULL CHECK (lane <> 0),
    sequence  INTEGER NOT NULL CHECK (sequence > 0),
    attempts  INTEGER NOT NULL CHECK (attempts >= 0),
    next_at   INTEGER NOT NULL,
    key       INTEGER,
    previous  INTEGER,
    PRIMARY KEY (partition, lane, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE circuits (
    partition INTEGER NOT NULL,
    lane      INTEGER NOT NULL CHECK (lane <> 0),
    state     TEXT    NOT NULL CHECK (state IN ('open', 'throttled')),
    since     INTEGER NOT NULL,
    until     INTEGER NOT NULL,
    probes    INTEGER NOT NULL CHECK (probes >= 0),
    last      INTEGER NOT NULL,
    PRIMARY KEY (partition, lane)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    tenant_no INTEGER NOT NULL,
    sequence  INTEGER NOT NULL CHECK (sequence > 0),
    endpoint  INTEGER NOT NULL,
    attempts  INTEGER NOT NULL CHECK (attempts >= 0),
    last      INTEGER,
    reason    TEXT    NOT NULL CHECK (reason IN ('exhausted', 'expired', 'undeliverable')),
    died_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant_no, sequence, endpoint)
) STRICT, WITHOUT ROWID;

CREATE INDEX dead_letters_by_endpoint ON dead_letters (endpoint, sequence);

CREATE TABLE redrives (
    partition INTEGER NOT NULL,
    endpoint  INTEGER NOT NULL,
    sequence  INTEGER NOT NULL CHECK (sequence > 0),
    PRIMARY KEY (partition, endpoint, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE replays (
    no             INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL,
    endpoint       INTEGER NOT NULL,
    tenant_no      INTEGER NOT NULL,
    partition      INTEGER NOT NULL,
    revision       INTEGER NOT NULL CHECK (revision > 0),
    state          TEXT    NOT NULL CHECK (state IN ('running', 'done', 'cancelled')),
    after_sequence INTEGER NOT NULL CHECK (after_sequence >= 0),
    upto_sequence  INTEGER NOT NULL CHECK (upto_sequence >= 0),
    types          TEXT    NOT NULL CHECK (json_valid(types)),
    filter         TEXT,
    rate_per_s     INTEGER CHECK (rate_per_s >= 0),
    delivered      INTEGER NOT NULL DEFAULT 0 CHECK (delivered >= 0),
    dead           INTEGER NOT NULL DEFAULT 0 CHECK (dead >= 0),
    counted_by     INTEGER,
    created_at     INTEGER NOT NULL,
    ended_at       INTEGER,
    CHECK ((state = 'running') = (ended_at IS NULL))
) STRICT;

CREATE UNIQUE INDEX replays_by_id ON replays (endpoint, id);
CREATE INDEX replays_by_endpoint ON replays (endpoint, no);
CREATE INDEX replays_by_revision ON replays (partition, revision);
CREATE INDEX replays_running ON replays (endpoint) WHERE state = 'running';

-- Attempts, day by day: what is removed lies together, in the table and in its indexes.
CREATE TABLE attempts (
    day         INTEGER NOT NULL,
    endpoint    INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    lane        INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    result      INTEGER NOT NULL,
    answer      BLOB,
    PRIMARY KEY (day, endpoint, at, lane, sequence, attempt)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_by_sequence ON attempts (day, endpoint, sequence);
CREATE INDEX attempts_failed ON attempts (day, endpoint, at, lane, sequence, attempt)
    WHERE result NOT BETWEEN 200 AND 299;

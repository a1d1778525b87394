-- Who runs, and who owns what. The README beside this crate's Cargo.toml says who writes what.

-- One row a run of a node. The number tells two runs of one node apart by who came later, whatever the clock does.
CREATE TABLE nodes (
    no         INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL,
    boot       TEXT    NOT NULL CHECK (length(boot) = 26),
    serves     TEXT    NOT NULL CHECK (json_valid(serves)),
    address    TEXT,
    version    TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX nodes_by_boot ON nodes (id, boot);

CREATE TABLE leases (
    role       TEXT    NOT NULL CHECK (role IN ('router', 'publisher', 'pump')),
    slot       TEXT    NOT NULL,
    node       TEXT,
    boot       TEXT,
    epoch      INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    checkpoint INTEGER NOT NULL DEFAULT 0 CHECK (checkpoint >= 0),
    PRIMARY KEY (role, slot),
    CHECK ((node IS NULL) = (boot IS NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO leases (role, slot, epoch, checkpoint)
    SELECT 'router', CAST(partition AS TEXT), epoch, checkpoint FROM routers;
INSERT INTO leases (role, slot) SELECT 'publisher', CAST(id AS TEXT) FROM partitions;

CREATE TRIGGER leases_only_advance BEFORE UPDATE ON leases
WHEN NEW.role <> OLD.role OR NEW.slot <> OLD.slot OR NEW.epoch < OLD.epoch
    OR (NEW.role = 'router' AND NEW.checkpoint < OLD.checkpoint)
BEGIN SELECT RAISE(ABORT, 'a lease only advances'); END;

DROP TABLE routers;

-- Tells whether a node has the master key of this log, without telling the key.
ALTER TABLE meta ADD COLUMN master_check BLOB CHECK (length(master_check) = 32);

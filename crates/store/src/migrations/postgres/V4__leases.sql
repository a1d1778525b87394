-- Who runs, and who owns what. The README beside this crate's Cargo.toml says who writes what.

-- One row a run of a node. The number tells two runs of one node apart by who came later, whatever the clock does.
CREATE TABLE tidings.nodes (
    no         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id         text   COLLATE "C" NOT NULL,
    boot       text   COLLATE "C" NOT NULL CHECK (length(boot) = 26),
    serves     text   COLLATE "C" NOT NULL,
    address    text   COLLATE "C",
    version    text   COLLATE "C" NOT NULL,
    started_at bigint NOT NULL,
    seen_at    bigint NOT NULL
) WITH (fillfactor = 10);

CREATE UNIQUE INDEX nodes_by_boot ON tidings.nodes (id, boot);

-- There is room on each page, so that a checkpoint that moves touches no index.
CREATE TABLE tidings.leases (
    role       text   COLLATE "C" NOT NULL CHECK (role IN ('router', 'publisher', 'pump')),
    slot       text   COLLATE "C" NOT NULL,
    node       text   COLLATE "C",
    boot       text   COLLATE "C",
    epoch      bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    checkpoint bigint NOT NULL DEFAULT 0 CHECK (checkpoint >= 0),
    PRIMARY KEY (role, slot),
    CHECK ((node IS NULL) = (boot IS NULL))
) WITH (fillfactor = 10);

INSERT INTO tidings.leases (role, slot, epoch, checkpoint)
    SELECT 'router', partition::text, epoch, checkpoint FROM tidings.routers;
INSERT INTO tidings.leases (role, slot) SELECT 'publisher', id::text FROM tidings.partitions;

CREATE TRIGGER leases_only_advance BEFORE UPDATE ON tidings.leases FOR EACH ROW
    WHEN (NEW.role <> OLD.role OR NEW.slot <> OLD.slot OR NEW.epoch < OLD.epoch
          OR (NEW.role = 'router' AND NEW.checkpoint < OLD.checkpoint))
    EXECUTE FUNCTION tidings.refuse('a lease only advances');

DROP TABLE tidings.routers;

-- Tells whether a node has the master key of this log, without telling the key.
ALTER TABLE tidings.meta ADD COLUMN master_check bytea CHECK (length(master_check) = 32);

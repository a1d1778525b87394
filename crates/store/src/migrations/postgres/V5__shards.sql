-- Several databases for one log, and tenants that move. The README beside this crate's Cargo.toml says who writes what.

-- Which of a log's databases this is; 0 is its home.
ALTER TABLE tidings.meta ADD COLUMN shard integer NOT NULL DEFAULT 0 CHECK (shard >= 0);

-- The other databases of the log. At home only.
CREATE TABLE tidings.shards (
    no     integer PRIMARY KEY CHECK (no > 0),
    name   text    COLLATE "C" NOT NULL UNIQUE,
    joined boolean NOT NULL DEFAULT false
);

CREATE TABLE tidings.shard_partitions (
    partition integer PRIMARY KEY CHECK (partition >= 0),
    shard     integer NOT NULL REFERENCES tidings.shards (no)
);

-- Events of the system that tell of changes made here, until they are in the log of their tenant, which lives in
-- another database.
CREATE TABLE tidings.untold (
    no    bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    event text   NOT NULL
);

-- Home knows the places of all tenants, also of those that live in another database.
ALTER TABLE tidings.tenants DROP CONSTRAINT tenants_partition_fkey;

-- How often a tenant moved, and how often one moved away or in; and where a partition ended when one moved away last.
ALTER TABLE tidings.tenants ADD COLUMN moves bigint NOT NULL DEFAULT 0 CHECK (moves >= 0);
ALTER TABLE tidings.partitions ADD COLUMN moves bigint NOT NULL DEFAULT 0 CHECK (moves >= 0);
ALTER TABLE tidings.partitions ADD COLUMN left_at bigint NOT NULL DEFAULT 0 CHECK (left_at >= 0);

DROP TRIGGER tenants_only_advance ON tidings.tenants;
CREATE TRIGGER tenants_only_advance BEFORE UPDATE ON tidings.tenants FOR EACH ROW
    WHEN (NEW.no <> OLD.no OR NEW.name <> OLD.name OR NEW.sequence < OLD.sequence OR NEW.floor < OLD.floor
          OR NEW.moves < OLD.moves
          OR (NEW.partition <> OLD.partition AND OLD.sequence > 0 AND NEW.moves <> OLD.moves + 1))
    EXECUTE FUNCTION tidings.refuse('the head of a tenant only advances');
CREATE TRIGGER partitions_moves_only_rise BEFORE UPDATE ON tidings.partitions FOR EACH ROW
    WHEN (NEW.moves < OLD.moves) EXECUTE FUNCTION tidings.refuse('the moves of a partition only rise');

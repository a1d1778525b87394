-- Tenants that move. The README beside this crate's Cargo.toml says who writes what.

-- How often a tenant moved, and how often one moved away or in; and where a partition ended when one moved away last.
ALTER TABLE tenants ADD COLUMN moves INTEGER NOT NULL DEFAULT 0 CHECK (moves >= 0);
ALTER TABLE partitions ADD COLUMN moves INTEGER NOT NULL DEFAULT 0 CHECK (moves >= 0);
ALTER TABLE partitions ADD COLUMN left_at INTEGER NOT NULL DEFAULT 0 CHECK (left_at >= 0);

DROP TRIGGER tenants_only_advance;
CREATE TRIGGER tenants_only_advance BEFORE UPDATE ON tenants
WHEN NEW.no <> OLD.no OR NEW.name <> OLD.name OR NEW.sequence < OLD.sequence OR NEW.floor < OLD.floor
  OR NEW.moves < OLD.moves
  OR (NEW.partition <> OLD.partition AND OLD.sequence > 0 AND NEW.moves <> OLD.moves + 1)
BEGIN SELECT RAISE(ABORT, 'the head of a tenant only advances'); END;

CREATE TRIGGER partitions_moves_only_rise BEFORE UPDATE ON partitions WHEN NEW.moves < OLD.moves
BEGIN SELECT RAISE(ABORT, 'the moves of a partition only rise'); END;

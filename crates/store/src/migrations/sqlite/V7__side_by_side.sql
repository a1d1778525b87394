-- Servers of neighbouring versions on one schema. The README beside this crate's Cargo.toml says who writes what.

-- The step of this history that a server must know at least. A step that only expands leaves it as it is, so that a server
-- of the version before may start beside the new one, and again after it; one that takes something away raises it.
ALTER TABLE meta ADD COLUMN needs_step INTEGER NOT NULL DEFAULT 7 CHECK (needs_step > 0);

-- Tenants that move between the databases of a log. The README beside this crate's Cargo.toml says who writes what.

-- Tenants that leave this database. From then on nothing is taken in for them here, and what their deliveries must
-- remember is kept under the number of the partition that they move to, which lies in another database.
CREATE TABLE tidings.departures (
    tenant_no      bigint  PRIMARY KEY,
    token          text    COLLATE "C" NOT NULL CHECK (length(token) = 26),
    from_partition integer NOT NULL CHECK (from_partition >= 0),
    to_partition   integer NOT NULL CHECK (to_partition >= 0),
    arrived        boolean NOT NULL DEFAULT false,
    touched_at     bigint  NOT NULL
);

-- Tenants that come into this database. The row decides: who leaves with its token has arrived once it says so, and never
-- arrives once it is gone.
CREATE TABLE tidings.arrivals (
    tenant_no      bigint  PRIMARY KEY,
    token          text    COLLATE "C" NOT NULL CHECK (length(token) = 26),
    from_partition integer NOT NULL CHECK (from_partition >= 0),
    to_partition   integer NOT NULL CHECK (to_partition >= 0),
    verified       bigint  NOT NULL DEFAULT 0 CHECK (verified >= 0),
    arrived        boolean NOT NULL DEFAULT false,
    touched_at     bigint  NOT NULL
);

-- The endpoints of a tenant that leaves are kept under the number of a partition of another database.
ALTER TABLE tidings.endpoints DROP CONSTRAINT IF EXISTS endpoints_partition_fkey;

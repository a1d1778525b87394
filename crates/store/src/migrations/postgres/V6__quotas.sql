-- What tenants may send. The README beside this crate's Cargo.toml says who writes what.

-- How often quotas were changed. The row's lock orders the changes.
CREATE TABLE tidings.quotas_head (
    only_row integer PRIMARY KEY CHECK (only_row = 1),
    revision bigint  NOT NULL CHECK (revision >= 0)
) WITH (fillfactor = 10);

INSERT INTO tidings.quotas_head (only_row, revision) VALUES (1, 0);

CREATE TRIGGER quotas_head_only_advances BEFORE UPDATE ON tidings.quotas_head FOR EACH ROW
    WHEN (NEW.revision < OLD.revision) EXECUTE FUNCTION tidings.refuse('the revision of the quotas only rises');
CREATE TRIGGER quotas_head_stays BEFORE DELETE ON tidings.quotas_head FOR EACH ROW
    EXECUTE FUNCTION tidings.refuse('the revision of the quotas stays');

-- What was said last about each tenant. One of which nothing is said any more keeps its row, so that others hear of it.
CREATE TABLE tidings.quotas (
    tenant       text   COLLATE "C" PRIMARY KEY CHECK (tenant <> ''),
    events_per_s bigint CHECK (events_per_s >= 0),
    events_burst bigint CHECK (events_burst >= 0),
    bytes_per_s  bigint CHECK (bytes_per_s >= 0),
    bytes_burst  bigint CHECK (bytes_burst >= 0),
    revision     bigint NOT NULL CHECK (revision > 0),
    changed_by   text   COLLATE "C" NOT NULL,
    at           bigint NOT NULL
);

CREATE UNIQUE INDEX quotas_by_revision ON tidings.quotas (revision);

-- Subscriptions, and what their delivery must remember. The README beside this crate's Cargo.toml says who writes what.

-- How often a partition's subscriptions were changed: moved under the lock of its head, so that every change stands
-- between two positions.
ALTER TABLE tidings.partitions ADD COLUMN revision bigint NOT NULL DEFAULT 0 CHECK (revision >= 0);

CREATE TRIGGER partitions_revision_only_rises BEFORE UPDATE ON tidings.partitions FOR EACH ROW
    WHEN (NEW.revision < OLD.revision)
    EXECUTE FUNCTION tidings.refuse('the revision of a partition only rises');

CREATE TABLE tidings.endpoints (
    no            bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id            text    COLLATE "C" NOT NULL,
    tenant_no     bigint  NOT NULL REFERENCES tidings.tenants (no),
    partition     integer NOT NULL REFERENCES tidings.partitions (id),
    revision      bigint  NOT NULL CHECK (revision > 0),
    status        text    COLLATE "C" NOT NULL CHECK (status IN ('active', 'paused', 'disabled', 'deleted')),
    status_reason text    COLLATE "C",
    url           text    COLLATE "C" NOT NULL,
    selections    text    COLLATE "C" NOT NULL,
    settings      text    COLLATE "C" NOT NULL,
    secrets       bytea   NOT NULL,
    forgotten     boolean NOT NULL DEFAULT false CHECK (status = 'deleted' OR NOT forgotten),
    created_at    bigint  NOT NULL,
    updated_at    bigint  NOT NULL
);

CREATE UNIQUE INDEX endpoints_by_id ON tidings.endpoints (tenant_no, id);
CREATE INDEX endpoints_by_revision ON tidings.endpoints (partition, revision);
CREATE INDEX endpoints_deleted ON tidings.endpoints (partition, no) WHERE status = 'deleted';

-- Who routes a partition, and how far that has come.
CREATE TABLE tidings.routers (
    partition  integer PRIMARY KEY REFERENCES tidings.partitions (id),
    node       text    COLLATE "C",
    epoch      bigint  NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    checkpoint bigint  NOT NULL DEFAULT 0 CHECK (checkpoint >= 0),
    renewed_at bigint  NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

CREATE TRIGGER routers_only_advance BEFORE UPDATE ON tidings.routers FOR EACH ROW
    WHEN (NEW.partition <> OLD.partition OR NEW.epoch < OLD.epoch OR NEW.checkpoint < OLD.checkpoint)
    EXECUTE FUNCTION tidings.refuse('a router only advances');

-- Nothing was subscribed to before, so what is in the log already is settled for everybody.
INSERT INTO tidings.routers (partition, checkpoint) SELECT id, position FROM tidings.partitions;

CREATE TABLE tidings.lanes (
    partition integer NOT NULL,
    lane      bigint  NOT NULL CHECK (lane <> 0),
    tenant_no bigint  NOT NULL,
    settled   bigint  NOT NULL CHECK (settled >= 0),
    PRIMARY KEY (partition, lane)
) WITH (fillfactor = 50);

CREATE TABLE tidings.retries (
    partition integer NOT NULL,
    lane      bigint  NOT NULL CHECK (lane <> 0),
    sequence  bigint  NOT NULL CHECK (sequence > 0),
    attempts  integer NOT NULL CHECK (attempts >= 0),
    next_at   bigint  NOT NULL,
    key       bigint,
    previous  bigint,
    PRIMARY KEY (partition, lane, sequence)
) WITH (fillfactor = 80);

CREATE TABLE tidings.circuits (
    partition integer NOT NULL,
    lane      bigint  NOT NULL CHECK (lane <> 0),
    state     text    COLLATE "C" NOT NULL CHECK (state IN ('open', 'throttled')),
    since     bigint  NOT NULL,
    until     bigint  NOT NULL,
    probes    integer NOT NULL CHECK (probes >= 0),
    last      integer NOT NULL,
    PRIMARY KEY (partition, lane)
) WITH (fillfactor = 50);

CREATE TABLE tidings.dead_letters (
    tenant_no bigint  NOT NULL,
    sequence  bigint  NOT NULL CHECK (sequence > 0),
    endpoint  bigint  NOT NULL,
    attempts  integer NOT NULL CHECK (attempts >= 0),
    last      integer,
    reason    text    COLLATE "C" NOT NULL CHECK (reason IN ('exhausted', 'expired', 'undeliverable')),
    died_at   bigint  NOT NULL,
    PRIMARY KEY (tenant_no, sequence, endpoint)
);

CREATE INDEX dead_letters_by_endpoint ON tidings.dead_letters (endpoint, sequence);

CREATE TABLE tidings.redrives (
    partition integer NOT NULL,
    endpoint  bigint  NOT NULL,
    sequence  bigint  NOT NULL CHECK (sequence > 0),
    PRIMARY KEY (partition, endpoint, sequence)
);

CREATE TABLE tidings.replays (
    no             bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id             text    COLLATE "C" NOT NULL,
    endpoint       bigint  NOT NULL,
    tenant_no      bigint  NOT NULL,
    partition      integer NOT NULL,
    revision       bigint  NOT NULL CHECK (revision > 0),
    state          text    COLLATE "C" NOT NULL CHECK (state IN ('running', 'done', 'cancelled')),
    after_sequence bigint  NOT NULL CHECK (after_sequence >= 0),
    upto_sequence  bigint  NOT NULL CHECK (upto_sequence >= 0),
    types          text    COLLATE "C" NOT NULL,
    filter         text    COLLATE "C",
    rate_per_s     bigint  CHECK (rate_per_s >= 0),
    delivered      bigint  NOT NULL DEFAULT 0 CHECK (delivered >= 0),
    dead           bigint  NOT NULL DEFAULT 0 CHECK (dead >= 0),
    counted_by     bigint,
    created_at     bigint  NOT NULL,
    ended_at       bigint,
    CHECK ((state = 'running') = (ended_at IS NULL))
);

CREATE UNIQUE INDEX replays_by_id ON tidings.replays (endpoint, id);
-- By the number of the lane, which makes it useless to those who look for the replay's own.
CREATE INDEX replays_by_endpoint ON tidings.replays (endpoint, (-no));
CREATE INDEX replays_by_revision ON tidings.replays (partition, revision);
CREATE INDEX replays_running ON tidings.replays (endpoint) WHERE state = 'running';

-- Attempts, in a partition for each day, made ahead and dropped whole; what lies outside of all days goes to the rest,
-- so that it is never refused.
CREATE TABLE tidings.attempts (
    endpoint    bigint  NOT NULL,
    at          bigint  NOT NULL,
    lane        bigint  NOT NULL,
    sequence    bigint  NOT NULL,
    attempt     integer NOT NULL,
    duration_us integer NOT NULL,
    result      integer NOT NULL,
    answer      bytea,
    PRIMARY KEY (endpoint, at, lane, sequence, attempt)
) PARTITION BY RANGE (at);

CREATE INDEX attempts_by_sequence ON tidings.attempts (endpoint, sequence);
CREATE INDEX attempts_failed ON tidings.attempts (endpoint, at, lane, sequence, attempt)
    WHERE result NOT BETWEEN 200 AND 299;

CREATE TABLE tidings.attempts_rest PARTITION OF tidings.attempts DEFAULT;

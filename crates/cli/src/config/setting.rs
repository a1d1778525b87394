//! The one list of settings. Flags, environment, file, checks and the reference page all come from it.

/// Who reads a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// `serve`, and `doctor` where it looks at a server's surroundings.
    Server,
    /// Sizes and times of `serve`, which seldom need a change.
    Tuning,
    /// The commands that speak to a server.
    Client,
}

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// A path of the file system.
    Path,
    /// `host:port`.
    Address,
    /// A URL of a database: `sqlite:` with a path, a plain path, or `postgres://`.
    Database,
    /// A URL of a server: `http://` or `https://`.
    Server,
    /// An admin key: at least 32 visible characters.
    AdminKey,
    /// 32 bytes in base64.
    MasterKey,
    /// An API key.
    ApiKey,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Some of [`ROLES`], with commas between.
    Roles,
    /// A whole number from the first to the second bound.
    Integer(u64, u64),
    /// `true` or `false`.
    Switch,
    /// Address ranges like `10.0.0.0/8`, with commas between.
    Ranges,
    /// Numbers of ports, with commas between.
    Ports,
    /// A URL of a proxy: `http://` or `socks5://`.
    Proxy,
    /// A name of a node: letters, digits, `-`, `_` and `.`, at most 63.
    Node,
    /// A number from 0 to 1.
    Share,
    /// `key=value`, with commas between; may hold secrets.
    SecretPairs,
    /// `name=url`, with commas between; in the file `[[source]]` tables.
    Sources,
    /// `name:16-31=url`, with commas between; in the file `[[shard]]` tables.
    Shards,
    /// URLs of NATS servers, with commas between.
    Nats,
    /// What the subjects on NATS begin with.
    Prefix,
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its key in the file.
    pub(crate) name: &'static str,
    /// Its environment variable.
    pub(crate) env: &'static str,
    /// Its flag, without dashes; secrets have none, as other users of a machine can read command lines.
    pub(crate) flag: Option<&'static str>,
    /// Who reads it.
    pub(crate) group: Group,
    /// What a value must look like.
    pub(crate) kind: Kind,
    /// The value that holds where nothing is set; empty where there is none.
    pub(crate) default: &'static str,
    /// What one unit of the value is; empty where that has no meaning.
    pub(crate) unit: &'static str,
    /// What it is for.
    pub(crate) meaning: &'static str,
}

impl Setting {
    /// Whether its value is never shown.
    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::AdminKey | Kind::MasterKey | Kind::ApiKey | Kind::SecretPairs)
    }

    /// The setting with this name; a name that is not in the list is a mistake in this crate.
    pub(crate) fn named(name: &str) -> &'static Self {
        SETTINGS.iter().find(|setting| setting.name == name).expect("the name stands in SETTINGS")
    }
}

/// The parts of a server that can be left out.
pub(crate) const ROLES: &[&str] = &["all", "api", "pump", "router", "publisher"];

/// The samplers of OpenTelemetry's specification.
const SAMPLERS: &[&str] = &[
    "parentbased_always_off",
    "parentbased_always_on",
    "parentbased_traceidratio",
    "always_off",
    "always_on",
    "traceidratio",
];

/// Variables that OpenTelemetry's specification names, for settings that have no value of ours. What they hold is for
/// all programs of a machine: a value that cannot be used here is left out, with a warning.
pub(crate) const STANDARD: &[(&str, &str)] = &[
    ("otlp.endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ("otlp.traces_endpoint", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    ("otlp.headers", "OTEL_EXPORTER_OTLP_HEADERS"),
    ("otlp.timeout_ms", "OTEL_EXPORTER_OTLP_TIMEOUT"),
    ("otlp.sampler", "OTEL_TRACES_SAMPLER"),
    ("otlp.sampler_arg", "OTEL_TRACES_SAMPLER_ARG"),
    ("otlp.service_name", "OTEL_SERVICE_NAME"),
    ("otlp.resource_attributes", "OTEL_RESOURCE_ATTRIBUTES"),
];

/// A row of the list; keeps it to a few lines each.
macro_rules! settings {
    ($($name:literal, $env:literal, $flag:expr, $group:ident, $kind:expr, $default:literal, $unit:literal, $meaning:literal;)+) => {
        /// Every setting, in the order of the reference.
        pub(crate) const SETTINGS: &[Setting] = &[$(Setting {
            name: $name, env: $env, flag: $flag, group: Group::$group, kind: $kind,
            default: $default, unit: $unit, meaning: $meaning,
        }),+];
    };
}

settings! {
    // name, environment, flag, group, kind, default, unit, meaning
    "data_dir", "TIDINGS_DATA_DIR", Some("data-dir"), Server, Kind::Path, "tidings-data", "",
        "Directory of the keys, the lock and, with SQLite, the databases. Made with mode 0700 if it is missing.";
    "listen", "TIDINGS_LISTEN", Some("listen"), Server, Kind::Address, "127.0.0.1:7411", "",
        "Address and port to serve HTTP on. Port 0 takes a free one; `server.url` in the data directory says which.";
    "advertise", "TIDINGS_ADVERTISE", Some("advertise"), Server, Kind::Server, "", "",
        "The URL at which this node, and no other, is reached from outside its machine: shown by `tidings nodes`, asked by `tidings top`. Without a value: where it listens, and nothing where it listens on all addresses (`0.0.0.0`, `[::]`).";
    "database_url", "TIDINGS_DATABASE_URL", Some("database-url"), Server, Kind::Database, "", "",
        "Where the log is kept: `postgres://…`, or `sqlite:` with a path. Without a value: `tidings.db` in the data directory.";
    "nats_url", "TIDINGS_NATS_URL", Some("nats-url"), Server,
        Kind::Nats, "", "",
        "The NATS servers by which nodes tell each other what is new, and which outside consumers subscribe to: `nats://` or `tls://` with a user and password, or a token, where they ask for one. Without a value nodes ask the database.";
    "roles", "TIDINGS_ROLES", Some("roles"), Server, Kind::Roles, "all", "",
        "What this process does, in turn with the other nodes of its database: `api` answers calls, `pump` reads the outboxes (Tidings' own, too), `router` delivers to endpoints, `publisher` writes events to NATS where there is one. A process without `api` answers `/healthz`, `/readyz` and `/metrics` alone.";
    "node_id", "TIDINGS_NODE_ID", Some("node-id"), Server, Kind::Node, "", "",
        "The name of this node among those of one database; no two that run may share one. A node that comes back under its old name goes on delivering at once instead of waiting for its old lease to run out. Without a value: the one in `node.id` in the data directory, made at the first start.";
    "admin_key", "TIDINGS_ADMIN_KEY", None, Server, Kind::AdminKey, "", "",
        "An admin key to accept, at least 32 characters. Without a value: the one in `admin.key` in the data directory, made at the first start.";
    "master_key", "TIDINGS_MASTER_KEY", None, Server, Kind::MasterKey, "", "",
        "32 bytes in base64 that every cursor is sealed with and every secret of an endpoint encrypted. Whoever loses it loses those secrets. Without a value: the one in `master.key` in the data directory, made at the first start. All nodes of one database need the same.";
    "sources", "TIDINGS_SOURCES", Some("sources"), Server, Kind::Sources, "", "",
        "Producers' databases whose outbox is read: `name=url`, with commas between; in the file one `[[source]]` table with `name` and `url` for each, and with `service` where the database belongs to one service: its events are then emitted as that service and as nobody else.";
    "shards", "TIDINGS_SHARDS", Some("shards"), Server, Kind::Shards, "", "",
        "PostgreSQL databases that hold partitions of the log beside its home, `database_url`: `name:16-31=url`, with commas between; in the file one `[[shard]]` table with `name`, `url` and `partitions = \"16-31\"` for each, and `tenants = false` (as text `:closed` behind the range) where no new tenants shall be placed. All partitions together count from 0 without a gap. Every node needs the same; see docs/guides/shards.md.";
    "allow_cidrs", "TIDINGS_ALLOW_CIDRS", Some("allow-cidrs"), Server, Kind::Ranges, "", "",
        "Private address ranges that requests to outside (webhooks, http probes of intents) may reach nevertheless, with commas between. Without a value they reach public addresses only: no loopback, no private network, no metadata service of a cloud.";
    "allow_http", "TIDINGS_ALLOW_HTTP", Some("allow-http"), Server, Kind::Switch, "false", "",
        "Whether requests to outside may use plain http.";
    "allow_ports", "TIDINGS_ALLOW_PORTS", Some("allow-ports"), Server, Kind::Ports, "", "",
        "The only ports that requests to outside may go to, with commas between. Without a value: all but a few that belong to other protocols (mail, databases, remote shells and the like).";
    "egress_proxy", "TIDINGS_EGRESS_PROXY", Some("egress-proxy"), Server, Kind::Proxy, "", "",
        "A proxy for requests to outside: `http://` (CONNECT) or `socks5://`. Names are resolved and their addresses checked here; the proxy is told the checked address. The proxy itself may have any address. Variables like HTTPS_PROXY are not read.";
    "log", "TIDINGS_LOG", Some("log"), Server, Kind::Text, "info,refinery_core=warn", "",
        "What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), or levels by target like `info,tidings_engine=debug`.";
    "log_format", "TIDINGS_LOG_FORMAT", Some("log-format"), Server, Kind::OneOf(&["auto", "human", "json"]), "auto", "",
        "How it is logged, on standard error. `auto`: for people on a terminal, JSON elsewhere.";

    "otlp.endpoint", "TIDINGS_OTLP_ENDPOINT", Some("otlp-endpoint"), Server, Kind::Server, "", "",
        "The collector that traces are sent to: the base URL at which it takes OTLP over HTTP (usually port 4318); `/v1/traces` is added. Without a value here or in OTEL_EXPORTER_OTLP_ENDPOINT nothing is traced.";
    "otlp.traces_endpoint", "TIDINGS_OTLP_TRACES_ENDPOINT", Some("otlp-traces-endpoint"), Server, Kind::Server, "", "",
        "The same as a whole URL, to which nothing is added. Without a value: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.";
    "otlp.headers", "TIDINGS_OTLP_HEADERS", None, Server, Kind::SecretPairs, "", "",
        "Headers for the collector, such as a token: `key=value`, percent-encoded, with commas between. Without a value: OTEL_EXPORTER_OTLP_HEADERS.";
    "otlp.timeout_ms", "TIDINGS_OTLP_TIMEOUT_MS", Some("otlp-timeout-ms"), Server, Kind::Integer(100, 60_000), "10000", "milliseconds",
        "How long the collector may take for one request. Nothing waits for it. Without a value: OTEL_EXPORTER_OTLP_TIMEOUT.";
    "otlp.sampler", "TIDINGS_OTLP_SAMPLER", Some("otlp-sampler"), Server, Kind::OneOf(SAMPLERS), "parentbased_always_off", "",
        "Which events are traced. With `parentbased_…` those whose `traceparent` says that their trace is recorded; what follows decides about events that have none: `always_off`, `always_on`, or a share of them (`traceidratio`). Without `parentbased_` it decides about all. Without a value: OTEL_TRACES_SAMPLER.";
    "otlp.sampler_arg", "TIDINGS_OTLP_SAMPLER_ARG", Some("otlp-sampler-arg"), Server, Kind::Share, "1", "",
        "The share that `traceidratio` takes. Without a value: OTEL_TRACES_SAMPLER_ARG.";
    "otlp.service_name", "TIDINGS_OTLP_SERVICE_NAME", Some("otlp-service-name"), Server, Kind::Text, "tidings", "",
        "The `service.name` of the traces. Without a value: OTEL_SERVICE_NAME.";
    "otlp.resource_attributes", "TIDINGS_OTLP_RESOURCE_ATTRIBUTES", Some("otlp-resource-attributes"), Server, Kind::Text, "", "",
        "What else is said of this process: `key=value`, percent-encoded, with commas between. Without a value: OTEL_RESOURCE_ATTRIBUTES.";

    "shutdown_s", "TIDINGS_SHUTDOWN_S", Some("shutdown-s"), Tuning, Kind::Integer(1, 3_600), "30", "seconds",
        "How long a shutdown may take. What is in progress then is cut off; nothing that was acknowledged is lost.";
    "lease_ms", "TIDINGS_LEASE_MS", Some("lease-ms"), Tuning, Kind::Integer(500, 60_000), "3000", "milliseconds",
        "How long a node may be silent before others take what it owns. It says three times as often that it is there. All nodes of one database should have the same.";
    "nats.credentials", "TIDINGS_NATS_CREDENTIALS", Some("nats-credentials"), Tuning, Kind::Path, "", "",
        "File by which to sign in to NATS: a JWT with its seed, as `nsc` writes them, or the seed of an nkey.";
    "nats.authorities", "TIDINGS_NATS_AUTHORITIES", Some("nats-authorities"), Tuning, Kind::Path, "", "",
        "File with the certificates that vouch for the NATS servers, instead of the system's.";
    "nats.prefix", "TIDINGS_NATS_PREFIX", Some("nats-prefix"), Tuning, Kind::Prefix, "tidings", "",
        "What all subjects on NATS begin with. No two logs may share one on one broker.";
    "nats.max_age_h", "TIDINGS_NATS_MAX_AGE_H", Some("nats-max-age-h"), Tuning, Kind::Integer(1, 8_784), "168", "hours",
        "How old events become in a stream on NATS. Older ones are read from the feed.";
    "nats.max_stream_mib", "TIDINGS_NATS_MAX_STREAM_MIB", Some("nats-max-stream-mib"), Tuning, Kind::Integer(16, 1_048_576), "256", "MiB",
        "How large the stream of one partition becomes; beyond that its oldest events go. The broker sets so much aside for each partition.";
    "nats.replicas", "TIDINGS_NATS_REPLICAS", Some("nats-replicas"), Tuning, Kind::Integer(1, 5), "1", "servers",
        "On how many servers of a NATS cluster each stream is kept: 1, 3 or 5.";
    "partitions", "TIDINGS_PARTITIONS", Some("partitions"), Tuning, Kind::Integer(0, 1_024), "0", "partitions",
        "Partitions of a log that is created; 0 takes the database's default: 1 on SQLite, 16 on PostgreSQL. No effect on a log that exists.";
    "sqlite.synchronous", "TIDINGS_SQLITE_SYNCHRONOUS", Some("sqlite-synchronous"), Tuning, Kind::OneOf(&["full", "normal"]), "full", "",
        "`full`: what is acknowledged survives a power cut. `normal`: only a crash of the process; `/readyz` and `tidings doctor` then warn.";
    "sqlite.readers", "TIDINGS_SQLITE_READERS", Some("sqlite-readers"), Tuning, Kind::Integer(1, 64), "4", "connections",
        "Connections that read while the one writer writes.";
    "postgres.connections", "TIDINGS_POSTGRES_CONNECTIONS", Some("postgres-connections"), Tuning, Kind::Integer(2, 512), "16", "connections",
        "The most connections that the pool of one of the log's databases opens: with shards each has as many. Beside them a node has up to four connections to each source, its own outbox included, and a second one for moments at the start.";
    "append.queue_events", "TIDINGS_APPEND_QUEUE_EVENTS", Some("append-queue-events"), Tuning, Kind::Integer(1_000, 1_000_000), "16000", "events",
        "Events of one partition that may wait to be written. Further ones are answered 503 `overloaded`. One tenant may have as many as are left free: half of them alone, a third beside another.";
    "append.queue_bytes", "TIDINGS_APPEND_QUEUE_BYTES", Some("append-queue-bytes"), Tuning, Kind::Integer(8_388_608, 4_294_967_296), "33554432", "bytes",
        "Bytes of one partition that may wait to be written. Further ones are answered 503 `overloaded`. One tenant may have as many as are left free: half of them alone, a third beside another.";
    "quota.events_per_s", "TIDINGS_QUOTA_EVENTS_PER_S", Some("quota-events-per-s"), Tuning, Kind::Integer(0, 10_000_000), "0", "events",
        "Events a second that a tenant may send where it has no limit of its own; 0 is no limit. Further ones are answered 429 `rate_limited`; rows of an outbox wait.";
    "quota.events_burst", "TIDINGS_QUOTA_EVENTS_BURST", Some("quota-events-burst"), Tuning, Kind::Integer(0, 1_000_000_000), "0", "events",
        "Events that it may send at once; never less than a second brings.";
    "quota.bytes_per_s", "TIDINGS_QUOTA_BYTES_PER_S", Some("quota-bytes-per-s"), Tuning, Kind::Integer(0, 1_099_511_627_776), "0", "bytes",
        "Bytes a second that a tenant may send where it has no limit of its own: of `data`, and 512 for each event. 0 is no limit.";
    "quota.bytes_burst", "TIDINGS_QUOTA_BYTES_BURST", Some("quota-bytes-burst"), Tuning, Kind::Integer(0, 8_796_093_022_208), "0", "bytes",
        "Bytes that it may send at once; never less than a second brings.";
    "tail.ring_bytes", "TIDINGS_TAIL_RING_BYTES", Some("tail-ring-bytes"), Tuning, Kind::Integer(1_048_576, 68_719_476_736), "33554432", "bytes",
        "Memory for the newest events, from which live readers are served; who is further behind reads from the database.";
    "pump.poll_max_ms", "TIDINGS_PUMP_POLL_MAX_MS", Some("pump-poll-max-ms"), Tuning, Kind::Integer(2, 10_000), "50", "milliseconds",
        "The longest time between two looks at an outbox in which nothing happens; while something does, and for a second after, every 2 ms. What is committed after a pause waits for the next look, unless the producer's database notifies.";
    "pump.sweep_ms", "TIDINGS_PUMP_SWEEP_MS", Some("pump-sweep-ms"), Tuning, Kind::Integer(100, 60_000), "1000", "milliseconds",
        "How often an outbox is read from its first row on even where nothing hints at anything new and even where such reads are slow.";
    "intents.stale_after_s", "TIDINGS_INTENTS_STALE_AFTER_S", Some("intents-stale-after-s"), Tuning, Kind::Integer(1, 604_800), "300", "seconds",
        "The age at which an intent that nobody confirmed is resolved by its probe, where it names none itself.";
    "deliver.in_flight", "TIDINGS_DELIVER_IN_FLIGHT", Some("deliver-in-flight"), Tuning, Kind::Integer(256, 32_000), "2048", "requests",
        "Requests to endpoints that may be under way at once in one partition. Each endpoint has its own, adaptive limit within it.";
    "deliver.attempts_days", "TIDINGS_DELIVER_ATTEMPTS_DAYS", Some("deliver-attempts-days"), Tuning, Kind::Integer(1, 3_650), "30", "days",
        "How long attempts (status, duration, first bytes of the answer) can be looked up. Events and dead letters are not touched.";

    "url", "TIDINGS_URL", Some("url"), Client, Kind::Server, "http://127.0.0.1:7411", "",
        "The server that a command speaks to.";
    "key", "TIDINGS_KEY", None, Client, Kind::ApiKey, "", "",
        "The API key that a command uses.";
    "key_file", "TIDINGS_KEY_FILE", Some("key-file"), Client, Kind::Path, "", "",
        "A file that holds the API key; read where `key` has no value.";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flag and environment follow from the name, so that nobody needs to look them up. What differs has a reason.
    #[test]
    fn flags_and_environment_follow_from_the_name() {
        for setting in SETTINGS {
            let env = format!("TIDINGS_{}", setting.name.to_uppercase().replace('.', "_"));
            assert_eq!(setting.env, env);
            match setting.flag {
                Some(flag) => assert_eq!(flag, setting.name.replace(['_', '.'], "-")),
                None => assert!(setting.is_secret(), "{} has no flag but is no secret", setting.name),
            }
            assert!(!setting.is_secret() || setting.flag.is_none(), "{} is a secret with a flag", setting.name);
        }
    }

    #[test]
    fn every_default_passes_its_own_check() {
        for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
            super::super::check::check(setting, setting.default).unwrap();
        }
    }
}

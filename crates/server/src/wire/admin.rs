//! Tenants, keys and how the server stands.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of tenants.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantList {
    /// The tenants by name.
    pub data: Vec<Tenant>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// A tenant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its name.
    #[schema(example = "acme")]
    pub tenant: String,
    /// Its last sequence; 0 before its first event.
    #[schema(example = 1207)]
    pub head: u64,
    /// Sequences at or below were erased by retention; 0 if none were.
    #[schema(example = 0)]
    pub floor: u64,
    /// When it was first seen.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// Where a tenant shall live.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMove {
    /// The partition, from 0.
    #[schema(example = 3)]
    pub partition: u32,
}

/// How far a move is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// The tenant.
    #[schema(example = "acme")]
    pub tenant: String,
    /// The partition that it moves to.
    #[schema(example = 3)]
    pub partition: u32,
    /// Whether this call moved it; `false` where it lived there already.
    pub moved: bool,
    /// Whether it lives there now. Where not, the call is to be repeated.
    pub done: bool,
    /// Up to which sequence its events were brought into the other database, while it is on its way there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copied: Option<u64>,
    /// Its last sequence, while it is on its way into another database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Emit events and intents, for its tenants and its types.
    Producer,
    /// Read one tenant.
    Consumer,
    /// Read its tenants; change nothing.
    Auditor,
}

/// A key that is to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it may do.
    pub role: Role,
    /// For which tenants: exactly one for a consumer; all when empty for a producer or an auditor; none for an admin.
    #[serde(default)]
    #[schema(max_items = 1000, example = json!(["acme"]))]
    pub tenants: Vec<String>,
    /// Which types a producer may emit: prefixes that end with a dot, or whole types. All when empty.
    #[serde(default)]
    #[schema(max_items = 100, example = json!(["sales."]))]
    pub type_prefixes: Vec<String>,
    /// Which service a producer is: the id of the sources in whose name it emits, and the owner of the types that it
    /// emits and defines. Without it a producer emits no type of the catalog.
    #[serde(default)]
    #[schema(max_length = 255, example = "sales")]
    pub service: Option<String>,
    /// What a person wants to say about it.
    #[serde(default)]
    #[schema(max_length = 255)]
    pub description: String,
    /// From when it is refused, in RFC 3339; never by default.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// A key. Its secret is not part of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Its public name.
    pub id: String,
    /// What it may do.
    pub role: Role,
    /// For which tenants; all when empty.
    pub tenants: Vec<String>,
    /// Which types a producer may emit; all when empty.
    pub type_prefixes: Vec<String>,
    /// Which service a producer is.
    #[schema(required, example = "sales")]
    pub service: Option<String>,
    /// What a person said about it.
    pub description: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// From when it is refused.
    #[schema(required, format = DateTime)]
    pub expires_at: Option<String>,
    /// When it was revoked.
    #[schema(required, format = DateTime)]
    pub revoked_at: Option<String>,
}

/// A new key and, this once, its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The secret that goes into `Authorization: Bearer …`. It cannot be shown again.
    #[schema(example = "tdk_…")]
    pub key: String,
    /// The key.
    #[serde(flatten)]
    pub row: Key,
}

/// A page of keys.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyList {
    /// The keys by id, revoked and expired ones too.
    pub data: Vec<Key>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// That the process runs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Alive {
    /// Always `ok`.
    #[schema(example = "ok")]
    pub status: String,
    /// The server's version.
    pub version: String,
}

/// Whether the server takes requests, and what its answers are worth.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Readiness {
    /// `ready`, `storage_unavailable` or `shutting_down`.
    #[schema(pattern = "^(ready|storage_unavailable|shutting_down)$", example = "ready")]
    pub status: String,
    /// `sqlite` or `postgresql`.
    #[schema(example = "sqlite")]
    pub backend: String,
    /// How safe an acknowledged write is; `null` while the storage cannot be asked.
    #[schema(required)]
    pub durability: Option<Durability>,
    /// The bus by which nodes tell each other what is new; `null` where none is configured. What is acknowledged is in
    /// the log, whatever the bus keeps.
    #[schema(required)]
    pub bus: Option<BusReadiness>,
    /// The log's databases, where it has several; empty where it has one. One that is not ready takes its own tenants down
    /// and nobody else, so only home, the first, decides `status`.
    pub shards: Vec<ShardReadiness>,
}

/// How one of the log's databases stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShardReadiness {
    /// Its name; the first is `home`.
    #[schema(example = "b")]
    pub name: String,
    /// How many partitions it has.
    #[schema(example = 16)]
    pub partitions: u32,
    /// Whether tenants that are seen for the first time may be placed there.
    pub takes_tenants: bool,
    /// Whether it commits writes.
    pub ready: bool,
}

/// How the bus stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BusReadiness {
    /// Whether there is a connection. Without one nodes ask the database for what is new.
    pub connected: bool,
    /// The settings in force, by the broker's own names.
    #[schema(value_type = Object, example = json!({"version": "2.10.24", "replicas": "3"}))]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What is weaker than it should be, in words.
    pub warnings: Vec<String>,
}

/// How safe an acknowledged write is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Durability {
    /// The settings in force, by the database's own names.
    #[schema(value_type = Object, example = json!({"synchronous": "FULL"}))]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What is weaker than it should be, in words; empty when an acknowledged write survives a power cut.
    pub warnings: Vec<String>,
}

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

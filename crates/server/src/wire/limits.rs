//! What a tenant may send.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a tenant may send, in place of the defaults. What is left out or `null` is the server's default, `0` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantLimits {
    /// Events a second.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10_000_000, example = 1000)]
    pub events_per_s: Option<u64>,
    /// Events at once; never less than a second brings.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000_000, example = 5000)]
    pub events_burst: Option<u64>,
    /// Bytes a second: of `data`, and 512 for each event's envelope.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_099_511_627_776_u64)]
    pub bytes_per_s: Option<u64>,
    /// Bytes at once; never less than a second brings.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 8_796_093_022_208_u64)]
    pub bytes_burst: Option<u64>,
}

/// What holds for a tenant; `0` is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsInForce {
    /// Events a second.
    #[schema(example = 1000)]
    pub events_per_s: u64,
    /// Events at once.
    #[schema(example = 5000)]
    pub events_burst: u64,
    /// Bytes a second.
    #[schema(example = 0)]
    pub bytes_per_s: u64,
    /// Bytes at once.
    #[schema(example = 0)]
    pub bytes_burst: u64,
}

/// What a tenant may send, and by whose word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Whose limits they are.
    #[schema(example = "acme")]
    pub tenant: String,
    /// What the tenant has of its own.
    pub own: TenantLimits,
    /// What holds: its own, and the server's defaults where it has none.
    pub in_force: LimitsInForce,
    /// Who changed its own last: a key's id. `null` where nobody ever did.
    #[schema(required)]
    pub changed_by: Option<String>,
    /// When.
    #[schema(required, format = DateTime)]
    pub changed_at: Option<String>,
}

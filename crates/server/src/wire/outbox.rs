//! Intents and outboxes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Event, Json, Violation};

/// An event that is to be written if, and once, the change it speaks of has happened.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIntent {
    /// The event.
    pub event: Event,
    /// How to find out whether the change has happened, should nobody confirm or discard the intent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Seconds after which the probe is asked. The server's default is 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub stale_after_s: Option<u32>,
}

/// A question whose answer says whether a change has happened.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// Whether a row exists in a database.
    Row(RowProbe),
    /// Whether a URL answers: 2xx means that the change has happened, 404 or 410 that it has not.
    Http(HttpProbe),
}

/// Asks whether a row exists.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RowProbe {
    /// `platform` for Tidings' own database, `project` for a configured source.
    #[schema(example = "project")]
    pub scope: String,
    /// The configured source's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "shop")]
    pub source: Option<String>,
    /// The table, with its schema where it has one.
    #[schema(example = "shop.orders")]
    pub table: String,
    /// Columns and the values they must have.
    #[schema(value_type = Object, example = json!({"id": "order_1"}))]
    pub key: serde_json::Map<String, serde_json::Value>,
    /// A column that must hold at least a number, where the change is a new revision of a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<serde_json::Value>,
}

/// Asks a URL.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct HttpProbe {
    /// The URL.
    #[schema(format = "uri", example = "https://shop.example/orders/order_1")]
    pub url: String,
}

/// How an intent stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IntentState {
    /// The event's id.
    #[schema(example = "01JD8Q4M6T1V9S0Z3N7R5K2W4X")]
    pub source_key: String,
    /// `intent` or `confirmed`.
    #[schema(pattern = "^(intent|confirmed)$", example = "intent")]
    pub state: String,
}

/// A page of refused outbox rows.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusedRowList {
    /// The rows, oldest first.
    pub data: Vec<RefusedRow>,
    /// Where the list goes on; `null` at its end.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// An outbox row that the log refused. It stays in the producer's database until it is retried or discarded.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusedRow {
    /// The source whose outbox it is in.
    pub source: String,
    /// The row's id in that outbox.
    pub id: i64,
    /// The event's id.
    pub source_key: String,
    /// The envelope as the producer wrote it; a string where it is not JSON.
    #[schema(value_type = Object)]
    pub event: Json,
    /// When the row was inserted.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was refused.
    pub error: RefusalReason,
}

/// Why a row was refused.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusalReason {
    /// A stable code.
    #[schema(example = "event_invalid")]
    pub code: String,
    /// What is wrong, in words.
    pub detail: String,
    /// What is wrong and where, one by one.
    #[serde(default)]
    pub errors: Vec<Violation>,
}

/// A mended envelope for a refused row.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The envelope that replaces the refused one; the row keeps its source key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Event>)]
    pub event: Option<Json>,
}

/// The outboxes that are read.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboxSourceList {
    /// One for each configured source.
    pub data: Vec<OutboxSource>,
    /// Always `null`: the list has one page.
    #[schema(required)]
    pub cursor: Option<String>,
}

/// A configured source and how its outbox stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboxSource {
    /// The source's name.
    #[schema(example = "shop")]
    pub name: String,
    /// `ok`, `unavailable` (the database cannot be reached), `not_installed` (it has no outbox) or `failed`.
    #[schema(pattern = "^(ok|unavailable|not_installed|failed)$", example = "ok")]
    pub status: String,
    /// The outbox, where it could be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbox: Option<Outbox>,
}

/// How an outbox stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Outbox {
    /// The installed version of the table's contract.
    pub version: u32,
    /// Confirmed rows that wait.
    pub pending: u64,
    /// When the oldest of them was inserted.
    #[schema(required, format = DateTime)]
    pub oldest_pending_at: Option<String>,
    /// Open intents.
    pub intents: u64,
    /// Refused rows.
    pub refused: u64,
}

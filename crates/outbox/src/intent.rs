//! Events that are written before the change they speak of.

use serde_json::{Map, Value, json};

/// What became of a confirm or discard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentOutcome {
    /// It was an intent, and is now what was asked for.
    Done,
    /// It was confirmed before.
    AlreadyConfirmed,
    /// There is no row with this source key: never written, discarded (by the reconciler perhaps), or already in
    /// the log.
    Absent,
}

/// How Tidings finds out what became of an intent that was neither confirmed nor discarded in time.
///
/// ```
/// use tidings_outbox::Probe;
///
/// let probe = Probe::row("shop", "orders").key("id", 42).stale_after_s(60);
/// assert_eq!(
///     probe.to_json(),
///     r#"{"key":{"id":42},"kind":"row","scope":"project","source":"shop","stale_after_s":60,"table":"orders"}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Probe(Map<String, Value>);

impl Probe {
    /// Asks a configured source, by its name, whether a row exists: it does, confirm; it does not, discard. The table
    /// may carry its schema, like `shop.orders`. At least one [`Probe::key`] must follow.
    #[must_use]
    pub fn row(source: &str, table: &str) -> Self {
        Self::of(json!({"kind": "row", "scope": "project", "source": source, "table": table, "key": {}}))
    }

    /// Like [`Probe::row`], but asks the database of Tidings itself.
    #[must_use]
    pub fn platform_row(table: &str) -> Self {
        Self::of(json!({"kind": "row", "scope": "platform", "table": table, "key": {}}))
    }

    /// Asks a URL: 2xx, confirm; 404 or 410, discard; anything else cannot tell.
    #[must_use]
    pub fn http(url: &str) -> Self {
        Self::of(json!({"kind": "http", "url": url}))
    }

    /// A column of the row and the value it must have: a string, integer or boolean.
    #[must_use]
    pub fn key(mut self, column: &str, value: impl Into<Value>) -> Self {
        let key = self.0.entry("key").or_insert_with(|| json!({}));
        if let Value::Object(key) = key {
            key.insert(column.to_owned(), value.into());
        }
        self
    }

    /// A column that must hold at least this number, where the change is a new revision of a row.
    #[must_use]
    pub fn revision(mut self, column: &str, value: i64) -> Self {
        self.0.insert("revision".into(), json!({"column": column, "value": value}));
        self
    }

    /// How long the intent may stay open before it is probed, in seconds. It must be longer than the longest
    /// transaction that makes the change: the probe cannot see what is not committed yet.
    #[must_use]
    pub fn stale_after_s(mut self, seconds: u32) -> Self {
        self.0.insert("stale_after_s".into(), seconds.into());
        self
    }

    /// The probe as the outbox stores it.
    #[must_use]
    pub fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    fn of(value: Value) -> Self {
        let Value::Object(members) = value else { unreachable!("made from an object literal") };
        Self(members)
    }
}

//! API keys: made here, stored as hashes, looked up through a small cache.

use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;
use serde_json::{Map, json};
use sha2::{Digest as _, Sha256};
use tidings_bus::Poke;
use tidings_event::{TenantId, Text, Timestamp};
use tidings_store::{KeyRow, Result, Role};
use ulid::Ulid;

use crate::append::now;
use crate::endpoints::Who;
use crate::system::{Fact, Kind};
use crate::{Engine, metrics as names};

/// How every key begins, so that scanners for leaked secrets recognize it.
const PREFIX: &str = "tdk_";
/// Keys whose rows are remembered.
const CACHED_MAX: u64 = 10_000;
/// How long a row is remembered: as long may a key live on after another node revoked it.
const CACHED_FOR: Duration = Duration::from_secs(5);
/// No key is longer than this; longer ones are not looked up.
const SECRET_BYTES_MAX: usize = 512;

/// What a new key shall be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What it may do.
    pub role: Role,
    /// For which tenants; all when empty.
    pub tenants: Vec<TenantId>,
    /// Which types a producer owns, by prefix like `sales.`; all when empty.
    pub type_prefixes: Vec<String>,
    /// Which service it belongs to, if it is one's: it emits in the name of no other, and may change the definitions
    /// of the types that the service owns.
    pub service: Option<Text>,
    /// What a person wrote about it.
    pub description: String,
    /// From when it is refused, if ever.
    pub expires_at: Option<Timestamp>,
}

/// Whether a key with these prefixes may emit and define a type. A prefix covers whole segments: `sales` and `sales.` both
/// cover `sales.lead.created`, and neither `salesforce.lead.created`. Without prefixes every type is covered.
#[must_use]
pub fn covers_type(prefixes: &[String], event_type: &str) -> bool {
    let covers = |prefix: &String| {
        event_type
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| prefix.ends_with('.') || rest.is_empty() || rest.starts_with('.'))
    };
    prefixes.is_empty() || prefixes.iter().any(covers)
}

/// The rows of keys by the hash of the key, unknown keys included.
pub(crate) struct KeyCache {
    rows: Cache<[u8; 32], Option<KeyRow>>,
    /// Counts changes made on this node. A row that was read before a change is not put into the cache after it.
    changes: Mutex<u64>,
}

impl KeyCache {
    pub(crate) fn new() -> Self {
        let rows = Cache::builder().max_capacity(CACHED_MAX).time_to_live(CACHED_FOR).build();
        Self { rows, changes: Mutex::new(0) }
    }

    fn changed(&self, hash: &[u8; 32]) {
        let mut changes = self.changes.lock();
        *changes += 1;
        self.rows.invalidate(hash);
    }

    /// Forgets all rows: some were changed on another node.
    pub(crate) fn forget(&self) {
        let mut changes = self.changes.lock();
        *changes += 1;
        self.rows.invalidate_all();
    }

    fn remember(&self, hash: [u8; 32], row: Option<KeyRow>, read_at: u64) {
        let changes = self.changes.lock();
        if *changes == read_at {
            self.rows.insert(hash, row);
        }
    }
}

impl Engine {
    /// Makes a key, and tells of it. The secret is returned this once; only its hash is kept.
    pub async fn create_key(&self, who: &Who, new: NewKey) -> Result<(KeyRow, String)> {
        let secret = format!("{PREFIX}{}", base62(crate::dice::bytes()));
        let row = KeyRow {
            id: crate::dice::ulid().to_string(),
            hash: hash(&secret),
            role: new.role,
            tenants: new.tenants,
            type_prefixes: new.type_prefixes,
            service: new.service,
            description: new.description,
            created_at: now(),
            expires_at: new.expires_at,
            revoked_at: None,
        };
        self.shared.feeds.store.insert_key(&row).await?;
        self.shared.keys.changed(&row.hash);
        self.shared.pokes.note(Poke::Keys);
        self.tell(&fact(Kind::KeyCreated, who, &row)).await;
        Ok((row, secret))
    }

    /// Keys by id, after the given one; revoked and expired ones too.
    pub async fn keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<KeyRow>> {
        self.shared.feeds.store.keys(after, limit).await
    }

    /// One key by its id.
    pub async fn key(&self, id: &str) -> Result<Option<KeyRow>> {
        let Ok(ulid) = Ulid::from_string(id) else { return Ok(None) };
        // Ids are ULIDs in order of their text, so the first key after the predecessor is this one or there is none.
        let before = ulid.0.checked_sub(1).map(|number| Ulid(number).to_string());
        let rows = self.shared.feeds.store.keys(before.as_deref(), 1).await?;
        Ok(rows.into_iter().find(|row| row.id == id))
    }

    /// Revokes a key, and tells of it: at once on this node, within seconds on others. One that was revoked before
    /// stays as it is. `None` when there is no such key.
    pub async fn revoke_key(&self, who: &Who, id: &str) -> Result<Option<KeyRow>> {
        let moment = now();
        let row = self.shared.feeds.store.revoke_key(id, moment).await?;
        if let Some(row) = &row {
            self.shared.keys.changed(&row.hash);
            self.shared.pokes.note(Poke::Keys);
            if row.revoked_at == Some(moment) {
                self.tell(&fact(Kind::KeyRevoked, who, row)).await;
            }
        }
        Ok(row)
    }

    /// The key's row if the secret is known, neither revoked nor expired.
    pub async fn key_by_secret(&self, secret: &str) -> Result<Option<KeyRow>> {
        if secret.len() > SECRET_BYTES_MAX {
            return Ok(None);
        }
        let hash = hash(secret);
        let row = match self.shared.keys.rows.get(&hash) {
            Some(row) => row,
            None => {
                metrics::counter!(names::KEY_MISSES).increment(1);
                let read_at = *self.shared.keys.changes.lock();
                let row = self.shared.feeds.store.key_by_hash(&hash).await?;
                self.shared.keys.remember(hash, row.clone(), read_at);
                row
            }
        };
        Ok(row.filter(|row| row.revoked_at.is_none() && row.expires_at.is_none_or(|moment| now() < moment)))
    }
}

/// What is told of a key: everything but what could open something.
fn fact(kind: Kind, who: &Who, row: &KeyRow) -> Fact {
    let mut data = Map::new();
    data.insert("key".to_owned(), json!(row.id));
    data.insert("role".to_owned(), json!(row.role.as_str()));
    data.insert("tenants".to_owned(), json!(row.tenants));
    data.insert("type_prefixes".to_owned(), json!(row.type_prefixes));
    if let Some(service) = &row.service {
        data.insert("service".to_owned(), json!(service));
    }
    Fact { kind, who: Some(who.clone()), tenant: None, entity: ("key", row.id.clone()), data }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// 32 bytes as 43 letters and digits: a key survives double clicks, shells and URLs.
fn base62(mut number: [u8; 32]) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::with_capacity(43);
    for _ in 0..43 {
        let mut remainder = 0_usize;
        for byte in &mut number {
            let value = remainder << 8 | usize::from(*byte);
            *byte = u8::try_from(value / 62).expect("the remainder is below 62, so the quotient is below 256");
            remainder = value % 62;
        }
        digits.push(char::from(*DIGITS.get(remainder).expect("a remainder by 62 is below 62")));
    }
    digits.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_written_in_43_letters_and_digits() {
        assert_eq!(base62([0; 32]), "0".repeat(43));
        let mut one = [0; 32];
        one[31] = 61;
        assert_eq!(base62(one), format!("{}z", "0".repeat(42)));
        one[31] = 62;
        assert_eq!(base62(one), format!("{}10", "0".repeat(41)));
        let largest = base62([255; 32]);
        assert_eq!(largest.len(), 43);
        assert!(!largest.starts_with('0'), "43 digits are just enough");
    }
}

//! Cursors: where a reader stands in a tenant's log, sealed so that nobody can make one up.
//!
//! A cursor is opaque text: a version byte, the log, a hash of the tenant, a hash of the filter, the sequence, and 16
//! bytes of HMAC-SHA256 over these, in base64url without padding. The seal is not a secret of the tenant: it keeps
//! clients from building cursors of their own and so from depending on what is inside.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

use crate::{ErrorCode, LogId, Sequence, TenantId};

const VERSION: u8 = 1;
/// Version, log, tenant, filter: the same for all cursors of one reader.
const PREFIX_BYTES: usize = 1 + 16 + 8 + 8;
const BODY_BYTES: usize = PREFIX_BYTES + 8;
const SEAL_BYTES: usize = 16;
const SEALED_BYTES: usize = BODY_BYTES + SEAL_BYTES;

/// The first eight bytes of a hash of what a filter means; all zero when nothing is filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FilterHash(pub [u8; 8]);

/// The first eight bytes of a hash of a tenant's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TenantHash(pub [u8; 8]);

impl TenantHash {
    /// Hashes a tenant's name.
    #[must_use]
    pub fn of(tenant: &TenantId) -> Self {
        let hash = Sha256::new().chain_update(b"tidings/tenant\0").chain_update(tenant.as_str()).finalize();
        Self(first_8(&hash))
    }
}

/// Where a reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The log that was read.
    pub log: LogId,
    /// Whose log.
    pub tenant: TenantHash,
    /// Everything up to here was read.
    pub sequence: Sequence,
    /// What was asked for.
    pub filter: FilterHash,
}

/// Why a cursor is not taken, in the order in which this is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// It was not made with this key, or was changed.
    #[error("the cursor was not made by this server, or was changed")]
    Invalid,
    /// It was given to a reader of another tenant.
    #[error("the cursor belongs to another tenant")]
    OtherTenant,
    /// It was given to a reader who asked for other events.
    #[error("the cursor belongs to another filter")]
    OtherFilter,
    /// It is of a log that this one has replaced.
    #[error("the cursor is of another log")]
    OtherLog,
}

impl CursorError {
    /// How it is answered.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Invalid => ErrorCode::CursorInvalid,
            Self::OtherTenant | Self::OtherFilter => ErrorCode::CursorMismatch,
            Self::OtherLog => ErrorCode::LogRewound,
        }
    }
}

impl Cursor {
    /// A cursor after a sequence of a tenant's log.
    #[must_use]
    pub fn new(log: LogId, tenant: &TenantId, sequence: Sequence, filter: FilterHash) -> Self {
        Self { log, tenant: TenantHash::of(tenant), sequence, filter }
    }

    /// The sequence, once the cursor is known to belong to this reader. The log is judged last, so that only the
    /// reader whose cursor it is learns that the log was replaced.
    pub fn check(&self, log: LogId, tenant: &TenantId, filter: FilterHash) -> Result<Sequence, CursorError> {
        if self.tenant != TenantHash::of(tenant) {
            return Err(CursorError::OtherTenant);
        }
        if self.filter != filter {
            return Err(CursorError::OtherFilter);
        }
        if self.log != log {
            return Err(CursorError::OtherLog);
        }
        Ok(self.sequence)
    }

    fn prefix(&self) -> [u8; PREFIX_BYTES] {
        let mut prefix = [0; PREFIX_BYTES];
        prefix[0] = VERSION;
        prefix[1..17].copy_from_slice(&self.log.0.to_bytes());
        prefix[17..25].copy_from_slice(&self.tenant.0);
        prefix[25..33].copy_from_slice(&self.filter.0);
        prefix
    }
}

/// What seals cursors. Made once from the server's master key.
#[derive(Clone)]
pub struct CursorKey(Hmac<Sha256>);

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

impl CursorKey {
    /// Derives the key. Every node that shares the master key reads the others' cursors.
    #[must_use]
    pub fn derive(master: &[u8; 32]) -> Self {
        let derived = keyed(master).chain_update(b"tidings/cursor/1").finalize().into_bytes();
        Self(keyed(&derived))
    }

    /// Writes a cursor as text.
    #[must_use]
    pub fn seal(&self, cursor: &Cursor) -> String {
        let prefix = cursor.prefix();
        seal(self.0.clone().chain_update(prefix), &prefix, cursor.sequence)
    }

    /// Reads a cursor. That it is whole says nothing about whose it is: see [`Cursor::check`].
    pub fn open(&self, text: &str) -> Result<Cursor, CursorError> {
        let mut sealed = [0; SEALED_BYTES];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut sealed) {
            Ok(SEALED_BYTES) => {}
            _ => return Err(CursorError::Invalid),
        }
        let (body, tag) = sealed.split_at(BODY_BYTES);
        // Compares in constant time.
        self.0.clone().chain_update(body).verify_truncated_left(tag).map_err(|_| CursorError::Invalid)?;
        if body[0] != VERSION {
            return Err(CursorError::Invalid);
        }
        let log = body[1..17].try_into().map_err(|_| CursorError::Invalid)?;
        Ok(Cursor {
            log: LogId(ulid::Ulid::from_bytes(log)),
            tenant: TenantHash(first_8(&body[17..])),
            filter: FilterHash(first_8(&body[25..])),
            sequence: Sequence(u64::from_be_bytes(first_8(&body[33..]))),
        })
    }
}

/// Seals the cursors of one reader: all but the sequence is prepared once.
#[derive(Clone)]
pub struct CursorSealer {
    prefix: [u8; PREFIX_BYTES],
    begun: Hmac<Sha256>,
}

impl CursorSealer {
    /// Prepares for a reader of a tenant's log.
    #[must_use]
    pub fn new(key: &CursorKey, log: LogId, tenant: &TenantId, filter: FilterHash) -> Self {
        let prefix = Cursor::new(log, tenant, Sequence(0), filter).prefix();
        Self { prefix, begun: key.0.clone().chain_update(prefix) }
    }

    /// The same text as [`CursorKey::seal`] gives.
    #[must_use]
    pub fn seal(&self, sequence: Sequence) -> String {
        seal(self.begun.clone(), &self.prefix, sequence)
    }
}

fn seal(begun: Hmac<Sha256>, prefix: &[u8; PREFIX_BYTES], sequence: Sequence) -> String {
    let sequence = sequence.get().to_be_bytes();
    let tag = begun.chain_update(sequence).finalize().into_bytes();
    let mut sealed = [0; SEALED_BYTES];
    sealed[..PREFIX_BYTES].copy_from_slice(prefix);
    sealed[PREFIX_BYTES..BODY_BYTES].copy_from_slice(&sequence);
    sealed[BODY_BYTES..].copy_from_slice(&tag[..SEAL_BYTES]);
    URL_SAFE_NO_PAD.encode(sealed)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn first_8(bytes: &[u8]) -> [u8; 8] {
    *bytes.first_chunk().expect("at least eight bytes are given")
}

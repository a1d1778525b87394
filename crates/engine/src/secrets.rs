//! Endpoints' secrets: how they are kept.
//!
//! All secrets of an endpoint are one sealed text in its row: AES-256-GCM-SIV under a key that is derived from the
//! master key, bound to the endpoint's id. Whoever reads the database alone learns nothing, and a text that is moved
//! to another endpoint's row cannot be opened there. The mode forgives a nonce that occurs twice.

use aes_gcm_siv::aead::{Aead, Payload};
use aes_gcm_siv::{Aes256GcmSiv, KeyInit, Nonce};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tidings_event::signature::{Secret, Signer};
use tidings_event::{EndpointId, Timestamp};
use zeroize::Zeroizing;

/// The first byte of what is sealed: how it was.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;

/// Seals and opens the secrets of endpoints. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SecretBox(Aes256GcmSiv);

impl std::fmt::Debug for SecretBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretBox(…)")
    }
}

impl SecretBox {
    /// Derives the key. Every node that shares the master key opens what the others sealed.
    pub(crate) fn derive(master: &[u8; 32]) -> Self {
        let hmac: Hmac<Sha256> = KeyInit::new_from_slice(master).expect("HMAC takes keys of any length");
        let derived =
            Zeroizing::new(<[u8; 32]>::from(hmac.chain_update(b"tidings/endpoint-secrets/1").finalize().into_bytes()));
        Self(Aes256GcmSiv::new_from_slice(derived.as_slice()).expect("the cipher takes keys of 32 bytes"))
    }

    /// Seals the secrets of an endpoint.
    pub(crate) fn seal(&self, endpoint: &EndpointId, keyring: &Keyring) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = crate::dice::bytes();
        let plain = keyring.write();
        let payload = Payload { msg: &plain, aad: endpoint.as_str().as_bytes() };
        let sealed =
            self.0.encrypt(&Nonce::from(nonce), payload).expect("a few kilobytes are below the cipher's bound");
        [&[VERSION], nonce.as_slice(), &sealed].concat()
    }

    /// Opens the secrets of an endpoint.
    pub(crate) fn open(&self, endpoint: &EndpointId, sealed: &[u8]) -> Result<Keyring, String> {
        let failed =
            || format!("the secrets of {endpoint} cannot be opened: they were sealed under another master key");
        let rest = sealed.strip_prefix(&[VERSION]).ok_or_else(failed)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(failed)?;
        let payload = Payload { msg: text, aad: endpoint.as_str().as_bytes() };
        let plain = Zeroizing::new(self.0.decrypt(&Nonce::from(*nonce), payload).map_err(|_| failed())?);
        Keyring::read(&plain).map_err(|error| format!("the secrets of {endpoint} cannot be read: {error}"))
    }
}

/// What tells whether two nodes have the same master key, without telling the key: it is kept in the database.
pub(crate) fn master_check(master: &[u8; 32]) -> [u8; 32] {
    let hmac: Hmac<Sha256> = KeyInit::new_from_slice(master).expect("HMAC takes keys of any length");
    hmac.chain_update(b"tidings/master-check/1").finalize().into_bytes().into()
}

/// One secret of an endpoint.
pub(crate) struct KeptSecret {
    /// Its public id.
    pub(crate) id: String,
    pub(crate) secret: Secret,
    pub(crate) created_at: Timestamp,
    /// When it signs no more.
    pub(crate) expires_at: Option<Timestamp>,
}

impl KeptSecret {
    /// A secret from now on.
    pub(crate) fn new(secret: Secret, now: Timestamp) -> Self {
        Self { id: format!("sec_{}", crate::dice::ulid()), secret, created_at: now, expires_at: None }
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|moment| now < moment)
    }
}

/// The secrets of one endpoint, newest first.
pub(crate) struct Keyring(Vec<KeptSecret>);

/// A secret as it is written before it is sealed.
#[derive(Serialize, Deserialize)]
struct Written<T> {
    id: String,
    secret: T,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

impl Keyring {
    /// A keyring with one secret.
    pub(crate) fn new(secret: KeptSecret) -> Self {
        Self(vec![secret])
    }

    /// Those that sign at a moment.
    pub(crate) fn valid(&self, now: Timestamp) -> impl Iterator<Item = &KeptSecret> {
        self.0.iter().filter(move |kept| kept.is_valid(now))
    }

    /// Puts a secret before the others, which end at `until` at the latest; those that have ended go.
    pub(crate) fn rotate(&mut self, secret: KeptSecret, until: Timestamp, now: Timestamp) {
        for kept in &mut self.0 {
            kept.expires_at = Some(kept.expires_at.map_or(until, |moment| moment.min(until)));
        }
        self.0.retain(|kept| kept.is_valid(now));
        self.0.insert(0, secret);
    }

    /// What signs at a moment, and when the first of the secrets ends that do.
    pub(crate) fn signer(&self, now: Timestamp) -> (Signer, Option<Timestamp>) {
        let secrets: Vec<Secret> = self.valid(now).map(|kept| kept.secret.clone()).collect();
        let ends = self.valid(now).filter_map(|kept| kept.expires_at).min();
        (Signer::new(&secrets), ends)
    }

    fn write(&self) -> Zeroizing<Vec<u8>> {
        // Large enough for the secrets of a full ring, so that no half of them stays behind in a buffer that was left.
        let mut out = Zeroizing::new(Vec::with_capacity(4_096));
        let all: Vec<Written<Zeroizing<String>>> = self
            .0
            .iter()
            .map(|kept| Written {
                id: kept.id.clone(),
                secret: Zeroizing::new(kept.secret.reveal()),
                created_at: kept.created_at,
                expires_at: kept.expires_at,
            })
            .collect();
        let borrowed: Vec<Written<&str>> = all
            .iter()
            .map(|one| Written {
                id: one.id.clone(),
                secret: one.secret.as_str(),
                created_at: one.created_at,
                expires_at: one.expires_at,
            })
            .collect();
        serde_json::to_writer(&mut *out, &borrowed).expect("texts and moments can be written to memory");
        out
    }

    fn read(plain: &[u8]) -> Result<Self, String> {
        let all: Vec<Written<&str>> = serde_json::from_slice(plain).map_err(|error| error.to_string())?;
        all.into_iter()
            .map(|one| {
                let secret = Secret::parse(one.secret).map_err(|error| error.to_string())?;
                Ok(KeptSecret { id: one.id, secret, created_at: one.created_at, expires_at: one.expires_at })
            })
            .collect::<Result<_, String>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(end: char) -> EndpointId {
        EndpointId::parse(format!("ep_0000000000000000000000000{end}")).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn secret(byte: u8, seconds: i64) -> KeptSecret {
        KeptSecret::new(Secret::hmac([byte; 32]), at(seconds))
    }

    #[test]
    fn secrets_open_only_under_their_master_key_and_for_their_endpoint() {
        let sealer = SecretBox::derive(&[7; 32]);
        let mut sealed = sealer.seal(&endpoint('A'), &Keyring::new(secret(1, 0)));
        let open =
            |sealer: &SecretBox, end, sealed: &[u8]| sealer.open(&endpoint(end), sealed).map(|ring| ring.0.len());
        assert_eq!(open(&sealer, 'A', &sealed), Ok(1));
        assert!(open(&sealer, 'B', &sealed).is_err(), "another endpoint");
        assert!(open(&SecretBox::derive(&[8; 32]), 'A', &sealed).is_err(), "another master key");
        *sealed.last_mut().unwrap() ^= 1;
        assert!(open(&sealer, 'A', &sealed).is_err(), "a changed byte");
        assert!(open(&sealer, 'A', &[]).is_err(), "nothing");
    }

    #[test]
    fn what_is_sealed_twice_does_not_look_the_same_and_shows_no_secret() {
        let sealer = SecretBox::derive(&[7; 32]);
        let ring = Keyring::new(secret(1, 0));
        let (one, two) = (sealer.seal(&endpoint('A'), &ring), sealer.seal(&endpoint('A'), &ring));
        assert_ne!(one, two);
        let text = ring.0[0].secret.reveal();
        assert!(!one.windows(16).any(|window| text.as_bytes().windows(16).any(|part| part == window)));
        let back = sealer.open(&endpoint('A'), &one).unwrap();
        assert_eq!((back.0[0].secret.reveal(), &back.0[0].id), (text, &ring.0[0].id));
    }

    #[test]
    fn old_secrets_sign_until_the_overlap_ends_and_no_rotation_makes_them_live_longer() {
        let mut ring = Keyring::new(secret(1, 0));
        ring.rotate(secret(2, 10), at(100), at(10));
        ring.rotate(secret(3, 20), at(500), at(20));
        let valid = |ring: &Keyring, now| {
            ring.valid(at(now)).map(|kept| kept.created_at.as_micros() / 1_000_000).collect::<Vec<_>>()
        };
        assert_eq!(valid(&ring, 99), [20, 10, 0]);
        assert_eq!(valid(&ring, 100), [20, 10]);
        assert_eq!(valid(&ring, 500), [20]);
        assert_eq!(ring.signer(at(99)).1, Some(at(100)));
        assert_eq!(ring.signer(at(100)).1, Some(at(500)));
        assert_eq!(ring.signer(at(500)).1, None);
        ring.rotate(secret(4, 99), at(99), at(99));
        assert_eq!(valid(&ring, 99), [99], "without an overlap the others end at once");
    }
}

//! The sender's side.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::secret::Secret;
use super::{V1, V1A};

/// Characters of one signature at most: a scheme, a comma and base64 of 64 bytes; and the space before the next.
const SIGNATURE_CHARS_MAX: usize = 3 + 1 + 88 + 1;

/// Signs webhooks with all secrets that are in force. What a key needs before the first byte is done once.
#[derive(Clone)]
pub struct Signer {
    hands: Vec<Hand>,
}

#[derive(Clone)]
enum Hand {
    /// The state after the key: two blocks of the hash that are not repeated for each delivery.
    Hmac(Box<Hmac<Sha256>>),
    Ed25519(Box<SigningKey>),
}

impl Signer {
    /// Signs with each of the secrets, in this order: the newest first, as receivers stop at the first that fits.
    #[must_use]
    pub fn new(secrets: &[Secret]) -> Self {
        let hands = secrets
            .iter()
            .map(|secret| match secret {
                Secret::Hmac(secret) => Hand::Hmac(Box::new(keyed(secret.bytes()))),
                Secret::Ed25519(secret) => Hand::Ed25519(Box::new(secret.key().clone())),
            })
            .collect();
        Self { hands }
    }

    /// The value of `webhook-signature` for a delivery: its `webhook-id`, its `webhook-timestamp` in seconds since
    /// 1970, and the exact bytes of its body. One signature a secret, separated by spaces.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let mut head = String::with_capacity(id.len() + 22);
        write!(head, "{id}.{timestamp_s}.").expect("a string takes all that is written");
        let mut whole = Vec::new();
        let mut signatures = String::with_capacity(self.hands.len() * SIGNATURE_CHARS_MAX);
        for hand in &self.hands {
            if !signatures.is_empty() {
                signatures.push(' ');
            }
            match hand {
                Hand::Hmac(begun) => {
                    let mac = begun.as_ref().clone().chain_update(&head).chain_update(body).finalize().into_bytes();
                    push(&mut signatures, V1, &mac);
                }
                Hand::Ed25519(key) => {
                    // Ed25519 goes over its message twice, so that it needs it in one piece.
                    if whole.is_empty() {
                        whole = [head.as_bytes(), body].concat();
                    }
                    push(&mut signatures, V1A, &key.sign(&whole).to_bytes());
                }
            }
        }
        signatures
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} secrets)", self.hands.len())
    }
}

fn push(signatures: &mut String, scheme: &str, bytes: &[u8]) {
    signatures.push_str(scheme);
    signatures.push(',');
    BASE64_STANDARD.encode_string(bytes, signatures);
}

pub(super) fn keyed(secret: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).expect("HMAC takes keys of any length")
}

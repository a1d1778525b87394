//! What signatures are made with, and how it is written down.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{SigningKey, VerifyingKey};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{V1, V1A};

const HMAC_PREFIX: &str = "whsec_";
const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";

/// Bytes of an HMAC secret: at least.
const HMAC_BYTES_MIN: usize = 24;
/// Bytes of an HMAC secret: at most.
const HMAC_BYTES_MAX: usize = 64;

/// Standard base64, with its padding or without, as other senders write it either way.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret that webhooks are signed with. It is wiped from memory when it is dropped, and `Debug` does not show it.
#[derive(Clone)]
pub enum Secret {
    /// Shared with the receiver; scheme `v1`.
    Hmac(HmacSecret),
    /// The sender's alone; scheme `v1a`.
    Ed25519(Ed25519Secret),
}

/// The bytes of an HMAC secret.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct HmacSecret(Vec<u8>);

/// An Ed25519 key pair.
#[derive(Clone)]
pub struct Ed25519Secret(SigningKey);

/// Why a text is no secret or key. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It begins with none of the prefixes that are known here.
    #[error("does not begin with {0}")]
    Prefix(&'static str),
    /// What follows the prefix is not base64.
    #[error("is not base64 after its prefix")]
    Base64,
    /// It has the wrong number of bytes.
    #[error("has the wrong length: {0} is expected")]
    Length(&'static str),
    /// It is no point of the curve, or one that every signature fits, or its halves do not belong together.
    #[error("is not a key of Ed25519")]
    Key,
}

impl Secret {
    /// A secret of scheme `v1` from random bytes.
    #[must_use]
    pub fn hmac(random: [u8; 32]) -> Self {
        let random = Zeroizing::new(random);
        Self::Hmac(HmacSecret(random.to_vec()))
    }

    /// A secret of scheme `v1a` from a random seed.
    #[must_use]
    pub fn ed25519(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self::Ed25519(Ed25519Secret(SigningKey::from_bytes(&seed)))
    }

    /// Reads a secret as it is written down: `whsec_` and base64 of 24 to 64 bytes, or `whsk_` and base64 of the 32
    /// bytes of the seed, or of the 64 of seed and public key, as some write it.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if let Some(encoded) = text.strip_prefix(HMAC_PREFIX) {
            return HmacSecret::decode(encoded).map(Self::Hmac);
        }
        let encoded = text.strip_prefix(PRIVATE_PREFIX).ok_or(SecretError::Prefix("whsec_ or whsk_"))?;
        let bytes = decode(encoded)?;
        let key = if let Ok(seed) = <&[u8; 32]>::try_from(bytes.as_slice()) {
            SigningKey::from_bytes(seed)
        } else if let Ok(pair) = <&[u8; 64]>::try_from(bytes.as_slice()) {
            SigningKey::from_keypair_bytes(pair).map_err(|_| SecretError::Key)?
        } else {
            return Err(SecretError::Length("32 or 64 bytes"));
        };
        Ok(Self::Ed25519(Ed25519Secret(key)))
    }

    /// The secret as it is written down: shown to its owner once, and stored encrypted.
    #[must_use]
    pub fn reveal(&self) -> String {
        match self {
            Self::Hmac(secret) => encode(HMAC_PREFIX, &secret.0),
            Self::Ed25519(secret) => encode(PRIVATE_PREFIX, secret.0.as_bytes()),
        }
    }

    /// What a receiver needs to verify signatures and may be known to all: `whpk_…`. `v1` has none.
    #[must_use]
    pub fn public(&self) -> Option<String> {
        match self {
            Self::Hmac(_) => None,
            Self::Ed25519(secret) => Some(encode(PUBLIC_PREFIX, secret.0.verifying_key().as_bytes())),
        }
    }

    /// The scheme of its signatures: `v1` or `v1a`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        match self {
            Self::Hmac(_) => V1,
            Self::Ed25519(_) => V1A,
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({})", self.scheme())
    }
}

impl HmacSecret {
    fn decode(encoded: &str) -> Result<Self, SecretError> {
        let bytes = decode(encoded)?;
        if !(HMAC_BYTES_MIN..=HMAC_BYTES_MAX).contains(&bytes.len()) {
            return Err(SecretError::Length("24 to 64 bytes"));
        }
        Ok(Self(bytes.to_vec()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Ed25519Secret {
    pub(super) const fn key(&self) -> &SigningKey {
        &self.0
    }
}

impl std::fmt::Debug for HmacSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HmacSecret")
    }
}

impl std::fmt::Debug for Ed25519Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ed25519Secret")
    }
}

/// What a receiver verifies signatures with.
pub(super) enum Key {
    Hmac(HmacSecret),
    Ed25519(VerifyingKey),
}

impl Key {
    pub(super) fn parse(text: &str) -> Result<Self, SecretError> {
        if let Some(encoded) = text.strip_prefix(HMAC_PREFIX) {
            return HmacSecret::decode(encoded).map(Self::Hmac);
        }
        let encoded = text.strip_prefix(PUBLIC_PREFIX).ok_or(SecretError::Prefix("whsec_ or whpk_"))?;
        let bytes = decode(encoded)?;
        let bytes = <&[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| SecretError::Length("32 bytes"))?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| SecretError::Key)?;
        if key.is_weak() { Err(SecretError::Key) } else { Ok(Self::Ed25519(key)) }
    }
}

fn encode(prefix: &str, bytes: &[u8]) -> String {
    let mut text = String::with_capacity(prefix.len() + bytes.len().div_ceil(3) * 4);
    text.push_str(prefix);
    BASE64_STANDARD.encode_string(bytes, &mut text);
    text
}

fn decode(encoded: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    LENIENT.decode(encoded).map(Zeroizing::new).map_err(|_| SecretError::Base64)
}

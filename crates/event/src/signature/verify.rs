//! The receiver's side.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::secret::{Key, SecretError};
use super::sign::keyed;
use super::{V1, V1A};

/// Seconds by which a delivery's timestamp may differ from the receiver's clock, in either direction.
pub const TOLERANCE_S: i64 = 300;

/// Signatures of one delivery that are looked at. A sender has as many as it has secrets in force: one, or two or
/// three for a while. Without a bound a stranger could have thousands of them checked for the price of one request.
const SIGNATURES_MAX: usize = 16;

/// Verifies webhooks. What a key needs before the first byte is done once.
pub struct Verifier {
    hmac: Vec<Hmac<Sha256>>,
    ed25519: Vec<VerifyingKey>,
}

/// Why a webhook must not be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The id is empty or holds a dot, which would blur where it ends in what is signed.
    #[error("the webhook's id is malformed")]
    Id,
    /// The timestamp is not a number of seconds.
    #[error("the webhook's timestamp is not a number of seconds")]
    Timestamp,
    /// The attempt was made too long ago: somebody may be sending an old one again.
    #[error("the webhook's timestamp is too old")]
    TooOld,
    /// The attempt's moment lies too far ahead.
    #[error("the webhook's timestamp lies in the future")]
    TooNew,
    /// No signature is of a scheme that a key is held for.
    #[error("the webhook has no signature of a scheme that is expected")]
    Unsigned,
    /// No signature fits: another key, or something was changed on the way.
    #[error("none of the webhook's signatures fits")]
    Mismatch,
}

impl Verifier {
    /// Verifies with any of these keys: `whsec_…` for signatures `v1`, `whpk_…` for `v1a`. More than one is held
    /// while a secret is replaced.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Self, SecretError> {
        let mut verifier = Self { hmac: Vec::new(), ed25519: Vec::new() };
        for key in keys {
            match Key::parse(key)? {
                Key::Hmac(secret) => verifier.hmac.push(keyed(secret.bytes())),
                Key::Ed25519(key) => verifier.ed25519.push(key),
            }
        }
        Ok(verifier)
    }

    /// Whether a delivery is the sender's: the values of the headers `webhook-id`, `webhook-timestamp` and
    /// `webhook-signature`, the bytes of the body as they were received, and the receiver's clock in seconds since
    /// 1970. One signature that fits one key is enough. Takes the same time wherever a signature differs.
    pub fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signature: &str,
        body: &[u8],
        now_s: i64,
    ) -> Result<(), VerifyError> {
        if id.is_empty() || id.contains('.') {
            return Err(VerifyError::Id);
        }
        check_timestamp(timestamp, now_s)?;
        let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
        let mut expected = None;
        let mut whole = None;
        let (mut of_a_scheme, mut fits) = (false, false);
        for given in signature.split_ascii_whitespace().take(SIGNATURES_MAX) {
            let Some((scheme, encoded)) = given.split_once(',') else { continue };
            if scheme == V1 && !self.hmac.is_empty() {
                of_a_scheme = true;
                let expected = expected.get_or_insert_with(|| self.expected(&parts));
                fits |= BASE64_STANDARD.decode(encoded).is_ok_and(|given| any_equals(expected, &given));
            } else if scheme == V1A && !self.ed25519.is_empty() {
                of_a_scheme = true;
                let whole = whole.get_or_insert_with(|| parts.concat());
                fits |= BASE64_STANDARD.decode(encoded).is_ok_and(|given| self.signed(whole, &given));
            }
        }
        match (fits, of_a_scheme) {
            (true, _) => Ok(()),
            (false, true) => Err(VerifyError::Mismatch),
            (false, false) => Err(VerifyError::Unsigned),
        }
    }

    fn expected(&self, parts: &[&[u8]]) -> Vec<[u8; 32]> {
        let sign = |begun: &Hmac<Sha256>| {
            let mut mac = begun.clone();
            parts.iter().for_each(|part| mac.update(part));
            mac.finalize().into_bytes().into()
        };
        self.hmac.iter().map(sign).collect()
    }

    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        self.ed25519.iter().any(|key| key.verify_strict(message, &signature).is_ok())
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({} keys)", self.hmac.len() + self.ed25519.len())
    }
}

fn any_equals(expected: &[[u8; 32]], given: &[u8]) -> bool {
    expected.iter().fold(subtle::Choice::from(0), |found, mac| found | mac.as_slice().ct_eq(given)).into()
}

fn check_timestamp(timestamp: &str, now_s: i64) -> Result<(), VerifyError> {
    // `parse` takes a sign, which no timestamp has.
    if !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(VerifyError::Timestamp);
    }
    let at: i64 = timestamp.parse().map_err(|_| VerifyError::Timestamp)?;
    if at < now_s.saturating_sub(TOLERANCE_S) {
        Err(VerifyError::TooOld)
    } else if at > now_s.saturating_add(TOLERANCE_S) {
        Err(VerifyError::TooNew)
    } else {
        Ok(())
    }
}

//! Signatures of webhooks, by Standard Webhooks 1.0.0.
//!
//! What is signed is `{id}.{timestamp}.{body}` over the exact bytes. The header `webhook-signature` lists signatures,
//! one for each secret in force, so that a secret can be replaced without a delivery that the receiver must refuse.
//!
//! | scheme | signature | secret | what the receiver holds |
//! | --- | --- | --- | --- |
//! | `v1` | HMAC-SHA256 | `whsec_` and base64 of 24 to 64 bytes | the secret itself |
//! | `v1a` | Ed25519 | `whsk_` and base64 of the 32 bytes of the seed | `whpk_` and base64 of the public key |

mod secret;
mod sign;
mod verify;

pub use secret::{Secret, SecretError};
pub use sign::Signer;
pub use verify::{TOLERANCE_S, Verifier, VerifyError};

/// The header that names the event; it is the same over all attempts, and is what a receiver tells repeats by.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the moment of the attempt, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures, separated by spaces.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// The scheme of HMAC-SHA256.
const V1: &str = "v1";
/// The scheme of Ed25519.
const V1A: &str = "v1a";

#[cfg(test)]
mod tests;

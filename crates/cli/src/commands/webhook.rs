//! A webhook as Tidings sends it: body, headers, signature.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use tidings_event::signature::{Secret, Signer};

use super::emit::single::text_argument;
use crate::failure::Failure;

const ID: HeaderName = HeaderName::from_static(tidings_event::signature::ID_HEADER);
const TIMESTAMP: HeaderName = HeaderName::from_static(tidings_event::signature::TIMESTAMP_HEADER);
const SIGNATURE: HeaderName = HeaderName::from_static(tidings_event::signature::SIGNATURE_HEADER);
const SEQUENCE: HeaderName = HeaderName::from_static("tidings-sequence");
const PREVIOUS: HeaderName = HeaderName::from_static("tidings-previous");
const ATTEMPT: HeaderName = HeaderName::from_static("tidings-attempt");

/// One attempt to deliver one event. What is none is left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Webhook {
    pub(crate) id: Option<String>,
    /// Seconds since 1970, as text, so that a wrong one can be sent too.
    pub(crate) timestamp: Option<String>,
    pub(crate) signature: Option<String>,
    pub(crate) sequence: u64,
    pub(crate) previous: Option<u64>,
    pub(crate) attempt: u32,
    /// Headers beside those of every delivery.
    pub(crate) more: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

impl Webhook {
    /// Signs id, timestamp and body as they are now.
    pub(crate) fn sign(&mut self, signer: &Signer, at_s: i64) {
        self.timestamp = Some(at_s.to_string());
        self.signature = Some(signer.sign(self.id.as_deref().unwrap_or_default(), at_s, &self.body));
    }

    /// The request's headers.
    pub(crate) fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tidings/", env!("CARGO_PKG_VERSION"))));
        for (name, text) in [(ID, &self.id), (TIMESTAMP, &self.timestamp), (SIGNATURE, &self.signature)] {
            if let Some(text) = text {
                let value = HeaderValue::from_str(text);
                headers.insert(name, value.map_err(|_| Failure::failed(format!("'{text}' cannot stand in a header")))?);
            }
        }
        headers.insert(SEQUENCE, HeaderValue::from(self.sequence));
        if let Some(previous) = self.previous {
            headers.insert(PREVIOUS, HeaderValue::from(previous));
        }
        headers.insert(ATTEMPT, HeaderValue::from(self.attempt));
        headers.extend(self.more.iter().cloned());
        Ok(headers)
    }
}

/// A secret that was given: as it stands, or in a file after `@`.
pub(crate) fn given_secret(text: &str) -> Result<Secret, Failure> {
    let text = text_argument("--secret", text)?;
    Secret::parse(text.trim()).map_err(|error| Failure::usage(format!("--secret: the secret {error}")))
}

/// A secret for this run.
pub(crate) fn fresh_secret() -> Secret {
    Secret::hmac(rand::random())
}

/// The clock in seconds since 1970.
pub(crate) fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

//! Speaks to the collector.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use tidings_engine::trace::Span;
use tokio_util::sync::CancellationToken;

use super::encode::{Frame, rejected};
use super::settings::Settings;
use crate::failure::Failure;
use crate::http::outward::{Answered, Receiver};

/// Tries that one batch is worth.
const TRIES_MAX: u32 = 4;
/// The wait before the second try; doubled by each that fails.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest wait that a collector may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A collector.
pub(super) struct Collector {
    receiver: Receiver,
    headers: HeaderMap,
    frame: Frame,
    failing: bool,
}

impl Collector {
    pub(super) fn new(settings: &Settings) -> Result<Self, Failure> {
        let mut headers = settings.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tidings/", env!("CARGO_PKG_VERSION"))));
        let receiver = Receiver::new(&settings.endpoint, settings.timeout)?;
        Ok(Self { receiver, headers, frame: Frame::new(&settings.resource), failing: false })
    }

    /// The request for a batch of spans.
    pub(super) fn encode(&self, spans: &[Span]) -> Bytes {
        Bytes::from(self.frame.request(spans))
    }

    /// Sends a request, again where that can help. Returns how many spans the collector refused, or why none of them
    /// was taken.
    pub(super) async fn send(&mut self, body: Bytes, ending: &CancellationToken) -> Result<u64, &'static str> {
        let mut pause = PAUSE;
        for tried in 1..=TRIES_MAX {
            let outcome = self.try_once(body.clone()).await;
            self.note(&outcome);
            let wait = match outcome {
                Outcome::Taken(rejected) => return Ok(rejected),
                Outcome::Refused(_) => return Err("refused"),
                Outcome::Later(asked) => asked.unwrap_or(pause).min(PAUSE_MAX),
                Outcome::Unreachable(_) => pause,
            };
            let waited = ending.run_until_cancelled(tokio::time::sleep(wait)).await;
            if tried == TRIES_MAX || waited.is_none() {
                break;
            }
            pause *= 2;
        }
        Err("unreachable")
    }

    async fn try_once(&self, body: Bytes) -> Outcome {
        match self.receiver.post(self.headers.clone(), body).await {
            Ok(answered) if answered.is_success() => Outcome::Taken(rejected(&answered.body)),
            // The statuses that the protocol names as worth another try.
            Ok(Answered { status: 429 | 502 | 503 | 504, retry_after, .. }) => Outcome::Later(retry_after),
            Ok(Answered { status, .. }) => Outcome::Refused(status),
            Err(unanswered) => Outcome::Unreachable(unanswered.reason),
        }
    }

    /// Tells of a change for the worse or the better, once.
    fn note(&mut self, outcome: &Outcome) {
        let reason = match outcome {
            Outcome::Taken(_) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("traces are exported again");
                }
                return;
            }
            Outcome::Refused(status) => format!("it answered {status}"),
            Outcome::Later(_) => "it asks for a pause".to_owned(),
            Outcome::Unreachable(reason) => reason.clone(),
        };
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(reason, "the collector takes no traces; spans are dropped while it does not");
        }
    }
}

enum Outcome {
    /// With the number of spans that were refused all the same.
    Taken(u64),
    /// The same would be refused again.
    Refused(u16),
    /// It asks for a pause.
    Later(Option<Duration>),
    Unreachable(String),
}

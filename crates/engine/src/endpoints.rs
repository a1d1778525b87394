//! Endpoints: making, changing and operating the targets of webhooks.
//!
//! Every change is one transaction with the event that tells of it. Who delivers learns of a change by the revision
//! of the partition, which the change moves; nothing here speaks to the router.

mod answers;
mod attempts;
mod backtest;
mod change;
mod check;
mod create;
mod cursor;
mod dead;
mod error;
mod exchange;
mod explain;
mod read;
mod replay;
mod rotate;
mod scan;
mod sender;
mod stats;
mod types;
mod update;

use exchange::Exchanges;

use crate::Engine;
use crate::egress::Egress;
use crate::secrets::SecretBox;
use crate::system::Refusals;

pub use answers::{
    Attempt, AttemptSearch, AttemptStatus, Backtest, BacktestQuery, DeadLetterView, DeadSearch, EXPLAINED_ATTEMPTS,
    Exchange, Explanation, FailedFilter, Latency, NewReplay, Outcome, PAGE_MAX, Replay, ReplayStarted, SAMPLE_MAX,
    SCAN_EVENTS_MAX, STATS_ATTEMPTS, Stats, Until, Window,
};
pub use dead::SETTLED_MAX;
pub use error::EndpointError;
pub use replay::REPLAYS_MAX;
pub(crate) use sender::Sender;
pub use tidings_event::delivery::{CircuitState, DeadReason, Failure};
pub use tidings_store::{EndpointStatus, ReplayState};
pub(crate) use types::Kept;
pub use types::{
    CloudEventsMode, DESCRIPTION_CHARS_MAX, ENDPOINTS_MAX, Endpoint, EndpointPatch, EndpointSettings, Format, From,
    HEADER_NAME_CHARS_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_MAX, NewEndpoint, OVERLAP_S, OVERLAP_S_MAX, Ordering,
    RATE_MAX, RETRY_SCHEDULE_S, Rotate, SECRETS_MAX, Scheme, SecretInfo, TIMEOUT_MS, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN,
    URL_CHARS_MAX, Wanted, Who,
};

/// Answers of operations on endpoints.
pub type Result<T, E = EndpointError> = std::result::Result<T, E>;

/// The reason of an endpoint that is disabled until its owner answers a challenge.
const UNVERIFIED: &str = "unverified";

/// What operations on endpoints need beside the log.
pub(crate) struct Parts {
    pub(crate) egress: Egress,
    pub(crate) secrets: SecretBox,
    pub(crate) exchanges: Exchanges,
    pub(crate) refusals: Refusals,
}

impl Parts {
    /// Prepares the way out and derives the key of the secrets from the master key.
    pub(crate) fn new(egress: Egress, master: &[u8; 32]) -> Self {
        Self {
            egress,
            secrets: SecretBox::derive(master),
            exchanges: Exchanges::default(),
            refusals: Refusals::default(),
        }
    }
}

/// The endpoints of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Endpoints {
    engine: Engine,
}

impl Engine {
    /// The endpoints of all tenants.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        Endpoints { engine: self.clone() }
    }
}

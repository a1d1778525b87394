//! The stages of Tidings over one log: append, tail, pump, reconcile, deliver, and everything that reads.
//!
//! Invariant: this crate knows no HTTP server and no SQL. What is decided is decided in `tidings-core`; what is
//! stored is stored through the traits of `tidings-store`. Events enter the log through [`Appender`] alone.

mod append;
mod bus;
pub mod catalog;
mod courier;
mod deliver;
mod dice;
mod egress;
pub mod endpoints;
mod engine;
mod error;
mod feed;
mod health;
mod keys;
mod lanes;
mod lease;
pub mod metrics;
mod options;
mod pause;
mod pins;
mod places;
mod pump;
mod queue;
mod quota;
mod reconcile;
mod ring;
mod search;
mod secrets;
mod sources;
mod system;
mod tail;
pub mod trace;
mod turns;
mod verify;
mod watch;
pub mod world;

pub use append::{Appender, IdTaken};
pub use catalog::{CatalogError, CatalogHealth, Catalogs, Emitter};
pub use egress::Peers;
pub use endpoints::{EndpointError, Endpoints};
pub use engine::Engine;
pub use error::{AppendError, Error, FeedError};
pub use feed::{FeedPage, FeedReader, FeedStart};
pub use health::{Health, SourceHealth};
pub use keys::{NewKey, covers_type};
pub use lanes::LaneStatus;
pub use lease::{Node, Nodes};
pub use options::{
    AppendOptions, CatalogOptions, DeliverOptions, EgressOptions, NodeOptions, Options, PumpOptions, QuotaOptions,
    ReconcileOptions, Roles, TailOptions,
};
pub use pins::{PINS_MAX, PinError, Pins};
pub use quota::{Standing, TenantQuota, Throttled, Way};
pub use ring::FeedEvent;
pub use search::{SearchPage, SearchQuery, TRACE_DEPTH_MAX, TRACE_EVENTS_MAX, Trace};
pub use sources::{IntentOwner, IntentState, NamedSource, PLATFORM};
pub use verify::{FAULTS_MAX, Verified, verify_log};

// What callers need of the crates below.
pub use tidings_bus::{Bus, BusHealth};
pub use tidings_core::deliver::Limits as DeliverLimits;
pub use tidings_core::pattern::{FilterError, Selection};
pub use tidings_core::quota::{InForce as QuotaInForce, Own as OwnQuota, Quota, Room};
pub use tidings_event::log::Receipt;
pub use tidings_store::{
    Backend, ColumnFilter, Direction, Durability, Error as StoreError, IntentAnswer, KeyRow, LeaseRole, LeaseRow,
    LogInfo, Member, MoveOutcome, OutboxStatus, ReadLimit, Refused, Role, ShardState, SourceError, TenantRow,
    TypeFilter,
};

//! The envelope: one event as its producer gives it, and as the log keeps it.

use bytes::Bytes;

use crate::{
    Digest, EventId, EventType, PartitionId, Position, Salt, Sequence, TenantId, TenantNo, Text, Timestamp, Version,
};

/// An immutable fact that has already happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The source key: chosen by the producer before the write, unique in the tenant.
    pub id: EventId,
    /// What happened.
    pub event_type: EventType,
    /// Which version of the type's schema `data` follows.
    pub version: Version,
    /// When it happened, by the producer's clock.
    pub timestamp: Timestamp,
    /// Whose it is.
    pub tenant: TenantId,
    /// A part of the tenant, where it has parts.
    pub project: Option<Text>,
    /// Who says so.
    pub source: Source,
    /// What it happened to; events of one entity are delivered in order where a subscription asks for it.
    pub entity: Option<Entity>,
    /// Who caused it.
    pub actor: Option<Text>,
    /// The payload, byte for byte as sent.
    pub data: Data,
    /// How it hangs together with other events.
    pub metadata: Metadata,
}

/// Who emits an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What kind of thing the source is.
    pub kind: SourceKind,
    /// Its name.
    pub id: Text,
}

/// What an event happened to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entity {
    /// The entity's type, like `lead`.
    pub kind: Text,
    /// The entity's id among those of its type.
    pub id: Text,
}

/// For whom an event was caused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// What kind of context.
    pub kind: ContextKind,
    /// Its id.
    pub id: Text,
}

/// How an event hangs together with other events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Shared by all events that come of one request or process; the event's own id where none is given.
    pub correlation_id: Text,
    /// The id of the event that led to this one.
    pub causation_id: Option<Text>,
    /// For whom it was caused.
    pub context: Option<Context>,
    /// The W3C trace context of the producer's work.
    pub traceparent: Option<Text>,
}

/// Declares an enum with its names on the wire.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The meaning of a word on the wire, if it has one.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(
    /// What kind of thing emits an event.
    SourceKind {
        /// A service of the product.
        Service = "service",
        /// A workflow run.
        Workflow = "workflow",
        /// A single task.
        Task = "task",
        /// A connector to another product.
        Integration = "integration",
        /// Somebody outside.
        External = "external",
        /// Tidings or the platform itself.
        System = "system",
    }
);
words!(
    /// For what kind of party an event was caused.
    ContextKind {
        /// A client of the tenant.
        Client = "client",
        /// A user.
        User = "user",
        /// Everyone.
        Global = "global",
    }
);

/// A JSON object, kept byte for byte as its producer sent it. No duplicate keys, bounded size and depth.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(Bytes);

impl Data {
    /// Takes bytes that were checked when they were stored or parsed.
    pub fn trusted(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The JSON text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The JSON text, shared.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Data({} bytes)", self.0.len())
    }
}

/// One row of the log: an event and what the log assigned to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The event.
    pub event: Event,
    /// The store's short name of the event's tenant.
    pub tenant_no: TenantNo,
    /// The partition in which the tenant lives.
    pub partition: PartitionId,
    /// The event's number in its partition.
    pub position: Position,
    /// The event's number in its tenant.
    pub sequence: Sequence,
    /// When the log took it in; never falls from one position to the next.
    pub recorded_at: Timestamp,
    /// What hides `data` in the digest.
    pub salt: Salt,
    /// The digest that proves the row.
    pub digest: Digest,
}

//! Ids, positions and sequences: types, never bare strings or integers.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::{TEXT_CHARS_MAX, TYPE_SEGMENTS_MAX, TYPE_SEGMENTS_MIN};

/// Why a string is not a valid id or text of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The string has no characters.
    #[error("must not be empty")]
    Empty,
    /// The string has more than 255 characters.
    #[error("must have at most {TEXT_CHARS_MAX} characters")]
    TooLong,
    /// The string holds a character that is not allowed where it stands.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Declares a string newtype: shared, immutable, cheap to clone, valid by construction.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and takes it.
            pub fn parse(text: impl AsRef<str>) -> Result<Self, TextError> {
                let text = text.as_ref();
                check_length(text)?;
                let check: fn(&str) -> Result<(), TextError> = $check;
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// Takes a text that was checked when it was stored.
            pub fn trusted(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, shared.
            #[must_use]
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = TextError;
            fn from_str(text: &str) -> Result<Self, TextError> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text!(
    /// A string of the envelope: 1 to 255 characters, none of them a control character.
    Text,
    check_text
);
text!(
    /// A tenant's name: 1 to 255 characters, no control characters, no `/`. Names that begin with `$` belong
    /// to Tidings itself.
    TenantId,
    check_tenant
);
text!(
    /// An event's id, its source key: 1 to 255 visible ASCII characters without `.`, unique in its tenant.
    EventId,
    check_event_id
);
text!(
    /// An event's type: 2 to 5 segments of lower snake case, `domain.entity.past_tense_action`.
    EventType,
    check_event_type
);
text!(
    /// The version of an event's type: 1 to 255 characters.
    Version,
    check_text
);

text!(
    /// An endpoint's public id: `ep_` and a ULID.
    EndpointId,
    check_endpoint_id
);

impl TenantId {
    /// The tenant of Tidings' own events.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::from("$system"))
    }

    /// Whether the name is kept for Tidings itself, so that no producer may use it.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl EventType {
    /// What the types of Tidings' own events begin with, and no producer's do.
    pub const RESERVED_PREFIX: &str = "tidings.";

    /// Whether the type is one of Tidings' own (`tidings.…`), so that no producer may use it.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(Self::RESERVED_PREFIX)
    }
}

impl Text {
    /// An event's id as a text, sharing it: what correlates an event that names nothing else.
    #[must_use]
    pub fn of_id(id: &EventId) -> Self {
        Self(id.0.clone())
    }
}

impl Version {
    /// The version of an event that names none.
    #[must_use]
    pub fn first() -> Self {
        Self(Arc::from("1"))
    }
}

fn check_length(text: &str) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    // Bytes bound characters from above, so the count is needed only for long texts.
    if text.len() > TEXT_CHARS_MAX && text.chars().count() > TEXT_CHARS_MAX {
        return Err(TextError::TooLong);
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), TextError> {
    // Most texts are plain ASCII, of which eight or more bytes are judged at once when none ends the loop early.
    let plain = text.bytes().fold(true, |plain, b| plain & (0x20..0x7f).contains(&b));
    if !plain && text.chars().any(char::is_control) {
        return Err(TextError::Malformed("must not hold control characters"));
    }
    Ok(())
}

fn check_tenant(text: &str) -> Result<(), TextError> {
    check_text(text)?;
    if text.contains('/') {
        return Err(TextError::Malformed("must not hold '/'"));
    }
    Ok(())
}

fn check_event_id(text: &str) -> Result<(), TextError> {
    if text.bytes().all(|b| b.is_ascii_graphic() && b != b'.') {
        Ok(())
    } else {
        Err(TextError::Malformed("must be visible ASCII characters without '.'"))
    }
}

fn check_endpoint_id(text: &str) -> Result<(), TextError> {
    const SHAPE: TextError = TextError::Malformed("must be 'ep_' and 26 characters of a ULID");
    let ulid = text.strip_prefix("ep_").ok_or(SHAPE)?;
    ulid::Ulid::from_string(ulid).map(|_| ()).map_err(|_| SHAPE)
}

fn check_event_type(text: &str) -> Result<(), TextError> {
    const SHAPE: TextError =
        TextError::Malformed("must be 2 to 5 dotted segments of lower snake case, like 'sales.lead.status_changed'");
    let mut segments = 0;
    for segment in text.split('.') {
        segments += 1;
        let bytes = segment.as_bytes();
        let starts_well = bytes.first().is_some_and(u8::is_ascii_lowercase);
        let ends_well = bytes.last().is_some_and(|b| *b != b'_');
        let middle = bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_');
        if !(starts_well && ends_well && middle) || segment.contains("__") {
            return Err(SHAPE);
        }
    }
    if (TYPE_SEGMENTS_MIN..=TYPE_SEGMENTS_MAX).contains(&segments) { Ok(()) } else { Err(SHAPE) }
}

/// Declares an integer newtype.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }

            /// The number that follows.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Number of a partition, from 0.
    PartitionId(u32)
);
number!(
    /// Gapless number of an event in its partition: 1, 2, 3, … Zero stands before the first. Never shown to tenants.
    Position(u64)
);
number!(
    /// Gapless number of an event in its tenant: 1, 2, 3, … Zero stands before the first. Public.
    Sequence(u64)
);
number!(
    /// The store's short name of a tenant. Never shown.
    TenantNo(i64)
);

number!(
    /// The store's short name of an endpoint, from 1. Never shown.
    EndpointNo(i64)
);
number!(
    /// The store's short name of a replay, from 1. Never shown.
    ReplayNo(i64)
);
number!(
    /// Counts the changes of subscriptions in a partition. Moved under the lock of the partition's head, so that every
    /// change stands between two positions of the log.
    Revision(u64)
);
number!(
    /// Counts the owners that a partition's router has had. Whoever moves the checkpoint proves it.
    Epoch(u64)
);

/// Names a lane: an endpoint's own, or that of a replay to it. Stored as one number: an endpoint's is positive, a
/// replay's negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneNo(pub i64);

impl From<EndpointNo> for LaneNo {
    fn from(endpoint: EndpointNo) -> Self {
        Self(endpoint.0)
    }
}

impl From<ReplayNo> for LaneNo {
    fn from(replay: ReplayNo) -> Self {
        Self(-replay.0)
    }
}

impl LaneNo {
    /// The endpoint whose own lane this is.
    #[must_use]
    pub fn endpoint(self) -> Option<EndpointNo> {
        (self.0 > 0).then_some(EndpointNo(self.0))
    }

    /// The replay whose lane this is.
    #[must_use]
    pub fn replay(self) -> Option<ReplayNo> {
        (self.0 < 0).then_some(ReplayNo(-self.0))
    }
}

/// Names one life of a log: made when the store is created, changed when it is restored from a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId(pub ulid::Ulid);

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Random bytes that hide what a digest was taken of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Salt(pub [u8; 16]);

/// SHA-256 over an event's canonical form: one leaf of its tenant's transparency log.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One write for all of them: digests are written for every event.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'0'; 64];
        for (byte, digits) in self.0.iter().zip(text.as_chunks_mut().0) {
            *digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

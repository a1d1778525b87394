//! Effects that happen exactly once, though events are delivered at least once.
//!
//! Webhooks repeat, overtake each other and arrive twice at the same time. A consumer whose effect lives in its own
//! database makes it happen exactly once by remembering, *in the transaction of the effect*, one number for each
//! (consumer, tenant): the **mark**, the sequence up to which every event has had its effect. The row of the mark is
//! locked until that transaction ends, so two deliveries of one event are judged one after the other. If the
//! transaction rolls back, so does the mark, and the next delivery is fresh again.
//!
//! One number is enough because each delivery names the event before it: `tidings-sequence` and `tidings-previous`.
//! Sequences that a subscription's filter leaves out are not holes; an event whose predecessor has not had its
//! effect yet is.
//!
//! | a delivery with | is | the receiver |
//! | --- | --- | --- |
//! | `sequence` ≤ mark | [`Acceptance::Duplicate`] | answers 2xx and does nothing |
//! | `previous` ≤ mark < `sequence` | [`Acceptance::Fresh`] | has the effect, commits, answers 2xx |
//! | `previous` > mark | [`Acceptance::Early`] | answers 503 with `Retry-After`; nothing was recorded |
//!
//! A **webhook receiver** calls `accept` for each delivery. So that the first one is not early, a consumer that joins
//! an endpoint which has received events before calls `begin_at` once, with the sequence from which it is to go on. If
//! an event was given up as a dead letter, later ones may stay early: the receiver reads the feed from its mark,
//! has the effects, and the mark moves on by itself. An event that is redriven after the mark has passed it is taken
//! for a duplicate.
//!
//! A **feed reader** gets events in order and without holes: it calls `accept` with [`Delivery::in_order`] for each
//! event, in the transaction of its effect, and `advance` with the page's cursor, so that after a restart `mark`
//! says where to go on.
//!
//! A consumer uses one inbox name for one selection of events: a second subscription with another filter needs a
//! name of its own.

use tidings_event::Sequence;

/// Makes nothing of a header that is not there, and refuses one that is not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {0} header is not a sequence")]
pub struct HeaderError(&'static str);

/// Where an event stands among those that its consumer gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The event's sequence, from 1.
    pub sequence: Sequence,
    /// The sequence of the event that the consumer gets before this one; zero for the first.
    pub previous: Sequence,
}

impl Delivery {
    /// An event that a reader got in order, so that everything before it has been seen: from the feed.
    #[must_use]
    pub const fn in_order(sequence: Sequence) -> Self {
        Self { sequence, previous: Sequence(0) }
    }

    /// Reads the headers `tidings-sequence` and `tidings-previous` of a webhook. The latter is absent on the first
    /// event of an endpoint.
    ///
    /// ```
    /// use tidings_outbox::inbox::Delivery;
    ///
    /// let delivery = Delivery::from_headers("1207", Some("1201"))?;
    /// assert_eq!((delivery.sequence.get(), delivery.previous.get()), (1207, 1201));
    /// # Ok::<(), tidings_outbox::inbox::HeaderError>(())
    /// ```
    pub fn from_headers(sequence: &str, previous: Option<&str>) -> Result<Self, HeaderError> {
        // Sequences are stored as 64-bit signed integers.
        let number =
            |text: &str| text.trim().parse().ok().filter(|number| i64::try_from(*number).is_ok()).map(Sequence);
        let sequence = number(sequence).filter(|sequence| sequence.get() > 0).ok_or(HeaderError("tidings-sequence"))?;
        let previous = match previous {
            Some(previous) => number(previous).ok_or(HeaderError("tidings-previous"))?,
            None => Sequence(0),
        };
        Ok(Self { sequence, previous })
    }
}

/// What a delivery means to its consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// Its turn has come: have the effect and commit. The mark has moved in the same transaction.
    Fresh,
    /// It has had its effect before: acknowledge it and do nothing.
    Duplicate,
    /// An event before it has not had its effect yet. Nothing was recorded; let the sender try again later.
    Early {
        /// The mark: events after it are missing.
        after: Sequence,
    },
}

/// What the inbox remembers for one consumer and tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Every event up to this sequence has had its effect.
    pub sequence: Sequence,
    /// Where a feed reader goes on.
    pub cursor: Option<String>,
}

/// Judges a delivery by the mark alone: the whole rule, for those who keep the mark elsewhere.
#[must_use]
pub fn judge(mark: Sequence, delivery: Delivery) -> Acceptance {
    if delivery.sequence <= mark {
        Acceptance::Duplicate
    } else if delivery.previous > mark {
        Acceptance::Early { after: mark }
    } else {
        Acceptance::Fresh
    }
}

/// The sequence as the databases store it.
#[cfg(any(feature = "rusqlite", feature = "tokio-postgres", feature = "sqlx"))]
pub(crate) fn to_sql(sequence: Sequence) -> i64 {
    // A log that counts a million events a second reaches this bound after 292,000 years.
    i64::try_from(sequence.get()).unwrap_or(i64::MAX)
}

/// The sequence from what the databases store; their checks keep it from being negative.
#[cfg(any(feature = "rusqlite", feature = "tokio-postgres", feature = "sqlx"))]
pub(crate) fn from_sql(sequence: i64) -> Sequence {
    Sequence(u64::try_from(sequence).unwrap_or(0))
}

/// What the answer of `INBOX_ACCEPT` means: whether the mark moved, and the mark as the statement's snapshot had it.
#[cfg(any(feature = "rusqlite", feature = "tokio-postgres", feature = "sqlx"))]
pub(crate) fn interpret(moved: bool, mark: Option<i64>, delivery: Delivery) -> Acceptance {
    if moved {
        return Acceptance::Fresh;
    }
    match judge(from_sql(mark.unwrap_or(0)), delivery) {
        // The snapshot is older than the row: while this statement waited for the row's lock, another delivery
        // moved the mark. Marks only rise, so what was this one's turn before is a duplicate now.
        Acceptance::Fresh => Acceptance::Duplicate,
        judged => judged,
    }
}

//! What a caller can act on.

use tidings_event::EventId;

/// Why a call failed. `D` is the database driver's own error.
#[derive(Debug, thiserror::Error)]
pub enum Error<D: std::error::Error + 'static> {
    /// The outbox holds another event or intent under this id. Nothing was written and the transaction is still
    /// usable; the event needs an id of its own.
    #[error("the source key {0} is taken by other content")]
    SourceKeyTaken(EventId),
    /// The event's `data` has more than [`DATA_BYTES_MAX`](tidings_event::limits::DATA_BYTES_MAX) bytes, so that the
    /// log would refuse it. Nothing was written and the transaction is still usable.
    #[error("the data of event {id} has {bytes} bytes, more than the log takes")]
    DataTooLarge {
        /// The event.
        id: EventId,
        /// Bytes of its `data`.
        bytes: usize,
    },
    /// The database has no such table; `install` makes it. In PostgreSQL the transaction has failed.
    #[error("the tables are not installed in this database")]
    NotInstalled,
    /// A newer version than this crate knows is installed.
    #[error("version {installed} of the tables is installed; this crate knows version {known}")]
    TooNew {
        /// The version in the database.
        installed: u32,
        /// The newest version that this crate can install and use.
        known: u32,
    },
    /// The database failed. Whether a retry helps is for the driver's error to say.
    #[error("the database failed")]
    Database(#[source] D),
}

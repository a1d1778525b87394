//! Who emits events.

use std::sync::Arc;

use tidings_catalog::ownership::Holder;
use tidings_event::Text;
use tidings_store::Role;

use crate::endpoints::Who;

/// Who emits events: in whose name it may do so depends on that.
#[derive(Debug, Clone)]
pub enum Emitter {
    /// The holder of a key.
    Key {
        /// The key.
        who: Who,
        /// The service that the key belongs to, if it is one's.
        service: Option<Text>,
    },
    /// Whoever can write to an outbox.
    Source {
        /// The outbox's name in the configuration.
        name: Arc<str>,
        /// The service that the outbox belongs to, if it is one's.
        service: Option<Text>,
    },
}

impl Emitter {
    /// Its name: a key's id, or `source/` and the name of an outbox.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Key { who, .. } => who.key.clone(),
            Self::Source { name, .. } => format!("source/{name}"),
        }
    }

    /// What the catalog asks of it.
    pub(crate) fn holder(&self) -> Holder<'_> {
        match self {
            Self::Key { who, .. } if who.role == Role::Admin => Holder::Admin,
            Self::Key { service: Some(service), .. } | Self::Source { service: Some(service), .. } => {
                Holder::Service(service.as_str())
            }
            Self::Key { service: None, .. } => Holder::Nameless,
            Self::Source { service: None, .. } => Holder::Outbox,
        }
    }

    /// Whether it may emit only in the name of one service, whatever the catalog holds.
    pub(crate) fn is_bound(&self) -> bool {
        matches!(self.holder(), Holder::Service(_))
    }

    pub(crate) fn who(&self) -> Option<&Who> {
        match self {
            Self::Key { who, .. } => Some(who),
            Self::Source { .. } => None,
        }
    }
}

//! Cursors of feeds and lists. Each belongs to what was asked; given to another question it is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tidings_engine::{ColumnFilter, Direction, Selection};
use tidings_event::{
    Cursor, CursorError, CursorKey, CursorSealer, ErrorCode, FilterHash, LogId, Sequence, TenantHash, TenantId,
};

use crate::app::Shared;
use crate::failure::Failure;
use crate::query::Query;

impl From<CursorError> for Failure {
    fn from(error: CursorError) -> Self {
        let detail = match error {
            CursorError::Invalid => "The cursor was not made by this server, or was changed.",
            CursorError::OtherTenant => "The cursor belongs to another tenant.",
            CursorError::OtherFilter => "The cursor belongs to a request with other parameters.",
            CursorError::OtherLog => "The cursor is of another log: this one was restored or made anew. Start again.",
        };
        Self::new(error.code(), detail)
    }
}

/// The cursors of one feed reader.
pub(crate) struct FeedCursors {
    key: CursorKey,
    log: LogId,
    tenant: TenantId,
    filter: FilterHash,
    sealer: CursorSealer,
}

impl FeedCursors {
    pub(crate) fn new(app: &Shared, tenant: &TenantId, selection: &Selection) -> Self {
        let (log, filter) = (app.engine.log().id, selection.hash());
        let sealer = CursorSealer::new(&app.cursor_key, log, tenant, filter);
        Self { key: app.cursor_key.clone(), log, tenant: tenant.clone(), filter, sealer }
    }

    pub(crate) fn seal(&self, sequence: Sequence) -> String {
        self.sealer.seal(sequence)
    }

    pub(crate) fn open(&self, text: &str) -> Result<Sequence, Failure> {
        Ok(self.key.open(text)?.check(self.log, &self.tenant, self.filter)?)
    }
}

/// What a search asked for, as its cursors remember it.
#[derive(Clone, Copy)]
pub(crate) struct QueryHash(FilterHash);

impl QueryHash {
    /// Of all parameters but those that may change from page to page.
    pub(crate) fn of(query: &Query, columns: &ColumnFilter, direction: Direction) -> Self {
        let mut hash = Sha256::new().chain_update(b"tidings/search\0");
        let mut feed = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        let mut pairs: Vec<(&str, &str)> = query.pairs().filter(|(name, _)| !may_change(name)).collect();
        pairs.sort_unstable();
        for (name, value) in pairs {
            feed(name);
            feed(value);
        }
        // An entity's stream has its entity in the path.
        feed(columns.entity_kind.as_ref().map_or("", |text| text.as_str()));
        feed(columns.entity_id.as_ref().map_or("", |text| text.as_str()));
        feed(match direction {
            Direction::Forward => "asc",
            Direction::Backward => "desc",
        });
        Self(first_8(&hash.finalize()))
    }
}

fn may_change(name: &str) -> bool {
    matches!(name, "cursor" | "limit" | "format" | "order")
}

fn first_8(bytes: &[u8]) -> FilterHash {
    FilterHash(*bytes.first_chunk().expect("a SHA-256 has 32 bytes"))
}

/// The lists that page by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Tenants,
    Keys,
    RefusedRows,
    Endpoints,
    Attempts,
    DeadLetters,
    Replays,
    EventTypes,
    Sets,
    Policies,
    Entries,
    History,
    Lineage,
    Quarantine,
    Redrive,
    Violations,
}

impl List {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tenants => "tenants",
            Self::Keys => "keys",
            Self::RefusedRows => "refused_rows",
            Self::Endpoints => "endpoints",
            Self::Attempts => "attempts",
            Self::DeadLetters => "dead_letters",
            Self::Replays => "replays",
            Self::EventTypes => "event_types",
            Self::Sets => "sets",
            Self::Policies => "policies",
            Self::Entries => "entries",
            Self::History => "history",
            Self::Lineage => "lineage",
            Self::Quarantine => "quarantine",
            Self::Redrive => "redrive",
            Self::Violations => "violations",
        }
    }

    /// The list of one owner, which takes no parameters.
    pub(crate) fn of(self, owner: &[&str]) -> Within {
        self.within(owner, &Query::default())
    }

    /// The list of one owner, asked for with these parameters.
    pub(crate) fn within(self, owner: &[&str], query: &Query) -> Within {
        let mut hash = Sha256::new().chain_update(b"tidings/list/list\0").chain_update(self.as_str());
        let mut feed = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        owner.iter().for_each(|name| feed(name));
        let mut pairs: Vec<(&str, &str)> = query.pairs().filter(|(name, _)| !may_change(name)).collect();
        pairs.sort_unstable();
        for (name, value) in pairs {
            feed(name);
            feed(value);
        }
        Within(first_8(&hash.finalize()))
    }
}

/// Which list a cursor belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Within(FilterHash);

impl From<List> for Within {
    fn from(list: List) -> Self {
        Self(first_8(&Sha256::new().chain_update(b"tidings/list/list\0").chain_update(list.as_str()).finalize()))
    }
}

impl Shared {
    /// A search's cursor.
    pub(crate) fn seal_list_cursor(&self, next: Sequence, tenant: &TenantId, hash: QueryHash) -> String {
        self.cursor_key.seal(&Cursor::new(self.engine.log().id, tenant, next, hash.0))
    }

    /// Where a search goes on.
    pub(crate) fn open_list_cursor(&self, text: &str, tenant: &TenantId, hash: QueryHash) -> Result<Sequence, Failure> {
        Ok(self.cursor_key.open(text)?.check(self.engine.log().id, tenant, hash.0)?)
    }

    /// The cursor of a list that goes on after a name: the name and a seal over it.
    pub(crate) fn seal_name(&self, list: impl Into<Within>, name: &str) -> String {
        let seal = self.cursor_key.seal(&self.name_cursor(list.into(), name));
        format!("{}.{seal}", URL_SAFE_NO_PAD.encode(name))
    }

    /// The name after which a list goes on.
    pub(crate) fn open_name(&self, list: impl Into<Within>, text: &str) -> Result<String, Failure> {
        let parts = text.split_once('.').and_then(|(name, seal)| {
            let name = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
            Some((name, self.cursor_key.open(seal).ok()?))
        });
        match parts {
            Some((name, cursor)) if cursor == self.name_cursor(list.into(), &name) => Ok(name),
            Some(_) => Err(Failure::new(ErrorCode::CursorMismatch, "The cursor belongs to another list.")),
            None => Err(CursorError::Invalid.into()),
        }
    }

    fn name_cursor(&self, list: Within, name: &str) -> Cursor {
        let name = Sha256::new().chain_update(b"tidings/list/name\0").chain_update(name).finalize();
        Cursor {
            log: self.engine.log().id,
            tenant: TenantHash(first_8(&name).0),
            sequence: Sequence(0),
            filter: list.0,
        }
    }
}

/// Cuts a list that was read with one entry more than wanted, and tells the entry after which it goes on.
pub(crate) fn cut<T>(rows: &mut Vec<T>, limit: usize) -> Option<&T> {
    if rows.len() <= limit {
        return None;
    }
    rows.truncate(limit);
    rows.last()
}

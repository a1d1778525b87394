//! Compiled selections of feed readers and searches. A reader that pages asks with the same words each time.

use std::sync::Arc;

use moka::sync::Cache;
use tidings_core::pattern::{FilterError, Selection};
use tidings_event::{ErrorCode, Violation};

use crate::failure::Failure;
use crate::limits::{SELECTION_BYTES_MAX, SELECTIONS_CACHED_MAX, TYPES_MAX};
use crate::query::{Query, refuse};

/// Remembers what was compiled, under the words it was compiled from.
pub(crate) struct Selections {
    all: Arc<Selection>,
    cache: Cache<(Vec<String>, String), Arc<Selection>>,
}

impl Default for Selections {
    fn default() -> Self {
        Self { all: Arc::new(Selection::all()), cache: Cache::new(SELECTIONS_CACHED_MAX) }
    }
}

impl Selections {
    /// The selection that the parameters `types` and `filter` ask for.
    pub(crate) fn of_query(&self, query: &Query) -> Result<Arc<Selection>, Failure> {
        let types = query.list("types");
        let filter = query.get("filter").unwrap_or_default();
        if types.is_empty() && filter.is_empty() {
            return Ok(Arc::clone(&self.all));
        }
        if types.len() > TYPES_MAX {
            return Err(refuse("types", "too_many", &format!("has more than {TYPES_MAX} entries")));
        }
        let size_bytes = filter.len() + types.iter().map(String::len).sum::<usize>();
        if size_bytes > SELECTION_BYTES_MAX {
            return Err(refuse(
                "filter",
                "too_long",
                &format!("has more than {SELECTION_BYTES_MAX} bytes with 'types'"),
            ));
        }
        let words = (types, filter.to_owned());
        if let Some(selection) = self.cache.get(&words) {
            return Ok(selection);
        }
        let bytes = (!words.1.is_empty()).then_some(words.1.as_bytes());
        let selection = Arc::new(Selection::new(&words.0, bytes).map_err(invalid)?);
        self.cache.insert(words, Arc::clone(&selection));
        Ok(selection)
    }
}

fn invalid(error: FilterError) -> Failure {
    let violation =
        Violation { path: format!("query{}", error.path), code: "filter_invalid", message: error.message.clone() };
    Failure::new(ErrorCode::FilterInvalid, error.message).with_errors(vec![violation])
}

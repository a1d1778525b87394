//! Tenants' names by their numbers: rows of the log carry the number alone.

use std::collections::HashMap;

use parking_lot::RwLock;
use tidings_event::{TenantId, TenantNo};

/// Names kept at most; beyond it all are forgotten and read again.
const NAMES_MAX: usize = 100_000;

/// Names seen so far. A tenant's name never changes, so what is here is never stale.
#[derive(Default)]
pub(crate) struct Names(RwLock<HashMap<TenantNo, TenantId>>);

impl Names {
    pub(crate) fn get(&self, no: TenantNo) -> Option<TenantId> {
        self.0.read().get(&no).cloned()
    }

    pub(crate) fn put(&self, no: TenantNo, name: &TenantId) {
        if self.0.read().contains_key(&no) {
            return;
        }
        let mut names = self.0.write();
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(no, name.clone());
    }
}

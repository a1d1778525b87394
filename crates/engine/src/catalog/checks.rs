//! Checking a change of the catalog, where nobody waits for it: it may take seconds.

use std::collections::BTreeSet;

use tidings_catalog::check::{Known, apply_overrides, check};
use tidings_catalog::entry::Kind;
use tidings_catalog::judge::Catalog;
use tidings_catalog::report::Report;
use tidings_store::{EntryRow, Role};

use super::author::Author;
use super::error::CatalogError;
use super::holder::entry;
use super::pool::{Broke, Room, Work};
use super::types::Proposal;
use super::{Catalogs, Result, today};

impl Catalogs {
    /// Room for the check of a change, to be taken before anything large is read for it.
    pub(super) async fn room_to_check(&self) -> Room {
        self.engine.shared.catalog.door.pool.room(Work::Check).await
    }

    /// Whether the caller may change all that it wants to. Only then anything is read and worked out for it.
    pub(super) async fn check_author(&self, author: &Author, catalog: &Catalog, proposal: &Proposal) -> Result<()> {
        if author.who.role == Role::Admin {
            return Ok(());
        }
        let (author, catalog, entries) = (author.clone(), catalog.clone(), proposal.entries.clone());
        self.check_aside(move || author.check(&catalog, &entries)).await?.map_err(CatalogError::NotOwned)
    }

    /// Checks a change against what was there before.
    pub(super) async fn examine(
        room: Room,
        catalog: Catalog,
        history: Vec<EntryRow>,
        proposal: Proposal,
    ) -> Result<Report> {
        let today = today();
        let checks = move || {
            let touched: BTreeSet<(Kind, &str)> =
                proposal.entries.iter().map(|entry| (entry.key.kind, entry.key.name.as_str())).collect();
            let others =
                catalog.entries().filter(|entry| !touched.contains(&(entry.key.kind, entry.key.name.as_str())));
            let known = Known::new(others.cloned().chain(history.iter().filter_map(entry)));
            let mut report = check(&known, &proposal.entries, today);
            apply_overrides(&mut report, &proposal.overrides);
            report
        };
        room.run(checks).await.map_err(broken)
    }

    /// Does work for a change once there is room for it.
    pub(super) async fn check_aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.room_to_check().await.run(work).await.map_err(broken)
    }
}

fn broken(Broke: Broke) -> CatalogError {
    CatalogError::Store(tidings_store::Error::Broken("a check of the catalog broke".to_owned()))
}

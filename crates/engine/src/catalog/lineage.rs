//! Who publishes a type and who subscribes to it, as far as this log has seen.

use std::collections::BTreeMap;

use tidings_catalog::lineage::{Lineage, Publisher, Subscriber};
use tidings_core::index::wants_type;
use tidings_core::pattern::{Selection, TypeHint};
use tidings_event::{EndpointNo, EventType};
use tidings_store::EndpointRow;
use url::Url;

use super::against_log::aside_of_others;
use super::observed::OBSERVED_MAX;
use super::{Catalogs, Result};
use crate::endpoints::Kept;

/// Subscribers that the lineage of one type names at most.
pub const SUBSCRIBERS_MAX: usize = 1_000;
/// Subscribers that all lineages of one answer name at most.
const SUBSCRIBERS_OF_ALL_MAX: usize = 50_000;
/// Endpoints that are read at once.
pub(super) const ENDPOINTS_AT_ONCE: usize = 500;

impl Catalogs {
    /// The lineage of one type, or of every type that is in the catalog or was seen, by name. Publishers are those
    /// whose events this log took since it counts them, subscribers the endpoints of all tenants that are not deleted;
    /// at most [`SUBSCRIBERS_MAX`] of one type, and some ten thousand in all, those that were made first.
    pub async fn lineage(&self, event_type: Option<&EventType>) -> Result<Vec<Lineage>> {
        let store = self.store();
        // What this node has counted and not yet stored belongs to it.
        self.engine.shared.catalog.observed.flush(store).await?;
        let mut lineages: BTreeMap<EventType, Lineage> = BTreeMap::new();
        let blank = |event_type: &EventType| Lineage {
            event_type: event_type.clone(),
            observed: Vec::new(),
            subscribers: Vec::new(),
        };
        match event_type {
            Some(one) => drop(lineages.insert(one.clone(), blank(one))),
            None => {
                let catalog = self.engine.catalog();
                let names = catalog.definitions().map(|definition| &definition.name);
                lineages.extend(names.map(|name| (name.clone(), blank(name))));
            }
        }
        for row in store.observed(event_type, OBSERVED_MAX).await? {
            let lineage = lineages.entry(row.event_type.clone()).or_insert_with(|| blank(&row.event_type));
            lineage.observed.push(Publisher {
                version: row.version,
                source: row.source_id.to_string(),
                events: row.events,
                first_at: row.first_at,
                last_at: row.last_at,
            });
        }
        let mut gathered = Gathered { lineages, left: SUBSCRIBERS_OF_ALL_MAX };
        let mut after = EndpointNo(0);
        loop {
            let rows = store.all_endpoints(after, ENDPOINTS_AT_ONCE).await?;
            let Some(last) = rows.last() else { break };
            after = last.no;
            gathered = aside_of_others(move || {
                rows.iter().for_each(|row| gathered.subscribe(row));
                gathered
            })
            .await?;
        }
        let sort = |mut lineage: Lineage| {
            lineage.subscribers.sort_by(|a, b| (&a.tenant, &a.endpoint).cmp(&(&b.tenant, &b.endpoint)));
            lineage
        };
        Ok(gathered.lineages.into_values().map(sort).collect())
    }
}

struct Gathered {
    lineages: BTreeMap<EventType, Lineage>,
    left: usize,
}

impl Gathered {
    /// Adds an endpoint to the types that it selects. One whose selection cannot be read gets no events either.
    fn subscribe(&mut self, row: &EndpointRow) {
        let Some(newest) = row.selections.last() else { return };
        let Ok(selection) = Selection::shared(&newest.types, newest.filter.as_deref().map(str::as_bytes)) else {
            return;
        };
        let mut subscriber = None;
        for (event_type, lineage) in &mut self.lineages {
            if self.left == 0 {
                return;
            }
            if lineage.subscribers.len() < SUBSCRIBERS_MAX && wants_type(&selection, event_type) {
                let one = subscriber.get_or_insert_with(|| of_endpoint(row, &newest.types, &selection));
                lineage.subscribers.push(one.clone());
                self.left -= 1;
            }
        }
    }
}

fn of_endpoint(row: &EndpointRow, types: &[String], selection: &Selection) -> Subscriber {
    let host = Url::parse(&row.url).ok().and_then(|url| url.host_str().map(str::to_owned));
    Subscriber {
        tenant: row.tenant.to_string(),
        endpoint: row.id.to_string(),
        url_host: host.unwrap_or_default(),
        description: Kept::of(row).map(|kept| kept.settings.description).unwrap_or_default(),
        types: if types.is_empty() { types_of(selection) } else { types.to_vec() },
    }
}

/// The types of a selection that names them in its pattern alone, in shorthand.
fn types_of(selection: &Selection) -> Vec<String> {
    let shorthand = |hint| match hint {
        TypeHint::Exact(event_type) => event_type.to_string(),
        TypeHint::Prefix(prefix) => format!("{prefix}*"),
    };
    let types: Vec<String> = selection.type_hints().into_iter().map(shorthand).collect();
    if types.is_empty() { vec!["*".to_owned()] } else { types }
}

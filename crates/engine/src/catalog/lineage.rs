//! Who publishes a type and who subscribes to it, as far as this log has seen.

use std::collections::{BTreeMap, HashSet};

use tidings_catalog::lineage::{Lineage, Publisher, Subscriber};
use tidings_core::index::wants_type;
use tidings_core::pattern::{Selection, TypeHint};
use tidings_event::{EndpointNo, EventType, TenantId};
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

/// Who publishes and who subscribes, type by type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineages {
    /// One for each type, by name.
    pub types: Vec<Lineage>,
    /// Whether they name all subscribers.
    pub complete: bool,
}

impl Catalogs {
    /// The lineage of one type, or of every type that is in the catalog or was seen, by name. Publishers are those
    /// whose events this log took since it counts them. Subscribers are the endpoints that are not deleted, of the
    /// tenants that are named or else of all; at most [`SUBSCRIBERS_MAX`] of one type, and some ten thousand in all,
    /// those that were made first.
    pub async fn lineage(&self, event_type: Option<&EventType>, tenants: Option<&[TenantId]>) -> Result<Lineages> {
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
        let tenants = tenants.map(|tenants| tenants.iter().cloned().collect());
        let mut gathered = Gathered { lineages, tenants, left: SUBSCRIBERS_OF_ALL_MAX, complete: true };
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
        Ok(Lineages { types: gathered.lineages.into_values().map(sort).collect(), complete: gathered.complete })
    }
}

struct Gathered {
    lineages: BTreeMap<EventType, Lineage>,
    tenants: Option<HashSet<TenantId>>,
    left: usize,
    complete: bool,
}

impl Gathered {
    /// Adds an endpoint to the types that it selects. One whose selection cannot be read gets no events either.
    fn subscribe(&mut self, row: &EndpointRow) {
        if self.tenants.as_ref().is_some_and(|tenants| !tenants.contains(&row.tenant)) {
            return;
        }
        let Some(newest) = row.selections.last() else { return };
        let Ok(selection) = Selection::shared(&newest.types, newest.filter.as_deref().map(str::as_bytes)) else {
            return;
        };
        let mut subscriber = None;
        for (event_type, lineage) in &mut self.lineages {
            if !wants_type(&selection, event_type) {
                continue;
            }
            if self.left == 0 || lineage.subscribers.len() == SUBSCRIBERS_MAX {
                self.complete = false;
                continue;
            }
            let one = subscriber.get_or_insert_with(|| of_endpoint(row, &newest.types, &selection));
            lineage.subscribers.push(one.clone());
            self.left -= 1;
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

#[cfg(test)]
mod tests {
    use tidings_event::{EndpointId, PartitionId, Position, Revision, Sequence, TenantNo, Timestamp};
    use tidings_store::{EndpointStatus, SelectionRow};

    use super::*;

    fn row(no: i64, tenant: &str, types: &[&str]) -> EndpointRow {
        let types = types.iter().map(|name| (*name).to_owned()).collect();
        EndpointRow {
            no: EndpointNo(no),
            id: EndpointId::trusted(format!("ep_{no}")),
            tenant: TenantId::trusted(tenant),
            tenant_no: TenantNo(1),
            partition: PartitionId(0),
            revision: Revision(1),
            status: EndpointStatus::Active,
            status_reason: None,
            url: "https://hooks.example/in".to_owned(),
            selections: vec![SelectionRow { after: Sequence(0), position: Position(0), types, filter: None }],
            settings: "{}".to_owned(),
            secrets: Vec::new(),
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
        }
    }

    fn gathered(left: usize, tenants: Option<&[&str]>) -> Gathered {
        let blank = |name: &str| {
            let event_type = EventType::trusted(name);
            (event_type.clone(), Lineage { event_type, observed: Vec::new(), subscribers: Vec::new() })
        };
        let tenants = tenants.map(|tenants| tenants.iter().map(|name| TenantId::trusted(*name)).collect());
        Gathered { lineages: BTreeMap::from([blank("a.a"), blank("b.b")]), tenants, left, complete: true }
    }

    fn named(gathered: &Gathered) -> Vec<usize> {
        gathered.lineages.values().map(|lineage| lineage.subscribers.len()).collect()
    }

    #[test]
    fn a_lineage_that_leaves_subscribers_out_says_so() {
        let mut all = gathered(2, None);
        all.subscribe(&row(1, "acme", &[]));
        assert_eq!((named(&all), all.complete), (vec![1, 1], true));
        all.subscribe(&row(2, "acme", &["c.c"]));
        assert!(all.complete, "who selects none of the types is not missing");
        all.subscribe(&row(3, "acme", &["a.a"]));
        assert_eq!((named(&all), all.complete), (vec![1, 1], false));

        let mut of_one = gathered(2 * SUBSCRIBERS_MAX, None);
        (0..SUBSCRIBERS_MAX as i64).for_each(|no| of_one.subscribe(&row(no, "acme", &["a.a"])));
        assert!(of_one.complete);
        of_one.subscribe(&row(0, "acme", &[]));
        assert_eq!((named(&of_one), of_one.complete), (vec![SUBSCRIBERS_MAX, 1], false));
    }

    #[test]
    fn endpoints_of_others_take_no_place() {
        let mut own = gathered(2, Some(&["acme", "nobody"]));
        (0..10).for_each(|no| own.subscribe(&row(no, "globex", &[])));
        own.subscribe(&row(11, "acme", &[]));
        assert_eq!((named(&own), own.complete), (vec![1, 1], true));
    }
}

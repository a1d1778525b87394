//! Subscriptions that a change of the catalog would blind: a filter that can select something in events as they are
//! declared today, and could select nothing in events as they are proposed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use tidings_catalog::judge::Catalog;
use tidings_catalog::reach::{Reach, Segment, reach, reach_type};
use tidings_core::index::wants_type;
use tidings_core::pattern::{Ask, Selection, Step, Wanted};
use tidings_event::{EndpointNo, EventType, TenantId, Version};
use tidings_store::EndpointRow;

use super::against_log::{Blinded, aside_of_others};
use super::lineage::ENDPOINTS_AT_ONCE;
use super::{Catalogs, Result};

/// Subscriptions that a report names at most.
pub const BLINDED_MAX: usize = 1_000;
/// Selections whose meaning is remembered while endpoints are looked through: most repeat each other.
const REMEMBERED_MAX: usize = 10_000;

impl Catalogs {
    /// The endpoints that a change from `current` to `proposed` would blind for any of the definitions, and whether
    /// those are all of them.
    pub(super) async fn blinded(
        &self,
        current: Catalog,
        proposed: Catalog,
        definitions: Vec<(EventType, Version)>,
        tenants: Option<Vec<TenantId>>,
    ) -> Result<(Vec<Blinded>, bool)> {
        let schemas = definitions.into_iter().filter_map(|(event_type, version)| {
            let after = proposed.definition(&event_type, &version)?.schema.clone();
            let before = current.definition(&event_type, &version);
            let before = before.or_else(|| current.definition(&event_type, current.current(&event_type)?));
            let before = before.map(|definition| definition.schema.clone());
            (before.as_ref() != Some(&after)).then_some(Changed { event_type, version, before, after })
        });
        let schemas: Vec<Changed> = schemas.collect();
        let tenants = tenants.map(HashSet::from_iter);
        let mut eye = Eye { schemas, tenants, known: HashMap::new(), blinded: Vec::new(), complete: true };
        let mut after = EndpointNo(0);
        while !eye.schemas.is_empty() && eye.complete {
            let rows = self.store().all_endpoints(after, ENDPOINTS_AT_ONCE).await?;
            let Some(last) = rows.last() else { break };
            after = last.no;
            eye = aside_of_others(move || {
                rows.iter().for_each(|row| eye.look(row));
                eye
            })
            .await?;
        }
        eye.blinded.sort_by(|a, b| (&a.tenant, &a.endpoint).cmp(&(&b.tenant, &b.endpoint)));
        Ok((eye.blinded, eye.complete))
    }
}

/// A schema that changes; without the one before where the type is new.
struct Changed {
    event_type: EventType,
    version: Version,
    before: Option<Value>,
    after: Value,
}

/// What a selection would lose: the index of a change, the filter's path, and why.
type Losses = Arc<[(usize, String, String)]>;

struct Eye {
    schemas: Vec<Changed>,
    tenants: Option<HashSet<TenantId>>,
    known: HashMap<usize, (Arc<Selection>, Losses)>,
    blinded: Vec<Blinded>,
    complete: bool,
}

impl Eye {
    /// Looks at one endpoint. One whose selection cannot be read gets no events either.
    fn look(&mut self, row: &EndpointRow) {
        if self.tenants.as_ref().is_some_and(|tenants| !tenants.contains(&row.tenant)) {
            return;
        }
        let Some(newest) = row.selections.last() else { return };
        let Ok(selection) = Selection::shared(&newest.types, newest.filter.as_deref().map(str::as_bytes)) else {
            return;
        };
        for (index, field, why) in self.losses(&selection).iter() {
            if self.blinded.len() == BLINDED_MAX {
                self.complete = false;
                return;
            }
            let Some(changed) = self.schemas.get(*index) else { continue };
            self.blinded.push(Blinded {
                tenant: row.tenant.clone(),
                endpoint: row.id.clone(),
                event_type: changed.event_type.clone(),
                version: changed.version.clone(),
                types: newest.types.clone(),
                field: field.clone(),
                why: why.clone(),
            });
        }
    }

    fn losses(&mut self, selection: &Arc<Selection>) -> Losses {
        // Selections that are written the same are one, as long as anybody holds it: here for as long as it is known.
        let key = Arc::as_ptr(selection).addr();
        if let Some((_, losses)) = self.known.get(&key) {
            return Arc::clone(losses);
        }
        let asks = selection.asks();
        let wanted = self.schemas.iter().enumerate().filter(|(_, changed)| wants_type(selection, &changed.event_type));
        let losses: Losses = wanted
            .filter_map(|(index, changed)| {
                let (ask, why) = asks.iter().find_map(|ask| Some((ask, blind(&changed.after, ask)?)))?;
                let was_blind = |before: &Value| asks.iter().any(|ask| blind(before, ask).is_some());
                let is_new = !changed.before.as_ref().is_some_and(was_blind);
                is_new.then(|| (index, ask.field.clone(), why))
            })
            .collect();
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        self.known.insert(key, (Arc::clone(selection), Arc::clone(&losses)));
        losses
    }
}

/// Why a filter can hold for no event whose data is of the schema; nothing where it can, or where that is not known.
fn blind(schema: &Value, ask: &Ask) -> Option<String> {
    let path = below_data(ask.steps.as_deref()?)?;
    let impossible = |found: Reach| match found {
        Reach::Impossible(why) => Some(why),
        Reach::Possible | Reach::Unknown => None,
    };
    match &ask.wanted {
        Wanted::Absent => None,
        Wanted::Present | Wanted::Other => impossible(reach(schema, &path, None)),
        Wanted::TypeOf(value) => impossible(reach_type(schema, &path, value)),
        Wanted::AnyOf(values) => {
            let reasons: Option<Vec<String>> =
                values.iter().map(|value| impossible(reach(schema, &path, Some(value)))).collect();
            reasons?.into_iter().next()
        }
    }
}

/// The path below `data`; nothing where it speaks of the envelope.
fn below_data(steps: &[Step]) -> Option<Vec<Segment>> {
    let (first, rest) = steps.split_first()?;
    let segment = |step: &Step| match step {
        Step::Name(name) => Segment::Name(name.clone()),
        Step::Index(index) => Segment::Index(*index),
        Step::Any => Segment::Any,
    };
    (*first == Step::Name("data".to_owned())).then(|| rest.iter().map(segment).collect())
}

//! What a router knows of its partition's subscriptions, brought up to date change by change.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tidings_core::deliver::{LaneSpec, Ordering, Schedule};
use tidings_core::index::{Index, Subscription};
use tidings_core::pattern::Selection;
use tidings_event::{EndpointId, EndpointNo, LaneNo, ReplayNo, Revision, Sequence, TenantId, TenantNo, Timestamp};
use tidings_store::{EndpointRow, EndpointStatus, ReplayRow, ReplayState, RoutingChanges};

use super::Means;
use super::read::{Held, Selections};
use crate::endpoints::{self, EndpointSettings, Kept, Sender};

/// The subscriptions of a partition.
pub(super) struct Routing {
    /// Everything up to it is known.
    pub(super) revision: Revision,
    pub(super) index: Index,
    endpoints: HashMap<EndpointNo, Known>,
    tenants: HashMap<TenantNo, BTreeSet<EndpointNo>>,
    replays: HashMap<ReplayNo, Replay>,
}

/// An endpoint.
struct Known {
    row: EndpointRow,
    selections: Selections,
    ordering: Ordering,
    schedule: Schedule,
    rate_per_s: Option<u32>,
    /// Whether it can be delivered to; false also where its row cannot be read.
    running: bool,
    /// Made when the first event is sent.
    sender: Option<Prepared>,
}

/// A sender, or why there is none, and how long that holds.
struct Prepared {
    sender: Result<Arc<Sender>, Arc<str>>,
    until: Option<Timestamp>,
}

struct Replay {
    row: ReplayRow,
    selections: Selections,
    readable: bool,
}

/// What the router has to be told.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Lanes that are new or deliver otherwise.
    pub(super) specs: Vec<LaneSpec>,
    /// Lanes that are no more.
    pub(super) gone: Vec<LaneNo>,
}

impl Routing {
    /// All subscriptions there are, and their lanes; a lane without a row stands at the checkpoint.
    pub(super) fn begin(changes: RoutingChanges) -> (Self, Vec<LaneSpec>) {
        let mut routing = Self {
            revision: Revision::default(),
            index: Index::empty(),
            endpoints: HashMap::new(),
            tenants: HashMap::new(),
            replays: HashMap::new(),
        };
        let changed = routing.take(changes).0;
        routing.index = Index::build(routing.tenants.values().flatten().flat_map(|no| routing.subscriptions(*no)));
        let specs = changed
            .specs
            .into_iter()
            .map(|spec| LaneSpec { begin: spec.begin.filter(|_| spec.end.is_some()), ..spec })
            .collect();
        (routing, specs)
    }

    /// Takes what was changed.
    pub(super) fn change(&mut self, changes: RoutingChanges) -> Changed {
        let (changed, tenants) = self.take(changes);
        for tenant in tenants {
            let nos: Vec<EndpointNo> = self.tenants.get(&tenant).into_iter().flatten().copied().collect();
            let subscriptions = nos.into_iter().flat_map(|no| self.subscriptions(no)).collect();
            self.index = self.index.with_tenant(tenant, subscriptions);
        }
        changed
    }

    /// What a lane wants; nothing for one that is no more.
    pub(super) fn selections(&self, lane: LaneNo) -> Option<Selections> {
        match (lane.endpoint(), lane.replay()) {
            (Some(no), _) => self.endpoints.get(&no).map(|known| known.selections.clone()),
            (_, Some(no)) => self.replays.get(&no).map(|replay| replay.selections.clone()),
            (None, None) => None,
        }
    }

    /// What sends to an endpoint at this moment, or why it cannot be sent to.
    pub(super) fn sender(&mut self, no: EndpointNo, means: &Means, now: Timestamp) -> Result<Arc<Sender>, Arc<str>> {
        let Some(known) = self.endpoints.get_mut(&no) else { return Err(Arc::from("the endpoint is gone")) };
        let is_stale = |prepared: &Prepared| prepared.until.is_some_and(|until| now >= until);
        if known.sender.as_ref().is_none_or(is_stale) {
            let (sender, until) = match Sender::of(&known.row, &means.secrets, &means.egress, now) {
                Ok((sender, until)) => (Ok(Arc::new(sender)), until),
                Err(reason) => {
                    tracing::warn!(tenant = %known.row.tenant, endpoint = %known.row.id, reason, "an endpoint cannot be sent to");
                    (Err(Arc::from(reason)), None)
                }
            };
            known.sender = Some(Prepared { sender, until });
        }
        known.sender.as_ref().map_or_else(|| Err(Arc::from("nothing was prepared")), |known| known.sender.clone())
    }

    /// Whose an endpoint is, and its public id.
    pub(super) fn endpoint(&self, no: EndpointNo) -> Option<(&TenantId, &EndpointId)> {
        self.endpoints.get(&no).map(|known| (&known.row.tenant, &known.row.id))
    }

    /// A replay's public id.
    pub(super) fn replay(&self, no: ReplayNo) -> Option<&str> {
        self.replays.get(&no).map(|replay| replay.row.id.as_str())
    }

    /// Forgets a replay that came to its end.
    pub(super) fn finish(&mut self, no: ReplayNo) {
        self.replays.remove(&no);
    }

    /// Takes rows; returns what the router has to be told and whose subscriptions were changed.
    fn take(&mut self, changes: RoutingChanges) -> (Changed, HashSet<TenantNo>) {
        let mut changed = Changed::default();
        let mut tenants = HashSet::new();
        let mut touched: BTreeSet<EndpointNo> = BTreeSet::new();
        for row in changes.endpoints {
            let no = row.no;
            tenants.insert(row.tenant_no);
            let of_tenant = self.tenants.entry(row.tenant_no).or_default();
            if row.status == EndpointStatus::Deleted {
                of_tenant.remove(&no);
                if self.endpoints.remove(&no).is_some() {
                    changed.gone.push(LaneNo::from(no));
                }
                self.replays.retain(|replay, known| {
                    let stays = known.row.endpoint != no;
                    if !stays {
                        changed.gone.push(LaneNo::from(*replay));
                    }
                    stays
                });
                continue;
            }
            of_tenant.insert(no);
            touched.insert(no);
            self.endpoints.insert(no, Known::of(row));
        }
        self.tenants.retain(|_, endpoints| !endpoints.is_empty());
        let mut replays: BTreeSet<ReplayNo> = self
            .replays
            .iter()
            .filter(|(_, replay)| touched.contains(&replay.row.endpoint))
            .map(|(no, _)| *no)
            .collect();
        for row in changes.replays {
            let no = row.no;
            if row.state == ReplayState::Running && self.endpoints.contains_key(&row.endpoint) {
                self.replays.insert(no, Replay::of(row));
                replays.insert(no);
            } else {
                replays.remove(&no);
                if self.replays.remove(&no).is_some() {
                    changed.gone.push(LaneNo::from(no));
                }
            }
        }
        changed.specs.extend(touched.iter().filter_map(|no| self.endpoints.get(no).map(Known::spec)));
        changed.specs.extend(replays.iter().filter_map(|no| self.replay_spec(*no)));
        self.revision = self.revision.max(changes.revision);
        (changed, tenants)
    }

    fn replay_spec(&self, no: ReplayNo) -> Option<LaneSpec> {
        let Replay { row, readable, .. } = self.replays.get(&no)?;
        let own = self.endpoints.get(&row.endpoint)?.spec();
        Some(LaneSpec {
            lane: LaneNo::from(no),
            rate_per_s: row.rate_per_s.or(own.rate_per_s),
            running: own.running && *readable,
            end: Some(row.upto),
            begin: Some(row.after),
            ..own
        })
    }

    fn subscriptions(&self, no: EndpointNo) -> Vec<Subscription> {
        let Some(known) = self.endpoints.get(&no) else { return Vec::new() };
        let until = known.selections.iter().skip(1).map(|next| Some(next.after)).chain([None]);
        let of = |(held, until): (&Held, Option<Sequence>)| Subscription {
            lane: LaneNo::from(no),
            tenant: known.row.tenant_no,
            after: held.after,
            until,
            selection: held.selection.clone(),
        };
        known.selections.iter().zip(until).map(of).collect()
    }
}

impl Known {
    /// Reads a row. One that cannot be read is not delivered to, but loses nothing: its lane stands still.
    fn of(row: EndpointRow) -> Self {
        let unreadable = |reason: &str| {
            tracing::error!(tenant = %row.tenant, endpoint = %row.id, reason, "an endpoint cannot be read; its deliveries wait");
        };
        let mut running = row.status == EndpointStatus::Active;
        let settings = Kept::of(&row).map(|kept| kept.settings).unwrap_or_else(|reason| {
            unreadable(&reason);
            running = false;
            EndpointSettings::default()
        });
        let schedule = Schedule::new(settings.retry_schedule_s).unwrap_or_else(|reason| {
            unreadable(reason);
            Schedule::standard()
        });
        let selections = row
            .selections
            .iter()
            .map(|held| {
                let selection = selection(&held.types, held.filter.as_deref()).unwrap_or_else(|reason| {
                    unreadable(&reason);
                    running = false;
                    Arc::new(Selection::all())
                });
                Held { after: held.after, selection }
            })
            .collect();
        Self {
            ordering: match settings.ordering {
                endpoints::Ordering::None => Ordering::None,
                endpoints::Ordering::Entity => Ordering::Entity,
                endpoints::Ordering::Strict => Ordering::Strict,
            },
            schedule,
            rate_per_s: settings.rate_limit_per_s,
            running,
            selections,
            sender: None,
            row,
        }
    }

    fn spec(&self) -> LaneSpec {
        LaneSpec {
            lane: LaneNo::from(self.row.no),
            endpoint: self.row.no,
            tenant: self.row.tenant_no,
            ordering: self.ordering,
            schedule: self.schedule.clone(),
            rate_per_s: self.rate_per_s,
            running: self.running,
            end: None,
            begin: self.selections.first().map(|held| held.after),
        }
    }
}

impl Replay {
    /// Reads a row. One whose filter cannot be read stands still, as nobody could say what it shall deliver.
    fn of(row: ReplayRow) -> Self {
        let (selection, readable) = match selection(&row.types, row.filter.as_deref()) {
            Ok(selection) => (selection, true),
            Err(reason) => {
                tracing::error!(replay = row.id, reason, "a replay cannot be read; it waits");
                (Arc::new(Selection::all()), false)
            }
        };
        let selections = Arc::from([Held { after: row.after, selection }]);
        Self { row, selections, readable }
    }
}

fn selection(types: &[String], filter: Option<&str>) -> Result<Arc<Selection>, String> {
    Selection::shared(types, filter.map(str::as_bytes)).map_err(|error| error.to_string())
}

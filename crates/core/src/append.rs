//! What an append writes: the one place where positions and sequences are given out.
//!
//! The store locks the partition's head, reads what [`keys`] asks for, and [`plan`] turns it into rows. Requests of
//! several callers are merged into one batch; each gets its own verdict.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidings_event::limits::VIOLATIONS_MAX;
use tidings_event::log::{AppendKeys, AppendPlan, AppendView, EntityKey, Existing, Mark, Newest, Receipt, Verdict};
use tidings_event::{
    Digest, Entity, Event, EventId, EventType, Recorded, Salt, Sequence, TenantNo, Timestamp, Violation, digest,
};

/// One caller's events: all of them are written, or none.
#[derive(Debug, Clone)]
pub struct Request {
    /// In the order in which they shall stand in the log.
    pub events: Vec<Prepared>,
}

/// An event with all that is worked out about it before the partition's head is locked.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The event.
    pub event: Event,
    /// Its tenant's short name.
    pub tenant_no: TenantNo,
    /// What hides its data in the digest.
    pub salt: Salt,
    /// The salted hash of its data.
    pub data_hash: [u8; 32],
    /// The rules that it breaks, if it is to be written all the same.
    pub mark: Option<Arc<[Violation]>>,
    /// What must hold with regard to its entity's last event, if anything. Not asked for an event without an entity.
    pub guard: Option<Arc<dyn Guard>>,
}

/// What must hold between an event and the newest one of its entity. Judged under the lock, so that no other event can
/// come in between. Must be quick: everybody waits for it.
pub trait Guard: std::fmt::Debug + Send + Sync {
    /// The types among which the newest event is looked for.
    fn types(&self) -> &Arc<[EventType]>;
    /// Judges an event by the newest one.
    fn judge(&self, newest: &Newest, event: &Event) -> Guarded;
}

/// What a guard says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guarded {
    /// It may follow.
    Pass,
    /// It may not follow, and is written all the same, marked.
    Mark(Vec<Violation>),
    /// It may not follow; nothing of its request is written.
    Refuse(Vec<Violation>),
}

impl Prepared {
    /// Its guard and the entity whose newest event that wants to see.
    fn guarded(&self) -> Option<(&Arc<dyn Guard>, &Entity)> {
        self.guard.as_ref().zip(self.event.entity.as_ref())
    }

    fn entity_key(&self) -> Option<EntityKey> {
        let (guard, entity) = self.guarded()?;
        Some(EntityKey { tenant: self.tenant_no, entity: entity.clone(), types: Arc::clone(guard.types()) })
    }
}

/// What the store must read so that these requests can be planned. Every tenant, id and entity (with the types that are
/// asked for) is named once.
#[must_use]
pub fn keys(requests: &[Request]) -> AppendKeys {
    let count = requests.iter().map(|request| request.events.len()).sum();
    let mut keys = AppendKeys { tenants: Vec::new(), ids: Vec::with_capacity(count), entities: Vec::new() };
    let mut tenants = HashSet::new();
    let mut ids = HashSet::with_capacity(count);
    let mut entities = HashSet::new();
    for prepared in requests.iter().flat_map(|request| &request.events) {
        if tenants.insert(prepared.tenant_no) {
            keys.tenants.push(prepared.tenant_no);
        }
        if ids.insert((prepared.tenant_no, &prepared.event.id)) {
            keys.ids.push((prepared.tenant_no, prepared.event.id.clone()));
        }
        if let Some((guard, entity)) = prepared.guarded()
            && entities.insert((prepared.tenant_no, entity, guard.types()))
        {
            keys.entities.extend(prepared.entity_key());
        }
    }
    keys
}

/// Plans one transaction of a partition.
///
/// An id that the log or an earlier event of the batch holds with the same content is a duplicate and keeps its
/// first sequence; with other content it is a conflict, and then nothing of its request is written, while the other
/// requests go on. A later request is compared only with rows that really are written. Rows stand in the order of
/// the requests, without a gap after the view's position and each tenant's sequence; all carry one moment, which is
/// never before the view's. A tenant that the view does not name begins at sequence 1.
///
/// An event's guard sees the newest event of its entity, be it in the log or before it in the batch. Where one refuses,
/// nothing of its request is written, and the request is told of every event that was refused, each judged as if those
/// before it had been taken. A duplicate is not judged: it was taken before. A conflict counts more than a refusal.
#[must_use]
pub fn plan(view: AppendView, requests: Vec<Request>, now: Timestamp) -> AppendPlan {
    let count = requests.iter().map(|request| request.events.len()).sum();
    let guarded = requests.iter().flat_map(|request| &request.events).any(|prepared| prepared.guarded().is_some());
    let mut planner = Planner {
        recorded_at: now.max(view.recorded_at),
        rows: Vec::with_capacity(count),
        marks: Vec::new(),
        written: HashMap::with_capacity(count),
        newest: guarded.then(HashMap::new),
        view,
    };
    let verdicts = requests.into_iter().map(|request| planner.judge(request)).collect();
    AppendPlan { rows: planner.rows, verdicts, marks: planner.marks }
}

struct Planner {
    view: AppendView,
    recorded_at: Timestamp,
    rows: Vec<Recorded>,
    marks: Vec<Mark>,
    /// The ids of `rows`, with the index of their row.
    written: HashMap<(TenantNo, EventId), usize>,
    /// The indexes of `rows` by entity and type, rising; only where the batch holds a guard.
    newest: Option<HashMap<(TenantNo, Entity, EventType), Vec<usize>>>,
}

impl Planner {
    /// Writes a request's rows while judging it, and takes them back if it is not to be: that is rare, and events of
    /// one request may be duplicates of one another, or follow one another.
    fn judge(&mut self, request: Request) -> Verdict {
        let first_row = self.rows.len();
        let mut receipts = Vec::with_capacity(request.events.len());
        let mut conflicts = Vec::new();
        let mut refused = Vec::new();
        for (index, mut prepared) in request.events.into_iter().enumerate() {
            let key = (prepared.tenant_no, prepared.event.id.clone());
            match self.recorded_under(&key) {
                Some((sequence, event)) if event.same_content(&prepared.event) => {
                    receipts.push(Receipt { sequence, duplicate: true });
                    continue;
                }
                Some(_) => {
                    conflicts.push(index);
                    continue;
                }
                None => {}
            }
            match self.ask(&prepared) {
                Guarded::Pass => {}
                Guarded::Mark(found) => {
                    let known = prepared.mark.iter().flat_map(|mark| mark.iter().cloned());
                    prepared.mark = Some(known.chain(found).take(VIOLATIONS_MAX).collect());
                }
                Guarded::Refuse(violations) => refused.push((index, violations)),
            }
            receipts.push(Receipt { sequence: self.write(key, prepared), duplicate: false });
        }
        if conflicts.is_empty() && refused.is_empty() {
            return Verdict::Appended(receipts);
        }
        self.take_back(first_row);
        if conflicts.is_empty() { Verdict::Refused(refused) } else { Verdict::Conflict(conflicts) }
    }

    fn recorded_under(&self, key: &(TenantNo, EventId)) -> Option<(Sequence, &Event)> {
        if let Some(index) = self.written.get(key) {
            let row = self.rows.get(*index).expect("an index in `written` is of a row that was not taken back");
            return Some((row.sequence, &row.event));
        }
        self.view.existing.get(key).map(|Existing { sequence, event }| (*sequence, event))
    }

    /// What the event's guard says of it.
    fn ask(&self, prepared: &Prepared) -> Guarded {
        let (Some((guard, entity)), Some(rows)) = (prepared.guarded(), &self.newest) else {
            return Guarded::Pass;
        };
        let in_batch = |event_type: &EventType| {
            rows.get(&(prepared.tenant_no, entity.clone(), event_type.clone()))?.last().copied()
        };
        if let Some(row) = guard.types().iter().filter_map(in_batch).max() {
            let row = self.rows.get(row).expect("an index in `newest` is of a row that was not taken back");
            return guard.judge(&Newest::Event(Box::new(row.event.clone())), &prepared.event);
        }
        let in_log = prepared.entity_key().and_then(|key| self.view.newest.get(&key));
        guard.judge(in_log.unwrap_or(&Newest::None), &prepared.event)
    }

    fn write(&mut self, key: (TenantNo, EventId), prepared: Prepared) -> Sequence {
        let Prepared { event, tenant_no, salt, data_hash, mark, guard: _ } = prepared;
        let head = self.view.sequences.entry(tenant_no).or_default();
        *head = head.next();
        let sequence = *head;
        self.view.position = self.view.position.next();
        let digest: Digest = digest(&event, sequence, self.recorded_at, &data_hash);
        let row = self.rows.len();
        self.written.insert(key, row);
        if let (Some(newest), Some(entity)) = (&mut self.newest, &event.entity) {
            newest.entry((tenant_no, entity.clone(), event.event_type.clone())).or_default().push(row);
        }
        self.marks.extend(mark.map(|violations| Mark { row, violations }));
        self.rows.push(Recorded {
            event,
            tenant_no,
            partition: self.view.partition,
            position: self.view.position,
            sequence,
            recorded_at: self.recorded_at,
            salt,
            digest,
        });
        sequence
    }

    fn take_back(&mut self, first_row: usize) {
        self.marks.retain(|mark| mark.row < first_row);
        for row in self.rows.drain(first_row..).rev() {
            if let (Some(newest), Some(entity)) = (&mut self.newest, row.event.entity)
                && let Some(rows) = newest.get_mut(&(row.tenant_no, entity, row.event.event_type))
            {
                rows.pop();
            }
            self.written.remove(&(row.tenant_no, row.event.id));
            self.view.position.0 -= 1;
            if let Some(head) = self.view.sequences.get_mut(&row.tenant_no) {
                head.0 -= 1;
            }
        }
    }
}

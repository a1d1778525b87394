//! What an append writes: the one place where positions and sequences are given out.
//!
//! The store locks the partition's head, reads what [`keys`] asks for, and [`plan`] turns it into rows. Requests of
//! several callers are merged into one batch; each gets its own verdict.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use tidings_event::log::{AppendKeys, AppendPlan, AppendView, Existing, Newest, Receipt, Verdict};
use tidings_event::{
    Digest, Event, EventId, EventType, Recorded, Salt, Sequence, TenantNo, Timestamp, Violation, digest,
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
    /// What must hold with regard to its entity's last event, if anything.
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

/// What the store must read so that these requests can be planned. Every tenant and id is named once.
#[must_use]
pub fn keys(requests: &[Request]) -> AppendKeys {
    let count = requests.iter().map(|request| request.events.len()).sum();
    let mut keys = AppendKeys { tenants: Vec::new(), ids: Vec::with_capacity(count) };
    let mut tenants = HashSet::new();
    let mut ids = HashSet::with_capacity(count);
    for prepared in requests.iter().flat_map(|request| &request.events) {
        if tenants.insert(prepared.tenant_no) {
            keys.tenants.push(prepared.tenant_no);
        }
        if ids.insert((prepared.tenant_no, &prepared.event.id)) {
            keys.ids.push((prepared.tenant_no, prepared.event.id.clone()));
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
#[must_use]
pub fn plan(view: AppendView, requests: Vec<Request>, now: Timestamp) -> AppendPlan {
    let count = requests.iter().map(|request| request.events.len()).sum();
    let mut planner = Planner {
        recorded_at: now.max(view.recorded_at),
        rows: Vec::with_capacity(count),
        written: HashMap::with_capacity(count),
        view,
    };
    let verdicts = requests.into_iter().map(|request| planner.judge(request)).collect();
    AppendPlan { rows: planner.rows, verdicts }
}

struct Planner {
    view: AppendView,
    recorded_at: Timestamp,
    rows: Vec<Recorded>,
    /// The ids of `rows`, with the index of their row.
    written: HashMap<(TenantNo, EventId), usize>,
}

impl Planner {
    /// Writes a request's rows while judging it, and takes them back if there was a conflict: conflicts are rare,
    /// and events of one request may be duplicates of one another.
    fn judge(&mut self, request: Request) -> Verdict {
        let first_row = self.rows.len();
        let mut receipts = Vec::with_capacity(request.events.len());
        let mut conflicts = Vec::new();
        for (index, prepared) in request.events.into_iter().enumerate() {
            let key = (prepared.tenant_no, prepared.event.id.clone());
            match self.recorded_under(&key) {
                Some((sequence, event)) if event.same_content(&prepared.event) => {
                    receipts.push(Receipt { sequence, duplicate: true });
                }
                Some(_) => conflicts.push(index),
                None => receipts.push(Receipt { sequence: self.write(key, prepared), duplicate: false }),
            }
        }
        if conflicts.is_empty() {
            Verdict::Appended(receipts)
        } else {
            self.take_back(first_row);
            Verdict::Conflict(conflicts)
        }
    }

    fn recorded_under(&self, key: &(TenantNo, EventId)) -> Option<(Sequence, &Event)> {
        if let Some(index) = self.written.get(key) {
            let row = self.rows.get(*index).expect("an index in `written` is of a row that was not taken back");
            return Some((row.sequence, &row.event));
        }
        self.view.existing.get(key).map(|Existing { sequence, event }| (*sequence, event))
    }

    fn write(&mut self, key: (TenantNo, EventId), prepared: Prepared) -> Sequence {
        let Prepared { event, tenant_no, salt, data_hash } = prepared;
        let head = self.view.sequences.entry(tenant_no).or_default();
        *head = head.next();
        let sequence = *head;
        self.view.position = self.view.position.next();
        let digest: Digest = digest(&event, sequence, self.recorded_at, &data_hash);
        self.written.insert(key, self.rows.len());
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
        for row in self.rows.drain(first_row..).rev() {
            self.written.remove(&(row.tenant_no, row.event.id.clone()));
            self.view.position.0 -= 1;
            if let Some(head) = self.view.sequences.get_mut(&row.tenant_no) {
                head.0 -= 1;
            }
        }
    }
}

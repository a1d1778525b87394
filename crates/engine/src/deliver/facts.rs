//! What a router tells people: its notices as events of Tidings itself.

use serde_json::{Value, json};
use tidings_core::deliver::Notice;
use tidings_event::delivery::AttemptResult;
use tidings_event::{Event, LaneNo, ReplayNo, Sequence, Timestamp};

use super::routing::Routing;
use crate::system::{Fact, Kind};

/// The events that tell of these notices.
pub(super) fn events(routing: &Routing, notices: &[Notice], at: Timestamp) -> Vec<Event> {
    let facts = notices.iter().filter_map(|notice| fact(routing, notice));
    facts.flat_map(|fact| fact.events(&crate::dice::ulid().to_string(), at)).collect()
}

/// The replay that came to its end, if the notice speaks of that.
pub(super) fn finished(notice: &Notice) -> Option<ReplayNo> {
    match notice {
        Notice::ReplayFinished { replay, .. } => Some(*replay),
        _ => None,
    }
}

/// None where the endpoint was deleted meanwhile.
fn fact(routing: &Routing, notice: &Notice) -> Option<Fact> {
    let (endpoint, kind, data) = match notice {
        Notice::CircuitOpened { endpoint, lane, last } => {
            (endpoint, Kind::CircuitOpened, with_replay(routing, *lane, json!({ "last": result(*last) })))
        }
        Notice::CircuitClosed { endpoint, lane, open_for } => {
            let data = json!({ "open_for_s": open_for.as_secs() });
            (endpoint, Kind::CircuitClosed, with_replay(routing, *lane, data))
        }
        Notice::Disabled { endpoint, reason } => {
            (endpoint, Kind::EndpointDisabled, json!({ "reason": reason.as_str() }))
        }
        Notice::DeadLettered { endpoint, count, first, last, some, reason } => {
            let some: Vec<u64> = some.iter().copied().map(Sequence::get).collect();
            let data = json!({
                "count": count,
                "first_sequence": first.get(),
                "last_sequence": last.get(),
                "sequences": some,
                "reason": reason.as_str(),
            });
            (endpoint, Kind::DeadLettered, data)
        }
        Notice::ReplayFinished { replay, endpoint } => {
            (endpoint, Kind::ReplayFinished, json!({ "replay": routing.replay(*replay)? }))
        }
    };
    let (tenant, id) = routing.endpoint(*endpoint)?;
    Some(Fact::of_endpoint(kind, None, tenant, id, data))
}

/// Names the replay where the lane is that of one.
fn with_replay(routing: &Routing, lane: LaneNo, mut data: Value) -> Value {
    if let (Some(id), Value::Object(members)) = (lane.replay().and_then(|no| routing.replay(no)), &mut data) {
        members.insert("replay".to_owned(), json!(id));
    }
    data
}

fn result(result: AttemptResult) -> Value {
    match result {
        AttemptResult::Status(status) => json!({ "status": status }),
        AttemptResult::Failed(failure) => json!({ "failure": failure.as_str() }),
    }
}

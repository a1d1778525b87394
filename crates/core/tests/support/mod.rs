//! Events for the tests of the decisions.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses a part of this")]

use tidings_event::{
    Data, Digest, Event, EventId, EventType, Metadata, PartitionId, Position, Recorded, Salt, Sequence, Source,
    SourceKind, TenantId, TenantNo, Text, Timestamp, Version,
};

pub fn event(id: &str, event_type: &str, data: &str) -> Event {
    Event {
        id: EventId::parse(id).unwrap(),
        event_type: EventType::parse(event_type).unwrap(),
        version: Version::first(),
        timestamp: Timestamp::from_micros(1_000_000),
        tenant: TenantId::parse("acme").unwrap(),
        project: None,
        source: Source { kind: SourceKind::Service, id: Text::parse("sales").unwrap() },
        entity: None,
        actor: None,
        data: Data::trusted(data.to_owned()),
        metadata: Metadata {
            correlation_id: Text::parse(id).unwrap(),
            causation_id: None,
            context: None,
            traceparent: None,
        },
    }
}

pub fn recorded(event: Event, sequence: u64) -> Recorded {
    Recorded {
        event,
        tenant_no: TenantNo(1),
        partition: PartitionId(0),
        position: Position(sequence),
        sequence: Sequence(sequence),
        recorded_at: Timestamp::from_micros(2_000_000),
        salt: Salt([0; 16]),
        digest: Digest([0; 32]),
    }
}

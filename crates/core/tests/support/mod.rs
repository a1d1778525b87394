//! Events for the tests of the decisions.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses a part of this")]

use tidings_event::log::{AppendKeys, AppendView, ENTITY_LOOK_BACK, Existing, Newest};
use tidings_event::{
    Data, Digest, Event, EventId, EventType, Metadata, PartitionId, Position, Recorded, Salt, Sequence, Source,
    SourceKind, TenantId, TenantNo, Text, Timestamp, Version,
};

/// What the store of partition 3 shows of a log that holds these rows.
pub fn view(rows: &[Recorded], keys: AppendKeys) -> AppendView {
    let head = |tenant: &TenantNo| rows.iter().filter(|row| row.tenant_no == *tenant).count() as u64;
    let existing = |tenant: TenantNo, id: &EventId| {
        let row = rows.iter().find(|row| row.tenant_no == tenant && row.event.id == *id)?;
        Some(Existing { sequence: row.sequence, event: row.event.clone() })
    };
    let newest = |key: &tidings_event::log::EntityKey| {
        let of_entity = rows.iter().rev().filter(|row| row.tenant_no == key.tenant);
        let of_entity = of_entity.filter(|row| row.event.entity.as_ref() == Some(&key.entity));
        let looked_at: Vec<&Recorded> = of_entity.take(ENTITY_LOOK_BACK).collect();
        match looked_at.iter().find(|row| key.types.contains(&row.event.event_type)) {
            Some(row) => Newest::Event(Box::new(row.event.clone())),
            None if looked_at.len() == ENTITY_LOOK_BACK => Newest::Unknown,
            None => Newest::None,
        }
    };
    AppendView {
        partition: PartitionId(3),
        position: Position(rows.len() as u64),
        recorded_at: rows.last().map_or(Timestamp::from_micros(0), |row| row.recorded_at),
        sequences: keys.tenants.iter().map(|tenant| (*tenant, Sequence(head(tenant)))).collect(),
        existing: keys.ids.into_iter().filter_map(|key| Some((key.clone(), existing(key.0, &key.1)?))).collect(),
        newest: keys.entities.into_iter().map(|key| (key.clone(), newest(&key))).collect(),
    }
}

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

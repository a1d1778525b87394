//! What the reads of the log promise.

use tidings_event::{EventId, PartitionId, Position, Sequence, TenantNo};
use tidings_store::ReadLimit;

use crate::home::Home;
use crate::make::{ALL, append, append_at, event, ids, moment, place, with_data};

pub(crate) async fn a_feed_reads_after_a_sequence_up_to_its_limits(home: Home) {
    let store = home.open().await;
    let data = format!(r#"{{"a":"{}"}}"#, "x".repeat(92));
    assert_eq!(data.len(), 100);
    append(&*store, (1..=10).map(|at| with_data("acme", &format!("e{at}"), &data)).collect()).await;
    append(&*store, (1..=10).map(|at| with_data("globex", &format!("e{at}"), &data)).collect()).await;
    let tenant = place(&*store, "acme").await;
    for (after, events, bytes, expect) in [
        (0, 100, 100_000, (1, 10)),
        (0, 3, 100_000, (1, 3)),
        (4, 3, 100_000, (5, 7)),
        (9, 3, 100_000, (10, 10)),
        (0, 100, 300, (1, 3)),
        (0, 100, 399, (1, 3)),
        (2, 2, 300, (3, 4)),
    ] {
        let limit = ReadLimit { events, bytes };
        let slice = store.feed(tenant.no, Sequence(after), limit).await.unwrap();
        let expect: Vec<u64> = (expect.0..=expect.1).collect();
        let read: Vec<u64> = slice.events.iter().map(|row| row.sequence.get()).collect();
        assert_eq!(read, expect, "after {after} with {limit:?}");
        assert!(slice.events.iter().all(|row| row.event.tenant == tenant.id));
        assert_eq!((slice.head, slice.floor), (Sequence(10), Sequence(0)));
    }
    let end = store.feed(tenant.no, Sequence(10), ALL).await.unwrap();
    assert!(end.events.is_empty());
    assert_eq!(end.head, Sequence(10));
}

pub(crate) async fn at_least_one_event_is_read_whatever_the_limit(home: Home) {
    let store = home.open().await;
    append(&*store, vec![event("acme", "a"), event("acme", "b")]).await;
    let tenant = place(&*store, "acme").await;
    for limit in [ReadLimit { events: 0, bytes: 0 }, ReadLimit { events: 5, bytes: 1 }] {
        assert_eq!(ids(&store.feed(tenant.no, Sequence(1), limit).await.unwrap().events), ["b"]);
        assert_eq!(ids(&store.feed(tenant.no, Sequence(0), limit).await.unwrap().events), ["a"]);
        assert_eq!(ids(&store.tail(PartitionId(0), Position(0), limit).await.unwrap().events), ["a"]);
    }
}

pub(crate) async fn numbers_beyond_the_end_read_nothing(home: Home) {
    let store = home.open().await;
    append(&*store, vec![event("acme", "a")]).await;
    let tenant = place(&*store, "acme").await;
    for beyond in [2, 1 << 48, i64::MAX as u64, u64::MAX] {
        let slice = store.feed(tenant.no, Sequence(beyond), ALL).await.unwrap();
        assert!(slice.events.is_empty());
        assert_eq!(slice.head, Sequence(1));
        assert!(store.tail(PartitionId(0), Position(beyond), ALL).await.unwrap().events.is_empty());
    }
    let nobody = store.feed(TenantNo(999), Sequence(0), ALL).await.unwrap();
    assert!(nobody.events.is_empty());
    assert_eq!((nobody.head, nobody.floor), (Sequence(0), Sequence(0)));
    assert!(store.tail(PartitionId(1), Position(0), ALL).await.unwrap().events.is_empty());
    let everything = ReadLimit { events: usize::MAX, bytes: usize::MAX };
    assert_eq!(store.feed(tenant.no, Sequence(0), everything).await.unwrap().events.len(), 1);
}

pub(crate) async fn a_feed_below_the_floor_reads_nothing_and_names_the_floor(home: Home) {
    let store = home.open().await;
    append(&*store, (1..=5).map(|at| event("acme", &format!("e{at}"))).collect()).await;
    let tenant = place(&*store, "acme").await;
    home.raw("UPDATE tenants SET floor = 3; DELETE FROM events WHERE sequence <= 3").await.unwrap();
    for after in 0..3 {
        let slice = store.feed(tenant.no, Sequence(after), ALL).await.unwrap();
        assert!(slice.events.is_empty());
        assert_eq!((slice.head, slice.floor), (Sequence(5), Sequence(3)));
    }
    let above = store.feed(tenant.no, Sequence(3), ALL).await.unwrap();
    assert_eq!(ids(&above.events), ["e4", "e5"]);
    assert_eq!(place(&*store, "acme").await.floor, Sequence(3));
    assert_eq!(store.sequence_before(tenant.no, moment(0)).await.unwrap(), Sequence(3));
}

pub(crate) async fn the_tail_reads_a_partition_in_order(home: Home) {
    let store = home.open().await;
    for round in 0..5 {
        for tenant in ["acme", "globex"] {
            append(&*store, vec![event(tenant, &format!("{round}"))]).await;
        }
    }
    let limit = ReadLimit { events: 3, bytes: usize::MAX };
    let rows = store.tail(PartitionId(0), Position(4), limit).await.unwrap().events;
    let read: Vec<(u64, &str)> = rows.iter().map(|row| (row.position.get(), row.event.tenant.as_str())).collect();
    assert_eq!(read, [(5, "acme"), (6, "globex"), (7, "acme")]);
}

pub(crate) async fn the_sequence_before_a_moment_is_found(home: Home) {
    let store = home.open().await;
    let empty = place(&*store, "empty").await;
    assert_eq!(store.sequence_before(empty.no, moment(0)).await.unwrap(), Sequence(0));
    assert_eq!(store.sequence_before(TenantNo(999), moment(0)).await.unwrap(), Sequence(0));
    let moments = [10, 20, 20, 20, 30, 40, 40];
    for (at, micros) in moments.iter().enumerate() {
        append_at(&*store, vec![event("acme", &format!("e{at}"))], moment(*micros)).await;
        append_at(&*store, vec![event("globex", &format!("e{at}"))], moment(*micros)).await;
    }
    let tenant = place(&*store, "acme").await;
    for asked in 0..=50 {
        let expect = moments.iter().filter(|micros| **micros < asked).count() as u64;
        let found = store.sequence_before(tenant.no, moment(asked)).await.unwrap();
        assert_eq!(found, Sequence(expect), "before {asked}");
    }
}

pub(crate) async fn an_event_is_found_by_its_tenant_and_id(home: Home) {
    let store = home.open().await;
    let written = append(&*store, vec![event("acme", "a"), event("acme", "b")]).await;
    append(&*store, vec![event("globex", "only")]).await;
    let tenant = place(&*store, "acme").await;
    let find = |id: &str| EventId::parse(id).unwrap();
    assert_eq!(store.event(tenant.no, &find("b")).await.unwrap().as_ref(), Some(&written[1]));
    for absent in ["c", "B", "only", "%"] {
        assert_eq!(store.event(tenant.no, &find(absent)).await.unwrap(), None);
    }
}

//! What is promised about tenants' quotas.

use tidings_event::TenantId;
use tidings_store::{QuotaOutcome, QuotaRevision, QuotaRow, Store};

use crate::home::Home;
use crate::make::moment;

fn row(tenant: &str, events_per_s: Option<u64>) -> QuotaRow {
    QuotaRow {
        tenant: TenantId::parse(tenant).unwrap(),
        events_per_s,
        events_burst: None,
        bytes_per_s: None,
        bytes_burst: None,
        revision: QuotaRevision(0),
        by: "admin".to_owned(),
        at: moment(0),
    }
}

async fn put(store: &dyn Store, row: &QuotaRow) -> QuotaRow {
    let QuotaOutcome::Changed(put) = store.put_quota(row).await.unwrap() else { panic!("nothing was changed") };
    assert_eq!(QuotaRow { revision: row.revision, ..put.clone() }, *row);
    put
}

pub(crate) async fn a_quota_is_read_back_as_it_was_said_last(home: Home) {
    let store = home.open().await;
    let acme = TenantId::parse("acme").unwrap();
    assert_eq!(store.quota(&acme).await.unwrap(), None);
    put(&*store, &row("acme", Some(7))).await;
    let full = QuotaRow {
        events_burst: Some(0),
        bytes_per_s: Some(u64::try_from(i64::MAX).unwrap()),
        bytes_burst: Some(1),
        by: "key_\u{e9}".to_owned(),
        at: moment(9),
        ..row("acme", Some(1))
    };
    let full = put(&*store, &full).await;
    let other = put(&*store, &row("株式会社", Some(3))).await;
    drop(store);
    let store = home.open().await;
    assert_eq!(store.quota(&acme).await.unwrap(), Some(full));
    assert_eq!(store.quota(&other.tenant).await.unwrap(), Some(other));
}

pub(crate) async fn changes_of_quotas_are_told_in_their_order_each_tenants_newest_alone(home: Home) {
    let store = home.open().await;
    let none = store.quotas(QuotaRevision(0), 10).await.unwrap();
    assert_eq!((none.rows, none.head), (Vec::new(), QuotaRevision(0)));
    put(&*store, &row("a", Some(1))).await;
    let b = put(&*store, &row("b", Some(1))).await;
    let c = put(&*store, &row("c", Some(1))).await;
    let a = put(&*store, &row("a", None)).await;
    assert_eq!(a.revision, QuotaRevision(4));
    let read = async |after: QuotaRevision, limit| {
        let slice = store.quotas(after, limit).await.unwrap();
        assert_eq!(slice.head, a.revision);
        slice.rows
    };
    assert_eq!(read(QuotaRevision(0), 10).await, [b.clone(), c.clone(), a.clone()]);
    assert_eq!(read(QuotaRevision(0), 2).await, [b.clone(), c.clone()]);
    assert_eq!(read(b.revision, 10).await, [c, a.clone()]);
    assert!(read(a.revision, 10).await.is_empty());
    assert!(read(QuotaRevision(99), 10).await.is_empty());
}

pub(crate) async fn a_quota_that_is_what_it_was_is_no_change(home: Home) {
    let store = home.open().await;
    let same = async |row: &QuotaRow| match store.put_quota(row).await.unwrap() {
        QuotaOutcome::Same(before) => before,
        changed => panic!("{changed:?}"),
    };
    // As often as there are connections, and more: each must come back clean.
    for _ in 0..12 {
        assert_eq!(same(&row("acme", None)).await, None, "what says nothing is not made");
    }
    let set = put(&*store, &row("acme", Some(7))).await;
    let later = QuotaRow { by: "another".to_owned(), at: moment(9), ..row("acme", Some(7)) };
    assert_eq!(same(&later).await, Some(set.clone()));
    assert_eq!(store.quota(&set.tenant).await.unwrap(), Some(set));
    let cleared = put(&*store, &row("acme", None)).await;
    assert_eq!(same(&row("acme", None)).await, Some(cleared.clone()));
    let slice = store.quotas(QuotaRevision(0), 10).await.unwrap();
    assert_eq!((slice.rows, slice.head), (vec![cleared], QuotaRevision(2)));
}

pub(crate) async fn of_many_changes_of_quotas_at_once_none_is_missed(home: Home) {
    let store = home.open().await;
    let writers: Vec<_> = (0..8_u64)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for turn in 0..10 {
                    put(&*store, &row(&format!("t{}", (writer + turn) % 5), Some(writer * 10 + turn + 1))).await;
                }
            })
        })
        .collect();
    // Who reads on from the newest revision it saw has, in the end, seen the last word on every tenant.
    let mut seen = std::collections::BTreeMap::new();
    let mut at = QuotaRevision(0);
    while at < QuotaRevision(80) {
        for row in store.quotas(at, 3).await.unwrap().rows {
            assert!(row.revision > at);
            at = row.revision;
            seen.insert(row.tenant.clone(), row);
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(seen.len(), 5);
    for (tenant, row) in seen {
        assert_eq!(store.quota(&tenant).await.unwrap(), Some(row));
    }
}

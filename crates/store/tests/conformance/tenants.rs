//! What is promised about tenants.

use std::sync::Arc;

use tidings_event::{PartitionId, Sequence, TenantId};
use tidings_store::Error;

use crate::home::Home;
use crate::make::{append, event, place, place_in};

pub(crate) async fn a_tenant_keeps_the_place_it_got_first(home: Home) {
    let store = home.open().await;
    let (acme, globex) = (TenantId::parse("acme").unwrap(), TenantId::parse("globex").unwrap());
    let first = place_in(&*store, "acme", 2).await;
    assert_eq!((first.partition, first.head, first.floor), (PartitionId(2), Sequence(0), Sequence(0)));
    let rows = store
        .place(&[(globex.clone(), PartitionId(1)), (acme.clone(), PartitionId(3)), (globex.clone(), PartitionId(0))])
        .await
        .unwrap();
    let places: Vec<_> = rows.iter().map(|row| (row.id.clone(), row.partition)).collect();
    let expect = [(globex.clone(), PartitionId(1)), (acme, PartitionId(2)), (globex, PartitionId(1))];
    assert_eq!(places, expect);
    assert_eq!(rows[1], first);
    assert!(store.place(&[]).await.unwrap().is_empty());

    // All at once, in opposite orders: each gets one number, and nobody waits for ever.
    let placed: Vec<_> = (0..8)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut wanted: Vec<_> = (0..20).map(|at| TenantId::parse(format!("t{at}")).unwrap()).collect();
                if task % 2 == 0 {
                    wanted.reverse();
                }
                let wanted: Vec<_> = wanted.into_iter().map(|name| (name, PartitionId(task % 4))).collect();
                let mut rows = store.place(&wanted).await.expect("places");
                rows.sort_by_key(|row| row.no);
                rows
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in placed {
        answers.push(task.await.unwrap());
    }
    assert!(answers.iter().all(|rows| rows == &answers[0]));
}

pub(crate) async fn tenants_are_listed_by_name(home: Home) {
    let store = home.open().await;
    for name in ["b", "a", "ä", "c", "B", "$system"] {
        place(&*store, name).await;
    }
    append(&*store, vec![event("b", "1")]).await;
    let list = async |after: Option<&str>, limit: usize| {
        let after = after.map(|name| TenantId::parse(name).unwrap());
        let rows = store.tenants(after.as_ref(), limit).await.unwrap();
        rows.iter().map(|row| row.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 100).await, ["$system", "B", "a", "b", "c", "ä"]);
    assert_eq!(list(None, 2).await, ["$system", "B"]);
    assert_eq!(list(Some("a"), 2).await, ["b", "c"]);
    assert!(list(Some("ä"), 100).await.is_empty());
    assert!(list(None, 0).await.is_empty());
    assert_eq!(store.tenants(None, 100).await.unwrap()[3].head, Sequence(1));
}

pub(crate) async fn a_tenant_of_any_script_is_found_again(home: Home) {
    let store = home.open().await;
    let names = ["Ärzte GmbH", "株式会社", "e\u{301}", "\u{e9}", "👩‍🚀", "' or 1=1 --", "İstanbul", "istanbul"];
    let mut nos = Vec::new();
    for name in names {
        let row = place(&*store, name).await;
        nos.push(row.no);
        assert_eq!(append(&*store, vec![event(name, "1")]).await[0].event.tenant, row.id);
    }
    nos.sort();
    nos.dedup();
    assert_eq!(nos.len(), names.len());
    for name in names {
        let name = TenantId::parse(name).unwrap();
        assert_eq!(store.tenant(&name).await.unwrap().unwrap().id, name);
    }
    assert_eq!(store.tenant(&TenantId::parse("nobody").unwrap()).await.unwrap(), None);
}

pub(crate) async fn a_place_that_does_not_exist_is_refused(home: Home) {
    let store = home.open().await;
    let name = TenantId::parse("acme").unwrap();
    let refused = store.place(&[(name.clone(), PartitionId(crate::home::PARTITIONS))]).await;
    assert!(matches!(refused, Err(Error::Broken(_))));
    assert_eq!(store.tenant(&name).await.unwrap(), None);
}

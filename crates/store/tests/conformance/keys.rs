//! What is promised about keys.

use tidings_event::TenantId;
use tidings_store::{KeyRow, Role};

use crate::home::Home;
use crate::make::{moment, text};

fn key(id: &str, mark: u8) -> KeyRow {
    KeyRow {
        id: id.to_owned(),
        hash: [mark; 32],
        role: Role::Producer,
        tenants: Vec::new(),
        type_prefixes: Vec::new(),
        service: None,
        description: String::new(),
        created_at: moment(0),
        expires_at: None,
        revoked_at: None,
    }
}

pub(crate) async fn a_key_is_found_by_its_hash_and_listed_by_its_id(home: Home) {
    let store = home.open().await;
    let full = KeyRow {
        role: Role::Consumer,
        tenants: ["acme", "ä \"quoted\""].map(|name| TenantId::parse(name).unwrap()).to_vec(),
        type_prefixes: vec!["sales.".to_owned(), "crm.".to_owned()],
        description: "for the\nwarehouse ✓".to_owned(),
        service: Some(text("sales-α")),
        expires_at: Some(moment(7)),
        ..key("k2", 2)
    };
    store.insert_key(&full).await.unwrap();
    for (at, role) in Role::ALL.iter().enumerate() {
        let mark = u8::try_from(at).unwrap() + 10;
        store.insert_key(&KeyRow { role: *role, ..key(&format!("r{at}"), mark) }).await.unwrap();
    }
    assert_eq!(store.key_by_hash(&[2; 32]).await.unwrap(), Some(full.clone()));
    assert_eq!(store.key_by_hash(&[3; 32]).await.unwrap(), None);
    let list = store.keys(None, 100).await.unwrap();
    assert_eq!(list[0], full);
    assert_eq!(list.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["k2", "r0", "r1", "r2", "r3"]);
    assert_eq!(list[1..].iter().map(|key| key.role).collect::<Vec<_>>(), Role::ALL);
    assert_eq!(store.keys(Some("r0"), 2).await.unwrap(), list[2..4]);
    for twin in [key("k2", 99), key("k9", 2)] {
        assert!(store.insert_key(&twin).await.is_err());
    }
    assert_eq!(store.keys(None, 100).await.unwrap(), list);
}

pub(crate) async fn a_revoked_key_stays_revoked_since_the_first_time(home: Home) {
    let store = home.open().await;
    store.insert_key(&key("k1", 1)).await.unwrap();
    let revoked = store.revoke_key("k1", moment(5)).await.unwrap().unwrap();
    assert_eq!(revoked, KeyRow { revoked_at: Some(moment(5)), ..key("k1", 1) });
    assert_eq!(store.revoke_key("k1", moment(9)).await.unwrap(), Some(revoked.clone()));
    assert_eq!(store.key_by_hash(&[1; 32]).await.unwrap(), Some(revoked));
    assert_eq!(store.revoke_key("k2", moment(5)).await.unwrap(), None);
}

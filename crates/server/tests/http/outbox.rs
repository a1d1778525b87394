//! What operators of outboxes are promised.

use std::sync::Arc;

use serde_json::{Value, json};
use tidings_server::wire;
use tidings_store::OutboxSource;

use crate::support::{PATIENCE, Server, event};

/// Has the log refuse rows of the platform's outbox, as the pump would.
async fn refused(server: &Server, rows: usize) -> Vec<i64> {
    let outbox: Arc<dyn OutboxSource> = server.platform.clone();
    for n in 0..rows {
        let id = tidings_event::EventId::parse(format!("row-{n}")).unwrap();
        // No type: the log will refuse it.
        let envelope = json!({"tenant": "acme", "id": id.as_str()}).to_string();
        assert!(outbox.append_intent(&id, envelope.as_bytes(), None).await.unwrap());
        outbox.confirm_intent(&id).await.unwrap();
    }
    server.engine.poke_source("platform").unwrap();
    let refusal = async {
        loop {
            let found = outbox.refused(0, rows).await.unwrap();
            if found.len() == rows {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, refusal).await.expect("the rows are refused in time");
    found.iter().map(|refused| refused.row.id).collect()
}

#[tokio::test]
async fn refused_rows_are_listed_with_their_reason() {
    let server = Server::start().await;
    refused(&server, 3).await;
    let first = server.admin().get("/v1/outbox/refused?limit=2").send().await.expect(200);
    let list: wire::RefusedRowList = first.read();
    assert_eq!(list.data.len(), 2);
    let row = &list.data[0];
    assert_eq!((row.source.as_str(), row.source_key.as_str(), row.attempts), ("platform", "row-0", 1));
    assert_eq!(row.error.code, "event_invalid");
    assert!(row.error.errors.iter().any(|violation| violation.path == "/type"), "{}", first.text());
    assert_eq!(serde_json::from_str::<Value>(row.event.get()).unwrap()["tenant"], "acme");
    let next = server.admin().get("/v1/outbox/refused?limit=2").query("cursor", &list.cursor.unwrap());
    let list: wire::RefusedRowList = next.send().await.expect(200).read();
    assert_eq!((list.data.len(), list.cursor.is_none()), (1, true));
    let of_source = server.admin().get("/v1/outbox/refused?source=platform").send().await.expect(200).json();
    assert_eq!(of_source["data"].as_array().unwrap().len(), 3);
    server.admin().get("/v1/outbox/refused?source=nothing").send().await.problem(404, "source_not_found");
}

#[tokio::test]
async fn a_mended_row_enters_the_log() {
    let server = Server::start().await;
    let id = refused(&server, 1).await[0];
    let mut mended = event("acme", json!({"mended": true}));
    mended["id"] = "row-0".into();
    let path = format!("/v1/outbox/refused/platform/{id}/retry");
    server.admin().post(&path).json(&json!({"event": mended})).send().await.expect(202);
    let page = server.admin().get("/v1/tenants/acme/feed").query("wait", "60").send().await.expect(200).json();
    assert_eq!(page["events"][0]["data"], json!({"mended": true}));
    server.admin().post(&path).send().await.problem(404, "outbox_row_not_found");
}

#[tokio::test]
async fn a_discarded_row_is_gone() {
    let server = Server::start().await;
    let id = refused(&server, 1).await[0];
    let path = format!("/v1/outbox/refused/platform/{id}");
    server.admin().delete(&path).send().await.expect(204);
    server.admin().delete(&path).send().await.problem(404, "outbox_row_not_found");
    server.admin().delete("/v1/outbox/refused/nothing/1").send().await.problem(404, "source_not_found");
    server.admin().delete("/v1/outbox/refused/platform/one").send().await.problem(400, "request_invalid");
}

#[tokio::test]
async fn sources_say_how_they_stand() {
    let server = Server::start().await;
    refused(&server, 2).await;
    let answer = server.admin().get("/v1/outbox/sources").send().await.expect(200);
    let list: wire::OutboxSourceList = answer.read();
    let platform = &list.data[0];
    assert_eq!((platform.name.as_str(), platform.status.as_str()), ("platform", "ok"));
    assert_eq!(platform.outbox.as_ref().unwrap().refused, 2);
}

//! `GET /v1/nodes`, and a node that answers no calls.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{ADMIN_KEY, Server};

#[tokio::test]
async fn a_node_tells_of_itself_and_what_it_owns() {
    let server = Server::start().await;
    let mut answer = json!(null);
    // What it owns it claims right after its start, which nothing waits for.
    for _ in 0..500 {
        answer = server.admin().get("/v1/nodes").send().await.expect(200).json();
        if answer["free"].as_array().unwrap().iter().all(|lease| lease["role"] == "publisher") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let nodes = answer["data"].as_array().unwrap();
    assert_eq!(nodes.len(), 1, "{answer}");
    assert_eq!(nodes[0]["this"], true);
    assert_eq!(nodes[0]["roles"], json!(["api", "pump", "router"]));
    assert_eq!(nodes[0]["sources"], json!(["platform"]));
    let owned: Vec<_> =
        nodes[0]["leases"].as_array().unwrap().iter().map(|lease| (&lease["role"], &lease["slot"])).collect();
    assert_eq!(owned, [(&json!("router"), &json!("0")), (&json!("pump"), &json!("platform"))]);
    assert!(nodes[0]["started_at"].as_str() <= nodes[0]["seen_at"].as_str());
    assert_eq!(answer["free"], json!([{"role": "publisher", "slot": "0", "epoch": 0, "checkpoint": 0}]));
    server.anyone().get("/v1/nodes").send().await.expect(401);
}

#[tokio::test]
async fn a_node_that_answers_no_calls_serves_its_state_alone() {
    let server = Server::start_without_api().await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        server.anyone().get(path).send().await.expect(200);
    }
    // Bare, as the document does not speak of such a node.
    for path in ["/v1/nodes", "/v1/tenants", "/openapi.json"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_KEY}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("route_not_found"), "{path}: {answer}");
    }
}

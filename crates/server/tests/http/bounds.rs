//! What bounds the server keeps: sizes, times, and an orderly end.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{ADMIN_KEY, PATIENCE, Server, event};

/// Sends bytes on a connection of its own and reads until the server closes it.
async fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end in time").unwrap();
    String::from_utf8(answer).unwrap()
}

fn head(length: &str) -> String {
    format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {ADMIN_KEY}\r\ncontent-type: application/json\r\n\
         connection: close\r\n{length}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_the_refusal_arrives() {
    let server = Server::start().await;
    let body = vec![b' '; 8 * 1024 * 1024 + 1];
    let answer = server.admin().post("/v1/events").typed("application/json", body).send().await;
    insta::assert_json_snapshot!(answer.problem(413, "body_too_large"));

    let mut chunked = head("transfer-encoding: chunked").into_bytes();
    for _ in 0..9 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.extend_from_slice(&vec![b' '; 0x10_0000]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = raw(&server, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("\"body_too_large\""), "{answer}");
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let server = Server::start().await;
    let mut body = event("acme", json!({})).to_string().into_bytes();
    body.resize(8 * 1024 * 1024, b' ');
    server.admin().post("/v1/events").typed("application/json", body).send().await.expect(201);
}

#[tokio::test]
async fn a_body_whose_framing_breaks_is_a_problem() {
    let server = Server::start().await;
    let request = format!("{}xyz\r\n", head("transfer-encoding: chunked"));
    let answer = raw(&server, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("\"body_malformed\""), "{answer}");
}

#[tokio::test]
async fn small_bodies_have_a_smaller_limit() {
    let server = Server::start().await;
    let body = vec![b' '; 512 * 1024 + 1];
    for path in ["/v1/intents", "/v1/keys", "/v1/outbox/refused/platform/1/retry"] {
        let answer = server.admin().post(path).typed("application/json", body.clone()).send().await;
        answer.problem(413, "body_too_large");
    }
}

#[tokio::test]
async fn http_2_is_spoken_without_tls() {
    let server = Server::start().await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(format!("http://{}/healthz", server.address)).body(String::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
}

#[tokio::test]
async fn a_request_under_way_is_finished_at_shutdown() {
    let (mut server, store) = Server::start_faulty().await;
    server.emit(&event("acme", json!({}))).await;
    store.hold();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body = event("acme", json!({})).to_string();
    let head = head(&format!("content-length: {}\r\nexpect: 100-continue", body.len()));
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request is under way.
    let mut continued = [0; 25];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut continued)).await.unwrap().unwrap();
    assert!(continued.starts_with(b"HTTP/1.1 100"));
    server.begin_shutdown();
    let refused = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("no new connections are taken");
    stream.write_all(body.as_bytes()).await.unwrap();
    store.let_go();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    server.finish().await;
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_shutdown() {
    let mut server = Server::start().await;
    let _idle = TcpStream::connect(server.address).await.unwrap();
    let admin = server.admin();
    admin.get("/healthz").send().await.expect(200);
    server.begin_shutdown();
    tokio::time::timeout(Duration::from_secs(30), server.finish()).await.expect("an end in time");
}

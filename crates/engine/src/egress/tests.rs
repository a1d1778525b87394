use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers one connection with these bytes and returns what was asked.
async fn answer_once(answer: &'static [u8]) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let count = stream.read(&mut asked).await.unwrap();
        stream.write_all(answer).await.unwrap();
        asked.truncate(count);
        String::from_utf8(asked).unwrap()
    });
    (port, served)
}

fn local(timeout: Duration) -> Egress {
    Egress::with_roots(
        &EgressOptions { allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()], allow_http: true, timeout },
        rustls::RootCertStore::empty(),
    )
}

#[tokio::test]
async fn an_allowed_address_is_asked() {
    let (port, served) = answer_once(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n0123456789").await;
    let status = local(Duration::from_secs(10)).get(&format!("http://127.0.0.1:{port}/a?b=c")).await.unwrap();
    assert_eq!(status, StatusCode::OK, "the status is enough, whatever becomes of the body");
    let asked = served.await.unwrap();
    assert!(asked.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{asked}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (port, _served) =
        answer_once(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    let status = local(Duration::from_secs(10)).get(&format!("http://127.0.0.1:{port}/")).await.unwrap();
    assert_eq!(status, StatusCode::FOUND);
}

#[tokio::test]
async fn private_addresses_are_refused_by_name_and_by_number_in_every_notation() {
    let egress = Egress::with_roots(
        &EgressOptions { allow_http: true, ..EgressOptions::default() },
        rustls::RootCertStore::empty(),
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in
        ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"]
    {
        for scheme in ["http", "https"] {
            let answer = egress.get(&format!("{scheme}://{host}:{port}/")).await;
            assert!(matches!(answer, Err(Error::Refused)), "{scheme} {host}: {answer:?}");
        }
    }
    assert!(futures_util::FutureExt::now_or_never(listener.accept()).is_none(), "nobody ever connected");
}

#[tokio::test]
async fn urls_that_are_not_for_requests_are_refused_before_anything_is_resolved() {
    let strict = Egress::with_roots(&EgressOptions::default(), rustls::RootCertStore::empty());
    for url in
        ["http://example.com/", "ftp://example.com/", "file:///etc/passwd", "/relative", "https://u:p@example.com/"]
    {
        assert!(matches!(strict.get(url).await, Err(Error::Url(_))), "{url}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_not_waited_for() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let silent = listener.local_addr().unwrap().port();
    let answer = local(Duration::from_millis(50)).get(&format!("http://127.0.0.1:{silent}/")).await;
    assert!(matches!(answer, Err(Error::TimedOut(_))), "{answer:?}");
}

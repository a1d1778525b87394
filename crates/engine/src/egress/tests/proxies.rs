//! Requests through proxies.

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use url::Url;

use super::receiver::{OK, closed, request};
use super::*;

fn through(proxy: &str) -> EgressOptions {
    EgressOptions { proxy: Some(Url::parse(proxy).unwrap()), ..loopback_allowed() }
}

/// An HTTP proxy: notes the head of each request, answers so, and connects if that is yes.
async fn http_proxy(answer: &'static [u8]) -> (Receiver, mpsc::Receiver<String>) {
    let (seen, heads) = mpsc::channel(8);
    let proxy = Receiver::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            let (head, _) = request(&mut stream).await.unwrap();
            let target = head.split(' ').nth(1).unwrap().to_owned();
            seen.send(head).await.unwrap();
            stream.write_all(answer).await.unwrap();
            if answer.starts_with(b"HTTP/1.1 200") {
                let mut onward = TcpStream::connect(target).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut onward).await;
            } else {
                closed(&mut stream).await;
            }
        }
    })
    .await;
    (proxy, heads)
}

/// A SOCKS5 proxy that asks for `user` and `p@ss` where it is to, and gives this verdict; notes what it is told.
async fn socks5(with_password: bool, verdict: u8) -> (Receiver, mpsc::Receiver<Vec<u8>>) {
    let (seen, told) = mpsc::channel(8);
    let proxy = Receiver::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            let mut greeting = [0; 3];
            stream.read_exact(&mut greeting).await.unwrap();
            let method = if with_password { 2 } else { 0 };
            if greeting != [5, 1, method] {
                stream.write_all(&[5, 0xff]).await.unwrap();
                return;
            }
            stream.write_all(&[5, method]).await.unwrap();
            if with_password {
                let mut login = [0; 2 + 4 + 1 + 4];
                stream.read_exact(&mut login).await.unwrap();
                let right = &login == b"\x01\x04user\x04p@ss";
                stream.write_all(&[1, u8::from(!right)]).await.unwrap();
                if !right {
                    return;
                }
            }
            let mut asked = vec![0; 10];
            stream.read_exact(&mut asked).await.unwrap();
            let port = u16::from_be_bytes([asked[8], asked[9]]);
            seen.send(asked).await.unwrap();
            stream.write_all(&[5, verdict, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
            if verdict == 0 {
                let mut onward = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut onward).await;
            }
        }
    })
    .await;
    (proxy, told)
}

#[tokio::test]
async fn an_http_proxy_is_told_the_address_and_the_receiver_the_name() {
    let (seen, mut requests) = mpsc::channel(2);
    let receiver = Receiver::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            while let Some(asked) = request(&mut stream).await {
                seen.send(asked).await.unwrap();
                stream.write_all(OK).await.unwrap();
            }
        }
    })
    .await;
    let (proxy, mut heads) = http_proxy(b"HTTP/1.1 200 Connected\r\nx-proxy: yes\r\n\r\n").await;
    let options = through(&format!("http://user:p%40ss@{}", proxy.address));
    let (egress, _) = resolving(&options, Fake::new(&[&["127.0.0.1"]]));
    let port = receiver.address.port();
    for _ in 0..2 {
        assert_eq!(&*post(&egress, &format!("http://receiver.test:{port}/")).await.unwrap().body, b"ok");
        assert!(requests.recv().await.unwrap().0.contains(&format!("host: receiver.test:{port}\r\n")));
    }
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with(&format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n")), "{head}");
    assert!(head.contains("proxy-authorization: Basic dXNlcjpwQHNz\r\n"), "{head}");
    assert_eq!((proxy.accepted(), receiver.accepted()), (1, 1), "the connection through it is kept");
}

#[tokio::test]
async fn a_socks5_proxy_is_told_the_address() {
    for (credentials, with_password) in [("", false), ("user:p%40ss@", true)] {
        let receiver = Receiver::answering(OK).await;
        let (proxy, mut told) = socks5(with_password, 0).await;
        let options = through(&format!("socks5://{credentials}{}", proxy.address));
        let (egress, _) = resolving(&options, Fake::new(&[&["127.0.0.1"]]));
        let port = receiver.address.port();
        assert_eq!(&*post(&egress, &format!("http://receiver.test:{port}/")).await.unwrap().body, b"ok");
        let asked = told.recv().await.unwrap();
        assert_eq!(asked, [&[5, 1, 0, 1, 127, 0, 0, 1][..], &port.to_be_bytes()].concat());
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_connect_is_a_failure_of_its_own() {
    let url = "http://127.0.0.1:8080/";
    let check = async |proxy: &str| {
        assert_eq!(failure_of(&egress(&through(proxy)), url, PATIENT).await, Failure::Proxy, "{proxy}");
    };
    let answers: [&'static [u8]; 4] = [
        b"HTTP/1.1 403 Forbidden\r\n\r\n",
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        &[b'x'; 9_000],
    ];
    for answer in answers {
        let (proxy, _heads) = http_proxy(answer).await;
        check(&format!("http://{}", proxy.address)).await;
    }
    let (proxy, _told) = socks5(false, 5).await;
    check(&format!("socks5://{}", proxy.address)).await;
    check(&format!("socks5://user:p%40ss@{}", proxy.address)).await;
    let (proxy, _told) = socks5(true, 0).await;
    check(&format!("socks5://{}", proxy.address)).await;
    check(&format!("socks5://user:wron@{}", proxy.address)).await;
    let closing = Receiver::start(|_, _| async {}).await;
    check(&format!("http://{}", closing.address)).await;
    check(&format!("socks5://{}", closing.address)).await;
    check(&format!("https://{}", closing.address)).await;
    let gone = closing.address;
    drop(closing);
    check(&format!("http://{gone}")).await;
}

#[tokio::test]
async fn a_silent_proxy_is_ended_at_the_deadline() {
    for scheme in ["http", "socks5"] {
        let (ended, mut ends) = mpsc::channel(1);
        let proxy = Receiver::start(move |_, mut stream| {
            let ended = ended.clone();
            async move {
                closed(&mut stream).await;
                ended.send(()).await.unwrap();
            }
        })
        .await;
        let egress = egress(&through(&format!("{scheme}://{}", proxy.address)));
        assert_eq!(failure_of(&egress, "http://127.0.0.1:8080/", SHORT).await, Failure::Timeout);
        ends.recv().await.unwrap();
    }
}

#[tokio::test]
async fn a_proxy_is_not_asked_for_a_private_address() {
    let (proxy, _heads) = http_proxy(b"HTTP/1.1 200 Connected\r\n\r\n").await;
    let (egress, _) = resolving(&through(&format!("http://{}", proxy.address)), Fake::new(&[&["10.0.0.1"]]));
    assert_eq!(failure_of(&egress, "http://internal.test/", PATIENT).await, Failure::Forbidden);
    assert_eq!(proxy.accepted(), 0);
}

#[test]
fn only_proxies_that_are_understood_are_proxies() {
    for (url, known) in [
        ("http://p:3128", true),
        ("socks5://u:p@p", true),
        ("https://p", false),
        ("socks5h://p", false),
        ("http:x", true),
    ] {
        assert_eq!(EgressOptions::is_proxy(&Url::parse(url).unwrap()), known, "{url}");
    }
}

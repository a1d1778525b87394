//! Receivers that answer too much, too slowly, not at all or not in HTTP: none holds a worker past its deadline.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::receiver::{OK, closed, request};
use super::*;

/// A receiver that repeats some bytes for as long as the connection takes them, with a pause between, and tells when
/// the connection was closed on it.
async fn endless(head: &'static [u8], again: &'static [u8], pause: Duration) -> (Receiver, mpsc::Receiver<()>) {
    let (ended, ends) = mpsc::channel(1);
    let receiver = Receiver::start(move |_, mut stream| {
        let ended = ended.clone();
        async move {
            request(&mut stream).await;
            let mut said = stream.write_all(head).await;
            while said.is_ok() {
                said = stream.write_all(again).await;
                tokio::time::sleep(pause).await;
            }
            ended.send(()).await.unwrap();
        }
    })
    .await;
    (receiver, ends)
}

#[tokio::test]
async fn of_an_endless_body_the_first_64_kib_are_read_and_the_connection_is_closed() {
    for head in [
        &b"HTTP/1.1 200 OK\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffff\r\n",
    ] {
        let (receiver, mut ended) = endless(head, &[b'x'; 4096], Duration::ZERO).await;
        let egress = local();
        let reply = post(&egress, &receiver.url()).await.unwrap();
        assert_eq!((reply.body.len(), reply.truncated), (BODY_BYTES_MAX, true));
        ended.recv().await.unwrap();
        assert!(post(&egress, &receiver.url()).await.is_ok());
        assert_eq!(receiver.accepted(), 2, "the connection was not used again");
    }
}

#[tokio::test]
async fn a_body_of_exactly_64_kib_is_whole() {
    static ANSWER: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n".to_vec();
        answer.resize(answer.len() + BODY_BYTES_MAX, b'x');
        answer
    });
    let receiver = Receiver::answering(&ANSWER).await;
    let egress = local();
    for _ in 0..2 {
        let reply = post(&egress, &receiver.url()).await.unwrap();
        assert_eq!((reply.body.len(), reply.truncated), (BODY_BYTES_MAX, false));
    }
    assert_eq!(receiver.accepted(), 1);
}

#[tokio::test]
async fn what_drips_is_ended_at_the_deadline() {
    let drip = Duration::from_millis(2);
    let cases: [(&[u8], &[u8]); 6] = [
        // A body, byte by byte.
        (b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        // Headers, byte by byte.
        (b"HTTP/1.1 200 OK\r\nx: ", b"x"),
        // Answers that are none.
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"H"),
    ];
    for (head, again) in cases {
        let (receiver, mut ended) = endless(head, again, drip).await;
        let failure = failure_of(&local(), &receiver.url(), SHORT).await;
        assert_eq!(failure, Failure::Timeout, "{}", String::from_utf8_lossy(head));
        ended.recv().await.unwrap();
    }
}

#[tokio::test]
async fn headers_that_never_end_are_cut_off() {
    let cases: [(&[u8], &[u8]); 3] = [
        (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nx: ", &[b'y'; 1024]),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"),
    ];
    for (head, again) in cases {
        let (receiver, mut ended) = endless(head, again, Duration::ZERO).await;
        assert_eq!(failure_of(&local(), &receiver.url(), PATIENT).await, Failure::Protocol);
        ended.recv().await.unwrap();
    }
}

#[tokio::test]
async fn silence_is_ended_at_the_deadline() {
    // Before the request is read, before the answer, within its head, within its body.
    let said: [Option<&[u8]>; 4] =
        [None, Some(b""), Some(b"HTTP/1.1 200"), Some(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx")];
    for said in said {
        let (ended, mut ends) = mpsc::channel(1);
        let receiver = Receiver::start(move |_, mut stream| {
            let ended = ended.clone();
            async move {
                if let Some(said) = said {
                    request(&mut stream).await;
                    stream.write_all(said).await.unwrap();
                }
                closed(&mut stream).await;
                ended.send(()).await.unwrap();
            }
        })
        .await;
        assert_eq!(failure_of(&local(), &receiver.url(), SHORT).await, Failure::Timeout);
        ends.recv().await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_ended_at_the_deadline() {
    let receiver = Receiver::start(|_, stream| async move {
        // Held, and never read from.
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let egress = local();
    let large = Call { body: vec![b'x'; 64 << 20].into(), ..call(&egress, &receiver.url(), SHORT) };
    assert_eq!(egress.post(large).await.unwrap_err().failure, Failure::Timeout);
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_failure_of_its_own() {
    for said in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"] {
        for hard in [false, true] {
            let receiver = Receiver::start(move |_, mut stream: TcpStream| async move {
                request(&mut stream).await;
                stream.write_all(said).await.unwrap();
                if hard {
                    stream.set_zero_linger().unwrap();
                }
            })
            .await;
            let failure = failure_of(&local(), &receiver.url(), PATIENT).await;
            assert_eq!(failure, Failure::Reset, "{} {hard}", String::from_utf8_lossy(said));
        }
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_failure_of_its_own() {
    let answers: [&'static [u8]; 7] = [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example.com ESMTP ready\r\n",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ];
    for answer in answers {
        let receiver = Receiver::answering_once(answer).await;
        let failure = failure_of(&local(), &receiver.url(), PATIENT).await;
        assert_eq!(failure, Failure::Protocol, "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn an_answer_that_was_not_asked_for_is_nobodys_answer() {
    let receiver = Receiver::start(|number, mut stream| async move {
        request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        if number == 0 {
            // An answer to the request that is still to come.
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged").await.unwrap();
        }
        closed(&mut stream).await;
    })
    .await;
    let egress = local();
    assert_eq!(&*post(&egress, &receiver.url()).await.unwrap().body, b"ok");
    // However the bytes were split on the way, what was said too early is not taken for the second answer.
    let second = post(&egress, &receiver.url()).await;
    assert!(second.is_err() || &*second.unwrap().body == b"ok");
}

#[tokio::test]
async fn a_switched_protocol_ends_the_connection() {
    let receiver = Receiver::start(|_, mut stream| async move {
        request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
            .await
            .unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let egress = local();
    for number in 1..=2 {
        if let Ok(reply) = post(&egress, &receiver.url()).await {
            assert_eq!(reply.status, StatusCode::SWITCHING_PROTOCOLS);
        }
        assert_eq!(receiver.accepted(), number);
    }
}

//! Receivers that mean well: what is sent, what comes back, and which connection it goes over.

use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::receiver::{OK, closed, request};
use super::*;

#[tokio::test]
async fn a_request_arrives_as_it_was_made_and_its_answer_comes_back_whole() {
    let (seen, mut requests) = mpsc::channel(1);
    let receiver = Receiver::start(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            seen.send(request(&mut stream).await.unwrap()).await.unwrap();
            let answer = b"HTTP/1.1 202 Accepted\r\nretry-after: 7\r\ntransfer-encoding: chunked\r\n\r\n3\r\nyes\r\n4\r\n, it\r\n0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let egress = local();
    let reply = post(&egress, &format!("http://{}/a%20b/c?d=e&f#no", receiver.address)).await.unwrap();
    assert_eq!((reply.status, &*reply.body, reply.truncated), (StatusCode::ACCEPTED, &b"yes, it"[..], false));
    assert_eq!(reply.headers["retry-after"], "7");
    let (head, body) = requests.recv().await.unwrap();
    let mut lines = head.trim_end().lines();
    assert_eq!(lines.next(), Some("POST /a%20b/c?d=e&f HTTP/1.1"));
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    assert_eq!(lines, ["content-length: 7", "content-type: application/json", &format!("host: {}", receiver.address)]);
    assert_eq!(body, b"{\"a\":1}");
}

#[tokio::test]
async fn an_answer_without_a_body_is_whole() {
    for answer in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
    ] {
        let receiver = Receiver::answering_once(answer.as_bytes()).await;
        let reply = post(&local(), &receiver.url()).await.unwrap();
        assert_eq!((reply.body.len(), reply.truncated), (0, false), "{answer}");
    }
}

#[tokio::test]
async fn one_connection_carries_one_request_after_the_other() {
    let receiver = Receiver::answering(OK).await;
    let egress = local();
    for _ in 0..5 {
        assert_eq!(&*post(&egress.clone(), &receiver.url()).await.unwrap().body, b"ok");
    }
    assert_eq!(receiver.accepted(), 1);
}

#[tokio::test]
async fn requests_under_way_at_once_have_connections_of_their_own() {
    let receiver = Receiver::answering(OK).await;
    let egress = local();
    let url = receiver.url();
    for _ in 0..3 {
        let all = futures_util::future::join_all((0..8).map(|_| post(&egress, &url))).await;
        assert!(all.iter().all(Result::is_ok));
    }
    assert!(receiver.accepted() <= 8, "{} connections", receiver.accepted());
}

#[tokio::test]
async fn a_busy_origin_is_not_dialled_again_and_again() {
    let receiver = Receiver::answering(OK).await;
    let egress = local();
    let url = receiver.url();
    for _ in 0..4 {
        let all = futures_util::future::join_all((0..600).map(|_| post(&egress, &url))).await;
        assert!(all.iter().all(Result::is_ok));
    }
    assert!(receiver.accepted() <= 600, "{} connections", receiver.accepted());
}

#[tokio::test]
async fn connections_to_one_origin_are_made_a_few_at_a_time() {
    let (pool, origin) = (pool::Pool::default(), Arc::from("http://receiver"));
    let mut turns = Vec::new();
    while let Some(turn) = pool.turn_to_dial(&origin).now_or_never() {
        turns.push(turn);
    }
    assert_eq!(turns.len(), 16);
    assert!(pool.turn_to_dial(&Arc::from("http://another")).now_or_never().is_some(), "others have their own");
    turns.pop();
    assert!(pool.turn_to_dial(&origin).now_or_never().is_some());
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_and_the_attempt_succeeds() {
    // It is closed at once, or only when the next request is there already.
    for waits in [false, true] {
        let receiver = Receiver::start(move |_, mut stream| async move {
            request(&mut stream).await;
            stream.write_all(OK).await.unwrap();
            if waits {
                request(&mut stream).await;
            }
        })
        .await;
        let egress = local();
        for number in 1..=3 {
            assert_eq!(&*post(&egress, &receiver.url()).await.unwrap().body, b"ok");
            assert_eq!(receiver.accepted(), number);
        }
    }
}

#[tokio::test]
async fn a_request_whose_answer_began_is_not_sent_again() {
    let receiver = Receiver::start(|_, mut stream| async move {
        request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 2").await.unwrap();
    })
    .await;
    let egress = local();
    assert!(post(&egress, &receiver.url()).await.is_ok());
    assert_eq!(post(&egress, &receiver.url()).await.unwrap_err().failure, Failure::Reset);
    assert_eq!(receiver.accepted(), 1);
}

#[tokio::test]
async fn a_request_over_a_new_connection_is_sent_once() {
    let receiver = Receiver::start(|_, mut stream| async move {
        request(&mut stream).await;
    })
    .await;
    assert_eq!(post(&local(), &receiver.url()).await.unwrap_err().failure, Failure::Reset);
    assert_eq!(receiver.accepted(), 1);
}

#[tokio::test]
async fn a_receiver_that_wants_its_connection_closed_gets_it_closed() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"[..],
        b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ] {
        let (ended, mut ends) = mpsc::channel(2);
        let receiver = Receiver::start(move |_, mut stream| {
            let ended = ended.clone();
            async move {
                request(&mut stream).await;
                stream.write_all(answer).await.unwrap();
                closed(&mut stream).await;
                ended.send(()).await.unwrap();
            }
        })
        .await;
        let egress = local();
        for number in 1..=2 {
            assert!(post(&egress, &receiver.url()).await.is_ok());
            ends.recv().await.unwrap();
            assert_eq!(receiver.accepted(), number);
        }
    }
}

#[tokio::test]
async fn connections_that_wait_too_long_are_closed() {
    let (ended, mut ends) = mpsc::channel(1);
    let receiver = Receiver::start(move |_, mut stream| {
        let ended = ended.clone();
        async move {
            request(&mut stream).await;
            stream.write_all(OK).await.unwrap();
            closed(&mut stream).await;
            ended.send(()).await.unwrap();
        }
    })
    .await;
    let egress = local();
    assert!(post(&egress, &receiver.url()).await.is_ok());
    assert!(egress.0.pool.close_old(Instant::now()), "it waits");
    assert!(!egress.0.pool.close_old(Instant::now() + Duration::from_secs(31)), "it was closed");
    ends.recv().await.unwrap();
}

#[tokio::test]
async fn addresses_are_tried_in_turn() {
    let receiver = Receiver::answering(OK).await;
    // Nobody listens at the first.
    let options = EgressOptions { allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()], ..loopback_allowed() };
    let (egress, resolver) = resolving(&options, Fake::new(&[&["127.0.0.3", "127.0.0.1"]]));
    let url = format!("http://receiver.test:{}/", receiver.address.port());
    assert!(post(&egress, &url).await.is_ok());
    assert!(post(&egress, &url).await.is_ok());
    assert_eq!(resolver.asked(), 1, "a kept connection asks for no address");
}

#[tokio::test]
async fn a_name_without_addresses_is_a_failure_of_its_own() {
    for resolver in [Fake::new(&[]), Fake::new(&[&[]])] {
        let (egress, _) = resolving(&loopback_allowed(), resolver);
        assert_eq!(failure_of(&egress, "http://receiver.test/", PATIENT).await, Failure::Dns);
    }
}

#[tokio::test]
async fn nobody_listening_is_a_failure_of_its_own() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(failure_of(&local(), &url, PATIENT).await, Failure::Refused);
}

#[tokio::test]
async fn a_get_asks_for_the_status_alone() {
    let receiver = Receiver::answering(b"HTTP/1.1 404 Not Found\r\ncontent-length: 1000000\r\n\r\n0123456789").await;
    let status = local().get(&format!("http://{}/a?b=c", receiver.address)).await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND, "the status is enough, whatever becomes of the body");
}

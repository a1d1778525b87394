//! Requests that somebody wants this server to make against its own network: none is made.

use super::receiver::OK;
use super::*;

fn strict() -> EgressOptions {
    EgressOptions { allow_http: true, ..EgressOptions::default() }
}

/// Ways to write addresses that are not public: those that a URL parser makes an address of, and those that only look
/// like one.
const LITERALS: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.000.000.001",
    "127.255.255.254",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7F.1",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.01",
    "0177.0x0.0.1",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "１２７.０.０.１",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127．0．0．1",
    "0",
    "0x0",
    "0.0.0.0",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[::ffff:169.254.169.254]",
    "[2002:a9fe:a9fe::]",
    "[64:ff9b::a9fe:a9fe]",
    "169.254.169.254",
    "169.254.43518",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
];

#[test]
fn every_way_to_write_a_private_address_is_refused_before_anything_is_sent() {
    let egress = egress(&strict());
    for host in LITERALS {
        for scheme in ["http", "https"] {
            let target = egress.target(&format!("{scheme}://{host}:8080/"));
            assert!(matches!(target, Err(TargetError::Forbidden(_))), "{scheme}://{host} {target:?}");
        }
    }
    for host in ["256.0.0.1", "127.0.0.0.1", "0x100000000", "[::1", "[::1%25lo]", "1.2.3.4.5"] {
        assert!(matches!(egress.target(&format!("http://{host}/")), Err(TargetError::Malformed(_))), "{host}");
    }
}

#[tokio::test]
async fn names_of_this_machine_are_refused_where_they_are_connected_to() {
    let receiver = Receiver::answering(OK).await;
    let egress = egress(&strict());
    for host in ["localhost", "LOCALHOST", "LocalHost"] {
        let url = format!("http://{host}:{}/", receiver.address.port());
        assert_eq!(failure_of(&egress, &url, PATIENT).await, Failure::Forbidden, "{host}");
        assert!(matches!(egress.get(&url).await, Err(Error::Refused)), "{host}");
    }
    assert_eq!(receiver.accepted(), 0, "nobody ever connected");
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_refused_whatever_it_is_called() {
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "169.254.169.254", "::"]
    {
        let (egress, _) = resolving(&strict(), Fake::new(&[&[address]]));
        assert_eq!(failure_of(&egress, "http://metadata.example.com/", PATIENT).await, Failure::Forbidden, "{address}");
    }
}

/// A port at which two addresses of this machine are listened on: one that is allowed and stands for the public
/// internet, and one that is not.
async fn public_and_private() -> (Receiver, Receiver) {
    loop {
        let public =
            Receiver::answering_once(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
        let at = format!("127.0.0.2:{}", public.address.port());
        // Somebody else may have the port there.
        if tokio::net::TcpListener::bind(&at).await.is_ok() {
            return (public, Receiver::start_at(&at, |_, _| async {}).await);
        }
    }
}

#[tokio::test]
async fn a_name_that_changes_between_a_public_and_a_private_address_never_reaches_the_private_one() {
    let (public, private) = public_and_private().await;
    let url = format!("http://rebinding.test:{}/", public.address.port());
    let answers: &[&[&str]] =
        &[&["127.0.0.1"], &["127.0.0.2"], &["127.0.0.2", "127.0.0.1"], &["127.0.0.1", "127.0.0.2"]];
    let (egress, resolver) = resolving(&loopback_allowed(), Fake::new(answers));
    let (mut reached, mut refused) = (0, 0);
    for _ in 0..100 {
        match post(&egress, &url).await {
            Ok(_) => reached += 1,
            Err(error) => {
                assert_eq!(error.failure, Failure::Forbidden);
                refused += 1;
            }
        }
    }
    // One lookup a connection: what was checked is what was connected to.
    assert_eq!((reached, refused, resolver.asked()), (75, 25, 100));
    assert_eq!((public.accepted(), private.accepted()), (75, 0));
}

#[tokio::test]
async fn a_private_address_is_not_tried_when_the_public_one_fails() {
    let (public, private) = public_and_private().await;
    let url = format!("http://rebinding.test:{}/", public.address.port());
    drop(public);
    tokio::task::yield_now().await;
    let (egress, _) = resolving(&loopback_allowed(), Fake::new(&[&["127.0.0.1", "127.0.0.2"]]));
    for _ in 0..10 {
        let failure = failure_of(&egress, &url, PATIENT).await;
        // The receiver's end may still be under way in the first round.
        assert!(matches!(failure, Failure::Refused | Failure::Reset), "{failure:?}");
    }
    assert_eq!(private.accepted(), 0);
}

#[tokio::test]
async fn redirects_are_answers_and_are_not_followed() {
    let elsewhere = Receiver::answering(OK).await;
    let to_elsewhere = format!("http://{}/", elsewhere.address);
    for location in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://metadata.google.internal/",
        &to_elsewhere,
    ] {
        for status in [301, 302, 303, 307, 308] {
            let answer = format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
            let receiver = Receiver::answering(answer.leak().as_bytes()).await;
            let egress = local();
            assert_eq!(post(&egress, &receiver.url()).await.unwrap().status.as_u16(), status);
            assert_eq!(egress.get(&receiver.url()).await.unwrap().as_u16(), status);
        }
    }
    assert_eq!(elsewhere.accepted(), 0);
}

#[test]
fn urls_that_are_not_for_requests_are_refused() {
    let strict = egress(&EgressOptions::default());
    let forbidden = [
        "http://example.com/",
        "ftp://example.com/",
        "ws://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:text/plain,x",
        "https://example.com:22/",
        "https://example.com:5432/",
        "https://example.com:0/",
    ];
    for url in forbidden {
        assert!(matches!(strict.target(url), Err(TargetError::Forbidden(_))), "{url}");
    }
    let malformed = [
        "",
        "/relative",
        "example.com",
        "https://",
        "https://u:p@example.com/",
        "https://u@example.com/",
        "https://example.com:99999/",
        "https://exa mple.com/",
    ];
    for url in malformed {
        assert!(matches!(strict.target(url), Err(TargetError::Malformed(_))), "{url}");
    }
    for url in ["https://example.com", "https://example.com./x?y", "https://example.com:8443/", "https://8.8.8.8/"] {
        assert!(strict.target(url).is_ok(), "{url}");
    }
}

#[test]
fn the_operator_can_name_the_ports() {
    let options = EgressOptions { allow_ports: vec![443, 25], ..EgressOptions::default() };
    let egress = egress(&options);
    for (url, allowed) in
        [("https://example.com/", true), ("https://example.com:25/", true), ("https://example.com:8443/", false)]
    {
        assert_eq!(egress.target(url).is_ok(), allowed, "{url}");
    }
}

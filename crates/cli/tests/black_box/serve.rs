//! `tidings serve`: its first start, its end, and starting again.

use std::os::unix::fs::PermissionsExt as _;

use tidings_testkit::{Process, free_port};

use crate::support::{ONE, PATIENCE, Server, events, run, tidings};

#[tokio::test]
async fn the_first_start_makes_keys_that_only_the_user_can_read() {
    let mut server = Server::start().await;
    let mode = |name: &str| std::fs::metadata(server.data().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("admin.key"), mode("master.key")), (0o700, 0o600, 0o600));
    let key = server.key();
    assert!(key.len() >= 32);
    assert_eq!(std::fs::read_to_string(server.data().join("server.url")).unwrap().trim(), server.url);
    server.stop().await;
    assert!(!server.data().join("server.url").exists());
    let again = Server::on(server.data(), &[], &[]).await;
    assert_eq!(again.key(), key);
}

#[tokio::test]
async fn a_given_admin_key_is_accepted_and_none_is_made() {
    let key = "an-admin-key-of-forty-characters-or-more";
    let server = Server::start_with(&[], &[("TIDINGS_ADMIN_KEY", key)]).await;
    assert!(!server.data().join("admin.key").exists());
    let mut command = tidings(&["tenants", "list", "--json", "--url", &server.url]);
    command.env("TIDINGS_KEY", key);
    run(command, "").await.ok();
}

#[tokio::test]
async fn two_servers_never_share_a_data_directory() {
    let server = Server::start().await;
    let second =
        run(tidings(&["serve", "--listen", "127.0.0.1:0", "--data-dir", server.data().to_str().unwrap()]), "").await;
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains(&format!("another server (process {})", server.process.id())), "{}", second.stderr);
}

#[tokio::test]
async fn a_taken_port_is_named_with_a_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let ran = run(tidings(&["serve", "--listen", &address, "--data-dir", dir.path().to_str().unwrap()]), "").await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains(&address) && ran.stderr.contains("127.0.0.1:0"), "{}", ran.stderr);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_kill_9_and_nothing_needs_repair() {
    let mut server = Server::start().await;
    server.feed(&["emit", "-"], &events("acme", 100)).await.ok();
    server.process.kill9();
    let server = Server::on(server.data(), &[], &[]).await;
    assert_eq!(server.events("acme").await.len(), 100);
    let again = server.feed(&["emit", "-", "--json"], &events("acme", 120)).await.json();
    assert_eq!((again["written"].as_u64(), again["duplicates"].as_u64()), (Some(20), Some(100)));
}

#[tokio::test]
async fn sigterm_drains_and_a_reader_goes_on_with_the_next_server() {
    let port = format!("127.0.0.1:{}", free_port());
    let mut server = Server::start_with(&["--listen", &port], &[]).await;
    let mut tail = Process::spawn(server.command(&["tail", "acme", "--from", "start", "--json"]));
    server.feed(&["emit", "-"], &events("acme", 3)).await.ok();
    for number in 0..3 {
        tail.line(PATIENCE, move |line| line.contains(&format!("\"n\":{number}"))).await;
    }
    server.stop().await;
    tail.line(PATIENCE, |line| line.contains("trying again")).await;

    let server = Server::on(server.data(), &["--listen", &port], &[]).await;
    server.run(&ONE).await.ok();
    // The next event that it prints is the new one: it began after the last that it had printed.
    let next = tail.line(PATIENCE, |line| line.starts_with('{')).await;
    assert!(next.contains("\"sequence\":4"), "{next}");
    tail.terminate();
    assert_eq!(tail.wait(PATIENCE).await.code(), Some(0));
}

#[tokio::test]
async fn the_same_works_on_postgresql() {
    let postgres = tidings_testkit::Postgres::shared();
    let database = postgres.database().await;
    let url = database.url();
    let mut server = Server::start_with(&["--database-url", &url], &[]).await;
    server.feed(&["emit", "-"], &events("acme", 50)).await.ok();
    server.stop().await;
    let server = Server::on(server.data(), &["--database-url", &url], &[]).await;
    assert_eq!(server.events("acme").await.len(), 50);
}

#[tokio::test]
async fn an_unreachable_database_is_named_without_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = tidings(&["serve", "--listen", "127.0.0.1:0", "--data-dir", dir.path().to_str().unwrap()]);
    command.env("TIDINGS_DATABASE_URL", format!("postgres://u:geheim@127.0.0.1:{}/d", free_port()));
    let ran = run(command, "").await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("postgres://u:****@127.0.0.1"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("geheim"));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut server = Server::start().await;
    // A request whose body never comes holds the orderly end up.
    let address = server.url.trim_start_matches("http://").to_owned();
    let mut stuck = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n",
        server.key()
    );
    std::io::Write::write_all(&mut stuck, head.as_bytes()).unwrap();
    // The server asks for the body: it is in the middle of the request.
    std::io::Read::read_exact(&mut stuck, &mut [0; 12]).unwrap();
    server.process.terminate();
    server.process.line(PATIENCE, |line| line.contains("shutting down")).await;
    server.process.terminate();
    assert_eq!(server.process.wait(PATIENCE).await.code(), Some(130));
    let again = Server::on(server.data(), &[], &[]).await;
    again.run(&ONE).await.ok();
}

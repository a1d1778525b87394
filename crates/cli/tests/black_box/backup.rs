//! Copies of the log, and what a restored one tells its readers.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tidings_testkit::Postgres;

use crate::receiver::Receiver;
use crate::support::{Server, event, events, run, tidings};

/// Lets a server deliver to this machine.
const HERE: [(&str, &str); 2] = [("TIDINGS_ALLOW_HTTP", "true"), ("TIDINGS_ALLOW_CIDRS", "127.0.0.1/32")];

/// A page of the feed, or the problem it was answered with.
async fn page(server: &Server, query: &str) -> Value {
    let request = Request::get(format!("{}/v1/tenants/acme/feed?{query}", server.url))
        .header("authorization", format!("Bearer {}", server.key()));
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = client.request(request.body(Empty::new()).unwrap()).await.unwrap();
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).expect("JSON")
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What a command on a directory came to.
async fn on(dir: &Path, args: &[&str]) -> crate::support::Ran {
    run(tidings(&[args, &["--data-dir", path(dir)][..]].concat()), "").await
}

/// Events of these numbers, a line each. (The same line again would be the same event.)
fn later(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| event("acme", number) + "\n").collect()
}

fn numbers(events: &[Value]) -> Vec<(u64, u64)> {
    let number = |event: &Value, at: &str| event.pointer(at).and_then(Value::as_u64).unwrap();
    events.iter().map(|event| (number(event, "/sequence"), number(event, "/data/n"))).collect()
}

#[tokio::test]
async fn a_restored_log_tells_every_old_cursor_that_it_was_rewound() {
    let dir = tempfile::tempdir().unwrap();
    let (data, folder) = (dir.path().join("data"), dir.path().join("backup"));
    let (told, mut logs) = tokio::sync::mpsc::channel(1_000);
    let receiver = Receiver::new(move |came| {
        let _ = told.try_send((came.header("tidings-sequence").to_owned(), came.header("tidings-log").to_owned()));
        (200, String::new())
    })
    .await;
    let mut server = Server::on(&data, &[], &HERE).await;
    server.run(&["endpoints", "create", "acme", &receiver.url()]).await.ok();
    server.feed(&["emit", "-"], &events("acme", 5)).await.ok();
    let mut first = BTreeSet::new();
    while first.len() < 5 {
        first.insert(logs.recv().await.unwrap());
    }
    let early = page(&server, "from=start&limit=3").await["cursor"].as_str().unwrap().to_owned();

    // While the server runs, and writes.
    let backup = on(&data, &["backup", path(&folder), "--json"]).await.json();
    let copied = backup["events"].as_u64().unwrap();
    assert!(copied >= 5, "with Tidings' own events: {copied}");
    assert_eq!(on(&data, &["backup", path(&folder)]).await.code, Some(1), "a backup is never overwritten");
    let refused = on(&data, &["restore", path(&folder), "--replace"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("runs on the data directory"), "{}", refused.stderr);
    server.feed(&["emit", "-"], &later(5..9)).await.ok();
    let late = page(&server, "from=start&limit=9").await["cursor"].as_str().unwrap().to_owned();
    server.stop().await;

    let refused = on(&data, &["restore", path(&folder)]).await;
    assert!(refused.code == Some(1) && refused.stderr.contains("--replace"), "{refused:?}");
    let restored = on(&data, &["restore", path(&folder), "--replace", "--json"]).await.json();
    assert_eq!(restored["before"], backup["log"]);
    assert_ne!(restored["after"], backup["log"]);
    let checked = on(&data, &["log", "check", "--json"]).await.json();
    assert_eq!((&checked["events"], &checked["faults_in_all"]), (&json!(copied), &json!(0)));

    let mut server = Server::on(&data, &[], &HERE).await;
    for cursor in [&early, &late] {
        assert_eq!(page(&server, &format!("cursor={cursor}")).await["code"], "log_rewound");
    }
    let new = page(&server, "from=start").await;
    assert_eq!(new["events"].as_array().map(Vec::len), Some(5));
    server.feed(&["emit", "-"], &event("acme", 50)).await.ok();
    let query = format!("cursor={}", new["cursor"].as_str().unwrap());
    let next = page(&server, &query).await;
    assert_eq!(numbers(next["events"].as_array().unwrap()), [(6, 50)], "sequences go on where the copy ends");
    // A receiver may have seen another event 6 before; that it is of another log is told beside it.
    let after = ("6".to_owned(), restored["after"].as_str().unwrap().to_owned());
    while logs.recv().await.unwrap() != after {}
    assert!(first.iter().all(|(_, log)| *log == restored["before"]), "{first:?}");
    server.stop().await;
    // What was there is still there, under another name.
    let kept = std::fs::read_dir(&data).unwrap();
    let kept = kept.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().contains(".db.replaced-"));
    assert!(kept.count() >= 2);
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_noticed_even_where_nobody_renewed_it() {
    let dir = tempfile::tempdir().unwrap();
    let (data, folder) = (dir.path().join("data"), dir.path().join("backup"));
    let mut server = Server::on(&data, &[], &[]).await;
    server.feed(&["emit", "-"], &events("acme", 3)).await.ok();
    on(&data, &["backup", path(&folder)]).await.ok();
    server.feed(&["emit", "-"], &later(3..6)).await.ok();
    let late = page(&server, "from=start").await["cursor"].as_str().unwrap().to_owned();
    server.stop().await;
    let same = on(&data, &["restore", path(&folder), "--replace", "--same-log", "--json"]).await.json();
    assert_eq!(same["before"], same["after"]);
    let mut server = Server::on(&data, &[], &[]).await;
    let answer = page(&server, &format!("cursor={late}")).await;
    assert_eq!(answer["code"], "log_rewound", "{answer}");
    server.stop().await;
    // The command that would have told all of them.
    let renewed = on(&data, &["log", "renew", "--json"]).await.json();
    assert_eq!(renewed["before"], same["after"]);
    assert_ne!(renewed["before"], renewed["after"]);
}

#[tokio::test]
async fn a_folder_that_is_no_whole_backup_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, folder) = (dir.path().join("data"), dir.path().join("backup"));
    let mut server = Server::on(&data, &[], &[]).await;
    server.feed(&["emit", "-"], &events("acme", 1)).await.ok();
    server.stop().await;
    on(&data, &["backup", path(&folder)]).await.ok();
    std::fs::remove_file(folder.join("backup.json")).unwrap();
    let refused = on(&data, &["restore", path(&folder), "--replace"]).await;
    assert!(refused.code == Some(1) && refused.stderr.contains("no whole backup"), "{refused:?}");
    assert_eq!(on(&data, &["log", "check", "--json"]).await.json()["faults_in_all"], 0, "nothing was touched");
    let missing = dir.path().join("none");
    assert_eq!(on(&missing, &["log", "check"]).await.code, Some(1));
    assert!(!missing.exists(), "a check makes nothing");
}

#[tokio::test]
async fn a_log_whose_rows_were_changed_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::on(&data, &[], &[]).await;
    server.feed(&["emit", "-"], &events("acme", 3)).await.ok();
    server.stop().await;
    let file = rusqlite::Connection::open(data.join("tidings.db")).unwrap();
    file.execute_batch("DROP TRIGGER events_do_not_change; UPDATE events SET data = '{\"n\":7}' WHERE sequence = 2;")
        .unwrap();
    drop(file);
    let found = on(&data, &["log", "check", "--json"]).await;
    assert_eq!(found.code, Some(1));
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(found["faults_in_all"], 1);
    assert!(found["faults"][0].as_str().unwrap().contains("sequence 2) is not what its digest says"), "{found}");
}

#[tokio::test]
async fn a_log_in_postgresql_is_renewed_once_all_its_servers_are_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let postgres = Postgres::shared();
    let database = postgres.database().await;
    let url = database.url();
    let at = ("TIDINGS_DATABASE_URL", url.as_str());
    let mut server = Server::on(&data, &[], &[at]).await;
    server.feed(&["emit", "-"], &events("acme", 3)).await.ok();
    let old = page(&server, "from=start").await["cursor"].as_str().unwrap().to_owned();
    let looked = on(&data, &["doctor", "--database-url", &url]).await;
    assert!(looked.stdout.contains("takes writes; log"), "{looked:?}");
    let renew = || run(tidings(&["log", "renew", "--json", "--database-url", &url]), "");
    let refused = renew().await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("servers run on"), "{}", refused.stderr);
    let backup = on(&data, &["backup", path(&dir.path().join("b")), "--database-url", &url]).await;
    assert!(backup.code == Some(2) && backup.stderr.contains("pg_dump"), "{backup:?}");
    server.stop().await;

    let client = database.connect().await;
    let epochs = "SELECT min(epoch) FROM tidings.leases WHERE role = 'router'";
    let before: i64 = client.query_one(epochs, &[]).await.unwrap().get(0);
    let renewed = renew().await.json();
    assert_ne!(renewed["before"], renewed["after"]);
    let after: i64 = client.query_one(epochs, &[]).await.unwrap().get(0);
    assert!(after - before >= 1 << 32, "no owner from before the restore can pass for one of today: {before}, {after}");
    let checked = run(tidings(&["log", "check", "--json", "--database-url", &url]), "").await.json();
    assert_eq!((&checked["log"], &checked["faults_in_all"]), (&renewed["after"], &json!(0)));
    let mut server = Server::on(&data, &[], &[at]).await;
    assert_eq!(page(&server, &format!("cursor={old}")).await["code"], "log_rewound");
    server.feed(&["emit", "-"], &event("acme", 9)).await.ok();
    assert_eq!(numbers(page(&server, "from=start").await["events"].as_array().unwrap()).last(), Some(&(4, 9)));
    server.stop().await;
}

/// Takes the last step of a log's schema back, as far as a server can tell.
async fn as_an_older_version_left_it(database: &tidings_testkit::Database) {
    let client = database.connect().await;
    let sql = "DELETE FROM tidings.schema_history WHERE version = (SELECT max(version) FROM tidings.schema_history)";
    assert_eq!(client.execute(sql, &[]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_check_changes_nothing_and_refuses_a_log_of_an_older_version() {
    let dir = tempfile::tempdir().unwrap();
    let (data, folder) = (dir.path().join("data"), dir.path().join("backup"));
    let mut server = Server::on(&data, &[], &[]).await;
    server.feed(&["emit", "-"], &events("acme", 3)).await.ok();
    server.stop().await;
    on(&data, &["backup", path(&folder)]).await.ok();
    let copy = folder.join("tidings.db");
    let url = format!("sqlite:{}", copy.display());
    let check = async || run(tidings(&["log", "check", "--database-url", &url]), "").await;
    let before = std::fs::read(&copy).unwrap();
    check().await.ok();
    assert!(std::fs::read(&copy).unwrap() == before, "not a byte of the copy is another");

    let step = "DELETE FROM schema_history WHERE version = (SELECT max(version) FROM schema_history)";
    rusqlite::Connection::open(&copy).unwrap().execute_batch(step).unwrap();
    let before = std::fs::read(&copy).unwrap();
    let refused = check().await;
    assert!(refused.code == Some(1) && refused.stderr.contains("that last ran on it"), "{refused:?}");
    let looked = run(tidings(&["doctor", "--data-dir", path(&data), "--database-url", &url, "--json"]), "").await;
    assert!(looked.stdout.contains("the storage is behind") && looked.code == Some(0), "{looked:?}");
    assert!(std::fs::read(&copy).unwrap() == before, "nor is one after a check that is refused");
    // A copy can be made whatever its version is.
    let other = dir.path().join("again");
    run(tidings(&["backup", path(&other), "--data-dir", path(&data), "--database-url", &url]), "").await.ok();

    let database = Postgres::shared().database().await;
    let url = database.url();
    let mut server = Server::on(&data, &[], &[("TIDINGS_DATABASE_URL", &url)]).await;
    server.stop().await;
    let check = async || run(tidings(&["log", "check", "--database-url", &url]), "").await;
    check().await.ok();
    as_an_older_version_left_it(&database).await;
    for _ in 0..2 {
        let refused = check().await;
        assert!(refused.code == Some(1) && refused.stderr.contains("that last ran on it"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_log_is_not_renewed_under_a_server_that_runs_on_its_folder() {
    let mut server = Server::start().await;
    let url = format!("sqlite:{}", server.data().join("tidings.db").display());
    let elsewhere = tempfile::tempdir().unwrap();
    let renew = async || {
        let mut command = tidings(&["log", "renew", "--json", "--database-url", &url]);
        command.current_dir(elsewhere.path());
        run(command, "").await
    };
    let refused = renew().await;
    assert!(refused.code == Some(1) && refused.stderr.contains("runs on the data directory"), "{refused:?}");
    server.stop().await;
    renew().await.ok();
}

#[tokio::test]
async fn a_restore_that_was_interrupted_halfway_keeps_servers_away_until_it_is_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let (data, folder) = (dir.path().join("data"), dir.path().join("backup"));
    let mut server = Server::on(&data, &[], &[]).await;
    server.feed(&["emit", "-"], &events("acme", 3)).await.ok();
    server.stop().await;
    on(&data, &["backup", path(&folder)]).await.ok();
    // The worst moment: the old log is aside and the new one is not there yet.
    std::fs::rename(data.join("tidings.db"), data.join("tidings.db.restoring")).unwrap();
    let commands: [&[&str]; 5] =
        [&["serve", "--listen", "127.0.0.1:0"], &["log", "check"], &["log", "renew"], &["doctor"], &["backup", "b"]];
    for command in commands {
        let refused = on(&data, command).await;
        let said = format!("{}{}", refused.stdout, refused.stderr);
        assert!(refused.code == Some(1) && said.contains("a restore was interrupted"), "{command:?}: {refused:?}");
        assert!(!data.join("tidings.db").exists(), "{command:?} made a log");
    }
    on(&data, &["restore", path(&folder), "--replace"]).await.ok();
    assert!(!data.join("tidings.db.restoring").exists());
    let mut server = Server::on(&data, &[], &[]).await;
    assert_eq!(page(&server, "from=start").await["events"].as_array().map(Vec::len), Some(3));
    server.stop().await;
}

#[tokio::test]
async fn what_root_restores_belongs_to_the_owner_of_the_data_directory() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    if !rustix::process::geteuid().is_root() {
        println!("skipped: this test needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (data, folder) = (dir.path().join("data"), dir.path().join("backup"));
    let mut server = Server::on(&data, &[], &[]).await;
    server.feed(&["emit", "-"], &events("acme", 1)).await.ok();
    server.stop().await;
    on(&data, &["backup", path(&folder)]).await.ok();
    let fresh = dir.path().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    chown(&fresh, Some(65_534), Some(65_533)).unwrap();
    on(&fresh, &["restore", path(&folder)]).await.ok();
    let made: Vec<_> = std::fs::read_dir(&fresh).unwrap().map(|file| file.unwrap()).collect();
    assert!(made.len() >= 3, "the log, the outbox and the lock: {made:?}");
    for file in made {
        let found = file.metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (65_534, 65_533), "{:?}", file.path());
    }
}

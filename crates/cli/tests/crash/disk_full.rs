//! The disk under a SQLite log runs full and is freed again.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use hyper::StatusCode;
use serde_json::json;

use crate::api::{Seen, event};
use crate::server::Server;

const DISK: &str = "32m";
/// Events that are tried at most before a full disk must have refused one: all together larger than the disk.
const ATTEMPTS_MAX: u64 = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_answers_503_and_recovers_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let Some(wrapper) = small_disk(directory.path()) else {
        println!("skipped: this user may not mount a tmpfs in a namespace of its own");
        return;
    };
    let mut server = Server::new(directory.path(), None, &[]).wrapped_in(wrapper);
    server.start_ready().await;
    let numbered =
        |n: u64, bytes: usize| event("acme", &format!("e{n}"), "shop", &json!({ "n": n, "text": "x".repeat(bytes) }));
    assert_eq!(server.api.emit_until_taken(&[numbered(1, 10)]).await, 1);

    // The mount lives in the server's namespace and is reached through it.
    let disk = PathBuf::from(format!("/proc/{}/root{}", server.pid(), directory.path().display()));
    let filler = disk.join("filler");
    fill(&filler);
    // Large events first, then small ones: what SQLite has reserved already is used up to the last page.
    let mut taken = 1;
    for bytes in [100_000, 10_000, 10] {
        let refused = loop {
            let answer = server.api.emit(&[numbered(taken + 1, bytes)]).await.unwrap();
            if answer.status != StatusCode::CREATED {
                break answer;
            }
            taken += 1;
            assert!(taken < ATTEMPTS_MAX, "the disk does not fill up");
        };
        refused.assert_unavailable();
    }
    server.not_ready().await;
    assert_eq!(server.api.feed("acme").await, numbers(taken), "what was acknowledged can still be read");

    std::fs::remove_file(&filler).unwrap();
    let tries = server.api.emit_until_taken(&[numbered(taken + 1, 100_000)]).await;
    server.ready().await;
    assert_eq!(server.api.feed("acme").await, numbers(taken + 1));
    println!("full after {taken} events, taken again at try {tries} after the disk was freed");
    server.stop().await;
}

fn numbers(to: u64) -> Vec<Seen> {
    (1..=to).map(|sequence| Seen { sequence, id: format!("e{sequence}") }).collect()
}

/// A command that mounts a small disk on the directory, for itself and its children alone, and becomes what follows.
/// The mount is gone with the process.
fn small_disk(directory: &Path) -> Option<Vec<OsString>> {
    let script = format!(r#"mount -t tmpfs -o size={DISK},mode=700 tidings "$1" && shift && exec "$@""#);
    let wrappers: [&[&str]; 2] = [&["unshare", "--mount"], &["unshare", "--map-root-user", "--mount"]];
    wrappers.iter().find_map(|wrapper| {
        let mut line: Vec<OsString> = wrapper.iter().map(OsString::from).collect();
        line.extend(["sh", "-c", &script, "small-disk"].map(OsString::from));
        line.push(directory.into());
        let tried = Command::new(&line[0]).args(&line[1..]).arg("true").output().ok()?;
        tried.status.success().then_some(line)
    })
}

/// Writes until nothing fits any more.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [64 * 1024, 512] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
    assert!(file.metadata().unwrap().len() > 0);
}

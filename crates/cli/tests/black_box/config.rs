//! Configuration from outside, and its reference.

use crate::support::{run, tidings};

#[tokio::test]
async fn the_committed_reference_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let generated = run(tidings(&["config", "reference"]), "").await.ok();
    assert!(committed == generated, "run: tidings config reference > docs/configuration.md");
}

#[tokio::test]
async fn what_is_in_force_is_shown_with_its_origin_and_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidings.toml");
    std::fs::write(
        &file,
        "listen = '127.0.0.1:1'\nshutdown_s = 5\n[[source]]\nname='shop'\nurl='postgres://u:geheim@h/shop'\n",
    )
    .unwrap();
    let mut command =
        tidings(&["config", "show", "--json", "--data-dir", dir.path().to_str().unwrap(), "--listen", "127.0.0.1:2"]);
    command.env("TIDINGS_ADMIN_KEY", "geheim-0123456789012345678901234567890").env("TIDINGS_LOG", "debug");
    let ran = run(command, "").await;
    assert!(!ran.stdout.contains("geheim"), "{}", ran.stdout);
    let shown = ran.json();
    let origin = |name: &str| {
        let setting = shown["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == name).unwrap();
        (setting["value"].as_str().unwrap_or_default().to_owned(), setting["origin"].as_str().unwrap().to_owned())
    };
    let file = file.to_str().unwrap().to_owned();
    assert_eq!(origin("listen"), ("127.0.0.1:2".into(), "--listen".into()));
    assert_eq!(origin("log"), ("debug".into(), "TIDINGS_LOG".into()));
    assert_eq!(origin("shutdown_s"), ("5".into(), file.clone()));
    assert_eq!(origin("sources"), ("shop=postgres://u:****@h/shop".into(), file));
    assert_eq!(origin("roles"), ("all".into(), "default".into()));
    assert_eq!(origin("admin_key").0, "****");
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut command = tidings(&["serve", "--data-dir", data.to_str().unwrap(), "--nats-url", "http://localhost"]);
    command.env("TIDINGS_ADMIN_KEY", "short").env("TIDINGS_MASTER_KEY", "c2hvcnQ=");
    let ran = run(command, "").await;
    assert_eq!(ran.code, Some(2), "{ran:?}");
    for expected in ["must be URLs of NATS servers", "at least 32 characters", "must be 32 bytes"] {
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
    assert!(!data.exists());

    let file = dir.path().join("other.toml");
    std::fs::write(&file, "lisen = 'a:1'").unwrap();
    let ran = run(tidings(&["serve", "--config", file.to_str().unwrap()]), "").await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("did you mean 'listen'?"), "{}", ran.stderr);
}

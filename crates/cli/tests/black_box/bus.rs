//! A server with a broker.

use tidings_testkit::Nats;

use crate::support::{Server, run, tidings};

#[tokio::test]
async fn a_server_says_how_its_broker_stands_and_never_with_what_it_signs_in() {
    let program = Nats::programs().into_iter().next().expect("nats-server is installed");
    let nats = Nats::start_program(&program, "authorization: { users: [ { user: t, password: \"s3cret\" } ] }");
    let url = format!("nats://t:s3cret@127.0.0.1:{}", nats.port());
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::on(&dir.path().join("data"), &[], &[("TIDINGS_NATS_URL", &url)]).await;

    let connected = async {
        loop {
            let ran = server.run(&["doctor", "--json"]).await;
            let text = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!text.contains("s3cret"), "{text}");
            if text.contains("storage=file") {
                return text;
            }
        }
    };
    let text = tokio::time::timeout(std::time::Duration::from_secs(60), connected).await.expect("it is connected");
    assert!(text.contains("sync_interval=unknown") && text.contains("2 minutes"), "{text}");
    // From inside, it looks by itself.
    let mut local = tidings(&["doctor", "--data-dir", server.data().to_str().unwrap(), "--json"]);
    local.env("TIDINGS_NATS_URL", &url);
    let local = run(local, "").await.stdout;
    assert!(local.contains("version=2.") && local.contains("storage=file") && !local.contains("s3cret"), "{local}");
    let shown = {
        let mut show = tidings(&["config", "show"]);
        show.env("TIDINGS_NATS_URL", &url);
        run(show, "").await.stdout
    };
    assert!(shown.contains(&format!("nats://127.0.0.1:{}", nats.port())) && !shown.contains("s3cret"), "{shown}");
    server.stop().await;
}

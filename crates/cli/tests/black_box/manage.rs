//! `tidings keys`, `tenants`, `intents`, `openapi`.

use crate::support::{ONE, Server, run, tidings};

#[tokio::test]
async fn a_key_does_what_it_is_for_until_it_is_revoked() {
    let server = Server::start().await;
    server.run(&ONE).await.ok();
    let made = server
        .run(&["keys", "create", "--role", "consumer", "--tenant", "acme", "--description", "reader", "--json"])
        .await
        .json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let with_key = |args: &[&str]| {
        let mut command = tidings(args);
        command.env("TIDINGS_URL", &server.url).env("TIDINGS_KEY", key);
        run(command, "")
    };
    let read = ["tail", "acme", "--from", "start", "--no-follow", "--json"];
    assert_eq!(with_key(&read).await.lines().len(), 1);
    let refused = with_key(&ONE).await;
    assert_eq!(refused.code, Some(4));
    assert!(refused.stderr.contains("forbidden"), "{}", refused.stderr);

    let listed = server.run(&["keys", "list"]).await.ok();
    assert!(listed.contains(id) && listed.contains("reader") && !listed.contains(key), "{listed}");
    server.run(&["keys", "revoke", id]).await.ok();
    // This server's own keys are not remembered past their revocation.
    assert_eq!(with_key(&read).await.code, Some(4));
}

#[tokio::test]
async fn an_intent_is_seen_once_it_is_confirmed_and_never_when_it_is_discarded() {
    let server = Server::start().await;
    let create = async |id: &str| {
        let args = [
            "intents",
            "create",
            "--tenant",
            "acme",
            "--type",
            "files.file.uploaded",
            "--source",
            "service/files",
            "--data",
            "{\"a\": 1.0}",
            "--id",
            id,
        ];
        assert_eq!(server.run(&args).await.ok().trim(), id);
    };
    create("kept").await;
    create("dropped").await;
    assert!(server.run(&["intents", "confirm", "kept"]).await.ok().contains("confirmed"));
    server.run(&["intents", "discard", "dropped"]).await.ok();
    let seen = server.wait_for("acme", 1).await;
    assert_eq!(seen[0]["id"], "kept");
    let missing = server.run(&["intents", "confirm", "dropped"]).await;
    assert_eq!(missing.code, Some(4));
    assert!(missing.stderr.contains("intent_not_found"), "{}", missing.stderr);
}

#[tokio::test]
async fn a_tenants_limits_are_set_shown_and_cleared() {
    let server = Server::start().await;
    let limits = ["tenants", "limits"];
    let set = server.run(&[&limits[..], &["set", "acme", "--events-per-s", "1", "--json"]].concat()).await.json();
    assert_eq!((&set["own"]["events_per_s"], &set["in_force"]["events_burst"]), (&1.into(), &1.into()));
    let shown = server.run(&[&limits[..], &["get", "acme"]].concat()).await.ok();
    assert!(shown.contains("events_burst") && shown.contains("no limit"), "{shown}");
    let nothing = server.run(&[&limits[..], &["set", "acme"]].concat()).await;
    assert_eq!(nothing.code, Some(2), "{}", nothing.stderr);
    let cleared = server.run(&[&limits[..], &["clear", "acme", "--json"]].concat()).await.json();
    assert_eq!(cleared["in_force"]["events_per_s"], 0);
}

#[tokio::test]
async fn tenants_are_listed_with_their_heads() {
    let server = Server::start().await;
    server.run(&ONE).await.ok();
    let listed = server.run(&["tenants", "list", "--json"]).await.json();
    assert_eq!(listed["data"][0]["tenant"], "acme");
    assert_eq!(server.run(&["tenants", "get", "acme"]).await.json()["head"], 1);
    assert!(server.run(&["tenants", "list"]).await.ok().starts_with(" TENANT"));
}

#[tokio::test]
async fn the_api_describes_itself_without_a_server() {
    let described = run(tidings(&["openapi"]), "").await.json();
    assert_eq!(described["openapi"].as_str().unwrap().get(..3), Some("3.1"));
    assert!(described["paths"]["/v1/events"]["post"].is_object());
}

//! What people and services that work on the catalog are promised.

use serde_json::{Value, json};
use tidings_server::wire;

use crate::support::{Client, Server, definition, path_of, with};

const CREATED: &str = "sales.deal.created";
const YAML: &str = "\
# How deals begin.
name: sales.deal.created
version: 1
owner: sales
description: A deal was made.
schema:
  type: object
  required: [amount]
  properties:
    amount: { type: number }   # in euros
examples:
  - name: usual
    data: { amount: 12 }
";

/// The errors of a report, as they stand in an answer.
fn errors(report: &Value) -> Vec<Value> {
    let entries = report["entries"].as_array().unwrap();
    let findings = entries.iter().flat_map(|entry| entry["findings"].as_array().unwrap());
    findings.filter(|finding| finding["severity"] == "error").cloned().collect()
}

/// The definition with a member that consumers rely on made into something else.
fn broken() -> Value {
    let mut broken = definition(CREATED);
    broken["schema"]["properties"]["amount"] = json!({"type": "string"});
    broken["examples"] = json!([{"name": "usual", "data": {"amount": "12"}}]);
    broken
}

async fn all(client: &Client, path: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let mut request = client.get(path).query("limit", "2");
        if let Some(cursor) = cursor.as_str() {
            request = request.query("cursor", cursor);
        }
        let body = request.send().await.expect(200).json();
        found.extend(body["data"].as_array().unwrap().iter().cloned());
        cursor = body["cursor"].clone();
        if cursor.is_null() {
            return found;
        }
    }
}

#[tokio::test]
async fn a_definition_is_answered_as_it_was_sent_and_as_json() {
    let server = Server::start().await;
    let path = path_of(&definition(CREATED));
    let put = || server.admin().put(&path).typed("application/yaml", YAML);
    let answer: wire::CatalogChanged = put().send().await.expect(201).read();
    assert_eq!((answer.revision, answer.report.entries[0].change.as_str()), (Some(1), "added"));
    for media in ["application/yaml", "text/yaml", "text/plain"] {
        let answer = server.admin().get(&path).header("accept", media).send().await.expect(200);
        assert_eq!(answer.text(), YAML, "byte for byte");
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with(media));
    }
    let json: wire::Definition = server.admin().get(&path).send().await.expect(200).read();
    assert_eq!((json.owner.as_str(), json.version.as_str()), ("sales", "1"));
    let defaults = (json.lifecycle.unwrap().stage, json.ordering.unwrap(), json.compatibility.unwrap());
    assert_eq!(defaults, ("stable".to_owned(), "entity".to_owned(), "published".to_owned()));
    assert_eq!(json.schema["properties"]["amount"]["type"], "number");
    server.admin().get(&path).header("accept", "text/csv").send().await.problem(406, "not_acceptable");

    let again: wire::CatalogChanged = put().send().await.expect(200).read();
    assert_eq!((again.revision, again.report.entries[0].change.as_str()), (None, "unchanged"));

    // What is answered as JSON can be sent back.
    let read = server.admin().get(&path).send().await.expect(200).json();
    let sent: wire::CatalogChanged = server.admin().put(&path).json(&read).send().await.expect(200).read();
    assert!(sent.report.entries[0].findings.iter().all(|finding| finding.severity != "error"));
}

#[tokio::test]
async fn a_breaking_change_is_refused_with_a_witness_and_takes_a_version_of_its_own() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let path = path_of(&definition(CREATED));
    let problem = server.admin().put(&path).json(&broken()).send().await.problem(409, "catalog_breaking");
    let found = errors(&problem["report"]);
    assert!(!found.is_empty() && found.iter().all(|finding| finding["subject"] == "compatibility"), "{problem:#}");
    assert!(
        found.iter().any(|finding| finding["witness"].is_object() && finding["overridable"] == true),
        "{problem:#}"
    );
    let kept = server.admin().get(&path).send().await.expect(200).json();
    assert_eq!(kept["schema"]["properties"]["amount"]["type"], "number", "nothing was changed");

    server.define(&with(broken(), json!({"version": "2"}))).await;
    let read: wire::EventType =
        server.admin().get(&format!("/v1/event-types/{CREATED}")).send().await.expect(200).read();
    let versions: Vec<_> = read.versions.iter().map(|version| version.version.as_str()).collect();
    assert_eq!((read.current.as_str(), versions), ("2", vec!["1", "2"]), "both are served");
}

#[tokio::test]
async fn a_break_is_allowed_with_a_reason_that_the_history_keeps() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let path = path_of(&definition(CREATED));
    let put = server.admin().put(&path).query("reason", "nobody reads it yet").json(&broken());
    let answer = put.send().await.expect(200).json();
    assert_eq!((&answer["revision"], errors(&answer["report"]).len()), (&json!(2), 0), "{answer:#}");
    for path in [format!("{path}/history"), format!("/v1/event-types/{CREATED}/history")] {
        let history = all(&server.admin(), &path).await;
        let reasons: Vec<_> = history.iter().map(|revision| revision["reason"].clone()).collect();
        assert_eq!(reasons, [Value::Null, json!("nobody reads it yet")], "{history:#?}");
        assert_eq!((&history[1]["revision"], &history[1]["by"]), (&json!(2), &json!("admin")));
        assert!(history[1]["source"].as_str().unwrap().contains("string"));
    }
    server.admin().get("/v1/event-types/no.such.type_found/history").send().await.problem(404, "event_type_not_found");
    server.admin().get(&path).query("reason", "x").send().await.problem(400, "request_invalid");
    let long = "x".repeat(501);
    for reason in [long.as_str(), "a\0b", "a\nb"] {
        server.admin().put(&path).query("reason", reason).json(&broken()).send().await.problem(400, "request_invalid");
    }
    let put = server.admin().put(&path).query("reason", &long[1..]).json(&definition(CREATED));
    assert_eq!(put.send().await.expect(200).json()["revision"], 3);
}

#[tokio::test]
async fn names_and_reasons_that_a_database_cannot_keep_are_refused() {
    let server = Server::start_on_postgres().await;
    server.define(&definition(CREATED)).await;
    let paths = [
        "/v1/event-types/a%00b".to_owned(),
        "/v1/event-types/a%00b/history".to_owned(),
        "/v1/event-types/a.b%00/versions/1/history".to_owned(),
        format!("/v1/event-types/{CREATED}/versions/1%00"),
        format!("/v1/event-types/{CREATED}/versions/1%00/history"),
    ];
    for path in paths {
        server.admin().get(&path).send().await.problem(404, "event_type_not_found");
    }
    server.admin().delete("/v1/event-types/a%00b/versions/1").send().await.problem(404, "event_type_not_found");
    server.admin().get("/v1/catalog/sets/a%00b").send().await.problem(404, "catalog_entry_not_found");
    server.admin().delete("/v1/catalog/sets/a%00b").send().await.problem(404, "catalog_entry_not_found");
    let put = server.admin().put(&path_of(&definition(CREATED))).query("reason", "a\0b").json(&broken());
    put.send().await.problem(400, "request_invalid");
    let entry = json!({"name": CREATED, "version": "1", "reason": "a\u{0}b"});
    let named = json!({"name": "a\u{0}b", "version": "1"});
    for (change, path) in [
        (json!({"remove": [named]}), "/remove/0/name"),
        (json!({"remove": [{"name": CREATED, "version": "1\u{0}"}]}), "/remove/0/version"),
        (json!({"remove": [{"kind": "set", "name": "a\u{0}b"}]}), "/remove/0/name"),
        (json!({"definitions": [broken()], "overrides": [entry]}), "/overrides/0/reason"),
    ] {
        let problem = server.admin().post("/v1/catalog/changes").json(&change).send().await;
        let problem = problem.problem(422, "definition_invalid");
        assert_eq!(
            (&problem["errors"][0]["path"], &problem["errors"][0]["code"]),
            (&json!(path), &json!("string_control_character")),
            "{problem:#}"
        );
    }
}

#[tokio::test]
async fn a_key_defines_only_types_that_its_prefixes_cover_and_none_where_it_is_limited_to_tenants() {
    let server = Server::start().await;
    let key = async |members: Value| server.key(&with(json!({"role": "producer", "service": "sales"}), members)).await;
    let put = async |client: &Client, name: &str| {
        client.put(&path_of(&definition(name))).json(&definition(name)).send().await
    };
    let refused = async |client: &Client, name: &str, expect: &str| {
        let problem = put(client, name).await.problem(403, "forbidden");
        assert_eq!(problem["errors"][0]["code"], expect, "{problem:#}");
    };
    let covered = key(json!({"type_prefixes": ["sales."]})).await;
    refused(&covered, "hr.offer.signed", "type_forbidden").await;
    put(&covered, CREATED).await.expect(201);
    let limited = key(json!({"type_prefixes": ["sales."], "tenants": ["acme"]})).await;
    refused(&limited, CREATED, "tenant_forbidden").await;
    // The first definition of a type takes a prefix or an admin; what follows takes its owner.
    let all = key(json!({})).await;
    refused(&all, "sales.offer.signed", "type_forbidden").await;
    server.define(&definition("sales.offer.signed")).await;
    put(&all, "sales.offer.signed").await.expect(200);
}

#[tokio::test]
async fn a_trial_says_what_the_same_key_would_be_answered() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let event = crate::support::typed("acme", CREATED, json!({"amount": 1}));
    for (client, code) in [
        (server.service("hr").await, "source_not_own"),
        (server.key(&json!({"role": "producer"})).await, "key_without_service"),
    ] {
        client.post("/v1/events").json(&event).send().await.problem(403, "forbidden");
        let trial: wire::Trial = client.post("/v1/catalog/try").json(&event).send().await.expect(200).read();
        assert_eq!((trial.outcome.as_str(), trial.violations[0].code.as_str()), ("rejected", code));
    }
    let trial: wire::Trial =
        server.service("sales").await.post("/v1/catalog/try").json(&event).send().await.expect(200).read();
    assert_eq!(trial.outcome, "accepted");
}

#[tokio::test]
async fn a_definition_that_would_take_forever_to_judge_by_is_refused_at_once() {
    let server = Server::start().await;
    let chain = |count: usize, fan: usize, last: Value| {
        let next = |n: usize| json!({"$ref": format!("#/$defs/s{}", n + 1)});
        let mut defs: serde_json::Map<String, Value> =
            (0..count).map(|n| (format!("s{n}"), json!({"anyOf": vec![next(n); fan]}))).collect();
        defs.insert(format!("s{count}"), last);
        json!({"$ref": "#/$defs/s0", "$defs": defs})
    };
    // Two to the sixtieth branches, and as many frames of the stack as definitions.
    for schema in [chain(60, 2, json!({"required": ["no"]})), chain(4_200, 1, json!({"type": "object"}))] {
        let slow = with(definition(CREATED), json!({"schema": schema, "examples": [{"name": "x", "data": {"x": 1}}]}));
        let answer = server.admin().put(&path_of(&slow)).query("dry_run", "true").json(&slow).send().await;
        let report = answer.expect(200).json();
        assert!(errors(&report["report"]).iter().any(|finding| finding["subject"] == "schema"), "{report:#}");
        server.admin().put(&path_of(&slow)).json(&slow).send().await.problem(422, "definition_invalid");
    }
    server.emit(&crate::support::typed("acme", CREATED, json!({"x": 1}))).await;
}

#[tokio::test]
async fn what_is_changed_between_two_pages_of_a_history_moves_nothing() {
    let server = Server::start().await;
    let path = path_of(&definition(CREATED));
    server.define(&definition(CREATED)).await;
    let change = async |definition: &Value, revision: u64| {
        let put = server.admin().put(&path).query("reason", "nobody reads it yet").json(definition);
        assert_eq!(put.send().await.expect(200).json()["revision"], revision);
    };
    change(&broken(), 2).await;
    let page = server.admin().get(&format!("{path}/history")).query("limit", "1").send().await.expect(200).json();
    let cursor = page["cursor"].as_str().unwrap();
    change(&definition(CREATED), 3).await;
    let rest = server.admin().get(&format!("{path}/history")).query("limit", "2").query("cursor", cursor);
    let rest = rest.send().await.expect(200).json();
    assert!(rest["cursor"].is_null(), "{rest:#}");
    assert_eq!((&rest["data"][0]["revision"], &rest["data"][1]["revision"]), (&json!(2), &json!(3)), "{rest:#}");
}

#[tokio::test]
async fn a_dry_run_says_all_and_changes_nothing() {
    let server = Server::start().await;
    let path = path_of(&definition(CREATED));
    let dry = |body: Value| server.admin().put(&path).query("dry_run", "true").json(&body);
    let answer: wire::CatalogChanged = dry(definition(CREATED)).send().await.expect(200).read();
    assert_eq!((answer.revision, answer.report.entries[0].change.as_str()), (None, "added"));
    server.admin().get(&path).send().await.problem(404, "event_type_not_found");
    server.define(&definition(CREATED)).await;
    let answer = dry(broken()).send().await.expect(200).json();
    assert!(!errors(&answer["report"]).is_empty(), "{answer:#}");
    server.admin().put(&path).query("dry_run", "yes").json(&broken()).send().await.problem(400, "request_invalid");
}

#[tokio::test]
async fn what_is_wrong_with_a_definition_is_said_with_its_place_and_line() {
    let server = Server::start().await;
    let path = path_of(&definition(CREATED));
    let put = async |body: &str| {
        let answer = server.admin().put(&path).typed("application/yaml", body.to_owned()).send().await;
        answer.problem(422, "definition_invalid")
    };
    let problem = put(&YAML.replace("owner: sales\n", "colour: red\n")).await;
    let found = errors(&problem["report"]);
    assert!(found.iter().any(|finding| finding["path"] == "/colour" && finding["line"] == 4), "{problem:#}");
    let problem = put(&YAML.replace("amount: 12", "amount: twelve")).await;
    assert!(errors(&problem["report"]).iter().any(|finding| finding["subject"] == "example"), "{problem:#}");

    let problem = put("name: [").await;
    assert_eq!(problem["errors"][0]["code"], "source_unreadable", "{problem:#}");
    let problem = put(&YAML.replace("version: 1", "version: 2").replace("deal", "offer")).await;
    let wrong: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| (&e["path"], &e["code"])).collect();
    assert_eq!(wrong, [(&json!("/name"), &json!("name_mismatch")), (&json!("/version"), &json!("name_mismatch"))]);
}

#[tokio::test]
async fn names_that_are_no_events_are_refused_with_a_proposal() {
    let server = Server::start().await;
    let definition = definition("sales.deal.create");
    let answer = server.admin().put(&path_of(&definition)).json(&definition).send().await;
    let problem = answer.problem(422, "definition_invalid");
    let found = errors(&problem["report"]);
    let proposed = found.iter().any(|finding| {
        finding["subject"] == "name" && finding["proposal"].as_str().is_some_and(|text| text.contains("created"))
    });
    assert!(proposed, "{problem:#}");
}

#[tokio::test]
async fn bodies_that_are_no_definitions_are_refused() {
    let server = Server::start().await;
    let path = path_of(&definition(CREATED));
    let put = async |media: &str, body: Vec<u8>| server.admin().put(&path).typed(media, body).send().await;
    put("text/csv", b"a".to_vec()).await.problem(415, "content_type_unsupported");
    put("application/yaml", vec![0xff]).await.problem(400, "body_malformed");
    put("application/yaml", vec![b' '; 256 * 1024 + 1]).await.problem(413, "body_too_large");
    put("application/json", b"[]".to_vec()).await.problem(422, "definition_invalid");
}

#[tokio::test]
async fn a_change_of_many_entries_is_made_as_a_whole() {
    let server = Server::start().await;
    let mut ruled = definition(CREATED);
    ruled["schema"]["properties"]["currency"] = json!({"type": "string"});
    ruled["rules"] = json!([
        {"name": "known_currency", "check": "!has(data.currency) || data.currency in sets.currencies", "message": "no"},
    ]);
    let change = json!({
        "definitions": [ruled, {"source": YAML.replace("created", "closed")}],
        "sets": [{"name": "currencies", "description": "What is paid in.", "values": ["EUR", "USD"]}],
        "policies": [{"source": "name: gentle\nunknown: observe\n"}],
    });
    let post = |body: &Value| server.admin().post("/v1/catalog/changes").json(body);
    let mut bad = change.clone();
    bad["definitions"][0]["owner"] = json!(7);
    post(&bad).send().await.problem(422, "definition_invalid");
    assert!(all(&server.admin(), "/v1/catalog/entries").await.is_empty(), "all or nothing");

    let answer: wire::CatalogChanged = post(&change).send().await.expect(200).read();
    assert_eq!((answer.revision, answer.report.entries.len()), (Some(1), 4));
    let entries = all(&server.admin(), "/v1/catalog/entries").await;
    assert_eq!(entries.len(), 4);
    let closed = entries.iter().find(|entry| entry["name"] == "sales.deal.closed").unwrap();
    assert_eq!((&closed["source"], &closed["revision"]), (&json!(YAML.replace("created", "closed")), &json!(1)));
    let again: wire::CatalogChanged = post(&change).send().await.expect(200).read();
    assert_eq!(again.revision, None, "repeating it changes nothing more");

    let set: wire::ReferenceSet = server.admin().get("/v1/catalog/sets/currencies").send().await.expect(200).read();
    assert_eq!(set.values, [json!("EUR"), json!("USD")]);
    let sets: wire::ReferenceSetList = server.admin().get("/v1/catalog/sets").send().await.expect(200).read();
    assert_eq!((sets.data[0].name.as_str(), sets.data[0].values_count), ("currencies", 2));
    let policy: wire::Policy = server.admin().get("/v1/catalog/policies/gentle").send().await.expect(200).read();
    assert_eq!((policy.unknown.as_deref(), policy.known), (Some("observe"), None));
    let policies: wire::PolicyList = server.admin().get("/v1/catalog/policies").send().await.expect(200).read();
    assert_eq!(policies.data.len(), 1);

    let removal = json!({"remove": [{"kind": "policy", "name": "gentle"}]});
    let answer: wire::CatalogChanged = post(&removal).send().await.expect(200).read();
    assert_eq!((answer.revision, answer.report.entries[0].change.as_str()), (Some(2), "removed"));
    server.admin().get("/v1/catalog/policies/gentle").send().await.problem(404, "catalog_entry_not_found");
    assert_eq!(all(&server.admin(), "/v1/catalog/entries").await.len(), 3);
}

#[tokio::test]
async fn all_that_is_wrong_with_a_change_is_said_at_once() {
    let server = Server::start().await;
    let change = json!({
        "definitions": [{"source": 7}, "text", definition(CREATED), definition(CREATED)],
        "remove": [{"kind": "thing", "name": "x"}, {"name": CREATED}],
        "overrides": [{"name": "sales.deal.lost", "version": "1", "reason": "so"}],
        "colour": "red",
    });
    let problem = server.admin().post("/v1/catalog/changes").json(&change).send().await;
    let problem = problem.problem(422, "definition_invalid");
    let errors = problem["errors"].as_array().unwrap();
    let wrong: Vec<_> = errors.iter().map(|e| (e["path"].as_str().unwrap(), e["code"].as_str().unwrap())).collect();
    for expect in [
        ("/definitions/0/source", "member_wrong_type"),
        ("/definitions/1", "member_wrong_type"),
        ("/remove/0/kind", "value_unknown"),
        ("/remove/1/version", "member_missing"),
        ("/colour", "member_unknown"),
    ] {
        assert!(wrong.contains(&expect), "{expect:?} is not in {wrong:?}");
    }
    let twice = json!({"definitions": [definition(CREATED), definition(CREATED)],
        "overrides": [{"name": "sales.deal.lost", "version": "1", "reason": "so"}]});
    let problem = server.admin().post("/v1/catalog/changes").json(&twice).send().await;
    let problem = problem.problem(422, "definition_invalid");
    let errors = problem["errors"].as_array().unwrap();
    let wrong: Vec<_> = errors.iter().map(|e| (e["path"].as_str().unwrap(), e["code"].as_str().unwrap())).collect();
    assert_eq!(wrong, [("/definitions/1", "entry_repeated"), ("/overrides/0", "entry_not_found")]);
}

#[tokio::test]
async fn types_are_listed_by_name_owner_stage_and_prefix() {
    let server = Server::start().await;
    let draft = json!({"lifecycle": {"stage": "draft"}});
    for definition in [
        definition("sales.deal.lost"),
        with(definition("sales.deal.lost"), json!({"version": "2", "lifecycle": {"stage": "draft"}})),
        definition(CREATED),
        with(definition("hr.person.hired"), json!({"owner": "hr"})),
        with(definition("hr.person.retired"), with(json!({"owner": "hr"}), draft)),
    ] {
        server.define(&definition).await;
    }
    let admin = server.admin();
    let names = async |path: &str| {
        let found = all(&admin, path).await;
        found.iter().map(|found| found["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let every = ["hr.person.hired", "hr.person.retired", CREATED, "sales.deal.lost"];
    assert_eq!(names("/v1/event-types").await, every);
    assert_eq!(names("/v1/event-types?owner=hr").await, ["hr.person.hired", "hr.person.retired"]);
    assert_eq!(names("/v1/event-types?stage=draft").await, ["hr.person.retired", "sales.deal.lost"]);
    assert_eq!(names("/v1/event-types?prefix=sales.deal.l").await, ["sales.deal.lost"]);
    let list: wire::EventTypeList = admin.get("/v1/event-types?prefix=sales.deal.l").send().await.expect(200).read();
    let lost = &list.data[0];
    assert_eq!((lost.current.as_str(), lost.versions.len()), ("1", 2), "a draft is not current beside a stable one");
    assert_eq!(lost.versions[1].stage, "draft");
    admin.get("/v1/event-types?stage=new").send().await.problem(400, "request_invalid");
    admin.get("/v1/event-types/sales.deal.won").send().await.problem(404, "event_type_not_found");
    admin
        .get("/v1/event-types/no type/versions/x".replace(' ', "%20").as_str())
        .send()
        .await
        .problem(404, "event_type_not_found");
}

#[tokio::test]
async fn drafts_can_be_deleted_and_what_is_promised_cannot() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let draft = with(definition(CREATED), json!({"version": "2", "lifecycle": {"stage": "draft"}}));
    server.define(&draft).await;
    let stable = server.admin().delete(&path_of(&definition(CREATED))).send().await;
    assert!(!errors(&stable.problem(409, "catalog_breaking")["report"]).is_empty());
    let gone: wire::CatalogChanged = server.admin().delete(&path_of(&draft)).send().await.expect(200).read();
    assert_eq!(gone.report.entries[0].change, "removed");
    server.admin().get(&path_of(&draft)).send().await.problem(404, "event_type_not_found");
    server.admin().delete(&path_of(&draft)).send().await.problem(404, "event_type_not_found");
    let history = all(&server.admin(), &format!("{}/history", path_of(&draft))).await;
    assert_eq!((history.len(), &history[1]["source"]), (2, &Value::Null), "its history stays");
    server.admin().delete("/v1/catalog/sets/currencies").send().await.problem(404, "catalog_entry_not_found");
}

#[tokio::test]
async fn a_service_changes_only_what_it_owns() {
    let server = Server::start().await;
    let key = async |service: &str| {
        server.key(&json!({"role": "producer", "service": service, "type_prefixes": ["sales."]})).await
    };
    let (sales, hr) = (key("sales").await, key("hr").await);
    let (path, own) = (path_of(&definition(CREATED)), definition(CREATED));
    hr.put(&path).json(&own).send().await.problem(403, "forbidden");
    sales.put(&path).json(&own).send().await.expect(201);
    // Neither does it take over what another owns, nor give its own away.
    let taken = with(own.clone(), json!({"owner": "hr"}));
    hr.put(&path).query("reason", "mine").json(&taken).send().await.problem(403, "forbidden");
    sales.put(&path).query("reason", "yours").json(&taken).send().await.problem(403, "forbidden");
    hr.post("/v1/catalog/changes").json(&json!({"definitions": [own]})).send().await.problem(403, "forbidden");
    let policy = json!({"policies": [{"name": "open", "known": "off"}]});
    sales.post("/v1/catalog/changes").json(&policy).send().await.problem(403, "forbidden");
    let nameless = server.role("producer", &[]).await;
    nameless.put(&path).json(&definition(CREATED)).send().await.problem(403, "forbidden");
    nameless.get(&path).send().await.expect(200);
    let denied = server.await_event("$system", "tidings.access.denied", 1).await;
    assert!(denied["data"]["operation"].as_str().is_some_and(|text| text.contains("/v1/event-types")), "{denied:#}");
}

#[tokio::test]
async fn a_change_is_told_to_the_tenant_of_tidings_itself() {
    let server = Server::start().await;
    server.define(&definition(CREATED)).await;
    let told = server.await_event("$system", "tidings.catalog.changed", 1).await;
    assert_eq!((&told["data"]["revision"], &told["data"]["entries"][0]["name"]), (&json!(1), &json!(CREATED)));
}

#[tokio::test]
async fn the_catalog_is_given_as_an_asyncapi_document() {
    let server = Server::start().await;
    server.admin().get("/v1/catalog/asyncapi.json").send().await.problem(404, "event_type_not_found");
    server.define(&definition(CREATED)).await;
    let answer = server.admin().get("/v1/catalog/asyncapi.json").send().await.expect(200);
    assert!(answer.json()["asyncapi"].as_str().unwrap().starts_with("3."));
    assert!(answer.text().contains(CREATED));
    let again = server.admin().get("/v1/catalog/asyncapi.json").send().await.expect(200);
    assert_eq!(again.body, answer.body);
    server.define(&definition("sales.deal.lost")).await;
    let changed = server.admin().get("/v1/catalog/asyncapi.json").send().await.expect(200);
    assert!(changed.text().contains("sales.deal.lost"), "it follows the catalog");
}

//! Who may call what, and that no call ever shows another tenant's data: every operation of the OpenAPI document, by
//! every kind of key, for its own tenant and another.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Answer, Client, Document, Operation, Receiver, Server, definition, event, nobody, typed, with};

/// Stands in every event of the tenant `globex`, and nowhere else.
const MARK: &str = "only-globex-may-read-this";

/// The keys that knock.
const KEYS: &[(&str, &[&str])] = &[
    ("admin", &[]),
    ("producer", &["acme"]),
    ("consumer", &["acme"]),
    ("auditor", &["acme"]),
    ("producer", &[]),
    ("auditor", &[]),
];

/// Operations that use something up that others need: each has its own.
const OWN_ENDPOINT: &[&str] = &["delete_endpoint", "cancel_replay"];
const OWN_QUARANTINED: &[&str] = &["get_quarantined", "redrive_quarantined", "discard_quarantined"];
const OWN_DEAD_LETTER: &[&str] = &["get_dead_letter", "redrive_dead_letter", "discard_dead_letter"];

struct World {
    server: Server,
    _receiver: Receiver,
    /// What stands for a parameter of a path, by its name or the operation's, and tenant.
    ids: BTreeMap<String, String>,
}

impl World {
    async fn new() -> Self {
        let server = Server::start().await;
        let receiver = Receiver::start().await;
        let mut ids = BTreeMap::new();
        let marked = json!({"mark": MARK});
        let secret = json!({"id": "secret", "entity": {"type": "lead", "id": "lead_1"}});
        server.emit(&with(event("globex", marked.clone()), secret.clone())).await;
        server.emit(&with(event("acme", json!({})), secret)).await;
        let intent =
            |tenant: &str, id: &str, data: Value| json!({"event": with(event(tenant, data), json!({"id": id}))});
        for tenant in ["acme", "globex"] {
            for operation in ["confirm_intent", "discard_intent"] {
                let data = if tenant == "globex" { marked.clone() } else { json!({}) };
                let intent = intent(tenant, &format!("{operation}-{tenant}"), data);
                server.admin().post("/v1/intents").json(&intent).send().await.expect(201);
            }
            Self::add_endpoints(&server, &receiver, tenant, &mut ids).await;
            Self::add_quarantined(&server, tenant, &mut ids).await;
        }
        server.define(&definition("sales.deal.created")).await;
        server.admin().put("/v1/catalog/sets/currencies").json(&currencies("currencies")).send().await.expect(201);
        for tenant in ["acme", "globex"] {
            // What is deleted once for each tenant that is called about.
            let mut draft = definition(&spare_type(tenant));
            draft["lifecycle"] = json!({"stage": "draft"});
            server.define(&draft).await;
            let (name, admin) = (spare(tenant), server.admin());
            admin.put(&format!("/v1/catalog/sets/{name}")).json(&currencies(&name)).send().await.expect(201);
            server.policy(&harmless(&name)).await;
        }
        server.policy(&harmless("harmless")).await;
        let key = json!({"role": "consumer", "tenants": ["globex"], "description": MARK});
        let key = server.admin().post("/v1/keys").json(&key).send().await.expect(201).json();
        ids.insert("key".to_owned(), key["id"].as_str().unwrap().to_owned());
        Self { server, _receiver: receiver, ids }
    }

    async fn add_endpoints(server: &Server, receiver: &Receiver, tenant: &str, ids: &mut BTreeMap<String, String>) {
        let description = if tenant == "globex" { MARK } else { "" };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for name in OWN_ENDPOINT.iter().chain(&["endpoint"]) {
            let body = json!({"url": receiver.url(), "types": ["nothing.*"], "description": description});
            let endpoint = text(&server.endpoint(tenant, &body).await["id"]);
            let path = format!("/v1/tenants/{tenant}/endpoints/{endpoint}/replay");
            let body = json!({"from": 1, "types": ["nothing.*"]});
            let replay = server.admin().post(&path).json(&body).send().await.expect(201).json();
            ids.insert(format!("replay-{name}-{tenant}"), text(&replay["replay"]["id"]));
            ids.insert(format!("{name}-{tenant}"), endpoint);
        }
        for (count, name) in OWN_DEAD_LETTER.iter().enumerate() {
            let body = json!({"url": nobody(), "from": "start", "types": ["sales.*"],
                "retry_schedule_s": [0], "description": description});
            let endpoint = text(&server.endpoint(tenant, &body).await["id"]);
            server.await_event(tenant, "tidings.delivery.dead_lettered", count + 1).await;
            let path = format!("/v1/tenants/{tenant}/dead-letters?endpoint={endpoint}");
            let found = server.admin().get(&path).send().await.expect(200).json();
            ids.insert(format!("{name}-{tenant}"), text(&found["data"][0]["id"]));
        }
    }

    async fn add_quarantined(server: &Server, tenant: &str, ids: &mut BTreeMap<String, String>) {
        server.policy(&json!({"name": "aside", "types": "ops.*", "unknown": "quarantine"})).await;
        let data = if tenant == "globex" { json!({"mark": MARK}) } else { json!({}) };
        for name in OWN_QUARANTINED {
            let event = with(typed(tenant, "ops.job.finished", data.clone()), json!({"id": name}));
            let answer = server.admin().post("/v1/events").json(&event).send().await;
            answer.problem(422, "event_quarantined");
        }
        let found = server.admin().get(&format!("/v1/tenants/{tenant}/quarantine")).send().await.expect(200).json();
        for aside in found["data"].as_array().unwrap() {
            let name = aside["event_id"].as_str().unwrap();
            ids.insert(format!("{name}-{tenant}"), aside["no"].to_string());
        }
        // So that they are in order when they are redriven.
        server.admin().delete("/v1/catalog/policies/aside").send().await.expect(200);
    }

    fn id(&self, name: &str, tenant: &str) -> &str {
        &self.ids[&format!("{name}-{tenant}")]
    }

    /// Calls an operation so that, but for the key, all is well. `tenant` is whose data it is about.
    async fn call(&self, client: &Client, operation: &Operation, tenant: &str) -> Answer {
        let id = operation.id.as_str();
        let mut path = operation
            .path
            .replace("{tenant}", tenant)
            .replace("/events/{id}", "/events/secret")
            .replace("/keys/{id}", &format!("/keys/{}", self.ids["key"]))
            .replace("{type}/{id}", "lead/lead_1")
            .replace("{key}", &format!("{id}-{tenant}"))
            .replace("{source}/{id}", "platform/1")
            .replace("{version}", "1");
        path = match id {
            "delete_definition" => path.replace("{name}", &spare_type(tenant)),
            "delete_set" | "delete_policy" => path.replace("{name}", &spare(tenant)),
            "get_set" | "put_set" => path.replace("{name}", "currencies"),
            "get_policy" | "put_policy" => path.replace("{name}", "harmless"),
            _ => path.replace("{name}", "sales.deal.created"),
        };
        if path.contains("/endpoints/{id}") {
            let own = OWN_ENDPOINT.iter().find(|own| **own == id).unwrap_or(&"endpoint");
            path = path.replace("{id}", self.id(own, tenant));
            path = path.replace("{replay}", self.id(&format!("replay-{own}"), tenant));
        } else if path.contains("/quarantine/{no}") {
            path = path.replace("{no}", self.id(id, tenant));
        } else if path.contains("/dead-letters/{id}") {
            path = path.replace("{id}", self.id(id, tenant));
        }
        assert!(!path.contains('{'), "say what stands for the parameters of {}", operation.path);
        let request = client.request(operation.method.clone(), &path);
        let request = match id {
            "emit_events" => request.json(&with(event(tenant, json!({})), json!({"id": "emitted"}))),
            "create_intent" => request
                .json(&json!({"event": with(event(tenant, json!({})), json!({"id": format!("intended-{tenant}")}))})),
            "create_key" => request.json(&json!({"role": "auditor", "tenants": [tenant]})),
            "create_endpoint" => request.json(&json!({"url": nobody(), "types": ["nothing.*"]})),
            "update_endpoint" => request.json(&json!({"timeout_ms": 1_000})),
            "create_replay" => request.json(&json!({"from": "start", "dry_run": true})),
            "backtest_selection" => request.json(&json!({})),
            "explain_delivery" => request.query("event", "secret"),
            "put_definition" => request.json(&definition("sales.deal.created")),
            "change_catalog" => request.json(&json!({"definitions": [definition("sales.deal.created")]})),
            "put_set" => request.json(&currencies("currencies")),
            "put_policy" => request.json(&harmless("harmless")),
            "move_tenant" => request.json(&json!({"partition": 0})),
            "put_limits" => request.json(&json!({"bytes_per_s": null})),
            "check_log" => {
                request.json(&json!({"definitions": [definition("sales.deal.created")], "tenants": [tenant]}))
            }
            "try_event" => request.json(&event(tenant, json!({}))),
            // None is left for the operations on one otherwise.
            "redrive_quarantine" | "discard_quarantine" => request.json(&json!({"type": "nothing.ever.happened"})),
            // None is left for the operations on one otherwise.
            "redrive_dead_letters" | "discard_dead_letters" => request.json(&json!({"until": "2020-01-01T00:00:00Z"})),
            _ => request,
        };
        request.send().await
    }
}

/// A type, and a set and a policy, that are there to be deleted.
fn spare_type(tenant: &str) -> String {
    format!("sales.deal.{tenant}_rejected")
}

fn spare(tenant: &str) -> String {
    format!("spare_{tenant}")
}

fn currencies(name: &str) -> Value {
    json!({"name": name, "description": "What is paid in.", "values": ["EUR", "USD"]})
}

/// A policy that holds for nothing that is emitted here.
fn harmless(name: &str) -> Value {
    json!({"name": name, "tenant": name, "types": "nothing.*", "unknown": "observe"})
}

/// Whether an operation without a tenant in its path is about one tenant's data all the same, by what it is sent or
/// finds.
fn is_about_a_tenant(operation: &Operation) -> bool {
    if operation.path.contains("{tenant}") {
        return true;
    }
    match operation.id.as_str() {
        "emit_events" | "create_intent" | "confirm_intent" | "discard_intent" | "check_log" | "try_event" => true,
        "list_event_types"
        | "get_event_type"
        | "get_event_type_history"
        | "get_definition"
        | "put_definition"
        | "delete_definition"
        | "get_definition_history"
        | "change_catalog"
        | "list_catalog_entries"
        | "list_sets"
        | "get_set"
        | "put_set"
        | "delete_set"
        | "list_policies"
        | "get_policy"
        | "put_policy"
        | "delete_policy"
        | "get_lineage"
        | "get_asyncapi" => false,
        "list_tenants"
        | "create_key"
        | "list_keys"
        | "get_key"
        | "revoke_key"
        | "list_refused_rows"
        | "retry_refused_row"
        | "discard_refused_row"
        | "list_outbox_sources"
        | "list_nodes"
        | "list_lanes"
        | "healthz"
        | "readyz"
        | "metrics"
        | "openapi" => false,
        other => panic!("say whether {other} is about one tenant's data"),
    }
}

/// What an operation answers to somebody whose key does not open the tenant it is about.
fn refusal(operation: &Operation) -> (u16, &'static str) {
    match operation.id.as_str() {
        // Another's intent is as good as none.
        "confirm_intent" | "discard_intent" => (404, "intent_not_found"),
        _ => (403, "forbidden"),
    }
}

/// Whether an operation changes the catalog, which is everybody's: a key that is limited to tenants may not.
fn changes_the_catalog(operation: &Operation) -> bool {
    matches!(operation.id.as_str(), "change_catalog" | "put_definition" | "delete_definition")
}

/// Whether an operation shows all tenants at once: a key that is limited to some may not.
fn shows_all_tenants(operation: &Operation) -> bool {
    ["list_lanes", "list_nodes"].contains(&operation.id.as_str())
}

#[tokio::test]
async fn every_operation_admits_the_roles_it_names_for_their_own_tenants_and_nobody_else() {
    for (role, tenants) in KEYS {
        // A world for each key, since some operations change what later ones find.
        let world = World::new().await;
        let mut key = json!({"role": role, "tenants": tenants});
        if *role == "producer" {
            key["service"] = "sales".into();
            key["type_prefixes"] = json!(["sales."]);
        }
        let client = world.server.key(&key).await;
        for operation in &Document::get().operations() {
            for tenant in ["acme", "globex"] {
                let answer = world.call(&client, operation, tenant).await;
                let shown = format!("{role} of {tenants:?} calls {} about {tenant}: {}", operation.id, answer.text());
                let covers = tenants.is_empty() || tenants.contains(&tenant);
                let open = operation.roles.is_empty();
                if !open && !operation.roles.iter().any(|allowed| allowed == role) {
                    assert_eq!(answer.status, 403, "{shown}");
                } else if !open && is_about_a_tenant(operation) && !covers {
                    let (status, code) = refusal(operation);
                    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (status, &json!(code)), "{shown}");
                } else if !tenants.is_empty()
                    && (*role == "auditor" && shows_all_tenants(operation)
                        || *role == "producer" && changes_the_catalog(operation))
                {
                    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (403, &json!("forbidden")), "{shown}");
                } else {
                    assert!(!matches!(answer.status.as_u16(), 401 | 403 | 405), "{shown}");
                    assert!(operation.id.contains("refused_row") || answer.status.is_success(), "{shown}");
                }
                let may_see = *role == "admin" || (*role == "auditor" && tenants.is_empty());
                assert!(may_see || !answer.text().contains(MARK), "another tenant's data: {shown}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_valid_key_only_what_is_open_answers() {
    let world = World::new().await;
    let open = ["healthz", "readyz", "metrics", "openapi"];
    let revoked = world.server.admin().post("/v1/keys").json(&json!({"role": "admin"})).send().await.expect(201).json();
    let path = format!("/v1/keys/{}", revoked["id"].as_str().unwrap());
    world.server.admin().delete(&path).send().await.expect(200);
    let expired = json!({"role": "admin", "expires_at": "2020-01-01T00:00:00Z"});
    let expired = world.server.admin().post("/v1/keys").json(&expired).send().await.expect(201).json();
    let strangers = [
        world.server.anyone(),
        world.server.holder("tdk_0123456789012345678901234567890123456789012"),
        world.server.holder(""),
        world.server.holder(revoked["key"].as_str().unwrap()),
        world.server.holder(expired["key"].as_str().unwrap()),
    ];
    for operation in &Document::get().operations() {
        let is_open = open.contains(&operation.id.as_str());
        assert_eq!(operation.roles.is_empty(), is_open, "{} is documented otherwise", operation.id);
        for stranger in &strangers {
            let answer = world.call(stranger, operation, "acme").await;
            if is_open {
                answer.expect(200);
            } else {
                assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"tidings\"");
                answer.problem(401, "unauthenticated");
            }
        }
    }
    let basic = world.server.anyone().get("/v1/tenants").header("authorization", "Basic YTpi").send().await;
    insta::assert_json_snapshot!(basic.problem(401, "unauthenticated"));
}

#[tokio::test]
async fn what_is_open_to_all_names_no_tenant_and_no_secret() {
    let world = World::new().await;
    for path in ["/metrics", "/readyz", "/healthz"] {
        let text = world.server.anyone().get(path).send().await.expect(200).text();
        for name in ["acme", "globex", MARK, "secret", "outbox.db", "tidings.db"] {
            assert!(!text.contains(name), "{path} says {name}: {text}");
        }
    }
}

#[tokio::test]
async fn a_tenant_that_does_not_exist_is_refused_like_one_that_does() {
    let world = World::new().await;
    let consumer = world.server.role("consumer", &["acme"]).await;
    let existing = consumer.get("/v1/tenants/globex").send().await.expect(403);
    let missing = consumer.get("/v1/tenants/nobody").send().await.expect(403);
    assert_eq!(existing.body, missing.body);
}

#[tokio::test]
async fn an_auditor_lists_only_its_own_tenants() {
    let world = World::new().await;
    let list = async |client: Client| {
        let body = client.get("/v1/tenants").send().await.expect(200).json();
        let names: Vec<_> = body["data"].as_array().unwrap().iter().map(|t| t["tenant"].clone()).collect();
        json!(names)
    };
    assert_eq!(list(world.server.role("auditor", &["globex", "nobody"]).await).await, json!(["globex"]));
    assert_eq!(list(world.server.role("auditor", &[]).await).await, json!(["$system", "acme", "globex"]));
}

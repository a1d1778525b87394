//! `tidings catalog`: from an empty folder to a language that cannot be broken unseen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Ran, Server, run, tidings};

/// A folder with the example, and a server.
struct Shop {
    server: Server,
    dir: tempfile::TempDir,
}

impl Shop {
    async fn new() -> Self {
        let shop = Self { server: Server::start().await, dir: tempfile::tempdir().unwrap() };
        run(tidings(&["catalog", "init", shop.path("catalog").to_str().unwrap()]), "").await.ok();
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn catalog(&self, args: &[&str]) -> Ran {
        let mut command = self.server.command(&[&["catalog"][..], args].concat());
        command.current_dir(self.dir.path());
        run(command, "").await
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path("catalog").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} holds no '{from}'");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    async fn emit(&self, event_type: &str, order: &str, data: &Value) -> Ran {
        let event = json!({
            "type": event_type, "tenant": "acme", "source": {"type": "service", "id": "shop"},
            "entity": {"type": "order", "id": order}, "data": data,
        });
        self.server.feed(&["emit", "-"], &format!("{event}\n")).await
    }
}

fn order(id: &str) -> Value {
    json!({
        "order_id": id, "customer_id": "customer_3", "email": "ada@example.com",
        "lines": [{"sku": "tea", "quantity": 2, "price": 450}], "total": 900, "currency": "EUR", "status": "placed",
    })
}

/// Every file of the entries below a folder, by path.
fn sources(root: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = ["types", "sets", "policies"].map(|part| root.join(part)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read_to_string(path).unwrap());
            }
        }
    }
    files
}

#[tokio::test]
async fn a_published_language_cannot_be_broken_unseen() {
    let shop = Shop::new().await;
    // By itself, and then in force.
    let checked = shop.catalog(&["check", "catalog"]).await;
    assert_eq!(checked.code, Some(0), "{checked:#?}");
    let pushed = shop.catalog(&["push", "catalog", "--json"]).await.json();
    assert_eq!(pushed["entries"].as_array().unwrap().len(), 4, "{pushed}");
    assert!(pushed["revision"].is_u64());
    let again = shop.catalog(&["push", "catalog"]).await;
    assert!(again.code == Some(0) && again.stderr.contains("has it all already"), "{again:#?}");

    // At the door.
    shop.emit("shop.order.placed", "order_1", &order("order_1")).await.ok();
    let mut wrong = order("order_2");
    wrong["total"] = json!("900");
    wrong["currency"] = json!("XXX");
    let refused = shop.emit("shop.order.placed", "order_2", &wrong).await;
    assert_eq!(refused.code, Some(4), "{refused:#?}");
    assert!(refused.stderr.contains("/data/total"), "{refused:#?}");
    let moved = |status: &str| json!({"order_id": "order_1", "from": "placed", "status": status});
    let leap = shop.emit("shop.order.status_changed", "order_1", &moved("delivered")).await;
    assert!(leap.code == Some(4) && leap.stderr.contains("may follow"), "{leap:#?}");
    shop.emit("shop.order.status_changed", "order_1", &moved("paid")).await.ok();

    // A change that breaks is refused, with a document that shows it.
    shop.edit("types/shop.order.placed/v1.yaml", "total: { type: integer", "total: { type: string");
    let broken = shop.catalog(&["check", "catalog", "--against", "server"]).await;
    assert_eq!(broken.code, Some(1), "{broken:#?}");
    assert!(
        broken.stdout.contains("schema_breaking") && broken.stdout.contains("this document shows it"),
        "{broken:#?}"
    );
    assert!(broken.stdout.contains("catalog/types/shop.order.placed/v1.yaml:"), "{broken:#?}");
    let github = shop.catalog(&["check", "catalog", "--against", &shop.server.url, "--format", "github"]).await;
    assert!(github.stdout.contains("::error file=catalog/types/shop.order.placed/v1.yaml,line="), "{github:#?}");
    let refused = shop.catalog(&["push", "catalog"]).await;
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("nothing was changed"), "{refused:#?}");
    let differs = shop.catalog(&["diff", "catalog"]).await.ok();
    assert!(differs.contains("~ /schema/properties/total/type  \"integer\" → \"string\""), "{differs}");
    shop.edit("types/shop.order.placed/v1.yaml", "total: { type: string", "total: { type: integer");

    // What may be optional may come; what must be allowed takes a reason, which is kept.
    shop.edit(
        "types/shop.order.placed/v1.yaml",
        "    status: { const: placed }",
        "    status: { const: placed }\n    coupon: { type: string }",
    );
    shop.catalog(&["check", "catalog", "--against", "server"]).await.ok();
    shop.edit("types/shop.order.placed/v1.yaml", "retention: 730d", "retention: 30d");
    assert_eq!(shop.catalog(&["push", "catalog"]).await.code, Some(1));
    let reason = "shop.order.placed@1=the law says so now";
    shop.catalog(&["push", "catalog", "--override", reason]).await.ok();
    let history = shop.catalog(&["history", "shop.order.placed"]).await.ok();
    assert!(history.contains("the law says so now"), "{history}");

    // Somewhere else the same files come out, byte for byte.
    shop.catalog(&["pull", "elsewhere"]).await.ok();
    assert_eq!(sources(&shop.path("catalog")), sources(&shop.path("elsewhere")));
    let listed = shop.catalog(&["list"]).await.ok();
    assert!(listed.contains("shop.order.placed") && listed.contains("1 stable"), "{listed}");
    let shown = shop.catalog(&["show", "shop.order.placed@1"]).await.ok();
    assert_eq!(shown, sources(&shop.path("catalog"))["types/shop.order.placed/v1.yaml"]);
}

#[tokio::test]
async fn what_was_edited_here_is_never_written_over_unasked() {
    let shop = Shop::new().await;
    shop.catalog(&["push", "catalog"]).await.ok();
    shop.catalog(&["pull", "other"]).await.ok();
    // Changed there alone: taken over. Edited here as well: left, and told.
    shop.edit("sets/currencies.yaml", "[EUR, GBP, USD]", "[CHF, EUR, GBP, USD]");
    shop.edit("types/shop.order.placed/v1.yaml", "A customer placed", "Somebody placed");
    shop.catalog(&["push", "catalog"]).await.ok();
    let mine = shop.path("other").join("sets/currencies.yaml");
    std::fs::write(&mine, "name: currencies\nvalues: [EUR]\n").unwrap();
    let pulled = shop.catalog(&["pull", "other"]).await;
    assert_eq!(pulled.code, Some(1), "{pulled:#?}");
    assert!(pulled.stdout.contains("edited here, left as it is"), "{pulled:#?}");
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "name: currencies\nvalues: [EUR]\n");
    let placed = std::fs::read_to_string(shop.path("other").join("types/shop.order.placed/v1.yaml")).unwrap();
    assert!(placed.contains("Somebody placed"));
    shop.catalog(&["pull", "other", "--force"]).await.ok();
    assert_eq!(sources(&shop.path("catalog")), sources(&shop.path("other")));
}

#[tokio::test]
async fn a_folder_is_judged_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog");
    let path = path.to_str().unwrap();
    let catalog = async |args: &[&str]| run(tidings(&[&["catalog"][..], args].concat()), "").await;
    catalog(&["init", path]).await.ok();
    assert_eq!(catalog(&["init", path]).await.code, Some(2), "init writes over nothing");
    catalog(&["lint", path]).await.ok();
    let named = catalog(&["lint", "--name", "sales.leads.create_lead"]).await;
    assert_eq!(named.code, Some(1));
    assert!(named.stdout.contains("instead: sales.lead.created"), "{named:#?}");
    assert_eq!(catalog(&["check", "/nowhere/at/all"]).await.code, Some(2));

    let event = json!({
        "type": "shop.order.placed", "tenant": "acme", "source": {"type": "service", "id": "shop"},
        "entity": {"type": "order", "id": "order_1"}, "data": order("order_1"),
    });
    let tried = run(tidings(&["catalog", "try", &event.to_string(), "--catalog", path]), "").await.ok();
    assert!(tried.starts_with("accepted"), "{tried}");
    let mut wrong = event.clone();
    wrong["data"]["lines"] = json!([]);
    let tried = run(tidings(&["catalog", "try", "--catalog", path]), &wrong.to_string()).await;
    assert_eq!(tried.code, Some(1), "{tried:#?}");
    assert!(tried.stdout.starts_with("rejected") && tried.stdout.contains("/data/lines"), "{tried:#?}");

    let out = dir.path().join("generated");
    let out = out.to_str().unwrap();
    let generate = ["generate", path, "--target", "typescript", "--target", "asyncapi", "--out", out];
    catalog(&generate).await.ok();
    catalog(&[&generate[..], &["--check"]].concat()).await.ok();
    assert!(dir.path().join("generated/asyncapi").is_dir() && dir.path().join("generated/typescript").is_dir());
    let site = dir.path().join("site");
    catalog(&["docs", path, "--out", site.to_str().unwrap()]).await.ok();
    assert!(std::fs::read_to_string(site.join("index.html")).unwrap().contains("shop.order.placed"));
}

#[tokio::test]
async fn what_is_kept_aside_is_listed_and_redriven_once_the_catalog_allows_it() {
    let shop = Shop::new().await;
    shop.edit("policies/default.yaml", "known: strict", "known: quarantine");
    shop.catalog(&["push", "catalog"]).await.ok();
    let mut odd = order("order_9");
    odd["currency"] = json!("CHF");
    let aside = shop.emit("shop.order.placed", "order_9", &odd).await;
    assert_eq!(aside.code, Some(4), "{aside:#?}");
    assert!(aside.stderr.contains("event_quarantined"), "{aside:#?}");
    let listed = shop.catalog(&["quarantine", "list", "acme"]).await.ok();
    assert!(listed.contains("shop.order.placed@1"), "{listed}");
    let redriven = shop.catalog(&["quarantine", "redrive", "acme", "--all", "--json"]).await.json();
    assert_eq!(redriven, json!({"redriven": 0, "kept": 1}));
    shop.edit("sets/currencies.yaml", "[EUR, GBP, USD]", "[CHF, EUR, GBP, USD]");
    shop.catalog(&["push", "catalog"]).await.ok();
    let redriven = shop.catalog(&["quarantine", "redrive", "acme", "--all", "--json"]).await.json();
    assert_eq!(redriven, json!({"redriven": 1, "kept": 0}));
    assert_eq!(shop.server.events("acme").await.len(), 1);
}

#[tokio::test]
async fn drafts_are_inferred_from_what_was_emitted_and_pass_the_check() {
    let shop = Shop::new().await;
    let events: String = (0..20)
        .map(|n| {
            let event = json!({
                "type": "sales.lead.created", "tenant": "acme", "source": {"type": "service", "id": "sales"},
                "entity": {"type": "lead", "id": format!("lead_{n}")},
                "data": {"lead_id": format!("lead_{n}"), "email": format!("p{n}@example.com"), "score": n},
            });
            format!("{event}\n")
        })
        .collect();
    shop.server.feed(&["emit", "-"], &events).await.ok();
    shop.catalog(&["infer", "--tenant", "acme", "--out", "drafts"]).await.ok();
    let draft = std::fs::read_to_string(shop.path("drafts/types/sales.lead.created/v1.yaml")).unwrap();
    assert!(draft.contains("lifecycle: draft") && draft.contains("/email: pii"), "{draft}");
    shop.catalog(&["check", "drafts"]).await.ok();
    shop.catalog(&["check", "drafts", "--against", "server", "--against-log"]).await.ok();
}

#[tokio::test]
async fn a_service_emits_and_publishes_what_it_owns_and_nothing_else() {
    let shop = Shop::new().await;
    shop.catalog(&["push", "catalog"]).await.ok();
    let key = async |service: &str| {
        let made = ["keys", "create", "--role", "producer", "--service", service, "--json"];
        shop.server.run(&made).await.json()["key"].as_str().unwrap().to_owned()
    };
    let (own, other) = (key("shop").await, key("crm").await);
    let emit = async |key: &str| {
        let event = json!({
            "type": "shop.order.placed", "tenant": "acme", "source": {"type": "service", "id": "shop"},
            "entity": {"type": "order", "id": "order_1"}, "data": order("order_1"),
        });
        let mut command = shop.server.command(&["emit", "-"]);
        command.env("TIDINGS_KEY", key);
        run(command, &format!("{event}\n")).await
    };
    emit(&own).await.ok();
    let refused = emit(&other).await;
    assert!(refused.code == Some(4) && refused.stderr.contains("forbidden"), "{refused:#?}");
    let mut push = shop.server.command(&["catalog", "push", "catalog"]);
    shop.edit("types/shop.order.placed/v1.yaml", "A customer placed", "Somebody placed");
    push.env("TIDINGS_KEY", &other).current_dir(shop.dir.path());
    let refused = run(push, "").await;
    assert_eq!(refused.code, Some(4), "{refused:#?}");
}

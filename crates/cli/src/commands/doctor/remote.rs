//! What a running server tells about itself.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use http::header::DATE;
use serde_json::Value;

use super::{Findings, judge_clock};
use crate::commands::list::text;
use crate::config::mask::mask_url;
use crate::http::{Api, Error};

/// Asks a server how it is.
pub(super) async fn check(findings: &mut Findings, url: &str, key: Option<String>) {
    let has_key = key.is_some();
    let api = match Api::new(url, key) {
        Ok(api) => api,
        Err(error) => return findings.bad("server", error.to_string()),
    };
    if !alive(findings, &api).await {
        return;
    }
    let has_bus = ready(findings, &api).await;
    if has_key {
        nodes(findings, &api, has_bus).await;
        sources(findings, &api).await;
    } else {
        findings.warn("nodes", "not checked: TIDINGS_KEY is not set");
        findings.warn("sources", "not checked: TIDINGS_KEY is not set");
    }
}

async fn alive(findings: &mut Findings, api: &Api) -> bool {
    let before = jiff::Timestamp::now();
    let response = match api.send(api.request(Method::GET, "/healthz"), Bytes::new()).await {
        Ok(response) => response,
        Err(error) => {
            findings.bad("server", error.brief());
            return false;
        }
    };
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
    let body = api.read(response).await.unwrap_or_default();
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    findings.good("server", format!("answers at {}, version {}", mask_url(&api.base()), text(&answer, "/version")));
    if let Some(moment) = date.and_then(|date| jiff::fmt::rfc2822::parse(&date).ok()) {
        // The header has whole seconds, cut off.
        let ahead_ms = moment.timestamp().as_millisecond() + 500 - before.as_millisecond();
        judge_clock(findings, "clock of the server".to_owned(), ahead_ms, 1_000);
    }
    true
}

/// Whether it is ready, and how safe what it keeps is. Returns whether it has a bus.
async fn ready(findings: &mut Findings, api: &Api) -> bool {
    let answer = match api.get("/readyz").await {
        Ok(answer) => answer,
        Err(Error::Foreign { text: body, .. }) => serde_json::from_str(&body).unwrap_or_default(),
        Err(error) => {
            findings.bad("storage", error.brief());
            return false;
        }
    };
    match text(&answer, "/status").as_str() {
        "ready" => findings.good("storage", format!("{}, takes writes", text(&answer, "/backend"))),
        status => findings.bad("storage", format!("{}: {status}", text(&answer, "/backend"))),
    }
    let settings = in_force(&answer["durability"]);
    if !warnings(findings, "durability", &answer["durability"]) && !settings.is_empty() {
        findings.good("durability", settings.join(" "));
    }
    match answer["bus"]["connected"].as_bool() {
        Some(false) => findings.warn("bus", "not connected: nodes ask the database for what is new"),
        Some(true) => {
            // Its warnings do not say what holds, so that is said in any case.
            findings.good("bus", format!("connected: {}", in_force(&answer["bus"]).join(" ")));
            warnings(findings, "bus", &answer["bus"]);
        }
        None => {}
    }
    answer["bus"].is_object()
}

/// Whether every role that has work has a node. What is free and can be taken is taken within a moment, so only what
/// nobody takes is told.
async fn nodes(findings: &mut Findings, api: &Api, has_bus: bool) {
    let answer = match api.get("/v1/nodes").await {
        Ok(answer) => answer,
        Err(error) if error.code() == Some("forbidden") => {
            return findings.warn("nodes", "not checked: the key is neither an admin's nor an auditor's");
        }
        Err(error) => return findings.warn("nodes", format!("not checked: {}", error.brief())),
    };
    let unmet = unmet(&answer, has_bus);
    if unmet.is_empty() {
        let count = answer["data"].as_array().map_or(0, Vec::len);
        findings.good("nodes", format!("{count} run, and each role has one"));
    }
    unmet.into_iter().for_each(|text| findings.warn("nodes", text));
}

/// What no listed node takes upon itself: a sentence each.
fn unmet(answer: &Value, has_bus: bool) -> Vec<String> {
    let listed = answer["data"].as_array().map_or(&[][..], Vec::as_slice);
    let words = |node: &'_ Value, list: &str| -> Vec<String> {
        node[list].as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let with = |role: &str| listed.iter().filter(|node| words(node, "roles").iter().any(|one| one == role)).collect();
    let free = |role: &str| -> Vec<String> {
        let leases = answer["free"].as_array().into_iter().flatten();
        leases.filter(|lease| lease["role"] == role).map(|lease| text(lease, "/slot")).collect()
    };
    let (routers, publishers, pumps): (Vec<&Value>, Vec<&Value>, Vec<&Value>) =
        (with("router"), with("publisher"), with("pump"));
    let mut unmet = Vec::new();
    if routers.is_empty() && !free("router").is_empty() {
        unmet.push("no node has the role router: nothing is delivered to endpoints".to_owned());
    }
    if publishers.is_empty() && has_bus {
        unmet.push("no node has the role publisher: nothing is written to the bus".to_owned());
    }
    let read: BTreeSet<String> = pumps.iter().flat_map(|node| words(node, "sources")).collect();
    let known: BTreeSet<String> = listed.iter().flat_map(|node| words(node, "sources")).chain(free("pump")).collect();
    match pumps.is_empty() && !known.is_empty() {
        true => unmet.push("no node has the role pump: no outbox is read".to_owned()),
        false => unmet.extend(
            known
                .difference(&read)
                .map(|source| format!("no node with the role pump has the source {source}: its outbox is not read")),
        ),
    }
    unmet
}

/// The settings in force.
fn in_force(answer: &Value) -> Vec<String> {
    let settings = answer["settings"].as_object().into_iter().flatten();
    settings
        .map(|(name, value)| format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect()
}

/// What is weaker than it should be; returns whether anything is.
fn warnings(findings: &mut Findings, what: &str, answer: &Value) -> bool {
    let warnings = answer["warnings"].as_array().map_or(&[][..], Vec::as_slice);
    for warning in warnings.iter().filter_map(Value::as_str) {
        findings.warn(what, warning);
    }
    !warnings.is_empty()
}

async fn sources(findings: &mut Findings, api: &Api) {
    let answer = match api.get("/v1/outbox/sources").await {
        Ok(answer) => answer,
        Err(error) if error.code() == Some("forbidden") => {
            return findings.warn("sources", "not checked: the key is no admin key");
        }
        Err(error) => return findings.bad("sources", error.brief()),
    };
    for source in answer["data"].as_array().map_or(&[][..], Vec::as_slice) {
        let what = format!("source {}", text(source, "/name"));
        let outbox = &source["outbox"];
        let figures = format!(
            "{} waiting, {} intents, {} refused",
            text(outbox, "/pending"),
            text(outbox, "/intents"),
            text(outbox, "/refused")
        );
        match text(source, "/status").as_str() {
            "ok" if outbox["refused"].as_u64().unwrap_or_default() > 0 => {
                findings.warn(what, format!("{figures}: `tidings outbox refused` says why"));
            }
            "ok" => findings.good(what, figures),
            "not_installed" => findings.bad(what, "has no outbox; tidings outbox install --url … makes one"),
            status => findings.bad(what, format!("the server says: {status}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_that_no_node_takes_is_told() {
        let free = json!([{"role": "router", "slot": "0"}, {"role": "pump", "slot": "shop"}, {"role": "publisher", "slot": "0"}]);
        let told = |nodes: Value, free: &Value, has_bus| unmet(&json!({"data": nodes, "free": free}), has_bus);
        let api = json!([{"roles": ["api"], "sources": ["shop"]}]);
        let leaving = json!([{"roles": [], "sources": []}]);
        let all = json!([{"roles": ["api", "pump", "router", "publisher"], "sources": ["shop"]}]);
        assert_eq!(told(all, &free, true), Vec::<String>::new(), "free for a moment only");
        assert_eq!(told(leaving, &json!([]), false), Vec::<String>::new(), "it still owns all");
        let found = told(api, &free, true).join("\n");
        for expected in ["role router: nothing is delivered", "role publisher", "role pump: no outbox is read"] {
            assert!(found.contains(expected), "{expected} is not in:\n{found}");
        }
        let other = json!([{"roles": ["pump", "router"], "sources": ["platform"]}]);
        assert_eq!(
            told(other, &free, false),
            ["no node with the role pump has the source shop: its outbox is not read"]
        );
    }
}

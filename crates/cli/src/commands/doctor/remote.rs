//! What a running server tells about itself.

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
    ready(findings, &api).await;
    if has_key {
        sources(findings, &api).await;
    } else {
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

async fn ready(findings: &mut Findings, api: &Api) {
    let answer = match api.get("/readyz").await {
        Ok(answer) => answer,
        Err(Error::Foreign { text: body, .. }) => serde_json::from_str(&body).unwrap_or_default(),
        Err(error) => return findings.bad("storage", error.brief()),
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

//! An AsyncAPI 3.0 document: a channel for each type, a message for each version.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::definition::Stage;

use super::model::{EventModel, Model, resolve};
use super::text;
use super::{File, Options};

pub(super) fn file(model: &Model, options: &Options) -> File {
    let mut text = serde_json::to_string_pretty(&document(model, options)).expect("a value can be written");
    text.push('\n');
    File { path: "asyncapi.json".to_owned(), text }
}

fn document(model: &Model, options: &Options) -> Value {
    let mut types: BTreeMap<&str, Vec<&EventModel>> = BTreeMap::new();
    for event in &model.events {
        types.entry(event.definition.name.as_str()).or_default().push(event);
    }
    let (mut channels, mut operations) = (Map::new(), Map::new());
    for (name, versions) in &types {
        channels.insert((*name).to_owned(), channel(name, versions));
        for (action, id) in [("send", "send"), ("receive", "receive")] {
            operations.insert(format!("{id}:{name}"), operation(action, name, versions));
        }
    }
    let (mut messages, mut schemas) = (Map::new(), Map::new());
    schemas.insert("Event".to_owned(), envelope());
    schemas.insert("WebhookHeaders".to_owned(), headers());
    for event in &model.events {
        messages.insert(event.name.clone(), message(event));
        schemas.insert(event.name.clone(), payload(event));
        schemas.insert(data_name(event), data(event));
    }
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": info(model, options),
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "A key of Tidings." }
            },
        },
    });
    if let Some(server) = options.server_url.as_deref().and_then(server) {
        document["servers"] = json!({ "tidings": server });
    }
    document
}

fn info(model: &Model, options: &Options) -> Value {
    let mut owners: Vec<&str> = model.events.iter().map(|event| event.definition.owner.as_str()).collect();
    owners.sort_unstable();
    owners.dedup();
    let tags: Vec<Value> =
        owners.into_iter().map(|owner| json!({ "name": owner, "description": format!("Owned by {owner}.") })).collect();
    let mut info =
        json!({ "title": options.title, "version": options.version, "description": options.description, "tags": tags });
    if let Some(url) = &options.docs_url {
        info["externalDocs"] = json!({ "url": url });
    }
    info
}

/// A server from its URL; none where it is no URL.
fn server(url: &str) -> Option<Value> {
    let (protocol, rest) = url.split_once("://")?;
    let (host, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
    let mut server = json!({
        "host": host,
        "protocol": protocol,
        "description": "Tidings: producers POST events to it; consumers read the feed, or get webhooks from it.",
        "security": [{ "$ref": "#/components/securitySchemes/key" }],
    });
    if !path.trim_matches('/').is_empty() {
        server["pathname"] = json!(format!("/{}", path.trim_end_matches('/')));
    }
    Some(server)
}

fn channel(name: &str, versions: &[&EventModel]) -> Value {
    let messages: Map<String, Value> = versions
        .iter()
        .map(|event| (message_key(event), json!({ "$ref": format!("#/components/messages/{}", event.name) })))
        .collect();
    // The newest version describes the type.
    let newest = versions.last().map_or("", |event| event.definition.description.as_str());
    json!({ "address": name, "title": name, "description": newest, "messages": messages, "tags": tags(versions) })
}

fn operation(action: &str, name: &str, versions: &[&EventModel]) -> Value {
    let owner = versions.last().map_or("", |event| event.definition.owner.as_str());
    let summary = match action {
        "send" => format!("{owner} emits {name}."),
        _ => format!("Consumers get {name}."),
    };
    let channel = format!("#/channels/{name}");
    let messages: Vec<Value> =
        versions.iter().map(|event| json!({ "$ref": format!("{channel}/messages/{}", message_key(event)) })).collect();
    json!({
        "action": action,
        "channel": { "$ref": channel },
        "summary": summary,
        "messages": messages,
        "tags": tags(versions),
    })
}

/// The owners of a type's versions.
fn tags(versions: &[&EventModel]) -> Vec<Value> {
    let mut owners: Vec<&str> = versions.iter().map(|event| event.definition.owner.as_str()).collect();
    owners.sort_unstable();
    owners.dedup();
    owners.into_iter().map(|owner| json!({ "name": owner })).collect()
}

fn message_key(event: &EventModel) -> String {
    let version = event.definition.version.as_str();
    let plain = version.chars().all(|character| character.is_ascii_alphanumeric() || "._-".contains(character));
    if plain { format!("v{version}") } else { event.name.clone() }
}

fn data_name(event: &EventModel) -> String {
    format!("{}Data", event.name)
}

fn message(event: &EventModel) -> Value {
    let definition = &event.definition;
    let examples: Vec<Value> = definition
        .examples
        .iter()
        .map(|example| json!({ "name": example.name, "payload": example_event(event, &example.data) }))
        .collect();
    let mut tags = vec![json!({ "name": definition.owner }), json!({ "name": definition.lifecycle.stage })];
    tags.dedup();
    let mut message = json!({
        "name": event.label(),
        "title": format!("{}, version {}", definition.name, definition.version),
        "summary": text::prose(&definition.description).into_iter().next().unwrap_or_default(),
        "description": text::event_docs(event).join("\n"),
        "contentType": "application/json",
        "headers": { "$ref": "#/components/schemas/WebhookHeaders" },
        "payload": { "$ref": format!("#/components/schemas/{}", event.name) },
        "correlationId": { "location": "$message.payload#/metadata/correlation_id" },
        "tags": tags,
        "x-owner": definition.owner,
        "x-lifecycle": definition.lifecycle.stage,
        "x-ordering": definition.ordering,
    });
    if let Some(why) = text::deprecation(event) {
        message["x-deprecated"] = json!(why);
    }
    if !definition.classification.is_empty() {
        let classes: Map<String, Value> =
            definition.classification.iter().map(|(at, class)| (at.to_string(), json!(class))).collect();
        message["x-classification"] = json!(classes);
    }
    if !examples.is_empty() {
        message["examples"] = json!(examples);
    }
    message
}

/// An example of the data as an event that could have been delivered.
pub(super) fn example_event(event: &EventModel, data: &Value) -> Value {
    let definition = &event.definition;
    let mut example = json!({
        "id": "01JD8Q4M6T1V9S0Z3N7R5K2W4X",
        "type": definition.name,
        "version": definition.version,
        "timestamp": "2026-03-15T10:00:00.000Z",
        "tenant": "acme",
        "source": { "type": "service", "id": definition.owner },
        "data": data,
        "metadata": { "correlation_id": "01JD8Q4M6T1V9S0Z3N7R5K2W4X" },
        "sequence": 1207,
        "recorded_at": "2026-03-15T10:00:00.012Z",
    });
    if let Some(entity) = &definition.entity {
        let id = event.entity_pointer().and_then(|pointer| match data.pointer(&pointer)? {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        });
        example["entity"] = json!({ "type": entity.kind, "id": id.unwrap_or_else(|| "42".to_owned()) });
    }
    example
}

/// The whole event, with what this version says of it.
fn payload(event: &EventModel) -> Value {
    let definition = &event.definition;
    let mut properties = json!({
        "type": { "const": definition.name },
        "version": { "const": definition.version },
        "data": { "$ref": format!("#/components/schemas/{}", data_name(event)) },
    });
    if let Some(entity) = &definition.entity {
        properties["entity"] = json!({ "type": "object", "properties": { "type": { "const": entity.kind } } });
    }
    json!({
        "title": event.label(),
        "deprecated": definition.lifecycle.stage == Stage::Deprecated,
        "allOf": [
            { "$ref": "#/components/schemas/Event" },
            { "type": "object", "properties": properties },
        ],
    })
}

/// The schema of the data, its references led to where it stands now.
fn data(event: &EventModel) -> Value {
    let base = format!("#/components/schemas/{}", data_name(event));
    let mut schema = event.definition.schema.clone();
    relocate(&mut schema, &event.definition.schema, &base);
    schema
}

fn relocate(schema: &mut Value, root: &Value, base: &str) {
    match schema {
        Value::Object(members) => {
            for word in ["$schema", "$id"] {
                if members.get(word).is_some_and(Value::is_string) {
                    members.remove(word);
                }
            }
            // A discriminator is a member's name here; elsewhere it is an object.
            if members.get("discriminator").is_some_and(Value::is_object) {
                members.remove("discriminator");
            }
            if let Some(Value::String(target)) = members.get("$ref") {
                if let Some(place) = resolve(root, target) {
                    let fragment: String = place.split('/').map(percent_encoded).collect::<Vec<_>>().join("/");
                    members.insert("$ref".to_owned(), json!(format!("{base}{fragment}")));
                } else {
                    members.remove("$ref");
                }
            }
            for (word, inner) in members.iter_mut() {
                if !matches!(word.as_str(), "const" | "enum" | "default" | "examples") {
                    relocate(inner, root, base);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| relocate(item, root, base)),
        _ => {}
    }
}

/// A segment of a pointer as it stands in the fragment of a URI.
fn percent_encoded(segment: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
    segment
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn envelope() -> Value {
    let text = |about: &str| json!({ "type": "string", "minLength": 1, "maxLength": 255, "description": about });
    let moment = |about: &str| json!({ "type": "string", "format": "date-time", "description": about });
    let pair = |about: &str, kinds: &[&str]| {
        let kind =
            if kinds.is_empty() { json!({ "type": "string" }) } else { json!({ "type": "string", "enum": kinds }) };
        json!({
            "type": "object", "description": about, "required": ["type", "id"],
            "properties": { "type": kind, "id": { "type": "string" } },
        })
    };
    let sources = ["service", "workflow", "task", "integration", "external", "system"];
    json!({
        "title": "Event",
        "description": "An event as Tidings delivers it.",
        "type": "object",
        "required": ["id", "type", "version", "timestamp", "tenant", "source", "data", "metadata"],
        "properties": {
            "id": text("The event's id, unique in its tenant."),
            "type": text("What happened."),
            "version": text("Which version of the type the data follows."),
            "timestamp": moment("When it happened, by the producer's clock."),
            "tenant": text("Whose it is."),
            "project": text("A part of the tenant."),
            "source": pair("Who says so.", &sources),
            "entity": pair("What it happened to.", &[]),
            "actor": text("Who caused it."),
            "data": { "type": "object", "description": "What there is to say about it." },
            "metadata": {
                "type": "object",
                "description": "How it hangs together with other events.",
                "properties": {
                    "correlation_id": text("Shared by all events that come of one request or process."),
                    "causation_id": text("The id of the event that led to this one."),
                    "context": pair("For whom it was caused.", &["client", "user", "global"]),
                    "traceparent": text("The W3C trace context of the producer's work."),
                },
            },
            "sequence": {
                "type": "integer", "minimum": 1,
                "description": "Its number in the tenant's log, from 1 and without gaps.",
            },
            "recorded_at": moment("When the log took it."),
        },
    })
}

fn headers() -> Value {
    let text = |about: &str| json!({ "type": "string", "description": about });
    json!({
        "description": "The headers of a webhook, as Standard Webhooks has them, and some of Tidings' own.",
        "type": "object",
        "properties": {
            "webhook-id": text("The event's id."),
            "webhook-timestamp": text("When this attempt was made, in seconds since 1970."),
            "webhook-signature": text("Signatures over id, timestamp and body, with spaces between."),
            "tidings-sequence": text("The event's number in the tenant's log."),
            "tidings-previous": text("The number of the event that this endpoint got before."),
            "tidings-attempt": text("The number of this attempt, from 1."),
            "tidings-log": text("The log that the sequences belong to; another one after a restore."),
            "traceparent": text("The W3C trace context of the producer's work."),
        },
    })
}

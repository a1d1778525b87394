//! The sender that is played: it makes events, signs them well or badly, and sends them.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tidings_event::signature::{Secret, Signer};

use super::report::Outcome;
use crate::commands::webhook::{Webhook, now_s};
use crate::failure::Failure;
use crate::http::outward::{Answered, Receiver, Unanswered};

/// Answers by which a receiver says "not now": the event comes again.
const LATER: [u16; 4] = [409, 425, 429, 503];
/// How often a state that may still change is looked at again.
const LOOKS_MAX: usize = 20;
/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What came back.
pub(super) type Answer = Result<Answered, Unanswered>;

/// What all events of this run have in common.
#[derive(Debug, Clone)]
pub(super) struct Template {
    tenant: String,
    event_type: Value,
    version: Value,
    source: Value,
    entity_type: String,
    data: Map<String, Value>,
}

impl Template {
    /// From a sample event, or made up where there is none.
    pub(super) fn of(tenant: &str, sample: &Value) -> Result<Self, Failure> {
        let or = |member: &str, default: Value| match &sample[member] {
            Value::Null => default,
            given => given.clone(),
        };
        let data = match or("data", json!({"number": 1})) {
            Value::Object(data) => data,
            _ => return Err(Failure::usage("--event: its data must be a JSON object")),
        };
        if !sample.is_null() && !sample["type"].is_string() {
            return Err(Failure::usage("--event: must be an event, a JSON object with type and data"));
        }
        Ok(Self {
            tenant: tenant.to_owned(),
            event_type: or("type", json!("verify.delivery.sent")),
            version: or("version", json!("1")),
            source: or("source", json!({"type": "service", "id": "verify-consumer"})),
            entity_type: sample["entity"]["type"].as_str().unwrap_or("check").to_owned(),
            data,
        })
    }
}

/// An event on its way: its envelope, and what its headers will say.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) envelope: Map<String, Value>,
    id: String,
    sequence: u64,
    previous: Option<u64>,
}

impl Draft {
    /// The event's data, to be changed.
    pub(super) fn data(&mut self) -> &mut Map<String, Value> {
        let data = self.envelope.entry("data").or_insert_with(|| Value::Object(Map::new()));
        if !data.is_object() {
            *data = Value::Object(Map::new());
        }
        data.as_object_mut().expect("it was made an object")
    }

    /// As a webhook that is not signed yet.
    pub(super) fn webhook(&self) -> Webhook {
        self.webhook_with(Value::Object(self.envelope.clone()).to_string())
    }

    /// The same with a body of the caller's own.
    pub(super) fn webhook_with(&self, body: impl Into<Bytes>) -> Webhook {
        Webhook {
            id: Some(self.id.clone()),
            sequence: self.sequence,
            previous: self.previous,
            attempt: 1,
            body: body.into(),
            ..Webhook::default()
        }
    }
}

/// What the state URL tells.
pub(super) enum Effects {
    /// It changes with deliveries.
    Seen,
    /// It does not.
    Unseen,
    /// It gives no good answer.
    Broken(String),
}

pub(super) struct Sender {
    receiver: Receiver,
    state: Option<Receiver>,
    /// Whether the state is known to change with deliveries.
    effects_seen: bool,
    pub(super) signer: Signer,
    /// Somebody with a secret of the same kind, but not the right one.
    pub(super) stranger: Signer,
    template: Template,
    /// The sequence of the newest event that was made.
    sequence: u64,
    /// The sequence of the newest event that the receiver should know.
    previous: Option<u64>,
    pub(super) requests: u64,
    /// How long accepted deliveries took.
    pub(super) times: Vec<Duration>,
}

impl Sender {
    pub(super) fn new(receiver: Receiver, state: Option<Receiver>, secret: &Secret, template: Template) -> Self {
        let random: [u8; 32] = rand::random();
        let stranger = if secret.public().is_some() { Secret::ed25519(random) } else { Secret::hmac(random) };
        // A run's sequences lie above those of any run before, so that a receiver which remembers how far it came
        // takes them for new.
        let sequence = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
        Self {
            receiver,
            state,
            effects_seen: false,
            signer: Signer::new(std::slice::from_ref(secret)),
            stranger: Signer::new(&[stranger]),
            template,
            sequence,
            previous: None,
            requests: 0,
            times: Vec::new(),
        }
    }

    /// The next event of an entity. It counts as the predecessor of those after it, unless it is not taken.
    pub(super) fn next(&mut self, entity: &str) -> Draft {
        let draft = self.forged(entity);
        self.previous = Some(draft.sequence);
        draft
    }

    /// An event that the receiver shall not believe, so that it is nobody's predecessor.
    pub(super) fn forged(&mut self, entity: &str) -> Draft {
        self.sequence += 1;
        let id = ulid::Ulid::generate().to_string();
        let now = jiff::Timestamp::now().to_string();
        let Template { tenant, event_type, version, source, entity_type, data, .. } = &self.template;
        let envelope = json!({
            "id": id, "type": event_type, "version": version, "timestamp": now, "tenant": tenant, "source": source,
            "entity": {"type": entity_type, "id": entity}, "data": data, "metadata": {"correlation_id": id},
            "sequence": self.sequence, "recorded_at": now,
        });
        let envelope = match envelope {
            Value::Object(envelope) => envelope,
            _ => Map::new(),
        };
        Draft { envelope, id, sequence: self.sequence, previous: self.previous }
    }

    /// A good delivery of the next event.
    pub(super) fn good(&mut self) -> Result<Webhook, Failure> {
        let draft = self.next("one");
        Ok(self.signed(draft.webhook()))
    }

    /// Signs a webhook as of now.
    pub(super) fn signed(&self, mut webhook: Webhook) -> Webhook {
        webhook.sign(&self.signer, now_s());
        webhook
    }

    /// Sends a webhook as it is.
    pub(super) async fn send(&mut self, webhook: Webhook) -> Result<Answer, Failure> {
        let place = (webhook.sequence, webhook.previous);
        let answer = self.exchange(webhook)?.await;
        Ok(self.note(place, answer))
    }

    /// Sends webhooks at the same moment.
    pub(super) async fn send_all(&mut self, webhooks: Vec<Webhook>) -> Result<Vec<Answer>, Failure> {
        let places: Vec<_> = webhooks.iter().map(|webhook| (webhook.sequence, webhook.previous)).collect();
        let exchanges = webhooks.into_iter().map(|webhook| self.exchange(webhook)).collect::<Result<Vec<_>, _>>()?;
        let answers = futures_util::future::join_all(exchanges).await;
        Ok(places.into_iter().zip(answers).map(|(place, answer)| self.note(place, answer)).collect())
    }

    fn exchange(&self, webhook: Webhook) -> Result<impl Future<Output = Answer> + use<>, Failure> {
        let (headers, receiver) = (webhook.headers()?, self.receiver.clone());
        Ok(async move { receiver.post(headers, webhook.body).await })
    }

    /// Counts an exchange. What a receiver did not take is nobody's predecessor: one that waits for predecessors
    /// would wait for it for ever.
    fn note(&mut self, (sequence, previous): (u64, Option<u64>), answer: Answer) -> Answer {
        self.requests += 1;
        match &answer {
            Ok(answered) if answered.is_success() => {
                self.times.push(answered.took);
                self.previous = self.previous.max(Some(sequence));
            }
            _ if self.previous == Some(sequence) => self.previous = previous,
            _ => {}
        }
        answer
    }

    /// What the state URL says now, if there is one.
    pub(super) async fn state(&self) -> Option<Result<Bytes, String>> {
        let state = self.state.as_ref()?;
        Some(match state.get().await {
            Ok(answer) if answer.is_success() => Ok(answer.body),
            Ok(answer) => Err(format!("it answered {}", answer.status)),
            Err(none) => Err(format!("no answer: {}", none.reason)),
        })
    }

    /// Finds out whether a delivery that was just accepted has changed the state.
    pub(super) async fn watch_effects(&mut self, before: Option<Result<Bytes, String>>) -> Option<Effects> {
        let before = match before? {
            Ok(before) => before,
            Err(reason) => return Some(Effects::Broken(reason)),
        };
        for _ in 0..LOOKS_MAX {
            match self.state().await? {
                Ok(now) if now != before => {
                    self.effects_seen = true;
                    return Some(Effects::Seen);
                }
                Ok(_) => {}
                Err(reason) => return Some(Effects::Broken(reason)),
            }
            // A receiver may answer first and process after.
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Some(Effects::Unseen)
    }

    /// The state once it has stopped changing; nothing where effects cannot be seen.
    pub(super) async fn settled_state(&self) -> Option<Bytes> {
        if !self.effects_seen {
            return None;
        }
        let mut before = self.state().await?.ok()?;
        for _ in 0..LOOKS_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.state().await?.ok()?;
            if now == before {
                break;
            }
            before = now;
        }
        Some(before)
    }
}

/// The event has to be taken.
pub(super) fn accepted(answer: &Answer) -> Outcome {
    match answer {
        Ok(answer) if answer.is_success() => Outcome::passed(shown(answer)),
        Ok(answer) if (300..400).contains(&answer.status) => {
            Outcome::failed(format!("answered {}: a redirect, which is never followed", answer.status))
        }
        Ok(answer) if answer.status == 410 => {
            Outcome::failed("answered 410, which says that it is gone for good: the endpoint would be disabled")
        }
        Ok(answer) => Outcome::failed(format!("answered {}, not 2xx", shown(answer))),
        Err(none) => Outcome::failed(format!("no answer: {}", none.reason)),
    }
}

/// The event has to be refused.
pub(super) fn refused(answer: &Answer) -> Outcome {
    match answer {
        Ok(answer) if (400..500).contains(&answer.status) => Outcome::passed(shown(answer)),
        Ok(answer) if answer.is_success() => Outcome::failed(format!("answered {}: it believed it", answer.status)),
        Ok(answer) if answer.status >= 500 => {
            Outcome::failed(format!("answered {}: it broke instead of refusing", answer.status))
        }
        Ok(answer) => Outcome::failed(format!("answered {}, not 4xx", answer.status)),
        Err(none) => Outcome::failed(format!("no answer: {}", none.reason)),
    }
}

/// Whether a receiver took an event or asked for it to come again later.
pub(super) fn is_taken_or_later(answer: &Answer) -> bool {
    answer.as_ref().is_ok_and(|answer| answer.is_success() || LATER.contains(&answer.status))
}

/// What several answers were: `204 ×3, 500`.
pub(super) fn tally(answers: &[Answer]) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for answer in answers {
        let name = answer.as_ref().map_or_else(|none| none.reason.clone(), |answer| answer.status.to_string());
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let shown = counts.into_iter().map(|(name, count)| if count == 1 { name } else { format!("{name} ×{count}") });
    shown.collect::<Vec<_>>().join(", ")
}

fn shown(answer: &Answered) -> String {
    format!("{} in {:.1} ms", answer.status, answer.took.as_secs_f64() * 1_000.0)
}

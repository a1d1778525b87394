//! Writes what endpoints answer.

use serde_json::value::RawValue;
use tidings_engine::endpoints::{
    Attempt, CloudEventsMode, DeadLetterView, Endpoint, Exchange, Explanation, Format, Ordering, Replay, Scheme,
    SecretInfo, Stats,
};
use tidings_event::Timestamp;

use crate::wire;

/// What stands for a header's value where it is not shown.
const MASK: &str = "***";

/// An endpoint. The values of its headers, which may be secrets of the receiver, only for those who may set them.
pub(crate) fn endpoint(endpoint: &Endpoint, shows_headers: bool) -> wire::Endpoint {
    let settings = &endpoint.settings;
    let value = |value: &String| if shows_headers { value.clone() } else { MASK.to_owned() };
    wire::Endpoint {
        id: endpoint.id.to_string(),
        tenant: endpoint.tenant.to_string(),
        url: endpoint.url.clone(),
        types: endpoint.types.clone(),
        filter: pattern(endpoint.filter.as_deref()),
        format: match settings.format {
            Format::Native => wire::EndpointFormat::Native,
            Format::Cloudevents => wire::EndpointFormat::Cloudevents,
        },
        cloudevents_mode: match settings.cloudevents_mode {
            CloudEventsMode::Structured => wire::CloudEventsMode::Structured,
            CloudEventsMode::Binary => wire::CloudEventsMode::Binary,
        },
        ordering: match settings.ordering {
            Ordering::None => wire::Ordering::None,
            Ordering::Entity => wire::Ordering::Entity,
            Ordering::Strict => wire::Ordering::Strict,
        },
        rate_limit_per_s: settings.rate_limit_per_s,
        timeout_ms: settings.timeout_ms,
        headers: settings.headers.iter().map(|(name, text)| (name.clone(), value(text))).collect(),
        retry_schedule_s: settings.retry_schedule_s.clone(),
        versions: settings.versions.clone(),
        description: settings.description.clone(),
        status: endpoint.status.as_str().to_owned(),
        status_reason: endpoint.status_reason.clone(),
        challenge: endpoint.challenge,
        since: endpoint.since.get(),
        created_at: endpoint.created_at.to_string(),
        updated_at: endpoint.updated_at.to_string(),
    }
}

/// A pattern as it was given. It was JSON when it was taken in.
fn pattern(text: Option<&str>) -> Option<wire::Json> {
    text.and_then(|text| RawValue::from_string(text.to_owned()).ok())
}

fn moment(moment: Option<Timestamp>) -> Option<String> {
    moment.map(|moment| moment.to_string())
}

pub(crate) fn signature(scheme: Scheme) -> wire::Signature {
    match scheme {
        Scheme::V1 => wire::Signature::V1,
        Scheme::V1a => wire::Signature::V1a,
    }
}

/// How a secret signs: only an Ed25519 key has a public half.
pub(crate) fn signature_of(public_key: Option<&str>) -> wire::Signature {
    if public_key.is_some() { wire::Signature::V1a } else { wire::Signature::V1 }
}

pub(crate) fn secret(secret: &SecretInfo) -> wire::Secret {
    wire::Secret {
        id: secret.id.clone(),
        signature: signature(secret.scheme),
        public_key: secret.public.clone(),
        created_at: secret.created_at.to_string(),
        expires_at: moment(secret.expires_at),
    }
}

pub(crate) fn exchange(exchange: Exchange) -> wire::Exchange {
    wire::Exchange {
        succeeded: exchange.succeeded(),
        request_headers: exchange.request_headers,
        request_body: exchange.request_body,
        status: exchange.status,
        failure: exchange.failure.map(|failure| failure.as_str().to_owned()),
        message: exchange.message,
        response_headers: exchange.response_headers,
        response_body: exchange.response_body,
        duration_ms: exchange.duration_ms,
    }
}

pub(crate) fn stats(stats: &Stats) -> wire::EndpointStats {
    let window = &stats.window;
    wire::EndpointStats {
        lag_events: stats.lag_events,
        lag_seconds: stats.lag_seconds,
        retries: stats.retries,
        dead_letters: stats.dead_letters,
        circuit: stats.circuit.as_str().to_owned(),
        circuit_since: moment(stats.circuit_since),
        next_attempt_at: moment(stats.next_attempt_at),
        window: wire::StatsWindow {
            attempts: window.attempts,
            succeeded: window.succeeded,
            success_rate: window.success_rate,
            latency_ms: window.latency_ms.map(|latency| wire::Latency {
                p50: latency.p50,
                p95: latency.p95,
                p99: latency.p99,
                max: latency.max,
            }),
        },
        last_attempt_at: moment(stats.last_attempt_at),
        last_success_at: moment(stats.last_success_at),
    }
}

pub(crate) fn attempt(attempt: &Attempt) -> wire::Attempt {
    wire::Attempt {
        event_id: attempt.event_id.as_ref().map(ToString::to_string),
        sequence: attempt.sequence.get(),
        attempt: attempt.attempt,
        at: attempt.at.to_string(),
        duration_ms: attempt.duration_ms,
        status: attempt.status,
        failure: attempt.failure.map(|failure| failure.as_str().to_owned()),
        response: attempt.response.clone(),
        replay: attempt.replay,
    }
}

pub(crate) fn explanation(explanation: Explanation) -> wire::Explanation {
    wire::Explanation {
        outcome: explanation.outcome.as_str().to_owned(),
        reason: explanation.reason,
        sequence: explanation.sequence.get(),
        filter: explanation.filter.map(|filter| wire::FailedFilter {
            index: filter.index,
            field: filter.field,
            operator: filter.operator,
            found: filter.found,
        }),
        attempts: explanation.attempts.iter().map(attempt).collect(),
        next_attempt_at: moment(explanation.next_attempt_at),
        circuit: explanation.circuit.as_str().to_owned(),
        behind_by: explanation.behind_by,
    }
}

pub(crate) fn dead_letter(letter: &DeadLetterView) -> wire::DeadLetter {
    wire::DeadLetter {
        id: letter.id.clone(),
        endpoint: letter.endpoint.to_string(),
        event_id: letter.event_id.as_ref().map(ToString::to_string),
        event_type: letter.event_type.as_ref().map(ToString::to_string),
        sequence: letter.sequence.get(),
        attempts: letter.attempts,
        last_status: letter.last_status,
        last_failure: letter.last_failure.map(|failure| failure.as_str().to_owned()),
        reason: letter.reason.as_str().to_owned(),
        died_at: letter.died_at.to_string(),
    }
}

pub(crate) fn replay(replay: &Replay) -> wire::Replay {
    wire::Replay {
        id: replay.id.clone(),
        endpoint: replay.endpoint.to_string(),
        state: replay.state.as_str().to_owned(),
        first: replay.first.get(),
        last: replay.last.get(),
        settled: replay.settled.map(|sequence| sequence.get()),
        types: replay.types.clone(),
        filter: pattern(replay.filter.as_deref()),
        rate_per_s: replay.rate_per_s,
        delivered: replay.delivered,
        dead: replay.dead,
        created_at: replay.created_at.to_string(),
        ended_at: moment(replay.ended_at),
    }
}

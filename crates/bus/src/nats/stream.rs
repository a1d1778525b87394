//! The stream of a partition: making it, finding its end, writing behind that end.

use std::time::Duration;

use async_nats::Request;
use async_nats::jetstream::context::{CreateStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, RawMessageErrorKind, RetentionPolicy, StorageType, Stream,
};
use tidings_event::{PartitionId, Revision};
use tokio::time::timeout;

use super::{CALL_MAX, HAND_OVER_MAX, NatsBus, late, unavailable};
use crate::message::Behind;
use crate::subject::partition_subjects;
use crate::{BusError, BusHealth, Entry, Last, Result, StreamEnd, event_subject, message, stream_name};

/// For how long the broker drops messages with an id that it had. Every message names its predecessor, so nothing is ever
/// stored twice anyway; a long window would only keep what is published anew, after a stream was emptied, from being
/// stored.
const DUPLICATES: Duration = Duration::from_millis(100);
/// How many deleted messages at a stream's end are looked past.
const LOOK_BACK: usize = 64;

impl NatsBus {
    fn stream_config(&self, partition: PartitionId) -> Config {
        Config {
            name: stream_name(&self.options.prefix, partition),
            description: Some("Events of Tidings, written by its publisher alone".to_owned()),
            subjects: vec![partition_subjects(&self.options.prefix, partition)],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            max_age: self.options.age_max,
            max_bytes: i64::try_from(self.options.stream_bytes_max).unwrap_or(i64::MAX),
            num_replicas: self.options.replicas,
            duplicate_window: DUPLICATES,
            ..Config::default()
        }
    }

    /// Makes the stream as it shall be. One that is there already and cannot be changed is taken as it is.
    async fn settle_stream(&self, partition: PartitionId) -> Result<Info> {
        let config = self.stream_config(partition);
        let name = config.name.clone();
        match self.jetstream.update_stream(&config).await {
            Ok(info) => Ok(info),
            Err(error) if error.kind() == CreateStreamErrorKind::NotFound => {
                let stream = self.jetstream.create_stream(config).await.map_err(unavailable)?;
                tracing::info!(stream = name, "made a stream");
                Ok(stream.cached_info().clone())
            }
            Err(error) => {
                let Ok(info) = self.stream(partition).await?.get_info().await else { return Err(unavailable(error)) };
                tracing::warn!(stream = name, %error, "the stream's settings cannot be changed; it stays as it is");
                Ok(info)
            }
        }
    }

    async fn stream(&self, partition: PartitionId) -> Result<Stream<()>> {
        let name = stream_name(&self.options.prefix, partition);
        self.jetstream.get_stream_no_info(name).await.map_err(unavailable)
    }

    pub(super) async fn find_end(&self, partition: PartitionId) -> Result<StreamEnd> {
        let state = self.settle_stream(partition).await?.state;
        let message = state.last_sequence;
        if state.messages == 0 {
            return Ok(StreamEnd { message, first: None, last: Last::None });
        }
        let Some(found) = self.last_kept(partition, state.first_sequence, message).await? else {
            return Ok(StreamEnd { message, first: None, last: Last::None });
        };
        let last = match (message::position(&found.headers), message::digest_of(&found.headers)) {
            (Some(position), Some(digest)) if message::is_of(self.log, &found.headers) => {
                Last::Event { position, digest }
            }
            _ => Last::Foreign,
        };
        let oldest = self.stream(partition).await?.get_raw_message(state.first_sequence).await;
        let first = match oldest {
            Ok(oldest) if message::is_of(self.log, &oldest.headers) => message::position(&oldest.headers),
            // It may have become too old since the stream was asked.
            _ => None,
        };
        Ok(StreamEnd { message, first, last })
    }

    /// The last message that is still there. Single ones may have been deleted, so a bounded number is looked at.
    async fn last_kept(&self, partition: PartitionId, first: u64, last: u64) -> Result<Option<StreamMessage>> {
        let stream = self.stream(partition).await?;
        for number in (first..=last).rev().take(LOOK_BACK) {
            match stream.get_raw_message(number).await {
                Ok(found) => return Ok(Some(found)),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        Ok(None)
    }

    /// All but the last are sent without asking for an answer: each names its predecessor, by number and by id, so the last
    /// one is stored only if all before it were. The connection keeps them in order.
    pub(super) async fn write(
        &self,
        partition: PartitionId,
        behind: u64,
        revision: Revision,
        events: &[Entry<'_>],
    ) -> Result<u64> {
        let Some((last, others)) = events.split_last() else { return Ok(behind) };
        let writer = message::Writer::new(&self.key, self.log, partition, revision, self.client.max_payload());
        let message = |entry: &Entry<'_>, behind| {
            let event = &entry.recorded.event;
            let subject = event_subject(&self.options.prefix, partition, &event.tenant, &event.event_type);
            let (headers, body) = writer.write(*entry, behind);
            (subject, headers, body)
        };
        let mut behind = Behind { number: behind, position: None };
        for entry in others {
            let (subject, headers, body) = message(entry, behind);
            // The bound on the way to the connection: a broker that stands still stops the publisher here.
            let sent = timeout(CALL_MAX, self.client.publish_with_headers(subject, headers, body)).await;
            sent.map_err(|_| late())?.map_err(unavailable)?;
            behind = Behind { number: behind.number + 1, position: Some(entry.recorded.position) };
        }
        let (subject, headers, body) = message(last, behind);
        let message = PublishMessage::build().headers(headers).payload(body);
        let answer = async { self.jetstream.send_publish(subject, message).await?.await };
        match timeout(CALL_MAX + HAND_OVER_MAX, answer).await {
            // Then everything before it is where it should be, too.
            Ok(Ok(ack)) if ack.sequence == behind.number + 1 && !ack.duplicate => Ok(ack.sequence),
            Ok(Ok(_)) => Err(BusError::Moved),
            Ok(Err(error)) => Err(match error.kind() {
                PublishErrorKind::WrongLastSequence
                | PublishErrorKind::WrongLastMessageId
                | PublishErrorKind::StreamNotFound => BusError::Moved,
                _ => unavailable(error),
            }),
            Err(_) => Err(late()),
        }
    }

    pub(super) async fn purge(&self, partition: PartitionId) -> Result<u64> {
        let stream = self.stream(partition).await?;
        stream.purge().await.map_err(unavailable)?;
        Ok(stream.get_info().await.map_err(unavailable)?.state.last_sequence)
    }

    /// What the broker says of itself over the connection.
    pub(super) async fn report(&self) -> BusHealth {
        let info = self.client.server_info();
        let mut health =
            BusHealth { connected: true, settings: vec![("version".to_owned(), info.version)], warnings: Vec::new() };
        // Any call of JetStream says whether there is one; this one needs no rights beyond those of the publisher.
        let name = stream_name(&self.options.prefix, PartitionId(0));
        let subject = format!("$JS.API.STREAM.INFO.{name}");
        let asked = timeout(CALL_MAX, self.client.send_request(subject, Request::new().timeout(Some(CALL_MAX)))).await;
        match asked {
            Ok(Ok(reply)) => judge(&reply.payload, &mut health),
            _ => {
                let off = "JetStream does not answer: nothing is published; nodes poll the log".to_owned();
                health.settings.push(("jetstream".to_owned(), "off".to_owned()));
                health.warnings.push(off);
            }
        }
        health
    }
}

/// What is read of the answer about a stream.
#[derive(serde::Deserialize)]
struct Answer {
    error: Option<Refused>,
    config: Option<Kept>,
}

#[derive(serde::Deserialize)]
struct Refused {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    err_code: u32,
}

#[derive(serde::Deserialize)]
struct Kept {
    storage: Option<String>,
    num_replicas: Option<usize>,
}

/// There is no such stream yet, which a JetStream says that works.
const NOT_FOUND: u32 = 404;

/// What an answer about the first partition's stream says of how messages are kept. What it does not say is not known.
fn judge(answer: &[u8], health: &mut BusHealth) {
    let unknown = || Answer { error: None, config: None };
    let Answer { error, config } = serde_json::from_slice(answer).unwrap_or_else(|_| unknown());
    if let Some(Refused { code, err_code }) = error.filter(|refused| refused.code != NOT_FOUND) {
        health.settings.push(("jetstream".to_owned(), "off".to_owned()));
        health.warnings.push(format!(
            "JetStream refuses to answer (error {code}, {err_code}): nothing is published; nodes poll the log"
        ));
        return;
    }
    let (storage, replicas) = config.map_or((None, None), |config| (config.storage, config.num_replicas));
    let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    health.settings.extend([
        ("storage".to_owned(), or_unknown(storage.clone())),
        ("replicas".to_owned(), or_unknown(replicas.map(|replicas| replicas.to_string()))),
        ("sync_interval".to_owned(), "unknown".to_owned()),
    ]);
    if storage.as_deref() == Some("memory") {
        health.warnings.push(
            "the streams are kept in memory: a restart of the broker empties them. The log is not touched by that: what \
             a stream lost is published again"
                .to_owned(),
        );
    } else if replicas.is_none_or(|replicas| replicas < 3) {
        health.warnings.push(
            "NATS does not tell its sync_interval to clients; unless it was set, JetStream writes to disk every 2 \
             minutes, and a power failure takes what it acknowledged since. The log is not touched by that: what a \
             stream lost at its end is published again"
                .to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_messages_are_kept_is_what_the_broker_says_and_unknown_where_it_says_nothing() {
        let check = |answer: &str, settings: &[(&str, &str)], warning: Option<&str>| {
            let mut health = BusHealth { connected: true, settings: Vec::new(), warnings: Vec::new() };
            judge(answer.as_bytes(), &mut health);
            let found: Vec<(&str, &str)> =
                health.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, settings, "{answer}");
            assert_eq!(health.warnings.len(), usize::from(warning.is_some()), "{answer}");
            assert!(warning.is_none_or(|text| health.warnings[0].contains(text)), "{answer}: {:?}", health.warnings);
        };
        let kept = |storage, replicas| [("storage", storage), ("replicas", replicas), ("sync_interval", "unknown")];
        check(r#"{"config":{"storage":"file","num_replicas":3}}"#, &kept("file", "3"), None);
        check(r#"{"config":{"storage":"file","num_replicas":1}}"#, &kept("file", "1"), Some("sync_interval"));
        check(r#"{"config":{"storage":"memory","num_replicas":3}}"#, &kept("memory", "3"), Some("in memory"));
        let none = r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        check(none, &kept("unknown", "unknown"), Some("sync_interval"));
        check("not JSON", &kept("unknown", "unknown"), Some("sync_interval"));
        let off = r#"{"error":{"code":503,"err_code":10039,"description":"not enabled"}}"#;
        check(off, &[("jetstream", "off")], Some("error 503, 10039"));
    }
}

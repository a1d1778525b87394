//! An event as a message: native JSON as the body, and in headers what the log knows beside it.

use async_nats::HeaderMap;
use async_nats::header::HeaderName;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tidings_event::{
    Digest, LogId, PartitionId, Position, Recorded, Revision, Salt, Sequence, SystemMint, TenantNo, Timestamp, digest,
    hash_data, parse_own_event,
};

use crate::Entry;

/// The event's number in its partition.
pub(crate) const POSITION: HeaderName = HeaderName::from_static("Tidings-Position");
/// The event's digest, in hexadecimal digits.
pub(crate) const DIGEST: HeaderName = HeaderName::from_static("Tidings-Digest");
const SALT: HeaderName = HeaderName::from_static("Tidings-Salt");
/// What only nodes need, in one, since every header costs the broker and us: the tenant's number, the revision and the
/// seal, with dots between them.
const NODE: HeaderName = HeaderName::from_static("Tidings-Node");
/// Says that the body was too large for the broker, and left out.
const OMITTED: HeaderName = HeaderName::from_static("Tidings-Omitted");
/// What is to be the stream's last message when this one arrives; the broker's own header.
const EXPECTED: HeaderName = HeaderName::from_static("Nats-Expected-Last-Sequence");
/// What that message's id is to be; the broker's own header.
const EXPECTED_ID: HeaderName = HeaderName::from_static("Nats-Expected-Last-Msg-Id");
/// The log, the partition and the position, with colons between them; the broker's own header.
const MESSAGE_ID: HeaderName = HeaderName::from_static("Nats-Msg-Id");

const SEAL_BYTES: usize = 16;
/// What the headers take, with what the protocol puts around them, at most.
const HEADERS_BYTES_MAX: usize = 1_024;

/// The key by which nodes of one log know each other's messages: nobody else who may publish on the broker can make
/// one that a node takes.
#[derive(Clone)]
pub struct SealKey(Hmac<Sha256>);

impl SealKey {
    /// Derives the key. Every node that shares the master key knows the others' messages.
    #[must_use]
    pub fn derive(master: &[u8; 32]) -> Self {
        let keyed = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        Self(keyed(&keyed(master).chain_update(b"tidings/bus/1").finalize().into_bytes()))
    }

    /// A code over all that the headers say, and through the digest over the event.
    fn over(&self, log: LogId, partition: PartitionId, row: &Row) -> Hmac<Sha256> {
        self.0
            .clone()
            .chain_update(log.0.0.to_be_bytes())
            .chain_update(partition.get().to_be_bytes())
            .chain_update(row.position.get().to_be_bytes())
            .chain_update(row.tenant_no.get().to_be_bytes())
            .chain_update(row.revision.get().to_be_bytes())
            .chain_update(row.salt.0)
            .chain_update(row.digest.0)
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

/// What the headers say.
struct Row {
    position: Position,
    tenant_no: TenantNo,
    revision: Revision,
    salt: Salt,
    digest: Digest,
}

/// The message that another one is to follow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind {
    /// Its number.
    pub(crate) number: u64,
    /// The position of its event, where that is certain. The number alone does not keep the rest of a batch from following
    /// a message that somebody else wrote in between, nor the position alone from following what was written before.
    pub(crate) position: Option<Position>,
}

/// Writes messages of one partition, as many as are written together.
pub(crate) struct Writer<'a> {
    key: &'a SealKey,
    log: LogId,
    revision: Revision,
    payload_max: usize,
    /// What every message's id begins with.
    id: String,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        key: &'a SealKey,
        log: LogId,
        partition: PartitionId,
        revision: Revision,
        payload_max: usize,
    ) -> Self {
        Self { key, log, revision, payload_max, id: format!("{log}:{partition}:") }
    }

    fn id(&self, position: &str) -> String {
        [self.id.as_str(), position].concat()
    }

    /// Headers and body of an event's message.
    pub(crate) fn write(&self, Entry { recorded, json }: Entry<'_>, behind: Behind) -> (HeaderMap, Bytes) {
        let row = Row {
            position: recorded.position,
            tenant_no: recorded.tenant_no,
            revision: self.revision,
            salt: recorded.salt,
            digest: recorded.digest,
        };
        let seal = self.key.over(self.log, recorded.partition, &row).finalize().into_bytes();
        let seal = hex(seal.get(..SEAL_BYTES).unwrap_or_default());
        let position = row.position.to_string();
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED, behind.number.to_string());
        if let Some(position) = behind.position {
            headers.insert(EXPECTED_ID, self.id(&position.to_string()));
        }
        headers.insert(MESSAGE_ID, self.id(&position));
        headers.insert(POSITION, position);
        headers.insert(DIGEST, hex(&row.digest.0));
        headers.insert(SALT, hex(&row.salt.0));
        headers.insert(NODE, [&row.tenant_no.to_string(), ".", &row.revision.to_string(), ".", &seal].concat());
        if json.len() + HEADERS_BYTES_MAX > self.payload_max {
            headers.insert(OMITTED, "max_payload");
            return (headers, Bytes::new());
        }
        (headers, json.clone())
    }
}

/// The event of a message; none where it is not one of this log and partition, whole and unchanged.
pub(crate) fn read(
    key: &SealKey,
    log: LogId,
    partition: PartitionId,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<(Recorded, Revision)> {
    if !is_of(log, headers) {
        return None;
    }
    let mut node = text(headers, NODE)?.splitn(3, '.');
    let row = Row {
        position: position(headers)?,
        tenant_no: TenantNo(node.next()?.parse().ok()?),
        revision: Revision(node.next()?.parse().ok()?),
        salt: Salt(unhex(text(headers, SALT)?)?),
        digest: digest_of(headers)?,
    };
    let seal: [u8; SEAL_BYTES] = unhex(node.next()?)?;
    key.over(log, partition, &row).verify_truncated_left(&seal).ok()?;
    let (event, sequence, recorded_at) = split(body)?;
    let event = parse_own_event(&event, &mut SystemMint::default()).ok()?;
    let Row { position, tenant_no, revision, salt, digest: sealed } = row;
    if digest(&event, sequence, recorded_at, &hash_data(&salt, &event.data)) != sealed {
        return None;
    }
    Some((Recorded { event, tenant_no, partition, position, sequence, recorded_at, salt, digest: sealed }, revision))
}

/// Whether a message is of this log.
pub(crate) fn is_of(log: LogId, headers: &HeaderMap) -> bool {
    text(headers, MESSAGE_ID).and_then(|id| id.split_once(':')).is_some_and(|(of, _)| of == log.to_string())
}

/// The position that a message's headers name.
pub(crate) fn position(headers: &HeaderMap) -> Option<Position> {
    Some(Position(text(headers, POSITION)?.parse().ok()?))
}

/// The digest that a message's headers name.
pub(crate) fn digest_of(headers: &HeaderMap) -> Option<Digest> {
    Some(Digest(unhex(text(headers, DIGEST)?)?))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(AsRef::as_ref)
}

/// Takes apart what the log added to an event: the last two members.
fn split(body: &[u8]) -> Option<(Vec<u8>, Sequence, Timestamp)> {
    const MEMBER: &[u8] = b",\"sequence\":";
    // Behind it stand a number and a moment, neither of which can hold this text.
    let at = body.len() - body.windows(MEMBER.len()).rev().position(|window| window == MEMBER)? - MEMBER.len();
    let tail = std::str::from_utf8(body.get(at + MEMBER.len()..)?).ok()?;
    let (sequence, moment) = tail.split_once(",\"recorded_at\":\"")?;
    let sequence = Sequence(sequence.parse().ok()?);
    let recorded_at = Timestamp::parse(moment.strip_suffix("\"}")?).ok()?;
    let mut event = Vec::with_capacity(at + 1);
    event.extend_from_slice(body.get(..at)?);
    event.push(b'}');
    Some((event, sequence, recorded_at))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = digits else { return None };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidings_event::{
        Context, ContextKind, Data, Entity, Event, EventId, EventType, Metadata, Source, SourceKind, TenantId, Text,
        Version,
    };

    use super::*;

    const LOG_ID: LogId = LogId(ulid::Ulid(7));
    const PAYLOAD_MAX: usize = 1 << 20;

    fn key() -> SealKey {
        SealKey::derive(&[1; 32])
    }

    fn recorded(tenant: &str, text: &str, data: &str, position: u64) -> Recorded {
        let word = Text::parse(text).unwrap();
        let event = Event {
            id: EventId::parse(format!("e{position}")).unwrap(),
            event_type: EventType::parse("sales.lead.created").unwrap(),
            version: Version::first(),
            timestamp: Timestamp::from_micros(1_700_000_000_123_456),
            tenant: TenantId::parse(tenant).unwrap(),
            project: Some(word.clone()),
            source: Source { kind: SourceKind::Service, id: word.clone() },
            entity: Some(Entity { kind: Text::parse("lead").unwrap(), id: word.clone() }),
            actor: None,
            data: Data::parse(data.to_owned()).unwrap(),
            metadata: Metadata {
                correlation_id: word.clone(),
                causation_id: None,
                context: Some(Context { kind: ContextKind::User, id: word }),
                traceparent: None,
            },
        };
        let (sequence, recorded_at, salt) = (Sequence(position), Timestamp::from_micros(5), Salt([9; 16]));
        let digest = digest(&event, sequence, recorded_at, &hash_data(&salt, &event.data));
        Recorded {
            event,
            tenant_no: TenantNo(3),
            partition: PartitionId(2),
            position: Position(position),
            sequence,
            recorded_at,
            salt,
            digest,
        }
    }

    fn write_with(key: &SealKey, log: LogId, recorded: &Recorded, number: u64, max: usize) -> (HeaderMap, Bytes) {
        let behind = Behind { number, position: Some(Position(number)) };
        let json = Bytes::from(recorded.to_json());
        Writer::new(key, log, recorded.partition, Revision(u64::MAX), max)
            .write(Entry { recorded, json: &json }, behind)
    }

    fn message(recorded: &Recorded) -> (HeaderMap, Bytes) {
        write_with(&key(), LOG_ID, recorded, 4, PAYLOAD_MAX)
    }

    fn taken(headers: &HeaderMap, body: &[u8]) -> Option<Recorded> {
        let (recorded, revision) = read(&key(), LOG_ID, PartitionId(2), headers, body)?;
        assert_eq!(revision, Revision(u64::MAX));
        Some(recorded)
    }

    proptest! {
        #[test]
        fn an_event_comes_back_from_its_message_as_it_was(
            tenant in "\\$?[^/\\p{Cc}]{1,40}",
            text in "[^\\p{Cc}]{1,40}",
            value in "[^\\p{Cc}\"\\\\]{0,40}",
            position in 1..u64::MAX,
        ) {
            let data = format!(r#"{{ "sequence" : 1,"sequence":2,"x":"{value}","n":1.50 }}"#).replacen(r#""sequence" : 1,"#, "", 1);
            let recorded = recorded(&tenant, &text, &data, position);
            let (headers, body) = message(&recorded);
            prop_assert_eq!(taken(&headers, &body), Some(recorded));
        }

        #[test]
        fn no_bytes_make_reading_a_message_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let (headers, _) = message(&recorded("acme", "x", "{}", 1));
            prop_assert_eq!(taken(&headers, &body), None);
        }
    }

    #[test]
    fn only_whole_and_unchanged_messages_of_this_log_and_partition_are_taken() {
        let recorded = recorded("acme", "x", r#"{"a":1}"#, 8);
        let (good, body) = message(&recorded);
        assert_eq!(taken(&good, &body), Some(recorded));
        assert_eq!(read(&key(), LogId(ulid::Ulid(8)), PartitionId(2), &good, &body), None, "another log");
        assert_eq!(read(&key(), LOG_ID, PartitionId(1), &good, &body), None, "another partition");
        assert_eq!(read(&SealKey::derive(&[2; 32]), LOG_ID, PartitionId(2), &good, &body), None, "another key");
        let changed = String::from_utf8(body.to_vec()).unwrap().replace(r#""a":1"#, r#""a":2"#);
        assert_eq!(taken(&good, changed.as_bytes()), None, "another body");
        let node = text(&good, NODE).unwrap();
        for (name, value) in [
            (POSITION, "9".to_owned()),
            (NODE, node.replacen("3.", "4.", 1)),
            (NODE, node.replacen(&u64::MAX.to_string(), "1", 1)),
            (NODE, node.replace(|of: char| of.is_ascii_hexdigit() && of > '9', "0")),
            (NODE, node.split_once('.').unwrap().1.to_owned()),
            (NODE, format!("{node}.")),
            (SALT, "00".to_owned()),
            (DIGEST, String::new()),
            (MESSAGE_ID, "x".to_owned()),
            (POSITION, "x".to_owned()),
        ] {
            let mut headers = good.clone();
            headers.insert(name, value.as_str());
            assert_eq!(taken(&headers, &body), None, "a header says {value}");
        }
        assert_eq!(taken(&HeaderMap::new(), &body), None);
    }

    #[test]
    fn a_body_beyond_the_brokers_bound_is_left_out_and_that_is_said() {
        let recorded = recorded("acme", "x", &format!(r#"{{"a":"{}"}}"#, "x".repeat(8_000)), 8);
        let (headers, body) = write_with(&key(), LOG_ID, &recorded, 4, 8_192);
        assert!(body.is_empty());
        assert_eq!(text(&headers, OMITTED), Some("max_payload"));
        assert_eq!(taken(&headers, &body), None, "whoever gets it reads the event from the log");
    }

    #[test]
    fn the_headers_are_within_their_bound() {
        let mut longest = recorded("acme", "x", "{}", u64::MAX);
        longest.tenant_no = TenantNo(i64::MIN);
        longest.partition = PartitionId(u32::MAX);
        let (headers, _) = write_with(&key(), LogId(ulid::Ulid(u128::MAX)), &longest, u64::MAX, PAYLOAD_MAX);
        let bytes: usize = headers
            .iter()
            .map(|(name, values)| {
                values.iter().map(|value| name.to_string().len() + value.as_str().len() + 4).sum::<usize>()
            })
            .sum();
        assert!(bytes + "NATS/1.0\r\n\r\nTidings-Omitted: max_payload\r\n".len() < HEADERS_BYTES_MAX, "{bytes}");
    }
}

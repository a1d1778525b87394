//! What the checks share: fixed surroundings, and what holds for every event that was taken and every refusal.

use std::collections::HashSet;
use std::sync::LazyLock;

use tidings_event::limits::{DATA_BYTES_MAX, TEXT_CHARS_MAX, VIOLATIONS_MAX};
use tidings_event::{
    Data, Event, EventId, Mint, PartitionId, Position, Problem, Recorded, Rejection, Salt, Sequence, TenantNo,
    Timestamp, VIOLATION_CODES, cloudevents, digest, hash_data, parse_own_event,
};

/// Gives the same ids and moments in every run.
pub struct FixedMint(u64);

impl Mint for FixedMint {
    fn id(&mut self) -> EventId {
        self.0 += 1;
        EventId::trusted(format!("minted-{}", self.0))
    }

    fn now(&mut self) -> Timestamp {
        Timestamp::from_micros(1_773_568_800_000_000)
    }
}

/// A mint that begins anew.
pub fn mint() -> FixedMint {
    FixedMint(0)
}

/// An event as the log would hold it.
pub fn recorded(event: Event) -> Recorded {
    let salt = Salt([7; 16]);
    let (sequence, recorded_at) = (Sequence(1207), Timestamp::from_micros(1_773_568_800_012_345));
    let digest = digest(&event, sequence, recorded_at, &hash_data(&salt, &event.data));
    Recorded {
        event,
        tenant_no: TenantNo(1),
        partition: PartitionId(0),
        position: Position(1),
        sequence,
        recorded_at,
        salt,
        digest,
    }
}

/// A plain event with this data.
pub fn with_data(data: Data) -> Event {
    let bare = br#"{"id":"1","type":"sales.lead.created","tenant":"acme","source":{"type":"service","id":"sales"},
        "entity":{"type":"lead","id":"lead_42"},"data":{}}"#;
    let mut event = parse_own_event(bare, &mut mint()).expect("a plain event is taken");
    event.data = data;
    event
}

/// Whatever was taken can be kept by both databases, read back from every form in which it is written, and proved.
pub fn taken(event: &Event) {
    for text in texts(event) {
        assert!(!text.is_empty() && text.chars().count() <= TEXT_CHARS_MAX, "a text of {} bytes", text.len());
        assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
    }
    assert!(event.data.as_bytes().len() <= DATA_BYTES_MAX, "{} bytes of data", event.data.as_bytes().len());
    assert!(std::str::from_utf8(event.data.as_bytes()).is_ok(), "data that is no text");

    let json = event.to_json();
    assert_eq!(parse_own_event(&json, &mut mint()).as_ref(), Ok(event), "native JSON");
    if !event.tenant.is_reserved() && !event.event_type.is_reserved() {
        comes_back_as_cloudevent(event);
    }
    let row = recorded(event.clone());
    is_object(&row.to_json());
    let mut structured = Vec::new();
    cloudevents::write_structured(&row, &mut structured);
    is_object(&structured);
}

fn comes_back_as_cloudevent(event: &Event) {
    let mut structured = Vec::new();
    cloudevents::write_event(event, &mut structured);
    assert_eq!(cloudevents::parse_structured(&structured, &mut mint()).as_ref(), Ok(event), "structured CloudEvent");
    let headers = cloudevents::binary_event_headers(event);
    for (name, value) in &headers {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "the header {name:?}");
        assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "the value {value:?} of {name}");
    }
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let back = cloudevents::parse_binary(headers, event.data.as_bytes(), &mut mint());
    assert_eq!(back.as_ref(), Ok(event), "binary CloudEvent");
}

fn is_object(json: &[u8]) {
    let read = tidings_event::json::check(json, 128);
    assert!(read.is_ok_and(|value| value.text().starts_with('{')), "what is written is a JSON object");
}

fn texts(event: &Event) -> Vec<&str> {
    let mut texts = vec![
        event.id.as_str(),
        event.event_type.as_str(),
        event.version.as_str(),
        event.tenant.as_str(),
        event.source.id.as_str(),
        event.metadata.correlation_id.as_str(),
    ];
    texts.extend(event.project.iter().chain(&event.actor).map(|text| text.as_str()));
    texts.extend(event.entity.iter().flat_map(|entity| [entity.kind.as_str(), entity.id.as_str()]));
    texts.extend(event.metadata.causation_id.iter().chain(&event.metadata.traceparent).map(|text| text.as_str()));
    texts.extend(event.metadata.context.iter().map(|context| context.id.as_str()));
    texts
}

/// Whatever was refused says where and why, by a documented code, in a bounded answer.
pub fn refused(rejection: Rejection) {
    static CODES: LazyLock<HashSet<&str>> = LazyLock::new(|| VIOLATION_CODES.iter().map(|(code, _)| *code).collect());
    let found = rejection.violations.len();
    assert!((1..=VIOLATIONS_MAX).contains(&found), "{found} violations");
    for violation in &rejection.violations {
        assert!(is_pointer(&violation.path), "the path {:?}", violation.path);
        assert!(CODES.contains(violation.code), "the code {}", violation.code);
        assert!(!violation.message.is_empty(), "no message for {}", violation.code);
    }
    let problem = Problem::from(rejection);
    let json = problem.to_json();
    assert_eq!(serde_json::from_slice::<Problem>(&json).expect("a problem comes back from its JSON"), problem);
}

/// Whether a text is a JSON pointer.
pub fn is_pointer(path: &str) -> bool {
    path.is_empty() || path.starts_with('/')
}

/// The parts of an input between bytes of zero: at most `max`, the last one holds the rest.
pub fn parts(input: &[u8], max: usize) -> Vec<&[u8]> {
    input.splitn(max, |byte| *byte == 0).collect()
}

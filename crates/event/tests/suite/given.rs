//! Events to test with: fixed ones, and strategies for any.

use proptest::prelude::*;
use tidings_event::{
    Context, ContextKind, Data, Digest, Entity, Event, EventId, EventType, Metadata, Mint, PartitionId, Position,
    Recorded, Salt, Sequence, Source, SourceKind, TenantId, TenantNo, Text, Timestamp, Version,
};

/// Gives the same ids and moments in every run.
pub(crate) struct FixedMint(pub(crate) u64);

impl Mint for FixedMint {
    fn id(&mut self) -> EventId {
        self.0 += 1;
        EventId::parse(format!("minted-{}", self.0)).unwrap()
    }

    fn now(&mut self) -> Timestamp {
        Timestamp::parse("2026-03-15T10:00:00Z").unwrap()
    }
}

/// Knows a catalog in which every type is at version 7.
pub(crate) struct SeventhMint(pub(crate) FixedMint);

impl Mint for SeventhMint {
    fn id(&mut self) -> EventId {
        self.0.id()
    }

    fn now(&mut self) -> Timestamp {
        self.0.now()
    }

    fn version(&mut self, _event_type: &EventType) -> Version {
        Version::parse("7").unwrap()
    }
}

pub(crate) fn mint() -> FixedMint {
    FixedMint(0)
}

fn text(text: &str) -> Text {
    Text::parse(text).unwrap()
}

/// An event that leaves nothing out.
pub(crate) fn full_event() -> Event {
    Event {
        id: EventId::parse("01JD8Q4M6T1V9S0Z3N7R5K2W4X").unwrap(),
        event_type: EventType::parse("sales.lead.status_changed").unwrap(),
        version: Version::parse("2").unwrap(),
        timestamp: Timestamp::parse("2026-03-15T10:00:00.000Z").unwrap(),
        tenant: TenantId::parse("acme").unwrap(),
        project: Some(text("emea")),
        source: Source { kind: SourceKind::Service, id: text("sales") },
        entity: Some(Entity { kind: text("lead"), id: text("lead_42") }),
        actor: Some(text("user_7")),
        data: Data::parse(r#"{ "from": "new", "to": "qualified" }"#).unwrap(),
        metadata: Metadata {
            correlation_id: text("req_9f"),
            causation_id: Some(text("01JD8Q4M6T1V9S0Z3N7R5K2W4W")),
            context: Some(Context { kind: ContextKind::Client, id: text("client_123") }),
            traceparent: Some(text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
        },
    }
}

/// An event that leaves out what it can.
pub(crate) fn sparse_event() -> Event {
    let source = Source { kind: SourceKind::System, id: text("clock") };
    let event_type = EventType::parse("time.hour_passed").unwrap();
    Event::new(event_type, TenantId::parse("acme").unwrap(), source, Data::parse("{}").unwrap(), &mut mint())
}

pub(crate) fn recorded(event: Event) -> Recorded {
    Recorded {
        event,
        tenant_no: TenantNo(3),
        partition: PartitionId(1),
        position: Position(99),
        sequence: Sequence(1207),
        recorded_at: Timestamp::parse("2026-03-15T10:00:00.012345Z").unwrap(),
        salt: Salt([7; 16]),
        digest: Digest([9; 32]),
    }
}

/// Texts of the envelope, rich in what needs escaping somewhere.
pub(crate) fn texts() -> impl Strategy<Value = Text> {
    let hard = prop::sample::select(vec![
        "/",
        "%",
        "%2F",
        "%25",
        "\"",
        "\\",
        " ",
        ".",
        "./",
        ":",
        "?",
        "#",
        "[",
        "]",
        "@",
        "é",
        "😀",
        "\u{fffd}",
        "a",
        "B",
        "7",
        "~",
        "+",
        "\u{2028}",
        "subject/",
        "/external/",
        "/service/",
        "https://x.y/",
    ]);
    let any = prop::char::any().prop_map(|c| c.to_string());
    let pieces = prop::collection::vec(prop_oneof![3 => hard, 1 => any.prop_map(|s| -> &str { s.leak() })], 1..12);
    let built = pieces.prop_map(|pieces| pieces.concat());
    let uris = "[a-z]{1,4}:(//)?[a-z0-9/%@:.?#\\[\\]+-]{0,16}";
    let dots = "(\\./){0,3}[a-z:/.]{0,4}";
    let own = "/(external|service)/[a-z%.:/0-9A-F]{0,8}";
    let long = "[a-z/é]{255}";
    prop_oneof![4 => built, 1 => uris, 1 => dots, 1 => own, 1 => "subject/[a-z%/]{0,6}", 1 => long]
        .prop_filter_map("not a text", |text| Text::parse(text).ok())
}

/// JSON values as text, with keys that are never twice in an object. `lone` allows half surrogate pairs.
pub(crate) fn json(lone: bool) -> BoxedStrategy<String> {
    let escape = prop::sample::select(vec![r"\n", r"\u0041", r"\\", r#"\""#, r"\/", r"\ud83d\ude00", r"\u0000"]);
    let half = prop::sample::select(vec![r"\ud800", r"\udfff"]);
    let plain = "[ -!#-\\[\\]-~é😀]{0,12}";
    let piece = prop_oneof![
        4 => plain.prop_map(String::from),
        2 => escape.prop_map(String::from),
        u32::from(lone) => half.prop_map(String::from),
    ];
    let string = prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat());
    let number =
        if lone { "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,4})?" } else { "-?[1-9][0-9]{0,9}" };
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false"]).prop_map(String::from),
        number.prop_map(String::from),
        string.clone().prop_map(|string| format!("\"{string}\"")),
    ];
    let space = prop::sample::select(vec!["", "", " ", "\n\t", "\r\n  "]);
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let member = (string.clone(), inner.clone(), space.clone());
        let object = prop::collection::vec(member, 0..7).prop_map(|members| {
            let members: Vec<String> = members
                .into_iter()
                .enumerate()
                .map(|(i, (key, value, space))| format!("{space}\"{i}:{key}\"{space}:{space}{value}{space}"))
                .collect();
            format!("{{{}}}", members.join(","))
        });
        let element = (inner, space.clone()).prop_map(|(value, space)| format!("{space}{value}{space}"));
        let array = prop::collection::vec(element, 0..5).prop_map(|elements| format!("[{}]", elements.join(",")));
        prop_oneof![2 => object, 1 => array]
    })
    .boxed()
}

pub(crate) fn data() -> impl Strategy<Value = Data> {
    prop::collection::vec(json(true), 0..4).prop_map(|values| {
        let members: Vec<String> = values.iter().enumerate().map(|(i, value)| format!("\"m{i}\" :{value}")).collect();
        Data::parse(format!("{{{}}}", members.join(", "))).unwrap()
    })
}

pub(crate) fn timestamps() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (-62_135_596_800_000_000i64..=253_402_207_200_000_000).prop_map(Timestamp::from_micros),
        (0i64..4_000_000_000_000).prop_map(|ms| Timestamp::from_micros(ms * 1_000)),
    ]
}

fn sources() -> impl Strategy<Value = Source> {
    let kind = prop_oneof![prop::sample::select(SourceKind::ALL), Just(SourceKind::External)];
    (kind, texts()).prop_map(|(kind, id)| Source { kind, id })
}

fn entities() -> impl Strategy<Value = Entity> {
    let kind = prop_oneof![3 => texts(), 1 => Just(Text::parse("subject").unwrap())];
    (kind, texts()).prop_map(|(kind, id)| Entity { kind, id })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let context = (prop::sample::select(ContextKind::ALL), texts()).prop_map(|(kind, id)| Context { kind, id });
    let trace = "00-[0-9a-f]{31}1-[0-9a-f]{15}1-0[01]".prop_map(|trace| Text::parse(trace).unwrap());
    (texts(), prop::option::of(texts()), prop::option::of(context), prop::option::of(trace)).prop_map(
        |(correlation_id, causation_id, context, traceparent)| Metadata {
            correlation_id,
            causation_id,
            context,
            traceparent,
        },
    )
}

pub(crate) fn events() -> impl Strategy<Value = Event> {
    let id = "[!-\\-/-~]{1,40}".prop_map(|id| EventId::parse(id).unwrap());
    let event_type = "[a-z][a-z0-9]{0,8}(_[a-z0-9]{1,4})?(\\.[a-z][a-z0-9]{0,8}){1,4}";
    let event_type = event_type.prop_map(|event_type| EventType::parse(event_type).unwrap());
    let version = prop_oneof![
        2 => texts().prop_map(|text| Version::parse(text.as_str()).unwrap()),
        1 => "[1-9]".prop_map(|version| Version::parse(version).unwrap()),
        1 => "tag:tidings\\.dev,2026:schema/[a-z]{1,3}\\.[a-z]/[a-z:%/]{0,5}"
            .prop_map(|version| Version::parse(version).unwrap()),
    ];
    let tenant = texts().prop_filter_map("not a tenant", |text| {
        TenantId::parse(text.as_str().replace('/', "")).ok().filter(|tenant| !tenant.is_reserved())
    });
    let first = (id, event_type, version, timestamps(), tenant, prop::option::of(texts()));
    let second = (sources(), prop::option::of(entities()), prop::option::of(texts()), data(), metadata());
    (first, second).prop_map(
        |((id, event_type, version, timestamp, tenant, project), (source, entity, actor, data, metadata))| Event {
            id,
            event_type,
            version,
            timestamp,
            tenant,
            project,
            source,
            entity,
            actor,
            data,
            metadata,
        },
    )
}

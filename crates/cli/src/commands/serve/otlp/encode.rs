//! Writes an `ExportTraceServiceRequest` of OTLP 1: protobuf messages of the numbers that
//! `opentelemetry/proto/trace/v1/trace.proto` gives its fields. A test has the published types read it.

use tidings_engine::trace::{Kind, Span, Value};

/// What a length-delimited field is tagged with.
const BYTES: u32 = 2;
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const FIXED32: u32 = 5;

/// The status of a span that failed.
const STATUS_ERROR: u64 = 2;
/// That a span is recorded.
const SAMPLED: u32 = 1;

/// What stands around the spans of every request: who speaks.
pub(super) struct Frame {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Frame {
    /// Of attributes of the resource: what it is that speaks.
    pub(super) fn new(attributes: &[(String, String)]) -> Self {
        let mut resource = Vec::new();
        for (key, value) in attributes {
            message(&mut resource, 1, |out| attribute(out, key, &Value::Text(value.clone())));
        }
        let mut scope = Vec::new();
        text(&mut scope, 1, "tidings");
        text(&mut scope, 2, env!("CARGO_PKG_VERSION"));
        Self { resource, scope }
    }

    /// The whole request.
    pub(super) fn request(&self, spans: &[Span]) -> Vec<u8> {
        let mut request = Vec::with_capacity(256 + spans.len() * 512);
        message(&mut request, 1, |resource_spans| {
            bytes(resource_spans, 1, &self.resource);
            message(resource_spans, 2, |scope_spans| {
                bytes(scope_spans, 1, &self.scope);
                for each in spans {
                    message(scope_spans, 2, |out| span(out, each));
                }
            });
        });
        request
    }
}

fn span(out: &mut Vec<u8>, span: &Span) {
    bytes(out, 1, &span.trace.0);
    bytes(out, 2, &span.id.0);
    if let Some(parent) = span.parent {
        bytes(out, 4, &parent.0);
    }
    text(out, 5, span.name);
    number(
        out,
        6,
        match span.kind {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
            Kind::Consumer => 5,
        },
    );
    let nanos = |micros: i64| u64::try_from(micros).unwrap_or(0).saturating_mul(1_000);
    fixed64(out, 7, nanos(span.began.as_micros()));
    fixed64(out, 8, nanos(span.ended.as_micros()));
    for (key, value) in &span.attributes {
        message(out, 9, |out| attribute(out, key, value));
    }
    if let Some(failure) = &span.failure {
        message(out, 15, |out| {
            text(out, 2, failure);
            number(out, 3, STATUS_ERROR);
        });
    }
    tag(out, 16, FIXED32);
    out.extend_from_slice(&SAMPLED.to_le_bytes());
}

fn attribute(out: &mut Vec<u8>, key: &str, value: &Value) {
    text(out, 1, key);
    message(out, 2, |out| match value {
        Value::Text(value) => text(out, 1, value),
        Value::Word(value) => text(out, 1, value),
        Value::Flag(value) => number(out, 2, u64::from(*value)),
        // Protobuf writes a negative number as the 64 bits of its two's complement.
        Value::Number(value) => number(out, 3, u64::from_ne_bytes(value.to_ne_bytes())),
        Value::Fraction(value) => fixed64(out, 4, value.to_bits()),
    });
}

fn tag(out: &mut Vec<u8>, field: u32, kind: u32) {
    varint(out, u64::from(field << 3 | kind));
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

fn text(out: &mut Vec<u8>, field: u32, text: &str) {
    bytes(out, field, text.as_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    tag(out, field, BYTES);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A message within a message: its length is known once it is written.
fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, BYTES);
    let begin = out.len();
    write(out);
    let length = out.len() - begin;
    let mut prefix = Vec::with_capacity(4);
    varint(&mut prefix, length as u64);
    out.splice(begin..begin, prefix);
}

/// How many spans a collector says it refused, of an `ExportTraceServiceResponse`; none where it says nothing that is
/// understood.
pub(super) fn rejected(response: &[u8]) -> u64 {
    // partial_success = 1 { rejected_spans = 1 }
    field(response, 1)
        .and_then(|partial| match partial {
            Field::Bytes(partial) => field(partial, 1),
            Field::Number(_) => None,
        })
        .map_or(0, |rejected| match rejected {
            Field::Number(rejected) => rejected,
            Field::Bytes(_) => 0,
        })
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The first field of a number.
fn field(mut message: &[u8], wanted: u64) -> Option<Field<'_>> {
    while !message.is_empty() {
        let tag = read_varint(&mut message)?;
        let value = match tag & 7 {
            0 => Field::Number(read_varint(&mut message)?),
            1 => Field::Bytes(take(&mut message, 8)?),
            2 => {
                let length = usize::try_from(read_varint(&mut message)?).ok()?;
                Field::Bytes(take(&mut message, length)?)
            }
            5 => Field::Bytes(take(&mut message, 4)?),
            _ => return None,
        };
        if tag >> 3 == wanted {
            return Some(value);
        }
    }
    None
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(taken)
}

fn read_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    };
    use opentelemetry_proto::tonic::common::v1::any_value;
    use prost::Message as _;
    use tidings_engine::trace::{SpanId, TraceId};
    use tidings_event::Timestamp;

    use super::*;

    fn spans() -> Vec<Span> {
        let long = "x".repeat(300);
        let attributes = vec![
            ("text", Value::Text(long)),
            ("word", Value::Word("w")),
            ("number", Value::Number(-7)),
            ("fraction", Value::Fraction(0.5)),
            ("flag", Value::Flag(true)),
        ];
        let span = Span {
            trace: TraceId([1; 16]),
            id: SpanId([2; 8]),
            parent: Some(SpanId([3; 8])),
            name: "tidings.deliver",
            kind: Kind::Client,
            began: Timestamp::from_micros(1_700_000_000_000_001),
            ended: Timestamp::from_micros(1_700_000_000_000_002),
            attributes,
            failure: Some("503".to_owned()),
        };
        let root = Span { parent: None, failure: None, kind: Kind::Consumer, attributes: Vec::new(), ..span };
        vec![span, root]
    }

    #[test]
    fn the_published_types_read_what_is_written() {
        let resource = [("service.name".to_owned(), "tidings".to_owned())];
        let request = Frame::new(&resource).request(&spans());
        let read = ExportTraceServiceRequest::decode(&*request).unwrap();
        let of = &read.resource_spans[0];
        assert_eq!(of.resource.as_ref().unwrap().attributes[0].key, "service.name");
        let scope = &of.scope_spans[0];
        assert_eq!(scope.scope.as_ref().unwrap().name, "tidings");
        let [span, root] = &scope.spans[..] else { panic!("{scope:?}") };
        assert_eq!(
            (&span.trace_id[..], &span.span_id[..], &span.parent_span_id[..]),
            (&[1; 16][..], &[2; 8][..], &[3; 8][..])
        );
        assert_eq!((span.name.as_str(), span.kind, span.flags), ("tidings.deliver", 3, 1));
        assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 1_000);
        assert_eq!(span.start_time_unix_nano, 1_700_000_000_000_001_000);
        let status = span.status.as_ref().unwrap();
        assert_eq!((status.code, status.message.as_str()), (2, "503"));
        let values: Vec<_> = span.attributes.iter().map(|of| of.value.clone().unwrap().value.unwrap()).collect();
        assert_eq!(
            values,
            [
                any_value::Value::StringValue("x".repeat(300)),
                any_value::Value::StringValue("w".to_owned()),
                any_value::Value::IntValue(-7),
                any_value::Value::DoubleValue(0.5),
                any_value::Value::BoolValue(true),
            ]
        );
        assert_eq!((root.parent_span_id.len(), root.status.as_ref(), root.kind), (0, None, 5));
    }

    #[test]
    fn what_a_collector_refused_is_read_and_nonsense_is_not() {
        let partial = ExportTracePartialSuccess { rejected_spans: 300, error_message: "no".to_owned() };
        let response = ExportTraceServiceResponse { partial_success: Some(partial) };
        assert_eq!(rejected(&response.encode_to_vec()), 300);
        assert_eq!(rejected(&ExportTraceServiceResponse::default().encode_to_vec()), 0);
        for nonsense in [&b"{}"[..], &[0x0a, 0xff], &[0xff; 20], b"<html>"] {
            assert_eq!(rejected(nonsense), 0);
        }
    }
}

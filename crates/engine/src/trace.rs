//! What becomes of a single event, told as the spans of a trace.
//!
//! An event that carries a sampled `traceparent` takes part in its producer's trace: the time in the outbox, the append,
//! the routing and each attempt to deliver become spans of it. Nodes tell each other nothing for this: the ids of the
//! spans in between are derived from the event, so whoever attempts a delivery knows which span it belongs to, whoever
//! made that one. Spans say which event it was and how it went, never what it holds.
//!
//! Where tracing is off this costs a look at an empty option for each event; where it is on, only events that are
//! sampled cost more than that.

mod span;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tidings_event::{Event, Text};

pub use span::{Kind, Span, SpanId, TraceId, Value};

/// Where spans go to. Taking one never waits: what finds no room is dropped, and counted by the sink.
pub trait SpanSink: Send + Sync + 'static {
    /// Takes a span that has ended.
    fn submit(&self, span: Span);
}

/// A W3C trace context: which trace, which span of it, and whether it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span that whatever comes next belongs to.
    pub span: SpanId,
    /// Whether whoever began the trace records it.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (known, rest) = (bytes.get(..55)?, &bytes[55..]);
        let version = hex::<1>(&known[..2])?;
        let ends = rest.is_empty() || (version != [0] && rest.first() == Some(&b'-'));
        if version == [0xff] || !ends || [2, 35, 52].iter().any(|dash| known[*dash] != b'-') {
            return None;
        }
        let (trace, span) = (hex::<16>(&known[3..35])?, hex::<8>(&known[36..52])?);
        let [flags] = hex::<1>(&known[53..])?;
        (trace != [0; 16] && span != [0; 8]).then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            sampled: flags & 1 == 1,
        })
    }

    /// The context as a `traceparent`.
    #[must_use]
    pub fn header(&self) -> String {
        format!("00-{}-{}-{}", self.trace, self.span, if self.sampled { "01" } else { "00" })
    }

    /// The same trace with another span.
    #[must_use]
    pub fn with_span(self, span: SpanId) -> Self {
        Self { span, ..self }
    }
}

/// Lower-case hexadecimal digits, as the header must have them.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether the one who began a trace decides for all; otherwise only [`Self::share`] does.
    pub parent_based: bool,
    /// The share of other traces that is recorded, from 0 to 1. By the trace's id, so that every node decides alike.
    pub share: f64,
}

impl Sampler {
    fn takes(&self, context: &TraceContext) -> bool {
        if self.parent_based { context.sampled } else { self.takes_root(context.trace) }
    }

    fn takes_root(&self, trace: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g] = trace.0;
        let number = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
        // 56 bits, as the standard has at least so many at random.
        (number as f64) < self.share * (1_u64 << 56) as f64
    }
}

/// Records spans, or nothing. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Recording>>);

struct Recording {
    sampler: Sampler,
    sink: Box<dyn SpanSink>,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tracer").field(&self.0.as_ref().map(|recording| recording.sampler)).finish()
    }
}

/// A step of an event's way, whose span is found again by whoever makes the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Pump,
    Append,
    Route,
}

impl Tracer {
    /// A tracer that records what the sampler takes.
    #[must_use]
    pub fn new(sampler: Sampler, sink: impl SpanSink) -> Self {
        Self(Some(Arc::new(Recording { sampler, sink: Box::new(sink) })))
    }

    /// Whether anything is recorded at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The context of an event that is recorded.
    #[inline]
    #[must_use]
    pub fn of(&self, event: &Event) -> Option<TraceContext> {
        self.0.as_ref()?;
        self.takes(event.metadata.traceparent.as_ref()?.as_str())
    }

    /// The context of a `traceparent`, if it is recorded.
    #[must_use]
    pub fn takes(&self, traceparent: &str) -> Option<TraceContext> {
        let recording = self.0.as_ref()?;
        let context = TraceContext::parse(traceparent)?;
        recording.sampler.takes(&context).then_some(TraceContext { sampled: true, ..context })
    }

    /// Begins a trace, if it is to be recorded. Its span is the first.
    #[must_use]
    pub fn begin(&self) -> Option<TraceContext> {
        let recording = self.0.as_ref().filter(|recording| recording.sampler.share > 0.0)?;
        let trace = TraceId(crate::dice::bytes());
        recording.sampler.takes_root(trace).then(|| TraceContext { trace, span: SpanId::random(), sampled: true })
    }

    /// Hands over a span that has ended.
    pub fn submit(&self, span: Span) {
        if let Some(recording) = &self.0 {
            recording.sink.submit(span);
        }
    }
}

/// The id of the span of one step of an event's way.
pub(crate) fn step(context: &TraceContext, event: &Event, step: Step) -> SpanId {
    let mut hash = Sha256::new();
    hash.update(context.trace.0);
    hash.update([step as u8]);
    hash.update(event.tenant.as_str().as_bytes());
    hash.update([0]);
    hash.update(event.id.as_str().as_bytes());
    let digest = hash.finalize();
    let mut id = [0; 8];
    id.copy_from_slice(&digest[..8]);
    SpanId(if id == [0; 8] { [1; 8] } else { id })
}

/// What a span says of the event that it is about: names as OpenTelemetry's conventions for messaging have them.
#[must_use]
pub fn about(event: &Event) -> Vec<(&'static str, Value)> {
    let text = |text: &str| Value::Text(text.to_owned());
    let size = i64::try_from(event.data.as_bytes().len()).unwrap_or(i64::MAX);
    let mut about = Vec::with_capacity(12);
    about.extend([
        ("messaging.system", Value::Word("tidings")),
        ("messaging.destination.name", text(event.event_type.as_str())),
        ("messaging.message.id", text(event.id.as_str())),
        ("messaging.message.conversation_id", text(event.metadata.correlation_id.as_str())),
        ("messaging.message.body.size", Value::Number(size)),
        ("tidings.tenant", text(event.tenant.as_str())),
    ]);
    about
}

/// The id of the event's trace, for a line of the log; empty where it has none.
pub(crate) fn id_of(event: &Event) -> &str {
    event.metadata.traceparent.as_ref().map(Text::as_str).and_then(|text| text.get(3..35)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    struct Kept(SyncSender<Span>);

    impl SpanSink for Kept {
        fn submit(&self, span: Span) {
            self.0.try_send(span).unwrap();
        }
    }

    fn tracer(sampler: Sampler) -> (Tracer, Receiver<Span>) {
        let (sender, spans) = sync_channel(8);
        (Tracer::new(sampler, Kept(sender)), spans)
    }

    #[test]
    fn a_traceparent_is_read_as_the_standard_says_and_written_back() {
        assert_eq!(TraceContext::parse(SAMPLED).unwrap().header(), SAMPLED);
        assert_eq!(TraceContext::parse(NOT_SAMPLED).unwrap().header(), NOT_SAMPLED);
        let later = format!("cc{}-more", &SAMPLED[2..]);
        assert_eq!(TraceContext::parse(&later).unwrap().header(), SAMPLED);
        let wrong = [
            "".to_owned(),
            SAMPLED[..54].to_owned(),
            format!("{SAMPLED}-more"),
            SAMPLED.replacen("00-", "ff-", 1),
            SAMPLED.replace('b', "B"),
            SAMPLED.replace('-', "_"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned(),
            format!("é{}", &SAMPLED[2..]),
        ];
        for text in wrong {
            assert_eq!(TraceContext::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn who_began_a_trace_decides_whether_it_is_recorded_unless_told_otherwise() {
        let (following, _) = tracer(Sampler { parent_based: true, share: 0.0 });
        assert!(following.takes(SAMPLED).is_some() && following.takes(NOT_SAMPLED).is_none());
        assert_eq!(following.begin(), None, "it begins none by itself");
        let (all, _) = tracer(Sampler { parent_based: false, share: 1.0 });
        assert!(all.takes(NOT_SAMPLED).is_some_and(|context| context.sampled));
        assert!(all.begin().is_some());
        let (none, _) = tracer(Sampler { parent_based: false, share: 0.0 });
        assert_eq!((none.takes(SAMPLED), none.begin()), (None, None));
    }

    #[test]
    fn a_share_of_traces_is_taken_by_their_ids() {
        let (half, _) = tracer(Sampler { parent_based: true, share: 0.5 });
        let taken: Vec<TraceContext> = std::iter::repeat_with(|| half.begin()).take(1_000).flatten().collect();
        assert!((300..700).contains(&taken.len()), "{}", taken.len());
        assert!(taken.iter().all(|context| context.trace.0[9] < 0x80));
    }

    #[test]
    fn nothing_is_recorded_where_tracing_is_off() {
        let off = Tracer::default();
        assert_eq!((off.is_on(), off.takes(SAMPLED), off.begin()), (false, None, None));
    }
}

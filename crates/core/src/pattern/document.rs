//! An event as the JSON document that paths speak of: the native envelope, built only as far as it is asked for.

use std::borrow::Cow;
use std::cell::OnceCell;

use tidings_event::Recorded;

use super::path::{OutOfSteps, Path, Steps};
use crate::json::{self, Node};

/// One event under test.
pub(crate) struct Document<'a> {
    recorded: &'a Recorded,
    /// All of the envelope but `data`.
    envelope: OnceCell<Node<'a>>,
    /// `data`; nothing where its bytes are gone.
    data: OnceCell<Option<Node<'a>>>,
    whole: OnceCell<Node<'a>>,
}

impl<'a> Document<'a> {
    pub(crate) fn new(recorded: &'a Recorded) -> Self {
        Self { recorded, envelope: OnceCell::new(), data: OnceCell::new(), whole: OnceCell::new() }
    }

    /// The nodes that a path selects in the event. Most paths need one member of the envelope, and only that is built.
    pub(crate) fn select<'n>(&'n self, path: &'n Path, steps: &Steps) -> Result<Vec<&'n Node<'n>>, OutOfSteps> {
        let below = path.select_below(steps, |name| match name {
            "data" => self.data.get_or_init(|| data(self.recorded)).as_ref(),
            name => self.envelope.get_or_init(|| Node::Map(envelope(self.recorded))).member(name),
        });
        below.unwrap_or_else(|| path.select(self.whole.get_or_init(|| whole(self.recorded)), steps))
    }
}

fn data(recorded: &Recorded) -> Option<Node<'_>> {
    json::parse_lossy(recorded.event.data.as_bytes()).ok()
}

fn whole(recorded: &Recorded) -> Node<'_> {
    let mut members = envelope(recorded);
    members.extend(data(recorded).map(|data| (Cow::Borrowed("data"), data)));
    Node::Map(members)
}

type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

fn map<'a>(members: impl IntoIterator<Item = (&'static str, Option<Node<'a>>)>) -> Members<'a> {
    members.into_iter().filter_map(|(name, node)| Some((Cow::Borrowed(name), node?))).collect()
}

fn named<'a>(kind: &'a str, id: &'a str) -> Node<'a> {
    Node::Map(map([("type", Some(Node::text(kind))), ("id", Some(Node::text(id)))]))
}

/// The members of the native envelope, in its order. What the event leaves out is missing, not null.
fn envelope(recorded: &Recorded) -> Members<'_> {
    let event = &recorded.event;
    let metadata = &event.metadata;
    let time = |moment: tidings_event::Timestamp| Some(Node::Text(Cow::Owned(moment.to_string())));
    map([
        ("id", Some(Node::text(event.id.as_str()))),
        ("type", Some(Node::text(event.event_type.as_str()))),
        ("version", Some(Node::text(event.version.as_str()))),
        ("timestamp", time(event.timestamp)),
        ("tenant", Some(Node::text(event.tenant.as_str()))),
        ("project", event.project.as_ref().map(|text| Node::text(text.as_str()))),
        ("source", Some(named(event.source.kind.as_str(), event.source.id.as_str()))),
        ("entity", event.entity.as_ref().map(|entity| named(entity.kind.as_str(), entity.id.as_str()))),
        ("actor", event.actor.as_ref().map(|text| Node::text(text.as_str()))),
        (
            "metadata",
            Some(Node::Map(map([
                ("correlation_id", Some(Node::text(metadata.correlation_id.as_str()))),
                ("causation_id", metadata.causation_id.as_ref().map(|text| Node::text(text.as_str()))),
                ("context", metadata.context.as_ref().map(|context| named(context.kind.as_str(), context.id.as_str()))),
                ("traceparent", metadata.traceparent.as_ref().map(|text| Node::text(text.as_str()))),
            ]))),
        ),
        ("sequence", Some(Node::number(recorded.sequence))),
        ("recorded_at", time(recorded.recorded_at)),
    ])
}

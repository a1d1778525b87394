//! Reads server-sent events as the WHATWG standard says.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::PATIENCE;

pub(crate) struct Sse {
    body: Incoming,
    text: String,
    pub(crate) retry: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SseEvent {
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

impl SseEvent {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error}: {}", self.data))
    }
}

impl Sse {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, text: String::new(), retry: None }
    }

    /// The next event; none when the stream has ended in good order.
    pub(crate) async fn next(&mut self) -> Option<SseEvent> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(event) = self.read(&block) {
                    return Some(event);
                }
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("a frame in time");
            match frame {
                None => {
                    assert_eq!(self.text, "", "the stream ended inside an event");
                    return None;
                }
                Some(frame) => {
                    let bytes = frame.unwrap().into_data().unwrap();
                    self.text.push_str(std::str::from_utf8(&bytes).unwrap());
                }
            }
        }
    }

    /// The next event of a kind, and all that came before it are of other kinds.
    pub(crate) async fn next_of(&mut self, kind: &str) -> SseEvent {
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended before {kind}"));
            if event.event == kind {
                return event;
            }
        }
    }

    fn read(&mut self, block: &str) -> Option<SseEvent> {
        let mut event = SseEvent { event: "message".to_owned(), id: String::new(), data: String::new() };
        let mut data: Vec<&str> = Vec::new();
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap();
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => event.event = value.to_owned(),
                "id" => event.id = value.to_owned(),
                "data" => data.push(value),
                "retry" => self.retry = Some(value.to_owned()),
                _ => panic!("an unknown field: {line}"),
            }
        }
        event.data = data.join("\n");
        (!data.is_empty()).then_some(event)
    }
}

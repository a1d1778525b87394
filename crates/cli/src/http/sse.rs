//! Server-sent events, read from a byte stream.

/// The longest event that is taken; more means that something else is speaking.
const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One event of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Message {
    /// Its kind; `message` where the stream names none.
    pub(crate) event: String,
    /// The last id that the stream named.
    pub(crate) id: Option<String>,
    /// Its data lines, with line feeds between.
    pub(crate) data: String,
}

/// More came without an end of event than any event of ours has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Turns bytes, cut anywhere, into messages.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    event: String,
    data: String,
    has_data: bool,
    id: Option<String>,
    after_return: bool,
    begun: bool,
}

impl Parser {
    /// Takes bytes and gives the messages that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, TooLong> {
        let mut messages = Vec::new();
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.line.extend_from_slice(rest);
                break;
            };
            self.line.extend_from_slice(&rest[..end]);
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            messages.extend(self.take_line(&line));
        }
        if self.line.len() + self.data.len() > EVENT_BYTES_MAX { Err(TooLong) } else { Ok(messages) }
    }

    fn take_line(&mut self, line: &[u8]) -> Option<Message> {
        let text = String::from_utf8_lossy(line);
        let mut text: &str = &text;
        if !std::mem::replace(&mut self.begun, true) {
            text = text.trim_start_matches('\u{feff}');
        }
        if text.is_empty() {
            return self.dispatch();
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // A comment (a line that begins with a colon), `retry`, or a field of a later standard.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Message> {
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        // Without data a browser would drop the message; our progress messages count by their id alone.
        let counts = std::mem::take(&mut self.has_data) || !event.is_empty();
        let event = if event.is_empty() { "message".to_owned() } else { event };
        counts.then(|| Message { event, id: self.id.clone(), data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\n\nevent: event\nid: c1\ndata: {\"a\":1}\n\nevent: progress\nid: c2\ndata:\n\n\
        event: event\r\nid: c3\r\ndata: one\r\ndata:two\r\n\r\ndata: plain\r\rretry: 5\n\nevent: cut off";

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_messages() {
        let message =
            |event: &str, id: &str, data: &str| Message { event: event.into(), id: Some(id.into()), data: data.into() };
        let expected = [
            message("event", "c1", "{\"a\":1}"),
            message("progress", "c2", ""),
            message("event", "c3", "one\ntwo"),
            message("message", "c3", "plain"),
        ];
        for size in 1..STREAM.len() {
            let mut parser = Parser::default();
            let found: Vec<Message> =
                STREAM.as_bytes().chunks(size).flat_map(|chunk| parser.push(chunk).unwrap()).collect();
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_endless_line_is_an_error_not_memory() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; 64 * 1024];
        assert!((0..1_000).any(|_| parser.push(&chunk).is_err()));
    }
}

//! CloudEvents: structured, in batches, and in headers.

use tidings_event::cloudevents::{parse_batch, parse_binary, parse_structured, write_event};

use super::given::{mint, refused, taken};

/// Reads the bytes as a structured event or a batch, and as a request in binary mode: lines of headers, an empty line,
/// the body.
pub fn check(input: &[u8]) {
    match parse_structured(input, &mut mint()) {
        Ok(event) => {
            taken(&event);
            let mut batch = vec![b'['];
            write_event(&event, &mut batch);
            batch.push(b']');
            let batch = parse_batch(&batch, &mut mint()).expect("an event that was taken is taken in a batch");
            assert_eq!(batch.events, [event]);
        }
        Err(rejection) => refused(rejection),
    }
    match parse_batch(input, &mut mint()) {
        Ok(batch) => batch.events.iter().for_each(taken),
        Err(rejection) => refused(rejection),
    }
    let (head, body) = match input.windows(2).position(|pair| pair == b"\n\n") {
        Some(end) => (&input[..end], &input[end + 2..]),
        None => (input, &[] as &[u8]),
    };
    let headers = head.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((std::str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
    });
    match parse_binary(headers, body, &mut mint()) {
        Ok(event) => taken(&event),
        Err(rejection) => refused(rejection),
    }
}

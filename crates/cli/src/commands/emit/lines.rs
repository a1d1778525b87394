//! NDJSON in: lines, their numbers, their tenants, and ids for those that have none.

use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tidings_event::limits::BATCH_BYTES_MAX;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};

use crate::failure::Failure;

/// The longest line that is read; no event is longer.
const LINE_BYTES_MAX: usize = BATCH_BYTES_MAX - 2;
/// How much is read at once.
const READ_BYTES: usize = 256 * 1024;

/// Where lines come from.
pub(crate) struct Input {
    reader: Box<dyn AsyncBufRead + Unpin + Send>,
    size_bytes: Option<u64>,
    number: u64,
}

/// An event, ready to send.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Its number in the input, from 1.
    pub(crate) number: u64,
    /// The event as JSON, with an id.
    pub(crate) json: String,
    /// How many bytes of the input it took.
    pub(crate) size_bytes: u64,
}

/// What a line of the input is.
pub(crate) enum Read {
    /// An event of a tenant.
    Event {
        /// The event.
        line: Line,
        /// Its tenant, as far as can be told without judging the event.
        tenant: String,
    },
    /// Something that cannot be sent at all.
    Unusable {
        /// The line's number.
        number: u64,
        /// Why.
        reason: String,
        /// How many bytes of the input it took.
        size_bytes: u64,
    },
}

/// How events without an id get one.
pub(crate) enum Ids {
    /// A new ULID each.
    Random,
    /// From the input so far.
    Chained(Box<Sha256>),
}

impl Ids {
    /// Ids that follow from the content of the input: each from all lines up to its own. The same line at the same
    /// place of the same input gets the same id, whenever it is read; a line that is appended changes none before it.
    pub(crate) fn chained(seed: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"tidings emit 1\0");
        hash.update((seed.len() as u64).to_be_bytes());
        hash.update(seed);
        Self::Chained(Box::new(hash))
    }

    fn take(&mut self, line: &str) {
        if let Self::Chained(hash) = self {
            hash.update((line.len() as u64).to_be_bytes());
            hash.update(line);
        }
    }

    fn id(&self) -> String {
        match self {
            Self::Random => ulid::Ulid::generate().to_string(),
            Self::Chained(hash) => {
                hash.as_ref().clone().finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
            }
        }
    }
}

impl Input {
    /// A file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            let reader = BufReader::with_capacity(READ_BYTES, tokio::io::stdin());
            return Ok(Self { reader: Box::new(reader), size_bytes: None, number: 0 });
        }
        let opened = std::fs::File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!("{} is a directory", path.display())));
        }
        let reader = BufReader::with_capacity(READ_BYTES, tokio::fs::File::from_std(file));
        Ok(Self { reader: Box::new(reader), size_bytes: metadata.is_file().then_some(metadata.len()), number: 0 })
    }

    /// The size of the input, where it is known.
    pub(crate) fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    /// The next line that is not blank; nothing at the end.
    pub(crate) async fn next(&mut self, ids: &mut Ids) -> Result<Option<Read>, Failure> {
        loop {
            let mut bytes = Vec::new();
            let size_bytes = self
                .read_line(&mut bytes)
                .await
                .map_err(|error| Failure::failed(format!("the input cannot be read: {error}")))?;
            if size_bytes == 0 {
                return Ok(None);
            }
            self.number += 1;
            let number = self.number;
            if bytes.len() > LINE_BYTES_MAX {
                let reason = format!("the line has more than {LINE_BYTES_MAX} bytes");
                return Ok(Some(Read::Unusable { number, reason, size_bytes }));
            }
            let Ok(text) = std::str::from_utf8(&bytes) else {
                return Ok(Some(Read::Unusable { number, reason: "the line is not UTF-8".to_owned(), size_bytes }));
            };
            let text = text.trim_start_matches('\u{feff}').trim();
            if text.is_empty() {
                continue;
            }
            ids.take(text);
            return Ok(Some(read(number, text, size_bytes, ids)));
        }
    }

    /// Reads one line without its end. Of one that is too long only a little more than the bound is kept. Gives the
    /// bytes that it took from the input.
    async fn read_line(&mut self, line: &mut Vec<u8>) -> std::io::Result<u64> {
        let mut taken = 0;
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                return Ok(taken);
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let piece = &available[..end.unwrap_or(available.len())];
            if line.len() <= LINE_BYTES_MAX {
                line.extend_from_slice(piece);
            }
            let used = end.map_or(available.len(), |end| end + 1);
            taken += used as u64;
            self.reader.consume(used);
            if end.is_some() {
                return Ok(taken);
            }
        }
    }
}

#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    tenant: Option<&'a RawValue>,
}

fn read(number: u64, text: &str, size_bytes: u64, ids: &Ids) -> Read {
    let peek = match serde_json::from_str::<Peek<'_>>(text) {
        Ok(peek) if text.starts_with('{') => peek,
        Ok(_) => return Read::Unusable { number, reason: "the line is not a JSON object".to_owned(), size_bytes },
        Err(error) => {
            return Read::Unusable { number, reason: format!("the line is not an event as JSON: {error}"), size_bytes };
        }
    };
    let tenant = peek.tenant.map(RawValue::get).unwrap_or_default();
    let tenant = serde_json::from_str::<String>(tenant).unwrap_or_else(|_| tenant.to_owned());
    let json = if peek.id.is_some() { text.to_owned() } else { with_id(text, &ids.id()) };
    Read::Event { line: Line { number, json, size_bytes }, tenant }
}

/// Puts an id in front of an object's members. Nothing else of its text changes: `data` is kept byte for byte.
fn with_id(object: &str, id: &str) -> String {
    let members = object.trim_start_matches('{').trim_start();
    let comma = if members.starts_with('}') { "" } else { "," };
    format!("{{\"id\":\"{id}\"{comma}{members}")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &'static str, mut ids: Ids) -> Vec<Read> {
        let mut input = Input { reader: Box::new(text.as_bytes()), size_bytes: None, number: 0 };
        let mut found = Vec::new();
        while let Some(read) = input.next(&mut ids).await.unwrap() {
            found.push(read);
        }
        found
    }

    fn id(read: &Read) -> String {
        let Read::Event { line, .. } = read else { panic!("no event") };
        let value: serde_json::Value = serde_json::from_str(&line.json).unwrap();
        value["id"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn the_same_input_gives_the_same_ids_and_no_two_lines_share_one() {
        let short = "{\"tenant\":\"a\"}\n{\"tenant\":\"a\"}\n";
        let long = "{\"tenant\":\"a\"}\n{\"tenant\":\"a\"}\n\n{\"tenant\":\"b\"}";
        let (first, again) = (all(short, Ids::chained("")).await, all(long, Ids::chained("")).await);
        assert_eq!(id(&first[0]), id(&again[0]));
        assert_eq!(id(&first[1]), id(&again[1]));
        assert_ne!(id(&again[0]), id(&again[1]));
        assert_ne!(id(&first[0]), id(&all(short, Ids::chained("x")).await[0]));
        assert_ne!(id(&all(short, Ids::Random).await[0]), id(&all(short, Ids::Random).await[0]));
    }

    #[tokio::test]
    async fn an_id_that_is_given_stays_and_the_text_of_data_too() {
        let reads =
            all("{\"id\":\"mine\",\"data\":{\"n\":1.50}}\n{ \"data\" : {\"n\":1.50,\"n2\": 1e400} }", Ids::chained(""))
                .await;
        assert_eq!(id(&reads[0]), "mine");
        let Read::Event { line, .. } = &reads[1] else { panic!("no event") };
        assert!(line.json.ends_with(",\"data\" : {\"n\":1.50,\"n2\": 1e400} }"), "{}", line.json);
    }

    #[tokio::test]
    async fn a_line_that_is_no_event_is_reported_with_its_number() {
        let reads = all("{\"tenant\":\"a\"}\n\nnonsense\n[1]\n{}", Ids::Random).await;
        let numbers: Vec<u64> = reads
            .iter()
            .filter_map(|read| match read {
                Read::Unusable { number, .. } => Some(*number),
                Read::Event { .. } => None,
            })
            .collect();
        assert_eq!(numbers, [3, 4]);
        assert_eq!(reads.len(), 4);
    }
}

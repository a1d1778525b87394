//! How pokes are written: lines of text, one a poke. A line that is not understood is skipped, so that nodes of
//! different versions can talk.

use tidings_event::{PartitionId, Position};

use crate::Poke;

/// Bytes of one message of pokes. Longer ones are not sent, and not read.
pub(crate) const BYTES_MAX: usize = 32 * 1024;

/// Writes pokes. What does not fit is left out.
pub(crate) fn write(pokes: &[Poke]) -> String {
    let mut text = String::with_capacity(pokes.len() * 16);
    for poke in pokes {
        let line = match poke {
            Poke::Partition(partition, position) => format!("partition {partition} {position}\n"),
            Poke::Subscriptions(partition) => format!("subscriptions {partition}\n"),
            Poke::Source(name) => format!("source {name}\n"),
            Poke::Catalog => "catalog\n".to_owned(),
            Poke::Keys => "keys\n".to_owned(),
            Poke::Leases => "leases\n".to_owned(),
        };
        if text.len() + line.len() <= BYTES_MAX {
            text.push_str(&line);
        }
    }
    text
}

/// Reads pokes.
pub(crate) fn read(bytes: &[u8]) -> Vec<Poke> {
    if bytes.len() > BYTES_MAX {
        return Vec::new();
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return Vec::new() };
    text.lines().filter_map(read_line).collect()
}

fn read_line(line: &str) -> Option<Poke> {
    let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
    match what {
        "partition" => {
            let (partition, position) = rest.split_once(' ')?;
            Some(Poke::Partition(PartitionId(partition.parse().ok()?), Position(position.parse().ok()?)))
        }
        "subscriptions" => Some(Poke::Subscriptions(PartitionId(rest.parse().ok()?))),
        "source" => Some(Poke::Source(rest.to_owned())),
        "catalog" => Some(Poke::Catalog),
        "keys" => Some(Poke::Keys),
        "leases" => Some(Poke::Leases),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pokes_come_back_as_they_were_and_what_is_unknown_is_skipped() {
        let pokes = vec![
            Poke::Partition(PartitionId(3), Position(u64::MAX)),
            Poke::Subscriptions(PartitionId(0)),
            Poke::Source("shop of two words".to_owned()),
            Poke::Catalog,
            Poke::Keys,
            Poke::Leases,
        ];
        let text = write(&pokes);
        assert_eq!(read(text.as_bytes()), pokes);
        let newer = format!("moon full\npartition x 1\npartition 1\n{text}\n");
        assert_eq!(read(newer.as_bytes()), pokes);
        assert_eq!(read(b"\xff"), []);
    }

    #[test]
    fn a_message_of_pokes_is_bounded() {
        let many = vec![Poke::Source("s".repeat(200)); 1_000];
        let text = write(&many);
        assert!(text.len() <= BYTES_MAX && !read(text.as_bytes()).is_empty());
        assert_eq!(read(&vec![b'\n'; BYTES_MAX + 1]), []);
    }
}

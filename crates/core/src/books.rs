//! Whether a log is whole: every row is where it must be and what it was when it was written.
//!
//! [`Books`] is shown every row of the log, partition by partition, and holds one span of numbers for each tenant (one
//! more for each time that a tenant was moved to another partition), whatever the log's length.

use std::collections::BTreeMap;
use std::fmt;

use tidings_event::{PartitionId, Position, Recorded, Sequence, TenantId, TenantNo, Timestamp, digest, hash_data};

/// Something that no log may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A row does not follow the one before it.
    Position {
        /// In which partition.
        partition: PartitionId,
        /// The position that is missing, or the first of those.
        expected: Position,
        /// The one that is there instead.
        found: Position,
    },
    /// A row was recorded before the one that stands before it.
    Moment {
        /// In which partition.
        partition: PartitionId,
        /// Where.
        position: Position,
    },
    /// The row is not what its digest says.
    Digest {
        /// In which partition.
        partition: PartitionId,
        /// Where.
        position: Position,
        /// Whose event.
        tenant: TenantId,
        /// Its number there.
        sequence: Sequence,
    },
    /// A partition's head says that there are rows which are not there.
    Head {
        /// Which partition.
        partition: PartitionId,
        /// The position that its head names.
        head: Position,
        /// The last one that is there.
        last: Position,
    },
    /// A tenant's sequences have a hole, or one is there twice.
    Sequence {
        /// Whose.
        tenant: TenantId,
        /// The sequence that was to follow.
        expected: Sequence,
        /// The one that does.
        found: Sequence,
    },
    /// A tenant's head is not the last of its events.
    TenantHead {
        /// Whose.
        tenant: TenantId,
        /// The sequence that its head names.
        head: Sequence,
        /// The last one that is there; zero where there is none.
        last: Sequence,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position { partition, expected, found } => {
                write!(f, "partition {partition}: position {found} stands where {expected} must")
            }
            Self::Moment { partition, position } => {
                write!(f, "partition {partition}: position {position} was recorded before the position before it")
            }
            Self::Digest { partition, position, tenant, sequence } => {
                write!(
                    f,
                    "partition {partition}: position {position} (tenant {tenant}, sequence {sequence}) is not what its digest says"
                )
            }
            Self::Head { partition, head, last } => {
                write!(f, "partition {partition}: its head is {head}, and its last position {last}")
            }
            Self::Sequence { tenant, expected, found } => {
                write!(f, "tenant {tenant}: sequence {found} stands where {expected} must")
            }
            Self::TenantHead { tenant, head, last } => {
                write!(f, "tenant {tenant}: its head is {head}, and its last sequence {last}")
            }
        }
    }
}

/// A tenant's head as the database told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantHead {
    /// Whose.
    pub tenant: TenantId,
    /// Its short name.
    pub no: TenantNo,
    /// Its last sequence.
    pub head: Sequence,
    /// Sequences at or below were erased.
    pub floor: Sequence,
}

/// Sequences of one tenant that follow each other.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: u64,
    last: u64,
}

/// What was seen of a log so far.
#[derive(Debug, Default)]
pub struct Books {
    place: Option<(PartitionId, Position, Timestamp)>,
    spans: BTreeMap<TenantNo, Vec<Span>>,
    rows: u64,
}

impl Books {
    /// Begins a partition whose first row must follow this position.
    pub fn begin(&mut self, partition: PartitionId, after: Position) {
        self.place = Some((partition, after, Timestamp::from_micros(i64::MIN)));
    }

    /// Takes the next row of the partition that was begun; says what is wrong with it.
    pub fn row(&mut self, row: &Recorded) -> Vec<Fault> {
        let mut faults = Vec::new();
        let (partition, position) = (row.partition, row.position);
        if let Some((_, last, moment)) = self.place {
            let expected = Position(last.get() + 1);
            if position != expected {
                faults.push(Fault::Position { partition, expected, found: position });
            }
            if row.recorded_at < moment {
                faults.push(Fault::Moment { partition, position });
            }
        }
        self.place = Some((partition, position, row.recorded_at));
        let proved = digest(&row.event, row.sequence, row.recorded_at, &hash_data(&row.salt, &row.event.data));
        if proved != row.digest {
            let tenant = row.event.tenant.clone();
            faults.push(Fault::Digest { partition, position, tenant, sequence: row.sequence });
        }
        let sequence = row.sequence.get();
        let spans = self.spans.entry(row.tenant_no).or_default();
        match spans.last_mut() {
            Some(span) if span.last + 1 == sequence => span.last = sequence,
            _ => spans.push(Span { first: sequence, last: sequence }),
        }
        self.rows += 1;
        faults
    }

    /// Ends the partition: its head was this when reading it began.
    pub fn end(&mut self, head: Position) -> Option<Fault> {
        let (partition, last, _) = self.place.take()?;
        (last < head).then_some(Fault::Head { partition, head, last })
    }

    /// Rows that were seen.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Judges a tenant, once every partition was read. `before` and `after` are its heads before the first row was read
    /// and after the last one: events may have come in meanwhile.
    #[must_use]
    pub fn tenant(&self, before: &TenantHead, after: Sequence) -> Vec<Fault> {
        let mut spans = self.spans.get(&before.no).cloned().unwrap_or_default();
        spans.sort_by_key(|span| span.first);
        let (mut last, mut faults) = (before.floor.get(), Vec::new());
        for span in spans {
            if span.first != last + 1 {
                let (expected, found) = (Sequence(last + 1), Sequence(span.first));
                faults.push(Fault::Sequence { tenant: before.tenant.clone(), expected, found });
            }
            last = span.last;
        }
        if last < before.head.get() || last > after.get() {
            let head = if last < before.head.get() { before.head } else { after };
            faults.push(Fault::TenantHead { tenant: before.tenant.clone(), head, last: Sequence(last) });
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use tidings_event::{Digest, EventId, Mint, Salt, parse_event};

    use super::*;

    fn row(position: u64, tenant: u64, sequence: u64) -> Recorded {
        let json = format!(
            r#"{{"type":"a.b","tenant":"t{tenant}","source":{{"type":"service","id":"s"}},"data":{{"n":{position}}}}}"#
        );
        struct Fixed(u64);
        impl Mint for Fixed {
            fn id(&mut self) -> EventId {
                EventId::parse(format!("e{}", self.0)).unwrap()
            }
            fn now(&mut self) -> Timestamp {
                Timestamp::from_micros(0)
            }
        }
        let event = parse_event(json.as_bytes(), &mut Fixed(position)).unwrap();
        let (salt, recorded_at) = (Salt([1; 16]), Timestamp::from_micros(position as i64 / 2));
        let digest = digest(&event, Sequence(sequence), recorded_at, &hash_data(&salt, &event.data));
        Recorded {
            event,
            tenant_no: TenantNo(tenant as i64),
            partition: PartitionId(0),
            position: Position(position),
            sequence: Sequence(sequence),
            recorded_at,
            salt,
            digest,
        }
    }

    fn head(tenant: u64, head: u64, floor: u64) -> TenantHead {
        TenantHead {
            tenant: TenantId::parse(format!("t{tenant}")).unwrap(),
            no: TenantNo(tenant as i64),
            head: Sequence(head),
            floor: Sequence(floor),
        }
    }

    /// What is found in these rows of one partition, whose head is the given one.
    fn found(rows: &[Recorded], at: u64) -> (Books, Vec<String>) {
        let mut books = Books::default();
        books.begin(PartitionId(0), Position(0));
        let mut faults: Vec<Fault> = rows.iter().flat_map(|row| books.row(row)).collect();
        faults.extend(books.end(Position(at)));
        (books, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_whole_log_is_found_whole() {
        let (books, faults) = found(&[row(1, 1, 1), row(2, 2, 1), row(3, 1, 2)], 3);
        assert_eq!((books.rows(), faults), (3, vec![]));
        assert_eq!(books.tenant(&head(1, 2, 0), Sequence(2)), []);
        assert_eq!(books.tenant(&head(1, 1, 0), Sequence(2)), [], "an event came in while the log was read");
        assert_eq!(books.tenant(&head(3, 0, 0), Sequence(0)), [], "a tenant without events");
    }

    #[test]
    fn rows_that_are_gone_moved_or_changed_are_found() {
        let mut changed = row(2, 1, 2);
        changed.digest = Digest([0; 32]);
        let mut early = row(3, 1, 3);
        early.recorded_at = Timestamp::from_micros(-1);
        let cases: [(&str, Vec<Recorded>, u64, &[&str]); 4] = [
            ("a hole", vec![row(1, 1, 1), row(3, 1, 2)], 3, &["position 3 stands where 2 must"]),
            ("the end", vec![row(1, 1, 1)], 2, &["its head is 2, and its last position 1"]),
            ("a changed row", vec![row(1, 1, 1), changed], 2, &["position 2 (tenant t1, sequence 2) is not what"]),
            ("a step back", vec![row(1, 1, 1), row(2, 1, 2), early], 3, &["recorded before", "is not what"]),
        ];
        for (name, rows, at, expected) in cases {
            let (_, faults) = found(&rows, at);
            assert_eq!(faults.len(), expected.len(), "{name}: {faults:?}");
            for (fault, expected) in faults.iter().zip(expected) {
                assert!(fault.contains(expected), "{name}: {fault}");
            }
        }
    }

    #[test]
    fn sequences_join_over_partitions_and_their_holes_are_found() {
        let mut books = Books::default();
        books.begin(PartitionId(0), Position(0));
        // Moved away after its second event, and back again after its third.
        let _ = [row(1, 1, 1), row(2, 1, 2), row(3, 1, 4), row(4, 2, 3)].map(|row| books.row(&row));
        books.begin(PartitionId(1), Position(0));
        assert_eq!(books.row(&row(1, 1, 3)), []);
        assert_eq!(books.tenant(&head(1, 4, 0), Sequence(4)), []);
        assert_eq!(books.tenant(&head(2, 3, 2), Sequence(3)), [], "what lies below was erased");
        let text = |faults: Vec<Fault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        assert!(text(books.tenant(&head(2, 3, 0), Sequence(3))).contains("sequence 3 stands where 1 must"));
        assert!(text(books.tenant(&head(1, 5, 0), Sequence(5))).contains("its head is 5, and its last sequence 4"));
        assert!(text(books.tenant(&head(1, 3, 0), Sequence(3))).contains("its head is 3, and its last sequence 4"));
    }
}

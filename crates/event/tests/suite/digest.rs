//! The canonical form never changes under a version.

use tidings_event::{Event, Salt, Sequence, Timestamp, Version, canonical_form, digest, hash_data};

use crate::given::{full_event, recorded, sparse_event};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest_of(event: &Event) -> String {
    let recorded = recorded(event.clone());
    let data_hash = hash_data(&recorded.salt, &event.data);
    digest(event, recorded.sequence, recorded.recorded_at, &data_hash).to_string()
}

/// These vectors are published in `docs/event.md`.
#[test]
fn the_published_vectors_hold() {
    let vectors = [
        (
            "full",
            full_event(),
            "11176e6593d7a9c19b8de775f2aed5b619f74e700853cdd4142eabf935e91c15",
            "8be87b8d3271679e3cbfb355605a97dac84a9c45e2c2c04f7d2c33b7f82de154",
        ),
        (
            "sparse",
            sparse_event(),
            "e08850da66a737bfb2259b83c41293aad8159f0853b80ad7187ab43076baf262",
            "f306467cd581c420e620e12efaec94324c44099963eed27f383599c17af62970",
        ),
    ];
    for (name, event, data_hash, digest) in vectors {
        assert_eq!(hex(&hash_data(&Salt([7; 16]), &event.data)), data_hash, "{name}");
        assert_eq!(digest_of(&event), digest, "{name}");
    }
    let sparse = recorded(sparse_event());
    let form = canonical_form(&sparse.event, sparse.sequence, sparse.recorded_at, &[0xab; 32]);
    assert_eq!(
        hex(&form),
        "746964696e67732f6576656e742f310000000000000004b700064d0d2a4f3839000000086d696e7465642d310000001074696d652e686f75725f706173736564000000013100064d0d2a4f08000000000461636d65000000000673797374656d00000005636c6f636b0000000000086d696e7465642d31000000abababababababababababababababababababababababababababababababab"
    );
}

#[test]
fn every_member_counts() {
    type Change = fn(&mut Event);
    let changes: &[Change] = &[
        |e| e.id = sparse_event().id,
        |e| e.event_type = sparse_event().event_type,
        |e| e.version = Version::first(),
        |e| e.timestamp = Timestamp::from_micros(e.timestamp.as_micros() + 1),
        |e| e.tenant = tidings_event::TenantId::system(),
        |e| e.project = None,
        |e| e.project = e.actor.clone(),
        |e| e.source.kind = tidings_event::SourceKind::Task,
        |e| e.source.id = e.metadata.correlation_id.clone(),
        |e| e.entity = None,
        |e| std::mem::swap(&mut e.source.id, &mut e.metadata.correlation_id),
        |e| e.actor = None,
        |e| e.data = sparse_event().data,
        |e| e.metadata.correlation_id = e.source.id.clone(),
        |e| e.metadata.causation_id = None,
        |e| e.metadata.context = None,
        |e| e.metadata.traceparent = None,
        // A member may not slip into its neighbour's place.
        |e| e.metadata.causation_id = e.metadata.traceparent.take(),
    ];
    let mut seen = std::collections::HashSet::from([digest_of(&full_event())]);
    for (i, change) in changes.iter().enumerate() {
        let mut event = full_event();
        change(&mut event);
        assert!(seen.insert(digest_of(&event)), "change {i} is not seen");
    }
    let event = full_event();
    let hash = hash_data(&Salt([7; 16]), &event.data);
    let moment = recorded(event.clone()).recorded_at;
    assert_ne!(digest(&event, Sequence(1), moment, &hash), digest(&event, Sequence(2), moment, &hash));
    let later = Timestamp::from_micros(moment.as_micros() + 1);
    assert_ne!(digest(&event, Sequence(1), moment, &hash), digest(&event, Sequence(1), later, &hash));
    assert_ne!(hash, hash_data(&Salt([8; 16]), &event.data));
}

#[test]
fn the_document_publishes_these_vectors() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/event.md")).unwrap();
    let joined: String = page.lines().collect();
    let sparse = recorded(sparse_event());
    let form = canonical_form(&sparse.event, sparse.sequence, sparse.recorded_at, &[0xab; 32]);
    for vector in [digest_of(&full_event()), digest_of(&sparse_event()), hex(&form)] {
        assert!(joined.contains(&vector), "docs/event.md lacks {vector}");
    }
}

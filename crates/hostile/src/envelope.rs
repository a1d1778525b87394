//! The native envelope: one event, an array, and Tidings' own.

use tidings_event::limits::BATCH_EVENTS_MAX;
use tidings_event::{parse_batch, parse_event, parse_own_event};

use super::given::{mint, refused, taken};

/// Reads the bytes in each of the three ways, which must agree.
pub fn check(input: &[u8]) {
    let one = parse_event(input, &mut mint());
    let many = parse_batch(input, &mut mint());
    let own = parse_own_event(input, &mut mint());
    if let Ok(event) = &one {
        assert_eq!(own.as_ref(), Ok(event), "Tidings itself may say what a producer may");
        let batch = many.as_ref().expect("one event is a batch");
        assert_eq!(batch.events.as_slice(), std::slice::from_ref(event));
    }
    match many {
        Ok(batch) => {
            assert!((1..=BATCH_EVENTS_MAX).contains(&batch.events.len()));
            let all_named = batch.events.iter().all(|event| !event.id.as_str().starts_with("minted-"));
            assert!(!batch.ids_given || all_named || input.windows(7).any(|w| w == b"minted-"), "an id was made up");
            batch.events.iter().for_each(taken);
        }
        Err(rejection) => {
            assert!(one.is_err(), "one event is a batch");
            refused(rejection);
        }
    }
    match own {
        Ok(event) => taken(&event),
        Err(rejection) => refused(rejection),
    }
}

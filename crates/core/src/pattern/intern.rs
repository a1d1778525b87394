//! One value for all who write the same text.
//!
//! Subscriptions repeat each other: thousands of tenants want the same types, and a compiled expression takes
//! kilobytes. What is equal is therefore made once and shared for as long as anyone holds it. Nothing here changes
//! what a text means; without it everything works and takes more memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sha2::{Digest as _, Sha256};

/// Half of a SHA-256 of the text: nobody finds a second text for the value of another.
type Key = [u8; 16];

/// Entries whose values are gone are dropped when there are twice as many entries as were in use the last time, and
/// not before there are this many.
const ENTRIES_MIN: usize = 1_024;

/// The values in use, by the text that they were made of.
pub(super) struct Interner<T>(Mutex<Known<T>>);

struct Known<T> {
    values: HashMap<Key, Weak<T>, BuildHasherDefault<DefaultHasher>>,
    sweep_at: usize,
}

impl<T> Interner<T> {
    pub(super) const fn new() -> Self {
        let values = HashMap::with_hasher(BuildHasherDefault::new());
        Self(Mutex::new(Known { values, sweep_at: ENTRIES_MIN }))
    }

    /// The value of a text: the one in use, or one made now. What cannot be made is not remembered.
    pub(super) fn get<E>(&self, text: &[u8], make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let mut key = Key::default();
        key.iter_mut().zip(Sha256::digest(text)).for_each(|(to, from)| *to = from);
        if let Some(value) = self.known().values.get(&key).and_then(Weak::upgrade) {
            return Ok(value);
        }
        // Made without the lock, which is held for as long as a look takes and no longer.
        let made = Arc::new(make()?);
        let mut known = self.known();
        if let Some(value) = known.values.get(&key).and_then(Weak::upgrade) {
            return Ok(value);
        }
        if known.values.len() >= known.sweep_at {
            known.sweep();
        }
        known.values.insert(key, Arc::downgrade(&made));
        Ok(made)
    }

    fn known(&self) -> MutexGuard<'_, Known<T>> {
        // Each change is a single call on the map, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Known<T> {
    fn sweep(&mut self) {
        self.values.retain(|_, value| value.strong_count() > 0);
        self.sweep_at = (2 * self.values.len()).max(ENTRIES_MIN);
        self.values.shrink_to(self.sweep_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(text: &str) -> impl FnOnce() -> Result<String, ()> + use<'_> {
        move || Ok(text.to_owned())
    }

    #[test]
    fn one_text_has_one_value_for_as_long_as_it_is_held() {
        let interner = Interner::<String>::new();
        let first = interner.get(b"a", make("made first")).unwrap();
        let again = interner.get(b"a", make("made again")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        drop((first, again));
        assert_eq!(*interner.get(b"a", make("made anew")).unwrap(), "made anew");
        assert_eq!(interner.get(b"b", || Err("no")), Err("no"));
        assert_eq!(*interner.get(b"b", make("b")).unwrap(), "b");
    }

    #[test]
    fn values_that_nobody_holds_take_no_room() {
        let interner = Interner::<String>::new();
        let held = interner.get(b"held", make("held")).unwrap();
        for n in 0..10 * ENTRIES_MIN {
            interner.get(&n.to_be_bytes(), make("dropped")).unwrap();
        }
        assert!(interner.known().values.len() <= ENTRIES_MIN);
        assert!(Arc::ptr_eq(&held, &interner.get(b"held", make("other")).unwrap()));
    }
}

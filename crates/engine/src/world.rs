//! What the engine takes from outside beside its store: the wall clock and dice.
//!
//! Both are the machine's, unless the thread has [entered](enter) another world. A simulation runs each node on a
//! runtime of one thread and enters the node's world whenever it lets that runtime run; so all that the node does is
//! told by the simulation's seed, and no part of the engine carries a clock about that in production is always the same.
//! Time that only runs on is tokio's, which a simulation pauses and moves by itself.

use std::cell::RefCell;
use std::rc::Rc;

use tidings_event::Timestamp;

/// A wall clock and dice of one's own.
pub trait World {
    /// The wall clock: may be wrong, and may be set.
    fn now(&self) -> Timestamp;
    /// Fills bytes at random.
    fn roll(&self, bytes: &mut [u8]);
}

thread_local! {
    static WORLD: RefCell<Option<Rc<dyn World>>> = const { RefCell::new(None) };
}

/// Makes this thread take clock and dice from a world until what is returned is dropped.
#[must_use = "the world is left when this is dropped"]
pub fn enter(world: Rc<dyn World>) -> Entered {
    Entered { before: WORLD.replace(Some(world)) }
}

/// That the thread is in a world; dropping it brings back the one before.
pub struct Entered {
    before: Option<Rc<dyn World>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        // A thread that ends has no world any more.
        let _ended = WORLD.try_with(|world| world.replace(self.before.take()));
    }
}

fn current() -> Option<Rc<dyn World>> {
    WORLD.with_borrow(Clone::clone)
}

/// The present moment by the wall clock.
pub(crate) fn now() -> Timestamp {
    current().map_or_else(|| Timestamp::new(jiff::Timestamp::now()), |world| world.now())
}

/// Fills bytes at random; outside of simulations fit for secrets.
pub(crate) fn roll(bytes: &mut [u8]) {
    match current() {
        None => rand::fill(bytes),
        Some(world) => world.roll(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice;

    struct Still(i64);

    impl World for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0)
        }

        fn roll(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn a_thread_takes_clock_and_dice_from_the_world_it_is_in_and_from_the_machine_otherwise() {
        let outer = enter(Rc::new(Still(1_000_000)));
        assert_eq!(now().as_micros(), 1_000_000);
        assert_eq!(dice::bytes(), [7; 12]);
        {
            let _inner = enter(Rc::new(Still(2_000_000)));
            assert_eq!(now().as_micros(), 2_000_000);
        }
        assert_eq!(now().as_micros(), 1_000_000);
        assert_eq!(dice::ulid(), dice::ulid());
        drop(outer);
        assert!(now().as_micros() > 2_000_000);
        assert_ne!(dice::bytes(), [7; 32]);
        assert_ne!(dice::ulid(), dice::ulid());
    }
}

//! How much work a validator may still do on a document.
//!
//! A schema is bounded in what it asks about one value, but not in how often it comes back to the values below: two
//! alternatives that both go into a member ask it twice, and its own members four times. The validator cannot be
//! stopped; but it sees a document only through what this crate tells it. So every look at a value is counted, and once
//! the work is used up, everything looks empty: what is still to do is then soon done, and what comes of it is thrown
//! away. The same keeps the stack from running over.

use std::cell::Cell;

/// Bytes of the stack that judging may take.
const STACK_MAX: usize = 768 * 1024;
/// Bytes of a text that are looked at in one step, unless every byte counts.
const SHORT: usize = 48;

/// How much work there is, and what counts for how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    /// Steps.
    pub steps: u64,
    /// Steps that going to a value below takes.
    pub per_value: u64,
    /// Steps that a look at one byte of a text takes, beyond those for reading it.
    pub per_byte: u64,
}

struct Left {
    steps: Cell<u64>,
    per_value: Cell<u64>,
    per_byte: Cell<u64>,
    /// Texts of so many bytes are looked at in one step.
    short: Cell<usize>,
    /// The stack may not grow below this address.
    floor: Cell<usize>,
    over: Cell<bool>,
}

thread_local! {
    /// What is left of the work that is under way on this thread. Without any there is more than could be done.
    static LEFT: Left = const {
        Left {
            steps: Cell::new(u64::MAX),
            per_value: Cell::new(1),
            per_byte: Cell::new(0),
            short: Cell::new(SHORT),
            floor: Cell::new(0),
            over: Cell::new(false),
        }
    };
}

/// Does a piece of work within an allowance; none if that was not enough.
pub(crate) fn within<T>(allowance: Allowance, work: impl FnOnce() -> T) -> Option<T> {
    LEFT.with(|left| {
        let restore = Restore {
            steps: left.steps.replace(allowance.steps),
            per_value: left.per_value.replace(allowance.per_value),
            per_byte: left.per_byte.replace(allowance.per_byte),
            short: left.short.replace(if allowance.per_byte > 1 { 0 } else { SHORT }),
            floor: left.floor.replace(here().saturating_sub(STACK_MAX)),
            over: left.over.replace(false),
        };
        let done = work();
        let over = left.over.get();
        drop(restore);
        (!over).then_some(done)
    })
}

/// Puts back what was before, also after a panic.
struct Restore {
    steps: u64,
    per_value: u64,
    per_byte: u64,
    short: usize,
    floor: usize,
    over: bool,
}

impl Drop for Restore {
    fn drop(&mut self) {
        LEFT.with(|left| {
            left.steps.set(self.steps);
            left.per_value.set(self.per_value);
            left.per_byte.set(self.per_byte);
            left.short.set(self.short);
            left.floor.set(self.floor);
            left.over.set(self.over);
        });
    }
}

/// A look at a value. False where no work is left.
#[inline]
pub(super) fn look() -> bool {
    LEFT.with(|left| left.take(1))
}

/// A look into an object or a list. False where no work or no stack is left, and nothing may be seen any more.
#[inline]
pub(super) fn open() -> bool {
    LEFT.with(|left| {
        // What has no room on the stack has no more steps either.
        if here() < left.floor.get() {
            left.steps.set(0);
        }
        left.take(1)
    })
}

/// A look at so many values below. False where no work is left.
#[inline]
pub(super) fn below(count: usize) -> bool {
    LEFT.with(|left| left.take(left.per_value.get().saturating_mul(count as u64)))
}

/// A look at a text of so many bytes, as it is held against a pattern. False where no work is left.
#[inline]
pub(super) fn text(bytes: usize) -> bool {
    LEFT.with(|left| if bytes <= left.short.get() { left.take(1) } else { left.take_text(bytes) })
}

/// A look at all characters of a text, without a pattern. False where no work is left.
#[inline]
pub(super) fn characters(bytes: usize) -> bool {
    LEFT.with(|left| left.take(1 + bytes as u64 / 16))
}

/// A look at the name of a member, which is seen with its object where it is short. False where no work is left.
#[inline]
pub(super) fn name(bytes: usize) -> bool {
    LEFT.with(|left| bytes <= left.short.get() || left.take_text(bytes))
}

impl Left {
    /// Takes so many steps. Where there are not as many left, none are left.
    #[inline]
    fn take(&self, steps: u64) -> bool {
        match self.steps.get().checked_sub(steps) {
            Some(rest) => {
                self.steps.set(rest);
                true
            }
            None => self.use_up(),
        }
    }

    fn take_text(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        self.take((bytes / 16).saturating_add(self.per_byte.get().saturating_mul(bytes)))
    }

    #[cold]
    fn use_up(&self) -> bool {
        self.steps.set(0);
        self.over.set(true);
        false
    }
}

/// Where the stack has grown to, nearly.
#[inline]
fn here() -> usize {
    let on_the_stack = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&on_the_stack)).addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: Allowance = Allowance { steps: 10, per_value: 2, per_byte: 1 };

    #[test]
    fn work_that_is_used_up_stays_used_up_and_ends_with_its_scope() {
        assert_eq!(within(FEW, || (below(4), look(), open(), below(0))), Some((true, true, true, true)));
        assert_eq!(
            within(FEW, || assert_eq!((below(6), open(), look(), text(100)), (false, false, false, false))),
            None
        );
        assert!(below(1_000_000), "outside of a scope there is no bound");
        assert_eq!(within(FEW, || within(FEW, || below(6)).is_none() && below(5)), Some(true));
    }

    #[test]
    fn a_panic_leaves_no_bound_behind() {
        let panicked = std::panic::catch_unwind(|| within(FEW, || panic!("of the work")));
        assert!(panicked.is_err() && below(1_000_000));
    }
}

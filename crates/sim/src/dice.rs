//! Dice that fall alike for one seed: everything in a simulation that could have been otherwise is told by them.

/// A stream of numbers that its seed alone determines (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed);
        // Neighbouring seeds shall have nothing in common.
        let first = dice.number();
        Self(first ^ seed.rotate_left(32))
    }

    /// A stream of its own for a part of the simulation, so that what one part draws does not change another's.
    pub fn fork(&mut self) -> Self {
        Self::new(self.number())
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but not including, `end`; 0 where that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number().checked_rem(end).unwrap_or(0)
    }

    /// A number within bounds, both included.
    pub fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// Whether something with this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && ((self.number() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }

    /// One of several; there must be one.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(all.len() as u64)).unwrap_or(0);
        &all[at]
    }

    /// Fills bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.number().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }

    /// Brings things into another order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            let at = usize::try_from(self.below(last as u64 + 1)).unwrap_or(0);
            all.swap(last, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_tells_all_that_falls_and_another_tells_something_else() {
        let fall = |seed| {
            let mut dice = Dice::new(seed);
            let mut fork = dice.fork();
            (0..8).map(|_| dice.number() ^ fork.number()).collect::<Vec<_>>()
        };
        assert_eq!(fall(1), fall(1));
        assert_ne!(fall(1), fall(2));
        let mut dice = Dice::new(3);
        assert!((0..100).all(|_| dice.below(7) < 7 && (2..=5).contains(&dice.within(2, 5))));
        assert!((0..100).all(|_| dice.chance(1.0) && !dice.chance(0.0)));
    }
}

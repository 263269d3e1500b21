//! Every draw of a simulation: one seed, split into streams by name, so that a new draw in one place moves no other.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A stream of draws.
#[derive(Debug)]
pub(super) struct Random(StdRng);

impl Random {
    /// The stream of `seed` that is called `name`.
    pub(super) fn new(seed: u64, name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, name).hash(&mut hasher);
        Self(StdRng::seed_from_u64(hasher.finish()))
    }

    /// A number in `range`.
    pub(super) fn within(&mut self, range: Range<u64>) -> u64 {
        self.0.random_range(range)
    }

    /// An index below `len`.
    pub(super) fn index(&mut self, len: usize) -> usize {
        self.0.random_range(0..len)
    }

    /// One of `choices`.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability)
    }

    /// A time in `range` of milliseconds.
    pub(super) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// A seed for what draws by itself.
    pub(super) fn seed(&mut self) -> u64 {
        self.0.random()
    }
}

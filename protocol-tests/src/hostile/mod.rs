//! What a hostile peer may send: sound frames, damaged by a seeded generator, and what must hold of whoever reads them.

mod damage;
mod feed;
mod lie;
mod random;
mod run;
mod seeds;

pub use damage::Damage;
pub use feed::{Target, feed};
pub use lie::{lies_at, monotonous};
pub use random::Random;
pub use run::{Outcome, Plan, run};
pub use seeds::{Seed, of_kind, seeds};

/// Most bytes that reading a frame of `len` bytes may allocate at its peak.
///
/// Up to 40 KiB twice the frame and 1 MiB. A struct in memory is up to some twenty times its fewest bytes on the wire, so
/// above that only the guard's own promise holds: eight times and 1 MiB.
pub fn allowance(len: usize) -> usize {
    let factor = if len <= 40 * 1024 { 2 } else { 8 };
    factor * len + 1024 * 1024
}

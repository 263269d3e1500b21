//! What a hostile peer may send: sound frames, damaged by a seeded generator, and what must hold of whoever reads them.

mod chosen;
mod codecs;
mod damage;
mod feed;
mod lie;
mod random;
mod run;
mod seeds;

pub use chosen::{Chosen, chosen};
pub use codecs::there_and_back;
pub use damage::Damage;
pub use feed::{LARGEST_BATCH, Target, feed};
pub use lie::{lies_at, monotonous};
pub use random::Random;
pub use run::{Outcome, Plan, run};
pub use seeds::{Seed, bombs, of_kind, seeds};

/// Most bytes that reading a frame of `len` bytes may allocate at its peak; a batch besides that, what it may decompress to.
///
/// Up to 40 KiB twice the frame and 1 MiB. A struct in memory is up to some twenty times its fewest bytes on the wire, so
/// above that only the guard's own promise holds: eight times and 1 MiB.
pub fn allowance(target: Target, len: usize) -> usize {
    if target == Target::Batches {
        return 2 * len + 1024 * 1024 + LARGEST_BATCH;
    }
    let factor = if len <= 40 * 1024 { 2 } else { 8 };
    factor * len + 1024 * 1024
}

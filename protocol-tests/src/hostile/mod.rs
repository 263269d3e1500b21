//! What a hostile peer may send: sound frames, damaged by a seeded generator, and what must hold of whoever reads them.

mod chosen;
mod codecs;
mod damage;
mod feed;
mod layout;
mod liar;
mod lie;
mod random;
mod run;
mod seeds;

pub use chosen::{Chosen, chosen, lied_about};
pub use codecs::there_and_back;
pub use damage::{Damage, Sound};
pub use feed::{LARGEST_BATCH, Target, feed, read_message, tell};
pub use layout::{Form, Kind, Piece, layout, layout_of};
pub use liar::{Lie, crowd, tell_some};
pub use lie::{lies_at, monotonous};
pub use random::Random;
pub use run::{Outcome, Plan, run};
pub use seeds::{Seed, bombs, of_kind, partitions, seeds};

/// Most bytes that reading a frame of `len` bytes may allocate at its peak, besides the frame itself.
///
/// Whatever is ours keeps to twice the frame and 1 MiB: the guard takes at most one copy of the body, batches and their
/// records are read where they lie, besides what a compressed batch may come to. Only the structs that a message is
/// decoded into are larger: an empty partition of a Fetch answer is 30 bytes on the wire and 232 in memory. Up to 40 KiB
/// their free mebibyte covers that too; above, what holds is the guard's promise of eight times and 1 MiB. Frame readers
/// and codecs count for themselves: `connection/frames.rs`, `tests/codec_memory.rs`. A JSON tree is not for the data path:
/// see [`JSON_FACTOR`].
pub fn allowance(target: Target, len: usize) -> usize {
    if target == Target::Batches {
        return 2 * len + 1024 * 1024 + LARGEST_BATCH;
    }
    let factor = if len <= 40 * 1024 { 2 } else { 8 };
    factor * len + 1024 * 1024
}

/// How many times its bytes a message may be as JSON, besides 1 MiB: a struct of three bytes is a map of as many names.
pub const JSON_FACTOR: usize = 400;

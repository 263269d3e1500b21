//! Request scripts whose normalised answers are one text, whichever broker gives them: real Kafka or the in-memory one.
//!
//! `fixtures/scripts/*.txt` hold what Apache Kafka 4.4.0 answered, recorded by the live suite with `MILENA_RECORD=1`.

mod fetch;
mod groups;
mod normalise;
mod produce;
mod records;
mod requests;
mod talk;
mod topics;
mod transactions;
mod txn_offsets;
mod txn_rules;

use std::path::{Path, PathBuf};

pub use talk::Talk;

/// The `transaction.version` a broker was formatted with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tv {
    /// Version 1: partitions are added by request, epochs stay (KIP-98).
    One,
    /// Version 2: partitions are added by producing, every end bumps the epoch (KIP-890).
    Two,
}

/// Both versions, for scripts that run on each.
const BOTH: &[Tv] = &[Tv::One, Tv::Two];
/// For scripts to which the version makes no difference.
const TWO: &[Tv] = &[Tv::Two];

/// One story told in requests.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Its name: also that of its topics and ids, so that scripts can share a broker.
    pub name: &'static str,
    /// The transaction versions it is told under.
    pub versions: &'static [Tv],
    tell: fn(&mut Talk),
}

/// Every script.
pub fn all() -> Vec<Script> {
    [topics::SCRIPTS, produce::SCRIPTS, fetch::SCRIPTS, groups::SCRIPTS]
        .into_iter()
        .chain([transactions::SCRIPTS, txn_offsets::SCRIPTS, txn_rules::SCRIPTS])
        .flatten()
        .copied()
        .collect()
}

impl Script {
    /// Tells it to the broker at `address` (`host:port`) and returns the transcript of its answers. Blocks.
    ///
    /// Panics if the broker does not speak Kafka's protocol, closes the connection or is silent for 10 s.
    pub fn run(&self, address: &str, tv: Tv) -> String {
        let mut talk = Talk::connect(address, tv, self.name);
        talk.find_coordinators();
        (self.tell)(&mut talk);
        talk.into_transcript()
    }

    /// Where the answers of real Kafka are kept.
    pub fn fixture(&self, tv: Tv) -> PathBuf {
        let suffix = match tv {
            Tv::One => "tv1",
            Tv::Two => "tv2",
        };
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../fixtures/scripts/{}-{suffix}.txt", self.name))
    }
}

/// The first lines in which two transcripts differ, with a little of what stands before; `None` if they are equal.
pub fn difference(expected: &str, found: &str) -> Option<String> {
    if expected == found {
        return None;
    }
    let (left, right): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let at = left.iter().zip(&right).take_while(|(l, r)| l == r).count();
    let before = left[..at].iter().rposition(|line| line.starts_with("> ")).unwrap_or(0);
    let show = |lines: &[&str]| lines.iter().skip(at).take(6).map(|line| format!("    {line}\n")).collect::<String>();
    let context: String = left[before..at].iter().map(|line| format!("    {line}\n")).collect();
    Some(format!("line {}:\n{context}  expected\n{}  found\n{}", at + 1, show(&left), show(&right)))
}

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

/// Every exchange on which two transcripts differ, whole, `-` as expected and `+` as found; `None` if they are equal.
pub fn difference(expected: &str, found: &str) -> Option<String> {
    if expected == found {
        return None;
    }
    let (left, right) = (exchanges(expected), exchanges(found));
    let at = |all: &[String], index: usize| all.get(index).cloned().unwrap_or_default();
    let longest = left.len().max(right.len());
    let pairs = (0..longest).map(|index| (at(&left, index), at(&right, index)));
    Some(pairs.filter(|(l, r)| l != r).map(|(l, r)| marked(&l, &r)).collect())
}

fn exchanges(transcript: &str) -> Vec<String> {
    transcript.split("> ").filter(|text| !text.is_empty()).map(|text| format!("> {text}")).collect()
}

/// Lines at the same place of both stand once; the rest is shown from both.
fn marked(left: &str, right: &str) -> String {
    let (left, right): (Vec<_>, Vec<_>) = (left.lines().collect(), right.lines().collect());
    let same = left.iter().zip(&right).take_while(|(l, r)| l == r).count();
    let tail = left[same..].iter().rev().zip(right[same..].iter().rev()).take_while(|(l, r)| l == r).count();
    let line = |sign: char| move |text: &&str| format!("  {sign} {text}\n");
    let before = left[..same].iter().map(line(' '));
    let between = left[same..left.len() - tail].iter().map(line('-'));
    let between = between.chain(right[same..right.len() - tail].iter().map(line('+')));
    let after = left[left.len() - tail..].iter().map(line(' '));
    format!("\n{}", before.chain(between).chain(after).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_exchange_and_both_answers() {
        let expected = "> A\n{x}\n> B\n{\n1\n2\n}\n";
        assert_eq!(difference(expected, expected), None);
        let found = "> A\n{x}\n> B\n{\n1\n3\n}\n";
        assert_eq!(difference(expected, found).as_deref(), Some("\n    > B\n    {\n    1\n  - 2\n  + 3\n    }\n"));
    }

    #[test]
    fn names_are_not_taken_twice() {
        let names: std::collections::BTreeSet<_> = all().iter().map(|script| script.name).collect();
        assert_eq!(names.len(), all().len());
    }
}

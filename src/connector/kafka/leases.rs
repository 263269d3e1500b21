//! Transactional ids as fixed slots, leased in the manifest before their first use: recovery knows the exact set, and
//! which of them may still be the subject of a request that nobody answered.

use std::collections::BTreeSet;

use crate::connector::versioned::{put_bytes, put_list};
use crate::connector::{Decoder, Versioned};
use crate::error::Result;

/// Slots of one writer: they alternate, so that the next transaction never waits for the last one's markers.
pub(super) const SLOTS: usize = 2;

/// How many ids one writer has to choose its slots from. The first two serve as long as every InitProducerId is answered.
const NAMES: u32 = 32;

/// The ids one writer may use, those of a larger job before it, and those that are better left alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WriterLeases {
    /// Ids the writer uses in turn.
    pub slots: Vec<String>,
    /// Ids nobody uses any more, to be fenced at the next start.
    pub retired: Vec<String>,
    /// Ids that are being initialised: if no later manifest says otherwise, it is not known whether all was answered.
    pub asked: Vec<String>,
    /// Ids of which an InitProducerId went unanswered, the one of the longest ago first. Whenever it arrives it aborts
    /// what is open then, so nothing is written under them before all others have been through the same.
    pub doubtful: Vec<String>,
}

impl WriterLeases {
    /// Every id under which something may be open.
    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.slots.iter().chain(&self.retired)
    }

    /// Notes that an InitProducerId of `id` went unanswered.
    pub(super) fn doubt(&mut self, id: &str) {
        self.slots.retain(|slot| slot != id);
        push_last(&mut self.doubtful, id);
    }
}

impl Versioned for WriterLeases {
    /// Version 1 had no `asked` and no `doubtful`.
    const VERSION: u8 = 2;

    fn encode(&self, out: &mut Vec<u8>) {
        for ids in [&self.slots, &self.retired, &self.asked, &self.doubtful] {
            put_list(out, ids, |out, id| put_bytes(out, id.as_bytes()));
        }
    }

    fn decode(version: u8, from: &mut Decoder<'_>) -> Result<Self> {
        let (slots, retired) = (from.list(Decoder::text)?, from.list(Decoder::text)?);
        if version < 2 {
            return Ok(WriterLeases { slots, retired, ..WriterLeases::default() });
        }
        Ok(WriterLeases { slots, retired, asked: from.list(Decoder::text)?, doubtful: from.list(Decoder::text)? })
    }
}

fn push_last(ids: &mut Vec<String>, id: &str) {
    ids.retain(|known| known != id);
    ids.push(id.to_owned());
}

/// Slots of a writer: ids `prefix/writer#number`, where the delimiter keeps prefix `orders` from meaning ids of
/// `orders-eu`. The lowest numbers that nobody doubts, or else those that were doubted longest ago.
fn slots_of(prefix: &str, writer: u32, doubtful: &[String]) -> Vec<String> {
    let names: Vec<String> = (0..NAMES).map(|number| format!("{prefix}/{writer}#{number}")).collect();
    let sound = names.iter().filter(|name| !doubtful.contains(name));
    let oldest = doubtful.iter().filter(|id| names.contains(id));
    sound.chain(oldest).take(SLOTS).cloned().collect()
}

/// All that earlier leases doubt, and what they were asking for when they were written.
pub(super) fn doubts_of(restored: &[WriterLeases]) -> Vec<String> {
    let mut doubtful = Vec::new();
    let (known, asked) = (restored.iter().flat_map(|l| &l.doubtful), restored.iter().flat_map(|l| &l.asked));
    known.chain(asked).for_each(|id| push_last(&mut doubtful, id));
    doubtful
}

/// Leases for `writers` writers; every restored id is one of theirs or retired to the first, and every doubt is kept.
///
/// All of them are asked for, but those that `is_fenced` knows to be initialised, and answered, by this very process.
pub(super) fn deal(
    prefix: &str,
    restored: &[WriterLeases],
    writers: u32,
    is_fenced: impl Fn(&str) -> bool,
) -> Vec<WriterLeases> {
    let doubtful = doubts_of(restored);
    let mut dealt: Vec<WriterLeases> = (0..writers)
        .map(|n| WriterLeases { slots: slots_of(prefix, n, &doubtful), ..WriterLeases::default() })
        .collect();
    let used: BTreeSet<String> = dealt.iter().flat_map(|leases| &leases.slots).cloned().collect();
    if let Some(first) = dealt.first_mut() {
        let mut retired: Vec<String> = restored.iter().flat_map(WriterLeases::ids).cloned().collect();
        retired.retain(|id| !used.contains(id));
        retired.sort();
        retired.dedup();
        first.retired = retired;
        first.doubtful = doubtful.into_iter().filter(|id| !used.contains(id)).collect();
    }
    for leases in &mut dealt {
        leases.asked = leases.ids().filter(|id| !is_fenced(id)).cloned().collect();
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(leases: &[WriterLeases]) -> Vec<&str> {
        let mut ids: Vec<_> = leases.iter().flat_map(WriterLeases::ids).map(String::as_str).collect();
        ids.sort_unstable();
        ids
    }

    fn deal_anew(prefix: &str, restored: &[WriterLeases], writers: u32) -> Vec<WriterLeases> {
        deal(prefix, restored, writers, |_| false)
    }

    /// What writers put into a checkpoint once everything is answered.
    fn settled(mut leases: Vec<WriterLeases>) -> Vec<WriterLeases> {
        leases.iter_mut().for_each(|l| (l.asked, l.retired) = Default::default());
        leases
    }

    #[test]
    fn rescaling_and_a_changed_prefix_forget_no_id() {
        let three = settled(deal_anew("etl", &[], 3));
        assert_eq!(all(&three), ["etl/0#0", "etl/0#1", "etl/1#0", "etl/1#1", "etl/2#0", "etl/2#1"]);
        let one = deal_anew("etl", &three, 1);
        assert_eq!(all(&one), all(&three));
        assert_eq!(one[0].slots, ["etl/0#0", "etl/0#1"]);
        let renamed = deal_anew("copy", &one, 1);
        assert_eq!(renamed[0].slots, ["copy/0#0", "copy/0#1"]);
        assert_eq!(renamed[0].retired.len(), 6);
        let back: Vec<_> = renamed.iter().map(|w| WriterLeases::from_bytes(&w.to_bytes()).unwrap()).collect();
        assert_eq!(back, renamed);
    }

    #[test]
    fn a_process_that_died_while_asking_leaves_its_ids_to_be_fenced_and_others_to_be_used() {
        let first = deal_anew("etl", &[], 2);
        assert_eq!(first[1].asked, ["etl/1#0", "etl/1#1"], "and the manifest says so before anything is sent");
        let second = deal_anew("etl", &first, 1);
        assert_eq!(second[0].slots, ["etl/0#2", "etl/0#3"]);
        assert_eq!(second[0].retired, ["etl/0#0", "etl/0#1", "etl/1#0", "etl/1#1"]);
        // It runs. Another writer that comes back later stays clear of what was left in doubt.
        let third = deal_anew("etl", &settled(second), 2);
        assert_eq!(third[0].slots, ["etl/0#2", "etl/0#3"]);
        assert_eq!(third[1].slots, ["etl/1#2", "etl/1#3"]);
        assert_eq!(third[0].doubtful, ["etl/0#0", "etl/0#1", "etl/1#0", "etl/1#1"]);
    }

    #[test]
    fn a_slot_in_doubt_is_replaced_alone_and_what_was_answered_is_not_asked_again() {
        let mut leases = settled(deal_anew("etl", &[], 1));
        leases[0].doubt("etl/0#0");
        let again = deal("etl", &leases, 1, |id| id == "etl/0#1");
        assert_eq!(again[0].slots, ["etl/0#1", "etl/0#2"]);
        assert_eq!(again[0].asked, ["etl/0#2"]);
        assert_eq!(again[0].retired, [""; 0], "what is in doubt was answered in the end: nothing is open there");
    }

    #[test]
    fn with_every_name_in_doubt_the_oldest_doubt_is_dropped_first() {
        let mut leases = WriterLeases::default();
        (0..NAMES).rev().for_each(|number| leases.doubt(&format!("etl/0#{number}")));
        let dealt = deal_anew("etl", &[leases], 1);
        assert_eq!(dealt[0].slots, ["etl/0#31", "etl/0#30"]);
        assert_eq!(dealt[0].doubtful.len(), 30);
    }

    #[test]
    fn leases_of_the_first_release_are_read() {
        let mut bytes = vec![1];
        for ids in [&["etl/0#0"][..], &[]] {
            put_list(&mut bytes, ids, |out, id| put_bytes(out, id.as_bytes()));
        }
        let leases = WriterLeases::from_bytes(&bytes).unwrap();
        assert_eq!((leases.slots, leases.asked), (vec!["etl/0#0".to_owned()], vec![]));
    }
}

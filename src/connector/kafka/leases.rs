//! Transactional ids as fixed slots, leased in the manifest before their first use: recovery knows the exact set.

use crate::connector::versioned::{put_bytes, put_list};
use crate::connector::{Decoder, Versioned};
use crate::error::Result;

/// Slots of one writer: they alternate, so that the next transaction never waits for the last one's markers.
pub(super) const SLOTS: u32 = 2;

/// The ids one writer may use, and those of a larger job before it, which are fenced once and then forgotten.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WriterLeases {
    /// Ids the writer uses in turn.
    pub slots: Vec<String>,
    /// Ids nobody uses any more, to be fenced at the next start.
    pub retired: Vec<String>,
}

impl WriterLeases {
    /// Every id that must be fenced before the writer starts.
    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.slots.iter().chain(&self.retired)
    }
}

impl Versioned for WriterLeases {
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut Vec<u8>) {
        for ids in [&self.slots, &self.retired] {
            put_list(out, ids, |out, id| put_bytes(out, id.as_bytes()));
        }
    }

    fn decode(_version: u8, from: &mut Decoder<'_>) -> Result<Self> {
        Ok(WriterLeases { slots: from.list(Decoder::text)?, retired: from.list(Decoder::text)? })
    }
}

/// Ids `prefix/writer#slot`: the delimiter keeps prefix `orders` from meaning ids of `orders-eu`.
fn slot_ids(prefix: &str, writer: u32) -> Vec<String> {
    (0..SLOTS).map(|slot| format!("{prefix}/{writer}#{slot}")).collect()
}

/// Leases for `writers` writers; every restored id is either one of theirs or retired to the first writer.
pub(super) fn deal(prefix: &str, restored: Vec<WriterLeases>, writers: u32) -> Vec<WriterLeases> {
    let mut dealt: Vec<WriterLeases> =
        (0..writers).map(|n| WriterLeases { slots: slot_ids(prefix, n), retired: Vec::new() }).collect();
    let known = |dealt: &[WriterLeases], id: &String| dealt.iter().any(|leases| leases.ids().any(|own| own == id));
    for id in restored.iter().flat_map(WriterLeases::ids) {
        if !known(&dealt, id) {
            dealt.iter_mut().take(1).for_each(|first| first.retired.push(id.clone()));
        }
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

    #[test]
    fn rescaling_and_a_changed_prefix_forget_no_id() {
        let three = deal("etl", Vec::new(), 3);
        assert_eq!(all(&three), ["etl/0#0", "etl/0#1", "etl/1#0", "etl/1#1", "etl/2#0", "etl/2#1"]);
        let one = deal("etl", three.clone(), 1);
        assert_eq!(all(&one), all(&three));
        assert_eq!(one[0].slots, ["etl/0#0", "etl/0#1"]);
        let renamed = deal("copy", one, 1);
        assert_eq!(renamed[0].slots, ["copy/0#0", "copy/0#1"]);
        assert_eq!(renamed[0].retired.len(), 6);
        let back: Vec<_> = renamed.iter().map(|w| WriterLeases::from_bytes(&w.to_bytes()).unwrap()).collect();
        assert_eq!(back, renamed);
    }
}

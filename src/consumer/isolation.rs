//! Which fetched batches a reader sees: no control batch, none of an aborted transaction, none it has passed.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::wire::batch::{Batch, BatchFault, BatchHeader, Batches, ControlKind};
use crate::wire::messages::fetch_response::AbortedTransaction;

/// What was asked for and what the broker said beside the records.
#[derive(Debug)]
pub(super) struct View {
    /// The first offset that is wanted.
    pub(super) from: i64,
    /// The first offset that must not be seen (the last stable offset with read_committed).
    pub(super) until: i64,
    /// Aborted transactions that reach into the records; `None` with read_uncommitted.
    pub(super) aborted: Option<Vec<AbortedTransaction>>,
    /// Whether markers are checked before they are believed (`check.crcs`).
    pub(super) check_crcs: bool,
}

/// What is left of a fetched partition.
#[derive(Debug)]
pub(super) struct Visible {
    /// Batches to deliver, in order.
    pub(super) batches: Vec<Batch>,
    /// The offset to go on from: past every batch that was whole, delivered or not.
    pub(super) next_offset: i64,
    /// Leader epoch of the last whole batch; -1 if there was none.
    pub(super) leader_epoch: i32,
    /// What stopped the walk early.
    pub(super) fault: Option<BatchFault>,
}

/// Walks the headers of a fetched partition; checksums and records of data batches stay untouched.
pub(super) fn visible(records: Bytes, view: View) -> Visible {
    let mut seen = Visible { batches: Vec::new(), next_offset: view.from, leader_epoch: -1, fault: None };
    let mut aborted = view.aborted.map(Aborted::new);
    for batch in Batches::new(records) {
        match batch {
            Ok(batch) if batch.header.base_offset >= view.until => break,
            Ok(batch) => {
                let header = batch.header;
                match is_delivered(&batch, aborted.as_mut(), view.check_crcs) {
                    Ok(true) if header.next_offset() > seen.next_offset => seen.batches.push(batch),
                    Ok(_) => {}
                    Err(fault) => {
                        seen.fault = Some(fault);
                        break;
                    }
                }
                seen.next_offset = seen.next_offset.max(header.next_offset());
                seen.leader_epoch = header.partition_leader_epoch;
            }
            Err(fault) => {
                seen.fault = Some(fault);
                break;
            }
        }
    }
    seen
}

fn is_delivered(batch: &Batch, aborted: Option<&mut Aborted>, check_crcs: bool) -> Result<bool, BatchFault> {
    let header = &batch.header;
    let Some(aborted) = aborted else {
        return Ok(!header.is_control() && header.record_count != 0);
    };
    if header.is_control() {
        if check_crcs {
            batch.verify_crc()?;
        }
        // Compaction may have taken the marker out of its batch; nothing of its producer is then left before it.
        let is_abort = header.record_count != 0 && batch.control_kind()? == ControlKind::Abort;
        aborted.pass_marker(header, is_abort);
        return Ok(false);
    }
    Ok(!aborted.has_written(header) && header.record_count != 0)
}

/// The aborted transactions of one fetch, and which of them are open where the walk is.
#[derive(Debug)]
struct Aborted {
    /// By first offset, the next one last. Brokers promise the order; not all keep it.
    coming: Vec<(i64, i64)>,
    open: BTreeSet<i64>,
}

impl Aborted {
    fn new(list: Vec<AbortedTransaction>) -> Aborted {
        let mut coming: Vec<_> = list.iter().map(|a| (a.first_offset, a.producer_id.0)).collect();
        coming.sort_unstable_by(|a, b| b.cmp(a));
        Aborted { coming, open: BTreeSet::new() }
    }

    fn advance(&mut self, last_offset: i64) {
        while let Some(&(first_offset, producer_id)) = self.coming.last()
            && first_offset <= last_offset
        {
            self.open.insert(producer_id);
            self.coming.pop();
        }
    }

    fn has_written(&mut self, header: &BatchHeader) -> bool {
        self.advance(header.last_offset());
        header.is_transactional() && self.open.contains(&header.producer.producer_id)
    }

    /// An abort marker ends its producer's transaction; the same producer id may commit the next one.
    fn pass_marker(&mut self, header: &BatchHeader, is_abort: bool) {
        self.advance(header.last_offset());
        if is_abort {
            self.open.remove(&header.producer.producer_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::testing::{PLAIN, batch, concat, marker, transactional};
    use super::*;

    fn aborted(producer_id: i64, first_offset: i64) -> AbortedTransaction {
        AbortedTransaction::default().with_producer_id(producer_id.into()).with_first_offset(first_offset)
    }

    fn view(from: i64, aborted: Option<Vec<AbortedTransaction>>) -> View {
        View { from, until: i64::MAX, aborted, check_crcs: true }
    }

    fn bases(seen: &Visible) -> Vec<i64> {
        seen.batches.iter().map(|b| b.header.base_offset).collect()
    }

    #[test]
    fn an_aborted_transaction_is_skipped_though_the_list_is_unsorted() {
        let log = concat(&[
            batch(0, 2, transactional(1)),
            batch(2, 2, transactional(2)),
            marker(4, 1, false),
            batch(5, 1, transactional(1)),
            marker(6, 2, false),
            marker(7, 1, true),
        ]);
        let seen = visible(log, view(0, Some(vec![aborted(2, 2), aborted(1, 0)])));
        assert_eq!(bases(&seen), [5], "the second transaction of producer 1 was committed");
        assert_eq!(seen.next_offset, 8);
    }

    #[test]
    fn read_uncommitted_sees_all_but_markers() {
        let log = concat(&[batch(0, 2, transactional(1)), marker(2, 1, false), batch(3, 1, PLAIN)]);
        let seen = visible(log, view(0, None));
        assert_eq!((bases(&seen), seen.next_offset, seen.leader_epoch), (vec![0, 3], 4, 3));
    }

    #[test]
    fn a_reader_in_mid_batch_keeps_the_batch_and_drops_those_before() {
        let log = concat(&[batch(0, 5, PLAIN), batch(5, 5, PLAIN)]);
        assert_eq!(bases(&visible(log.clone(), view(5, None))), [5]);
        assert_eq!(bases(&visible(log, view(7, None))), [5]);
    }

    #[test]
    fn nothing_at_or_past_the_last_stable_offset_is_seen() {
        let log = concat(&[batch(0, 5, PLAIN), batch(5, 5, transactional(1))]);
        let seen = visible(log, View { until: 5, ..view(0, Some(Vec::new())) });
        assert_eq!((bases(&seen), seen.next_offset), (vec![0], 5));
    }

    #[test]
    fn an_empty_batch_left_by_compaction_moves_the_position() {
        let seen = visible(concat(&[batch(0, 0, PLAIN), batch(1, 1, PLAIN)]), view(0, None));
        assert_eq!((bases(&seen), seen.next_offset), (vec![1], 2));
    }

    #[test]
    fn a_damaged_marker_is_a_fault_and_not_believed() {
        let mut bytes = marker(2, 1, false).to_vec();
        *bytes.last_mut().unwrap() ^= 4;
        let log = concat(&[batch(0, 2, transactional(1)), bytes.into()]);
        let seen = visible(log, view(0, Some(vec![aborted(1, 0)])));
        assert_eq!((seen.next_offset, seen.fault.map(|f| f.base_offset)), (2, Some(2)));
    }

    /// One step of a generated log.
    #[derive(Clone, Debug)]
    enum Op {
        Write { producer: i64, count: i32 },
        WritePlain { count: i32 },
        End { producer: i64, is_commit: bool },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (1..5i64, 1..6i32).prop_map(|(producer, count)| Op::Write { producer, count }),
            1 => (1..4i32).prop_map(|count| Op::WritePlain { count }),
            3 => (1..5i64, any::<bool>()).prop_map(|(producer, is_commit)| Op::End { producer, is_commit }),
        ]
    }

    /// A log as a leader holds it, with what its writer knows: which offsets are committed, which ranges aborted.
    #[derive(Default, Debug)]
    struct Log {
        batches: Vec<(i64, i64, Bytes)>,
        committed: Vec<i64>,
        /// Producer, first offset, marker's offset.
        aborted: Vec<(i64, i64, i64)>,
        end: i64,
        stable: i64,
    }

    impl Log {
        fn append(&mut self, count: i64, bytes: Bytes) {
            self.batches.push((self.end, self.end + count, bytes));
            self.end += count;
        }

        fn of(ops: &[Op]) -> Log {
            let mut log = Log::default();
            let mut open: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
            for op in ops {
                let at = log.end;
                match *op {
                    Op::Write { producer, count } => {
                        open.entry(producer).or_default().extend(at..at + i64::from(count));
                        log.append(count.into(), batch(at, count, transactional(producer)));
                    }
                    Op::WritePlain { count } => {
                        log.committed.extend(at..at + i64::from(count));
                        log.append(count.into(), batch(at, count, PLAIN));
                    }
                    // A marker without records: the transaction wrote to other partitions only, or to none.
                    Op::End { producer, is_commit } => {
                        let records = open.remove(&producer).unwrap_or_default();
                        match records.first() {
                            Some(&first) if !is_commit => log.aborted.push((producer, first, at)),
                            _ => log.committed.extend(records),
                        }
                        log.append(1, marker(at, producer, is_commit));
                    }
                }
            }
            log.stable = open.values().filter_map(|r| r.first().copied()).min().unwrap_or(log.end);
            log.committed.retain(|offset| *offset < log.stable);
            log.committed.sort_unstable();
            log
        }

        /// What a broker answers from `from` on: at most `count` batches, and the aborted transactions that touch them.
        fn fetch(&self, from: i64, count: usize, shuffle: usize) -> (Bytes, Vec<AbortedTransaction>) {
            let of_range = |(_, end, _): &&(i64, i64, Bytes)| *end > from && *end <= self.stable;
            let batches: Vec<_> = self.batches.iter().filter(of_range).take(count).collect();
            let upper = batches.last().map_or(from, |(_, end, _)| *end);
            let touches = |(_, first, marker): &&(i64, i64, i64)| *first < upper && *marker >= from;
            let mut list: Vec<_> =
                self.aborted.iter().filter(touches).map(|(p, first, _)| aborted(*p, *first)).collect();
            if !list.is_empty() {
                let by = shuffle % list.len();
                list.rotate_left(by);
            }
            (concat(&batches.iter().map(|(_, _, b)| b.clone()).collect::<Vec<_>>()), list)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn a_read_committed_reader_sees_exactly_what_was_committed(
            ops in proptest::collection::vec(op(), 0..60),
            cuts in proptest::collection::vec(1..5usize, 60),
            start in 0..20i64,
        ) {
            let log = Log::of(&ops);
            let mut position = start.min(log.stable);
            let expected: Vec<_> = log.committed.iter().copied().filter(|o| *o >= position).collect();
            let mut read = Vec::new();
            for cut in cuts {
                let (records, list) = log.fetch(position, cut, cut);
                let view = View { from: position, until: log.stable, aborted: Some(list), check_crcs: true };
                let seen = visible(records, view);
                prop_assert!(seen.fault.is_none());
                for batch in &seen.batches {
                    let offsets = batch.records().map(|r| r.unwrap().offset);
                    read.extend(offsets.filter(|o| *o >= position));
                }
                position = seen.next_offset;
            }
            prop_assert_eq!(position, log.stable, "lag must reach 0 past markers and aborted tails");
            prop_assert_eq!(read, expected);
        }
    }
}

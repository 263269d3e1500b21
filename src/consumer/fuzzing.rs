//! What a read_committed reader sees of fetched batches, opened to the fuzzers (`--cfg fuzzing`), which stand outside.

use bytes::Bytes;

use super::isolation::{View, visible};
use crate::wire::batch::Batch;
use crate::wire::messages::fetch_response::AbortedTransaction;

/// The batches delivered, the offset to go on from, and what stopped the walk.
///
/// `aborted` are producer ids and first offsets, in the order in which a broker told them.
pub fn read_committed(
    records: Bytes,
    from: i64,
    until: i64,
    aborted: &[(i64, i64)],
) -> (Vec<Batch>, i64, Option<String>) {
    let row = |&(producer, first): &(i64, i64)| {
        AbortedTransaction::default().with_producer_id(producer.into()).with_first_offset(first)
    };
    let aborted = Some(aborted.iter().map(row).collect());
    let seen = visible(records, View { from, until, aborted, check_crcs: true });
    (seen.batches, seen.next_offset, seen.fault.map(|fault| fault.to_string()))
}

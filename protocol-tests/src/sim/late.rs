//! T5 as the wire shows it: under version 1 no transaction begins in an epoch that a request still unanswered could join.

use std::collections::{BTreeMap, BTreeSet};

use milena::broker::{ConnectionId, RequestInfo};
use milena::wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, ProduceRequest, TxnOffsetCommitRequest,
};

use super::trace::batches_of;

/// A producer id and its epoch.
type Epoch = (i64, i16);

/// What has passed of the transactions of one run.
#[derive(Debug)]
pub(super) struct Late {
    transaction_version: i16,
    unanswered: BTreeMap<(ConnectionId, i32), Epoch>,
    /// Epochs whose last transaction was told to end.
    ended: BTreeSet<Epoch>,
}

/// What a request does to a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// AddPartitionsToTxn or AddOffsetsToTxn: the first one begins it.
    Add,
    /// Produce or TxnOffsetCommit: what must not be applied to another.
    Write,
    /// EndTxn.
    End,
}

impl Late {
    pub(super) fn new(transaction_version: i16) -> Self {
        Self { transaction_version, unanswered: BTreeMap::new(), ended: BTreeSet::new() }
    }

    /// A request has arrived; what is wrong with it, if anything.
    pub(super) fn handle_request(&mut self, info: &RequestInfo<'_>) -> Option<String> {
        let (step, epoch, newest) = read(info)?;
        let version = info.header.api_version;
        if self.transaction_version >= 2 {
            return None;
        }
        if version > newest {
            return Some(format!("T5: {step:?} at version {version} of its API, which begins transactions by itself"));
        }
        let fault = match step {
            Step::Add if self.ended.remove(&epoch) => self.joined(epoch),
            _ => None,
        };
        if step == Step::End {
            self.ended.insert(epoch);
        }
        self.unanswered.insert((info.connection, info.header.correlation_id), epoch);
        fault
    }

    /// An answer is on its way.
    pub(super) fn handle_answer(&mut self, connection: ConnectionId, frame: &[u8]) {
        if let Some(correlation_id) = frame.first_chunk() {
            self.unanswered.remove(&(connection, i32::from_be_bytes(*correlation_id)));
        }
    }

    fn joined(&self, epoch: Epoch) -> Option<String> {
        let (late, _) = self.unanswered.iter().find(|(_, of)| **of == epoch)?;
        Some(format!("T5: the next transaction of {epoch:?} begins, and {late:?} of the last one is unanswered"))
    }
}

/// The step, whose it is, and the newest version of its API that leaves transactions to AddPartitionsToTxn.
fn read(info: &RequestInfo<'_>) -> Option<(Step, Epoch, i16)> {
    if let Some(Ok(request)) = info.decode::<EndTxnRequest>() {
        return Some((Step::End, (request.producer_id.0, request.producer_epoch), 4));
    }
    if let Some(Ok(request)) = info.decode::<TxnOffsetCommitRequest>() {
        return Some((Step::Write, (request.producer_id.0, request.producer_epoch), 4));
    }
    if let Some(Ok(request)) = info.decode::<AddOffsetsToTxnRequest>() {
        return Some((Step::Add, (request.producer_id.0, request.producer_epoch), i16::MAX));
    }
    if let Some(Ok(request)) = info.decode::<AddPartitionsToTxnRequest>() {
        let epoch = (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch);
        return Some((Step::Add, epoch, 3));
    }
    info.is::<ProduceRequest>().then_some(())?;
    let batches = batches_of(info);
    let header = batches.iter().map(|(_, batch)| &batch.header).find(|header| header.is_transactional())?;
    Some((Step::Write, (header.producer.producer_id, header.producer.producer_epoch), 11))
}

#[cfg(test)]
mod tests {
    use milena::wire::Request;
    use milena::wire::frame::RequestHeader;
    use milena::wire::messages::ProducerId;

    use super::*;

    /// What is wrong with `request` as the `correlation_id`th of a connection.
    fn arrive<Q: Request>(late: &mut Late, correlation_id: i32, version: i16, request: &Q) -> Option<String> {
        let mut body = bytes::BytesMut::new();
        request.encode(&mut body, version).expect("a request of ours");
        let header = RequestHeader { api_key: Q::KEY, api_version: version, correlation_id, client_id: None };
        let (body, connection) = (body.freeze(), ConnectionId(1));
        late.handle_request(&RequestInfo { broker: 1, connection, header: &header, body: &body })
    }

    fn add() -> AddOffsetsToTxnRequest {
        AddOffsetsToTxnRequest::default().with_producer_id(ProducerId(7))
    }

    fn end() -> EndTxnRequest {
        EndTxnRequest::default().with_producer_id(ProducerId(7))
    }

    fn answer(late: &mut Late, correlation_id: i32) {
        late.handle_answer(ConnectionId(1), &correlation_id.to_be_bytes());
    }

    #[test]
    fn a_transaction_that_begins_before_all_of_the_last_one_is_answered_is_found() {
        for (unanswered, is_right) in [(None, true), (Some(1), false), (Some(2), false)] {
            let mut late = Late::new(1);
            assert_eq!(arrive(&mut late, 1, 3, &add()), None);
            assert_eq!(arrive(&mut late, 2, 4, &end()), None);
            (1..=2).filter(|n| Some(*n) != unanswered).for_each(|n| answer(&mut late, n));
            assert_eq!(arrive(&mut late, 3, 3, &add()).is_none(), is_right, "{unanswered:?}");
        }
    }

    #[test]
    fn another_epoch_and_version_2_may_begin_at_any_time() {
        let mut late = Late::new(1);
        assert_eq!(arrive(&mut late, 1, 3, &add()).or(arrive(&mut late, 2, 4, &end())), None);
        assert_eq!(arrive(&mut late, 3, 3, &add().with_producer_epoch(1)), None);
        let mut late = Late::new(2);
        let all = [arrive(&mut late, 1, 4, &add()), arrive(&mut late, 2, 5, &end()), arrive(&mut late, 3, 4, &add())];
        assert_eq!(all, [None, None, None]);
    }

    #[test]
    fn a_version_that_begins_transactions_by_itself_is_found() {
        assert!(arrive(&mut Late::new(1), 1, 5, &end()).is_some());
    }
}

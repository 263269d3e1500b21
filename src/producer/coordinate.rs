//! Requests of one transactional id to its coordinators: repeated until answered or out of time, and whether some
//! attempt may still be applied later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::sender::CONCURRENT_TRANSACTIONS_WAIT;
use crate::cluster::{Call, Cluster, CoordinatorKind, Lane, Target, Verdict, backoff, leaves_doubt};
use crate::connection::{Connection, deadline_in};
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Recovery, Result};
use crate::types::{OffsetAndMetadata, ProducerIdentity, TopicPartition, TransactionVersion};
use crate::wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition as OffsetRow, TxnOffsetCommitRequestTopic as OffsetTopic,
};
use crate::wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ApiKey, DescribeConfigsRequest, EndTxnRequest, EndTxnResponse,
    GroupId, InitProducerIdRequest, InitProducerIdResponse, ProducerId, TransactionalId, TxnOffsetCommitRequest,
};
use crate::wire::{Request, StrBytes};

/// What requests to coordinators need to know.
pub(super) struct Coordinator {
    pub cluster: Cluster,
    pub id: Arc<str>,
    pub identity: ProducerIdentity,
    pub version: TransactionVersion,
    /// `transaction.timeout.ms`.
    pub timeout: Duration,
    /// How long a request is repeated.
    pub patience: Duration,
}

/// Where a request goes and what it is for.
struct Errand<'a> {
    operation: Operation,
    kind: CoordinatorKind,
    key: &'a str,
    max_version: i16,
}

/// What one attempt came to.
enum Tried<R> {
    Answered(R),
    Refused(ErrorCode),
    Unanswered(Error),
}

/// Longer than markers take, unless something is wrong.
const MARKERS_WAIT: Duration = Duration::from_secs(5);

/// What a coordinator's word that the producer is an old one means, and the way out.
const FENCED: &str = "another producer of this transactional id has taken over and fenced this one, or its transaction \
                      has timed out; give each job ids of its own";

/// First versions with which an epoch can be kept and raised (KIP-360).
const EPOCHS: i16 = 3;

impl Coordinator {
    /// The producer id with its next epoch; the rules its transactions follow. Fences every other producer of the id
    /// and aborts what was left open.
    ///
    /// With `current` it only succeeds if that is still the latest: one that another has fenced learns of it.
    /// Beside it, whether some attempt went unanswered: it may come at any later time, and then abort what is open.
    pub(super) async fn init(
        &self,
        current: Option<ProducerIdentity>,
    ) -> (Result<(ProducerIdentity, TransactionVersion)>, bool) {
        let timeout_ms = i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX);
        let make = |version| {
            let known = current.filter(|_| version >= EPOCHS).unwrap_or(ProducerIdentity::NONE);
            InitProducerIdRequest::default()
                .with_transactional_id(Some(self.transactional_id()))
                .with_transaction_timeout_ms(timeout_ms)
                .with_producer_id(ProducerId(known.producer_id))
                .with_producer_epoch(known.producer_epoch)
        };
        let errand = self.errand(Operation::InitProducerId, i16::MAX);
        let (result, is_late) = self.ask(errand, make, |answer| ErrorCode(answer.error_code)).await;
        let result = match result {
            Err(error) if error.code() == Some(ErrorCode::INVALID_TRANSACTION_TIMEOUT) => {
                Err(self.timeout_too_long(error).await)
            }
            Err(error) => Err(error),
            Ok(InitProducerIdResponse { producer_id, producer_epoch, .. }) => self
                .rules()
                .await
                .map(|version| (ProducerIdentity { producer_id: producer_id.0, producer_epoch }, version)),
        };
        (result, is_late)
    }

    /// The rules that transactions of this cluster follow now.
    async fn rules(&self) -> Result<TransactionVersion> {
        let deadline = deadline_in(self.patience);
        let connection = timeout_at(deadline, self.connect(CoordinatorKind::Transaction, &self.id)).await;
        let connection = connection.map_err(|_| self.out_of_time(Operation::InitProducerId))??;
        Ok(transaction_version(&connection))
    }

    /// Adds partitions to the transaction (TV1).
    pub(super) async fn add_partitions(&self, partitions: &[TopicPartition]) -> (Result<()>, bool) {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        partitions.iter().for_each(|tp| topics.entry(&tp.topic).or_default().push(tp.partition));
        let topics: Vec<_> = topics
            .into_iter()
            .map(|(name, numbers)| {
                AddPartitionsToTxnTopic::default().with_name(text(name).into()).with_partitions(numbers)
            })
            .collect();
        let make = |_| {
            AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(self.transactional_id())
                .with_v3_and_below_producer_id(ProducerId(self.identity.producer_id))
                .with_v3_and_below_producer_epoch(self.identity.producer_epoch)
                .with_v3_and_below_topics(topics.clone())
        };
        let errand = self.errand(Operation::AddToTransaction, 3);
        let (result, is_late) = self
            .ask(errand, make, |answer| {
                let rows = answer.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
                worst(rows.map(|row| row.partition_error_code))
            })
            .await;
        (result.map(drop), is_late)
    }

    /// Adds offsets of a group to the transaction. Under TV1 the transaction's coordinator has to hear of the group first.
    pub(super) async fn commit_offsets(
        &self,
        group: &str,
        offsets: &[(TopicPartition, OffsetAndMetadata)],
    ) -> (Result<()>, bool) {
        let mut is_group_late = false;
        if self.version == TransactionVersion::V1 {
            let (added, is_late) = self.add_group(group).await;
            if let Err(error) = added {
                return (Err(error), is_late);
            }
            is_group_late = is_late;
        }
        let max_version = if self.version == TransactionVersion::V2 { 5 } else { 4 };
        let make = |_| {
            TxnOffsetCommitRequest::default()
                .with_transactional_id(self.transactional_id())
                .with_group_id(GroupId(text(group)))
                .with_producer_id(ProducerId(self.identity.producer_id))
                .with_producer_epoch(self.identity.producer_epoch)
                .with_topics(offset_topics(offsets))
        };
        let operation = Operation::AddToTransaction;
        let errand = Errand { operation, kind: CoordinatorKind::Group, key: group, max_version };
        let (result, is_late) = self
            .ask(errand, make, |answer| {
                worst(answer.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code))
            })
            .await;
        (result.map(drop), is_late || is_group_late)
    }

    /// Tells the transaction's coordinator of the group whose offsets are to come (TV1).
    async fn add_group(&self, group: &str) -> (Result<()>, bool) {
        let make = |_| {
            AddOffsetsToTxnRequest::default()
                .with_transactional_id(self.transactional_id())
                .with_producer_id(ProducerId(self.identity.producer_id))
                .with_producer_epoch(self.identity.producer_epoch)
                .with_group_id(GroupId(text(group)))
        };
        let errand = self.errand(Operation::AddToTransaction, i16::MAX);
        let (result, is_late) = self.ask(errand, make, |answer| ErrorCode(answer.error_code)).await;
        (result.map(drop), is_late)
    }

    /// Ends the transaction. Under TV2 the answer tells the identity of the next.
    ///
    /// Where it is not certain that the coordinator has this transaction, an answer that says it has not is taken as the
    /// end: under TV1 INVALID_TXN_STATE; under TV2, while the markers of the last are being written, PRODUCER_FENCED, which
    /// another producer's takeover brings too, so it is believed only after a while.
    pub(super) async fn end(&self, is_commit: bool, is_certain: bool) -> (Result<Option<ProducerIdentity>>, bool) {
        let max_version = if self.version == TransactionVersion::V2 { 5 } else { 4 };
        let make = |_| {
            EndTxnRequest::default()
                .with_transactional_id(self.transactional_id())
                .with_producer_id(ProducerId(self.identity.producer_id))
                .with_producer_epoch(self.identity.producer_epoch)
                .with_committed(is_commit)
        };
        let operation = if is_commit { Operation::Commit } else { Operation::Abort };
        let errand = self.errand(operation, max_version);
        let doubted_until = Instant::now() + if is_certain { Duration::ZERO } else { MARKERS_WAIT };
        let code_of = |answer: &EndTxnResponse| match (ErrorCode(answer.error_code), self.version) {
            (ErrorCode::PRODUCER_FENCED, TransactionVersion::V2) if Instant::now() < doubted_until => {
                ErrorCode::CONCURRENT_TRANSACTIONS
            }
            (ErrorCode::INVALID_TXN_STATE, TransactionVersion::V1) if !is_certain => ErrorCode::NONE,
            (code, _) => code,
        };
        let (result, is_late) = self.ask(errand, make, code_of).await;
        let next = |producer_id, producer_epoch| ProducerIdentity { producer_id, producer_epoch };
        let result = result.map(|answer| {
            let next = next(answer.producer_id.0, answer.producer_epoch);
            Some(next).filter(|next| self.version == TransactionVersion::V2 && next.producer_id >= 0)
        });
        (result, is_late)
    }

    fn errand(&self, operation: Operation, max_version: i16) -> Errand<'_> {
        Errand { operation, kind: CoordinatorKind::Transaction, key: &self.id, max_version }
    }

    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(text(&self.id))
    }

    /// Asks until there is an answer that is final, or time is up. The error says if some attempt may be applied; the
    /// flag, even beside an answer, that one may be applied *later*.
    async fn ask<Q: Request>(
        &self,
        errand: Errand<'_>,
        make: impl Fn(i16) -> Q,
        code_of: impl Fn(&Q::Response) -> ErrorCode,
    ) -> (Result<Q::Response>, bool) {
        let deadline = deadline_in(self.patience);
        let mut backoff = backoff(&self.cluster);
        let (mut is_late, mut is_doubtful) = (false, false);
        loop {
            let mut wait = backoff.next_wait();
            let error = match self.attempt(&errand, &make, &code_of, deadline).await {
                Tried::Answered(answer) => return (Ok(answer), is_late),
                Tried::Refused(code) => {
                    is_doubtful |= leaves_doubt(code);
                    // One that has lost its office has handled the request: that counts or not, and comes no more.
                    is_late |= leaves_doubt(code) && !matches!(Verdict::of(code), Verdict::Relocate(_));
                    let error = self.refusal(errand.operation, code);
                    match Verdict::of(code) {
                        Verdict::Fail(_) | Verdict::Done => {
                            return (Err(error.with_maybe_applied(is_doubtful)), is_late);
                        }
                        Verdict::Relocate(_) => self.cluster.forget_coordinator(errand.kind, errand.key),
                        Verdict::Retry(_) => {}
                    }
                    if code == ErrorCode::CONCURRENT_TRANSACTIONS {
                        wait = wait.min(CONCURRENT_TRANSACTIONS_WAIT);
                    }
                    error
                }
                Tried::Unanswered(error) => {
                    is_late |= error.maybe_applied();
                    is_doubtful |= error.maybe_applied();
                    if error.recovery() != Recovery::Retry && !error.maybe_applied() {
                        // That this attempt went nowhere says nothing of those before it.
                        return (Err(error.with_maybe_applied(is_doubtful)), is_late);
                    }
                    self.cluster.forget_coordinator(errand.kind, errand.key);
                    error
                }
            };
            if Instant::now() + wait >= deadline {
                let error = self.out_of_time(errand.operation).with_source(error).with_maybe_applied(is_doubtful);
                return (Err(error), is_late);
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt<Q: Request>(
        &self,
        errand: &Errand<'_>,
        make: &impl Fn(i16) -> Q,
        code_of: &impl Fn(&Q::Response) -> ErrorCode,
        deadline: Instant,
    ) -> Tried<Q::Response> {
        let connection = match timeout_at(deadline, self.connect(errand.kind, errand.key)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Tried::Unanswered(error),
            Err(_) => return Tried::Unanswered(self.out_of_time(errand.operation)),
        };
        let version = match connection.version_up_to::<Q>(errand.max_version) {
            Ok(version) => version,
            Err(error) => return Tried::Unanswered(error),
        };
        let patience = self.cluster.config().request_timeout.min(deadline.saturating_duration_since(Instant::now()));
        match connection.call_at(version, &make(version), patience).await {
            Ok(answer) => match code_of(&answer) {
                code if code.is_ok() => Tried::Answered(answer),
                code => Tried::Refused(code),
            },
            Err(error) => Tried::Unanswered(error),
        }
    }

    async fn connect(&self, kind: CoordinatorKind, key: &str) -> Result<Connection> {
        let broker = self.cluster.coordinator(kind, key).await?;
        self.cluster.connection(broker, Lane::Coordination).await
    }

    fn subject(&self) -> &str {
        &self.id
    }

    fn refusal(&self, operation: Operation, code: ErrorCode) -> Error {
        let error = Error::broker(operation, code, self.subject());
        match code {
            ErrorCode::PRODUCER_FENCED | ErrorCode::INVALID_PRODUCER_EPOCH => error.with_detail(FENCED),
            _ => error,
        }
    }

    fn out_of_time(&self, operation: Operation) -> Error {
        let detail = format!("no answer that counts within max.block.ms ({})", self.patience.as_millis());
        Error::new(operation, ErrorKind::Timeout, self.subject(), detail)
    }

    /// Says which two settings disagree, with the broker's value if it tells.
    async fn timeout_too_long(&self, error: Error) -> Error {
        let ours = self.timeout.as_millis();
        let theirs = self.max_timeout().await.map(|ms| format!(" ({ms})")).unwrap_or_default();
        let detail = format!(
            "transaction.timeout.ms ({ours}) is above the broker's transaction.max.timeout.ms{theirs}; lower the first or \
             raise the second"
        );
        error.with_detail(detail).with_recovery(Recovery::Reconfigure)
    }

    async fn max_timeout(&self) -> Option<String> {
        const BROKER: i8 = 4;
        let broker = self.cluster.coordinator(CoordinatorKind::Transaction, &self.id).await.ok()?;
        let resource = DescribeConfigsResource::default()
            .with_resource_type(BROKER)
            .with_resource_name(StrBytes::from_string(broker.0.to_string()))
            .with_configuration_keys(Some(vec![text("transaction.max.timeout.ms")]));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let call = Call {
            operation: Operation::Admin,
            target: Target::Broker(broker),
            request: &request,
            max_version: i16::MAX,
            is_idempotent: true,
            timeout: Duration::from_secs(5).min(self.patience),
            subject: &self.id,
        };
        let answer = self.cluster.call(call, |_| Verdict::Done).await.ok()?;
        let value = answer.results.first()?.configs.first()?.value.as_ref()?;
        Some(value.to_string())
    }
}

/// TV2 where the cluster has finalized it and this broker can end such a transaction.
fn transaction_version(connection: &Connection) -> TransactionVersion {
    let ends = connection.versions().negotiate(ApiKey::EndTxn).is_ok_and(|version| version >= 5);
    match connection.versions().finalized_feature("transaction.version") {
        2.. if ends => TransactionVersion::V2,
        _ => TransactionVersion::V1,
    }
}

fn offset_topics(offsets: &[(TopicPartition, OffsetAndMetadata)]) -> Vec<OffsetTopic> {
    let mut topics: BTreeMap<&str, Vec<OffsetRow>> = BTreeMap::new();
    for (tp, offset) in offsets {
        let row = OffsetRow::default()
            .with_partition_index(tp.partition)
            .with_committed_offset(offset.offset)
            .with_committed_leader_epoch(offset.leader_epoch)
            .with_committed_metadata(Some(text(&offset.metadata)));
        topics.entry(&tp.topic).or_default().push(row);
    }
    let topic = |(name, rows)| OffsetTopic::default().with_name(text(name).into()).with_partitions(rows);
    topics.into_iter().map(topic).collect()
}

/// The code that says most about why a request with many parts failed.
fn worst(codes: impl Iterator<Item = i16>) -> ErrorCode {
    let mut failed = codes.map(ErrorCode).filter(|code| !code.is_ok());
    let first = failed.next();
    // The others were not attempted because of the one that was.
    let telling = first.into_iter().chain(failed).find(|code| *code != ErrorCode::OPERATION_NOT_ATTEMPTED);
    telling.or(first).unwrap_or(ErrorCode::NONE)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

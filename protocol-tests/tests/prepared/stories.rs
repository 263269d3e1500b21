//! Stories of prepared transactions, told to real Kafka and to the in-memory broker alike: who ended it, and what we say.

use std::sync::Arc;
use std::time::Duration;

use milena::cluster::{Call, CoordinatorKind, Target, Verdict};
use milena::producer::{CommitOutcome, PreparedTransaction};
use milena::wire::batch::{BatchBuilder, ProducerStamp};
use milena::wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use milena::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use milena::wire::messages::{
    AddPartitionsToTxnRequest, InitProducerIdRequest, ProduceRequest, ProducerId, TopicName, TransactionalId,
};
use milena::wire::{Request, StrBytes};
use milena::{Client, ErrorCode, IsolationLevel, NewRecord, Operation, Position};
use milena::{ProducerIdentity, TopicPartition, TransactionVersion};

const PATIENCE: Duration = Duration::from_secs(20);

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A transactional id told by hand, whose topic is partition 0 of a topic of the same name.
pub(crate) struct Teller {
    pub(crate) client: Client,
    pub(crate) id: String,
    pub(crate) version: TransactionVersion,
}

impl Teller {
    /// On a new topic, which has the id's name.
    pub(crate) async fn new(client: &Client, id: &str, version: TransactionVersion) -> Teller {
        let topic =
            milena::admin::NewTopic { name: id.into(), partitions: 1, replication_factor: 1, configs: [].into() };
        client.admin().create_topic(&topic).await.unwrap();
        Teller { client: client.clone(), id: id.into(), version }
    }

    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(text(&self.id))
    }

    fn tp(&self) -> TopicPartition {
        TopicPartition::new(self.id.as_str(), 0)
    }

    async fn ask<Q: Request + Sync>(
        &self,
        target: Target,
        max_version: i16,
        request: &Q,
        code: impl Fn(&Q::Response) -> i16 + Send + Sync,
    ) -> Q::Response
    where
        Q::Response: Send,
    {
        let (operation, subject) = (Operation::Produce, self.id.as_str());
        let call = Call { operation, target, request, max_version, is_idempotent: false, timeout: PATIENCE, subject };
        self.client.cluster().call(call, |response| Verdict::of(ErrorCode(code(response)))).await.unwrap()
    }

    fn coordinator(&self) -> Target {
        Target::Coordinator(CoordinatorKind::Transaction, Arc::from(self.id.as_str()))
    }

    /// A new producer of the id, which fences the one before and aborts what it had open.
    pub(crate) async fn init(&self, timeout: Duration) -> ProducerIdentity {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.transactional_id()))
            .with_transaction_timeout_ms(i32::try_from(timeout.as_millis()).unwrap())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let answer = self.ask(self.coordinator(), i16::MAX, &request, |r| r.error_code).await;
        ProducerIdentity { producer_id: answer.producer_id.0, producer_epoch: answer.producer_epoch }
    }

    /// One record in the id's transaction.
    pub(crate) async fn write(&self, producer: ProducerIdentity, base_sequence: i32) {
        if self.version == TransactionVersion::V1 {
            let topic =
                AddPartitionsToTxnTopic::default().with_name(TopicName(text(&self.id))).with_partitions(vec![0]);
            let request = AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(self.transactional_id())
                .with_v3_and_below_producer_id(ProducerId(producer.producer_id))
                .with_v3_and_below_producer_epoch(producer.producer_epoch)
                .with_v3_and_below_topics(vec![topic]);
            let code = |r: &<AddPartitionsToTxnRequest as Request>::Response| {
                r.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
            };
            self.ask(self.coordinator(), 3, &request, code).await;
        }
        let mut builder = BatchBuilder::new(Vec::new(), 1 << 16);
        builder.append(&NewRecord::value(b"x"), 1_700_000_000_000).unwrap();
        let batch = builder.seal(ProducerStamp { producer, base_sequence, is_transactional: true });
        let data = PartitionProduceData::default().with_index(0).with_records(Some(batch.into()));
        let topic = TopicProduceData::default().with_name(TopicName(text(&self.id))).with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(Some(self.transactional_id()))
            .with_acks(-1)
            .with_timeout_ms(5000)
            .with_topic_data(vec![topic]);
        let metadata = self.client.cluster().topics(&[self.tp().topic], PATIENCE).await.unwrap();
        let leader = metadata.partition(&self.tp()).unwrap().leader.unwrap();
        // Producing at 12 is what adds the partition under version 2 (KIP-890).
        let max_version = if self.version == TransactionVersion::V1 { 11 } else { 12 };
        let code = |r: &<ProduceRequest as Request>::Response| r.responses[0].partition_responses[0].error_code;
        self.ask(Target::Broker(leader), max_version, &request, code).await;
    }

    /// What a process would have kept of a transaction of this producer with one record.
    pub(crate) fn kept(&self, producer: ProducerIdentity, timeout: Duration) -> PreparedTransaction {
        let now = (self.client.cluster().environment().wall_clock_ms)();
        PreparedTransaction {
            transactional_id: self.id.clone(),
            producer,
            transaction_version: self.version,
            started_at_ms: now,
            timeout,
            record_count: 1,
            partitions: vec![self.tp()],
        }
    }

    /// A transaction of one record, and the value that ends it, come back from its bytes.
    pub(crate) async fn prepared(&self, timeout: Duration) -> PreparedTransaction {
        let producer = self.init(timeout).await;
        self.write(producer, 0).await;
        PreparedTransaction::decode(&self.kept(producer, timeout).encode()).unwrap()
    }

    /// The id's state and producer epoch once it is not on its way to another.
    pub(crate) async fn settled(&self) -> (String, i16) {
        for _ in 0..200 {
            let found = self.client.admin().describe_transaction(&self.id).await.unwrap().unwrap();
            if !found.state.starts_with("Prepare") {
                return (found.state, found.producer.producer_epoch);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} never settles", self.id);
    }

    /// Offset after the last record that a reader of this level sees.
    pub(crate) async fn end(&self, isolation: IsolationLevel) -> i64 {
        let ends = self.client.admin().list_offsets(isolation, &[(self.tp(), Position::Latest)]).await.unwrap();
        ends[&self.tp()]
    }
}

pub(crate) fn lost(outcome: milena::Result<CommitOutcome>) -> String {
    match outcome.unwrap() {
        CommitOutcome::Lost(text) => text,
        other => panic!("{other:?}"),
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Every row of the table of what a coordinator answers, on topics and ids that begin with `name`.
pub(crate) async fn all(client: &Client, other_process: &Client, name: &str, version: TransactionVersion) {
    commit_by_another_process(client, other_process, &format!("{name}-commit"), version).await;
    abort(client, &format!("{name}-abort"), version).await;
    fenced(client, &format!("{name}-fenced"), version).await;
    timed_out(client, &format!("{name}-timeout"), version).await;
    empty_and_unknown(client, &format!("{name}-empty"), version).await;
    next_transaction_is_left_alone(client, &format!("{name}-next"), version).await;
}

async fn commit_by_another_process(client: &Client, other: &Client, id: &str, version: TransactionVersion) {
    let teller = Teller::new(client, id, version).await;
    let prepared = teller.prepared(MINUTE).await;
    assert_eq!(teller.end(IsolationLevel::ReadCommitted).await, 0, "{id}: nothing is visible yet");
    assert_eq!(other.commit_prepared(&prepared).await.unwrap(), CommitOutcome::Committed, "{id}");
    assert_eq!(client.commit_prepared(&prepared).await.unwrap(), CommitOutcome::Committed, "{id}: at once");
    assert_eq!(teller.settled().await.0, "CompleteCommit");
    assert_eq!(client.commit_prepared(&prepared).await.unwrap(), CommitOutcome::Committed, "{id}: later");
    assert_eq!(teller.end(IsolationLevel::ReadCommitted).await, 2, "{id}: the record and its marker");
    let error = client.abort_prepared(&prepared).await.unwrap_err();
    assert!(error.to_string().contains("is committed") && !error.is_retriable(), "{error}");
}

async fn abort(client: &Client, id: &str, version: TransactionVersion) {
    let teller = Teller::new(client, id, version).await;
    let prepared = teller.prepared(MINUTE).await;
    for _ in 0..3 {
        client.abort_prepared(&prepared).await.unwrap();
    }
    assert_eq!(teller.settled().await.0, "CompleteAbort");
    let text = lost(client.commit_prepared(&prepared).await);
    assert!(text.contains(id) && text.contains("CompleteAbort"), "{text}");
}

async fn fenced(client: &Client, id: &str, version: TransactionVersion) {
    let teller = Teller::new(client, id, version).await;
    let prepared = teller.prepared(MINUTE).await;
    teller.init(MINUTE).await;
    let text = lost(client.commit_prepared(&prepared).await);
    assert!(text.contains("PRODUCER_FENCED") && text.contains("1 records"), "{text}");
    client.abort_prepared(&prepared).await.unwrap();
}

async fn timed_out(client: &Client, id: &str, version: TransactionVersion) {
    let teller = Teller::new(client, id, version).await;
    let prepared = teller.prepared(Duration::from_secs(1)).await;
    let patience = tokio::time::Instant::now() + Duration::from_secs(30);
    while teller.settled().await.0 == "Ongoing" && tokio::time::Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(teller.settled().await.0, "CompleteAbort");
    let text = lost(client.commit_prepared(&prepared).await);
    assert!(text.contains("timeout of 1s") && text.contains("CompleteAbort"), "{text}");
    client.abort_prepared(&prepared).await.unwrap();
}

async fn empty_and_unknown(client: &Client, id: &str, version: TransactionVersion) {
    let teller = Teller::new(client, id, version).await;
    let empty = teller.kept(teller.init(MINUTE).await, MINUTE);
    let text = lost(client.commit_prepared(&empty).await);
    assert!(text.contains("INVALID_TXN_STATE") && text.contains("Empty"), "{text}");
    let unknown = PreparedTransaction { transactional_id: format!("{id}-never"), ..empty };
    let text = lost(client.commit_prepared(&unknown).await);
    assert!(text.contains("INVALID_PRODUCER_ID_MAPPING") && text.contains("does not know"), "{text}");
    client.abort_prepared(&unknown).await.unwrap();
}

/// Only version 2 tells two transactions apart: under version 1 the late commit would end the next one.
async fn next_transaction_is_left_alone(client: &Client, id: &str, version: TransactionVersion) {
    if version == TransactionVersion::V1 {
        return;
    }
    let teller = Teller::new(client, id, version).await;
    let first = teller.prepared(MINUTE).await;
    client.commit_prepared(&first).await.unwrap();
    let (state, producer_epoch) = teller.settled().await;
    assert_eq!((state.as_str(), producer_epoch), ("CompleteCommit", first.producer.producer_epoch + 1));
    let producer = ProducerIdentity { producer_epoch, ..first.producer };
    teller.write(producer, 0).await;
    // It was committed, but nobody can tell any more: calling it lost would be a lie.
    let late = client.commit_prepared(&first).await.unwrap_err();
    assert!(late.maybe_applied() && late.to_string().contains("cannot be told"), "{late}");
    assert_eq!(teller.settled().await, ("Ongoing".into(), producer_epoch), "it stays open");
    let second = teller.kept(producer, MINUTE);
    assert_eq!(client.commit_prepared(&second).await.unwrap(), CommitOutcome::Committed);
}

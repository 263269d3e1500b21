//! The Kafka sink as a user builds it: what it guarantees, under which ids, to which topic and partitions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::committer::{KafkaCommittable, KafkaCommitter, Unanswered};
use super::leases::{self, SLOTS, WriterLeases, doubts_of};
use super::route::{Partitioning, Route};
use super::slots::Slots;
use super::writer::{KafkaWriter, Mode, Plain};
use crate::client::Client;
use crate::config::ProducerConfig;
use crate::connection::BoxFuture;
use crate::connector::{Fenced, Records, Sink, TaskId};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::producer::TransactionalProducer;

/// What holds for a record after a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Guarantee {
    /// Nothing: it is sent, and a checkpoint does not wait for it.
    None,
    /// It is there, perhaps twice: a checkpoint waits for every acknowledgement.
    #[default]
    AtLeastOnce,
    /// It is there once, for readers with `isolation.level=read_committed`.
    ExactlyOnce,
}

/// Longest transaction asked for where the user names none and the broker allows it.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(900);

/// A transaction must outlive its checkpoint, the commit and a restart in between.
const INTERVALS_COVERED: u32 = 3;

/// Writes to Kafka; at least once unless told otherwise.
pub struct KafkaSink {
    client: Client,
    topic: Arc<str>,
    guarantee: Guarantee,
    id_prefix: Option<String>,
    transaction_timeout: Option<Duration>,
    partitioning: Partitioning,
    config: ProducerConfig,
    /// What `check` settled with the broker.
    negotiated: OnceLock<Duration>,
    /// Producers that `fence` made, until their writer takes them.
    fenced: Mutex<BTreeMap<String, TransactionalProducer>>,
    /// What the committer found out about requests of its own.
    unanswered: Unanswered,
}

impl fmt::Debug for KafkaSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KafkaSink({}, {:?})", self.topic, self.guarantee)
    }
}

impl KafkaSink {
    /// A sink whose records go to `topic`, where they name none themselves.
    pub fn new(client: Client, topic: impl Into<Arc<str>>) -> Self {
        KafkaSink {
            client,
            topic: topic.into(),
            guarantee: Guarantee::default(),
            id_prefix: None,
            transaction_timeout: None,
            partitioning: Partitioning::default(),
            config: ProducerConfig::default(),
            negotiated: OnceLock::new(),
            fenced: Mutex::default(),
            unanswered: Unanswered::default(),
        }
    }

    /// What holds for a record after a crash.
    pub fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.guarantee = guarantee;
        self
    }

    /// Exactly once, under transactional ids `prefix/writer#slot`. No other job may use the prefix on this cluster.
    pub fn exactly_once(mut self, id_prefix: impl Into<String>) -> Self {
        self.id_prefix = Some(id_prefix.into());
        self.guarantee(Guarantee::ExactlyOnce)
    }

    /// How long a transaction may stay open. Unset, it is what the broker allows, at most 15 minutes.
    pub fn transaction_timeout(mut self, timeout: Duration) -> Self {
        self.transaction_timeout = Some(timeout);
        self
    }

    /// How partitions are chosen.
    pub fn partitioning(mut self, partitioning: Partitioning) -> Self {
        self.partitioning = partitioning;
        self
    }

    /// Producer settings: batching, memory, acks. Transactional settings come from the sink's own.
    pub fn config(mut self, config: ProducerConfig) -> Self {
        self.config = config;
        self
    }

    fn prefix(&self) -> Result<&str> {
        let missing = || Error::invalid("id-prefix", "exactly once needs a transactional id prefix of its own");
        let prefix = self.id_prefix.as_deref().filter(|p| !p.is_empty()).ok_or_else(missing)?;
        if prefix.contains(['/', '#']) || prefix.len() > 200 {
            return Err(Error::invalid(
                "id-prefix",
                "must be at most 200 bytes, without `/` and `#`, which delimit slots",
            ));
        }
        Ok(prefix)
    }

    async fn check_transactions(&self, checkpoint_interval: Duration) -> Result<()> {
        self.prefix()?;
        let allowed = self.client.admin().broker_config("transaction.max.timeout.ms").await;
        // A principal that may not read configs still learns of a timeout too long, from InitProducerId's answer.
        let allowed = allowed.ok().flatten().and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
        let timeout = self.transaction_timeout.unwrap_or(LONGEST_TIMEOUT.min(allowed.unwrap_or(LONGEST_TIMEOUT)));
        check_timeout(timeout, allowed, checkpoint_interval)?;
        let _ = self.negotiated.set(timeout);
        Ok(())
    }

    fn producer_config(&self, transactional_id: Option<&str>) -> ProducerConfig {
        let negotiated = self.negotiated.get().copied();
        ProducerConfig {
            transactional_id: transactional_id.map(str::to_owned),
            transaction_timeout: negotiated.unwrap_or(self.config.transaction_timeout),
            ..self.config.clone()
        }
    }

    fn fenced(&self) -> MutexGuard<'_, BTreeMap<String, TransactionalProducer>> {
        self.fenced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_fenced(&self, id: &str) -> Result<TransactionalProducer> {
        let producer = self.fenced().remove(id);
        producer.ok_or_else(|| {
            Error::new(Operation::InitProducerId, ErrorKind::Closed, id, "was not fenced before its writer")
        })
    }
}

fn check_timeout(timeout: Duration, allowed: Option<Duration>, checkpoint_interval: Duration) -> Result<()> {
    let name = "transaction.timeout.ms";
    if let Some(allowed) = allowed.filter(|allowed| timeout > *allowed) {
        let detail = format!(
            "{} ms is above the broker's transaction.max.timeout.ms of {} ms; lower the one or raise the other",
            timeout.as_millis(),
            allowed.as_millis()
        );
        return Err(Error::invalid(name, detail));
    }
    if timeout < checkpoint_interval * INTERVALS_COVERED {
        let detail = format!(
            "{} ms does not cover {INTERVALS_COVERED} checkpoint intervals of {} ms: a transaction could time out between its \
             checkpoint and its commit; raise it or checkpoint more often",
            timeout.as_millis(),
            checkpoint_interval.as_millis()
        );
        return Err(Error::invalid(name, detail));
    }
    Ok(())
}

impl Sink for KafkaSink {
    type Batch = Box<dyn Records>;
    type Committable = KafkaCommittable;
    type State = WriterLeases;
    type Writer = KafkaWriter;
    type Committer = KafkaCommitter;

    fn check<'a>(&'a self, checkpoint_interval: Duration) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.client.admin().describe_topic(&self.topic).await?;
            match self.guarantee {
                Guarantee::ExactlyOnce => self.check_transactions(checkpoint_interval).await,
                Guarantee::None | Guarantee::AtLeastOnce => Ok(()),
            }
        })
    }

    fn deal(&self, restored: Vec<WriterLeases>, writers: u32) -> Vec<WriterLeases> {
        match (&self.id_prefix, self.guarantee) {
            (Some(prefix), Guarantee::ExactlyOnce) => {
                let fenced = self.fenced();
                leases::deal(prefix, &restored, writers, |id| fenced.contains_key(id))
            }
            _ => {
                let mut none = vec![WriterLeases::default(); usize::try_from(writers).unwrap_or(usize::MAX)];
                if let Some(first) = none.first_mut() {
                    first.retired = restored.iter().flat_map(WriterLeases::ids).cloned().collect();
                    first.asked = first.retired.clone();
                    first.doubtful = doubts_of(&restored);
                }
                none
            }
        }
    }

    fn fence<'a>(&'a self, states: &'a [WriterLeases]) -> BoxFuture<'a, Result<Fenced<WriterLeases>>> {
        Box::pin(async move {
            let mut running = Vec::new();
            for id in states.iter().flat_map(|state| &state.asked) {
                let (client, config) = (self.client.clone(), self.producer_config(Some(id)));
                running.push((id, tokio::spawn(async move { client.transactional_producer(config).await })));
            }
            let mut states = states.to_vec();
            for (id, task) in running {
                let ended = |e| Error::new(Operation::InitProducerId, ErrorKind::Closed, id, format!("{e}"));
                let producer = task.await.map_err(ended)??;
                match states.iter_mut().find(|state| state.asked.contains(id)) {
                    Some(state) if producer.has_late_init() => state.doubt(id),
                    _ => drop(self.fenced().insert(id.clone(), producer)),
                }
            }
            states.iter_mut().for_each(|state| (state.asked, state.retired) = Default::default());
            self.fenced().retain(|id, _| states.iter().any(|state| state.slots.contains(id)));
            let is_fit = |state: &WriterLeases| state.slots.len() == SLOTS || self.guarantee != Guarantee::ExactlyOnce;
            Ok(Fenced { is_settled: states.iter().all(is_fit), states })
        })
    }

    fn writer(&self, id: TaskId, state: WriterLeases) -> Result<KafkaWriter> {
        let route = Route { topic: self.topic.clone(), partitioning: self.partitioning, writer: id.0 };
        let mode = match self.guarantee {
            Guarantee::ExactlyOnce => {
                let producers = state.slots.iter().map(|id| self.take_fenced(id)).collect::<Result<Vec<_>>>()?;
                Mode::ExactlyOnce(Slots::new(state, producers, self.unanswered.clone()))
            }
            plain => {
                let producer = self.client.producer(self.producer_config(None))?;
                Mode::Plain(Plain::new(producer, plain == Guarantee::AtLeastOnce))
            }
        };
        Ok(KafkaWriter::new(route, mode))
    }

    fn committer(&self) -> KafkaCommitter {
        KafkaCommitter { client: self.client.clone(), unanswered: self.unanswered.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_the_broker_refuses_or_the_interval_outgrows_is_named_with_the_way_out() {
        let (s, ms) = (Duration::from_secs, Duration::from_millis);
        let e = check_timeout(s(3600), Some(s(900)), s(1)).unwrap_err().to_string();
        assert!(e.contains("3600000 ms") && e.contains("transaction.max.timeout.ms of 900000 ms"), "{e}");
        let e = check_timeout(s(60), Some(s(900)), s(30)).unwrap_err().to_string();
        assert!(e.contains("3 checkpoint intervals of 30000 ms"), "{e}");
        check_timeout(ms(300), None, ms(100)).unwrap();
    }
}

//! Commits prepared transactions in parallel, from any process: EndTxn needs nothing but the value.

use crate::client::Client;
use crate::connection::BoxFuture;
use crate::connector::versioned::put_bytes;
use crate::connector::{Committer, Decoder, Outcome, Versioned};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::producer::{CommitOutcome, PreparedTransaction};

/// A prepared transaction as a checkpoint keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KafkaCommittable(pub PreparedTransaction);

impl Versioned for KafkaCommittable {
    const VERSION: u8 = 1;

    /// The transaction's own encoding, which has a version and a checksum of its own.
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.0.encode());
    }

    fn decode(_version: u8, from: &mut Decoder<'_>) -> Result<Self> {
        PreparedTransaction::decode(from.bytes()?).map(KafkaCommittable)
    }
}

/// Commits on one cluster.
#[derive(Clone, Debug)]
pub struct KafkaCommitter {
    pub(super) client: Client,
}

impl Committer for KafkaCommitter {
    type Committable = KafkaCommittable;

    fn commit<'a>(&'a self, committables: &'a [KafkaCommittable]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let mut running = Vec::new();
            for KafkaCommittable(prepared) in committables {
                let (client, prepared) = (self.client.clone(), prepared.clone());
                running.push(tokio::spawn(async move { commit(&client, &prepared).await }));
            }
            let mut outcomes = Vec::new();
            for task in running {
                outcomes.push(task.await.unwrap_or_else(|e| {
                    Outcome::Retry(Error::new(
                        Operation::Commit,
                        ErrorKind::Closed,
                        "",
                        format!("the commit ended: {e}"),
                    ))
                }));
            }
            outcomes
        })
    }
}

async fn commit(client: &Client, prepared: &PreparedTransaction) -> Outcome {
    match client.commit_prepared(prepared).await {
        Ok(CommitOutcome::Committed) => Outcome::Committed,
        Ok(CommitOutcome::AlreadyCommitted) => Outcome::AlreadyCommitted,
        Ok(CommitOutcome::Lost(how)) => {
            let id = prepared.transactional_id.clone();
            Outcome::Lost(Error::new(Operation::Commit, ErrorKind::LostTransaction, id, how))
        }
        Err(error) if error.is_retriable() => Outcome::Retry(error),
        Err(error) => Outcome::Refused(error),
    }
}

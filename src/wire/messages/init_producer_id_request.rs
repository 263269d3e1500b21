//! InitProducerId requests, versions 0 to 6: 6 asks for two-phase commit (KIP-939).

use kafka_protocol::messages::{ProducerId, TransactionalId};

use super::rows::structs;
use super::top;

top::request!(InitProducerIdRequest => super::InitProducerIdResponse, key 22, versions (0..=6), flexible 2);

structs! {
    /// Versions 0 to 6.
    InitProducerIdRequest {
        /// The transactional id, or null if the producer is not transactional.
        transactional_id / with_transactional_id: Option<TransactionalId> [since(0).nullable(0)] = Some(Default::default());
        /// The time in ms to wait before aborting idle transactions sent by this producer.
        transaction_timeout_ms / with_transaction_timeout_ms: i32 [since(0)];
        /// The producer id.
        producer_id / with_producer_id: ProducerId [since(3)] = ProducerId(-1);
        /// The producer's current epoch.
        producer_epoch / with_producer_epoch: i16 [since(3)] = -1;
        /// True if the client wants to enable two-phase commit (2PC) protocol for transactions.
        enable2_pc / with_enable2_pc: bool [since(6)];
        /// True if the client wants to keep the currently ongoing transaction instead of aborting it.
        keep_prepared_txn / with_keep_prepared_txn: bool [since(6)];
    }
}

//! WriteTxnMarkers requests, versions 1 and 2: 2 says by which rules the transaction runs (KIP-1228).

use kafka_protocol::messages::ProducerId;

pub use kafka_protocol::messages::write_txn_markers_request::*;

use super::rows::{generated, structs};
use super::top;

top::request!(WriteTxnMarkersRequest => super::WriteTxnMarkersResponse, key 27, versions (1..=2), flexible 1);

generated!(1: WritableTxnMarkerTopic);

structs! {
    /// Versions 1 to 2.
    WriteTxnMarkersRequest {
        /// The transaction markers to be written.
        markers / with_markers: Vec<WritableTxnMarker> [since(0)];
    }

    /// The transaction markers to be written.
    WritableTxnMarker {
        /// The current producer ID.
        producer_id / with_producer_id: ProducerId [since(0)];
        /// The current epoch associated with the producer ID.
        producer_epoch / with_producer_epoch: i16 [since(0)];
        /// The result of the transaction to write to the partitions (false = ABORT, true = COMMIT).
        transaction_result / with_transaction_result: bool [since(0)];
        /// Each topic that we want to write transaction marker(s) for.
        topics / with_topics: Vec<WritableTxnMarkerTopic> [since(0)];
        /// Epoch associated with the transaction state partition hosted by this transaction coordinator.
        coordinator_epoch / with_coordinator_epoch: i32 [since(0)];
        /// Transaction version of the marker.
        transaction_version / with_transaction_version: i8 [since(2).ignorable()];
    }
}

//! WriteTxnMarkers answers, versions 1 and 2, laid out alike.

pub use kafka_protocol::messages::write_txn_markers_response::*;

use super::rows::{generated, structs};
use super::top;

top::response!(WriteTxnMarkersResponse, versions (1..=2), flexible 1);

generated!(1: WritableTxnMarkerResult);

structs! {
    /// Versions 1 to 2.
    WriteTxnMarkersResponse {
        /// The results for writing makers.
        markers / with_markers: Vec<WritableTxnMarkerResult> [since(0)];
    }
}

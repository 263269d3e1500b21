//! Which answers tell their throttle time first: those after which a broker expects silence (KIP-219).

use std::time::Duration;

use crate::wire::messages::ApiKey;

/// No broker throttles for longer by its own quota windows; a larger number is a fault, not a wish.
pub(super) const LONGEST: Duration = Duration::from_secs(120);

/// APIs whose answer begins with `throttle_time_ms`, and the version from which the client has to keep it
/// (`shouldClientThrottle` of Java's response classes). Produce has it at the end: the producer reports it.
static BEGINS_WITH_THROTTLE: &[(ApiKey, i16)] = &[
    (ApiKey::Fetch, 8),
    (ApiKey::ListOffsets, 3),
    (ApiKey::Metadata, 6),
    (ApiKey::OffsetCommit, 4),
    (ApiKey::OffsetFetch, 4),
    (ApiKey::FindCoordinator, 2),
    (ApiKey::CreateTopics, 3),
    (ApiKey::DeleteTopics, 2),
    (ApiKey::DeleteRecords, 1),
    (ApiKey::InitProducerId, 1),
    (ApiKey::AddPartitionsToTxn, 1),
    (ApiKey::AddOffsetsToTxn, 1),
    (ApiKey::EndTxn, 1),
    (ApiKey::TxnOffsetCommit, 1),
    (ApiKey::DescribeConfigs, 2),
    (ApiKey::CreatePartitions, 1),
    (ApiKey::DescribeTransactions, 0),
    (ApiKey::ListTransactions, 0),
];

/// How long the broker asks for silence, read off a response frame (without its length bytes); zero if it does not.
pub(super) fn of_answer(api_key: i16, version: i16, frame: &[u8]) -> Duration {
    let millis = throttle_ms(api_key, version, frame).unwrap_or(0);
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn throttle_ms(api_key: i16, version: i16, frame: &[u8]) -> Option<i32> {
    let key = ApiKey::try_from(api_key).ok()?;
    BEGINS_WITH_THROTTLE.iter().find(|(api, since)| *api == key && version >= *since)?;
    let body = match key.response_header_version(version) {
        0 => frame.get(4..)?,
        // A header with tagged fields would move the body; no broker sends one.
        _ => frame.get(4..)?.strip_prefix(&[0])?,
    };
    body.first_chunk().map(|b| i32::from_be_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: i16 = ApiKey::Metadata as i16;

    #[test]
    fn the_throttle_is_read_behind_either_header() {
        assert_eq!(of_answer(METADATA, 8, &[0, 0, 0, 7, 0, 0, 1, 0]), Duration::from_millis(256));
        assert_eq!(of_answer(METADATA, 9, &[0, 0, 0, 7, 0, 0, 0, 1, 0]), Duration::from_millis(256));
    }

    #[test]
    fn what_is_not_a_throttle_is_not_taken_for_one() {
        for frame in [&[0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff][..], &[0, 0, 0, 7, 0, 0], &[]] {
            assert_eq!(of_answer(METADATA, 8, frame), Duration::ZERO);
        }
        assert_eq!(of_answer(METADATA, 5, &[0, 0, 0, 7, 0, 0, 1, 0]), Duration::ZERO, "the broker waits itself");
        assert_eq!(of_answer(ApiKey::Produce as i16, 9, &[0, 0, 0, 7, 0, 0, 0, 1, 0]), Duration::ZERO);
        assert_eq!(of_answer(999, 0, &[0; 9]), Duration::ZERO);
    }
}

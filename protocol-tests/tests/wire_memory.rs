//! What decoding a peer's bytes may allocate, counted; one test in a binary of its own, so that nobody else is counted.

use std::alloc::System;

use bytes::{BufMut, Bytes, BytesMut};
use cap::Cap;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::{
    BrokerId, DeleteGroupsRequest, DeleteGroupsResponse, FetchRequest, FetchResponse, MetadataRequest, MetadataResponse,
};
use milena::wire::Request;
use milena::wire::frame::{decode_response, encode_response};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const MIB: usize = 1024 * 1024;

/// Frame length, bytes allocated in all while it was decoded (never less than the peak), and whether it was accepted.
fn decode<Q: Request>(version: i16, frame: Bytes) -> (usize, usize, bool) {
    let len = frame.len();
    let before = ALLOCATOR.total_allocated();
    let accepted = decode_response::<Q>(version, frame).is_ok();
    (len, ALLOCATOR.total_allocated() - before, accepted)
}

fn encoded<Q: Request>(version: i16, response: &Q::Response) -> Bytes {
    encode_response::<Q>(version, 1, response).expect("encodes").freeze().slice(4..)
}

fn fetch(partitions: i32) -> FetchResponse {
    let partition = |index| PartitionData::default().with_partition_index(index).with_records(Some(Bytes::new()));
    let topic = FetchableTopicResponse::default().with_partitions((0..partitions).map(partition).collect());
    FetchResponse::default().with_responses(vec![topic])
}

fn metadata(partitions: i32) -> MetadataResponse {
    let replicas = || (0..3).map(BrokerId).collect::<Vec<_>>();
    let partition = |index| {
        let partition = MetadataResponsePartition::default().with_partition_index(index);
        partition.with_replica_nodes(replicas()).with_isr_nodes(replicas())
    };
    let topic = MetadataResponseTopic::default().with_name(Some(milena::wire::StrBytes::from_static_str("t").into()));
    MetadataResponse::default().with_topics(vec![topic.with_partitions((0..partitions).map(partition).collect())])
}

/// An answer of `groups` groups, each with one tag nobody knows.
fn tagged(groups: u8) -> Bytes {
    let mut frame = BytesMut::from(&[0, 0, 0, 1, 0, 0, 0, 0, 0, groups + 1][..]);
    for _ in 0..groups {
        frame.put_slice(&[1, 0, 0, 1, 77, 0]);
    }
    frame.put_u8(0);
    frame.freeze()
}

/// What a broker from the future answers: a tag nobody knows yet in each of so many partitions.
fn fetch_from_the_future(partitions: i32) -> FetchResponse {
    let mut response = fetch(partitions);
    for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.unknown_tagged_fields.insert(77, Bytes::from_static(b"new"));
    }
    response
}

#[test]
fn decoding_allocates_no_more_than_the_guard_promises() {
    let bound = |len: usize| 8 * len + MIB;
    for partitions in [1, 100, 10_000, 100_000] {
        for version in [4, 12] {
            let frame = encoded::<FetchRequest>(version, &fetch(partitions));
            let (len, allocated, accepted) = decode::<FetchRequest>(version, frame);
            eprintln!("Fetch v{version}, {partitions} partitions: {len} bytes, {allocated} allocated");
            assert!(accepted && allocated <= bound(len), "{allocated} for {len}");
        }
        let (len, allocated, accepted) =
            decode::<MetadataRequest>(12, encoded::<MetadataRequest>(12, &metadata(partitions)));
        eprintln!("Metadata v12, {partitions} partitions: {len} bytes, {allocated} allocated");
        assert!(accepted && allocated <= bound(len), "{allocated} for {len}");
    }
    // The smallest elements there are, in rising numbers: what is refused costs nothing, what passes keeps the bound.
    let mut refused = 0;
    for groups in [1_000, 10_000, 20_000, 40_000, 80_000, 1_000_000] {
        let results = vec![DeletableGroupResult::default(); groups];
        let frame = encoded::<DeleteGroupsRequest>(2, &DeleteGroupsResponse::default().with_results(results));
        let (len, allocated, accepted) = decode::<DeleteGroupsRequest>(2, frame);
        eprintln!("DeleteGroups, {groups} groups: {len} bytes, {allocated} allocated, accepted: {accepted}");
        assert!(allocated <= if accepted { bound(len) } else { 4096 }, "{allocated} for {len}");
        refused += usize::from(!accepted);
    }
    assert!(refused > 0);
    // Tags nobody knows cost one copy of the frame, however many structs have them.
    let (len, allocated, accepted) = decode::<DeleteGroupsRequest>(2, tagged(100));
    eprintln!("100 unknown tags: {len} bytes, {allocated} allocated");
    assert!(accepted && allocated <= bound(len), "{allocated} for {len}");
    for partitions in [10_000, 20_000, 100_000] {
        let frame = encoded::<FetchRequest>(16, &fetch_from_the_future(partitions));
        let (len, allocated, accepted) = decode::<FetchRequest>(16, frame);
        eprintln!("Fetch v16, an unknown tag in each of {partitions} partitions: {len} bytes, {allocated} allocated");
        assert!(accepted && allocated <= bound(len), "{allocated} for {len}");
    }
    // Nine bytes that would reserve 412 GB.
    let frame = Bytes::from_static(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    let (_, allocated, accepted) = decode::<MetadataRequest>(9, frame);
    assert!(!accepted && allocated < 4096, "{allocated}");
}

//! Our own messages against the generated ones where both know a version, and against Kafka's rules where only ours do.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message, StrBytes};
use proptest::prelude::*;

use super::each::{Body, KEYS, Visit, visit};
use super::*;
use crate::wire::guard_tests::sample;
use crate::wire::schema::{Kind, Schema, Struct, snake_case};
use crate::wire::schema_table::SCHEMAS;
use crate::wire::{Direction, Request};

fn encode<M: Encodable>(message: &M, version: i16) -> Vec<u8> {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).unwrap_or_else(|e| panic!("v{version}: {e:#}"));
    out.to_vec()
}

fn agree<Ours: Body, Theirs: Message + Encodable + Decodable>(key: i16, direction: Direction) {
    for version in Theirs::VERSIONS.min..=Theirs::VERSIONS.max {
        for seed in 100..140 {
            let bytes = Bytes::from(sample(key, version, direction, seed));
            let ours = Ours::decode(&mut bytes.clone(), version).expect("ours reads it");
            let theirs = Theirs::decode(&mut bytes.clone(), version).expect("theirs reads it");
            assert_eq!(encode(&ours, version), encode(&theirs, version), "{key} v{version} {direction:?} {seed}");
        }
    }
}

#[test]
fn where_the_generated_codec_knows_the_version_our_bytes_are_its_bytes() {
    macro_rules! both {
        ($($request:ident $(=> $response:ident)?;)*) => {$(
            let key = $request::KEY;
            agree::<$request, theirs::$request>(key, Direction::Request);
            $(agree::<$response, theirs::$response>(key, Direction::Response);)?
        )*};
    }
    both! {
        ListOffsetsRequest => ListOffsetsResponse;
        OffsetCommitRequest;
        OffsetFetchRequest;
        ApiVersionsRequest => ApiVersionsResponse;
        InitProducerIdRequest;
        WriteTxnMarkersRequest => WriteTxnMarkersResponse;
        TxnOffsetCommitRequest => TxnOffsetCommitResponse;
        DescribeLogDirsRequest => DescribeLogDirsResponse;
        DeleteGroupsRequest => DeleteGroupsResponse;
        ShareFetchRequest => ShareFetchResponse;
        ShareAcknowledgeRequest => ShareAcknowledgeResponse;
        AddRaftVoterRequest => AddRaftVoterResponse;
        DescribeShareGroupOffsetsRequest => DescribeShareGroupOffsetsResponse;
    }
}

/// The modules of our own messages, each with the rows of its structs.
macro_rules! rows_of {
    ($($module:ident)*) => { [$((stringify!($module), $module::ROWS)),*] };
}

/// Every struct of the message, the message itself first.
fn structs_of(message: &Schema) -> Vec<&'static Struct> {
    let mut found = vec![message.root()];
    let mut next = 0;
    while let Some(of) = found.get(next) {
        let inner = of.fields().iter().filter_map(|field| match field.kind {
            Kind::Struct(index) => Some(Struct::at(index)),
            _ => None,
        });
        found.extend(inner.collect::<Vec<_>>());
        next += 1;
    }
    found
}

/// Bytes alone would not show two neighbours of one type under each other's names.
#[test]
fn our_fields_have_kafkas_names_in_kafkas_order() {
    let modules = rows_of! {
        add_raft_voter_request add_raft_voter_response api_versions_request api_versions_response
        delete_groups_request delete_groups_response describe_log_dirs_request describe_log_dirs_response
        describe_share_group_offsets_request describe_share_group_offsets_response init_producer_id_request
        list_offsets_request list_offsets_response offset_commit_request offset_fetch_request
        share_acknowledge_request share_acknowledge_response share_fetch_request share_fetch_response
        streams_group_describe_request streams_group_describe_response streams_group_heartbeat_request
        streams_group_heartbeat_response streams_group_topology_description_update_request
        streams_group_topology_description_update_response txn_offset_commit_request txn_offset_commit_response
        unregister_controller_request unregister_controller_response write_txn_markers_request
        write_txn_markers_response
    };
    let ours = include_str!("mod.rs").lines().filter(|line| line.starts_with("pub mod ") && !line.contains("each"));
    assert_eq!(modules.len(), ours.count(), "every module of ours");
    for (module, rows) in modules {
        let name_of = |schema: &Schema| format!("{}{:?}", schema.name(), schema.direction);
        let schema = SCHEMAS.iter().find(|schema| snake_case(&name_of(schema)) == module).expect(module);
        let names = |of: &Struct| of.fields().iter().map(|field| snake_case(field.name())).collect::<Vec<_>>();
        let known: Vec<_> = structs_of(schema).into_iter().map(names).collect();
        for (name, fields) in rows {
            let is_known =
                if *name == name_of(schema) { &known[0] == fields } else { known[1..].iter().any(|of| of == fields) };
            assert!(is_known, "{module}, {name}: {fields:?} are not among {known:#?}");
        }
    }
}

struct Sizes;

impl Visit for Sizes {
    type Output = ();

    fn visit<Q: Request<Response: Body> + Body>(self) {
        fn size<M: Body>(key: i16, direction: Direction) {
            for version in M::VERSIONS.min..=M::VERSIONS.max {
                let mut bytes = Bytes::from(sample(key, version, direction, 5));
                let message = M::decode(&mut bytes, version).expect("a sample");
                let size = message.compute_size(version).expect("a size");
                assert_eq!(size, encode(&message, version).len(), "{key} v{version} {direction:?}");
            }
        }
        size::<Q>(Q::KEY, Direction::Request);
        size::<Q::Response>(Q::KEY, Direction::Response);
    }
}

#[test]
fn the_size_told_is_the_size_written() {
    KEYS.iter().for_each(|key| visit(*key, Sizes).expect("types"));
}

#[test]
fn from_10_on_a_commit_goes_by_topic_id_alone() {
    let partition = offset_commit_request::OffsetCommitRequestPartition::default()
        .with_partition_index(3)
        .with_committed_offset(5)
        .with_committed_metadata(None);
    let topic = offset_commit_request::OffsetCommitRequestTopic::default()
        .with_name(TopicName("named".into()))
        .with_topic_id(uuid::Uuid::from_bytes([7; 16]))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default().with_group_id(GroupId("g".into())).with_topics(vec![topic]);
    let head = [&[2, b'g'][..], &[0xff; 4], &[1, 0, 2]].concat();
    let tail = [&[2][..], &3i32.to_be_bytes(), &5i64.to_be_bytes(), &[0xff; 4], &[0, 0, 0, 0]].concat();
    assert_eq!(encode(&request, 10), [&head[..], &[7; 16], &tail].concat());
    assert_eq!(encode(&request, 9), [&head[..], b"\x06named", &tail].concat());
}

#[test]
fn a_struct_that_may_be_null_says_whether_it_is() {
    let none = encode(&StreamsGroupHeartbeatRequest::default(), 1);
    let topology = streams_group_heartbeat_request::Topology::default().with_epoch(9);
    let some = encode(&StreamsGroupHeartbeatRequest::default().with_topology(Some(topology)), 1);
    // Two empty strings, two epochs, two nulls and a timeout stand before it.
    assert_eq!(none[16..17], [0xff]);
    assert_eq!(some[16..23], [1, 0, 0, 0, 9, 1, 0]);
    assert_eq!(none[17..], some[23..]);
    let mut marked = none.clone();
    marked[16] = 2;
    let error = StreamsGroupHeartbeatRequest::decode(&mut Bytes::from(marked), 1).expect_err("neither null nor there");
    assert_eq!(format!("{error:#}"), "topology: nullable struct marked 2");
}

fn refusal<M: Encodable>(message: M, version: i16) -> String {
    format!("{:#}", message.encode(&mut BytesMut::new(), version).expect_err("refused"))
}

#[test]
fn what_a_version_cannot_carry_is_refused_unless_kafka_lets_it_go() {
    let member: StrBytes = "m".into();
    let lacks = |field, version| format!("{field} is set, which version {version} lacks");
    assert_eq!(refusal(InitProducerIdRequest::default().with_enable2_pc(true), 5), lacks("enable2_pc", 5));
    assert_eq!(refusal(InitProducerIdRequest::default().with_producer_id(7.into()), 2), lacks("producer_id", 2));
    assert_eq!(refusal(OffsetFetchRequest::default().with_require_stable(true), 6), lacks("require_stable", 6));
    assert_eq!(refusal(ShareFetchRequest::default().with_is_renew_ack(true), 1), lacks("is_renew_ack", 1));
    assert_eq!(
        refusal(AddRaftVoterRequest::default().with_ack_when_committed(false), 0),
        lacks("ack_when_committed", 0)
    );
    assert_eq!(refusal(TxnOffsetCommitRequest::default().with_member_id(member), 2), lacks("member_id", 2));
    let all = OffsetFetchRequest::default().with_topics(None);
    assert_eq!(refusal(all, 1), "topics: null, which version 1 does not allow");
    assert_eq!(refusal(DeleteGroupsRequest::default(), 4), "version 4 is not within 0..3");
    let long = "x".repeat(32_768).into();
    assert!(
        refusal(ShareFetchRequest::default().with_member_id(Some(long)), 1).starts_with("member_id: a string longer")
    );

    let group = delete_groups_response::DeletableGroupResult::default().with_error_message(Some("why".into()));
    let bare = delete_groups_response::DeletableGroupResult::default();
    let groups = |group| DeleteGroupsResponse::default().with_results(vec![group]);
    assert_eq!(encode(&groups(group), 2), encode(&groups(bare), 2), "a message that is only told since 3");
}

#[test]
fn tags_nobody_knows_are_kept_and_written_again() {
    let request = DeleteGroupsRequest::default().with_unknown_tagged_field(5, Bytes::from_static(b"new"));
    let bytes = encode(&request, 2);
    assert_eq!(bytes, b"\x01\x01\x05\x03new");
    assert_eq!(DeleteGroupsRequest::decode(&mut Bytes::from(bytes), 2).expect("reads"), request);
    let features = ApiVersionsResponse::default().with_finalized_features_epoch(1).with_zk_migration_ready(true);
    let bytes = encode(&features.with_unknown_tagged_field(9, Bytes::new()), 5);
    assert_eq!(bytes, b"\0\0\x01\0\0\0\0\x03\x01\x08\0\0\0\0\0\0\0\x01\x03\x01\x01\x09\0");
}

proptest! {
    /// Ours are held to this without the guard in front; the generated ones could not be.
    #[test]
    fn no_bytes_make_a_struct_of_ours_panic_or_believe_a_count(bytes: Vec<u8>, version in 0i16..=10) {
        fn read<M: Decodable>(bytes: &[u8], version: i16) {
            let _ = M::decode(&mut Bytes::copy_from_slice(bytes), version);
        }
        read::<InitProducerIdRequest>(&bytes, version);
        read::<DeleteGroupsRequest>(&bytes, version);
        read::<DeleteGroupsResponse>(&bytes, version);
        read::<DescribeShareGroupOffsetsResponse>(&bytes, version);
        read::<StreamsGroupHeartbeatRequest>(&bytes, version);
        read::<StreamsGroupHeartbeatResponse>(&bytes, version);
        read::<StreamsGroupDescribeResponse>(&bytes, version);
        read::<StreamsGroupTopologyDescriptionUpdateRequest>(&bytes, version);
    }
}

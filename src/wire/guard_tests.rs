//! Every message of every version we speak passes the guard whole, and nothing else makes anybody panic.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, Request};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt::Debug;

use super::api::api_by_number;
use super::guard::{check, readable};
use super::messages::each::{self, Body, KEYS, Visit};
use super::schema::{Field, Kind, Schema, Struct};
use super::schema_table::SCHEMAS;
use super::{Direction, Malformed};

/// Calls `$visit` for both messages of each API.
macro_rules! each_api {
    ($visit:ident) => {{
        struct Both;
        impl Visit for Both {
            type Output = ();

            fn visit<Q: Request<Response: Body> + Body>(self) {
                $visit::<Q>(Q::KEY, Direction::Request);
                $visit::<Q::Response>(Q::KEY, Direction::Response);
            }
        }
        KEYS.iter().for_each(|key| each::visit(*key, Both).expect("types"));
    }};
}

trait Message: Encodable + Decodable + Default + PartialEq + Debug {}
impl<M: Encodable + Decodable + Default + PartialEq + Debug> Message for M {}

fn versions(key: i16) -> std::ops::RangeInclusive<i16> {
    let api = api_by_number(key).expect("a row");
    api.min..=api.max
}

fn encode<M: Message>(message: &M, version: i16) -> Vec<u8> {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).expect("encodes");
    out.to_vec()
}

/// Decodes what the guard lets through; the decoder must use every byte.
fn decode<M: Message>(key: i16, version: i16, direction: Direction, body: &[u8]) -> Result<M, Malformed> {
    check(key, version, direction, body)?;
    let mut bytes = readable(key, version, direction, Bytes::copy_from_slice(body))?;
    let message = M::decode(&mut bytes, version);
    let message = message.unwrap_or_else(|e| panic!("{key} v{version} {direction:?}: guard passed, decoder: {e}"));
    assert!(bytes.is_empty(), "{key} v{version} {direction:?}: {} bytes left", bytes.len());
    Ok(message)
}

/// Writes a message of random values by its schema.
struct Sampler {
    rng: StdRng,
    version: i8,
    flexible: bool,
    out: BytesMut,
}

pub(super) fn sample(key: i16, version: i16, direction: Direction, seed: u64) -> Vec<u8> {
    let schema: &Schema =
        SCHEMAS.iter().find(|s| (s.api_key, s.direction) == (key, direction)).expect("a schema for every row");
    let version = version as i8;
    let flexible = schema.flexible.contains(version);
    let rng = StdRng::seed_from_u64(seed);
    let mut sampler = Sampler { rng, version, flexible, out: BytesMut::new() };
    sampler.structure(schema.root());
    sampler.out.to_vec()
}

impl Sampler {
    fn structure(&mut self, of: &Struct) {
        let fields = of.fields();
        let version = self.version;
        for field in fields.iter().filter(|f| f.versions.contains(version)) {
            if !field.is_tagged(self.version) {
                self.value(field);
            }
        }
        if self.flexible {
            self.tags(
                fields.iter().filter(|f| f.is_tagged(self.version) && f.versions.contains(self.version)).collect(),
            );
        }
    }

    fn tags(&mut self, mut known: Vec<&Field>) {
        known.retain(|_| self.rng.random());
        known.sort_by_key(|f| f.tag);
        let unknown = self.rng.random_bool(0.2);
        self.uvarint(known.len() as u32 + u32::from(unknown));
        for field in known {
            let before = std::mem::take(&mut self.out);
            self.value(field);
            let value = std::mem::replace(&mut self.out, before);
            self.uvarint(u32::from(field.tag));
            self.uvarint(value.len() as u32);
            self.out.put_slice(&value);
        }
        if unknown {
            self.uvarint(5000);
            self.uvarint(3);
            self.out.put_slice(b"new");
        }
    }

    fn value(&mut self, field: &Field) {
        let null = field.nullable.contains(self.version) && self.rng.random_bool(0.2);
        let is_struct = matches!(field.kind, Kind::Struct(_));
        match () {
            () if field.is_array => self.array(field.kind, null),
            () if is_struct && null => self.out.put_i8(-1),
            () if is_struct && field.nullable.contains(self.version) => {
                self.out.put_i8(1);
                self.single(field.kind, false);
            }
            () => self.single(field.kind, null),
        }
    }

    fn array(&mut self, kind: Kind, null: bool) {
        let count = self.rng.random_range(0..4);
        self.length(if null { None } else { Some(count) });
        for _ in 0..if null { 0 } else { count } {
            self.single(kind, false);
        }
    }

    fn single(&mut self, kind: Kind, null: bool) {
        let len = self.rng.random_range(0..9u32);
        match kind {
            Kind::Fixed(of) if of.size() == 1 => self.out.put_u8(self.rng.random_range(0..2)),
            Kind::Fixed(of) => (0..of.size()).for_each(|_| self.out.put_u8(self.rng.random_range(0..64))),
            Kind::Struct(index) => self.structure(Struct::at(index)),
            Kind::String if !self.flexible => self.out.put_i16(if null { -1 } else { len as i16 }),
            Kind::String | Kind::Bytes | Kind::Records => self.length(if null { None } else { Some(len) }),
        }
        if matches!(kind, Kind::String | Kind::Bytes | Kind::Records) && !null {
            (0..len).for_each(|_| self.out.put_u8(self.rng.random_range(b'a'..=b'z')));
        }
    }

    fn length(&mut self, len: Option<u32>) {
        match len {
            len if self.flexible => self.uvarint(len.map_or(0, |l| l + 1)),
            len => self.out.put_i32(len.map_or(-1, |l| l as i32)),
        }
    }

    fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }
}

#[test]
fn the_default_of_every_message_passes_and_returns() {
    fn visit<M: Message>(key: i16, direction: Direction) {
        for version in versions(key) {
            let message = M::default();
            let mut out = BytesMut::new();
            // Some defaults mean "not set" to a newer version and cannot be carried by it; the samples cover those.
            if message.encode(&mut out, version).is_ok() {
                let back = decode::<M>(key, version, direction, &out).expect("the guard accepts it");
                assert_eq!(encode(&back, version), out.to_vec(), "{key} v{version} {direction:?}");
            }
        }
    }
    each_api!(visit);
}

#[test]
fn sampled_messages_of_every_version_pass_and_return() {
    fn visit<M: Message>(key: i16, direction: Direction) {
        for version in versions(key) {
            for seed in 0..20 {
                let body = sample(key, version, direction, seed);
                let message = decode::<M>(key, version, direction, &body).expect("the guard accepts it");
                let again = encode(&message, version);
                let back = decode::<M>(key, version, direction, &again).expect("and what the codec makes of it");
                assert_eq!(back, message, "{key} v{version} {direction:?} seed {seed}");
            }
        }
    }
    each_api!(visit);
}

#[test]
fn no_cut_message_passes() {
    fn visit<M: Message>(key: i16, direction: Direction) {
        for version in versions(key) {
            let body = sample(key, version, direction, 1);
            for len in 0..body.len() {
                let fault = check(key, version, direction, &body[..len]).expect_err("cut short");
                assert!(fault.offset <= len, "{fault}");
            }
        }
    }
    each_api!(visit);
}

#[test]
fn flipped_bits_and_wild_bytes_never_panic_and_decode_if_they_pass() {
    fn visit<M: Message>(key: i16, direction: Direction) {
        for version in versions(key) {
            let body = sample(key, version, direction, 2);
            let body = &body[..];
            for at in 0..body.len().min(200) {
                let wild = [0x00, 0x7f, 0x80, 0xff].into_iter();
                for byte in (0..8).map(|bit| body[at] ^ (1 << bit)).chain(wild) {
                    let mut changed = body.to_vec();
                    changed[at] = byte;
                    let _ = decode::<M>(key, version, direction, &changed);
                }
            }
        }
    }
    each_api!(visit);
}

fn fault(key: ApiKey, version: i16, body: &[u8]) -> String {
    check(key as i16, version, Direction::Response, body).expect_err("malformed").to_string()
}

#[test]
fn counts_beyond_the_bytes_are_refused_by_name() {
    let throttle = [0u8; 4];
    let classic = |count: i32| [&throttle[..], &count.to_be_bytes(), &[0; 40]].concat();
    let fetch = "Fetch v4 Response at byte 8 (responses)";
    assert_eq!(fault(ApiKey::Fetch, 4, &classic(-2)), format!("{fetch}: array of length -2"));
    assert_eq!(fault(ApiKey::Fetch, 4, &classic(-1)), format!("{fetch}: array is null where it must not be"));
    let most = format!("{fetch}: array of 2147483647 elements in 40 bytes");
    assert_eq!(fault(ApiKey::Fetch, 4, &classic(i32::MAX)), most);
    assert_eq!(fault(ApiKey::Fetch, 4, &classic(14)), format!("{fetch}: array of 14 elements in 40 bytes"));
    // The nine bytes that make the bare decoder ask for 412 GB.
    let nine = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(fault(ApiKey::Metadata, 9, &nine).contains("(brokers): array of 4294967294 elements in 0 bytes"));
}

#[test]
fn a_fault_inside_nested_arrays_tells_its_path() {
    // Two topics, the second with one partition whose replica count is a lie.
    let mut body = BytesMut::new();
    body.put_i32(0);
    body.put_i16(-1);
    body.put_i32(-1);
    body.put_i32(2);
    for count in [0, 1] {
        body.put_slice(&[0, 0, 0, 1, b't', 0]);
        body.put_i32(count);
    }
    body.put_slice(&[0; 10]);
    body.put_i32(1_000);
    body.put_slice(&[0; 8]);
    let mut v2 = vec![0, 0, 0, 0];
    v2.extend_from_slice(&body[4..]);
    let told = fault(ApiKey::Metadata, 2, &v2);
    assert!(told.contains("(topics[1].partitions[0].replicaNodes): array of 1000 elements in 8 bytes"), "{told}");
}

#[test]
fn tags_are_held_to_their_sizes_and_their_number() {
    let finalized_epoch = |size: u8| [&[0, 0, 1, 0, 0, 0, 0, 1, 1, size][..], &[0; 8]].concat();
    let key = ApiKey::ApiVersions;
    assert!(check(key as i16, 3, Direction::Response, &finalized_epoch(8)).is_ok());
    assert!(fault(key, 3, &finalized_epoch(7)).contains("(finalizedFeaturesEpoch): tag 1 of 7 bytes holds 8"));
    let million = [&[0, 0, 1, 0, 0, 0, 0, 0xc0, 0x84, 0x3d][..], &vec![9; 2_000_000]].concat();
    assert!(fault(key, 3, &million).contains("1000000 tagged fields"));
}

#[test]
fn a_tag_that_another_version_has_is_refused_by_name() {
    // The cluster id of a Fetch request is tag 0 from version 12 on, the replica's state tag 1 from version 15 on.
    let body = |tags: &[u8]| [&[0xff; 4][..], &[0; 21], &[1, 1, 1], tags].concat();
    let fetch = |tags: &[u8]| check(ApiKey::Fetch as i16, 12, Direction::Request, &body(tags));
    assert_eq!(fetch(&[1, 0, 2, 2, b'c']), Ok(()));
    let fault = fetch(&[1, 1, 2, 2, b'c']).expect_err("version 15 has it");
    assert_eq!((fault.path.as_str(), fault.reason.as_str()), ("replicaState", "tag 1 is not valid for version 12"));
}

#[test]
fn a_decoder_gets_the_body_without_the_tags_nobody_knows() {
    let read = |body: &[u8]| readable(ApiKey::ApiVersions as i16, 3, Direction::Response, Bytes::copy_from_slice(body));
    let head = [0, 0, 2, 0, 1, 0, 0, 0, 9];
    // Unknown tags in an element, in a tagged value, before, between and behind the known ones, and a count in two bytes where one would do.
    let tagged = [&head[..], &[2, 77, 1, 5, 78, 0], &[0, 0, 0, 1]].concat();
    let epoch = [1, 8, 0, 0, 0, 0, 0, 0, 0, 7];
    let features = |tags: &[u8]| [&[2, 2, b'f', 0, 1, 0, 2][..], tags].concat();
    let supported = [&[0, 10][..], &features(&[1, 99, 0])].concat();
    let tags = [&[0x85, 0][..], &[50, 2, 1, 2], &supported, &epoch, &[60, 0], &[3, 1, 1]].concat();
    let supported = [&[0, 8][..], &features(&[0])].concat();
    let expected = [&head[..], &[0], &[0, 0, 0, 1], &[3], &supported, &epoch, &[3, 1, 1]].concat();
    assert_eq!(read(&[&tagged[..], &tags].concat()).expect("sound"), expected);
    assert_eq!(read(&expected).expect("sound"), expected);
    let body = Bytes::from(expected);
    let same = readable(ApiKey::ApiVersions as i16, 3, Direction::Response, body.clone()).expect("sound");
    assert_eq!(same.as_ptr(), body.as_ptr(), "what has none is not copied");
}

#[test]
fn unknown_tags_in_every_struct_of_a_large_message_are_read_past() {
    let groups = 20_000u32;
    // Each a group without name or error, with one tag.
    let mut body = BytesMut::new();
    body.put_i32(0);
    body.put_slice(&[0xa1, 0x9c, 0x01]);
    assert_eq!(0x21 + (0x1c << 7) + (1 << 14), groups + 1);
    for _ in 0..groups {
        body.put_slice(&[1, 0, 0, 1, 77, 9]);
        body.put_slice(b"from 2030");
    }
    body.put_u8(0);
    let read = readable(ApiKey::DeleteGroups as i16, 2, Direction::Response, body.freeze()).expect("sound");
    assert_eq!(read.len(), 4 + 3 + 4 * groups as usize + 1);
}

#[test]
fn small_elements_in_great_numbers_are_refused() {
    let count = 1_000_000u32;
    let mut body = BytesMut::new();
    body.put_i32(0);
    body.put_slice(&[0xc1, 0x84, 0x3d]);
    // A group without name is 4 bytes here and 64 in memory.
    for _ in 0..count {
        body.put_slice(&[1, 0, 0, 0]);
    }
    body.put_u8(0);
    assert!(fault(ApiKey::DeleteGroups, 2, &body).contains("larger than 8 times"));
}

#[test]
fn versions_without_schema_are_refused() {
    for (key, version) in [(1, 3), (1, 19), (1, 200), (1, -1), (9999, 0), (-1, 0)] {
        let fault = check(key, version, Direction::Request, &[]).expect_err("unknown");
        assert_eq!(fault.reason, "no schema for this version");
    }
}

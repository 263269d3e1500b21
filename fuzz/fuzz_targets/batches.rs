//! The records of a fetched partition, read to the last header as if their checksums had been right.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol_tests::hostile::{Target, feed};

fuzz_target!(|data: &[u8]| {
    feed(Target::Batches, Bytes::copy_from_slice(data));
});

//! snappy, both ways: what a peer sends keeps to the limit, what was written comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use milena::wire::batch::Compression;
use protocol_tests::hostile::there_and_back;

fuzz_target!(|data: &[u8]| there_and_back(Compression::Snappy, data));

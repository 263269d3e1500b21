//! Every answer a client can get: the first two bytes choose API and version, the rest is the body.
//!
//! What is read is written again and reads the same; the JSON reader takes it too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use milena::wire::Direction;
use protocol_tests::hostile::chosen;

fuzz_target!(|data: &[u8]| {
    if let Some(message) = chosen(Direction::Response, data) {
        message.round_trip();
    }
});

//! Every request our broker can get: the first two bytes choose API and version, the rest is the body.
//!
//! What is read is written again and reads the same; the JSON reader takes it too. Half of the inputs are lies about
//! others, told by the schema table as in the hostile suite.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use milena::wire::Direction;
use protocol_tests::hostile::{chosen, lied_about};

fuzz_target!(|data: &[u8]| {
    if let Some(message) = chosen(Direction::Request, data) {
        message.round_trip();
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let lied = if seed % 2 == 0 { lied_about(Direction::Request, &mut data[..max_size], size, seed) } else { None };
    lied.unwrap_or_else(|| fuzzer_mutate(data, size, max_size))
});

//! A byte stream cut into frames and read as a broker reads them, until the stream is lost.
#![no_main]

use bytes::{Buf, Bytes};
use libfuzzer_sys::fuzz_target;
use milena::wire::frame::{MAX_FRAME_BYTES, frame_len};
use protocol_tests::hostile::{Target, feed};

fuzz_target!(|data: &[u8]| {
    let mut stream = Bytes::copy_from_slice(data);
    while let Some(prefix) = stream.first_chunk() {
        let Ok(len) = frame_len(*prefix, MAX_FRAME_BYTES) else { return };
        stream.advance(4);
        if stream.len() < len {
            return;
        }
        feed(Target::Request, stream.split_to(len));
    }
});

//! One frame into the reader it is meant for, as client and broker read it.

use std::cell::RefCell;

use bytes::Bytes;
use milena::wire::api::api_by_number;
use milena::wire::batch::Batches;
use milena::wire::codec::Decompressor;
use milena::wire::frame::{decode_request, decode_request_header, decode_response};
use milena::wire::messages::each::{self, Body, Visit};
use milena::wire::{Direction, Malformed, Request, json};

use super::JSON_FACTOR;

/// The most that a batch may decompress to here. The smaller, the more frames a second.
pub const LARGEST_BATCH: usize = 256 * 1024;

thread_local! {
    /// Kept from frame to frame, as a consumer keeps its own.
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new(LARGEST_BATCH));
}

/// Who reads a frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Target {
    /// A broker: the header says what the body is.
    Request,
    /// A client that asked for this API at this version.
    Response {
        /// The API's number.
        key: i16,
        /// The version it was asked at.
        version: i16,
    },
    /// Whoever iterates over fetched records.
    Batches,
}

struct AsRequest(i16, Bytes);

impl Visit for AsRequest {
    type Output = Result<(), Malformed>;

    fn visit<Q: Request<Response: Body> + Body>(self) -> Self::Output {
        decode_request::<Q>(self.0, self.1).map(drop)
    }
}

struct AsResponse(i16, Bytes);

impl Visit for AsResponse {
    type Output = Result<(), Malformed>;

    fn visit<Q: Request<Response: Body> + Body>(self) -> Self::Output {
        decode_response::<Q>(self.0, self.1).map(drop)
    }
}

/// Reads `frame` to its end or its first fault. Whether it was sound; and, if it was not, that the fault lies within it.
pub fn feed(target: Target, frame: Bytes) -> bool {
    match target {
        Target::Batches => DECOMPRESSOR.with_borrow_mut(|decompressor| batches(frame, decompressor)),
        message => read_message(message, frame).is_ok(),
    }
}

/// Reads a frame that is no batch. What is wrong with it lies within it.
pub fn read_message(target: Target, frame: Bytes) -> Result<(), Malformed> {
    let len = frame.len();
    let read = match target {
        Target::Request => request(frame),
        Target::Response { key, version } => each::visit(key, AsResponse(version, frame)).expect("types"),
        Target::Batches => panic!("batches are no message"),
    };
    if let Err(fault) = &read {
        assert!(fault.offset <= len, "{fault} lies beyond {len} bytes");
    }
    read
}

/// Has the readers that know the schema table alone read the message in `frame`, as nothing has checked it before: as JSON,
/// and row by row. Whether there was one to read: there is none in batches, nor behind what is no header.
///
/// What `peak` counts of each is held to its bound, and a fault to lie within the message.
pub fn tell(target: Target, frame: &Bytes, peak: fn(&mut dyn FnMut()) -> usize) -> bool {
    const MIB: usize = 1024 * 1024;
    let Some((key, version, direction, body)) = message(target, frame) else { return false };
    let mut faults = [None, None];
    let told = peak(&mut || faults[0] = json::decode(key, version, direction, &body).err());
    let rows = peak(&mut || faults[1] = json::dump(key, version, direction, &body, &mut |_| ()).err());
    let len = body.len();
    assert!(told <= JSON_FACTOR * len + MIB, "{told} bytes allocated for JSON of {len}");
    assert!(rows <= 2 * len + 2 * MIB, "{rows} bytes allocated to dump {len}");
    for fault in faults.iter().flatten() {
        assert!(fault.offset <= len, "{fault} lies beyond {len} bytes");
    }
    true
}

/// API, version, direction and body of the message in `frame`; the header of an answer is taken for one without tags.
fn message(target: Target, frame: &Bytes) -> Option<(i16, i16, Direction, Bytes)> {
    match target {
        Target::Request => {
            let (header, body) = decode_request_header(frame.clone()).ok()?;
            Some((header.api_key, header.api_version, Direction::Request, body))
        }
        Target::Response { key, version } => {
            let api = api_by_number(key)?;
            let header = if version >= api.flexible_from && api.name != "ApiVersions" { 5 } else { 4 };
            let body = frame.get(header..).map(|body| frame.slice_ref(body))?;
            Some((key, version, Direction::Response, body))
        }
        Target::Batches => None,
    }
}

fn request(frame: Bytes) -> Result<(), Malformed> {
    let (header, body) = decode_request_header(frame)?;
    match api_by_number(header.api_key) {
        Some(api) if api.speaks(header.api_version) => {
            each::visit(header.api_key, AsRequest(header.api_version, body)).expect("types")
        }
        // Brokers answer what they do not speak without reading further.
        _ => Ok(()),
    }
}

/// Damage to a batch is mostly found by its checksum; here it is read all the same, as if it had been forged to fit.
fn batches(data: Bytes, decompressor: &mut Decompressor) -> bool {
    let mut sound = true;
    for batch in Batches::new(data) {
        let Ok(batch) = batch else { return false };
        sound &= batch.verify_crc().is_ok();
        let _ = batch.control_kind();
        for record in batch.records_with(decompressor) {
            let Ok(record) = record else { return false };
            record.headers.into_iter().for_each(drop);
        }
    }
    sound
}

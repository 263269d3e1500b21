//! A body whose first two bytes choose what it is: how fuzzers reach every API and version from bytes alone.

use bytes::{Bytes, BytesMut};
use milena::wire::api::APIS;
use milena::wire::messages::each::{self, Body, Visit};
use milena::wire::{Direction, Request, guard, json};

/// A body of some API at some version.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// The API's number.
    pub key: i16,
    /// One of its versions.
    pub version: i16,
    /// Which way it travels.
    pub direction: Direction,
    /// The bytes, without a header.
    pub body: &'a [u8],
}

/// The message that `data` is, if it has two bytes to choose by.
pub fn chosen(direction: Direction, data: &[u8]) -> Option<Chosen<'_>> {
    let (&[api, version], body) = data.split_first_chunk()?;
    let api = &APIS[usize::from(api) % APIS.len()];
    let version = api.min + i16::from(version) % (api.max - api.min + 1);
    Some(Chosen { key: api.key, version, direction, body })
}

impl Chosen<'_> {
    /// The two bytes in front of the body: the way back of [`chosen`].
    pub fn choice(&self) -> [u8; 2] {
        let at = APIS.iter().position(|api| api.key == self.key).expect("a row");
        [at as u8, (self.version - APIS[at].min) as u8]
    }

    /// Reads the body. If the guard lets it through, the typed codec must read what it wrote itself, and the JSON reader,
    /// which knows nothing of that codec, must give the same bytes back for both.
    pub fn round_trip(&self) {
        each::visit(self.key, RoundTrip(*self)).expect("types");
    }
}

struct RoundTrip<'a>(Chosen<'a>);

impl Visit for RoundTrip<'_> {
    type Output = ();

    fn visit<Q: Request<Response: Body> + Body>(self) {
        match self.0.direction {
            Direction::Request => through::<Q>(self.0),
            Direction::Response => through::<Q::Response>(self.0),
        }
    }
}

fn through<M: Body>(message: Chosen<'_>) {
    let Chosen { key, version, direction, body } = message;
    if guard::check(key, version, direction, body).is_err() {
        return;
    }
    // A tag that only another version knows is refused by the generated decoders: the one thing the guard lets pass.
    let Ok(typed) = M::decode(&mut Bytes::copy_from_slice(body), version) else { return };
    let mut again = BytesMut::new();
    typed.encode(&mut again, version).unwrap_or_else(|e| panic!("{message:?} is read and cannot be written: {e:#}"));
    guard::check(key, version, direction, &again).unwrap_or_else(|e| panic!("what was written is refused: {e}"));
    let back = M::decode(&mut again.clone().freeze(), version).expect("the guard let it through");
    let mut third = BytesMut::new();
    back.encode(&mut third, version).expect("as before");
    assert_eq!(third, again, "{message:?} changes each time it is written");
    json::decode(key, version, direction, &again)
        .unwrap_or_else(|e| panic!("the JSON reader refuses {again:02x?}: {e}"));
}

//! A body whose first two bytes choose what it is: how fuzzers reach every API and version from bytes alone.

use bytes::{Bytes, BytesMut};
use milena::wire::api::APIS;
use milena::wire::messages::each::{self, Body, Visit};
use milena::wire::{Direction, Request, guard, json};

use super::layout::layout;
use super::liar::tell_some;
use super::random::Random;

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

/// Lies about the message in the first `len` bytes of `data`, which has room for more, wherever its schema says it may
/// hurt; how many bytes it has then, or `None` if it cannot be lied about. How fuzzers get past the first length.
pub fn lied_about(direction: Direction, data: &mut [u8], len: usize, seed: u32) -> Option<usize> {
    let Chosen { key, version, body, .. } = chosen(direction, data.get(..len)?)?;
    let pieces = layout(key, version, direction, body);
    let mut body = body.to_vec();
    if !tell_some(&mut body, &pieces, &mut Random::of(seed.into(), 0)) {
        return None;
    }
    let room = data.get_mut(2..2 + body.len())?;
    room.copy_from_slice(&body);
    Some(2 + body.len())
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
    let Ok(mut known) = guard::readable(key, version, direction, Bytes::copy_from_slice(body)) else { return };
    let typed = M::decode(&mut known, version).unwrap_or_else(|e| panic!("the guard lets {message:?} pass: {e:#}"));
    assert!(known.is_empty(), "{message:?}: {} bytes are not read", known.len());
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

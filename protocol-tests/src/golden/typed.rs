//! A golden message through the typed decoder and back, at the versions that have one.

use bytes::{Bytes, BytesMut};
use milena::wire::messages::each::{self, Body, Visit};
use milena::wire::{Direction, Request};

/// What comes of a message: the bytes its codec makes of it, or why none.
type Again = Result<Vec<u8>, String>;

struct RoundTrip<'a> {
    version: i16,
    direction: Direction,
    body: &'a [u8],
}

impl Visit for RoundTrip<'_> {
    type Output = Option<Again>;

    fn visit<Q: Request<Response: Body> + Body>(self) -> Self::Output {
        match self.direction {
            Direction::Request => self.through::<Q>(),
            Direction::Response => self.through::<Q::Response>(),
        }
    }
}

impl RoundTrip<'_> {
    fn through<M: Body>(&self) -> Option<Again> {
        (M::VERSIONS.min..=M::VERSIONS.max).contains(&self.version).then(|| {
            let mut left = Bytes::copy_from_slice(self.body);
            let message = M::decode(&mut left, self.version).map_err(|e| format!("does not decode: {e:#}"))?;
            if !left.is_empty() {
                return Err(format!("{} bytes left over", left.len()));
            }
            let mut encoded = BytesMut::new();
            message.encode(&mut encoded, self.version).map_err(|e| format!("does not encode: {e:#}"))?;
            Ok(encoded.to_vec())
        })
    }
}

/// The bytes that the typed codec makes of `body`, after the guard let it through; `None` where no codec has the version.
pub fn typed_round_trip(key: i16, version: i16, direction: Direction, body: &[u8]) -> Option<Again> {
    each::visit(key, RoundTrip { version, direction, body })?
}

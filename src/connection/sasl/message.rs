//! A message that proves who we are, on its way to the socket: in one place of memory, overwritten when it has been taken.

use bytes::{BufMut, Bytes};
use zeroize::ZeroizeOnDrop;

use crate::config::security::Secret;
use crate::wire::frame::{EncodeError, RequestFrame};
use crate::wire::messages::SaslAuthenticateRequest;

/// From here on the request and its header are flexible.
const FLEXIBLE: i16 = 2;

/// The memory of a frame's slice.
struct Overwritten(Secret);

impl AsRef<[u8]> for Overwritten {
    fn as_ref(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

impl ZeroizeOnDrop for Overwritten {}

/// A SaslAuthenticate request that holds `message` as a slice of its own, which the encoder never sees: it would copy it.
pub(super) fn frame(client_id: &str, version: i16, message: Secret) -> Result<RequestFrame, EncodeError> {
    let fail = |reason: &str| EncodeError { api: "SaslAuthenticate", version, reason: reason.into() };
    let mut frame = RequestFrame::encode(client_id, version, &SaslAuthenticateRequest::default())?;
    let length = u32::try_from(message.expose().len()).ok().filter(|length| *length <= i32::MAX as u32 / 2);
    let length = length.ok_or_else(|| fail("a message of more than 1 GiB"))?;
    // An empty message ends the body: as a length of four bytes, or as one byte and the tagged fields.
    let (empty, behind): (usize, &'static [u8]) = if version >= FLEXIBLE { (2, &[0]) } else { (4, &[]) };
    frame.head.truncate(frame.head.len().saturating_sub(empty));
    if version >= FLEXIBLE {
        put_unsigned_varint(&mut frame.head, length + 1);
    } else {
        frame.head.put_u32(length);
    }
    frame.tail = vec![Bytes::from_owner(Overwritten(message)), Bytes::from_static(behind)];
    let body = u32::try_from(frame.wire_len().saturating_sub(4)).map_err(|_| fail("a frame of more than 4 GiB"))?;
    frame.head.get_mut(..4).ok_or_else(|| fail("a frame without a length"))?.copy_from_slice(&body.to_be_bytes());
    Ok(frame)
}

fn put_unsigned_varint(into: &mut impl BufMut, mut value: u32) {
    while value >= 0x80 {
        into.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    into.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_overwritten<T: ZeroizeOnDrop>(_: &T) {}

    #[test]
    fn the_frame_is_the_encoders_and_holds_the_secret_itself_not_a_copy() {
        for length in [0, 1, 126, 127, 128, 300, 16_383, 70_000] {
            for version in 0..=2 {
                let text = "x".repeat(length);
                let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(text.clone()));
                let expected = RequestFrame::encode("me", version, &request).unwrap();
                let secret = Secret::new(text);
                let place = secret.expose().as_ptr();
                let frame = frame("me", version, secret).unwrap();
                assert_eq!(frame.tail[0].as_ptr(), place);
                assert_eq!([&frame.head[..], &frame.tail.concat()].concat(), expected.head[..], "{length} v{version}");
            }
        }
    }

    #[test]
    fn what_a_frame_owns_is_overwritten_with_its_last_slice() {
        let secret = Secret::new("canary-pw");
        is_overwritten(&secret);
        is_overwritten(&Overwritten(secret.clone()));
        let frame = frame("me", 2, secret).unwrap();
        assert!(!frame.head.windows(6).any(|w| w == b"canary"), "only the slice has it");
        assert_eq!(frame.tail[0][..], b"canary-pw"[..]);
    }
}

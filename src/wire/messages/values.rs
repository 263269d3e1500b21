//! How the values of our own messages are written and read: one trait, in classic and in compact form.
//!
//! The guard has walked the bytes before anything here reads them; all the same no read passes the end, and no array
//! reserves more than the bytes that remain.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use kafka_protocol::messages::{BrokerId, GroupId, ProducerId, TopicName, TransactionalId};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Encodable, StrBytes};
use uuid::Uuid;

use crate::wire::varint::uvarint;

/// The form a value takes: what its message's version and its own row say.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) version: i16,
    /// Compact lengths and tagged fields (KIP-482).
    pub(super) flexible: bool,
    /// Null is allowed here.
    pub(super) nullable: bool,
}

/// Where bytes go: into a buffer, or only into a sum.
pub(super) trait Sink {
    fn slice(&mut self, bytes: &[u8]);

    /// A struct of the generated codec, at a version it knows.
    fn generated<M: Encodable>(&mut self, message: &M, version: i16) -> Result<()>;
}

pub(super) struct Into<'a, B>(pub(super) &'a mut B);

impl<B: ByteBufMut> Sink for Into<'_, B> {
    fn slice(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }

    fn generated<M: Encodable>(&mut self, message: &M, version: i16) -> Result<()> {
        message.encode(self.0, version)
    }
}

/// The number of bytes written.
#[derive(Default)]
pub(super) struct Count(pub(super) usize);

impl Sink for Count {
    fn slice(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn generated<M: Encodable>(&mut self, message: &M, version: i16) -> Result<()> {
        self.0 += message.compute_size(version)?;
        Ok(())
    }
}

/// What a field can hold.
pub(super) trait Value: Sized {
    fn put(&self, out: &mut impl Sink, at: At) -> Result<()>;
    fn take(from: &mut impl ByteBuf, at: At) -> Result<Self>;
}

/// What can be null in place of a value.
pub(super) trait Nullable: Value {
    fn put_null(out: &mut impl Sink, at: At);
    fn take_or_null(from: &mut impl ByteBuf, at: At) -> Result<Option<Self>>;

    /// A value where null could stand: structs say so in front.
    fn put_present(&self, out: &mut impl Sink, at: At) -> Result<()> {
        self.put(out, at)
    }
}

impl<T: Nullable> Value for Option<T> {
    fn put(&self, out: &mut impl Sink, at: At) -> Result<()> {
        match self {
            Some(value) => value.put_present(out, at),
            None if at.nullable => {
                T::put_null(out, at);
                Ok(())
            }
            None => bail!("null, which version {} does not allow", at.version),
        }
    }

    fn take(from: &mut impl ByteBuf, at: At) -> Result<Self> {
        T::take_or_null(from, at)
    }
}

fn take_array<const N: usize>(from: &mut impl ByteBuf) -> Result<[u8; N]> {
    ensure!(from.remaining() >= N, "{N} bytes wanted, {} left", from.remaining());
    let mut bytes = [0; N];
    from.copy_to_slice(&mut bytes);
    Ok(bytes)
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Value for $number {
            fn put(&self, out: &mut impl Sink, _: At) -> Result<()> {
                out.slice(&self.to_be_bytes());
                Ok(())
            }

            fn take(from: &mut impl ByteBuf, _: At) -> Result<Self> {
                Ok(<$number>::from_be_bytes(take_array(from)?))
            }
        }
    )*};
}
numbers!(i8 i16 u16 i32 i64);

impl Value for bool {
    fn put(&self, out: &mut impl Sink, _: At) -> Result<()> {
        out.slice(&[u8::from(*self)]);
        Ok(())
    }

    /// Any byte but 0 is true, as in Kafka.
    fn take(from: &mut impl ByteBuf, _: At) -> Result<Self> {
        Ok(take_array::<1>(from)? != [0])
    }
}

impl Value for Uuid {
    fn put(&self, out: &mut impl Sink, _: At) -> Result<()> {
        out.slice(self.as_bytes());
        Ok(())
    }

    fn take(from: &mut impl ByteBuf, _: At) -> Result<Self> {
        Ok(Uuid::from_bytes(take_array(from)?))
    }
}

pub(super) fn put_uvarint(out: &mut impl Sink, value: u32) {
    uvarint(value.into()).for_each(|byte| out.slice(&[byte]));
}

pub(super) fn take_uvarint(from: &mut impl ByteBuf) -> Result<u32> {
    let mut value = 0u32;
    for shift in [0, 7, 14, 21, 28] {
        let [byte] = take_array(from)?;
        ensure!(shift < 28 || byte <= 0x0f, "varint of more than 32 bits");
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    bail!("varint of more than 32 bits")
}

/// A length or count: varint one higher in flexible versions, else 32 bits. Null is 0 or -1.
fn put_length(out: &mut impl Sink, len: usize, at: At) -> Result<()> {
    let len = i32::try_from(len).context("longer than 2 GiB")?;
    match at.flexible {
        true => put_uvarint(out, len as u32 + 1),
        false => out.slice(&len.to_be_bytes()),
    }
    Ok(())
}

fn put_null_length(out: &mut impl Sink, at: At) {
    match at.flexible {
        true => out.slice(&[0]),
        false => out.slice(&(-1i32).to_be_bytes()),
    }
}

fn take_length(from: &mut impl ByteBuf, at: At) -> Result<Option<usize>> {
    let len = match at.flexible {
        true => i64::from(take_uvarint(from)?) - 1,
        false => i64::from(i32::take(from, at)?),
    };
    present(len, at)
}

fn present(len: i64, at: At) -> Result<Option<usize>> {
    match usize::try_from(len) {
        Ok(len) => Ok(Some(len)),
        Err(_) if len == -1 && at.nullable => Ok(None),
        Err(_) if len == -1 => bail!("null, which version {} does not allow", at.version),
        Err(_) => bail!("length {len}"),
    }
}

fn required<T: Nullable>(from: &mut impl ByteBuf, at: At) -> Result<T> {
    T::take_or_null(from, At { nullable: false, ..at })?.context("null")
}

impl Value for StrBytes {
    fn put(&self, out: &mut impl Sink, at: At) -> Result<()> {
        let len = i16::try_from(self.len()).context("a string longer than 32767 bytes")?;
        match at.flexible {
            true => put_length(out, self.len(), at)?,
            false => out.slice(&len.to_be_bytes()),
        }
        out.slice(self.as_bytes());
        Ok(())
    }

    fn take(from: &mut impl ByteBuf, at: At) -> Result<Self> {
        required(from, at)
    }
}

impl Nullable for StrBytes {
    fn put_null(out: &mut impl Sink, at: At) {
        match at.flexible {
            true => out.slice(&[0]),
            false => out.slice(&(-1i16).to_be_bytes()),
        }
    }

    fn take_or_null(from: &mut impl ByteBuf, at: At) -> Result<Option<Self>> {
        let len = match at.flexible {
            true => take_length(from, at)?,
            false => present(i64::from(i16::take(from, at)?), at)?,
        };
        let Some(len) = len else { return Ok(None) };
        Ok(Some(StrBytes::from_utf8(from.try_get_bytes(len)?)?))
    }
}

impl Value for Bytes {
    fn put(&self, out: &mut impl Sink, at: At) -> Result<()> {
        put_length(out, self.len(), at)?;
        out.slice(self);
        Ok(())
    }

    fn take(from: &mut impl ByteBuf, at: At) -> Result<Self> {
        required(from, at)
    }
}

impl Nullable for Bytes {
    fn put_null(out: &mut impl Sink, at: At) {
        put_null_length(out, at);
    }

    fn take_or_null(from: &mut impl ByteBuf, at: At) -> Result<Option<Self>> {
        let Some(len) = take_length(from, at)? else { return Ok(None) };
        Ok(Some(from.try_get_bytes(len)?))
    }
}

impl<T: Value> Value for Vec<T> {
    fn put(&self, out: &mut impl Sink, at: At) -> Result<()> {
        put_length(out, self.len(), at)?;
        let at = At { nullable: false, ..at };
        self.iter().try_for_each(|element| element.put(out, at))
    }

    fn take(from: &mut impl ByteBuf, at: At) -> Result<Self> {
        required(from, at)
    }
}

impl<T: Value> Nullable for Vec<T> {
    fn put_null(out: &mut impl Sink, at: At) {
        put_null_length(out, at);
    }

    fn take_or_null(from: &mut impl ByteBuf, at: At) -> Result<Option<Self>> {
        let Some(count) = take_length(from, at)? else { return Ok(None) };
        let at = At { nullable: false, ..at };
        let mut elements = Vec::with_capacity(count.min(from.remaining()));
        for _ in 0..count {
            elements.push(T::take(from, at)?);
        }
        Ok(Some(elements))
    }
}

/// Names and ids travel as what they wrap.
macro_rules! wrappers {
    ($($name:ident($inner:ty))*) => {$(
        impl Value for $name {
            fn put(&self, out: &mut impl Sink, at: At) -> Result<()> {
                self.0.put(out, at)
            }

            fn take(from: &mut impl ByteBuf, at: At) -> Result<Self> {
                <$inner>::take(from, at).map($name)
            }
        }
    )*};
}
wrappers!(BrokerId(i32) GroupId(StrBytes) ProducerId(i64) TopicName(StrBytes) TransactionalId(StrBytes));

macro_rules! nullable_names {
    ($($name:ident)*) => {$(
        impl Nullable for $name {
            fn put_null(out: &mut impl Sink, at: At) {
                StrBytes::put_null(out, at);
            }

            fn take_or_null(from: &mut impl ByteBuf, at: At) -> Result<Option<Self>> {
                Ok(StrBytes::take_or_null(from, at)?.map($name))
            }
        }
    )*};
}
nullable_names!(GroupId TopicName TransactionalId);

//! State as bytes: little-endian fields behind one version byte, read through a cursor that believes no length.

use crate::error::{Error, ErrorKind, Operation, Result};

/// A value that goes into checkpoints. A later release reads every earlier version.
pub trait Versioned: Sized {
    /// The version `encode` writes.
    const VERSION: u8;

    /// Appends the value, without its version.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads what `encode` of `version` wrote. Fails on a version of a later release and on damaged bytes.
    fn decode(version: u8, from: &mut Decoder<'_>) -> Result<Self>;

    /// The value with its version in front.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![Self::VERSION];
        self.encode(&mut out);
        out
    }

    /// Reads [`to_bytes`](Versioned::to_bytes), and nothing may be left over.
    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut from = Decoder::new(bytes);
        let version = from.u8()?;
        if version > Self::VERSION {
            return Err(damaged(format!(
                "version {version} was written by a later release; this one reads up to {}",
                Self::VERSION
            )));
        }
        let value = Self::decode(version, &mut from)?;
        if from.rest.is_empty() { Ok(value) } else { Err(damaged(format!("{} bytes left over", from.rest.len()))) }
    }
}

/// A cursor over stored bytes.
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

fn damaged(detail: String) -> Error {
    Error::new(Operation::Checkpoint, ErrorKind::State, "stored state", detail)
}

impl<'a> Decoder<'a> {
    /// At the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.rest.split_at_checked(n) else {
            return Err(damaged(format!("{n} bytes wanted, {} left", self.rest.len())));
        };
        self.rest = tail;
        Ok(head)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// A 32-bit number.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A 64-bit number.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A signed 64-bit number.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A signed 32-bit number.
    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Text behind its length.
    pub fn text(&mut self) -> Result<String> {
        let bytes = self.bytes()?;
        String::from_utf8(bytes.to_vec()).map_err(|_| damaged("text that is not UTF-8".into()))
    }

    /// A list behind its count; it ends at the first element that does not fit, whatever the count says.
    pub fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.u32()?;
        let mut list = Vec::new();
        for _ in 0..count {
            if self.rest.is_empty() {
                return Err(damaged(format!("{count} elements wanted, {} found", list.len())));
            }
            list.push(element(self)?);
        }
        Ok(list)
    }
}

/// Appends bytes behind their length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("state of one value stays far below 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a list behind its count.
pub(crate) fn put_list<T>(out: &mut Vec<u8>, list: &[T], mut element: impl FnMut(&mut Vec<u8>, &T)) {
    let count = u32::try_from(list.len()).expect("a list of state stays far below 4 G elements");
    out.extend_from_slice(&count.to_le_bytes());
    for value in list {
        element(out, value);
    }
}

impl Versioned for () {
    const VERSION: u8 = 1;

    fn encode(&self, _out: &mut Vec<u8>) {}

    fn decode(_version: u8, _from: &mut Decoder<'_>) -> Result<Self> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_the_bytes_fails_without_allocating_for_it() {
        let mut out = u32::MAX.to_le_bytes().to_vec();
        out.extend_from_slice(&[1, 2, 3]);
        let e = Decoder::new(&out).list(|d| d.u8()).unwrap_err();
        assert!(e.to_string().contains("4294967295 elements wanted, 3 found"), "{e}");
        assert!(Decoder::new(&u32::MAX.to_le_bytes()).bytes().is_err());
    }

    #[test]
    fn a_later_version_and_left_over_bytes_are_refused() {
        assert!(<()>::from_bytes(&[2]).unwrap_err().to_string().contains("later release"));
        assert!(<()>::from_bytes(&[1, 0]).unwrap_err().to_string().contains("left over"));
        <()>::from_bytes(&().to_bytes()).unwrap();
    }
}

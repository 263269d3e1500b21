//! A checked reader over a message: no read passes the end, no varint is longer than its value needs room for.

/// Most tagged fields in one struct that Kafka 4.4's classes read.
const MAX_TAGS: u32 = 10_000;

/// Reads forward through `bytes`; a failed read says why and leaves the position where the fault is.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    /// The next `len` bytes.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let Some(taken) = self.rest().get(..len) else { return Err(self.short(len)) };
        self.position += len;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn skip(&mut self, len: usize) -> Result<(), String> {
        if self.remaining() < len {
            return Err(self.short(len));
        }
        self.position += len;
        Ok(())
    }

    /// The next `N` bytes, as an integer's `from_be_bytes` wants them.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let Some(taken) = self.rest().first_chunk() else { return Err(self.short(N)) };
        self.position += N;
        Ok(*taken)
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    #[cold]
    fn short(&self, wanted: usize) -> String {
        format!("{wanted} bytes wanted, {} left", self.remaining())
    }

    pub(crate) fn i8(&mut self) -> Result<i8, String> {
        self.array().map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, String> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, String> {
        self.array().map(i32::from_be_bytes)
    }

    /// Passes the next byte if it is 0; tells whether it did.
    #[inline]
    pub(crate) fn eat_zero(&mut self) -> bool {
        let is_zero = self.bytes.get(self.position) == Some(&0);
        self.position += usize::from(is_zero);
        is_zero
    }

    /// An unsigned varint of at most five bytes whose value fits 32 bits. Longer forms than needed are read, as Kafka does.
    #[inline]
    pub(crate) fn uvarint(&mut self) -> Result<u32, String> {
        match self.bytes.get(self.position) {
            Some(&byte) if byte < 0x80 => {
                self.position += 1;
                Ok(u32::from(byte))
            }
            _ => self.long_uvarint(),
        }
    }

    fn long_uvarint(&mut self) -> Result<u32, String> {
        let start = self.position;
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            let low = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= low << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        self.position = start;
        Err("varint of more than 32 bits".into())
    }

    /// The count of a section of tagged fields: at most 10,000, and each takes at least two bytes.
    pub(crate) fn tag_count(&mut self) -> Result<u32, String> {
        let start = self.position;
        let count = self.uvarint()?;
        if count > MAX_TAGS || count as usize > self.remaining() / 2 {
            let left = self.remaining();
            self.position = start;
            return Err(format!("{count} tagged fields in {left} bytes"));
        }
        Ok(count)
    }

    /// A whole section of tagged fields, none of which is of interest.
    pub(crate) fn skip_tagged_fields(&mut self) -> Result<(), String> {
        for _ in 0..self.tag_count()? {
            self.uvarint()?;
            let size = self.uvarint()?;
            self.skip(size as usize)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(mut value: u32) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }

    proptest! {
        #[test]
        fn a_varint_is_read_back(value: u32, rest: Vec<u8>) {
            let mut bytes = encoded(value);
            let len = bytes.len();
            bytes.extend_from_slice(&rest);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.uvarint(), Ok(value));
            prop_assert_eq!(cursor.position(), len);
        }

        #[test]
        fn a_padded_varint_has_the_same_value(value in 0u32..1 << 28) {
            let mut bytes = encoded(value);
            *bytes.last_mut().unwrap() |= 0x80;
            bytes.push(0);
            prop_assert_eq!(Cursor::new(&bytes).uvarint(), Ok(value));
        }

        #[test]
        fn no_bytes_make_the_cursor_pass_the_end(bytes: Vec<u8>) {
            let mut cursor = Cursor::new(&bytes);
            let _ = cursor.uvarint();
            let _ = cursor.skip_tagged_fields();
            prop_assert!(cursor.position() <= bytes.len());
        }
    }

    #[test]
    fn a_varint_above_32_bits_is_refused() {
        for bytes in [&[0xff, 0xff, 0xff, 0xff, 0x1f][..], &[0x80; 5], &[0x80, 0x80, 0x80, 0x80, 0x80, 0]] {
            let mut cursor = Cursor::new(bytes);
            assert_eq!(cursor.uvarint(), Err("varint of more than 32 bits".into()));
            assert_eq!(cursor.position(), 0, "the fault is where the varint starts");
        }
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).uvarint(), Ok(u32::MAX));
    }

    #[test]
    fn tags_that_cannot_be_there_are_refused_before_they_are_walked() {
        assert!(Cursor::new(&[3, 0, 0, 0, 0]).tag_count().is_err());
        let mut many = encoded(10_001);
        many.resize(40_000, 0);
        assert!(Cursor::new(&many).tag_count().is_err());
        assert_eq!(Cursor::new(&[1, 9, 2, 0, 0, 7]).skip_tagged_fields(), Ok(()));
    }
}

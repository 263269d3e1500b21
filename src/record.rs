//! Records as the user sees them: borrowed on the way in, borrowed on the way out.

use std::fmt;

/// A header: a key of any bytes and a value that may be null. Order and duplicates are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    /// The header's key, UTF-8 by convention only.
    pub key: &'a [u8],
    /// The header's value; `None` is null.
    pub value: Option<&'a [u8]>,
}

/// A record to be produced. It borrows everything, because appending copies it into its batch at once.
///
/// ```
/// use milena::NewRecord;
/// let record = NewRecord::value(b"hello").with_key(b"k").with_timestamp_ms(1_700_000_000_000);
/// assert_eq!(record.key, Some(&b"k"[..]));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NewRecord<'a> {
    /// The key; `None` is null. Records of one key go to one partition.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null (a tombstone in a compacted topic).
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [Header<'a>],
    /// Milliseconds since the epoch; `None` takes the client's clock at append.
    pub timestamp_ms: Option<i64>,
    /// The partition, or `None` to let the partitioner choose.
    pub partition: Option<i32>,
}

impl<'a> NewRecord<'a> {
    /// A record with this value, no key and no headers.
    pub fn value(value: &'a [u8]) -> Self {
        Self { value: Some(value), ..Self::default() }
    }

    /// A record with null as its value.
    pub fn tombstone(key: &'a [u8]) -> Self {
        Self { key: Some(key), ..Self::default() }
    }

    /// The same record with this key.
    pub fn with_key(self, key: &'a [u8]) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The same record with these headers.
    pub fn with_headers(self, headers: &'a [Header<'a>]) -> Self {
        Self { headers, ..self }
    }

    /// The same record with this timestamp, in milliseconds since the epoch.
    pub fn with_timestamp_ms(self, timestamp_ms: i64) -> Self {
        Self { timestamp_ms: Some(timestamp_ms), ..self }
    }

    /// The same record for this partition.
    pub fn with_partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }
}

/// Who wrote a record's timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    /// The producer (`message.timestamp.type=CreateTime`).
    CreateTime,
    /// The broker, one time for the whole batch (`LogAppendTime`).
    LogAppendTime,
}

impl fmt::Display for TimestampType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateTime => "CreateTime",
            Self::LogAppendTime => "LogAppendTime",
        })
    }
}

/// A fetched record: a view into the frame it arrived in.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since the epoch; -1 if the producer gave none.
    pub timestamp_ms: i64,
    /// Who wrote the timestamp.
    pub timestamp_type: TimestampType,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null.
    pub value: Option<&'a [u8]>,
    /// Its headers, decoded when asked for.
    pub headers: Headers<'a>,
}

/// The headers of a fetched record, still as bytes; checked when the record was decoded.
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    count: u32,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// No headers.
    pub const EMPTY: Headers<'static> = Headers { count: 0, bytes: &[] };

    /// `count` headers in `bytes`, each a varint length, a key, a varint length and a value (KIP-82).
    ///
    /// The walk stops at the first byte that does not fit, so a wrong count shows fewer headers, never other bytes.
    pub(crate) fn new(count: u32, bytes: &'a [u8]) -> Self {
        Self { count, bytes }
    }

    /// How many headers there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value of the last header with this key, as Kafka's `lastHeader` gives it.
    pub fn last(&self, key: &[u8]) -> Option<Option<&'a [u8]>> {
        self.into_iter().filter(|h| h.key == key).last().map(|h| h.value)
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = HeaderIter<'a>;

    fn into_iter(self) -> HeaderIter<'a> {
        HeaderIter { left: self.count, rest: self.bytes }
    }
}

/// Iterator over a record's headers.
pub struct HeaderIter<'a> {
    left: u32,
    rest: &'a [u8],
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        let key = nullable(&mut self.rest)??;
        let value = nullable(&mut self.rest)?;
        Some(Header { key, value })
    }
}

/// A length-prefixed slice off the front: the outer `None` is a length that does not fit, the inner one is null.
///
/// Any negative length is null, as Java reads it.
#[inline]
pub(crate) fn nullable<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match usize::try_from(varint(rest)?) {
        Err(_) => Some(None),
        Ok(length) => {
            let (slice, tail) = rest.split_at_checked(length)?;
            *rest = tail;
            Some(Some(slice))
        }
    }
}

/// A zigzag varint of at most five bytes off the front.
#[inline(always)]
pub(crate) fn varint(rest: &mut &[u8]) -> Option<i32> {
    let (raw, tail) = match short_varint(rest) {
        Some(short) => short,
        None => long_varint(rest, 5)?,
    };
    *rest = tail;
    let raw = u32::try_from(raw).ok()?;
    Some((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// A zigzag varint of at most ten bytes off the front.
#[inline(always)]
pub(crate) fn varlong(rest: &mut &[u8]) -> Option<i64> {
    let (raw, tail) = match short_varint(rest) {
        Some(short) => short,
        None => long_varint(rest, 10)?,
    };
    *rest = tail;
    Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// A varint of one or two bytes, all that deltas and the lengths of most records need, and what follows it.
#[inline(always)]
fn short_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match bytes {
        [byte @ 0..0x80, tail @ ..] => Some((u64::from(*byte), tail)),
        [low, high @ 0..0x80, tail @ ..] => Some((u64::from(low & 0x7f) | u64::from(*high) << 7, tail)),
        _ => None,
    }
}

/// A varint of at most `max` bytes and what follows it; `None` where it is cut off, longer, or has bits above the 64th.
///
/// Takes and gives slices by value, so that a caller's own can stay in registers.
#[cold]
fn long_varint(bytes: &[u8], max: usize) -> Option<(u64, &[u8])> {
    let mut raw: u64 = 0;
    for (i, &byte) in bytes.iter().take(max).enumerate() {
        if i == 9 && byte > 1 {
            return None;
        }
        raw |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((raw, bytes.get(i + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_order_duplicates_and_nulls() {
        // key "a" value "1"; key "a" value null; key "" value "".
        let bytes = [2, b'a', 2, b'1', 2, b'a', 1, 0, 0];
        let headers = Headers::new(3, &bytes);
        let all: Vec<_> = headers.into_iter().map(|h| (h.key, h.value)).collect();
        assert_eq!(all, [(&b"a"[..], Some(&b"1"[..])), (b"a", None), (b"", Some(b""))]);
        assert_eq!(headers.last(b"a"), Some(None));
    }

    #[test]
    fn a_wrong_count_shows_fewer_headers_and_no_foreign_bytes() {
        assert_eq!(Headers::new(9, &[2, b'a', 2, b'1']).into_iter().count(), 1);
        assert_eq!(Headers::new(1, &[120, b'a']).into_iter().count(), 0);
        assert_eq!(varint(&mut &[0xff, 0xff, 0xff, 0xff, 0x7f][..]), None);
        assert_eq!(varint(&mut &[0xff, 0xff, 0xff, 0xff, 0x0f][..]), Some(i32::MIN));
    }
}

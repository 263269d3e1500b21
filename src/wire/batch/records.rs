//! Records read where they lie: every length is checked against the bytes that remain, nothing is copied.

use crate::record::{Headers, Record, TimestampType, nullable, varint, varlong};

use super::{Batch, BatchFault};

/// Lazy walk over the records of one batch, each a view of the frame.
#[derive(Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    left: i32,
    base_offset: i64,
    /// What no record's offset is further than from the base.
    last_offset_delta: u32,
    /// What the deltas are added to, or every record's time under LogAppendTime.
    base_timestamp_ms: i64,
    /// The bits of the deltas that count: all, or none under LogAppendTime.
    delta_mask: i64,
    timestamp_type: TimestampType,
    fault: Option<BatchFault>,
}

impl<'a> Records<'a> {
    /// Walks `rest`, the records of `batch` as they were before they were compressed.
    pub(super) fn new(batch: &Batch, rest: &'a [u8]) -> Self {
        let header = &batch.header;
        let timestamp_type = header.timestamp_type();
        let (base_timestamp_ms, delta_mask) = match timestamp_type {
            TimestampType::CreateTime => (header.base_timestamp_ms, -1),
            TimestampType::LogAppendTime => (header.max_timestamp_ms, 0),
        };
        Self {
            rest,
            left: header.record_count,
            base_offset: header.base_offset,
            last_offset_delta: u32::try_from(header.last_offset_delta).unwrap_or(0),
            base_timestamp_ms,
            delta_mask,
            timestamp_type,
            fault: None,
        }
    }

    /// A walk that is over before it begins.
    #[cold]
    pub(super) fn fault(fault: BatchFault) -> Self {
        Self {
            rest: &[],
            left: 0,
            base_offset: fault.base_offset,
            last_offset_delta: 0,
            base_timestamp_ms: -1,
            delta_mask: -1,
            timestamp_type: TimestampType::CreateTime,
            fault: Some(fault),
        }
    }

    /// The record `body` holds, or what is wrong with it.
    #[inline(always)]
    fn decode(&self, body: &'a [u8]) -> Result<Record<'a>, &'static str> {
        // The record's attributes are unused.
        let (_, mut rest) = body.split_first().ok_or("empty")?;
        let rest = &mut rest;
        let timestamp_delta = varlong(rest).ok_or("bad timestamp delta")?;
        let offset_delta = varint(rest).ok_or("bad offset delta")?;
        let key = nullable(rest).ok_or("bad key length")?;
        let value = nullable(rest).ok_or("bad value length")?;
        let headers = headers(rest)?;
        // A negative delta is a large one here.
        if offset_delta as u32 > self.last_offset_delta {
            return Err("offset outside its batch");
        }
        // The header was checked: no offset of its batch is above the largest.
        let offset = self.base_offset.wrapping_add(i64::from(offset_delta));
        // Wraps as Java's does: the writer's difference wrapped too.
        let timestamp_ms = self.base_timestamp_ms.wrapping_add(timestamp_delta & self.delta_mask);
        Ok(Record { offset, timestamp_ms, timestamp_type: self.timestamp_type, key, value, headers })
    }

    #[inline(always)]
    fn step(&mut self) -> Result<Record<'a>, &'static str> {
        let mut rest = self.rest;
        let length = varint(&mut rest).ok_or("bad length")?;
        let length = usize::try_from(length).map_err(|_| "negative length")?;
        let (body, rest) = rest.split_at_checked(length).ok_or("longer than its batch")?;
        self.rest = rest;
        self.decode(body)
    }

    #[cold]
    fn fail(&mut self, reason: String) -> Option<Result<Record<'a>, BatchFault>> {
        (self.left, self.rest) = (0, &[]);
        Some(Err(BatchFault { base_offset: self.base_offset, reason }))
    }

    /// What is left to say once no record is left.
    #[cold]
    fn finish(&mut self) -> Option<Result<Record<'a>, BatchFault>> {
        if let Some(fault) = self.fault.take() {
            return Some(Err(fault));
        }
        match self.rest.len() {
            0 => None,
            n => self.fail(format!("{n} bytes behind the last record")),
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BatchFault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return self.finish();
        }
        match self.step() {
            Ok(record) => {
                self.left -= 1;
                Some(Ok(record))
            }
            Err(reason) => self.fail(format!("record with {} to come after it: {reason}", self.left - 1)),
        }
    }
}

/// The headers, which must fill the rest of the record exactly.
#[inline(always)]
fn headers<'a>(rest: &mut &'a [u8]) -> Result<Headers<'a>, &'static str> {
    if **rest == [0] {
        return Ok(Headers::EMPTY);
    }
    some_headers(rest)
}

fn some_headers<'a>(mut rest: &'a [u8]) -> Result<Headers<'a>, &'static str> {
    let rest = &mut rest;
    let count = varint(rest).and_then(|c| u32::try_from(c).ok()).ok_or("bad header count")?;
    let bytes = *rest;
    for _ in 0..count {
        nullable(rest).flatten().ok_or("bad header key")?;
        nullable(rest).ok_or("bad header value")?;
    }
    if !rest.is_empty() {
        return Err("shorter than its length says");
    }
    Ok(Headers::new(count, bytes))
}

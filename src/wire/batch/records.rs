//! Records read where they lie: every length is checked against the bytes that remain, nothing is copied.

use crate::record::{Headers, Record, TimestampType, nullable, varint, varlong};

use super::{Batch, BatchFault};

/// Lazy walk over the records of one batch, each a view of the frame.
#[derive(Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    left: i32,
    base_offset: i64,
    last_offset: i64,
    base_timestamp_ms: i64,
    append_time_ms: Option<i64>,
    fault: Option<BatchFault>,
}

impl<'a> Records<'a> {
    /// Walks `rest`, the records of `batch` as they were before they were compressed.
    pub(super) fn new(batch: &Batch, rest: &'a [u8]) -> Self {
        let header = &batch.header;
        let is_append_time = header.timestamp_type() == TimestampType::LogAppendTime;
        Self {
            rest,
            left: header.record_count,
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            base_timestamp_ms: header.base_timestamp_ms,
            append_time_ms: is_append_time.then_some(header.max_timestamp_ms),
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
            last_offset: fault.base_offset,
            base_timestamp_ms: -1,
            append_time_ms: None,
            fault: Some(fault),
        }
    }

    /// The record `body` holds, or what is wrong with it.
    #[inline]
    fn decode(&self, body: &'a [u8]) -> Result<Record<'a>, &'static str> {
        // The record's attributes are unused.
        let (_, mut rest) = body.split_first().ok_or("empty")?;
        let rest = &mut rest;
        let timestamp_delta = varlong(rest).ok_or("bad timestamp delta")?;
        let offset_delta = varint(rest).ok_or("bad offset delta")?;
        let key = nullable(rest).ok_or("bad key length")?;
        let value = nullable(rest).ok_or("bad value length")?;
        let headers = headers(rest)?;
        let offset = self.base_offset.checked_add(i64::from(offset_delta));
        let offset = offset.filter(|o| (self.base_offset..=self.last_offset).contains(o));
        let offset = offset.ok_or("offset outside its batch")?;
        // Wraps as Java's does: the writer's difference wrapped too.
        let timestamp_ms = self.append_time_ms.unwrap_or(self.base_timestamp_ms.wrapping_add(timestamp_delta));
        let timestamp_type = match self.append_time_ms {
            Some(_) => TimestampType::LogAppendTime,
            None => TimestampType::CreateTime,
        };
        Ok(Record { offset, timestamp_ms, timestamp_type, key, value, headers })
    }

    #[inline]
    fn step(&mut self) -> Result<Record<'a>, &'static str> {
        let length = varint(&mut self.rest).ok_or("bad length")?;
        let length = usize::try_from(length).map_err(|_| "negative length")?;
        let (body, rest) = self.rest.split_at_checked(length).ok_or("longer than its batch")?;
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
#[inline]
fn headers<'a>(rest: &mut &'a [u8]) -> Result<Headers<'a>, &'static str> {
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

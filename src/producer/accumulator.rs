//! The hot path: a record is encoded into its partition's open batch on the caller's thread, under that partition's lock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::Notify;

use super::budget::{Budget, lock};
use super::delivery::{Completion, Delivery};
use super::packer::{Packer, Ratio};
use super::partitioner::{Load, Sticky, by_key};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::record::NewRecord;
use crate::types::{ProducerIdentity, TopicName};
use crate::wire::batch::{BATCH_HEADER_LEN, BatchBuilder, record_size_upper_bound};

/// The first buffer of a batch: ten thousand partitions with a record each stay cheap; a busy one grows to its size.
const FIRST_BUFFER: usize = 4096;

/// What appenders and the driver of one producer share.
pub(super) struct Shared {
    pub budget: Budget,
    /// Wakes the driver.
    pub wake: Notify,
    /// Partitions with news for the driver: a batch was opened or closed.
    pub news: Mutex<Vec<(Arc<TopicState>, u32)>>,
    /// The wall clock in milliseconds, as of the driver's last look or the last opened batch.
    pub clock_ms: AtomicI64,
    pub read_clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Which topic handles may append: those of this number. 0 while none may.
    pub gate: AtomicU64,
    /// Why the gate is closed.
    pub refusal: Mutex<Option<Error>>,
    /// When the first batch of the transaction was opened; 0 if none was.
    pub started_at_ms: AtomicI64,
    pub batch_size: usize,
    pub packer: Arc<Packer>,
    pub max_request_size: usize,
    pub is_adaptive: bool,
    pub ignores_keys: bool,
    pub topics: Mutex<Vec<Arc<TopicState>>>,
    /// Who the records of the transaction are from.
    pub identity: Mutex<ProducerIdentity>,
    /// Whether an InitProducerId went unanswered.
    pub has_late_init: AtomicBool,
}

impl Shared {
    /// The error of whoever appends while the gate is closed.
    pub(super) fn refusal(&self) -> Error {
        let closed = || Error::new(Operation::Produce, ErrorKind::Closed, "", "the producer or transaction has ended");
        lock(&self.refusal).clone().unwrap_or_else(closed)
    }

    /// Whether handles of this number may append.
    pub(super) fn is_open(&self, gate: u64) -> bool {
        self.gate.load(Ordering::SeqCst) == gate
    }

    /// From now on handles of this number may append.
    pub(super) fn admit(&self, gate: u64) {
        *lock(&self.refusal) = None;
        self.gate.store(gate, Ordering::SeqCst);
    }

    /// From now on nobody may append, for this reason.
    pub(super) fn refuse(&self, reason: Option<Error>) {
        *lock(&self.refusal) = reason;
        self.gate.store(0, Ordering::SeqCst);
    }
}

/// A batch that takes records.
pub(super) struct Open {
    pub builder: BatchBuilder,
    pub completion: Arc<Completion>,
    /// Bytes of the budget it holds.
    pub charged: usize,
}

#[derive(Default)]
pub(super) struct SlotState {
    pub open: Option<Open>,
    pub closed: VecDeque<Open>,
    /// Whether the driver will look here anyway.
    is_listed: bool,
}

/// One partition as appenders see it, alone on its cache lines.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Slot {
    state: Mutex<SlotState>,
    /// Closed batches that were not sent yet.
    pub queued: AtomicU32,
    pub has_leader: AtomicBool,
}

/// One topic as appenders see it. Partitions are only ever added, so that finding one needs no lock.
pub(super) struct TopicState {
    pub name: TopicName,
    /// Its number in `Shared::topics`.
    pub number: usize,
    count: AtomicU32,
    segments: [OnceLock<Box<[Slot]>>; 8],
    sticky: Sticky,
    /// The longest queue of any partition lately.
    pub longest: AtomicU32,
    pub queued: AtomicUsize,
    packer: Arc<Packer>,
    /// What its batches compress to.
    pub ratio: Ratio,
}

/// How an append went.
pub(super) enum Appended {
    Done(Delivery),
    /// There is no memory; so many bytes are needed.
    Full(usize),
}

enum Tried {
    Appended(Delivery, usize),
    /// The batch is full and was closed, or the partition had its share: another may be chosen.
    Moved,
    Full(usize),
    Refused,
}

/// One record on its way in.
struct Append<'a> {
    record: &'a NewRecord<'a>,
    bound: usize,
    gate: u64,
    granted: usize,
    is_sticky: bool,
}

impl TopicState {
    pub(super) fn new(name: TopicName, number: usize, partitions: u32, seed: u64, packer: Arc<Packer>) -> Self {
        let topic = Self {
            name,
            number,
            count: AtomicU32::new(0),
            segments: [const { OnceLock::new() }; 8],
            sticky: Sticky::new(seed),
            longest: AtomicU32::new(0),
            queued: AtomicUsize::new(0),
            packer,
            ratio: Ratio::default(),
        };
        topic.grow(partitions);
        topic
    }

    pub(super) fn partition_count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Makes room for `partitions`; each segment is as large as all before it, so eight are enough for 128-fold growth.
    pub(super) fn grow(&self, partitions: u32) {
        let mut room = 0;
        for segment in &self.segments {
            if room >= partitions {
                break;
            }
            let size = if room == 0 { partitions.max(1) } else { room };
            room += segment.get_or_init(|| (0..size).map(|_| Slot::default()).collect()).len() as u32;
        }
        self.count.fetch_max(partitions.min(room), Ordering::Release);
    }

    pub(super) fn slot(&self, partition: u32) -> Option<&Slot> {
        let mut at = partition as usize;
        for segment in &self.segments {
            let slots = segment.get()?;
            match slots.get(at) {
                Some(slot) => return Some(slot),
                None => at -= slots.len(),
            }
        }
        None
    }

    fn load(&self, partition: u32) -> Load {
        let load = |slot: &Slot| Load {
            is_available: slot.has_leader.load(Ordering::Relaxed),
            queued: slot.queued.load(Ordering::Relaxed),
        };
        self.slot(partition).map_or(Load { is_available: false, queued: 0 }, load)
    }

    /// Appends a record, or says how many bytes must be free first. `granted` bytes were taken already.
    pub(super) fn append(
        self: &Arc<Self>,
        shared: &Shared,
        record: &NewRecord<'_>,
        gate: u64,
        granted: usize,
    ) -> Result<Appended> {
        let count = self.partition_count();
        let bound = record_size_upper_bound(record);
        let wanted = match (record.partition, record.key) {
            (Some(partition), _) => Some(self.checked(partition, count)?),
            (None, Some(key)) if !shared.ignores_keys => Some(by_key(key, count)),
            _ => None,
        };
        self.check_size(shared, bound)?;
        let mut append = Append { record, bound, gate, granted, is_sticky: wanted.is_none() };
        let appended = loop {
            let partition = wanted.unwrap_or_else(|| self.sticky.current().0.min(count - 1));
            match self.try_append(shared, partition, &mut append) {
                Tried::Appended(delivery, bytes) => {
                    if append.is_sticky && self.sticky.add(partition, bytes as u32) as usize >= 2 * shared.batch_size {
                        self.switch(shared, partition, count);
                    }
                    break Ok(Appended::Done(delivery));
                }
                Tried::Moved if append.is_sticky => self.switch(shared, partition, count),
                Tried::Moved => {}
                Tried::Full(bytes) => break Ok(Appended::Full(bytes)),
                Tried::Refused => break Err(shared.refusal()),
            }
        };
        if append.granted > 0 {
            shared.budget.give(append.granted);
        }
        appended
    }

    fn checked(&self, partition: i32, count: u32) -> Result<u32> {
        let known = u32::try_from(partition).ok().filter(|p| *p < count);
        known.ok_or_else(|| {
            let detail = format!("there is no such partition: the topic has {count}");
            let subject = format!("{}-{partition}", self.name);
            Error::new(Operation::Produce, ErrorKind::Invalid, subject, detail)
        })
    }

    fn check_size(&self, shared: &Shared, bound: usize) -> Result<()> {
        let size = bound + BATCH_HEADER_LEN;
        let (limit, setting) = match shared.max_request_size <= shared.budget.total() {
            true => (shared.max_request_size, "max.request.size"),
            false => (shared.budget.total(), "buffer.memory"),
        };
        if size <= limit {
            return Ok(());
        }
        let detail = format!("a record of {size} bytes is larger than {setting} ({limit}) allows");
        Err(Error::new(Operation::Produce, ErrorKind::Invalid, format!("topic {}", self.name), detail))
    }

    #[cold]
    fn switch(&self, shared: &Shared, from: u32, count: u32) {
        let longest = if shared.is_adaptive { self.longest.load(Ordering::Relaxed) } else { 0 };
        self.sticky.switch(from, count, longest, |partition| self.load(partition));
    }

    fn try_append(self: &Arc<Self>, shared: &Shared, partition: u32, append: &mut Append<'_>) -> Tried {
        let Some(slot) = self.slot(partition) else { return Tried::Refused };
        let mut state = lock(&slot.state);
        // Under the lock: once the driver has closed the gate and passed every lock, nobody is behind it.
        if !shared.is_open(append.gate) {
            return Tried::Refused;
        }
        if state.open.is_none() {
            if append.is_sticky && self.has_had_its_share(shared, partition) {
                return Tried::Moved;
            }
            match open(shared, partition, append, self.packer.max_bytes(&self.ratio)) {
                Ok(open) => state.open = Some(open),
                Err(bytes) => return Tried::Full(bytes),
            }
            self.announce(shared, partition, &mut state);
        }
        let Some(open) = &mut state.open else { return Tried::Refused };
        let before = open.builder.wire_len();
        if let Err(bytes) = reserve_growth(shared, open, append) {
            self.close(slot, shared, partition, &mut state);
            return Tried::Full(bytes);
        }
        let Ok(index) = open.builder.append(append.record, shared.clock_ms.load(Ordering::Relaxed)) else {
            self.close(slot, shared, partition, &mut state);
            return Tried::Moved;
        };
        settle_growth(shared, open);
        let delivery = Delivery::new(Arc::clone(&open.completion), index);
        Tried::Appended(delivery, open.builder.wire_len() - before)
    }

    fn has_had_its_share(&self, shared: &Shared, partition: u32) -> bool {
        let (current, bytes) = self.sticky.current();
        current == partition && bytes as usize >= shared.batch_size
    }

    /// Tells the driver to look here, once until it has looked.
    fn announce(self: &Arc<Self>, shared: &Shared, partition: u32, state: &mut SlotState) {
        if !state.is_listed {
            state.is_listed = true;
            lock(&shared.news).push((Arc::clone(self), partition));
            shared.wake.notify_one();
        }
    }

    /// Closes the open batch, if there is one. Compressing it is left to whoever filled it, as in Java, under the lock
    /// of its partition: those who append to others go on.
    fn close(self: &Arc<Self>, slot: &Slot, shared: &Shared, partition: u32, state: &mut SlotState) {
        if let Some(mut open) = state.open.take() {
            self.packer.pack(&mut open.builder, &self.ratio);
            state.closed.push_back(open);
            self.count_queued(slot, 1);
            self.announce(shared, partition, state);
        }
    }

    /// `more` batches of the slot wait to be sent.
    pub(super) fn count_queued(&self, slot: &Slot, more: u32) {
        let queued = slot.queued.fetch_add(more, Ordering::Relaxed) + more;
        self.queued.fetch_add(more as usize, Ordering::Relaxed);
        self.longest.fetch_max(queued, Ordering::Relaxed);
    }

    /// A batch of the partition was sent.
    pub(super) fn count_sent(&self, partition: u32) {
        if let Some(slot) = self.slot(partition) {
            slot.queued.fetch_sub(1, Ordering::Relaxed);
            if self.queued.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.longest.store(0, Ordering::Relaxed);
            }
        }
    }

    /// What the driver finds: closed batches in order, and whether one is still open.
    pub(super) fn collect(&self, partition: u32, also_open: bool) -> (VecDeque<Open>, bool) {
        let Some(slot) = self.slot(partition) else { return (VecDeque::new(), false) };
        let mut state = lock(&slot.state);
        state.is_listed = false;
        if also_open && let Some(mut open) = state.open.take() {
            self.packer.pack(&mut open.builder, &self.ratio);
            state.closed.push_back(open);
            self.count_queued(slot, 1);
        }
        (std::mem::take(&mut state.closed), state.open.is_some())
    }
}

/// Opens a batch with memory granted or free; else how many bytes it needs.
fn open(shared: &Shared, partition: u32, append: &mut Append<'_>, max_bytes: usize) -> Result<Open, usize> {
    let needed = (append.bound + BATCH_HEADER_LEN).max(FIRST_BUFFER.min(shared.batch_size));
    let bytes = shared.budget.next_capacity(needed);
    let bytes = if append.granted >= bytes {
        append.granted -= bytes;
        bytes
    } else if append.granted >= needed {
        append.granted -= needed;
        needed
    } else if shared.budget.try_take(bytes) {
        bytes
    } else {
        return Err(needed);
    };
    let now_ms = (shared.read_clock)();
    shared.clock_ms.store(now_ms, Ordering::Relaxed);
    // Only the first batch of a transaction finds 0.
    let _ = shared.started_at_ms.compare_exchange(0, now_ms, Ordering::Relaxed, Ordering::Relaxed);
    let builder = BatchBuilder::new(shared.budget.buffer(bytes), max_bytes);
    let mut open = Open { builder, completion: Completion::new(partition as i32), charged: bytes };
    settle_growth(shared, &mut open);
    Ok(open)
}

/// Takes memory for a buffer that is about to double; else how many bytes a new batch needs.
fn reserve_growth(shared: &Shared, open: &mut Open, append: &mut Append<'_>) -> Result<(), usize> {
    let (capacity, len) = (open.builder.capacity(), open.builder.wire_len());
    let max_bytes = open.builder.max_bytes();
    if capacity - len >= append.bound || capacity >= max_bytes {
        return Ok(());
    }
    let more = capacity.min(max_bytes - capacity);
    let is_granted = append.granted >= more;
    if is_granted || shared.budget.try_take(more) {
        append.granted -= if is_granted { more } else { 0 };
        open.charged += more;
        return Ok(());
    }
    Err((append.bound + BATCH_HEADER_LEN).max(FIRST_BUFFER.min(shared.batch_size)))
}

/// Makes the account agree with the buffer.
fn settle_growth(shared: &Shared, open: &mut Open) {
    let capacity = open.builder.capacity();
    if capacity > open.charged {
        shared.budget.force(capacity - open.charged);
        open.charged = capacity;
    }
}

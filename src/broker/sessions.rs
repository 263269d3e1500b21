//! Fetch sessions (KIP-227): a broker remembers what a client reads, so that both speak of changes only.

use std::collections::BTreeMap;

use crate::error::ErrorCode;
use crate::types::TopicId;
use crate::wire::StrBytes;
use crate::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use crate::wire::messages::{FetchRequest, TopicName};

/// One partition as a fetch asks for it.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Empty where the version names topics by id.
    pub(super) name: TopicName,
    pub(super) id: TopicId,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) max_bytes: usize,
    pub(super) leader_epoch: i32,
    pub(super) last_fetched_epoch: i32,
    /// High watermark and log start as they were last told in this session.
    pub(super) told: Option<(i64, i64)>,
}

impl Wanted {
    fn new(topic: &FetchTopic, partition: &FetchPartition) -> Self {
        Self {
            name: topic.topic.clone(),
            id: TopicId(*topic.topic_id.as_bytes()),
            partition: partition.partition,
            offset: partition.fetch_offset,
            max_bytes: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
            leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
            told: None,
        }
    }

    /// What names the partition within a session.
    pub(super) fn key(&self) -> (TopicId, StrBytes, i32) {
        (self.id, self.name.0.clone(), self.partition)
    }
}

/// What kind of fetch it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// All partitions, remembered by nobody.
    Sessionless,
    /// All partitions, the first of this session.
    Full(i32),
    /// Only what has changed in this session.
    Incremental(i32),
}

#[derive(Debug)]
struct Session {
    broker: i32,
    epoch: i32,
    wanted: Vec<Wanted>,
}

/// Every session of every broker.
#[derive(Default, Debug)]
pub(super) struct Sessions {
    open: BTreeMap<i32, Session>,
    last_id: i32,
}

impl Sessions {
    /// Finds out what a request is and which partitions it reads.
    pub(super) fn enter(
        &mut self,
        broker: i32,
        request: &FetchRequest,
        slots: usize,
    ) -> Result<(Kind, Vec<Wanted>), ErrorCode> {
        if request.session_epoch > 0 {
            return self.go_on(broker, request);
        }
        self.open.remove(&request.session_id);
        let wanted = all(request);
        if request.session_epoch < 0 || wanted.is_empty() || self.open.len() >= slots {
            return Ok((Kind::Sessionless, wanted));
        }
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.open.insert(self.last_id, Session { broker, epoch: 1, wanted: wanted.clone() });
        Ok((Kind::Full(self.last_id), wanted))
    }

    fn go_on(&mut self, broker: i32, request: &FetchRequest) -> Result<(Kind, Vec<Wanted>), ErrorCode> {
        let id = request.session_id;
        let session = self.open.get_mut(&id).filter(|session| session.broker == broker);
        let session = session.ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.epoch != request.session_epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        session.epoch = session.epoch.checked_add(1).unwrap_or(1);
        session.update(request);
        let wanted = session.wanted.clone();
        if wanted.is_empty() {
            self.open.remove(&id);
            return Ok((Kind::Sessionless, wanted));
        }
        Ok((Kind::Incremental(id), wanted))
    }

    /// Notes what a session was told, and lets the partitions that gave data wait behind the others next time.
    pub(super) fn told(&mut self, id: i32, told: &BTreeMap<(TopicId, StrBytes, i32), (i64, i64, bool)>) {
        let Some(session) = self.open.get_mut(&id) else { return };
        let (mut first, mut last) = (Vec::with_capacity(session.wanted.len()), Vec::new());
        for mut wanted in std::mem::take(&mut session.wanted) {
            let news = told.get(&wanted.key());
            if let Some((high_watermark, log_start, _)) = news {
                wanted.told = Some((*high_watermark, *log_start));
            }
            if news.is_some_and(|(_, _, had_data)| *had_data) { last.push(wanted) } else { first.push(wanted) }
        }
        first.append(&mut last);
        session.wanted = first;
    }

    /// Forgets the sessions of a broker, as its restart does.
    pub(super) fn forget(&mut self, broker: i32) {
        self.open.retain(|_, session| session.broker != broker);
    }
}

impl Session {
    fn update(&mut self, request: &FetchRequest) {
        let mut changed: BTreeMap<_, _> = all(request).into_iter().map(|wanted| (wanted.key(), wanted)).collect();
        for wanted in &mut self.wanted {
            if let Some(new) = changed.remove(&wanted.key()) {
                *wanted = Wanted { told: wanted.told, ..new };
            }
        }
        // What is new joins in the order the request names it.
        let added = all(request).into_iter().filter(|wanted| changed.contains_key(&wanted.key()));
        self.wanted.extend(added.collect::<Vec<_>>());
        for topic in &request.forgotten_topics_data {
            let id = TopicId(*topic.topic_id.as_bytes());
            let is_it = |w: &Wanted| w.id == id && w.name == topic.topic && topic.partitions.contains(&w.partition);
            self.wanted.retain(|wanted| !is_it(wanted));
        }
    }
}

fn all(request: &FetchRequest) -> Vec<Wanted> {
    let of_topic = |topic: &FetchTopic| topic.partitions.iter().map(|p| Wanted::new(topic, p)).collect::<Vec<_>>();
    request.topics.iter().flat_map(of_topic).collect()
}

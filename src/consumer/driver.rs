//! Waits for everything the fetcher asked for: one task per consumer, no task per fetch, one wake-up per edge.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::fetcher::Fetcher;
use super::lanes::LaneId;
use super::locate::{Found, Lookup};
use super::request;
use crate::cluster::{self, Cluster, Lane};
use crate::connection::BoxFuture;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::types::TopicName;
use crate::wire::frame::{RequestFrame, decode_response};
use crate::wire::messages::{FetchRequest, FetchResponse};

/// How long brokers have to take note that a session is over, once they have answered what they were asked before.
const CLOSING: Duration = Duration::from_secs(1);

/// What the consumer's handle and its driver share. The lock is held for a look at the state, never across a wait.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the driver.
    pub(super) wake: Arc<Notify>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) fetcher: Fetcher,
    /// Who waits for the next event.
    poller: Option<Waker>,
    /// Whether nobody will poll any more.
    pub(super) is_closed: bool,
    /// Whether the driver has ended.
    pub(super) is_stopped: bool,
}

impl Shared {
    pub(super) fn new(fetcher: Fetcher, wake: Arc<Notify>) -> Arc<Shared> {
        let state = Mutex::new(State { fetcher, poller: None, is_closed: false, is_stopped: false });
        Arc::new(Shared { state, wake })
    }

    /// The state. A panic elsewhere leaves it as consistent as a return would have.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the fetcher, and wakes the poller if that gave him something.
    fn update<T>(&self, change: impl FnOnce(&mut Fetcher) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state.fetcher);
        let poller = if state.fetcher.is_ready() { state.poller.take() } else { None };
        drop(state);
        poller.into_iter().for_each(Waker::wake);
        result
    }
}

impl State {
    /// Wakes `cx` at the next event.
    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.poller {
            Some(poller) => poller.clone_from(cx.waker()),
            None => self.poller = Some(cx.waker().clone()),
        }
    }
}

/// The connections of one consumer, two to a broker, which no other consumer waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes {
    first: Lane,
    second: Lane,
}

impl Lanes {
    /// Lanes of nobody else.
    pub(super) fn new(cluster: &Cluster) -> Lanes {
        Lanes { first: Lane::Fetch(cluster.next_seed()), second: Lane::Fetch(cluster.next_seed()) }
    }

    fn of(self, id: LaneId) -> Lane {
        if id.is_second { self.second } else { self.first }
    }
}

/// Something that was waited for.
enum Done {
    Fetched(LaneId, Option<Result<FetchResponse>>),
    Located(Lookup, Result<Found>),
    Learned(Vec<TopicName>, Result<()>),
}

/// What is under way, the oldest polled first, so that no broker waits for a busier one.
#[derive(Default)]
struct Jobs {
    next_id: u64,
    running: BTreeMap<u64, BoxFuture<'static, Done>>,
}

impl Jobs {
    fn start(&mut self, job: impl Future<Output = Done> + Send + 'static) {
        self.next_id += 1;
        self.running.insert(self.next_id, Box::pin(job));
    }

    async fn next(&mut self) -> Done {
        poll_fn(|cx| {
            let ready = self.running.iter_mut().find_map(|(id, job)| match job.as_mut().poll(cx) {
                Poll::Ready(done) => Some((*id, done)),
                Poll::Pending => None,
            });
            let Some((id, done)) = ready else { return Poll::Pending };
            self.running.remove(&id);
            Poll::Ready(done)
        })
        .await
    }
}

/// Tells the poller that nothing will come any more, however the driver ends.
struct Stop {
    shared: Arc<Shared>,
    cluster: Cluster,
    lanes: Lanes,
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.cluster.release(self.lanes.first);
        self.cluster.release(self.lanes.second);
        let mut state = self.shared.lock();
        state.is_stopped = true;
        let poller = state.poller.take();
        drop(state);
        poller.into_iter().for_each(Waker::wake);
    }
}

/// Runs a consumer until its handle is dropped.
pub(super) async fn run(shared: Arc<Shared>, cluster: Cluster, lanes: Lanes) {
    let _stop = Stop { shared: shared.clone(), cluster: cluster.clone(), lanes };
    let mut jobs = Jobs::default();
    let mut metadata = cluster.watch();
    let first = metadata.newest();
    shared.update(|fetcher| fetcher.handle_metadata(now(), first));
    while !shared.lock().is_closed {
        let timeout = start_jobs(&shared, &cluster, lanes, &mut jobs);
        tokio::select! {
            biased;
            () = shared.wake.notified() => shared.update(Fetcher::handle_wake),
            done = jobs.next() => finish(&shared, done),
            new = metadata.changed() => shared.update(|fetcher| fetcher.handle_metadata(now(), new)),
            () = sleep_until(timeout) => {}
        }
    }
    close_sessions(&shared, &cluster, lanes).await;
}

/// Tells brokers that their sessions are over, so that they need not remember them until they are the oldest (KIP-227).
///
/// Over connections that are there anyway, behind a fetch that a broker may be holding. What fails is of no consequence.
async fn close_sessions(shared: &Shared, cluster: &Cluster, lanes: Lanes) {
    let (sessions, patience) = {
        let state = shared.lock();
        let of_lane = |(id, lane): (&LaneId, &super::lanes::Lane)| lane.session.id().map(|session| (*id, session));
        let sessions: Vec<(LaneId, i32)> = state.fetcher.lanes.iter().filter_map(of_lane).collect();
        (sessions, state.fetcher.config.fetch_max_wait + CLOSING)
    };
    let deadline = tokio::time::Instant::now() + patience;
    let mut answers = Vec::new();
    for (id, session) in sessions {
        let Some(connection) = cluster.open_connection(id.broker, lanes.of(id)) else { continue };
        let Ok(version) = connection.version_of::<FetchRequest>() else { continue };
        let frame = RequestFrame::encode(connection.client_id(), version, &request::close_request(session));
        answers.extend(frame.map(|frame| connection.submit(frame, deadline, true)));
    }
    for answer in answers {
        let _ = answer.await;
    }
}

/// Starts whatever the fetcher wants under way now; when it has to be asked again.
fn start_jobs(shared: &Arc<Shared>, cluster: &Cluster, lanes: Lanes, jobs: &mut Jobs) -> Option<Instant> {
    let (hints, stale, timeout) = shared.update(|fetcher| {
        let now = now();
        fetcher.handle_timeout(now);
        while let Some(lookup) = fetcher.poll_lookup(now) {
            jobs.start(locate(cluster.clone(), fetcher.config.clone(), lookup));
        }
        while let Some(id) = fetcher.poll_lane(now) {
            jobs.start(fetch(shared.clone(), cluster.clone(), lanes.of(id), id));
        }
        if let Some(names) = fetcher.poll_topics() {
            jobs.start(learn(cluster.clone(), names));
        }
        (std::mem::take(&mut fetcher.hints), std::mem::take(&mut fetcher.stale), fetcher.poll_timeout())
    });
    if !hints.is_empty() {
        cluster.apply_hints(&hints);
    }
    if !stale.is_empty() {
        cluster.refresh(&stale.into_iter().collect::<Vec<_>>());
    }
    timeout
}

fn finish(shared: &Shared, done: Done) {
    shared.update(|fetcher| match done {
        Done::Fetched(id, Some(answer)) => fetcher.handle_answer(id, now(), answer),
        Done::Fetched(_, None) | Done::Learned(_, Ok(())) => {}
        Done::Located(lookup, found) => fetcher.handle_lookup(now(), lookup, found),
        Done::Learned(names, Err(error)) => fetcher.handle_topics_failed(&names, &error),
    });
}

/// One fetch: connects, asks what is wanted by then, and waits for the answer.
async fn fetch(shared: Arc<Shared>, cluster: Cluster, lane: Lane, id: LaneId) -> Done {
    let answer = exchange(&shared, &cluster, lane, id).await;
    Done::Fetched(id, answer.transpose())
}

async fn exchange(shared: &Shared, cluster: &Cluster, lane: Lane, id: LaneId) -> Result<Option<FetchResponse>> {
    let connection = cluster.connection(id.broker, lane).await?;
    let newest = connection.version_of::<FetchRequest>()?;
    let Some((version, request)) = shared.lock().fetcher.ask(id, newest, now()) else { return Ok(None) };
    let frame = RequestFrame::encode(connection.client_id(), version, &request)
        .map_err(|e| Error::new(Operation::Fetch, ErrorKind::Protocol, id.broker.to_string(), e.reason))?;
    let patience = cluster.config().request_timeout + shared.lock().fetcher.config.fetch_max_wait;
    let deadline = tokio::time::Instant::now() + patience;
    let answer = connection.submit(frame, deadline, true).await?;
    decode_response::<FetchRequest>(version, answer)
        .map(Some)
        .map_err(|e| Error::new(Operation::Fetch, ErrorKind::Protocol, id.broker.to_string(), e.to_string()))
}

async fn locate(cluster: Cluster, config: crate::config::ConsumerConfig, lookup: Lookup) -> Done {
    let found = if lookup.is_committed {
        let group = config.group_id.unwrap_or_default();
        let partitions: Vec<_> = lookup.partitions.iter().map(|(tp, ..)| tp.clone()).collect();
        let found = cluster::committed_offsets(&cluster, &group, &partitions).await;
        found.map(|found| found.into_iter().map(|(tp, o)| (tp, (o.offset, o.leader_epoch))).collect())
    } else {
        let partitions: Vec<_> = lookup.partitions.iter().map(|(tp, _, at)| (tp.clone(), *at)).collect();
        let found = cluster::list_offsets(&cluster, config.isolation_level, &partitions).await;
        found.map(|found| found.into_iter().map(|(tp, offset)| (tp, (offset, -1))).collect())
    };
    Done::Located(lookup, found)
}

async fn learn(cluster: Cluster, names: Vec<TopicName>) -> Done {
    let learned = cluster.topics(&names, cluster.config().default_api_timeout).await;
    Done::Learned(names, learned.map(|_| ()))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

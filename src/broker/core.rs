//! A whole cluster as one value: an event and the time go in, answers and closed connections come out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use super::api::{Answer, Call, ConnectionId, Outcome, Serve};
use super::control::Control;
use super::coordinate::Coordinators;
use super::fetch::Fetches;
use super::intercept::{Interception, RequestInfo, Seen, Verdict};
use super::offsets::Groups;
use super::produce::Produces;
use super::sasl::Login;
use super::settings::Settings;
use super::timers::Timers;
use super::topics::Topics;
use super::txn::{Marker, Transactions};
use crate::types::TopicPartition;
use crate::wire::codec::Decompressor;
use crate::wire::frame;

/// What happens to the cluster.
#[derive(Debug)]
pub enum Event {
    /// A client connected to a broker.
    Connected(ConnectionId, i32),
    /// A whole request frame came, without its length bytes. From here on it outlives its connection.
    Request(ConnectionId, Bytes),
    /// The client's side of a connection is gone.
    Disconnected(ConnectionId),
    /// Time has passed.
    Tick,
    /// A person or a test did something to the cluster.
    Control(Control),
}

/// What the adapter is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Write this, length bytes included.
    Reply(ConnectionId, Bytes),
    /// Close the connection behind what was written before.
    Close(ConnectionId),
}

/// Something due later.
#[derive(Debug)]
pub(super) enum Timer {
    /// A delayed request is applied.
    Apply(Call, Bytes),
    /// A delayed answer is sent.
    Send(Call, Bytes),
    /// The high watermark reaches an offset.
    Replicate(TopicPartition, i64),
    /// A waiting fetch has waited long enough.
    Fetch(u64),
    /// A waiting produce has waited long enough.
    Produce(u64),
    /// A marker is written.
    Marker(Marker),
    /// A transaction has been open too long, if this one still is.
    TransactionTimeout { transactional_id: String, generation: u64 },
}

/// One connection as the cluster knows it.
#[derive(Debug)]
struct Connection {
    broker: i32,
    /// Frames behind the one being worked on: Kafka answers a connection's requests in order.
    queue: VecDeque<Bytes>,
    is_busy: bool,
    is_gone: bool,
    login: Login,
}

/// One broker.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_up: bool,
}

/// The cluster. All state is ordered, so the same events at the same times give the same effects.
#[derive(Debug)]
pub struct Core {
    pub(super) settings: Settings,
    started: Instant,
    pub(super) now: Instant,
    pub(super) nodes: BTreeMap<i32, Node>,
    pub(super) topics: Topics,
    pub(super) timers: Timers<Timer>,
    pub(super) fetches: Fetches,
    pub(super) produces: Produces,
    /// For batches that are looked into before they are written.
    pub(super) decompressor: Decompressor,
    pub(super) transactions: Transactions,
    pub(super) groups: Groups,
    pub(super) coordinators: Coordinators,
    pub(super) interception: Interception,
    /// Partitions with something new for those who wait.
    pub(super) dirty: BTreeSet<TopicPartition>,
    connections: BTreeMap<ConnectionId, Connection>,
    runnable: VecDeque<ConnectionId>,
    effects: Vec<Effect>,
}

impl Core {
    /// A cluster that starts at `now`. Its brokers listen where [`Core::set_address`] says, else on ports from 9092.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let node = |id: i32| Node { host: "127.0.0.1".into(), port: default_port(id), is_up: true };
        Self {
            nodes: (1..=settings.brokers).map(|id| (id, node(id))).collect(),
            settings,
            started: now,
            now,
            topics: Topics::default(),
            timers: Timers::default(),
            fetches: Fetches::default(),
            produces: Produces::default(),
            decompressor: Decompressor::default(),
            transactions: Transactions::default(),
            groups: Groups::default(),
            coordinators: Coordinators::default(),
            interception: Interception::default(),
            dirty: BTreeSet::new(),
            connections: BTreeMap::new(),
            runnable: VecDeque::new(),
            effects: Vec::new(),
        }
    }

    /// Says where a broker listens, as Metadata will tell clients.
    pub fn set_address(&mut self, broker: i32, host: impl Into<String>, port: u16) {
        if let Some(node) = self.nodes.get_mut(&broker) {
            node.host = host.into();
            node.port = port;
        }
    }

    /// The broker that listens at this address and is up.
    pub fn broker_at(&self, host: &str, port: u16) -> Option<i32> {
        let here = |node: &Node| node.is_up && node.host == host && node.port == port;
        self.nodes.iter().find(|(_, node)| here(node)).map(|(id, _)| *id)
    }

    /// Every broker with its address.
    pub fn addresses(&self) -> Vec<(i32, String, u16)> {
        self.nodes.iter().map(|(id, node)| (*id, node.host.clone(), node.port)).collect()
    }

    /// Lets an event happen at `now`, and everything that is due by then.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Effect> {
        self.now = self.now.max(now);
        match event {
            Event::Connected(connection, broker) => self.connected(connection, broker),
            Event::Request(connection, frame) => self.arrived(connection, frame),
            Event::Disconnected(connection) => self.gone(connection),
            Event::Tick => {}
            Event::Control(control) => self.control(control),
        }
        self.settle();
        std::mem::take(&mut self.effects)
    }

    /// When [`Event::Tick`] must come at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Frames of a connection that wait behind the one being worked on, for the adapter's backpressure.
    pub fn backlog(&self, connection: ConnectionId) -> usize {
        self.connections.get(&connection).map_or(0, |connection| connection.queue.len())
    }

    /// The cluster's wall clock, ms since the epoch.
    pub(super) fn now_ms(&self) -> i64 {
        let passed = self.now.saturating_duration_since(self.started).as_millis();
        self.settings.start_time_ms.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    /// Has something happen after `delay`.
    pub(super) fn after(&mut self, delay: Duration, timer: Timer) {
        let at = self.now.checked_add(delay).unwrap_or(self.now);
        self.timers.at(at, timer);
    }

    /// Ids of the brokers that are up.
    pub(super) fn alive(&self) -> Vec<i32> {
        self.nodes.iter().filter(|(_, node)| node.is_up).map(|(id, _)| *id).collect()
    }

    /// Who a call's connection belongs to.
    pub(super) fn login(&self, call: &Call) -> Option<&Login> {
        self.connections.get(&call.connection).map(|connection| &connection.login)
    }

    /// The same, to change it.
    pub(super) fn login_mut(&mut self, call: &Call) -> Option<&mut Login> {
        self.connections.get_mut(&call.connection).map(|connection| &mut connection.login)
    }

    fn connected(&mut self, id: ConnectionId, broker: i32) {
        if !self.nodes.get(&broker).is_some_and(|node| node.is_up) {
            self.effects.push(Effect::Close(id));
            return;
        }
        let login = Login::default();
        self.connections
            .insert(id, Connection { broker, queue: VecDeque::new(), is_busy: false, is_gone: false, login });
    }

    fn arrived(&mut self, id: ConnectionId, frame: Bytes) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.queue.push_back(frame);
            self.runnable.push_back(id);
        }
    }

    fn gone(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_gone = true;
            self.forget_if_done(id);
        }
    }

    fn forget_if_done(&mut self, id: ConnectionId) {
        let done = |connection: &Connection| connection.is_gone && !connection.is_busy && connection.queue.is_empty();
        if self.connections.get(&id).is_some_and(done) {
            self.connections.remove(&id);
        }
    }

    /// Closes a connection from our side; what came by it and was not begun is lost with it.
    pub(super) fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(&id)
            && !connection.is_gone
        {
            self.effects.push(Effect::Close(id));
        }
    }

    /// Closes every connection to `broker`.
    pub(super) fn close_all(&mut self, broker: i32) {
        let of_broker = |(id, connection): (&ConnectionId, &Connection)| (connection.broker == broker).then_some(*id);
        let ids: Vec<_> = self.connections.iter().filter_map(of_broker).collect();
        ids.into_iter().for_each(|id| self.close(id));
    }

    fn settle(&mut self) {
        loop {
            if let Some(timer) = self.timers.pop(self.now) {
                self.fire(timer);
            } else if let Some(id) = self.runnable.pop_front() {
                self.pump(id);
            } else if !self.dirty.is_empty() {
                let dirty = std::mem::take(&mut self.dirty);
                self.wake_produces(&dirty);
                self.wake_fetches(&dirty);
            } else {
                return;
            }
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Apply(call, body) => self.apply(call, body),
            Timer::Send(call, frame) => self.send(&call, frame),
            Timer::Replicate(tp, offset) => self.replicated(&tp, offset),
            Timer::Fetch(id) => self.fetch_expired(id),
            Timer::Produce(id) => self.produce_expired(id),
            Timer::Marker(marker) => self.write_marker(marker),
            Timer::TransactionTimeout { transactional_id, generation } => {
                self.transaction_expired(&transactional_id, generation);
            }
        }
    }

    /// Begins the connection's next request, if none is being worked on.
    fn pump(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.is_busy {
            return;
        }
        let Some(frame) = connection.queue.pop_front() else { return };
        connection.is_busy = true;
        let broker = connection.broker;
        self.admit(id, broker, frame);
    }

    fn admit(&mut self, connection: ConnectionId, broker: i32, frame: Bytes) {
        let Ok((header, body)) = frame::decode_request_header(frame) else { return self.close(connection) };
        let mut call = Call {
            connection,
            broker,
            api_key: header.api_key,
            version: header.api_version,
            correlation_id: header.correlation_id,
            throttle_ms: 0,
            answer: Answer::Now,
        };
        let verdict = self.interception.judge(&RequestInfo { broker, connection, header: &header, body: &body });
        let offered = self.settings.range_of(call.api_key);
        if !offered.is_some_and(|range| (range.min..=range.max).contains(&call.version)) {
            return self.unsupported(call);
        }
        if !self.is_admitted(&call) {
            return self.close(connection);
        }
        match verdict {
            Verdict::Pass => {}
            Verdict::Delay(delay) => return self.after(delay, Timer::Apply(call, body)),
            Verdict::DelayAnswer(delay) => call.answer = Answer::After(delay),
            Verdict::Drop => return self.done(connection),
            Verdict::CloseBefore => return self.close(connection),
            Verdict::CloseAfter => call.answer = Answer::Close,
            Verdict::Error(code) => return self.refuse(call, body, code),
            Verdict::ThrottleMs(ms) => call.throttle_ms = ms,
        }
        self.apply(call, body);
    }

    /// Decodes a request and applies it; one that does not follow its schema closes the connection.
    pub(super) fn run<Q: Serve>(&mut self, call: Call, body: Bytes) {
        let request = match frame::decode_request::<Q>(call.version, body) {
            Ok(request) => request,
            Err(malformed) => {
                tracing::warn!(%malformed, "closing the connection");
                return self.close(call.connection);
            }
        };
        match request.serve(self, &call) {
            Outcome::Reply(response) => self.reply::<Q>(&call, response),
            Outcome::Last(response) => {
                self.reply::<Q>(&call, response);
                self.close(call.connection);
            }
            Outcome::Pending => {}
            Outcome::Silent => self.done(call.connection),
            Outcome::Close => self.close(call.connection),
        }
    }

    /// Refuses a request with `code`.
    pub(super) fn run_refusal<Q: Serve>(&mut self, call: Call, body: Bytes, code: i16) {
        match frame::decode_request::<Q>(call.version, body) {
            Ok(request) => {
                let response = request.refuse(code, call.version);
                self.reply::<Q>(&call, response);
            }
            Err(_) => self.close(call.connection),
        }
    }

    /// Answers a request.
    pub(super) fn reply<Q: Serve>(&mut self, call: &Call, mut response: Q::Response) {
        if call.throttle_ms > 0 {
            Q::throttle(&mut response, call.throttle_ms);
        }
        match frame::encode_response::<Q>(call.version, call.correlation_id, &response) {
            Ok(frame) => self.hand_over(call, frame),
            Err(error) => {
                tracing::error!(?error, "an answer of ours cannot be encoded; closing the connection");
                self.close(call.connection);
            }
        }
    }

    fn hand_over(&mut self, call: &Call, frame: BytesMut) {
        let frame = frame.freeze();
        match call.answer {
            Answer::Now => self.send(call, frame),
            Answer::After(delay) => self.after(delay, Timer::Send(*call, frame)),
            Answer::Close => self.close(call.connection),
        }
    }

    fn send(&mut self, call: &Call, frame: Bytes) {
        let Some(connection) = self.connections.get(&call.connection) else { return };
        if !connection.is_gone {
            let mut bare = frame.clone();
            bare.advance(4.min(bare.len()));
            let (api_key, api_version) = (call.api_key, call.version);
            let (broker, connection) = (call.broker, call.connection);
            self.interception.show(Seen::Response { broker, connection, api_key, api_version, frame: &bare });
            self.effects.push(Effect::Reply(call.connection, frame));
        }
        self.done(call.connection);
    }

    /// The connection may go on with its next request.
    pub(super) fn done(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_busy = false;
            self.runnable.push_back(id);
            self.forget_if_done(id);
        }
    }
}

fn default_port(broker: i32) -> u16 {
    u16::try_from(9091 + broker).unwrap_or(9092)
}

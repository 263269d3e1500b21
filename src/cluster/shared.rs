//! What all handles of one cluster share: the newest metadata, the coordinators, the connections and the seed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use super::board::Board;
use super::coordinators::Coordinators;
use super::metadata::{self, Asked};
use super::pool::Pool;
use super::rebootstrap::{Rebootstrap, Whom};
use super::retry::Backoff;
use super::trust;
use super::{BrokerMetadata, Lane, Metadata};
use crate::config::{ClientConfig, ClientDnsLookup};
use crate::connection::{Connection, Environment, parse_bootstrap};
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Result};
use crate::types::{BrokerId, TopicName};
use crate::wire::messages::MetadataRequest;

/// Known brokers asked in one round before the bootstrap addresses are tried again (KIP-899, KIP-1102): a client whose
/// brokers have all been replaced finds the new ones within one round, not after every old address has timed out.
const KNOWN_BROKERS_PER_ROUND: usize = 3;

pub(super) struct Shared {
    pub(super) config: ClientConfig,
    pub(super) environment: Environment,
    pub(super) board: Arc<Board>,
    coordinators: Mutex<Coordinators>,
    rebootstrap: Mutex<Rebootstrap>,
    pool: Pool,
    /// Draws so far from the two sequences of seeds: one for roles, one for ourselves.
    role_seeds: AtomicU64,
    own_seeds: AtomicU64,
}

/// Whom to ask what any broker knows.
enum Candidate {
    Broker(BrokerId),
    Bootstrap(String),
}

impl Shared {
    pub(super) fn new(config: ClientConfig, environment: Environment) -> Self {
        let (strategy, trigger) = (config.metadata_recovery_strategy, config.metadata_recovery_rebootstrap_trigger);
        Self {
            config,
            environment,
            rebootstrap: Mutex::new(Rebootstrap::new(strategy, trigger)),
            board: Arc::default(),
            coordinators: Mutex::default(),
            pool: Pool::default(),
            role_seeds: AtomicU64::new(0),
            own_seeds: AtomicU64::new(0),
        }
    }

    pub(super) fn metadata(&self) -> Arc<Metadata> {
        self.board.metadata()
    }

    pub(super) fn coordinators(&self) -> MutexGuard<'_, Coordinators> {
        self.coordinators.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rebootstrap(&self) -> MutexGuard<'_, Rebootstrap> {
        self.rebootstrap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every topic that was asked for, there or not.
    pub(super) fn known_topics(&self) -> Vec<TopicName> {
        let metadata = self.metadata();
        let mut names: Vec<_> = metadata.topics.keys().chain(metadata.topic_errors.keys()).cloned().collect();
        names.sort();
        names
    }

    pub(super) fn next_role_seed(&self) -> u64 {
        seed(self.environment.seed, self.role_seeds.fetch_add(1, Ordering::Relaxed))
    }

    fn next_own_seed(&self) -> u64 {
        seed(!self.environment.seed, self.own_seeds.fetch_add(1, Ordering::Relaxed))
    }

    /// The waits between attempts of one more call.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.config.retry_backoff, self.config.retry_backoff_max, self.next_own_seed())
    }

    /// The connection to a known broker.
    pub(super) async fn connection(&self, broker: BrokerId, lane: Lane) -> Result<Connection> {
        let Some(broker) = self.metadata().brokers.get(&broker).cloned() else {
            let detail = "the metadata does not know this broker (any more)";
            return Err(Error::new(Operation::Connect, ErrorKind::Network, broker.to_string(), detail));
        };
        self.pool.connection(&self.environment, &self.config, &broker, lane, || self.next_own_seed()).await
    }

    /// The open connection to `broker`, if there is one.
    pub(super) fn open_connection(&self, broker: BrokerId, lane: Lane) -> Option<Connection> {
        self.pool.open(broker, lane)
    }

    /// Drops the connections of a lane.
    pub(super) fn release(&self, lane: Lane) {
        self.pool.release(lane);
    }

    /// Adds a broker that an answer named and the metadata lacks.
    pub(super) fn learn_broker(&self, broker: BrokerMetadata) {
        self.board.modify(|metadata| {
            let is_new = !metadata.brokers.contains_key(&broker.id);
            if is_new {
                Arc::make_mut(metadata).brokers.insert(broker.id, broker);
            }
            is_new
        });
    }

    /// A connection to any broker that lets itself be reached: open ones first, then a few others, then the bootstrap
    /// addresses. Fails with the cause of each.
    pub(super) async fn any_connection(&self) -> Result<Connection> {
        let mut failures = Vec::new();
        for candidate in self.candidates() {
            match self.reach(&candidate, self.config.socket_connection_setup_timeout).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failures.push(error),
            }
        }
        Err(nobody(failures))
    }

    /// Asks one broker after the other for metadata, until one answers or `deadline`; merges and returns the view, which
    /// holds all topics if they were asked for.
    pub(super) async fn fetch(&self, asked: Asked<'_>, deadline: Instant) -> Result<Arc<Metadata>> {
        let mut failures = Vec::new();
        let candidates = self.candidates();
        let mut is_given_up = false;
        for (tried, candidate) in candidates.iter().enumerate() {
            if is_given_up && matches!(candidate, Candidate::Broker(_)) {
                continue;
            }
            let turn = turn(Instant::now(), deadline, candidates.len() - tried);
            match tokio::time::timeout(turn, self.fetch_from(candidate, asked, turn)).await {
                Ok(Ok(metadata)) => {
                    self.rebootstrap().handle_answered();
                    return Ok(metadata);
                }
                // Asking changes nothing, whatever became of the question.
                Ok(Err(error)) => {
                    is_given_up |= self.is_rebootstrap(&error);
                    failures.push(error.with_maybe_applied(false));
                }
                Err(_) => {
                    let detail = format!("no metadata within {turn:?}");
                    failures.push(Error::new(Operation::Metadata, ErrorKind::Timeout, candidate.to_string(), detail));
                }
            }
        }
        self.rebootstrap().handle_failed(Instant::now().into_std());
        Err(nobody(failures))
    }

    /// Whether the answer asks for new bootstrapping (KIP-1102). Connections to brokers that are given up are let go of.
    fn is_rebootstrap(&self, error: &Error) -> bool {
        let is_required = error.code() == Some(ErrorCode::REBOOTSTRAP_REQUIRED) && self.rebootstrap().handle_required();
        if is_required {
            self.pool.clear();
        }
        is_required
    }

    async fn fetch_from(&self, candidate: &Candidate, asked: Asked<'_>, turn: Duration) -> Result<Arc<Metadata>> {
        // Less than the turn: what a connection is waiting for when its time is over says more than that it was over.
        let connection = self.reach(candidate, turn - turn / 10).await?;
        let version = connection.version_of::<MetadataRequest>()?;
        let request = metadata::request(asked, version);
        let response = connection.call_at(version, &request, self.config.request_timeout).await?;
        let before = self.metadata();
        let view = before.merged(version, asked, &response).map_err(|why| why.error(connection.address()))?;
        for broker in trust::local_redirects(&before, &view, connection.address()) {
            let from = connection.address();
            let why = "which is this machine or its own link: look at that broker's advertised.listeners";
            tracing::warn!("{from} sends us to {broker}, {why}");
        }
        // Merged again under the lock: another answer may have come between.
        self.board.modify(|metadata| {
            let Ok(merged) = metadata.merged(version, asked, &response) else { return false };
            let next = match asked {
                Asked::All => metadata.refreshed_from(&merged),
                Asked::Topics(_) => merged,
            };
            *metadata = Arc::new(next);
            true
        });
        Ok(match asked {
            Asked::All => Arc::new(view),
            Asked::Topics(_) => self.metadata(),
        })
    }

    /// A connection to the candidate, to a bootstrap address within `limit`.
    async fn reach(&self, candidate: &Candidate, limit: Duration) -> Result<Connection> {
        match candidate {
            Candidate::Broker(id) => self.connection(*id, Lane::Coordination).await,
            Candidate::Bootstrap(address) => {
                let (host, port) = parse_bootstrap(address)?;
                match self.config.client_dns_lookup {
                    ClientDnsLookup::UseAllDnsIps => self.open(&host, port, limit).await,
                    ClientDnsLookup::ResolveCanonicalBootstrapServersOnly => {
                        self.open_canonical(&host, port, limit).await
                    }
                }
            }
        }
    }

    async fn open(&self, host: &str, port: u16, limit: Duration) -> Result<Connection> {
        Connection::open_within(&self.environment, &self.config, BrokerId(-1), host, port, limit).await
    }

    /// The first that answers of the names that `host` stands for.
    async fn open_canonical(&self, host: &str, port: u16, limit: Duration) -> Result<Connection> {
        let names = self.environment.dial.canonical(host).await;
        let names = names.map_err(|e| Error::new(Operation::Connect, ErrorKind::Network, host, e.to_string()))?;
        let mut failures = Vec::new();
        for name in names {
            match self.open(&name, port, limit).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failures.push(error),
            }
        }
        Err(nobody(failures))
    }

    /// Known brokers from a random one on, open ones first; then the bootstrap addresses as they were given. Only one of
    /// the two where [`Rebootstrap`] says so.
    fn candidates(&self) -> Vec<Candidate> {
        let whom = self.rebootstrap().whom(Instant::now().into_std());
        let bootstrap = self.config.bootstrap_servers.iter().cloned().map(Candidate::Bootstrap);
        let brokers = if whom == Whom::Bootstrap { Vec::new() } else { self.known_brokers() };
        match whom {
            Whom::Known if !brokers.is_empty() => brokers.into_iter().map(Candidate::Broker).collect(),
            _ => {
                let known = brokers.into_iter().take(KNOWN_BROKERS_PER_ROUND).map(Candidate::Broker);
                known.chain(bootstrap).collect()
            }
        }
    }

    fn known_brokers(&self) -> Vec<BrokerId> {
        let mut brokers: Vec<BrokerId> = self.metadata().brokers.keys().copied().collect();
        if !brokers.is_empty() {
            let first = StdRng::seed_from_u64(self.next_own_seed()).random_range(0..brokers.len());
            brokers.rotate_left(first);
        }
        // Stable, so that the random order stays within each half.
        brokers.sort_by_key(|broker| !self.pool.is_open(*broker, Lane::Coordination));
        brokers
    }
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broker(id) => id.fmt(f),
            Self::Bootstrap(address) => f.write_str(address),
        }
    }
}

/// How long one of `candidates` may take: its share of what is left, but at least five seconds, so that brokers that
/// accept and never answer do not use up the time in which a bootstrap address would (KIP-1102).
fn turn(now: Instant, deadline: Instant, candidates: usize) -> Duration {
    const AT_LEAST: Duration = Duration::from_secs(5);
    let left = deadline.saturating_duration_since(now);
    let share = left / u32::try_from(candidates).unwrap_or(u32::MAX).max(1);
    share.max(AT_LEAST).min(left)
}

/// One error of all candidates: retriable if any of them is, unless one of them refused what we would show each of them.
fn nobody(failures: Vec<Error>) -> Error {
    let is_final = |error: &&Error| is_about_us(error);
    let worst = failures.iter().find(is_final).or(failures.iter().find(|e| e.is_retriable())).or(failures.first());
    let Some(worst) = worst else {
        return Error::invalid("bootstrap.servers", "is not set; give host:port of at least one broker");
    };
    let causes: Vec<String> = failures.iter().map(Error::to_string).collect();
    let kind = worst.kind();
    Error::new(Operation::Metadata, kind, "", causes.join("; ")).with_recovery(worst.recovery())
}

/// Whether the failure would be the same at every broker: a login that was refused, settings that cannot work. Trying on
/// because another broker is down could lock an account.
fn is_about_us(error: &Error) -> bool {
    let is_refused_login =
        matches!(error.code(), Some(ErrorCode::SASL_AUTHENTICATION_FAILED | ErrorCode::UNSUPPORTED_SASL_MECHANISM));
    !error.is_retriable() && (is_refused_login || error.kind() == ErrorKind::Invalid)
}

/// The n-th seed of a sequence (SplitMix64): neighbouring numbers give unrelated seeds.
fn seed(base: u64, n: u64) -> u64 {
    let mut z = base.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_candidate_gets_its_share_of_the_time_but_five_seconds_if_there_are() {
        let now = Instant::now();
        let turn = |left, candidates| turn(now, now + Duration::from_secs(left), candidates).as_secs();
        assert_eq!([turn(60, 4), turn(45, 3), turn(10, 4), turn(5, 3), turn(2, 2), turn(0, 1)], [15, 15, 5, 5, 2, 0]);
    }

    #[test]
    fn seeds_differ_from_draw_to_draw_and_repeat_from_run_to_run() {
        let shared = |seed| Shared::new(ClientConfig::default(), Environment { seed, ..Environment::default() });
        let draw = |shared: Shared| [(); 3].map(|()| shared.next_role_seed());
        let first = draw(shared(7));
        assert_eq!(first, draw(shared(7)));
        assert_ne!(first, draw(shared(8)));
        assert!(first[0] != first[1] && first[1] != first[2]);
    }
}

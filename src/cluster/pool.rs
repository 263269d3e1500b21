//! One open connection per broker and lane: several callers share one attempt, and a dropped caller leaves no trace.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::retry::{Backoff, Reconnect};
use super::{BrokerMetadata, Lane};
use crate::config::ClientConfig;
use crate::connection::{Connection, Environment, display_address};
use crate::error::{Error, Result};
use crate::types::BrokerId;

type Key = (BrokerId, Lane);

/// The connections of one client.
#[derive(Debug, Default)]
pub(super) struct Pool {
    slots: Mutex<BTreeMap<Key, Arc<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    open: Mutex<Option<Connection>>,
    /// Attempts that ended, so that who waited for one takes its failure and does not begin the next.
    finished: AtomicU64,
    /// Held while dialling. Dropping the dialling caller lets the next one begin.
    dialling: tokio::sync::Mutex<Dialling>,
}

#[derive(Debug)]
struct Dialling {
    reconnect: Reconnect,
    last_error: Option<Error>,
}

impl Pool {
    /// The open connection to `broker`, or a new one; `seed` is for the jitter of a slot that is made now.
    pub(super) async fn connection(
        &self,
        environment: &Environment,
        config: &ClientConfig,
        broker: &BrokerMetadata,
        lane: Lane,
        seed: impl FnOnce() -> u64,
    ) -> Result<Connection> {
        let slot = self.slot((broker.id, lane), config, seed);
        let address = display_address(&broker.host, broker.port);
        if let Some(open) = slot.open(&address) {
            return Ok(open);
        }
        let seen = slot.finished.load(Ordering::Acquire);
        let mut dialling = slot.dialling.lock().await;
        if let Some(open) = slot.open(&address) {
            return Ok(open);
        }
        if slot.finished.load(Ordering::Acquire) != seen
            && let Some(error) = &dialling.last_error
        {
            return Err(error.clone());
        }
        slot.dial(&mut dialling, environment, config, broker).await
    }

    /// Whether a connection to `broker` is open for `lane`.
    pub(super) fn is_open(&self, broker: BrokerId, lane: Lane) -> bool {
        self.open(broker, lane).is_some()
    }

    /// The connection to `broker` that is open for `lane`.
    pub(super) fn open(&self, broker: BrokerId, lane: Lane) -> Option<Connection> {
        let slot = lock(&self.slots).get(&(broker, lane)).cloned()?;
        let open = lock(&slot.open).clone();
        open.filter(|open| !open.is_closed())
    }

    /// Drops the connections of a lane that nobody will ask for again.
    pub(super) fn release(&self, lane: Lane) {
        lock(&self.slots).retain(|(_, of), _| *of != lane);
    }

    /// Drops every connection: the brokers behind them are given up.
    pub(super) fn clear(&self) {
        lock(&self.slots).clear();
    }

    fn slot(&self, key: Key, config: &ClientConfig, seed: impl FnOnce() -> u64) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        let slot = slots.entry(key).or_insert_with(|| {
            let backoff = Backoff::new(config.reconnect_backoff, config.reconnect_backoff_max, seed());
            let dialling = Dialling { reconnect: Reconnect::new(backoff), last_error: None };
            let (open, finished) = (Mutex::new(None), AtomicU64::new(0));
            Arc::new(Slot { open, finished, dialling: tokio::sync::Mutex::new(dialling) })
        });
        Arc::clone(slot)
    }
}

impl Slot {
    /// The open connection, unless the broker's address has changed since.
    fn open(&self, address: &str) -> Option<Connection> {
        lock(&self.open).as_ref().filter(|open| !open.is_closed() && open.address() == address).cloned()
    }

    async fn dial(
        &self,
        dialling: &mut Dialling,
        environment: &Environment,
        config: &ClientConfig,
        broker: &BrokerMetadata,
    ) -> Result<Connection> {
        if lock(&self.open).take().is_some() {
            dialling.reconnect.handle_closed(now());
        }
        tokio::time::sleep(dialling.reconnect.wait(now())).await;
        let opened = Connection::open(environment, config, broker.id, &broker.host, broker.port).await;
        match &opened {
            Ok(connection) => {
                dialling.reconnect.handle_opened(now());
                *lock(&self.open) = Some(connection.clone());
            }
            Err(_) => dialling.reconnect.handle_failed(now()),
        }
        dialling.last_error = opened.as_ref().err().cloned();
        self.finished.fetch_add(1, Ordering::Release);
        opened
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// No code panics while it holds these locks; if it did, what they guard would still be whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

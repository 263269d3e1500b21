//! One call with retries: locate, send, judge, wait; and at the end whether it may have been applied.

use std::time::Duration;

use tokio::time::Instant;

use super::metadata::Asked;
use super::verdict::leaves_doubt;
use super::{Call, Cluster, CoordinatorKind, Lane, Target, Verdict, coordinators};
use crate::connection::{Connection, deadline_in};
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Result};
use crate::types::BrokerId;
use crate::wire::Request;
use crate::wire::messages::FindCoordinatorRequest;

/// What is remembered between the attempts of one call.
struct Attempts {
    deadline: Instant,
    count: u32,
    /// Whether some attempt may have been applied although no answer said so.
    is_doubtful: bool,
    /// Whether the controller that is known was the wrong one.
    is_controller_stale: bool,
}

/// What one attempt came to.
enum Attempt<R> {
    Done(R),
    Again(Error),
    Fail(Error),
}

impl Cluster {
    /// Sends `request` to `target` on the coordination lane until `judge` says done or failed, or `timeout` has passed.
    ///
    /// Network failures retry too when `is_idempotent`, or when no byte of the request left; else they end with an error
    /// that says `maybe_applied`. `subject` names what the call was about in the error. Safe to drop.
    pub async fn call<Q, J>(&self, call: Call<'_, Q>, mut judge: J) -> Result<Q::Response>
    where
        Q: Request + Sync,
        Q::Response: Send,
        J: FnMut(&Q::Response) -> Verdict + Send,
    {
        let mut backoff = self.shared.backoff();
        let deadline = deadline_in(call.timeout);
        let mut attempts = Attempts { deadline, count: 0, is_doubtful: false, is_controller_stale: false };
        let mut last = None;
        loop {
            attempts.count += 1;
            let tried = tokio::time::timeout_at(deadline, self.attempt(&call, &mut attempts, &mut judge)).await;
            let error = match tried {
                Ok(Attempt::Done(response)) => return Ok(response),
                Ok(Attempt::Fail(error)) => return Err(error.with_maybe_applied(attempts.is_doubtful)),
                Ok(Attempt::Again(error)) => error,
                // What an earlier attempt ended with tells more than that this one was cut short.
                Err(_) => last.take().unwrap_or_else(|| no_answer(call.operation)),
            };
            let wait = backoff.next_wait();
            if Instant::now() + wait >= deadline {
                return Err(out_of_time(&call, &attempts, error));
            }
            last = Some(error);
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt<Q, J>(&self, call: &Call<'_, Q>, attempts: &mut Attempts, judge: &mut J) -> Attempt<Q::Response>
    where
        Q: Request + Sync,
        Q::Response: Send,
        J: FnMut(&Q::Response) -> Verdict + Send,
    {
        let sent = match self.locate(&call.target, attempts).await {
            Ok(connection) => self.send(&connection, call, attempts).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(response) => match judge(&response) {
                Verdict::Done => Attempt::Done(response),
                verdict => self.obey(verdict, call, attempts),
            },
            Err(error) => self.failed(error, call, attempts),
        }
    }

    async fn send<Q: Request + Sync>(
        &self,
        connection: &Connection,
        call: &Call<'_, Q>,
        attempts: &mut Attempts,
    ) -> Result<Q::Response> {
        let version = connection.version_up_to::<Q>(call.max_version)?;
        let left = attempts.deadline.saturating_duration_since(Instant::now());
        // If the deadline of the whole call comes between, nobody tells what became of the request.
        let doubt_before = std::mem::replace(&mut attempts.is_doubtful, true);
        let sent = connection.call_at(version, call.request, left.min(self.config().request_timeout)).await;
        attempts.is_doubtful = doubt_before;
        sent
    }

    fn obey<Q, R>(&self, verdict: Verdict, call: &Call<'_, Q>, attempts: &mut Attempts) -> Attempt<R> {
        let (code, is_final) = match verdict {
            // `attempt` has returned already.
            Verdict::Done => (ErrorCode::NONE, true),
            Verdict::Retry(code) => (code, false),
            Verdict::Relocate(code) => {
                self.relocate(&call.target, attempts);
                (code, false)
            }
            Verdict::Fail(code) => (code, true),
        };
        attempts.is_doubtful |= leaves_doubt(code);
        let error = Error::broker(call.operation, code, call.subject);
        if is_final { Attempt::Fail(error) } else { Attempt::Again(error) }
    }

    fn failed<Q, R>(&self, error: Error, call: &Call<'_, Q>, attempts: &mut Attempts) -> Attempt<R> {
        attempts.is_doubtful |= error.maybe_applied();
        let is_lost = matches!(error.kind(), ErrorKind::Network | ErrorKind::Timeout);
        if is_lost {
            self.relocate(&call.target, attempts);
        }
        if error.is_retriable() && (call.is_idempotent || !error.maybe_applied()) {
            return Attempt::Again(error);
        }
        let (kind, recovery) = (error.kind(), error.recovery());
        let outer = Error::new(call.operation, kind, call.subject, "the request failed");
        Attempt::Fail(outer.with_recovery(recovery).with_source(error))
    }

    fn relocate(&self, target: &Target, attempts: &mut Attempts) {
        match target {
            Target::Coordinator(kind, key) => self.forget_coordinator(*kind, key),
            Target::Controller => attempts.is_controller_stale = true,
            Target::Any | Target::Broker(_) => {}
        }
    }

    async fn locate(&self, target: &Target, attempts: &mut Attempts) -> Result<Connection> {
        match target {
            Target::Any => self.shared.any_connection().await,
            Target::Broker(id) => self.located(*id, attempts.deadline).await,
            Target::Coordinator(kind, key) => {
                let broker = self.find_coordinator(*kind, key, attempts.deadline).await?;
                self.located(broker, attempts.deadline).await
            }
            Target::Controller => {
                if attempts.is_controller_stale || self.metadata().controller.is_none() {
                    self.shared.fetch(Asked::Topics(&[]), attempts.deadline).await?;
                    attempts.is_controller_stale = false;
                }
                let controller = self.metadata().controller;
                let nobody = || Error::broker(Operation::Metadata, ErrorCode::LEADER_NOT_AVAILABLE, "controller");
                self.located(controller.ok_or_else(nobody)?, attempts.deadline).await
            }
        }
    }

    /// A connection for coordination to a broker that the metadata may have to be asked for first.
    async fn located(&self, broker: BrokerId, deadline: Instant) -> Result<Connection> {
        if !self.metadata().brokers.contains_key(&broker) {
            self.shared.fetch(Asked::Topics(&[]), deadline).await?;
        }
        self.connection(broker, Lane::Coordination).await
    }

    /// The coordinator that is remembered, or one question to any broker.
    async fn find_coordinator(&self, kind: CoordinatorKind, key: &str, deadline: Instant) -> Result<BrokerId> {
        if let Some(found) = self.shared.coordinators().get(kind, key) {
            return Ok(found);
        }
        let connection = self.shared.any_connection().await?;
        let version = connection.version_of::<FindCoordinatorRequest>()?;
        let left = deadline.saturating_duration_since(Instant::now()).min(self.config().request_timeout);
        let response = connection.call_at(version, &coordinators::request(version, kind, key), left).await;
        // Looking up changes nothing, whatever became of the question.
        let response = response.map_err(|e| e.with_maybe_applied(false))?;
        let subject = || format!("coordinator of {key}");
        let broker = coordinators::answer(version, key, &response)
            .map_err(|code| Error::broker(Operation::Metadata, code, subject()))?;
        let id = broker.id;
        self.shared.learn_broker(broker);
        self.shared.coordinators().insert(kind, key, id);
        Ok(id)
    }

    /// The coordinator of a group or transactional id, looked up if need be and remembered.
    ///
    /// Retries what may pass until `default.api.timeout.ms`. Safe to drop.
    pub async fn coordinator(&self, kind: CoordinatorKind, key: &str) -> Result<BrokerId> {
        let limit = self.config().default_api_timeout;
        let find = |deadline| self.find_coordinator(kind, key, deadline);
        self.retrying(limit, "coordinator lookup", find).await
    }

    /// Repeats an attempt without side effects while its error is retriable and `limit` has not passed.
    // A plain closure and not `AsyncFnMut`: the compiler could not tell that the latter's futures may move between threads.
    pub(super) async fn retrying<T, F>(
        &self,
        limit: Duration,
        what: &str,
        mut attempt: impl FnMut(Instant) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let deadline = deadline_in(limit);
        let mut backoff = self.shared.backoff();
        let mut last = None;
        loop {
            let error = match tokio::time::timeout_at(deadline, attempt(deadline)).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) if !error.is_retriable() => return Err(error),
                Ok(Err(error)) => error,
                Err(_) => last.take().unwrap_or_else(|| no_answer(Operation::Metadata)),
            };
            let wait = backoff.next_wait();
            if Instant::now() + wait >= deadline {
                // What an earlier attempt ended with tells more than that there was no time left for this one.
                let is_cut_short = error.kind() == ErrorKind::Timeout;
                let error = last.filter(|_| is_cut_short).unwrap_or(error);
                if error.code().is_some() {
                    return Err(error);
                }
                let detail = format!("not done within {limit:?}");
                return Err(Error::new(Operation::Metadata, ErrorKind::Timeout, what, detail).with_source(error));
            }
            last = Some(error);
            tokio::time::sleep(wait).await;
        }
    }
}

fn no_answer(operation: Operation) -> Error {
    Error::new(operation, ErrorKind::Timeout, "", "no broker answered")
}

fn out_of_time<Q>(call: &Call<'_, Q>, attempts: &Attempts, last: Error) -> Error {
    let (limit, count) = (call.timeout, attempts.count);
    let detail = format!("not done within {limit:?} and {count} attempts");
    Error::new(call.operation, ErrorKind::Timeout, call.subject, detail)
        .with_source(last)
        .with_maybe_applied(attempts.is_doubtful)
}

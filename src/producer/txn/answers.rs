//! What coordinators answer, and what that means for the transaction and the next.

use super::{Answer, State, Txn, is_fatal};
use crate::error::{Error, ErrorCode, Result};
use crate::types::{ProducerIdentity, TransactionVersion};

impl Txn {
    /// A coordinator has answered, or could not be asked. `is_late`: some attempt may be applied later.
    pub(in crate::producer) fn handle_answer(&mut self, answer: Answer, is_late: bool, has_late_produce: bool) {
        self.is_busy = false;
        // One of InitProducerId has a later epoch than this transaction, or is aborted by it: nothing joins the next.
        self.has_unanswered |= is_late && !matches!(answer, Answer::Init(_));
        match answer {
            Answer::Init(result) => self.initialised(result),
            Answer::Added(_, Ok(())) => self.is_started = true,
            Answer::Added(_, Err(error)) => self.handle_failed(error),
            Answer::Offsets(result) => {
                self.is_started |= result.is_ok();
                let reply = self.offsets_under_way.take();
                if let Err(error) = &result {
                    self.handle_failed(error.clone());
                }
                let result = result.map_err(|error| self.refusal().cloned().unwrap_or(error));
                reply.into_iter().for_each(|reply| drop(reply.send(result.clone())));
            }
            Answer::Ended(result) if matches!(self.state, State::Idle) => self.resolved(result),
            Answer::Ended(Ok(next)) => {
                self.follow(next);
                self.finish(None, has_late_produce);
            }
            Answer::Ended(Err(error)) => self.not_ended(error),
        }
    }

    /// The identity that the end of a transaction brought.
    fn follow(&mut self, next: Option<ProducerIdentity>) {
        let Some(next) = next else { return };
        // Until the markers are written the coordinator refuses a new id as a stranger's; InitProducerId without one is
        // told to wait instead.
        if next.producer_id != self.identity.producer_id {
            self.needs_init = true;
            self.has_id = false;
        }
        self.identity = next;
    }

    /// What had become of the last transaction: it was aborted now or before, or (INVALID_TXN_STATE) committed before.
    fn resolved(&mut self, result: Result<Option<ProducerIdentity>>) {
        match result {
            Ok(next) => {
                self.is_unresolved = false;
                self.follow(next);
            }
            Err(error) if error.code() == Some(ErrorCode::INVALID_TXN_STATE) => self.is_unresolved = false,
            Err(error) if is_fatal(&error) => self.die(error),
            Err(error) => self.begin.take().into_iter().for_each(|reply| drop(reply.send(Err(error.clone())))),
        }
    }

    fn initialised(&mut self, result: Result<(ProducerIdentity, TransactionVersion)>) {
        match result {
            Ok((identity, version)) => {
                (self.identity, self.version) = (identity, version);
                self.needs_init = false;
                self.has_id = true;
            }
            Err(error) if is_fatal(&error) => self.die(error),
            Err(error) => self.begin.take().into_iter().for_each(|reply| drop(reply.send(Err(error.clone())))),
        }
    }

    /// EndTxn was refused or its outcome is unknown, which is resolved before the next transaction.
    fn not_ended(&mut self, error: Error) {
        if is_fatal(&error) {
            return self.die(error);
        }
        let wants_abort = error.code() == Some(ErrorCode::TRANSACTION_ABORTABLE);
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Ending(_, reply) => {
                let _ = reply.send(Err(error));
                if wants_abort {
                    self.state = State::Aborting(None);
                    return;
                }
            }
            State::Aborting(Some(reply)) => drop(reply.send(Err(error))),
            _ => {}
        }
        self.is_unresolved = true;
        self.needs_init = true;
        self.reset();
    }
}

//! What the driver waits for besides its callers: answers to Produce, and jobs such as connecting.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::connection::{BoxFuture, Connection, Response};
use crate::error::Result;

/// A Produce request that was sent.
pub(super) struct Sent {
    pub id: u64,
    pub version: i16,
    pub connection: Connection,
    pub response: Response,
}

/// Something that was waited for.
pub(super) enum Done<J> {
    Answered(u64, i16, Connection, Result<Bytes>),
    Job(J),
}

/// Requests and jobs under way, the oldest looked at first.
pub(super) struct Waits<J> {
    sent: Vec<Sent>,
    jobs: BTreeMap<u64, BoxFuture<'static, J>>,
    next_job: u64,
}

impl<J> Waits<J> {
    pub(super) fn new() -> Self {
        Self { sent: Vec::new(), jobs: BTreeMap::new(), next_job: 0 }
    }

    pub(super) fn send(&mut self, sent: Sent) {
        self.sent.push(sent);
    }

    pub(super) fn start(&mut self, job: impl Future<Output = J> + Send + 'static) {
        self.jobs.insert(self.next_job, Box::pin(job));
        self.next_job += 1;
    }

    /// The next that is done. Safe to drop; waits for ever if nothing is under way.
    pub(super) async fn next(&mut self) -> Done<J> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Done<J>> {
        for at in 0..self.sent.len() {
            if let Poll::Ready(answer) = Pin::new(&mut self.sent[at].response).poll(cx) {
                let Sent { id, version, connection, .. } = self.sent.remove(at);
                return Poll::Ready(Done::Answered(id, version, connection, answer));
            }
        }
        let ready = self.jobs.iter_mut().find_map(|(id, job)| match job.as_mut().poll(cx) {
            Poll::Ready(done) => Some((*id, done)),
            Poll::Pending => None,
        });
        let Some((id, done)) = ready else { return Poll::Pending };
        self.jobs.remove(&id);
        Poll::Ready(Done::Job(done))
    }
}

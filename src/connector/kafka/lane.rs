//! Appending a batch record by record until there is no space, and going on from there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::route::Route;
use crate::connector::Records;
use crate::error::Result;
use crate::producer::Topic;

/// A batch that is being appended, and the place to go on from.
pub(super) struct Draining {
    batch: Box<dyn Records>,
    from: i64,
}

/// Handles to the topics written so far.
pub(super) type Topics = BTreeMap<Arc<str>, Topic>;

/// Why appending stopped.
pub(super) enum Stopped {
    /// The whole batch is appended.
    Done,
    /// A topic that has no handle yet comes next.
    NeedsTopic(Arc<str>),
}

enum Halt {
    NoSpace(Arc<str>),
    NeedsTopic(Arc<str>),
}

impl Draining {
    pub(super) fn new(batch: Box<dyn Records>) -> Self {
        Draining { batch, from: 0 }
    }

    /// Appends as much as there is space for. Pending while there is none; the context is woken when there is.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, route: &Route, topics: &Topics) -> Poll<Result<Stopped>> {
        loop {
            match self.append(route, topics)? {
                None => return Poll::Ready(Ok(Stopped::Done)),
                Some(Halt::NeedsTopic(name)) => return Poll::Ready(Ok(Stopped::NeedsTopic(name))),
                Some(Halt::NoSpace(name)) => match topics.get(&name) {
                    Some(topic) => std::task::ready!(topic.poll_ready(cx))?,
                    None => return Poll::Ready(Ok(Stopped::NeedsTopic(name))),
                },
            }
        }
    }

    fn append(&mut self, route: &Route, topics: &Topics) -> Result<Option<Halt>> {
        let mut halt = None;
        // Batches mostly go to one topic: its handle is looked up when the name changes, not for each record.
        let mut last: Option<(&str, &Topic)> = None;
        let stopped_at = self.batch.visit(self.from, &mut |out| {
            let name = route.topic(&out);
            let topic = match last {
                Some((same, topic)) if same == name => topic,
                _ => match topics.get_key_value(name) {
                    Some((key, topic)) => {
                        last = Some((key, topic));
                        topic
                    }
                    None => {
                        halt = Some(Halt::NeedsTopic(name.into()));
                        return Ok(false);
                    }
                },
            };
            let has_space = topic.try_enqueue(route.record(&out, topic.partition_count()))?.is_some();
            if !has_space {
                halt = Some(Halt::NoSpace(name.into()));
            }
            Ok(has_space)
        })?;
        self.from = stopped_at.unwrap_or(self.from);
        Ok(halt)
    }
}

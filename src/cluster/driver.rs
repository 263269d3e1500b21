//! Keeps the metadata fresh in the background, until every handle to the cluster is gone.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::metadata::Asked;
use super::refresh::{Refresh, Schedule};
use super::shared::Shared;
use crate::connection::BoxFuture;
use crate::error::Result;
use crate::types::TopicName;

/// Runs until the last sender of `requests` is dropped, which every handle to the cluster holds.
pub(super) async fn run(shared: Arc<Shared>, mut requests: mpsc::UnboundedReceiver<Vec<TopicName>>) {
    let backoff = shared.backoff();
    let mut schedule = Schedule::new(now(), shared.config.metadata_max_age, backoff);
    let mut running: Option<(Refresh, BoxFuture<'static, Result<()>>)> = None;
    loop {
        let due = Instant::from_std(schedule.poll_timeout());
        tokio::select! {
            biased;
            request = requests.recv() => match request {
                None => return,
                Some(topics) => schedule.handle_request(topics),
            },
            result = finished(&mut running) => {
                let Some((refresh, _)) = running.take() else { continue };
                match result {
                    Ok(()) => schedule.handle_refreshed(now(), &refresh),
                    Err(error) => {
                        tracing::warn!(%error, "metadata could not be refreshed");
                        schedule.handle_failed(now(), refresh);
                    }
                }
            }
            () = tokio::time::sleep_until(due), if running.is_none() => {
                let work = |refresh: Refresh| (refresh.clone(), refresh_once(Arc::clone(&shared), refresh));
                running = schedule.poll_refresh(now()).map(work);
            }
        }
    }
}

async fn finished(running: &mut Option<(Refresh, BoxFuture<'static, Result<()>>)>) -> Result<()> {
    match running {
        Some((_, work)) => work.await,
        None => std::future::pending().await,
    }
}

fn refresh_once(shared: Arc<Shared>, refresh: Refresh) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let topics = match refresh {
            Refresh::Known(wanted) => {
                let mut topics = shared.known_topics();
                topics.extend(wanted);
                topics.sort();
                topics.dedup();
                topics
            }
            Refresh::Topics(topics) => topics,
        };
        let deadline = Instant::now() + shared.config.default_api_timeout;
        shared.fetch(Asked::Topics(&topics), deadline).await.map(drop)
    })
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

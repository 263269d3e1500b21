//! `milena broker`: the in-memory broker on a TCP port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::args::BrokerOptions;
use super::{Failure, Outcome, connect};
use crate::broker::{Control, Settings, TcpCluster};

pub(super) async fn run(options: BrokerOptions) -> Outcome {
    let address = tokio::net::lookup_host(&options.listen).await.ok().and_then(|mut found| found.next());
    let address = address.ok_or_else(|| Failure::Usage(format!("--listen: {} is no HOST:PORT", options.listen)))?;
    let cluster = start(address, &options.topics).await?;
    for address in cluster.addresses() {
        eprintln!("listening on {address}; records live in memory and end with this process");
    }
    connect::asked_to_end().await;
    Ok(())
}

/// A broker with these topics, whose clock is the system's.
pub(super) async fn start(listen: SocketAddr, topics: &[(String, i32)]) -> Result<TcpCluster, Failure> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let start_time_ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    let settings = Settings { start_time_ms, ..Settings::default() };
    let bound = TcpCluster::bind(settings, listen).await;
    let cluster = bound.map_err(|e| Failure::Failed(format!("cannot listen on {listen}: {e}")))?;
    for (name, partitions) in topics {
        let (name, partitions) = (name.clone(), *partitions);
        cluster.control(Control::CreateTopic { name, partitions, configs: BTreeMap::new() });
    }
    Ok(cluster)
}

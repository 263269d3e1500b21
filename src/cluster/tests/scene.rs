//! Scripted brokers: good ones where a script says nothing, and a trace of all they were asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::config::ClientConfig;
use crate::connection::Environment;
use crate::connection::scripted::{Network, Peer, Refused, Seen, network, speaks};
use crate::error::Result;
use crate::wire::frame::{decode_request, decode_request_header, encode_response};
use crate::wire::messages::find_coordinator_response::Coordinator;
use crate::wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::messages::{
    self, ApiKey, ApiVersionsRequest, FindCoordinatorRequest, FindCoordinatorResponse, InitProducerIdRequest,
    InitProducerIdResponse, MetadataRequest, MetadataResponse,
};
use crate::wire::{Request, StrBytes};

const SPOKEN: [(ApiKey, i16, i16); 4] = [
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::FindCoordinator, 0, 4),
    (ApiKey::InitProducerId, 0, 4),
];

/// What a broker does with a request.
pub(super) enum Reply {
    /// Answers with this frame.
    Frame(BytesMut),
    /// Closes the connection.
    Close,
    /// Says nothing.
    Silence,
}

/// One line of the trace: when, at which address, which API, how often before.
pub(super) type Line = (Duration, String, ApiKey);

/// Brokers `kafka-1:9092` and `kafka-2:9092`, also reachable as `boot:9092`, and a trace of all they were asked.
pub(super) struct Scene {
    pub(super) environment: Environment,
    pub(super) refused: Refused,
    pub(super) trace: Arc<Mutex<Vec<Line>>>,
}

/// What a script decides on: the address, the API and how many requests of the API came before.
pub(super) struct Question<'a> {
    pub(super) address: &'a str,
    pub(super) api: ApiKey,
    pub(super) nth: usize,
    pub(super) seen: &'a Seen,
}

/// A scene whose brokers follow `script`, and where that says nothing answer as good brokers without topics do.
pub(super) fn scene(script: impl Fn(&Question<'_>) -> Option<Reply> + Send + Sync + 'static) -> Scene {
    let (network, environment) = network(1 << 16);
    let (refused, trace) = (network.refused(), Arc::new(Mutex::new(Vec::new())));
    tokio::spawn(accept(network, Arc::new(script), Arc::clone(&trace)));
    Scene { environment, refused, trace }
}

type Script = Arc<dyn Fn(&Question<'_>) -> Option<Reply> + Send + Sync>;

async fn accept(mut network: Network, script: Script, trace: Arc<Mutex<Vec<Line>>>) {
    let began = Instant::now();
    while let Some(peer) = network.next().await {
        tokio::spawn(serve(peer, Arc::clone(&script), Arc::clone(&trace), began));
    }
}

async fn serve(mut peer: Peer, script: Script, trace: Arc<Mutex<Vec<Line>>>, began: Instant) {
    while let Some(seen) = peer.next_request().await {
        let api = ApiKey::try_from(seen.api_key).unwrap();
        let nth = trace.lock().unwrap().iter().filter(|line| line.2 == api).count();
        trace.lock().unwrap().push((began.elapsed(), peer.address.clone(), api));
        let question = Question { address: &peer.address, api, nth, seen: &seen };
        match script(&question).unwrap_or_else(|| usual(&question)) {
            Reply::Frame(frame) => peer.write(&frame).await,
            Reply::Close => return,
            Reply::Silence => {}
        }
    }
}

fn usual(question: &Question<'_>) -> Reply {
    match question.api {
        ApiKey::ApiVersions => reply::<ApiVersionsRequest>(question, &speaks(&SPOKEN)),
        ApiKey::Metadata => reply::<MetadataRequest>(question, &brokers(&[1, 2])),
        ApiKey::FindCoordinator => coordinator(question, 2, 0),
        ApiKey::InitProducerId => initialised(question, 0),
        other => panic!("{other:?} was not expected"),
    }
}

pub(super) fn reply<Q: Request>(question: &Question<'_>, response: &Q::Response) -> Reply {
    Reply::Frame(encode_response::<Q>(question.seen.version, question.seen.correlation_id, response).unwrap())
}

pub(super) fn brokers(ids: &[i32]) -> MetadataResponse {
    let row = |id: &i32| {
        let host = StrBytes::from_string(format!("kafka-{id}"));
        MetadataResponseBroker::default().with_node_id(messages::BrokerId(*id)).with_host(host).with_port(9092)
    };
    MetadataResponse::default().with_brokers(ids.iter().map(row).collect()).with_controller_id(messages::BrokerId(1))
}

pub(super) fn topic(name: &str, error_code: i16) -> MetadataResponseTopic {
    let partition = MetadataResponsePartition::default().with_leader_id(messages::BrokerId(1)).with_leader_epoch(3);
    let name = messages::TopicName(StrBytes::from_string(name.into()));
    let row = MetadataResponseTopic::default().with_name(Some(name)).with_error_code(error_code);
    row.with_partitions(if error_code == 0 { vec![partition] } else { Vec::new() })
}

pub(super) fn coordinator(question: &Question<'_>, broker: i32, error_code: i16) -> Reply {
    let row = Coordinator::default().with_key(StrBytes::from_static_str("txn")).with_error_code(error_code);
    let host = StrBytes::from_string(format!("kafka-{broker}"));
    let row = row.with_node_id(messages::BrokerId(broker)).with_host(host).with_port(9092);
    reply::<FindCoordinatorRequest>(question, &FindCoordinatorResponse::default().with_coordinators(vec![row]))
}

pub(super) fn initialised(question: &Question<'_>, error_code: i16) -> Reply {
    let response = InitProducerIdResponse::default().with_error_code(error_code);
    reply::<InitProducerIdRequest>(question, &response.with_producer_id(messages::ProducerId(7)))
}

/// The topics a Metadata request names; `None` for all.
pub(super) fn topics_asked(question: &Question<'_>) -> Option<Vec<String>> {
    let (header, body) = decode_request_header(question.seen.frame.clone()).unwrap();
    let request = decode_request::<MetadataRequest>(header.api_version, body).unwrap();
    let name = |t: messages::metadata_request::MetadataRequestTopic| t.name.unwrap().to_string();
    request.topics.map(|topics| topics.into_iter().map(name).collect())
}

impl Scene {
    pub(super) async fn connect_to(&self, bootstrap: &[&str]) -> Result<Cluster> {
        self.connect_with(bootstrap, ClientConfig::default()).await
    }

    pub(super) async fn connect_with(&self, bootstrap: &[&str], config: ClientConfig) -> Result<Cluster> {
        let bootstrap_servers = bootstrap.iter().map(|s| s.to_string()).collect();
        let config = ClientConfig { bootstrap_servers, ..config };
        Cluster::connect(config, self.environment.clone()).await
    }

    pub(super) async fn connect(&self) -> Cluster {
        self.connect_to(&["boot:9092"]).await.unwrap()
    }

    pub(super) fn refuse(&self, address: &str) {
        self.refused.lock().unwrap().insert(address.into());
    }

    /// How often this API was asked at this address.
    pub(super) fn count(&self, address: &str, api: ApiKey) -> usize {
        self.trace.lock().unwrap().iter().filter(|line| line.1 == address && line.2 == api).count()
    }

    pub(super) fn count_all(&self, api: ApiKey) -> usize {
        self.trace.lock().unwrap().iter().filter(|line| line.2 == api).count()
    }
}

/// Polls a future at most `polls` times and then drops it; `None` if it was not done.
pub(super) async fn abandoned_after<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return std::task::Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

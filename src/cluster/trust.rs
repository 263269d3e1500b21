//! What an answer may not do unnoticed: speak for another cluster, or send us back to our own machine.

use std::net::IpAddr;

use super::Metadata;
use crate::connection::{display_address, host_of};
use crate::error::{Error, ErrorCode, ErrorKind, Operation};

/// Why nothing is learned from an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Unusable {
    /// The broker says so, or knows no broker yet.
    Code(ErrorCode),
    /// It belongs to another cluster than the one that was connected to first.
    OtherCluster { known: String, told: String },
}

impl Unusable {
    /// The error of whoever asked at `address`.
    pub(super) fn error(self, address: &str) -> Error {
        match self {
            Self::Code(code) => Error::broker(Operation::Metadata, code, address),
            Self::OtherCluster { known, told } => {
                let detail = format!(
                    "it belongs to cluster {told}, and this client to cluster {known}: offsets and transactions of the \
                     one mean nothing in the other, so its answer is not used; look where bootstrap.servers and the brokers' \
                     advertised.listeners lead, and make a new client if the cluster was set up anew"
                );
                Error::new(Operation::Metadata, ErrorKind::Security, address, detail)
            }
        }
    }
}

/// Refuses an answer of another cluster. A broker that tells no id (before 0.10.1) is believed.
pub(super) fn same_cluster(known: Option<&str>, told: Option<&str>) -> Result<(), Unusable> {
    match (known, told) {
        (Some(known), Some(told)) if known != told => {
            Err(Unusable::OtherCluster { known: known.into(), told: told.into() })
        }
        _ => Ok(()),
    }
}

/// The addresses of `told` that were not known before and lead to this machine or its own link, although the answer came
/// from elsewhere: a broker's `advertised.listeners` was left at `localhost`.
pub(super) fn local_redirects(before: &Metadata, told: &Metadata, from: &str) -> Vec<String> {
    if is_local(host_of(from)) {
        return Vec::new();
    }
    let is_new = |broker: &&super::BrokerMetadata| before.brokers.get(&broker.id) != Some(*broker);
    let local = told.brokers.values().filter(|broker| is_local(&broker.host)).filter(is_new);
    local.map(|broker| format!("{} at {}", broker.id, display_address(&broker.host, broker.port))).collect()
}

/// Whether a host is this machine (loopback, `localhost`) or only means something on its link (RFC 3927, RFC 4291).
fn is_local(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => {
            let mapped = ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback() || ip.is_link_local());
            ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified() || mapped
        }
        Err(_) => {
            let name = host.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::BrokerMetadata;
    use crate::types::BrokerId;

    fn view(hosts: &[&str]) -> Metadata {
        let row = |(id, host): (usize, &&str)| {
            let id = BrokerId(i32::try_from(id).unwrap());
            (id, BrokerMetadata { id, host: host.to_string(), port: 9092, rack: None })
        };
        Metadata { brokers: hosts.iter().enumerate().map(row).collect(), ..Metadata::default() }
    }

    #[test]
    fn hosts_of_this_machine_and_of_its_link_are_told_from_others() {
        let local = ["localhost", "LOCALHOST.", "kafka.localhost", "127.0.0.1", "127.9.9.9", "169.254.1.1", "0.0.0.0"];
        for host in local.into_iter().chain(["::1", "fe80::1", "::ffff:127.0.0.1", "::"]) {
            assert!(is_local(host), "{host}");
        }
        for host in ["kafka-1", "localhost.example.org", "10.0.0.1", "192.168.0.1", "fd00::1", "2001:db8::1", ""] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn a_broker_that_is_elsewhere_and_points_to_us_is_told_once() {
        let (nothing, told) = (Metadata::default(), view(&["kafka-0", "localhost", "fe80::1"]));
        let redirects = local_redirects(&nothing, &told, "kafka-0:9092");
        assert_eq!(redirects, ["broker 1 at localhost:9092", "broker 2 at [fe80::1]:9092"]);
        assert_eq!(local_redirects(&told, &told, "kafka-0:9092"), [""; 0], "known before");
        for from in ["localhost:9092", "127.0.0.1:9092", "[::1]:9092"] {
            assert_eq!(local_redirects(&nothing, &told, from), [""; 0], "{from} is here too");
        }
    }

    #[test]
    fn an_answer_without_an_id_is_believed_and_one_with_another_is_not() {
        assert_eq!(same_cluster(None, Some("a")), Ok(()));
        assert_eq!(same_cluster(Some("a"), None), Ok(()));
        assert_eq!(same_cluster(Some("a"), Some("a")), Ok(()));
        let error = same_cluster(Some("a"), Some("b")).unwrap_err().error("kafka-1:9092");
        assert!(!error.is_retriable() && error.kind() == ErrorKind::Security);
        let text = error.to_string();
        for words in ["kafka-1:9092", "cluster b", "cluster a", "bootstrap.servers", "advertised.listeners"] {
            assert!(text.contains(words), "{text}");
        }
    }
}

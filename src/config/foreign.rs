//! Properties of Java's client and of librdkafka that mean nothing here: passed over with the reason in a file, refused
//! where passing over would change what happens to records or secrets.

use super::nearest;
use crate::error::Error;

/// What becomes of a property that others have and we do not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// In a file: passed over with a warning that says why.
    Ignored,
    /// Refused everywhere.
    Refused,
}

struct Foreign {
    /// The whole name, or its beginning if it ends with a dot.
    name: &'static str,
    fate: Fate,
    why: &'static str,
}

const fn ignored(name: &'static str, why: &'static str) -> Foreign {
    Foreign { name, fate: Fate::Ignored, why }
}

const fn refused(name: &'static str, why: &'static str) -> Foreign {
    Foreign { name, fate: Fate::Refused, why }
}

const CLASSES: &str = "no class is ever loaded; keys and values are bytes, and code is passed as code";
const METRICS: &str = "metrics are not configured by properties";
const GROUPS: &str = "consumers are told their partitions; groups only store offsets";
const COMMITS: &str = "offsets are committed when the program says so, or with a checkpoint";
const RETRIES: &str = "retries go on until delivery.timeout.ms or default.api.timeout.ms";
const BUFFERS: &str = "the operating system sizes its socket buffers";
const CACHE: &str = "topics stay known while they are used";
const KERBEROS: &str = "GSSAPI (Kerberos) is not spoken; use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER";
const LOGIN: &str = "tokens are refreshed ahead of their end without settings";
const OURS: &str = "TLS is rustls: it has strong cipher suites only, and no providers or factories of Java";
const LOGGING: &str = "logging is the program's (tracing), the command's with -v";

/// The first row that fits a name counts.
#[rustfmt::skip]
static ROWS: &[Foreign] = &[
    ignored("key.serializer", CLASSES),
    ignored("value.serializer", CLASSES),
    ignored("key.deserializer", CLASSES),
    ignored("value.deserializer", CLASSES),
    refused("interceptor.classes", "no class is ever loaded; what interceptors did to records would silently stop"),
    ignored("metric.reporters", METRICS),
    ignored("metrics.", METRICS),
    ignored("auto.include.jmx.reporter", METRICS),
    ignored("enable.metrics.push", METRICS),
    ignored("statistics.interval.ms", METRICS),
    refused("config.providers", "values are not fetched from elsewhere; write them out, or set them in the environment"),
    refused("config.providers.", "values are not fetched from elsewhere; write them out, or set them in the environment"),
    refused("partitioner.class", "records with a key go where Java's default partitioner puts them (murmur2); leave it out if that is meant"),
    refused("partitioner", "records with a key go where Java's default partitioner puts them (murmur2_random); leave it out if that is meant"),
    ignored("partitioner.availability.timeout.ms", "slow brokers are found by their queues alone"),
    ignored("partitioner.rack.aware", "partitions are not chosen by rack"),
    ignored("retries", RETRIES),
    ignored("message.send.max.retries", RETRIES),
    ignored("send.buffer.bytes", BUFFERS),
    ignored("receive.buffer.bytes", BUFFERS),
    ignored("socket.send.buffer.bytes", BUFFERS),
    ignored("socket.receive.buffer.bytes", BUFFERS),
    ignored("socket.keepalive.enable", "an idle connection is closed by connections.max.idle.ms"),
    ignored("socket.nagle.disable", "Nagle's algorithm is always off"),
    ignored("socket.max.fails", "an unanswered request closes its connection"),
    ignored("socket.connection.setup.timeout.max.ms", "socket.connection.setup.timeout.ms does not grow; set that one"),
    ignored("metadata.max.idle.ms", CACHE),
    ignored("topic.metadata.", CACHE),
    ignored("metadata.cluster.check.enable", "a broker of another cluster is told by its answers"),
    ignored("allow.auto.create.topics", "topics are created by asking for it only"),
    ignored("exclude.internal.topics", "internal topics are read only by their names"),
    ignored("enable.auto.commit", COMMITS),
    ignored("auto.commit.interval.ms", COMMITS),
    ignored("enable.auto.offset.store", COMMITS),
    ignored("offset.store.", COMMITS),
    ignored("max.poll.records", "a poll returns what was fetched; queued.max.bytes bounds it"),
    ignored("max.poll.interval.ms", GROUPS),
    ignored("session.timeout.ms", GROUPS),
    ignored("heartbeat.interval.ms", GROUPS),
    ignored("group.protocol", GROUPS),
    ignored("group.protocol.type", GROUPS),
    ignored("group.remote.assignor", GROUPS),
    ignored("group.instance.id", GROUPS),
    ignored("partition.assignment.strategy", GROUPS),
    ignored("coordinator.query.interval.ms", GROUPS),
    ignored("internal.leave.group.on.close", GROUPS),
    ignored("enable.partition.eof", "the end of a partition is an event of the consumer"),
    ignored("consume.callback.max.messages", "there are no callbacks"),
    ignored("fetch.error.backoff.ms", "retry.backoff.ms is the wait"),
    ignored("fetch.queue.backoff.ms", "fetching goes on as soon as queued.max.bytes has room"),
    ignored("queued.min.messages", "queued.max.bytes alone bounds what is fetched ahead"),
    refused("queued.max.messages.kbytes", "is in KiB; set queued.max.bytes in bytes"),
    refused("queue.buffering.max.kbytes", "is in KiB; set buffer.memory in bytes"),
    ignored("queue.buffering.max.messages", "buffer.memory alone bounds what waits"),
    ignored("queue.buffering.backpressure.threshold", "buffer.memory alone bounds what waits"),
    ignored("batch.num.messages", "batch.size alone bounds a batch"),
    ignored("message.copy.max.bytes", "records are encoded once"),
    ignored("receive.message.max.bytes", "an answer is at most 100 MiB"),
    ignored("sticky.partitioning.linger.ms", "a partition is kept for batch.size bytes"),
    ignored("delivery.report.only.error", "a delivery is awaited or dropped"),
    ignored("dr_cb", "a delivery is awaited or dropped"),
    ignored("dr_msg_cb", "a delivery is awaited or dropped"),
    ignored("produce.offset.report", "a delivery tells its offset"),
    ignored("enable.gapless.guarantee", "a delivery that failed is an error of its flush"),
    ignored("api.version.", "versions are always negotiated"),
    ignored("broker.version.fallback", "versions are always negotiated"),
    ignored("broker.address.ttl", "addresses are looked up for every connection"),
    refused("broker.address.family", "all addresses of a name are tried, both families in turn; name the addresses themselves"),
    ignored("enable.sparse.connections", "connections are opened when they are needed"),
    ignored("builtin.features", "it describes a build of librdkafka"),
    ignored("debug", LOGGING),
    ignored("log_level", LOGGING),
    ignored("log.", LOGGING),
    refused("compression.level", "set that of the codec: compression.gzip.level, compression.lz4.level or compression.zstd.level"),
    refused("plugin.library.paths", "no library is ever loaded"),
    refused("transaction.two.phase.commit.enable", "two-phase commit by the broker (KIP-939) is not used"),
    refused("enable.sasl.oauthbearer.unsecure.jwt", "unsigned tokens need sasl.jaas.config with unsecuredLoginStringClaim_sub"),
    refused("sasl.oauthbearer.config", "unsigned tokens need sasl.jaas.config with unsecuredLoginStringClaim_sub"),
    ignored("sasl.oauthbearer.method", "sasl.oauthbearer.token.endpoint.url tells it"),
    refused("sasl.oauthbearer.assertion.", "client assertions are not supported; give a client id and secret"),
    refused("sasl.oauthbearer.jwt.retriever.class", "no class is ever loaded; sasl.oauthbearer.token.endpoint.url is asked"),
    ignored("sasl.oauthbearer.", LOGIN),
    ignored("sasl.login.", LOGIN),
    ignored("sasl.client.callback.handler.class", "no class is ever loaded; the mechanism tells what is needed"),
    ignored("sasl.kerberos.", KERBEROS),
    ignored("security.providers", OURS),
    ignored("ssl.cipher.suites", OURS),
    ignored("ssl.curves.list", OURS),
    ignored("ssl.sigalgs.list", OURS),
    ignored("ssl.provider", OURS),
    ignored("ssl.providers", OURS),
    ignored("ssl.keymanager.algorithm", OURS),
    ignored("ssl.trustmanager.algorithm", OURS),
    ignored("ssl.secure.random.implementation", OURS),
    refused("ssl.engine.factory.class", OURS),
    refused("ssl.crl.location", "revocation lists are not checked"),
    refused("ssl.engine.location", OURS),
];

/// What becomes of `name` and why, if others know it.
pub(super) fn fate(name: &str) -> Option<(Fate, &'static str)> {
    let fits = |row: &&Foreign| if row.name.ends_with('.') { name.starts_with(row.name) } else { row.name == name };
    ROWS.iter().find(fits).map(|row| (row.fate, row.why))
}

/// The error of a name that is in no row of the table.
pub(super) fn unknown(name: &str) -> Error {
    let detail = match fate(name) {
        Some((_, why)) => format!("is not a setting here: {why}"),
        None => format!("no such property; did you mean {}?", nearest::property(name)),
    };
    Error::invalid(super::shortened(name), detail)
}

/// Each name or beginning of names, with what becomes of it and why: for the reference page.
pub(super) fn rows() -> impl Iterator<Item = (&'static str, Fate, &'static str)> {
    ROWS.iter().map(|row| (row.name, row.fate, row.why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::properties;

    #[test]
    fn no_name_is_both_ours_and_foreign_and_none_is_hidden_by_an_earlier_row() {
        for p in properties() {
            for name in std::iter::once(&p.name).chain(p.aliases) {
                assert!(fate(name).is_none() || property_wins(name), "{name}");
            }
        }
        for row in ROWS {
            assert_eq!(fate(row.name).unwrap().1, row.why, "{} is hidden", row.name);
        }
    }

    /// The table is asked first, so that a beginning may cover names that it has.
    fn property_wins(name: &str) -> bool {
        ROWS.iter().all(|row| row.name != name)
    }

    #[test]
    fn a_foreign_name_is_told_from_a_misspelt_one() {
        assert!(unknown("key.serializer").to_string().contains("keys and values are bytes"));
        assert!(unknown("config.providers.x.class").to_string().contains("write them out"));
        assert!(unknown("lingr.ms").to_string().contains("did you mean linger.ms?"));
        let long = "x".repeat(1 << 20);
        assert!(unknown(&long).to_string().len() < 300, "a name of a megabyte is not repeated");
    }
}

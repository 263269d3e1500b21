//! Rows of what all roles share: where the cluster is, and how long one waits for it.

use crate::config::property::{INT, Kind, LONG, Property, Role, choice, put};
use crate::config::proxy::FORM;
use crate::config::{ClientDnsLookup, MetadataRecoveryStrategy};

const fn row(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Property {
    Property::new(Role::Client, name, kind, default, doc)
}

pub(super) static ROWS: &[Property] = &[
    row(
        "bootstrap.servers",
        Kind::List("host:port", |c| &mut c.client.bootstrap_servers),
        "",
        "Addresses to learn the cluster from; one is enough, more survive the loss of a broker.",
    )
    .also(&["metadata.broker.list"]),
    row(
        "client.id",
        Kind::Text(|c| &mut c.client.client_id),
        "milena",
        "The name brokers see in their logs and quotas; not empty, so that a log line tells where a request came from.",
    ),
    row(
        "request.timeout.ms",
        Kind::Time(0, INT, |c| &mut c.client.request_timeout),
        "30000",
        "How long one request may take; Kafka's default, longer than a broker takes to lose its session.",
    )
    .also(&["socket.timeout.ms"]),
    row(
        "default.api.timeout.ms",
        Kind::Time(0, INT, |c| &mut c.client.default_api_timeout),
        "60000",
        "How long one call may take with its retries; twice a request, so that one lost answer is survived.",
    ),
    row(
        "socket.connection.setup.timeout.ms",
        Kind::Time(0, LONG, |c| &mut c.client.socket_connection_setup_timeout),
        "10000",
        "How long a connection may take to be opened, handshakes included; Kafka's default.",
    ),
    row(
        "retry.backoff.ms",
        Kind::Time(0, LONG, |c| &mut c.client.retry_backoff),
        "100",
        "First wait before a failed request is tried again; it doubles, since most failures pass at once or not soon.",
    ),
    row(
        "retry.backoff.max.ms",
        Kind::Time(0, LONG, |c| &mut c.client.retry_backoff_max),
        "1000",
        "Longest wait between tries; a second is short beside the failures that last longer.",
    ),
    row(
        "reconnect.backoff.ms",
        Kind::Time(0, LONG, |c| &mut c.client.reconnect_backoff),
        "50",
        "First wait before a broken connection is opened again; it doubles, so that a dead broker is not hammered.",
    ),
    row(
        "reconnect.backoff.max.ms",
        Kind::Time(0, LONG, |c| &mut c.client.reconnect_backoff_max),
        "1000",
        "Longest wait between connection attempts; Kafka's default.",
    ),
    row(
        "connections.max.idle.ms",
        Kind::TimeOrNever(|c| &mut c.client.connections_max_idle),
        "540000",
        "A connection idle for this long is closed; a minute before brokers close it from their side.",
    ),
    row(
        "metadata.max.age.ms",
        Kind::TimeOrNever(|c| &mut c.client.metadata_max_age),
        "300000",
        "Metadata older than this is fetched anew; errors refresh it earlier, so that this only finds what is new.",
    )
    .also(&["topic.metadata.refresh.interval.ms"]),
    row(
        "metadata.recovery.strategy",
        choice::<MetadataRecoveryStrategy>(|c, t| put(&mut c.client.metadata_recovery_strategy, t)),
        "rebootstrap",
        "What to do when no known broker answers; Kafka's default asks the bootstrap addresses, which outlive brokers.",
    ),
    row(
        "metadata.recovery.rebootstrap.trigger.ms",
        Kind::Time(0, INT, |c| &mut c.client.metadata_recovery_rebootstrap_trigger),
        "300000",
        "How long known brokers may fail before only the bootstrap addresses are asked; they are tried before that, too.",
    ),
    row(
        "client.dns.lookup",
        choice::<ClientDnsLookup>(|c, t| put(&mut c.client.client_dns_lookup, t)),
        "use_all_dns_ips",
        "How bootstrap names are looked up; Kafka's default tries every address, the other looks their names up backwards.",
    ),
    row(
        "proxy.url",
        Kind::Url(FORM, |c, t| t.parse().map(|proxy| c.client.proxy = Some(proxy)).is_ok()),
        "",
        "A SOCKS5 or HTTP proxy for every connection, those to a token endpoint too, that looks names up; none by default. A name of ours.",
    ),
];

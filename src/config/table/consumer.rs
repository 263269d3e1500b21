//! Rows of the consumer: what is fetched, how much of it waits, and where reading begins.

use crate::config::AutoOffsetReset;
use crate::config::property::{INT, Kind, Property, Role, choice, put};
use crate::types::IsolationLevel;

const fn row(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Property {
    Property::new(Role::Consumer, name, kind, default, doc)
}

pub(super) static ROWS: &[Property] = &[
    row(
        "group.id",
        Kind::Name(|c| &mut c.consumer.group_id),
        "",
        "The group whose offsets are read and written; none is needed to read without storing positions.",
    ),
    row(
        "isolation.level",
        choice::<IsolationLevel>(|c, t| put(&mut c.consumer.isolation_level, t)),
        "read_uncommitted",
        "Which records are delivered; Kafka's default also delivers those of open and aborted transactions.",
    ),
    row(
        "auto.offset.reset",
        choice::<AutoOffsetReset>(|c, t| put(&mut c.consumer.auto_offset_reset, t)),
        "latest",
        "Where to go when a position does not exist; Kafka's default reads only what is new.",
    ),
    row(
        "fetch.min.bytes",
        Kind::Int("bytes", 0, i32::MAX, |c| &mut c.consumer.fetch_min_bytes),
        "1",
        "The broker waits for this many bytes, up to fetch.max.wait.ms; one answers as soon as there is anything.",
    ),
    row(
        "fetch.max.bytes",
        Kind::Int("bytes", 1024, i32::MAX, |c| &mut c.consumer.fetch_max_bytes),
        "52428800",
        "Most bytes of one fetch; Kafka's default, and queued.max.bytes lowers it.",
    ),
    row(
        "max.partition.fetch.bytes",
        Kind::Int("bytes", 0, i32::MAX, |c| &mut c.consumer.max_partition_fetch_bytes),
        "1048576",
        "Most bytes of one partition in one fetch; a larger first batch is returned whole, so that reading goes on.",
    )
    .also(&["fetch.message.max.bytes"]),
    row(
        "fetch.max.wait.ms",
        Kind::Time(0, INT, |c| &mut c.consumer.fetch_max_wait),
        "500",
        "How long the broker may wait for fetch.min.bytes; an idle topic then costs two requests a second.",
    )
    .also(&["fetch.wait.max.ms"]),
    row(
        "check.crcs",
        Kind::Flag(|c| &mut c.consumer.check_crcs),
        "true",
        "Whether the checksum of every batch is verified; it costs little and finds what disks and networks break.",
    ),
    row(
        "client.rack",
        Kind::Text(|c| &mut c.consumer.client_rack),
        "",
        "The rack this consumer runs in, for fetching from the nearest replica; empty fetches from leaders.",
    ),
    row(
        "queued.max.bytes",
        Kind::Size("bytes", 64 << 10, 1 << 40, |c| &mut c.consumer.queued_max_bytes),
        "16777216",
        "Bytes that may be fetched and not yet delivered; enough to hide a broker's latency. A name of ours.",
    ),
    row(
        "max.decompressed.batch.bytes",
        Kind::Size("bytes", 1024, 1 << 31, |c| &mut c.consumer.max_decompressed_batch_bytes),
        "67108864",
        "The most a compressed batch may decompress to, so that a few bytes cannot take all memory. A name of ours.",
    ),
];

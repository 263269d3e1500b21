//! Rows of the producer: who must have a record, how it is batched, and how long it may take.

use crate::config::Acks;
use crate::config::property::{INT, Kind, LONG, Property, Role, choice, put};
use crate::types::Compression;

const fn row(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Property {
    Property::new(Role::Producer, name, kind, default, doc)
}

pub(super) static ROWS: &[Property] = &[
    row(
        "acks",
        choice::<Acks>(|c, t| put(&mut c.producer.acks, t)),
        "all",
        "Who must hold a record before it counts as written: every replica in sync, as idempotence needs, the leader, or nobody.",
    )
    .also(&["request.required.acks"]),
    row(
        "enable.idempotence",
        Kind::Flag(|c| &mut c.producer.enable_idempotence),
        "true",
        "Whether the broker drops retried duplicates and keeps order; on, because it costs nothing with acks=all.",
    ),
    row(
        "linger.ms",
        Kind::Time(0, LONG, |c| &mut c.producer.linger),
        "5",
        "How long a batch waits for more records; Kafka's default since 4.0, as fuller batches cost less than they delay.",
    )
    .also(&["queue.buffering.max.ms"]),
    row(
        "batch.size",
        Kind::Size("bytes", 0, 64 << 20, |c| &mut c.producer.batch_size),
        "16384",
        "Target size of a batch, after compression as far as can be told; Kafka's default, small enough for many partitions.",
    ),
    row(
        "compression.type",
        choice::<Compression>(|c, t| put(&mut c.producer.compression_type, t)),
        "none",
        "How batches are compressed, on the thread that fills one; none, as in Kafka, because it costs processor time.",
    )
    .also(&["compression.codec"]),
    row(
        "compression.gzip.level",
        Kind::Int("level", -1, 9, |c| &mut c.producer.compression_gzip_level),
        "-1",
        "Level of gzip: 1 to 9, or -1 for zlib's own default, which is 6.",
    ),
    row(
        "compression.lz4.level",
        Kind::Int("level", 1, 17, |c| &mut c.producer.compression_lz4_level),
        "9",
        "Level of lz4, taken so that Kafka's settings are; the codec has one speed, that of the default.",
    ),
    row(
        "compression.zstd.level",
        Kind::Int("level", -131_072, 22, |c| &mut c.producer.compression_zstd_level),
        "3",
        "Level of zstd, brought into the codec's -7 to 4: 1 to 3 are its 1, which is as fast and as small as Kafka's 3.",
    ),
    row(
        "buffer.memory",
        Kind::Size("bytes", 64 << 10, 1 << 40, |c| &mut c.producer.buffer_memory),
        "33554432",
        "Bytes of records that may wait for their acknowledgement; more await space, so that memory is bounded.",
    ),
    row(
        "max.request.size",
        Kind::Size("bytes", 1024, 100 << 20, |c| &mut c.producer.max_request_size),
        "1048576",
        "Largest request; a record that does not fit fails. The default is what brokers take (message.max.bytes).",
    )
    .also(&["message.max.bytes"]),
    row(
        "max.block.ms",
        Kind::Time(0, LONG, |c| &mut c.producer.max_block),
        "60000",
        "How long appending waits for space or metadata; Kafka's default.",
    ),
    row(
        "delivery.timeout.ms",
        Kind::Time(0, INT, |c| &mut c.producer.delivery_timeout),
        "120000",
        "How long a record may take from append to acknowledgement; the default outlives the election of a leader.",
    )
    .also(&["message.timeout.ms"]),
    row(
        "max.in.flight.requests.per.connection",
        Kind::Size("requests", 1, 1000, |c| &mut c.producer.max_in_flight_requests_per_connection),
        "5",
        "Produce requests on one connection that may wait for an answer; five is all that a broker's idempotence remembers.",
    )
    .also(&["max.in.flight"]),
    row(
        "transactional.id",
        Kind::Name(|c| &mut c.producer.transactional_id),
        "",
        "The name under which transactions are fenced; one running producer a name.",
    ),
    row(
        "transaction.timeout.ms",
        Kind::Time(1, INT, |c| &mut c.producer.transaction_timeout),
        "60000",
        "How long a transaction may stay open before the broker aborts it; at most its transaction.max.timeout.ms.",
    ),
    row(
        "partitioner.adaptive.partitioning.enable",
        Kind::Flag(|c| &mut c.producer.partitioner_adaptive_partitioning_enable),
        "true",
        "Whether slow partitions get fewer records without a key; on, so that one slow broker does not fill the buffer.",
    ),
    row(
        "partitioner.ignore.keys",
        Kind::Flag(|c| &mut c.producer.partitioner_ignore_keys),
        "false",
        "Whether the key is left out of the choice of a partition; off, since keys keep their order by their partition.",
    ),
];

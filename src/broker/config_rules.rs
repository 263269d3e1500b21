//! What values a topic's settings may have: one row for each that Kafka 4.4 knows, as its `LogConfig` defines them.

use crate::error::ErrorCode;

/// The values a setting may have.
enum Rule {
    /// An INT of at least this.
    Int(i32),
    /// A LONG of at least this.
    Long(i64),
    /// A number in this range.
    Ratio(f64, f64),
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some of these words, with commas between them.
    Words(&'static [&'static str]),
    /// Replicas to throttle; not looked into.
    Anything,
}

use Rule::{Anything, Boolean, Int, Long, Ratio, Word, Words};

static RULES: &[(&str, Rule)] = &[
    ("cleanup.policy", Words(&["compact", "delete"])),
    ("compression.gzip.level", Int(-1)),
    ("compression.lz4.level", Int(1)),
    ("compression.type", Word(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])),
    ("compression.zstd.level", Int(-131_072)),
    ("delete.retention.ms", Long(0)),
    ("errors.deadletterqueue.group.enable", Boolean),
    ("file.delete.delay.ms", Long(0)),
    ("flush.messages", Long(1)),
    ("flush.ms", Long(0)),
    ("follower.replication.throttled.replicas", Anything),
    ("index.interval.bytes", Int(0)),
    ("leader.replication.throttled.replicas", Anything),
    ("local.retention.bytes", Long(-2)),
    ("local.retention.ms", Long(-2)),
    ("max.compaction.lag.ms", Long(1)),
    ("max.decompressed.message.bytes", Int(1)),
    ("max.message.bytes", Int(0)),
    ("message.timestamp.after.max.ms", Long(0)),
    ("message.timestamp.before.max.ms", Long(0)),
    ("message.timestamp.type", Word(&["CreateTime", "LogAppendTime"])),
    ("min.cleanable.dirty.ratio", Ratio(0.0, 1.0)),
    ("min.compaction.lag.ms", Long(0)),
    ("min.insync.replicas", Int(1)),
    ("preallocate", Boolean),
    ("remote.copy.lag.bytes", Long(-1)),
    ("remote.copy.lag.ms", Long(-1)),
    ("remote.log.copy.disable", Boolean),
    ("remote.log.delete.on.disable", Boolean),
    ("remote.storage.enable", Boolean),
    ("retention.bytes", Long(i64::MIN)),
    ("retention.ms", Long(-1)),
    ("segment.bytes", Int(1_048_576)),
    ("segment.index.bytes", Int(4)),
    ("segment.jitter.ms", Long(0)),
    ("segment.ms", Long(1)),
    ("unclean.leader.election.enable", Boolean),
];

impl Rule {
    fn allows(&self, value: &str) -> bool {
        let value = value.trim();
        match self {
            Int(least) => value.parse::<i32>().is_ok_and(|number| number >= *least),
            Long(least) => value.parse::<i64>().is_ok_and(|number| number >= *least),
            Ratio(least, most) => value.parse::<f64>().is_ok_and(|number| (*least..=*most).contains(&number)),
            Boolean => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
            Word(words) => words.contains(&value),
            Words(words) => value.is_empty() || value.split(',').all(|word| words.contains(&word.trim())),
            Anything => true,
        }
    }
}

/// Whether a topic may be given this setting.
pub(super) fn check(key: &str, value: &str) -> Result<(), ErrorCode> {
    let rule = RULES.iter().find(|(known, _)| *known == key).map(|(_, rule)| rule);
    if rule.is_some_and(|rule| rule.allows(value)) { Ok(()) } else { Err(ErrorCode::INVALID_CONFIG) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_settings_and_values_out_of_range_are_refused() {
        for (key, good, bad) in [
            ("cleanup.policy", "compact,delete", "compact,keep"),
            ("compression.type", "zstd", "lzma"),
            ("max.message.bytes", "0", "-1"),
            ("max.message.bytes", "2147483647", "2147483648"),
            ("min.cleanable.dirty.ratio", "0.5", "1.5"),
            ("preallocate", "TRUE", "yes"),
            ("retention.ms", "-1", "-2"),
        ] {
            assert_eq!(check(key, good), Ok(()), "{key}={good}");
            assert_eq!(check(key, bad), Err(ErrorCode::INVALID_CONFIG), "{key}={bad}");
        }
        assert_eq!(check("no.such.setting", "1"), Err(ErrorCode::INVALID_CONFIG));
    }
}

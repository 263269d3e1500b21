//! The command line's shape; flags follow kcat's habits where it has them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::specs::{duration, guarantee, offset_spec, pair, property, start_spec, stop_spec, topic_spec};
use super::wire::WireOptions;
use crate::connector::kafka::Guarantee;

pub(crate) use super::specs::{OffsetSpec, StartSpec, StopSpec};

/// A Kafka client and streaming connector in pure Rust.
#[derive(Parser, Debug)]
#[command(name = "milena", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Log more to stderr: once for lifecycle, twice for requests, three times for batches.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Copy a million records exactly once on the embedded broker, killing the copying process again and again.
    Demo(DemoOptions),
    /// Run the in-memory broker on a TCP port until interrupted.
    Broker(BrokerOptions),
    /// List, describe, create or delete topics.
    #[command(mut_arg("config", |file| file.long("command-config")))]
    Topics(TopicsOptions),
    /// Write records: one line of stdin each.
    Produce(ProduceOptions),
    /// Read records to stdout.
    Consume(ConsumeOptions),
    /// Move records from topics to a topic, exactly once if asked.
    Copy(CopyOptions),
    /// Measure producing, consuming or latency.
    Bench(BenchOptions),
    /// Print every property there is, or what a file, the environment and -X resolve to.
    Config(ConfigOptions),
    /// Decode, encode and compare messages, record batches and log segments by their bytes.
    Wire(WireOptions),
}

impl Command {
    /// Threads of the runtime: one, where one core is enough for everything there is to do.
    pub(crate) fn threads(&self) -> usize {
        match self {
            Command::Demo(_) => 2,
            Command::Copy(options) => options.parallelism.clamp(1, 64) as usize,
            _ => 1,
        }
    }
}

/// Where the cluster is and how to talk to it.
#[derive(Args, Debug, Clone)]
pub(crate) struct Connect {
    /// Brokers to learn the cluster from: host:port, separated by commas. The same as -X bootstrap.servers=BROKERS.
    #[arg(short = 'b', long = "brokers", value_name = "BROKERS")]
    pub(crate) brokers: Option<String>,
    /// A file of properties, as Java's clients read it. Variables like MILENA_LINGER_MS and -X overrule it.
    #[arg(short = 'F', long = "config", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A property by Kafka's name, as linger.ms=5. May be repeated.
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = property)]
    pub(crate) properties: Vec<Property>,
}

/// A property as it was given. Its value may be a secret: it is not printed.
#[derive(Clone)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl std::fmt::Debug for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=…", self.name)
    }
}

#[derive(Args, Debug)]
pub(crate) struct ConfigOptions {
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// Also print the properties that have their default.
    #[arg(long)]
    pub(crate) all: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the reference page, docs/configuration.md.
    #[arg(long, conflicts_with_all = ["all", "json", "brokers", "config", "properties"])]
    pub(crate) markdown: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DemoOptions {
    /// Records to copy.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) records: u64,
    /// How often the copying process is killed with -9.
    #[arg(long, default_value_t = 3)]
    pub(crate) kills: u32,
    /// Seed of the moments it is killed at; drawn if not given, and printed.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct BrokerOptions {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    pub(crate) listen: String,
    /// A topic to begin with, with one partition unless a number is given. May be repeated.
    #[arg(long = "topic", value_name = "NAME[:PARTITIONS]", value_parser = topic_spec)]
    pub(crate) topics: Vec<(String, i32)>,
}

#[derive(Args, Debug)]
pub(crate) struct TopicsOptions {
    /// What to do.
    pub(crate) action: TopicsAction,
    /// The topic; not needed by list.
    pub(crate) topic: Option<String>,
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// Partitions of a new topic; the broker's default if not given.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) partitions: i32,
    /// Replicas of each partition; the broker's default if not given.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) replication_factor: i16,
    /// A config of a new topic, as retention.ms=1000. May be repeated.
    #[arg(long = "config", value_name = "K=V", value_parser = pair)]
    pub(crate) configs: Vec<(String, String)>,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicsAction {
    List,
    Describe,
    Create,
    Delete,
}

#[derive(Args, Debug)]
pub(crate) struct ProduceOptions {
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// Topic to write to.
    #[arg(short = 't', long = "topic")]
    pub(crate) topic: String,
    /// Partition; chosen by key, else spread, if not given.
    #[arg(short = 'p', long = "partition")]
    pub(crate) partition: Option<i32>,
    /// What separates key and value in a line; lines are values only if not given.
    #[arg(short = 'K', long = "key-delimiter", value_name = "DELIM")]
    pub(crate) key_delimiter: Option<String>,
    /// A header of every record. May be repeated; order and duplicates are kept.
    #[arg(short = 'H', long = "header", value_name = "K=V", value_parser = pair)]
    pub(crate) headers: Vec<(String, String)>,
    /// Write all lines in one transaction of this id: all are visible, or none.
    #[arg(long, value_name = "ID")]
    pub(crate) transactional_id: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ConsumeOptions {
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// Topic to read.
    #[arg(short = 't', long = "topic")]
    pub(crate) topic: String,
    /// Partition; all if not given.
    #[arg(short = 'p', long = "partition")]
    pub(crate) partition: Option<i32>,
    /// Where to begin: beginning, end, an offset, -N before the end, or @milliseconds. The group's offsets with -G.
    #[arg(short = 'o', long = "offset", allow_hyphen_values = true, value_parser = offset_spec)]
    pub(crate) offset: Option<OffsetSpec>,
    /// Stop at the end of every partition.
    #[arg(short = 'e', long = "exit-at-end")]
    pub(crate) exit_at_end: bool,
    /// Stop after N records.
    #[arg(short = 'c', long = "count", value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Begin at this group's offsets and commit them at the end.
    #[arg(short = 'G', long = "group")]
    pub(crate) group: Option<String>,
    /// Format of a record: %t topic, %p partition, %o offset, %T timestamp, %k key, %K its length, %s value, %S its
    /// length, %h headers, %%, \n, \t, \0.
    #[arg(short = 'f', long = "format", default_value = "%s\\n", conflicts_with = "json")]
    pub(crate) format: String,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CopyOptions {
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// Topics to read, separated by commas, or /regex/ for all whose whole name matches.
    #[arg(long, value_name = "TOPIC[,TOPIC]|/REGEX/")]
    pub(crate) from: String,
    /// Topic to write.
    #[arg(long, value_name = "TOPIC")]
    pub(crate) to: String,
    /// Brokers to write to; the same cluster if not given.
    #[arg(long, value_name = "BROKERS")]
    pub(crate) to_brokers: Option<String>,
    /// What holds for a record after a crash.
    #[arg(long, default_value = "at-least-once", value_parser = guarantee, value_name = "none|at-least-once|exactly-once")]
    pub(crate) guarantee: Guarantee,
    /// Where checkpoints are kept; exactly-once needs it.
    #[arg(long, value_name = "DIR")]
    pub(crate) checkpoint_dir: Option<PathBuf>,
    /// How often a checkpoint is made: 500ms, 1s, 2m.
    #[arg(long, default_value = "1s", value_parser = duration, value_name = "DURATION")]
    pub(crate) checkpoint_interval: Duration,
    /// Readers and writers that work side by side.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) parallelism: u32,
    /// Where to begin without a checkpoint: group, earliest, latest or @milliseconds.
    #[arg(long, default_value = "group", value_parser = start_spec)]
    pub(crate) start: StartSpec,
    /// Where to stop: latest (as it is now), @milliseconds, or never.
    #[arg(long, default_value = "never", value_parser = stop_spec)]
    pub(crate) stop: StopSpec,
    /// Group whose offsets may start the copy and follow its checkpoints.
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Prefix of the transactional ids; made of the topics' names if not given.
    #[arg(long, value_name = "P")]
    pub(crate) id_prefix: Option<String>,
    /// Write each record to the partition number it was read from.
    #[arg(long)]
    pub(crate) keep_partitions: bool,
}

#[derive(Args, Debug)]
pub(crate) struct BenchOptions {
    /// What to measure.
    pub(crate) mode: BenchMode,
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// Topic to use.
    #[arg(short = 't', long = "topic")]
    pub(crate) topic: String,
    /// How many records.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) records: u64,
    /// Bytes of each value.
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
    /// Partitions of the topic that --create makes.
    #[arg(long, default_value_t = 12)]
    pub(crate) partitions: i32,
    /// Create the topic first.
    #[arg(long)]
    pub(crate) create: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BenchMode {
    Produce,
    Consume,
    Latency,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_value_of_a_property_is_printed() {
        let arguments = Arguments::try_parse_from(["milena", "topics", "list", "-X", "sasl.password=canary"]).unwrap();
        let printed = format!("{arguments:?}");
        assert!(printed.contains("sasl.password") && !printed.contains("canary"), "{printed}");
    }
}

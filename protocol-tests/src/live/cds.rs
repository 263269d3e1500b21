//! A class data archive of Kafka: one training run, and every broker after it boots in 1 s instead of 2 to 3.

use std::path::{Path, PathBuf};

use super::artifacts;
use super::cluster::LiveKafka;
use super::java::{JavaSide, Write};
use super::node::java_args;
use super::options::Options;

const FILE: &str = "kafka.jsa";

/// The archive for `version`, made on first use (10 s). It is valid for exactly this class path; Java ignores one that is not.
pub(super) fn archive(version: &str, class_path: &str) -> PathBuf {
    artifacts::once(&format!("cds-{version}"), |dir| train(version, class_path, dir)).join(FILE)
}

fn train(version: &str, class_path: &str, dir: &Path) {
    let flag = format!("-XX:ArchiveClassesAtExit={}", dir.join(FILE).display());
    let options = Options::one_node().version(version);
    // The archive is written when the JVM ends by itself; formatting writes one too, which the broker's replaces.
    let kafka = LiveKafka::start_with(&options, java_args(class_path, Some(&flag)));
    let java = JavaSide::shared();
    java.create_topic(&kafka.bootstrap(), "training", 2, 1, &[]);
    java.write(&kafka.bootstrap(), "training", &Write { transactional_id: Some("training"), ..Write::records(100, 2) });
    kafka.stop(1);
}

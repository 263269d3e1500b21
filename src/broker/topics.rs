//! Which topics there are, who leads their partitions, and what is in them.

use std::collections::BTreeMap;

use super::log::Log;
use crate::error::ErrorCode;
use crate::types::{TopicId, TopicName, TopicPartition};

/// One partition.
#[derive(Debug)]
pub(super) struct Partition {
    /// The leading broker; -1 while none is up.
    pub(super) leader: i32,
    pub(super) leader_epoch: i32,
    pub(super) replicas: Vec<i32>,
    pub(super) log: Log,
}

impl Partition {
    fn new(replicas: Vec<i32>) -> Self {
        let mut log = Log::default();
        log.enter_epoch(0);
        Self { leader: replicas.first().copied().unwrap_or(-1), leader_epoch: 0, replicas, log }
    }

    /// Makes `leader` the leader in a new epoch.
    pub(super) fn elect(&mut self, leader: i32) {
        self.leader = leader;
        self.leader_epoch += 1;
        self.log.enter_epoch(self.leader_epoch);
    }
}

/// One topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: TopicName,
    pub(super) id: TopicId,
    pub(super) partitions: Vec<Partition>,
    pub(super) configs: BTreeMap<String, String>,
    pub(super) replication_factor: i16,
}

impl Topic {
    /// The partition with this number.
    pub(super) fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// The partition with this number, to change it.
    pub(super) fn partition_mut(&mut self, index: i32) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(index).ok()?)
    }

    /// A number among the topic's settings.
    pub(super) fn config<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.configs.get(key)?.parse().ok()
    }
}

/// All topics, by name and by id.
#[derive(Default, Debug)]
pub(super) struct Topics {
    by_name: BTreeMap<TopicName, Topic>,
    by_id: BTreeMap<TopicId, TopicName>,
    created: u64,
}

impl Topics {
    /// The topic of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    /// The topic of this name, to change it.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.by_name.get_mut(name)
    }

    /// The name of the topic with this id.
    pub(super) fn name_of(&self, id: TopicId) -> Option<&TopicName> {
        self.by_id.get(&id)
    }

    /// One partition.
    pub(super) fn partition(&self, tp: &TopicPartition) -> Option<&Partition> {
        self.get(&tp.topic)?.partition(tp.partition)
    }

    /// One partition, to change it.
    pub(super) fn partition_mut(&mut self, tp: &TopicPartition) -> Option<&mut Partition> {
        self.get_mut(&tp.topic)?.partition_mut(tp.partition)
    }

    /// Every topic by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.by_name.values()
    }

    /// Every topic by name, to change it.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Topic> {
        self.by_name.values_mut()
    }

    /// Whether a topic of this shape could be created.
    pub(super) fn check(
        &self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
        brokers: usize,
    ) -> Result<(), ErrorCode> {
        check_name(name)?;
        if self.by_name.contains_key(name) {
            return Err(ErrorCode::TOPIC_ALREADY_EXISTS);
        }
        if !(1..=MAX_PARTITIONS).contains(&partitions) {
            return Err(ErrorCode::INVALID_PARTITIONS);
        }
        let factor = usize::try_from(replication_factor).unwrap_or(0);
        if factor == 0 || factor > brokers {
            return Err(ErrorCode::INVALID_REPLICATION_FACTOR);
        }
        Ok(())
    }

    /// An id that no topic has had or will have but the one that is created with it.
    pub(super) fn new_id(&mut self) -> TopicId {
        self.created += 1;
        topic_id(self.created)
    }

    /// Creates a topic; its replicas go round the brokers.
    pub(super) fn create(
        &mut self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
        configs: BTreeMap<String, String>,
        brokers: &[i32],
    ) -> Result<&Topic, ErrorCode> {
        self.check(name, partitions, replication_factor, brokers.len())?;
        let factor = usize::try_from(replication_factor).unwrap_or(0);
        let id = self.new_id();
        let first = usize::try_from(self.created).unwrap_or(0);
        let partitions = (0..partitions).map(|p| Partition::new(replicas(brokers, first, p, factor))).collect();
        let name: TopicName = name.into();
        self.by_id.insert(id, name.clone());
        let topic = Topic { name: name.clone(), id, partitions, configs, replication_factor };
        Ok(self.by_name.entry(name).or_insert(topic))
    }

    /// Adds partitions up to `count` in all.
    pub(super) fn grow(&mut self, name: &str, count: i32, brokers: &[i32]) -> Result<(), ErrorCode> {
        let topic = self.by_name.get_mut(name).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let have = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        if count <= have || count > MAX_PARTITIONS {
            return Err(ErrorCode::INVALID_PARTITIONS);
        }
        let factor = usize::try_from(topic.replication_factor).unwrap_or(1);
        topic.partitions.extend((have..count).map(|p| Partition::new(replicas(brokers, 0, p, factor))));
        Ok(())
    }

    /// Deletes a topic and all it holds.
    pub(super) fn delete(&mut self, name: &str) -> Result<Topic, ErrorCode> {
        let topic = self.by_name.remove(name).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        self.by_id.remove(&topic.id);
        Ok(topic)
    }
}

/// More than any test needs, and too few to fill the memory by one request.
const MAX_PARTITIONS: i32 = 100_000;

fn replicas(brokers: &[i32], first: usize, partition: i32, factor: usize) -> Vec<i32> {
    let start = first.wrapping_add(usize::try_from(partition).unwrap_or(0)).wrapping_sub(1);
    (0..factor).filter_map(|i| brokers.get(start.wrapping_add(i) % brokers.len())).copied().collect()
}

/// An id that no other topic of the cluster has, the same in every run.
fn topic_id(number: u64) -> TopicId {
    let mixed = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    TopicId(mixed.to_be_bytes())
}

/// Whether a topic may have this name.
pub(super) fn check_name(name: &str) -> Result<(), ErrorCode> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let ok = !name.is_empty() && name.len() <= 249 && name != "." && name != ".." && name.chars().all(legal);
    if ok { Ok(()) } else { Err(ErrorCode::INVALID_TOPIC_EXCEPTION) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recreated_topic_has_another_id_and_leaders_go_round() {
        let mut topics = Topics::default();
        let first = topics.create("t", 4, 2, BTreeMap::new(), &[1, 2, 3]).unwrap();
        let leaders: Vec<_> = first.partitions.iter().map(|p| p.leader).collect();
        assert_eq!(leaders, [1, 2, 3, 1]);
        assert_eq!(first.partitions[2].replicas, [3, 1]);
        let id = first.id;
        assert_eq!(topics.create("t", 1, 1, BTreeMap::new(), &[1]).unwrap_err(), ErrorCode::TOPIC_ALREADY_EXISTS);
        topics.delete("t").unwrap();
        assert_ne!(topics.create("t", 1, 1, BTreeMap::new(), &[1]).unwrap().id, id);
        assert_eq!(topics.name_of(id), None);
        assert_eq!(topics.create("a/b", 1, 1, BTreeMap::new(), &[1]).unwrap_err(), ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
}

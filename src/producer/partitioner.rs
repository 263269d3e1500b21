//! Where a record goes: by its key exactly as Java's client, without one to a partition that sticks (KIP-794).

use std::sync::atomic::{AtomicU64, Ordering};

/// Kafka's variant of MurmurHash2, which decides the partition of a key (`Utils.murmur2`).
pub(super) fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    // Java's lengths are 32 bits wide; a key never comes near that.
    let mut hash = 0x9747_b28c ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        let low = tail.iter().rev().fold(0, |low, byte| low << 8 | u32::from(*byte));
        hash = (hash ^ low).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

/// The partition of `key` among `count` (at least 1): the hash without its sign, modulo the count.
pub(super) fn by_key(key: &[u8], count: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % count.max(1)
}

/// The partition that records without a key go to until it has had a batch's worth of bytes.
///
/// One word, so that appending threads agree without a lock: the partition above, the bytes it had below.
#[derive(Debug)]
pub(super) struct Sticky {
    state: AtomicU64,
    random: AtomicU64,
}

/// What the partitioner knows about one partition's load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Load {
    /// Whether it has a leader.
    pub is_available: bool,
    /// Closed batches that wait to be sent.
    pub queued: u32,
}

impl Sticky {
    /// Starts at partition 0 with its bytes used up, so that the first record draws.
    pub(super) fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(u64::from(u32::MAX)), random: AtomicU64::new(seed) }
    }

    /// The partition now, and the bytes it had.
    pub(super) fn current(&self) -> (u32, u32) {
        let state = self.state.load(Ordering::Relaxed);
        ((state >> 32) as u32, state as u32)
    }

    /// `bytes` more went to `partition`; ignored if another thread has moved on. How many it had then.
    pub(super) fn add(&self, partition: u32, bytes: u32) -> u32 {
        let state = self.state.load(Ordering::Relaxed);
        let sum = (state as u32).saturating_add(bytes);
        if (state >> 32) as u32 != partition {
            return 0;
        }
        // A lost race forgets one record's bytes: the switch comes a record later.
        let _ = self.state.compare_exchange(
            state,
            state & !0xffff_ffff | u64::from(sum),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        sum
    }

    /// Moves on from `from` to a partition drawn by load; nothing happens if another thread has moved on.
    ///
    /// Longer queues are drawn less often (weight: longest queue + 1 - its own, as Java's frequency table), partitions
    /// without leader not at all while others have one.
    pub(super) fn switch(&self, from: u32, count: u32, longest: u32, load: impl Fn(u32) -> Load) {
        let state = self.state.load(Ordering::Relaxed);
        if (state >> 32) as u32 != from {
            return;
        }
        let next = u64::from(self.draw(count, longest, load)) << 32;
        let _ = self.state.compare_exchange(state, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn draw(&self, count: u32, longest: u32, load: impl Fn(u32) -> Load) -> u32 {
        const TRIES: u32 = 64;
        let mut partition = 0;
        for _ in 0..TRIES {
            partition = self.below(count.max(1));
            let Load { is_available, queued } = load(partition);
            // Accepting with a chance proportional to its weight draws exactly by weight, without a table.
            if is_available && (longest == 0 || self.below(longest.saturating_add(1)) >= queued) {
                return partition;
            }
        }
        (0..count).map(|i| (partition + i) % count).find(|p| load(*p).is_available).unwrap_or(partition)
    }

    /// A number below `bound` (SplitMix64, scaled).
    fn below(&self, bound: u32) -> u32 {
        let mixed = mix(self.random.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN));
        (((mixed >> 32) * u64::from(bound)) >> 32) as u32
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of SplitMix64.
pub(super) fn mix(state: u64) -> u64 {
    let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key as hex, `Utils.murmur2` and partition of twelve, printed by kafka-clients 4.4.0.
    #[rustfmt::skip]
    const JAVA: &[(&str, i32, u32)] = &[
        ("", 275646681, 9),
        ("61", -1563381124, 4),
        ("6162", 316155434, 2),
        ("616263", 479470107, 3),
        ("61626364", -1323649548, 8),
        ("6162636465", 461995741, 1),
        ("3231", -973932308, 0),
        ("666f6f626172", -790332482, 6),
        ("612d6c6974746c652d6269742d6c6f6e672d737472696e67", -985981536, 8),
        ("612d6c6974746c652d6269742d6c6f6e6765722d737472696e67", -1486304829, 11),
        ("6c6b6a683233346c68396669756839307932336f697568736166756a6861646f66323239706872396831396838396838", -58897971, 5),
        ("c3a9c3bce4b896", 1030801611, 3),
        ("", 275646681, 9),
        ("35", 55100550, 6),
        ("f78a", 1288432276, 4),
        ("e1bbe7", -983584298, 6),
        ("28c0450c", -392157833, 3),
        ("e43c084f4b", 650222576, 8),
        ("839dee466d85", 609540322, 10),
        ("be6a61aa9a0c61", -2055415863, 5),
        ("bd6743e7dc978573", 496582918, 10),
        ("998e685e885cb361f8", -2143606509, 11),
        ("20bebfb01100b2765457", 1749477346, 10),
        ("0f406cc8e3a188fff11059", 239636182, 10),
        ("6fbce62655dfbd6f83b89670", -715584511, 1),
        ("d6d9f9bf52d83deedc0bf66205", 1343331766, 10),
        ("16ad682d8c478a26f45027984959", 434214673, 1),
        ("dd53b3351a572b40f27f72d37f347b", -221833639, 1),
        ("9979162cfa959d2832a46196d92c3046", 1156755985, 1),
        ("97e953c0026cc4a45eb32f92829e8d14ee", 963358898, 2),
        ("edc93517ef7da4c0ce2972cc9b060b08b646", -2060683994, 6),
        ("f3a3a05bb102f732ed235bd1283ed5021192ed", 1371039565, 1),
        ("754300c523675af9b6c4a514cacaa1b6a7367388", 2095085038, 10),
        ("53ee067b87849adf0100aa4a52cc32388c082af3d5", 1894527541, 1),
        ("bcc00bd26fae51303f23fba277b4e0602cbf7e5e9ba8", -853930442, 6),
        ("daa9395cbb3cb06feaf2456f0a5717a6b5bb127579092b", -273274790, 6),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn keys_land_where_java_puts_them() {
        for (key, hash, partition) in JAVA {
            assert_eq!(murmur2(&bytes(key)) as i32, *hash, "{key}");
            assert_eq!(by_key(&bytes(key), 12), *partition, "{key}");
        }
    }

    fn idle(_: u32) -> Load {
        Load { is_available: true, queued: 0 }
    }

    #[test]
    fn one_seed_gives_one_sequence_and_every_partition_its_share() {
        let run = |seed| {
            let sticky = Sticky::new(seed);
            (0..1200)
                .map(|_| (sticky.switch(sticky.current().0, 12, 0, idle), sticky.current().0).1)
                .collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        for p in 0..12 {
            let hits = run(7).iter().filter(|x| **x == p).count();
            assert!((60..140).contains(&hits), "partition {p}: {hits}");
        }
    }

    #[test]
    fn a_longer_queue_is_drawn_less_often() {
        // Queues 0, 3, 1: weights 4, 1, 3 (the example of Java's BuiltInPartitioner).
        let queues = [0, 3, 1];
        let sticky = Sticky::new(1);
        let mut hits = [0u32; 3];
        for _ in 0..8000 {
            sticky.switch(sticky.current().0, 3, 3, |p| Load { is_available: true, queued: queues[p as usize] });
            hits[sticky.current().0 as usize] += 1;
        }
        assert!((3700..4300).contains(&hits[0]) && (850..1150).contains(&hits[1]), "{hits:?}");
    }

    #[test]
    fn a_partition_without_leader_is_not_drawn_while_another_has_one() {
        let sticky = Sticky::new(3);
        for _ in 0..100 {
            sticky.switch(sticky.current().0, 4, 0, |p| Load { is_available: p == 2, queued: 0 });
            assert_eq!(sticky.current().0, 2);
        }
    }

    #[test]
    fn bytes_count_for_the_partition_they_went_to() {
        let sticky = Sticky::new(3);
        sticky.switch(0, 4, 0, |p| Load { is_available: p == 1, queued: 0 });
        assert_eq!(sticky.add(1, 100), 100);
        assert_eq!(sticky.add(3, 50), 0);
        assert_eq!(sticky.current(), (1, 100));
        sticky.switch(0, 4, 0, idle);
        assert_eq!(sticky.current(), (1, 100));
    }
}

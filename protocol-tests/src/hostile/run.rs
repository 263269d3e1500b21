//! Many damaged frames on all cores: nobody panics, nobody hangs, nobody allocates past the allowance.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::damage::{Damage, Sound};
use super::feed::{feed, tell};
use super::random::Random;
use super::seeds::Seed;

/// The longest that one frame may take: thousands of times what it does.
const HANG: Duration = Duration::from_secs(10);

/// Of so many frames one is told as JSON and row by row too, which takes ten times as long as reading it.
const TOLD: u64 = 8;

/// What is to be run. One `seed` gives the same frames, whatever the number of threads.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Of the generator.
    pub seed: u64,
    /// How many frames.
    pub frames: u64,
    /// On how many threads.
    pub threads: u64,
    /// Bytes allocated at the peak of a call, counted for its thread alone.
    pub peak: fn(&mut dyn FnMut()) -> usize,
}

/// What was seen.
#[derive(Clone, Copy, Default, Debug)]
pub struct Outcome {
    /// Frames read.
    pub frames: u64,
    /// Messages that were told as JSON and row by row as well.
    pub told: u64,
    /// Frames that read as sound all the same.
    pub accepted: u64,
    /// The most that a frame allocated, in bytes.
    pub peak: usize,
    /// The longest that a frame took.
    pub slowest: Duration,
}

impl Outcome {
    fn and(self, other: Self) -> Self {
        Self {
            frames: self.frames + other.frames,
            told: self.told + other.told,
            accepted: self.accepted + other.accepted,
            peak: self.peak.max(other.peak),
            slowest: self.slowest.max(other.slowest),
        }
    }
}

/// Runs `plan` over `seeds`. Panics with the frame's number and bytes where a promise is broken; a reader that never
/// returns ends the whole process, since a thread cannot be ended.
pub fn run(plan: Plan, seeds: &[Seed]) -> Outcome {
    let sound = &Sound::new(seeds);
    let at: Vec<_> = (0..plan.threads).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.threads)
            .zip(&at)
            .map(|(thread, at)| scope.spawn(move || share(plan, sound, thread, at)))
            .collect();
        let mut watched = vec![(0, Instant::now()); at.len()];
        while workers.iter().any(|worker| !worker.is_finished()) {
            thread::sleep(Duration::from_millis(20));
            for ((worker, at), (last, since)) in workers.iter().zip(&at).zip(&mut watched) {
                let number = at.load(Relaxed);
                if number != *last || worker.is_finished() {
                    (*last, *since) = (number, Instant::now());
                } else if since.elapsed() > HANG {
                    eprintln!("frame {number} of MILENA_SEED={} takes longer than {HANG:?}", plan.seed);
                    std::process::abort();
                }
            }
        }
        let results = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
        results.fold(Outcome::default(), Outcome::and)
    })
}

/// The frames whose number leaves `thread` over.
fn share(plan: Plan, sound: &Sound<'_>, thread: u64, at: &AtomicU64) -> Outcome {
    let mut damage = Damage::new(sound);
    let mut outcome = Outcome::default();
    for number in (thread..plan.frames).step_by(plan.threads as usize) {
        at.store(number, Relaxed);
        let (seed, frame) = damage.next(&mut Random::of(plan.seed, number));
        let told = Told { plan, number, seed, frame };
        let bytes = Bytes::copy_from_slice(frame);
        let before = Instant::now();
        let mut accepted = false;
        let peak = (plan.peak)(&mut || accepted = feed(seed.target, bytes.clone()));
        let is_told = number.is_multiple_of(TOLD) && tell(seed.target, &bytes, plan.peak);
        let slowest = before.elapsed();
        let one = Outcome { frames: 1, told: is_told.into(), accepted: accepted.into(), peak, slowest };
        assert!(
            peak <= super::allowance(seed.target, frame.len()),
            "{peak} bytes allocated for a frame of {}",
            frame.len()
        );
        drop(told);
        outcome = outcome.and(one);
    }
    outcome
}

/// Says which frame it was, if a panic drops it.
struct Told<'a> {
    plan: Plan,
    number: u64,
    seed: &'a Seed,
    frame: &'a [u8],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let hex: String = self.frame.iter().map(|byte| format!("{byte:02x}")).collect();
        let Self { plan, number, seed, .. } = self;
        eprintln!("frame {number} of MILENA_SEED={}, made from {}, for {:?}: {hex}", plan.seed, seed.name, seed.target);
    }
}

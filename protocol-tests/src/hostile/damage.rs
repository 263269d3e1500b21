//! How a sound frame is damaged: lied about where its schema hurts, or blindly flipped, overwritten, cut, stretched, spliced.

use super::layout::{Piece, layout_of};
use super::liar::tell_some;
use super::lie::{numbers, uvarint};
use super::random::Random;
use super::seeds::Seed;

/// Bytes that mean something: ends of ranges, null, empty, the bit that says a varint goes on.
const TELLING: [u8; 10] = [0, 1, 2, 0x0f, 0x10, 0x7f, 0x80, 0x81, 0xfe, 0xff];

/// Sound frames, and where their pieces stand.
#[derive(Debug)]
pub struct Sound<'a> {
    seeds: &'a [Seed],
    pieces: Vec<Vec<Piece>>,
}

impl<'a> Sound<'a> {
    /// `seeds` must not be empty.
    pub fn new(seeds: &'a [Seed]) -> Self {
        Self { seeds, pieces: seeds.iter().map(layout_of).collect() }
    }
}

/// Damages sound frames; frame by frame the same for one seed of the generator.
#[derive(Debug)]
pub struct Damage<'a> {
    sound: &'a Sound<'a>,
    frame: Vec<u8>,
}

impl<'a> Damage<'a> {
    /// Of all that is sound, one frame after the other.
    pub fn new(sound: &'a Sound<'a>) -> Self {
        Self { sound, frame: Vec::new() }
    }

    /// The frame that `random` leads to, and the sound one it was made from.
    ///
    /// One in two is lied about by its schema, one in four blindly damaged, one in four both. What has no schema is
    /// damaged blindly.
    pub fn next(&mut self, random: &mut Random) -> (&'a Seed, &[u8]) {
        let at = random.below(self.sound.seeds.len());
        let seed = &self.sound.seeds[at];
        self.frame.clear();
        self.frame.extend_from_slice(&seed.bytes);
        let how = random.below(4);
        let is_told = how > 0 && tell_some(&mut self.frame, &self.sound.pieces[at], random);
        if how < 2 || !is_told {
            for _ in 0..1 + random.below(4) {
                self.once(random);
            }
        }
        (seed, &self.frame)
    }

    fn once(&mut self, random: &mut Random) {
        let len = self.frame.len();
        if len == 0 {
            return self.frame.push(random.next() as u8);
        }
        let at = random.below(len);
        match random.below(12) {
            0 | 1 => self.frame[at] ^= 1 << random.below(8),
            2 => self.frame[at] = random.next() as u8,
            3 | 4 => self.frame[at] = *random.pick(&TELLING),
            5 => self.overwrite(at, &(*random.pick(&numbers(len - at)) as i32).to_be_bytes()),
            6 => self.overwrite(at, &(*random.pick(&numbers(len - at)) as i16).to_be_bytes()),
            7 => {
                let lie = *random.pick(&numbers(len - at)) as u32;
                drop(self.frame.splice(at..at + 1, uvarint(u64::from(lie))));
            }
            8 => self.frame.truncate(at),
            9 => drop(self.frame.drain(at..at + 1 + random.below((len - at).min(16)))),
            10 => self.repeat(at, random),
            _ => self.splice(at, random),
        }
    }

    fn overwrite(&mut self, at: usize, with: &[u8]) {
        let room = self.frame.len() - at;
        let with = &with[..with.len().min(room)];
        self.frame[at..at + with.len()].copy_from_slice(with);
    }

    /// Some bytes once more, at most a few hundred.
    fn repeat(&mut self, at: usize, random: &mut Random) {
        let piece = self.frame[at..at + 1 + random.below((self.frame.len() - at).min(32))].to_vec();
        let times = 1 + random.below(8);
        drop(self.frame.splice(at..at, piece.repeat(times)));
    }

    /// The rest comes from another frame.
    fn splice(&mut self, at: usize, random: &mut Random) {
        let other = &random.pick(self.sound.seeds).bytes;
        let from = random.below(other.len().max(1)).min(other.len());
        self.frame.truncate(at);
        self.frame.extend_from_slice(&other[from..other.len().min(from + 256)]);
    }
}

//! One lie about one piece of a message: all else stays true, so a reader gets as far as the lie and believes it or not.

use std::fmt::Debug;

use super::layout::{Form, Kind, Piece, uvarint_value};
use super::lie::uvarint;
use super::random::Random;

/// What can be told of a piece that is not so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Lie {
    /// Minus two: below null.
    Negative,
    /// The least number there is.
    Least,
    /// The greatest.
    Most,
    /// One more than the bytes that follow.
    JustAbove,
    /// One more than is true; of a marker, one that stands for nothing.
    OneMore,
    /// One less.
    OneLess,
    /// Null, whether or not it may be.
    Null,
    /// The truth, in a varint of five bytes.
    Padded,
    /// The truth, in a varint of six.
    TooLong,
    /// A varint that ends with the frame.
    Unterminated,
    /// A string that is not UTF-8.
    NotUtf8,
    /// A tagged field twice.
    TagTwice,
    /// A tagged field in front of those it comes after.
    TagMoved,
    /// A tagged field that nobody knows, in front of all others.
    TagUnknown,
    /// An element once more than the count says.
    ElementTwice,
    /// An element less than the count says.
    ElementGone,
    /// An element many times, and the count right.
    Crowd,
    /// The frame ends before the piece.
    Cut,
}

impl Lie {
    /// Every lie.
    pub const ALL: [Self; 18] = [
        Self::Negative,
        Self::Least,
        Self::Most,
        Self::JustAbove,
        Self::OneMore,
        Self::OneLess,
        Self::Null,
        Self::Padded,
        Self::TooLong,
        Self::Unterminated,
        Self::NotUtf8,
        Self::TagTwice,
        Self::TagMoved,
        Self::TagUnknown,
        Self::ElementTwice,
        Self::ElementGone,
        Self::Crowd,
        Self::Cut,
    ];

    /// Tells this lie about the piece at `about`. Whether it changed `frame`: not every lie can be told of every piece.
    pub fn tell(self, frame: &mut Vec<u8>, pieces: &[Piece], about: usize) -> bool {
        let Some(piece) = pieces.get(about).filter(|piece| piece.end <= frame.len()) else { return false };
        let owner = piece.owner.and_then(|owner| pieces.get(owner));
        match (self, piece.kind, owner) {
            (Self::Cut, ..) => truncate(frame, piece.head.start),
            (Self::Padded | Self::TooLong | Self::Unterminated, ..) if !is_varint(piece) => false,
            (Self::Unterminated, ..) => {
                frame.truncate(piece.head.start);
                frame.extend([0x80; 4]);
                true
            }
            (Self::NotUtf8, Kind::Text, _) => not_utf8(frame, piece),
            (Self::TagTwice, Kind::TagNumber, Some(section)) => again(frame, piece, 1, Some(section)),
            (Self::TagMoved, Kind::TagNumber, Some(section)) => to_front(frame, piece, section),
            (Self::TagUnknown, Kind::Tags, _) => {
                frame.splice(piece.head.end..piece.head.end, [0x8f, 0x4e, 2, b'?', b'?']);
                raise(frame, piece, 1)
            }
            (Self::ElementTwice, Kind::Element, _) => again(frame, piece, 1, None),
            (Self::ElementGone, Kind::Element, _) => frame.drain(piece.head.start..piece.end).count() > 0,
            (Self::Crowd, Kind::Element, Some(_)) => crowd(frame, pieces, about, 4_096),
            _ => self.number(frame, piece).is_some_and(|lie| replace(frame, piece, &lie)),
        }
    }

    /// What stands in place of the piece's number.
    fn number(self, frame: &[u8], piece: &Piece) -> Option<Vec<u8>> {
        let truth = truth(frame, piece)?;
        let (least, most) = match piece.form {
            Form::Int if piece.head.len() == 8 => (i64::MIN, i64::MAX),
            Form::Int => (-1 << (8 * piece.head.len() - 1), (1 << (8 * piece.head.len() - 1)) - 1),
            _ => (i32::MIN.into(), i32::MAX.into()),
        };
        let number = match self {
            Self::Negative => -2,
            Self::Least => least,
            Self::Most => most,
            Self::JustAbove => (frame.len() - piece.head.end) as i64 + 1,
            Self::OneMore => truth.wrapping_add(1),
            Self::OneLess => truth.wrapping_sub(1),
            Self::Null => -1,
            Self::Padded => return Some(padded(&written(truth, piece), 5)),
            Self::TooLong => return Some(padded(&written(truth, piece), 6)),
            _ => return None,
        };
        Some(written(number, piece))
    }
}

/// The element at `about` once more and again, as often as fits `bytes`, and the count right.
pub fn crowd(frame: &mut Vec<u8>, pieces: &[Piece], about: usize, bytes: usize) -> bool {
    let Some(piece) = pieces.get(about).filter(|piece| piece.end <= frame.len()) else { return false };
    let Some(array) = piece.owner.and_then(|owner| pieces.get(owner)) else { return false };
    let times = bytes.checked_div(piece.end - piece.head.start).unwrap_or(0);
    again(frame, piece, times, Some(array))
}

/// One to three lies, each about a piece that `random` leads to; the later in the frame the sooner, so that places hold.
pub fn tell_some(frame: &mut Vec<u8>, pieces: &[Piece], random: &mut Random) -> bool {
    if pieces.is_empty() {
        return false;
    }
    let mut lies: Vec<_> = (0..1 + random.below(6) / 3 + random.below(6) / 5)
        .map(|_| (random.below(pieces.len()), pick(random)))
        .collect();
    lies.sort_unstable_by_key(|(about, _)| std::cmp::Reverse(pieces[*about].head.start));
    let mut told = false;
    for (about, lie) in lies {
        told |= lie.tell(frame, pieces, about) || pick(random).tell(frame, pieces, about);
    }
    told
}

fn pick(random: &mut Random) -> Lie {
    *random.pick(&Lie::ALL)
}

fn is_varint(piece: &Piece) -> bool {
    matches!(piece.form, Form::Compact | Form::Uvarint)
}

/// The number that stands there.
fn truth(frame: &[u8], piece: &Piece) -> Option<i64> {
    let bytes = &frame[piece.head.clone()];
    match piece.form {
        Form::Int => {
            let sign = if bytes.first()? & 0x80 == 0 { 0 } else { -1 };
            Some(bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte)))
        }
        Form::Compact => Some(uvarint_value(bytes) as i64 - 1),
        Form::Uvarint => Some(uvarint_value(bytes) as i64),
        Form::None => None,
    }
}

/// `number` as the piece writes it, cut to its width.
fn written(number: i64, piece: &Piece) -> Vec<u8> {
    match piece.form {
        Form::Compact => uvarint(u64::from(number.wrapping_add(1) as u32)),
        Form::Uvarint => uvarint(u64::from(number as u32)),
        Form::Int | Form::None => number.to_be_bytes()[8 - piece.head.len().min(8)..].to_vec(),
    }
}

/// A varint with groups of zero behind it, up to `len` bytes.
fn padded(varint: &[u8], len: usize) -> Vec<u8> {
    let mut out: Vec<u8> = varint.iter().map(|byte| byte | 0x80).collect();
    out.resize(len, 0x80);
    out[len - 1] &= 0x7f;
    out
}

fn replace(frame: &mut Vec<u8>, piece: &Piece, with: &[u8]) -> bool {
    let is_new = frame[piece.head.clone()] != *with;
    frame.splice(piece.head.clone(), with.iter().copied());
    is_new
}

fn truncate(frame: &mut Vec<u8>, len: usize) -> bool {
    let is_shorter = len < frame.len();
    frame.truncate(len);
    is_shorter
}

fn not_utf8(frame: &mut [u8], piece: &Piece) -> bool {
    let text = &mut frame[piece.head.end..piece.end];
    text.first_mut().map(|byte| *byte = 0xff).is_some()
}

/// The whole piece `times` more behind itself; `count` then says so.
fn again(frame: &mut Vec<u8>, piece: &Piece, times: usize, count: Option<&Piece>) -> bool {
    let copies = frame[piece.head.start..piece.end].repeat(times);
    let is_longer = !copies.is_empty();
    frame.splice(piece.end..piece.end, copies);
    is_longer && count.is_none_or(|count| raise(frame, count, times))
}

fn raise(frame: &mut Vec<u8>, count: &Piece, by: usize) -> bool {
    let Some(truth) = truth(frame, count) else { return false };
    replace(frame, count, &written(truth + by as i64, count))
}

/// The piece before all others of its section.
fn to_front(frame: &mut [u8], piece: &Piece, section: &Piece) -> bool {
    let len = piece.end - piece.head.start;
    let Some(tags) = frame.get_mut(section.head.end..piece.end).filter(|tags| tags.len() > len) else { return false };
    tags.rotate_right(len);
    true
}

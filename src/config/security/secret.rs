//! Text that is never printed and is overwritten when it is dropped.

use std::fmt;

use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A password, token or key. Prints as `…` in every format; its memory is overwritten when it is dropped.
///
/// Each clone is a copy with a memory of its own.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over; the caller's other copies of it are the caller's.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The parts one after the other, in memory of just that size: text that grows leaves copies behind.
    pub(crate) fn concat(parts: &[&str]) -> Self {
        Self::new(parts.concat())
    }

    /// The text itself: for the wire, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl ZeroizeOnDrop for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

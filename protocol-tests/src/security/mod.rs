//! Certificates made on the spot, wires that break, and the search for secrets in all that was logged.

mod canary;
mod certificates;
mod faulty;

pub use canary::{CANARY, assert_nothing_leaked, keep_secret, logged, traced};
pub use certificates::{Authority, Issued, Validity};
pub use faulty::{FAULTS, Fault, FaultyDial, Said};

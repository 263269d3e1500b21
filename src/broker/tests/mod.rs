//! The broker's promises, checked by hand at literal times.

mod adapters;
mod administering;
mod bench;
mod fetching;
mod intercepting;
mod producing;
mod transactions;

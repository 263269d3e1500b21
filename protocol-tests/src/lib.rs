//! Support library of Milena's golden, differential, hostile, simulation and live suites.

pub mod apis;
pub mod conformance;
pub mod golden;
pub mod hostile;
pub mod live;
pub mod milena_bin;
pub mod scripts;
pub mod security;
pub mod sim;
pub mod tcp_broker;

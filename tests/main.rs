//! One integration binary: what needs the built program, real servers or the
//! whole source tree. Each module is one promise.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says what is wrong by panicking"
)]

mod cli;
mod corpus;
mod daemon;
mod differential;
mod dns;
mod doctor;
mod e2e;
mod enrol;
mod flow;
mod harness;
#[cfg(feature = "hub")]
#[macro_use]
mod hub;
mod packaging;
mod promises;
mod registries;
mod scenarios;
mod serve;

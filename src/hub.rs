//! beian-hub: the provider's side. Enrolment, reports in and polled, one
//! registry lookup for the fleet.
//!
//! Within it data flows as everywhere: `wire` and `judge` are pure, `store`
//! keeps, `ingest` and `enrol` answer agents, `routes` lists every path,
//! `serve` holds the sockets.

pub mod cache;
pub mod enrol;
pub mod evidence;
pub mod exempt;
pub mod ingest;
pub mod judge;
pub mod keys;
pub mod maintain;
pub mod metrics;
pub mod poller;
pub mod problem;
pub mod questions;
pub mod routes;
pub mod serve;
pub mod settings;
pub mod state;
pub mod store;
pub mod wire;

pub use state::Hub;

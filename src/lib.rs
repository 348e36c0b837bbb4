//! beian: finds the sites a server really serves and judges them against the
//! ICP filing registry. The map, in the order in which data flows; a room
//! uses `facts` and the rooms above it, and only `audit` wires rooms together
//! (`tests/flow.rs` fails on an arrow that runs back up).

pub mod facts;
pub mod config;
pub mod telemetry;
pub mod source;
pub mod vhost;
pub mod discover;
pub mod names;
pub mod resolve;
pub mod filing;
pub mod verdict;
pub mod audit;
pub mod ledger;
pub mod uplink;
pub mod document;
pub mod agent;
#[cfg(feature = "hub")]
pub mod hub;
pub mod cli;

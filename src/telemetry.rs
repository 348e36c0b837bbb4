//! What the operator of this machine sees while the daemon runs: events in the
//! journal (and a JSON-lines file), metrics, and what systemd is told.
//!
//! What is said and what is counted are one thing: an [`event`] does both, so
//! that the journal and `/metrics` cannot drift apart. Log fields are English
//! always (contract-details Q25).

pub mod event;
mod json_file;
mod logs;
mod metrics;
pub mod systemd;
mod visible;

pub use logs::{Logs, stderr_is_journal};
pub use metrics::Metrics;
pub use visible::{is_deceptive, visible};

#[cfg(test)]
mod tests;

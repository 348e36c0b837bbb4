//! Between agent and hub: enrol, push (sign, retry) and serve (the polling
//! API). What both sides must agree on stands in `signature`, `problem` and
//! [`Receipt`].

mod client;
pub mod enrol;
pub mod identity;
pub mod problem;
pub mod push;
mod receipt;
pub mod serve;
pub mod signature;

pub use identity::{Enrolment, HubSettings, Identity};
pub use receipt::Receipt;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests;

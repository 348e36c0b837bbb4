//! Between agent and hub: enrol, push (sign, retry), lookup (filings) and serve
//! (the polling API). What both sides must agree on stands in `signature`, `problem` and
//! [`Receipt`].

mod client;
pub mod enrol;
pub mod identity;
mod lookup;
pub mod problem;
pub mod push;
mod receipt;
pub mod serve;
pub mod signature;

pub use identity::{Enrolment, HubSettings, Identity};
pub use lookup::Lookup;
pub use receipt::Receipt;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests;

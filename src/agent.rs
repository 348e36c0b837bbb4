//! The daemon: watch, timers, signals and drain, around the rooms above.
//!
//! One thread runs the asynchronous stages, one reads configuration. All
//! state is in the ledger, written before anybody is told of it, so that the
//! process may die at any instruction. The stages:
//!
//! - `scanner`: reads what changed, and everything every hour;
//! - `judge`: asks DNS and the registries for what is due;
//! - the courier (`uplink::push`): tells the hub, once there is one;
//! - the desk (`uplink::serve`): answers polling and the local commands.
//!
//! systemd's watchdog is fed only while each of them keeps its word (`beat`).

mod beat;
mod desk;
mod hub;
mod judge;
mod memory;
mod scanner;
mod stages;
mod standing;
mod watcher;

pub use desk::named;
pub use hub::request;
pub use stages::{Life, run};

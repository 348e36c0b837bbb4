//! The daemon, as the built program: what it promises, whatever dies.

mod hub;
mod machine;
mod promises;
mod scraped;

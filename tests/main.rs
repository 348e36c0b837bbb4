//! The one integration binary: what needs real servers or the built programs.

// Helpers of tests stand outside of `#[test]` functions.
#![allow(clippy::panic, clippy::unwrap_used)]

mod differential;

//! The one integration binary: what needs real servers or the built programs.

mod differential;

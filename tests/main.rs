//! Tests that need the binary or real servers, as one program.

mod cli;

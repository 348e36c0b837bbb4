//! Tests that need real servers or the binary, in one program.

mod differential;

//! Tests that need real servers or doubles: one binary, one module a subject.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]

mod registries;

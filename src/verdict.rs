//! Facts to verdict: pure.

//! Settings.

use std::time::Duration;

/// Bounds on what is read. Each is a setting (`[limits]`), each hit a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub file_bytes: u64,
    /// How deep includes may be nested; readers keep the count.
    pub include_depth: u32,
    /// Files read in one scan, repeated reads included.
    pub files: u64,
    /// Time for one scan.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { file_bytes: 16 << 20, include_depth: 64, files: 200_000, time: Duration::from_secs(60) }
    }
}

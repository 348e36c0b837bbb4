//! Times as they are written in the settings.

use std::time::Duration;

use super::{Text, shape};

/// `"700ms"`, `"30s"`, `"5m"`, `"1h"`, `"7d"`; whole numbers, more than zero.
/// The error does not quote the text.
pub fn parse_duration(s: &str) -> Result<Duration, Text> {
    let bad = shape::time;
    let s = s.trim();
    let at = s.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let n: u64 = s[..at].parse().map_err(|_| bad())?;
    let ms = match &s[at..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(bad()),
    };
    match n.checked_mul(ms) {
        Some(total) if total > 0 => Ok(Duration::from_millis(total)),
        _ => Err(bad()),
    }
}

//! Times as they are written in the settings.

use std::time::Duration;

/// `"700ms"`, `"30s"`, `"5m"`, `"1h"`, `"7d"`; whole numbers, more than zero.
pub fn parse_duration(s: &str) -> Result<Duration, String> {
    let bad = || format!("{s:?} is no time; write it like \"700ms\", \"30s\", \"5m\", \"1h\" or \"7d\"");
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

/// The shortest way to write a time that [`parse_duration`] reads.
pub fn show_duration(d: Duration) -> String {
    let ms = u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    for (unit, n) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if ms % n == 0 {
            return format!("{}{unit}", ms / n);
        }
    }
    format!("{ms}ms")
}

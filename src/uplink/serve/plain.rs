//! OpenMetrics text as the older Prometheus text format 0.0.4, which knows
//! neither `info`, `stateset` and `unknown` nor families without `_total`.

/// Rewrites one exposition.
pub fn to_plain_text(open: &str) -> String {
    let mut out = String::with_capacity(open.len());
    // Help comes before the type or after it, but it needs the type's name.
    let types: std::collections::HashMap<&str, &str> =
        open.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let renamed = |family: &str| match types.get(family).copied() {
        Some("counter") if !family.ends_with("_total") => format!("{family}_total"),
        Some("info") if !family.ends_with("_info") => format!("{family}_info"),
        _ => family.to_owned(),
    };
    for line in open.lines() {
        if let Some((family, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            let kind = match kind {
                "info" | "stateset" => "gauge",
                "unknown" | "gaugehistogram" => "untyped",
                other => other,
            };
            out.push_str(&format!("# TYPE {} {kind}\n", renamed(family)));
        } else if let Some((family, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            out.push_str(&format!("# HELP {} {help}\n", renamed(family)));
        } else if !line.starts_with('#') {
            // An exemplar has no place in the old format.
            out.push_str(line.split_once(" # {").map_or(line, |(sample, _)| sample));
            out.push('\n');
        }
    }
    out
}

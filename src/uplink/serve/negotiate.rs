//! What a client accepts and already has (RFC 9110).

use axum::http::{HeaderMap, HeaderName, header};

/// The elements of a comma-separated header, over all its lines.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(str::trim)
}

/// An element's value and its weight in thousandths.
fn weighed(element: &str) -> (&str, u16) {
    let mut parts = element.split(';').map(str::trim);
    let value = parts.next().unwrap_or_default();
    let q = parts
        .find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")))
        .map_or(Some(1.0), |q| q.trim().parse::<f32>().ok())
        .filter(|q| (0.0..=1.0).contains(q))
        .unwrap_or(0.0);
    // Within 0 to 1000 by the filter above.
    (value, (q * 1000.0).round() as u16)
}

/// Whether gzip is welcome: named with a weight above zero, or by `*`.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    for element in elements(headers, header::ACCEPT_ENCODING) {
        let (coding, q) = weighed(element);
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return q > 0;
        }
        if coding == "*" {
            any = Some(q > 0);
        }
    }
    any.unwrap_or(false)
}

/// Whether OpenMetrics is wanted rather than the older plain text. Without
/// `Accept` it is.
pub(super) fn takes_openmetrics(headers: &HeaderMap) -> bool {
    if !headers.contains_key(header::ACCEPT) {
        return true;
    }
    let open = weight(headers, "application", "openmetrics-text");
    open > 0 && open >= weight(headers, "text", "plain")
}

/// The weight of a media type: what names it most exactly decides.
fn weight(headers: &HeaderMap, kind: &str, sub: &str) -> u16 {
    let mut best = (0, 0);
    for element in elements(headers, header::ACCEPT) {
        let (range, q) = weighed(element);
        let exactness = match range.split_once('/') {
            Some((k, s)) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(sub) => 3,
            Some((k, "*")) if k.eq_ignore_ascii_case(kind) => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        best = best.max((exactness, q));
    }
    best.1
}

/// Whether `If-None-Match` names one of our tags. The comparison is the weak
/// one, as RFC 9110 13.1.2 asks.
pub(super) fn has_already(headers: &HeaderMap, tags: &[&str]) -> bool {
    elements(headers, header::IF_NONE_MATCH).any(|e| {
        let tag = e.strip_prefix("W/").unwrap_or(e);
        e == "*" || tags.contains(&tag)
    })
}

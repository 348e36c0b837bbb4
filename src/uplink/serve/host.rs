//! The Host header, against DNS rebinding: a page in a browser on this server
//! can make its own name lead to 127.0.0.1, but it cannot change the name that
//! the browser sends.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::header::HOST;
use axum::http::request::Parts;

/// The host of `HOST[:PORT]`; `None` where it is no such thing.
pub(super) fn name(authority: &str) -> Option<&str> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => match authority.find(':') {
            Some(at) => authority.split_at(at),
            None => (authority, ""),
        },
    };
    let port_is_right = match rest.strip_prefix(':') {
        Some(port) => !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()),
        None => rest.is_empty(),
    };
    (port_is_right && !host.is_empty()).then_some(host)
}

/// What a request says whom it means.
pub(super) enum Meant {
    /// Nobody, or more than one.
    Unclear,
    /// Us.
    Us,
    /// Somebody else.
    Other,
}

/// Whom a request means: an address, `localhost`, or one of `names`.
pub(super) fn meant(req: &Parts, names: &[String]) -> Meant {
    let mut hosts = req.headers.get_all(HOST).iter();
    let header = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Meant::Unclear,
        (Some(h), None) => match h.to_str() {
            Ok(h) => Some(h),
            Err(_) => return Meant::Unclear,
        },
        (None, None) => None,
    };
    // HTTP/2 has it in the URI, and HTTP/1.1 may; both must be ours then.
    let uri = req.uri.authority().map(|a| a.as_str());
    if header.is_none() && uri.is_none() {
        return Meant::Unclear;
    }
    for authority in [header, uri].into_iter().flatten() {
        let Some(host) = name(authority) else { return Meant::Unclear };
        let host = host.strip_suffix('.').unwrap_or(host);
        let known = host.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || names.iter().any(|n| host.eq_ignore_ascii_case(n));
        if !known {
            return Meant::Other;
        }
    }
    Meant::Us
}

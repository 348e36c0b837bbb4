//! What a configured name means (rules.md "The apex", contract-details Q11 to Q13).

mod host;
mod suffix;
mod tail;

use std::net::IpAddr;

use crate::facts::{Reason, Server};
use tail::Tail;

pub use suffix::below;

/// The label that is asked below a wildcard. Fixed, so that resolvers cache
/// its answer; long enough that nobody serves it by name.
pub const PROBE_LABEL: &str = "beian-probe";

/// The most names that registries are asked for on behalf of one host.
const MAX_FILING_NAMES: usize = 8;

/// A name that is judged: one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The row's name: lower-case A-labels without final dot, a wildcard as
    /// `*.a.cn`, a regex exactly as written.
    pub name: String,
    /// The same in U-labels.
    pub unicode: String,
    /// Registrable domain in A-labels (ICANN section only).
    pub apex: String,
    /// The DNS names to ask (A-labels, no final dot); here if any of them is.
    pub ask: Vec<String>,
    /// The names to ask registries for, in A-labels: the apex alone, or under
    /// .gov.cn the full host first, then each parent down to the apex.
    pub filing_names: Vec<String>,
}

/// What one configured name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameClass {
    /// A row with a verdict.
    Judged(Target),
    /// A row without one.
    NotApplicable {
        /// Lower-case, A-labels where that is possible.
        name: String,
        /// The same in U-labels.
        unicode: String,
        /// Registrable domain, where there is one.
        apex: Option<String>,
        /// Why no filing is needed.
        reason: Reason,
    },
    /// `_`, `""`, `*`, `--` and the like: no domain at all.
    CatchAll,
    /// A pattern without a fixed registrable domain.
    Unbounded,
    /// Text that can be no name on this server.
    NotAName,
}

/// Classifies one name as a vhost reader gave it. `.a.cn` gives two rows.
pub fn classify(raw: &str, server: Server) -> Vec<NameClass> {
    let raw = raw.trim();
    if let Some(row) = ip_literal(raw) {
        return vec![row];
    }
    if server != Server::Apache
        && let Some(pattern) = raw.strip_prefix('~')
    {
        return vec![regex(raw, pattern)];
    }
    if raw == "_default_" || !raw.chars().any(char::is_alphanumeric) {
        return vec![NameClass::CatchAll];
    }
    if raw.contains('$') {
        return vec![variable(raw, server)];
    }
    if raw.contains('*') || (server == Server::Apache && raw.contains('?')) {
        return vec![wildcard(raw, server)];
    }
    if server != Server::Apache
        && let Some(base) = raw.strip_prefix('.')
    {
        return match host::to_ascii(base) {
            Some(base) => match below_host(&base) {
                all @ (NameClass::Judged(_) | NameClass::NotApplicable { .. }) => vec![exact(base), all],
                other => vec![other],
            },
            None => vec![NameClass::NotAName],
        };
    }
    match host::to_ascii(raw) {
        Some(name) => vec![exact(name)],
        None => vec![NameClass::NotAName],
    }
}

/// The registrable domain of a host in lower-case A-labels without final dot
/// (ICANN section of the Public Suffix List only). `None` for a single label,
/// a bare suffix and an IP address.
///
/// ```
/// use beian::names::apex;
/// assert_eq!(apex("www.example.com.cn").as_deref(), Some("example.com.cn"));
/// assert_eq!(apex("a.as.sh.cn").as_deref(), Some("as.sh.cn"), "no private suffixes");
/// assert_eq!(apex("com.cn"), None);
/// ```
pub fn apex(ascii_host: &str) -> Option<String> {
    suffix::apex(ascii_host)
}

/// Text as a person or a file has it (any case, U-labels, full-width dots, a
/// final dot) in lower-case A-labels; `None` where it can be no host name.
pub fn to_ascii(host: &str) -> Option<String> {
    host::to_ascii(host)
}

/// A name in A-labels as people read it.
pub fn to_unicode(ascii_host: &str) -> String {
    host::to_unicode(ascii_host)
}

fn ip_literal(raw: &str) -> Option<NameClass> {
    let inner = raw.strip_prefix('[').and_then(|r| r.strip_suffix(']')).unwrap_or(raw);
    let inner = inner.split_once('%').map_or(inner, |(address, _zone)| address);
    let inner = inner.strip_suffix('.').unwrap_or(inner);
    let ip = match inner.parse::<IpAddr>() {
        Ok(ip) => ip,
        // Full-width digits and dots are an address to every browser.
        Err(_) if !inner.is_ascii() && inner.len() < 64 => {
            idna::domain_to_ascii(inner).ok()?.parse::<IpAddr>().ok()?
        }
        Err(_) => return None,
    };
    let name = ip.to_string();
    Some(NameClass::NotApplicable { unicode: name.clone(), name, apex: None, reason: Reason::IpLiteral })
}

/// One host, in A-labels.
fn exact(name: String) -> NameClass {
    let unicode = host::to_unicode(&name);
    if let Some(reason) = needs_no_filing(&name) {
        return NameClass::NotApplicable { name, unicode, apex: None, reason };
    }
    match suffix::apex(&name) {
        Some(apex) => NameClass::Judged(Target {
            ask: vec![name.clone()],
            filing_names: filing_names(&name, &apex),
            unicode,
            apex,
            name,
        }),
        None => NameClass::NotApplicable { name, unicode, apex: None, reason: Reason::PublicSuffix },
    }
}

fn needs_no_filing(name: &str) -> Option<Reason> {
    if name == "localhost" || (name.contains('.') && suffix::reserved(name)) {
        Some(Reason::Reserved)
    } else if suffix::is_suffix(name) {
        Some(Reason::PublicSuffix)
    } else if !name.contains('.') {
        Some(Reason::SingleLabel)
    } else {
        None
    }
}

/// All hosts below `base`: the row `*.base`.
fn below_host(base: &str) -> NameClass {
    let name = format!("*.{base}");
    let unicode = format!("*.{}", host::to_unicode(base));
    if suffix::reserved(base) {
        return NameClass::NotApplicable { name, unicode, apex: None, reason: Reason::Reserved };
    }
    match suffix::apex(base) {
        Some(apex) => NameClass::Judged(Target {
            ask: ask_below(base, &apex),
            filing_names: filing_names(base, &apex),
            name,
            unicode,
            apex,
        }),
        None => NameClass::Unbounded,
    }
}

/// What is asked for a pattern over hosts below `base` (contract-details
/// Q13): the base, `www.` and the probe label below it, and the apex where
/// that is not the base.
fn ask_below(base: &str, apex: &str) -> Vec<String> {
    let mut ask = vec![base.to_owned(), format!("www.{base}"), format!("{PROBE_LABEL}.{base}")];
    if base != apex {
        ask.push(apex.to_owned());
    }
    // Below a very long base there may be no room for another label.
    ask.retain(|name| name.len() <= host::MAX_NAME);
    ask
}

/// `*` anywhere, in Apache `?` too. What stands after the first dot behind
/// the last of them is fixed.
fn wildcard(raw: &str, server: Server) -> NameClass {
    let mark = |c: char| c == '*' || (c == '?' && server == Server::Apache);
    let Some((head, rest)) = raw.rfind(mark).map(|i| raw.split_at(i)) else { return NameClass::NotAName };
    // The marks are ASCII, so that one byte is skipped.
    let rest = rest.get(1..).unwrap_or_default();
    let dots = |c: char| c == '.' || c == '\u{3002}';
    let plain =
        |t: &str| t.chars().all(|c| c.is_alphanumeric() || mark(c) || dots(c) || c == '-' || c == '_');
    if !plain(head) || !plain(rest) {
        return NameClass::NotAName;
    }
    match rest.split_once(dots) {
        None | Some((_, "")) => NameClass::Unbounded,
        Some((_, base)) => host::to_ascii(base).map_or(NameClass::NotAName, |b| below_host(&b)),
    }
}

/// A variable that nothing sets. nginx fills none in here, so there it is text
/// that no request can name. Apache does, from an environment that we may not
/// see: a fixed end is judged as a wildcard, all else is unbounded.
fn variable(raw: &str, server: Server) -> NameClass {
    let plain = |c: char| c.is_alphanumeric() || ".-_${}*?".contains(c);
    if server != Server::Apache || !raw.chars().all(plain) {
        return NameClass::NotAName;
    }
    let Some((_, rest)) = raw.rsplit_once('$') else { return NameClass::NotAName };
    let rest = match rest.strip_prefix('{') {
        Some(r) => r.split_once('}').map_or("", |(_, r)| r),
        None => rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'),
    };
    if rest.contains('*') || rest.contains('?') {
        return wildcard(rest, server);
    }
    match rest.split_once('.').and_then(|(_, base)| host::to_ascii(base)) {
        Some(base) => below_host(&base),
        None => NameClass::Unbounded,
    }
}

/// A regular expression with its `~`, and without.
fn regex(raw: &str, pattern: &str) -> NameClass {
    let (base, literal) = match tail::fixed_tail(pattern) {
        Tail::Host(h) => (h, true),
        Tail::Below(h) => (h, false),
        Tail::None => return if matches_all(pattern) { NameClass::CatchAll } else { NameClass::Unbounded },
    };
    let Some(base) = host::to_ascii(&base) else { return NameClass::Unbounded };
    let name = raw.to_owned();
    if suffix::reserved(&base) {
        return NameClass::NotApplicable {
            unicode: name.clone(),
            name,
            apex: None,
            reason: Reason::Reserved,
        };
    }
    let Some(apex) = suffix::apex(&base) else { return NameClass::Unbounded };
    NameClass::Judged(Target {
        ask: if literal { vec![base.clone()] } else { ask_below(&base, &apex) },
        filing_names: filing_names(&base, &apex),
        unicode: name.clone(),
        name,
        apex,
    })
}

/// The usual spellings of "any name"; other patterns that match all are
/// unbounded, which comes to the same finding.
fn matches_all(pattern: &str) -> bool {
    let core = pattern.trim_start_matches('^').trim_end_matches('$');
    let core = core.strip_prefix('(').and_then(|c| c.strip_suffix(')')).unwrap_or(core);
    let core = match core.strip_prefix("?<").or_else(|| core.strip_prefix("?P<")) {
        Some(named) => named.split_once('>').map_or(core, |(_, c)| c),
        None => core,
    };
    matches!(core, "" | "." | ".*" | ".+" | ".*?" | ".+?" | "\\S+" | "\\S*")
}

/// Under .gov.cn each body files its own (contract-details Q11): the host,
/// then each parent down to the apex. A host deeper than the bound keeps its
/// own name and the parents next to the apex.
fn filing_names(host: &str, apex: &str) -> Vec<String> {
    if !suffix::below(apex, "gov.cn") {
        return vec![apex.to_owned()];
    }
    let mut all = vec![host.to_owned()];
    let mut name = host;
    while name != apex {
        let Some((_, parent)) = name.split_once('.') else { break };
        all.push(parent.to_owned());
        name = parent;
    }
    if all.len() > MAX_FILING_NAMES {
        all.drain(1..=all.len() - MAX_FILING_NAMES);
    }
    all
}

#[cfg(test)]
mod tests;

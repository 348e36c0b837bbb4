//! The registrable domain, from the ICANN section of the Public Suffix List
//! only (rules.md "The apex").

use psl::{List, Psl, Type};

/// Labels of reserved and private-use names (rules.md; `.onion` is RFC 7686).
const RESERVED: [&str; 12] = [
    "local",
    "lan",
    "internal",
    "test",
    "example",
    "invalid",
    "localhost",
    "home.arpa",
    "in-addr.arpa",
    "ip6.arpa",
    "localdomain",
    "onion",
];

/// Whether the name is one of the reserved ones or lies below one.
pub(super) fn reserved(ascii: &str) -> bool {
    RESERVED.iter().any(|r| below(ascii, r))
}

/// Whether `name` is `suffix` or ends in `.suffix`.
pub fn below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Length of the public suffix in bytes, and whether the list knows it. With
/// the private rules `a.as.sh.cn` would be a domain of its own, though
/// as.sh.cn is what was registered; so a private suffix counts for nothing and
/// its parent is looked at instead.
fn icann_suffix(ascii: &str) -> (usize, bool) {
    let mut name = ascii;
    loop {
        let info = List.find(name.rsplit('.').map(str::as_bytes));
        match info.typ {
            Some(Type::Icann) => return (info.len, true),
            None => return (name.rsplit('.').next().map_or(0, str::len), false),
            Some(Type::Private) => {
                let suffix = name.get(name.len().saturating_sub(info.len)..).unwrap_or(name);
                match suffix.split_once('.') {
                    Some((_, parent)) => name = parent,
                    None => return (suffix.len(), false),
                }
            }
        }
    }
}

/// Whether the whole name is a suffix that the list knows.
pub(super) fn is_suffix(ascii: &str) -> bool {
    let (len, known) = icann_suffix(ascii);
    known && len == ascii.len()
}

/// The registrable domain of a host (lower-case A-labels, no final dot):
/// `None` for a single label, a bare suffix and an IP address.
pub(super) fn apex(ascii: &str) -> Option<String> {
    if ascii.is_empty()
        || ascii.starts_with('.')
        || ascii.contains("..")
        || ascii.parse::<std::net::IpAddr>().is_ok()
    {
        return None;
    }
    let (len, _) = icann_suffix(ascii);
    let before = ascii.get(..ascii.len().checked_sub(len + 1)?)?;
    let label = before.rsplit('.').next().filter(|l| !l.is_empty())?;
    ascii.get(before.len() - label.len()..).map(str::to_owned)
}

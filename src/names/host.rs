//! A host name as DNS and registries spell it: UTS-46, lower-case A-labels.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Longest name in DNS, in its written form without the final dot (RFC 1035).
pub(super) const MAX_NAME: usize = 253;
/// Longest label in DNS.
const MAX_LABEL: usize = 63;
/// Text beyond this is no name: a U-label may take more bytes than its
/// A-label, but never this many more.
const MAX_RAW: usize = 2048;

/// Lower-case A-labels without the final dot, or `None` for text that can be
/// no host name. Lenient as hosts are in practice: underscores and hyphens at
/// any place, and an `xn--` label that UTS-46 refuses stays as it is, since
/// DNS serves it all the same.
pub(super) fn to_ascii(raw: &str) -> Option<String> {
    if raw.len() > MAX_RAW {
        return None;
    }
    let name = match uts46_ascii(raw) {
        Some(n) => n,
        None => {
            let labels: Option<Vec<String>> = raw.split(is_dot).map(label).collect();
            labels?.join(".")
        }
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    plausible(name).then(|| name.to_owned())
}

/// The name in U-labels; labels that are not valid stay A-labels.
pub(super) fn to_unicode(ascii: &str) -> String {
    if !ascii.contains("xn--") {
        return ascii.to_owned();
    }
    ascii.split('.').map(label_to_unicode).collect::<Vec<_>>().join(".")
}

fn label_to_unicode(label: &str) -> String {
    let (shown, ok) = Uts46::new().to_unicode(label.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow);
    if ok.is_ok() { shown.into_owned() } else { label.to_owned() }
}

fn uts46_ascii(raw: &str) -> Option<String> {
    Uts46::new()
        .to_ascii(raw.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore)
        .ok()
        .map(std::borrow::Cow::into_owned)
}

fn label(raw: &str) -> Option<String> {
    if raw.is_ascii() {
        Some(uts46_ascii(raw).unwrap_or_else(|| raw.to_ascii_lowercase()))
    } else {
        uts46_ascii(raw)
    }
}

/// The dots of UTS-46: ASCII, ideographic, full-width, half-width.
fn is_dot(c: char) -> bool {
    matches!(c, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
}

/// Whether DNS could carry it and a browser could ask for it. A last label of
/// digits makes browsers read an IPv4 address, so no host can be meant.
fn plausible(name: &str) -> bool {
    let shape = !name.is_empty()
        && name.len() <= MAX_NAME
        && name.split('.').all(|l| {
            !l.is_empty()
                && l.len() <= MAX_LABEL
                && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        });
    let numeric = |l: &str| l.bytes().all(|b| b.is_ascii_digit());
    shape && !name.rsplit_once('.').is_some_and(|(_, last)| numeric(last))
}

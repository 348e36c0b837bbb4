//! `<IfVersion>` and the modules of `<IfModule>`.

use std::collections::HashSet;

/// A version of Apache: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Version([u32; 3]);

impl Version {
    /// What counts where nothing tells the version: 2.4, in a late patch.
    pub const DEFAULT: Version = Version([2, 4, 62]);
    /// What counts where only 2.2 is known: its late patches.
    pub const OLD: Version = Version([2, 2, 34]);

    /// All three numbers.
    pub fn full(text: &[u8]) -> Option<Version> {
        let dots = text.iter().filter(|&&b| b == b'.').count();
        if dots == 2 { parse(text).map(Version) } else { None }
    }

    /// Whether name-based hosts need NameVirtualHost: before 2.3.11.
    pub fn is_old(self) -> bool {
        self < Version([2, 3, 11])
    }
}

/// Compiled into Debian's and most others' `apache2 -l`.
const COMPILED_IN: &[&str] = &[
    "core.c",
    "core_module",
    "http_core.c",
    "http_module",
    "mod_so.c",
    "so_module",
    "mod_watchdog.c",
    "watchdog_module",
    "mod_log_config.c",
    "log_config_module",
    "mod_logio.c",
    "logio_module",
    "mod_version.c",
    "version_module",
    "mod_unixd.c",
    "unixd_module",
];

/// Those of them that 2.2 does not have, or not so.
const NOT_IN_2_2: &[&str] =
    &["mod_watchdog.c", "watchdog_module", "mod_version.c", "version_module", "mod_unixd.c", "unixd_module"];

/// The modules that are loaded so far, by both names.
#[derive(Debug, Default)]
pub(super) struct Modules(HashSet<Vec<u8>>);

/// Whether a module is compiled into the usual server of a version.
pub(super) fn usually_compiled_in(name: &[u8], version: Version) -> bool {
    let among = |list: &[&str]| list.iter().any(|m| m.as_bytes() == name);
    among(COMPILED_IN) && !(version.is_old() && among(NOT_IN_2_2))
}

impl Modules {
    /// `LoadModule NAME FILE`.
    pub fn load(&mut self, name: &[u8], file: &[u8]) {
        if self.0.len() > 4096 {
            return;
        }
        if let Some(short) = name.strip_suffix(b"_module") {
            // The processing modules' sources are called event.c and so on.
            match short.strip_prefix(b"mpm_") {
                Some(mpm) => self.0.insert([mpm, b".c"].concat()),
                None => self.0.insert([b"mod_", short, b".c"].concat()),
            };
        }
        let base = file.rsplit(|&b| b == b'/').next().unwrap_or_default();
        if let Some(stem) = base.strip_suffix(b".so")
            && stem.starts_with(b"mod_")
            && !stem.starts_with(b"mod_mpm_")
        {
            self.0.insert([stem, b".c"].concat());
        }
        self.0.insert(name.to_vec());
    }

    /// Whether a LoadModule gave this one.
    pub fn has(&self, name: &[u8]) -> bool {
        self.0.contains(name)
    }
}

/// Whether `<IfVersion ARGS>` holds; `None` where Apache refuses it.
pub(super) fn if_version(args: &[u8], actual: Version) -> Option<bool> {
    let mut words = super::line::words(args);
    let first = words.next()?;
    let second = words.next();
    let (negated, first) = match first.strip_prefix(b"!") {
        Some(rest) => (true, rest),
        None => (false, &*first),
    };
    let (op, version) = match &second {
        Some(v) => (first, &**v),
        None => (&b"="[..], first),
    };
    let regex = version.strip_prefix(b"/").and_then(|v| v.strip_suffix(b"/"));
    let held = match (op, regex) {
        (b"=" | b"==", Some(re)) => matches_version(re, actual),
        (b"~", re) => matches_version(re.unwrap_or(version), actual),
        _ => {
            let order = actual.0.cmp(&parse(version)?);
            match op {
                b"=" | b"==" => order.is_eq(),
                b">" => order.is_gt(),
                b">=" => order.is_ge(),
                b"<" => order.is_lt(),
                b"<=" => order.is_le(),
                _ => return None,
            }
        }
    };
    Some(held != negated)
}

/// `2`, `2.4` or `2.4.1`; what is not written is 0.
fn parse(text: &[u8]) -> Option<[u32; 3]> {
    let mut out = [0; 3];
    let mut parts = std::str::from_utf8(text).ok()?.split('.');
    for slot in &mut out {
        match parts.next() {
            Some(p) => *slot = p.parse().ok()?,
            None => return Some(out),
        }
    }
    parts.next().is_none().then_some(out)
}

/// The few regular expressions that anybody writes about a version: literals,
/// `\.`, `.`, one set in brackets, `^`, `$`, alternatives at the top. Others
/// do not match.
fn matches_version(re: &[u8], actual: Version) -> bool {
    let Version([major, minor, patch]) = actual;
    let text = format!("{major}.{minor}.{patch}");
    let text = text.as_bytes();
    re.split(|&b| b == b'|').any(|alt| {
        let anchored = alt.first() == Some(&b'^');
        let alt = if anchored { alt.get(1..).unwrap_or_default() } else { alt };
        let starts = if anchored { 1 } else { text.len() };
        (0..starts).any(|at| matches_at(alt, text.get(at..).unwrap_or_default()))
    })
}

fn matches_at(mut re: &[u8], mut text: &[u8]) -> bool {
    loop {
        let (hit, rest): (bool, &[u8]) = match re {
            [] => return true,
            [b'$'] => return text.is_empty(),
            [b'\\', b'd', rest @ ..] => (text.first().is_some_and(u8::is_ascii_digit), rest),
            [b'\\', c, rest @ ..] => (text.first() == Some(c), rest),
            [b'.', rest @ ..] => (!text.is_empty(), rest),
            [b'[', rest @ ..] => match rest.iter().position(|&b| b == b']') {
                Some(end) => {
                    let (set, rest) = rest.split_at(end);
                    (text.first().is_some_and(|&b| in_set(set, b)), rest.get(1..).unwrap_or_default())
                }
                None => return false,
            },
            [b'*' | b'+' | b'?' | b'(' | b')' | b'{', ..] => return false,
            [c, rest @ ..] => (text.first() == Some(c), rest),
        };
        if !hit {
            return false;
        }
        re = rest;
        text = text.get(1..).unwrap_or_default();
    }
}

fn in_set(set: &[u8], b: u8) -> bool {
    set.contains(&b) || set.windows(3).any(|w| matches!(w, [lo, b'-', hi] if (*lo..=*hi).contains(&b)))
}

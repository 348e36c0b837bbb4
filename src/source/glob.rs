//! glob(3) and fnmatch(3) on bytes, as libc has them in the C locale.
//!
//! nginx includes go through glob(3), Apache's through a matcher with the same
//! rules. Crates for this match hidden files with `*`, lose names that are no
//! UTF-8 or do not know `[^a]`.

use super::SourceError;
use super::disk::Disk;

/// Whether a path is a pattern at all: nginx looks for `*`, `?` and `[` only.
pub fn has_magic(pattern: &[u8]) -> bool {
    pattern.iter().any(|b| matches!(b, b'*' | b'?' | b'['))
}

/// Whether one path component matches a pattern, a leading dot only
/// literally (FNM_PERIOD). Linear in the product of both lengths at worst.
pub fn fnmatch(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') && !pattern.starts_with(b"\\.") {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    // Where to go on after the last star: pattern after it, name one further.
    let mut back: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            back = Some((p, n));
            continue;
        }
        if n == name.len() && p == pattern.len() {
            return true;
        }
        if n < name.len()
            && let Some(len) = one(&pattern[p..], name[n])
        {
            p += len;
            n += 1;
            continue;
        }
        match back {
            Some((bp, bn)) if bn < name.len() => {
                p = bp;
                n = bn + 1;
                back = Some((bp, n));
            }
            _ => return false,
        }
    }
}

/// Matches one byte; the length of the pattern's part that did.
fn one(pattern: &[u8], b: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'\\' if pattern.len() > 1 => (pattern[1] == b).then_some(2),
        b'[' => match bracket(pattern, b) {
            Some((true, len)) => Some(len),
            Some((false, _)) => None,
            // A bracket that is not closed stands for itself.
            None => (b == b'[').then_some(1),
        },
        c => (c == b).then_some(1),
    }
}

/// `[...]` at the start of `pattern`: whether it matches, and its length.
fn bracket(pattern: &[u8], b: u8) -> Option<(bool, usize)> {
    let mut i = 1;
    let negated = matches!(pattern.get(i), Some(b'!' | b'^'));
    if negated {
        i += 1;
    }
    let first = i;
    let mut hit = false;
    loop {
        let mut c = *pattern.get(i)?;
        if c == b']' && i > first {
            return Some((hit != negated, i + 1));
        }
        if c == b'['
            && pattern.get(i + 1) == Some(&b':')
            && let Some(end) = pattern[i + 2..].windows(2).position(|w| w == b":]")
            && let Some(in_class) = class(&pattern[i + 2..i + 2 + end])
        {
            hit |= in_class(b);
            i += end + 4;
            continue;
        }
        if c == b'\\' {
            i += 1;
            c = *pattern.get(i)?;
        }
        i += 1;
        if pattern.get(i) == Some(&b'-') && pattern.get(i + 1).is_some_and(|&e| e != b']') {
            let mut end = pattern[i + 1];
            i += 2;
            if end == b'\\' {
                end = *pattern.get(i)?;
                i += 1;
            }
            hit |= (c..=end).contains(&b);
        } else {
            hit |= c == b;
        }
    }
}

fn class(name: &[u8]) -> Option<fn(u8) -> bool> {
    Some(match name {
        b"alpha" => |b| b.is_ascii_alphabetic(),
        b"digit" => |b| b.is_ascii_digit(),
        b"alnum" => |b| b.is_ascii_alphanumeric(),
        b"upper" => |b| b.is_ascii_uppercase(),
        b"lower" => |b| b.is_ascii_lowercase(),
        b"space" => |b| b.is_ascii_whitespace() || b == 0x0b,
        b"blank" => |b| b == b' ' || b == b'\t',
        b"punct" => |b| b.is_ascii_punctuation(),
        b"print" => |b| (0x20..0x7f).contains(&b),
        b"graph" => |b| b.is_ascii_graphic(),
        b"cntrl" => |b| b.is_ascii_control(),
        b"xdigit" => |b| b.is_ascii_hexdigit(),
        _ => return None,
    })
}

fn unescape(part: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(part.len());
    let mut it = part.iter();
    while let Some(&b) = it.next() {
        if b == b'\\'
            && let Some(&next) = it.next()
        {
            out.push(next);
        } else {
            out.push(b);
        }
    }
    out
}

/// What an expansion asks the disk.
pub(super) enum Asked<'a> {
    /// Which names of a folder match.
    Names { folder: &'a [u8], pattern: &'a [u8] },
    /// Whether this is there.
    Entry(&'a [u8]),
}

/// Expands a pattern below the root. A folder that may not be read matches
/// nothing in glob(3); here it is an error, since sites may be behind it.
pub(super) fn expand(
    src: &Disk,
    pattern: &[u8],
    asked: &mut dyn FnMut(Asked<'_>),
) -> Result<Vec<Vec<u8>>, SourceError> {
    let parts: Vec<&[u8]> = pattern.split(|&b| b == b'/').filter(|p| !p.is_empty()).collect();
    let mut found: Vec<Vec<u8>> = vec![Vec::new()];
    for (i, part) in parts.iter().enumerate() {
        let last = i + 1 == parts.len();
        let mut next = Vec::new();
        if has_magic(part) {
            for dir in &found {
                let mut at = dir.clone();
                at.push(b'/');
                asked(Asked::Names { folder: &at, pattern: part });
                let names = match src.scan_dir(&at, |n| fnmatch(part, n)) {
                    Ok(names) => names,
                    Err(SourceError::NotFound | SourceError::NotRegularFile | SourceError::SymlinkLoop) => {
                        continue;
                    }
                    Err(e) => return Err(e),
                };
                for name in names {
                    if next.len() as u64 >= src.limits().files {
                        return Err(SourceError::FileLimit);
                    }
                    let mut path = at.clone();
                    path.extend_from_slice(&name);
                    next.push(path);
                }
            }
        } else {
            let part = unescape(part);
            for mut path in found {
                path.push(b'/');
                path.extend_from_slice(&part);
                if last {
                    asked(Asked::Entry(&path));
                }
                // A literal part after a pattern must exist, a link that
                // leads nowhere included (libc asks lstat).
                if !last || matches!(part.as_slice(), b"." | b"..") || src.entry_exists(&path) {
                    next.push(path);
                }
            }
        }
        found = next;
    }
    found.sort_unstable();
    Ok(found)
}

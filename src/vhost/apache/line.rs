//! Lines and words as Apache's configuration reader cuts them.

use std::borrow::Cow;
use std::io::BufRead;

/// One logical line: continuations joined, blanks around it taken off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Its text, up to the first NUL.
    pub text: Cow<'a, [u8]>,
    /// The physical line on which it begins, 1-based.
    pub number: u32,
    /// Whether a NUL cut something off.
    pub nul: bool,
}

/// Cuts a file into logical lines without copying what has no continuation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    pos: usize,
    number: u32,
    /// There are NULs in it: looked for once, not in each line.
    nuls: bool,
}

impl Lines {
    /// Starts at a byte offset (behind a byte-order mark) of a text.
    pub fn new(pos: usize, text: &[u8]) -> Self {
        Lines { pos, number: 0, nuls: text.contains(&0) }
    }

    /// The next line that is neither empty nor a comment.
    pub fn next<'a>(&mut self, text: &'a [u8]) -> Option<Line<'a>> {
        loop {
            let (raw, ended) = self.physical(text)?;
            let number = self.number;
            if let Some(start) = continued(raw, ended) {
                let line = self.join(text, start, number);
                if !matches!(line.text.first(), None | Some(b'#')) {
                    return Some(line);
                }
                continue;
            }
            let raw = trim(raw);
            match raw.first() {
                None | Some(b'#') => {}
                Some(_) => {
                    let (text, nul) = if self.nuls { cut_nul(raw) } else { (raw, false) };
                    if !text.is_empty() {
                        return Some(Line { text: Cow::Borrowed(text), number, nul });
                    }
                }
            }
        }
    }

    fn physical<'a>(&mut self, text: &'a [u8]) -> Option<(&'a [u8], bool)> {
        let rest = text.get(self.pos..).filter(|r| !r.is_empty())?;
        self.number = self.number.saturating_add(1);
        // Reading from a slice cannot fail; the standard library's search is
        // the C library's memchr.
        let mut after = rest;
        let len = after.skip_until(b'\n').unwrap_or(rest.len());
        self.pos += len;
        match rest.get(..len) {
            Some([line @ .., b'\n']) => Some((line, true)),
            Some(line) => Some((line, false)),
            None => Some((rest, false)),
        }
    }

    fn join<'a>(&mut self, text: &'a [u8], start: &[u8], number: u32) -> Line<'a> {
        let mut joined = start.to_vec();
        while let Some((raw, ended)) = self.physical(text) {
            match continued(raw, ended) {
                Some(part) => joined.extend_from_slice(part),
                None => {
                    joined.extend_from_slice(raw);
                    break;
                }
            }
        }
        let (kept, nul) = cut_nul(trim(&joined));
        Line { text: Cow::Owned(kept.to_vec()), number, nul }
    }
}

/// The line without its final backslash, if it goes on below. A backslash
/// counts whatever stands before it, but only before a real line end.
fn continued(raw: &[u8], ended: bool) -> Option<&[u8]> {
    match raw {
        [line @ .., b'\\', b'\r'] if ended => Some(line),
        [line @ .., b'\\'] if ended => Some(line),
        _ => None,
    }
}

fn cut_nul(text: &[u8]) -> (&[u8], bool) {
    match text.contains(&0) {
        true => (text.split(|&b| b == 0).next().map(trim).unwrap_or_default(), true),
        false => (text, false),
    }
}

/// isspace(3) in the C locale.
pub(super) fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t'..=b'\r')
}

/// Blanks taken off both ends.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

/// The first word of a line that begins with `<`: no quotes to look for.
pub(super) fn tag(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&b| is_space(b)).unwrap_or(text.len());
    text.split_at(end)
}

/// Takes the next word off the front: blanks end it, quotes of either kind
/// hold it together, a backslash quotes itself and the quote.
pub(super) fn word<'a>(rest: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let text = trim_start(rest);
    let first = *text.first()?;
    let (inner, after, quote) = if first == b'"' || first == b'\'' {
        let body = text.get(1..).unwrap_or_default();
        let mut end = 0;
        while let Some(&b) = body.get(end) {
            if b == first {
                break;
            }
            let escaped = b == b'\\' && body.get(end + 1).is_some_and(|&n| n == first || n == b'\\');
            end += if escaped { 2 } else { 1 };
        }
        let end = end.min(body.len());
        (body.get(..end).unwrap_or_default(), body.get(end + 1..).unwrap_or_default(), Some(first))
    } else {
        let end = text.iter().position(|&b| is_space(b)).unwrap_or(text.len());
        let (word, after) = text.split_at(end);
        (word, after, None)
    };
    *rest = trim_start(after);
    Some(unescape(inner, quote))
}

fn unescape(text: &[u8], quote: Option<u8>) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut it = text.iter().copied().peekable();
    while let Some(b) = it.next() {
        match it.peek() {
            Some(&n) if b == b'\\' && (n == b'\\' || Some(n) == quote) => {
                out.push(n);
                it.next();
            }
            _ => out.push(b),
        }
    }
    Cow::Owned(out)
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    text
}

/// The words of a directive's arguments.
pub(super) fn words<'a>(mut rest: &'a [u8]) -> impl Iterator<Item = Cow<'a, [u8]>> {
    std::iter::from_fn(move || word(&mut rest))
}

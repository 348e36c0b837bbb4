//! The fixed tail of a regular expression of host names.
//!
//! Not a regex engine: one pass over the pattern that keeps what is certain
//! (literal text, label boundaries) and calls all else `Any`. Whatever is not
//! understood makes the name unbounded, never a wrong apex. Linear in the
//! pattern, no recursion.

/// Longer patterns are not looked at.
const MAX_PATTERN: usize = 4096;

/// What a pattern matches, as far as that is certain.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Exactly this host.
    Host(String),
    /// This host, or hosts below it, or both.
    Below(String),
    /// No certain end.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    /// This character.
    Lit(char),
    /// A dot that may be missing.
    OptDot,
    /// After it a label begins: `^`, or a group whose every way ends in a
    /// dot. `optional`: it may match nothing at all.
    Edge { optional: bool },
    /// `$`.
    End,
    /// Anything.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Empty,
    Edge,
    Other,
}

struct Frame {
    /// Index in `items` where the group begins.
    start: usize,
    /// What the alternatives so far end in; `None`: no `|` yet.
    ways: Option<Vec<Way>>,
    /// A lookaround, comment or conditional: its text matches nothing itself.
    opaque: bool,
}

/// Reads a pattern without its `~`.
pub(super) fn fixed_tail(pattern: &str) -> Tail {
    if pattern.len() > MAX_PATTERN {
        return Tail::None;
    }
    match items(pattern) {
        Some(items) => tail_of(&items),
        None => Tail::None,
    }
}

fn tail_of(items: &[Item]) -> Tail {
    let Some((Item::End, mut rest)) = items.split_last().map(|(l, r)| (*l, r)) else { return Tail::None };
    // `\.?$` allows the final dot, which servers strip before they match.
    if let Some((Item::OptDot, r)) = rest.split_last().map(|(l, r)| (*l, r)) {
        rest = r;
    }
    let literal = rest.iter().rev().take_while(|i| matches!(i, Item::Lit(_))).count();
    let (before, text) = rest.split_at(rest.len() - literal);
    let text: String =
        text.iter().filter_map(|i| if let Item::Lit(c) = i { Some(*c) } else { None }).collect();
    if at_label_start(before) {
        let only_start = matches!(before, [Item::Edge { optional: false }]);
        match text.strip_prefix('.') {
            Some(_) => Tail::None,
            None if only_start => Tail::Host(text),
            None => Tail::Below(text),
        }
    } else {
        // The first label is a part of a longer one.
        text.split_once('.').map_or(Tail::None, |(_, t)| Tail::Below(t.to_owned()))
    }
}

/// Whether a label begins after these items, whatever they match.
fn at_label_start(items: &[Item]) -> bool {
    for i in items.iter().rev() {
        match i {
            Item::Edge { optional: false } | Item::Lit('.') => return true,
            Item::Edge { optional: true } | Item::OptDot => {}
            _ => return false,
        }
    }
    false
}

/// What one alternative of a group ends in.
fn way(items: &[Item]) -> Way {
    if at_label_start(items) {
        Way::Edge
    } else if items.iter().all(|i| matches!(i, Item::Edge { optional: true } | Item::OptDot)) {
        Way::Empty
    } else {
        Way::Other
    }
}

fn folded(ways: &[Way]) -> Item {
    if ways.contains(&Way::Other) { Item::Any } else { Item::Edge { optional: ways.contains(&Way::Empty) } }
}

/// `None`: an alternation at the top, or something that is not understood.
fn items(pattern: &str) -> Option<Vec<Item>> {
    let p: Vec<char> = pattern.chars().collect();
    let mut items: Vec<Item> = Vec::new();
    let mut frames: Vec<Frame> = Vec::new();
    let mut at = 0;
    while let Some(&c) = p.get(at) {
        at += 1;
        // The items that one token adds, so that a quantifier can fold them.
        let begin = match c {
            '(' => {
                let (next, frame) = open(&p, at, items.len())?;
                at = next;
                frames.extend(frame);
                continue;
            }
            '|' => {
                let f = frames.last_mut()?;
                let w = way(items.get(f.start..)?);
                f.ways.get_or_insert_with(Vec::new).push(w);
                items.truncate(f.start);
                continue;
            }
            ')' => {
                let f = frames.pop()?;
                if f.opaque {
                    items.truncate(f.start);
                    items.push(Item::Any);
                } else if let Some(mut ways) = f.ways {
                    ways.push(way(items.get(f.start..)?));
                    items.truncate(f.start);
                    items.push(folded(&ways));
                }
                f.start
            }
            _ => {
                let begin = items.len();
                let (item, next) = token(&p, at, c)?;
                at = next;
                items.push(item);
                begin
            }
        };
        if let Some((optional, next)) = quantifier(&p, at) {
            at = next;
            let group = items.get(begin..)?;
            let item = match (group, optional) {
                ([Item::Lit('.')], true) => Item::OptDot,
                (g, _) => match way(g) {
                    Way::Edge => Item::Edge { optional },
                    Way::Empty => Item::Edge { optional: true },
                    Way::Other => Item::Any,
                },
            };
            items.truncate(begin);
            items.push(item);
        }
    }
    frames.is_empty().then_some(items)
}

/// One token that is no group: its item, and where the next begins.
fn token(p: &[char], at: usize, c: char) -> Option<(Item, usize)> {
    Some(match c {
        '^' => (Item::Edge { optional: false }, at),
        '$' => (Item::End, at),
        '[' => class(p, at)?,
        '\\' => {
            let e = *p.get(at)?;
            let item = match e {
                'A' => Item::Edge { optional: false },
                'z' | 'Z' => Item::End,
                e if e.is_alphanumeric() => Item::Any,
                e => Item::Lit(e),
            };
            (item, at + 1)
        }
        c if c.is_alphanumeric() || c == '-' || c == '_' => (Item::Lit(lower(c)), at),
        _ => (Item::Any, at),
    })
}

/// Servers match without regard to case: a host is folded before.
fn lower(c: char) -> char {
    let mut l = c.to_lowercase();
    match (l.next(), l.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// After `(`: where the group's text begins, and its frame (`None` for what
/// is no group: a comment, flags for the rest). `None`: not understood.
fn open(p: &[char], at: usize, start: usize) -> Option<(usize, Option<Frame>)> {
    let plain = |at| Some((at, Some(Frame { start, ways: None, opaque: false })));
    let opaque = |at| Some((at, Some(Frame { start, ways: None, opaque: true })));
    let after = |c: char, from: usize| p.get(from..)?.iter().position(|x| *x == c).map(|n| from + n + 1);
    match (p.get(at), p.get(at + 1), p.get(at + 2)) {
        (Some('*'), ..) => Some((after(')', at)?, None)),
        (Some('?'), Some('#'), _) => Some((after(')', at)?, None)),
        (Some('?'), Some(':' | '>' | '|'), _) => plain(at + 2),
        (Some('?'), Some('=' | '!'), _) | (Some('?'), Some('<'), Some('=' | '!')) => opaque(at + 2),
        (Some('?'), Some('<'), _) | (Some('?'), Some('P'), Some('<')) => plain(after('>', at)?),
        (Some('?'), Some('\''), _) => plain(after('\'', at + 2)?),
        (Some('?'), ..) => {
            // Flags: `(?i)` for the rest, `(?i:` for the group. Only those
            // that leave the meaning of literal text alone.
            let mut i = at + 1;
            while matches!(p.get(i), Some('i' | 's' | 'm' | 'J' | 'U' | '-')) {
                i += 1;
            }
            match p.get(i) {
                Some(')') => Some((i + 1, None)),
                Some(':') => plain(i + 1),
                _ => None,
            }
        }
        _ => plain(at),
    }
}

/// After `[`: `[.]` and `[a]` are that character, all others anything.
fn class(p: &[char], mut at: usize) -> Option<(Item, usize)> {
    let negated = p.get(at) == Some(&'^');
    if negated {
        at += 1;
    }
    let begin = at;
    let mut only: Vec<char> = Vec::with_capacity(2);
    loop {
        let c = *p.get(at)?;
        match c {
            ']' if at > begin => break,
            '[' if p.get(at + 1) == Some(&':') => {
                let end = p.get(at + 2..)?.windows(2).position(|w| w == [':', ']'])?;
                at += end + 4;
                only.extend(['[', ':']);
                continue;
            }
            '\\' => {
                at += 1;
                let e = *p.get(at)?;
                only.push(e);
                if e.is_alphanumeric() {
                    only.push(e);
                }
            }
            c => only.push(c),
        }
        at += 1;
    }
    let item = match only.as_slice() {
        [c] if !negated && (*c == '.' || *c == '-' || *c == '_' || c.is_alphanumeric()) => {
            Item::Lit(lower(*c))
        }
        _ => Item::Any,
    };
    Some((item, at + 1))
}

/// Whether the quantifier allows none, and where the next token begins.
fn quantifier(p: &[char], at: usize) -> Option<(bool, usize)> {
    let (optional, mut next) = match p.get(at)? {
        '?' | '*' => (true, at + 1),
        '+' => (false, at + 1),
        '{' => {
            let len = p.get(at + 1..)?.iter().take(16).position(|c| *c == '}')?;
            let body = p.get(at + 1..at + 1 + len)?;
            if body.is_empty() || !body.iter().all(|c| c.is_ascii_digit() || *c == ',') {
                return None;
            }
            let none = body.iter().take_while(|c| **c != ',').all(|c| *c == '0');
            (none, at + len + 2)
        }
        _ => return None,
    };
    if matches!(p.get(next), Some('?' | '+')) {
        next += 1;
    }
    Some((optional, next))
}

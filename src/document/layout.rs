//! Widths and line breaks. Chinese text breaks anywhere but before closing and
//! after opening punctuation; what is whole is never broken, even where it is
//! wider than the room: it then stands on a line of its own.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Cell, Part};

/// Columns that a text takes on a terminal.
pub fn width(s: &str) -> usize {
    s.width()
}

/// Columns of the longest line when nothing is wrapped.
pub fn natural(cell: &Cell) -> usize {
    cell.lines.iter().map(|l| l.iter().map(|p| width(&p.text)).sum()).max().unwrap_or(0)
}

/// The longest part that cannot be broken.
pub fn least(cell: &Cell) -> usize {
    cell.lines.iter().flatten().filter(|p| p.whole).map(|p| width(&p.text)).max().unwrap_or(0)
}

struct Token {
    text: String,
    width: usize,
    /// A space stands before it, unless a line begins with it.
    space: bool,
    /// It may be broken where it is wider than a line.
    flows: bool,
}

const NOT_FIRST: &str = "，。；：！？、）」』】》…,.;:!?)]}%";
const NOT_LAST: &str = "（「『【《([{";

fn tokens(parts: &[Part]) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    let mut space = false;
    // Whether the next character may go on with the last token.
    let mut open = false;
    for part in parts {
        if part.whole {
            let glue = !space && out.last().is_some_and(|t| t.text.ends_with(|c| NOT_LAST.contains(c)));
            match out.last_mut() {
                Some(t) if glue => {
                    t.text.push_str(&part.text);
                    t.width += width(&part.text);
                    t.flows = false;
                }
                _ => out.push(Token {
                    text: part.text.clone(),
                    width: width(&part.text),
                    space: std::mem::take(&mut space),
                    flows: false,
                }),
            }
            open = false;
            continue;
        }
        for c in part.text.chars() {
            if c == ' ' {
                space = true;
                open = false;
                continue;
            }
            let w = c.width().unwrap_or(0);
            let wide = w > 1;
            let joins = !space
                && out.last().is_some_and(|t| {
                    NOT_FIRST.contains(c)
                        || w == 0
                        || t.text.ends_with(|l| NOT_LAST.contains(l))
                        || (open && !wide)
                });
            match out.last_mut() {
                Some(t) if joins => {
                    t.text.push(c);
                    t.width += w;
                }
                _ => out.push(Token {
                    text: c.to_string(),
                    width: w,
                    space: std::mem::take(&mut space),
                    flows: true,
                }),
            }
            open = !wide;
        }
    }
    out
}

/// Breaks one line of parts to a width.
pub fn wrap(parts: &[Part], room: usize) -> Vec<String> {
    let room = room.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for t in tokens(parts) {
        let gap = usize::from(t.space && used > 0);
        if used + gap + t.width <= room {
            if gap == 1 {
                line.push(' ');
            }
            line.push_str(&t.text);
            used += gap + t.width;
            continue;
        }
        if used > 0 {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if t.width <= room || !t.flows {
            line.push_str(&t.text);
            used = t.width;
            continue;
        }
        for c in t.text.chars() {
            let w = c.width().unwrap_or(0);
            if used + w > room {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += w;
        }
    }
    if used > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Breaks a cell to a width.
pub fn wrap_cell(cell: &Cell, room: usize) -> Vec<String> {
    cell.lines.iter().flat_map(|l| wrap(l, room)).collect()
}

/// The text, filled up with spaces.
pub fn pad(s: &str, to: usize) -> String {
    let mut out = s.to_owned();
    out.extend(std::iter::repeat_n(' ', to.saturating_sub(width(s))));
    out
}

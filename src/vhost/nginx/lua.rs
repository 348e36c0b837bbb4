//! Where a `*_by_lua_block` ends: at the brace that lua-nginx-module's own
//! lexer takes for the closing one. Strings end with their line, and a quote
//! without a partner on it is nothing special; comments and long brackets are
//! Lua's. (Each rule seen on the real module.)

use super::lexer::Cursor;

/// How a block ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LuaEnd {
    /// At its brace.
    Closed,
    /// At its brace, if a long bracket that is never closed is left out.
    OpenBracket,
    /// With the file.
    EndOfFile,
}

/// Moves past the block whose `{` has just been read.
pub(super) fn skip_block(bytes: &[u8], cur: &mut Cursor) -> LuaEnd {
    let mut depth = 1_u64;
    // Quotes known to have no partner on this line, so that a line of
    // nothing but quotes is still read in one go.
    let mut lonely: [usize; 2] = [0, 0];
    // After one long bracket without an end the rest is read as if there
    // were none: nginx refuses the block anyway.
    let mut brackets = true;
    let mut i = cur.pos;
    while let Some(&b) = bytes.get(i) {
        match b {
            b'\n' => cur.line += 1,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    cur.pos = i + 1;
                    return if brackets { LuaEnd::Closed } else { LuaEnd::OpenBracket };
                }
            }
            b'-' if bytes.get(i + 1) == Some(&b'-') => {
                if let Some(end) = long_bracket(bytes, i + 2, &mut brackets) {
                    cur.line += lines(bytes, i, end);
                    i = end;
                } else {
                    i = find(bytes, i, b'\n');
                }
                continue;
            }
            b'[' => {
                if let Some(end) = long_bracket(bytes, i, &mut brackets) {
                    cur.line += lines(bytes, i, end);
                    i = end;
                    continue;
                }
            }
            b'"' | b'\'' => {
                let memo = &mut lonely[usize::from(b == b'"')];
                if i >= *memo {
                    match string_end(bytes, i) {
                        Ok(end) => {
                            i = end;
                            continue;
                        }
                        Err(end) => *memo = end,
                    }
                }
            }
            _ => {}
        }
        i += 1;
    }
    cur.pos = bytes.len();
    LuaEnd::EndOfFile
}

/// The end of the string that starts at `i`, or where its line ends.
fn string_end(bytes: &[u8], i: usize) -> Result<usize, usize> {
    let quote = bytes.get(i).copied().unwrap_or_default();
    let mut j = i + 1;
    while let Some(&b) = bytes.get(j) {
        match b {
            b'\n' => return Err(j),
            b'\\' if bytes.get(j + 1) == Some(&b'\n') => return Err(j),
            b'\\' => j += 2,
            _ if b == quote => return Ok(j + 1),
            _ => j += 1,
        }
    }
    Err(bytes.len())
}

/// The end of the long bracket that starts at `i`, if one does.
fn long_bracket(bytes: &[u8], i: usize, enabled: &mut bool) -> Option<usize> {
    if !*enabled || bytes.get(i) != Some(&b'[') {
        return None;
    }
    let level = bytes.get(i + 1..)?.iter().take_while(|&&b| b == b'=').count();
    if bytes.get(i + 1 + level) != Some(&b'[') {
        return None;
    }
    let mut j = i + level + 2;
    while j < bytes.len() {
        j = find(bytes, j, b']') + 1;
        let same = bytes.get(j..).map_or(0, |rest| rest.iter().take_while(|&&b| b == b'=').count());
        if same == level && bytes.get(j + level) == Some(&b']') {
            return Some(j + level + 1);
        }
        j += same;
    }
    *enabled = false;
    None
}

fn find(bytes: &[u8], from: usize, what: u8) -> usize {
    bytes.get(from..).and_then(|rest| rest.iter().position(|&b| b == what)).map_or(bytes.len(), |n| from + n)
}

fn lines(bytes: &[u8], from: usize, to: usize) -> u32 {
    let n = bytes.get(from..to).unwrap_or_default().iter().filter(|&&b| b == b'\n').count();
    u32::try_from(n).unwrap_or(u32::MAX)
}

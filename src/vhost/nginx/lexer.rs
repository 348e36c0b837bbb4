//! nginx's own tokens (`ngx_conf_read_token`), over bytes and without copies.
//!
//! What nginx refuses becomes a [`Fault`], and reading goes on at the place
//! that loses least: what a customer's broken file still says is listed.

use std::borrow::Cow;

use crate::facts::ProblemKind;

/// A word of this many raw bytes fills nginx's buffer and is refused.
const WORD_LIMIT: usize = 4096;
/// Words kept of one statement: 16 MiB of memory, and far more names than
/// any real `server_name` has.
const WORDS_LIMIT: usize = 1 << 20;

/// A word: a range of the file's bytes, quotes left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    start: u32,
    end: u32,
    /// Line on which it starts.
    pub(super) line: u32,
    escaped: bool,
}

impl Word {
    /// Whether it ends at this offset.
    pub(super) fn touches(self, pos: usize) -> bool {
        self.end as usize == pos
    }

    /// The word as nginx keeps it.
    pub(super) fn text(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        let raw = bytes.get(self.start as usize..self.end as usize).unwrap_or_default();
        if self.escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }
    }
}

/// Only these six are rewritten; any other backslash stays.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut i = 0;
    while let Some(&b) = raw.get(i) {
        let special = match (b, raw.get(i + 1)) {
            (b'\\', Some(&q @ (b'"' | b'\'' | b'\\'))) => Some(q),
            (b'\\', Some(b't')) => Some(b'\t'),
            (b'\\', Some(b'r')) => Some(b'\r'),
            (b'\\', Some(b'n')) => Some(b'\n'),
            _ => None,
        };
        out.push(special.unwrap_or(b));
        i += if special.is_some() { 2 } else { 1 };
    }
    out
}

/// Text that nginx refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `;` or `{` without a word before it.
    NoWord,
    /// `}` after words.
    NoSemicolon,
    /// Something else than a space, `;` or `{` after a closing quote.
    AfterQuote,
    /// A word or comment of 4,096 bytes or more.
    TooLong,
    /// A quote that is not closed.
    OpenQuote,
    /// The file ends within a statement.
    EndOfFile,
    /// A NUL byte in a word.
    Nul,
    /// More words in one statement than are kept.
    TooManyWords,
}

impl Fault {
    /// The kind of problem that this is.
    pub(super) const fn kind(self) -> ProblemKind {
        match self {
            Fault::Nul => ProblemKind::NulByte,
            Fault::TooManyWords => ProblemKind::TooLarge,
            _ => ProblemKind::Syntax,
        }
    }

    /// A sentence that quotes nothing.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Fault::NoWord => "\";\" or \"{\" stands where a directive belongs",
            Fault::NoSemicolon => "a directive is not terminated by \";\" before \"}\"",
            Fault::AfterQuote => "after a closing quote must come a space, \";\" or \"{\"",
            Fault::TooLong => "a word or comment of 4,096 bytes or more",
            Fault::OpenQuote => "a quote is not closed",
            Fault::EndOfFile => "the file ends within a directive",
            Fault::Nul => "a NUL byte within a directive",
            Fault::TooManyWords => "a directive of more words than are kept; the rest of it is not read",
        }
    }
}

/// What ends a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `;`
    Semicolon,
    /// `{`
    Block,
}

/// One step of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// Words with their end; no words where only a stray `{` stood.
    Statement(End),
    /// `}`
    Close,
    /// The end of the file.
    Eof,
}

/// Where reading goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    /// Offset in the file.
    pub(super) pos: usize,
    /// 1-based line there.
    pub(super) line: u32,
}

/// The words of one statement, and what was wrong on the way to it. Reused
/// from statement to statement.
#[derive(Debug, Default)]
pub(super) struct Statement {
    /// The directive and its arguments.
    pub(super) words: Vec<Word>,
    /// What nginx would refuse, with its line; at most [`Statement::FAULTS`].
    pub(super) faults: Vec<(Fault, u32)>,
}

impl Statement {
    const FAULTS: usize = 8;

    fn fault(&mut self, fault: Fault, line: u32) {
        if self.faults.len() < Self::FAULTS {
            self.faults.push((fault, line));
        }
    }

    fn push(&mut self, word: Word, nul: bool) {
        if nul {
            self.fault(Fault::Nul, word.line);
        }
        if (word.end - word.start) as usize >= WORD_LIMIT {
            self.fault(Fault::TooLong, word.line);
        } else if self.words.len() < WORDS_LIMIT {
            self.words.push(word);
        } else {
            self.fault(Fault::TooManyWords, word.line);
        }
    }
}

/// Bytes that mean something within an unquoted word.
const IN_WORD: [bool; 256] = table(b" \t\r\n;{\\$\0");
/// Bytes that mean something within a quoted word.
const IN_QUOTES: [bool; 256] = table(b"\"'\n\\\0");

const fn table(set: &[u8]) -> [bool; 256] {
    let mut t = [false; 256];
    let mut i = 0;
    while i < set.len() {
        t[set[i] as usize] = true;
        i += 1;
    }
    t
}

/// Reads up to the next `;`, `{`, `}` or the end. `bytes` must be shorter
/// than 4 GiB (the caller refuses longer files).
pub(super) fn next(bytes: &[u8], cur: &mut Cursor, st: &mut Statement) -> Token {
    st.words.clear();
    st.faults.clear();
    loop {
        let Some(&b) = bytes.get(cur.pos) else {
            if st.words.is_empty() {
                return Token::Eof;
            }
            st.fault(Fault::EndOfFile, cur.line);
            // A word that touches the end may be half of one.
            if st.words.last().is_some_and(|w| w.touches(bytes.len())) {
                st.words.pop();
            }
            return if st.words.is_empty() { Token::Eof } else { Token::Statement(End::Semicolon) };
        };
        match b {
            b' ' | b'\t' | b'\r' => cur.pos += 1,
            b'\n' => {
                cur.pos += 1;
                cur.line += 1;
            }
            b'#' => {
                let rest = bytes.get(cur.pos..).unwrap_or_default();
                let len = rest.iter().position(|&c| c == b'\n').unwrap_or(rest.len());
                if len >= WORD_LIMIT {
                    st.fault(Fault::TooLong, cur.line);
                }
                cur.pos += len;
            }
            b';' | b'{' => {
                cur.pos += 1;
                if st.words.is_empty() {
                    st.fault(Fault::NoWord, cur.line);
                    if b == b';' {
                        continue;
                    }
                }
                return Token::Statement(if b == b';' { End::Semicolon } else { End::Block });
            }
            b'}' if st.words.is_empty() => {
                cur.pos += 1;
                return Token::Close;
            }
            b'}' => {
                st.fault(Fault::NoSemicolon, cur.line);
                return Token::Statement(End::Semicolon);
            }
            b'"' | b'\'' => {
                if !quoted(bytes, cur, st, b) && !st.words.is_empty() {
                    return Token::Statement(End::Semicolon);
                }
            }
            _ => plain(bytes, cur, st),
        }
    }
}

fn plain(bytes: &[u8], cur: &mut Cursor, st: &mut Statement) {
    let (start, line) = (cur.pos, cur.line);
    let (mut i, mut variable, mut escaped, mut nul) = (start, false, false, false);
    while let Some(&b) = bytes.get(i) {
        if !IN_WORD[b as usize] {
            variable = false;
            i += 1;
            continue;
        }
        match b {
            // `${name}`: the brace opens no block.
            b'{' if variable => {}
            b'$' => variable = true,
            b'\\' => {
                variable = false;
                escaped = true;
                i += 1;
                cur.line += u32::from(bytes.get(i) == Some(&b'\n'));
            }
            0 => {
                variable = false;
                nul = true;
            }
            _ => break,
        }
        i += 1;
    }
    let end = i.min(bytes.len());
    cur.pos = end;
    st.push(Word { start: start as u32, end: end as u32, line, escaped }, nul);
}

/// Reads a quoted word; `false` when its statement is given up.
fn quoted(bytes: &[u8], cur: &mut Cursor, st: &mut Statement, quote: u8) -> bool {
    let (start, line) = (cur.pos + 1, cur.line);
    let (mut i, mut escaped, mut nul) = (start, false, false);
    let mut newline = None;
    let mut closed = false;
    while let Some(&b) = bytes.get(i) {
        if !IN_QUOTES[b as usize] {
            i += 1;
            continue;
        }
        match b {
            b'\n' => {
                newline = newline.or(Some(i));
                cur.line += 1;
            }
            b'\\' => {
                escaped = true;
                i += 1;
                if bytes.get(i) == Some(&b'\n') {
                    newline = newline.or(Some(i));
                    cur.line += 1;
                }
            }
            0 => nul = true,
            _ if b == quote => {
                closed = true;
                break;
            }
            _ => {}
        }
        i += 1;
    }
    let end = i.min(bytes.len());
    let fits = matches!(bytes.get(end + 1), None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')'));
    if !closed || !fits {
        st.fault(if closed { Fault::AfterQuote } else { Fault::OpenQuote }, line);
        if let Some(nl) = newline {
            // Most likely this quote is the one too many: its statement ends
            // with its line, and the next line is read afresh. The text up to
            // the next quote is read at most once more per kind of quote, so
            // this stays linear.
            cur.pos = nl;
            cur.line = line;
            return false;
        }
        if !closed {
            cur.pos = end;
            return true;
        }
    }
    cur.pos = end + 1;
    st.push(Word { start: start as u32, end: end as u32, line, escaped }, nul);
    true
}

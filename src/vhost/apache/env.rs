//! What is set before the configuration is read: start options, the variables
//! of `envvars` and of `/etc/sysconfig/httpd`. Both files are read as plain
//! assignments; nothing in them is ever run.

use std::collections::HashMap;

use super::line::{trim, words};

/// Variables by name.
pub(super) type Vars = HashMap<Vec<u8>, Vec<u8>>;

/// A value grows no longer, however often the variables name each other.
const MAX_VALUE: usize = 16 << 10;

/// Start options that change what is served.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// `-D NAME`.
    pub defines: Vec<Vec<u8>>,
    /// `-d FOLDER`.
    pub server_root: Option<Vec<u8>>,
    /// `-C DIRECTIVE`, before the main file.
    pub before: Vec<u8>,
    /// `-c DIRECTIVE`, after it.
    pub after: Vec<u8>,
}

impl Options {
    /// Reads a command line. `-D NAME=VALUE` defines `NAME=VALUE`: Apache
    /// knows no values there.
    pub fn parse(args: &str) -> Options {
        let mut out = Options::default();
        let mut it = words(args.as_bytes());
        while let Some(word) = it.next() {
            let (flag, value) = match word.split_at_checked(2) {
                Some((f, v)) => (f, v.to_vec()),
                None => continue,
            };
            if !matches!(flag, b"-D" | b"-d" | b"-C" | b"-c" | b"-f" | b"-E" | b"-e" | b"-k") {
                continue;
            }
            let value = match value.is_empty() {
                true => it.next().map(|w| w.into_owned()).unwrap_or_default(),
                false => value,
            };
            match flag {
                b"-D" => out.defines.push(value),
                b"-d" => out.server_root = Some(value),
                b"-C" => push_line(&mut out.before, &value),
                b"-c" => push_line(&mut out.after, &value),
                _ => {}
            }
        }
        out
    }
}

fn push_line(to: &mut Vec<u8>, line: &[u8]) {
    to.extend_from_slice(line);
    to.push(b'\n');
}

/// Debian's `envvars`: assignments with or without `export`, quotes, variables
/// set above; `unset`; `if … then … else … fi` around them. A condition is
/// never evaluated: the last branch (`else`) is the one without special
/// circumstances and counts, as in Debian's SUFFIX. What would run a command
/// leaves its variable unset.
pub(super) fn envvars(text: &[u8]) -> Vars {
    let mut vars = Vars::new();
    // For each open `if`: whether its `else` has been reached.
    let mut branches: Vec<bool> = Vec::new();
    for line in text.split(|&b| b == b'\n') {
        let line = trim(line);
        let mut rest = line;
        let first = super::line::word(&mut rest);
        match first.as_deref() {
            None => continue,
            Some(b"if" | b"case" | b"for" | b"while" | b"until") => {
                if !closes_itself(line) && branches.len() < 1024 {
                    branches.push(false);
                }
                continue;
            }
            Some(b"fi" | b"fi;" | b"esac" | b"done") => {
                branches.pop();
                continue;
            }
            Some(b"else") => {
                if let Some(b) = branches.last_mut() {
                    *b = true;
                }
                if rest.is_empty() {
                    continue;
                }
            }
            Some(b"then" | b"do" | b"elif" | b"test" | b"[") => continue,
            Some(w) if w.starts_with(b"#") => continue,
            _ => {}
        }
        if branches.iter().any(|reached| !reached) {
            continue;
        }
        let line = if first.as_deref() == Some(b"else") { rest } else { line };
        assignment(line, &mut vars);
    }
    vars
}

fn closes_itself(line: &[u8]) -> bool {
    line.split(|&b| b == b';' || super::line::is_space(b)).any(|w| matches!(w, b"fi" | b"done" | b"esac"))
}

fn assignment(line: &[u8], vars: &mut Vars) {
    let mut line = line;
    if let Some(rest) = line.strip_prefix(b"unset ") {
        for name in rest.split(|&b| super::line::is_space(b)) {
            vars.remove(name);
        }
        return;
    }
    if let Some(rest) = line.strip_prefix(b"export ") {
        line = trim(rest);
    }
    // `: ${A:=b}` and the like are not plain.
    while let Some(eq) = line.iter().position(|&b| b == b'=') {
        let (name, value) = line.split_at(eq);
        let (name, appends) = match name.strip_suffix(b"+") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let name_ok = !name.is_empty()
            && name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.first().is_some_and(u8::is_ascii_digit);
        if !name_ok {
            return;
        }
        let (value, rest) = shell_value(value.get(1..).unwrap_or_default(), vars);
        match value {
            Some(v) if appends => {
                let old = vars.entry(name.to_vec()).or_default();
                if old.len() + v.len() <= MAX_VALUE {
                    old.extend_from_slice(&v);
                }
            }
            Some(v) => {
                vars.insert(name.to_vec(), v);
            }
            None => {
                vars.remove(name);
                return;
            }
        }
        line = trim(rest);
        if line.first() == Some(&b';') {
            line = trim(line.get(1..).unwrap_or_default());
            line = line.strip_prefix(b"export ").map_or(line, trim);
        }
    }
}

/// A shell word as the value of an assignment, and what follows it; `None`
/// where a command or an expansion would have to be evaluated.
fn shell_value<'a>(text: &'a [u8], vars: &Vars) -> (Option<Vec<u8>>, &'a [u8]) {
    let mut out = Vec::new();
    let mut quote = None;
    let mut i = 0;
    while let Some(&b) = text.get(i) {
        match (b, quote) {
            (b'\'', None) | (b'"', None) => quote = Some(b),
            (q, Some(open)) if q == open => quote = None,
            (_, Some(b'\'')) => out.push(b),
            (b'`', _) => return (None, &[]),
            (b'\\', _) => {
                i += 1;
                out.extend(text.get(i));
            }
            (b'$', _) => match variable(text.get(i + 1..).unwrap_or_default()) {
                Some((name, len)) => {
                    out.extend_from_slice(vars.get(name).map(Vec::as_slice).unwrap_or_default());
                    i += len;
                }
                None => return (None, &[]),
            },
            (b';' | b'#' | b'&' | b'|', None) if b != b'#' || out.is_empty() => break,
            (b, None) if super::line::is_space(b) => break,
            _ => out.push(b),
        }
        if out.len() > MAX_VALUE {
            return (None, &[]);
        }
        i += 1;
    }
    (Some(out), text.get(i..).unwrap_or_default())
}

/// `NAME` or `{NAME}` behind a dollar sign; `None` for anything else (`$(`,
/// `${A##b}`, `$1`).
fn variable(text: &[u8]) -> Option<(&[u8], usize)> {
    let braced = text.first() == Some(&b'{');
    let body = if braced { text.get(1..)? } else { text };
    let len = body.iter().position(|&b| !(b.is_ascii_alphanumeric() || b == b'_')).unwrap_or(body.len());
    let name = body.get(..len).filter(|n| !n.is_empty())?;
    if braced { (body.get(len) == Some(&b'}')).then_some((name, len + 2)) } else { Some((name, len)) }
}

/// systemd's EnvironmentFile (`/etc/sysconfig/httpd`): `NAME=VALUE`, quotes
/// taken off, nothing expanded.
pub(super) fn environment_file(text: &[u8]) -> Vars {
    let mut vars = Vars::new();
    for line in text.split(|&b| b == b'\n') {
        let line = trim(line);
        if matches!(line.first(), None | Some(b'#' | b';')) {
            continue;
        }
        if let Some(eq) = line.iter().position(|&b| b == b'=') {
            let (name, value) = line.split_at(eq);
            let mut value = trim(value.get(1..).unwrap_or_default());
            if let [q @ (b'"' | b'\''), inner @ .., end] = value
                && q == end
            {
                value = inner;
            }
            vars.insert(trim(name).to_vec(), value.to_vec());
        }
    }
    vars
}

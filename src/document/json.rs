//! JSON for machines: the facts as they are, streamed.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::facts::{Problem, Site};
use crate::telemetry::is_deceptive;

/// Writes a value and a line break. Characters that a terminal would obey are
/// written as `\u…` escapes, which every reader turns back.
pub fn write_json<T: Serialize + ?Sized>(out: &mut dyn Write, value: &T) -> io::Result<()> {
    // A buffer of a known type: a string is many small writes, and each would
    // be a virtual call.
    let mut out = BufWriter::with_capacity(1 << 16, out);
    let mut ser = Serializer::with_formatter(&mut out, Plain { depth: 0, filled: false });
    value.serialize(&mut ser).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// A long list is written by two threads from this length on.
const LONG: usize = 2_000;

/// `sites`: as [`write_json`] writes it, the second half of a long list by a
/// thread of its own.
pub fn write_sites_json(
    out: &mut dyn Write,
    schema: &str,
    sites: &[Site],
    problems: &[Problem],
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Sites<'a> {
        schema: &'a str,
        sites: &'a [Site],
        problems: &'a [Problem],
    }
    if sites.len() < LONG {
        return write_json(out, &Sites { schema, sites, problems });
    }
    let (first, second) = sites.split_at(sites.len() / 2);
    std::thread::scope(|scope| {
        // Where no thread can be had, this one does it all.
        let second_half = std::thread::Builder::new().spawn_scoped(scope, || items(second));
        write!(out, "{{\n \"schema\": {},\n \"sites\": [", serde_json::to_string(schema)?)?;
        out.write_all(&items(first)?)?;
        out.write_all(b",")?;
        let second = match second_half {
            Ok(thread) => thread.join().unwrap_or_else(|_| items(second))?,
            Err(_) => items(second)?,
        };
        out.write_all(&second)?;
        out.write_all(b"\n ],\n \"problems\": ")?;
        let mut ser = Serializer::with_formatter(&mut *out, Plain { depth: 1, filled: false });
        problems.serialize(&mut ser).map_err(io::Error::from)?;
        out.write_all(b"\n}\n")
    })
}

/// The items of a list on the second level, without its brackets.
fn items<T: Serialize>(list: &[T]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(list.len() * 480);
    let mut ser = Serializer::with_formatter(&mut out, Plain { depth: 1, filled: false });
    list.serialize(&mut ser).map_err(io::Error::from)?;
    // `[` and what closes it, a line of its own where the list is not empty.
    out.truncate(out.len().saturating_sub(if list.is_empty() { 1 } else { 3 }));
    if !out.is_empty() {
        out.remove(0);
    }
    Ok(out)
}

/// The outer two levels are indented, and what lies deeper is one line each: a
/// site, a row or a problem is a line that `grep` finds, and a report of 10,000
/// of them is not mostly blanks.
struct Plain {
    depth: usize,
    /// The innermost open list or object has something in it.
    filled: bool,
}

impl Plain {
    const INDENTED: usize = 2;

    fn open<W: ?Sized + Write>(&mut self, w: &mut W, bracket: u8) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        w.write_all(&[bracket])
    }

    fn close<W: ?Sized + Write>(&mut self, w: &mut W, bracket: u8) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if self.filled && self.depth < Plain::INDENTED {
            self.line(w)?;
        }
        self.filled = true;
        w.write_all(&[bracket])
    }

    fn item<W: ?Sized + Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        if !first {
            w.write_all(b",")?;
        }
        self.filled = true;
        if self.depth <= Plain::INDENTED { self.line(w) } else { Ok(()) }
    }

    fn line<W: ?Sized + Write>(&self, w: &mut W) -> io::Result<()> {
        const BREAK: &[u8] = b"\n  ";
        w.write_all(BREAK.get(..=self.depth).unwrap_or(BREAK))
    }
}

impl Formatter for Plain {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, w: &mut W, s: &str) -> io::Result<()> {
        // Nearly every string; control characters are escaped before this.
        if s.is_ascii() && !s.contains('\x7f') {
            return w.write_all(s.as_bytes());
        }
        let mut rest = s;
        while let Some((i, c)) = rest.char_indices().find(|&(_, c)| is_deceptive(c)) {
            let (before, from) = rest.split_at(i);
            w.write_all(before.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(w, "\\u{unit:04x}")?;
            }
            rest = from.get(c.len_utf8()..).unwrap_or_default();
        }
        w.write_all(rest.as_bytes())
    }
    fn begin_array<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.open(w, b'[')
    }
    fn end_array<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.close(w, b']')
    }
    fn begin_array_value<W: ?Sized + Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.item(w, first)
    }
    fn begin_object<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.open(w, b'{')
    }
    fn end_object<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.close(w, b'}')
    }
    fn begin_object_key<W: ?Sized + Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.item(w, first)
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(if self.depth <= Plain::INDENTED { b": " } else { b":" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{ProblemKind, Server};

    #[test]
    fn two_threads_write_what_one_writes() {
        #[derive(Serialize)]
        struct Sites<'a> {
            schema: &'a str,
            sites: &'a [Site],
            problems: &'a [Problem],
        }
        let sites: Vec<Site> =
            (0..LONG as u32 + 7).map(|i| Site::new(Server::Nginx, format!("/etc/\u{202e}{i}"), i)).collect();
        let problem = Problem::at("/x", None, ProblemKind::Syntax, "a \"b\"");
        for problems in [&[][..], &[problem.clone(), problem.clone()]] {
            for n in [0, 1, LONG - 1, LONG, LONG + 1, sites.len()] {
                let sites = &sites[..n];
                let (mut one, mut two) = (Vec::new(), Vec::new());
                write_json(&mut one, &Sites { schema: "s", sites, problems }).unwrap();
                write_sites_json(&mut two, "s", sites, problems).unwrap();
                assert!(one == two, "{n} sites");
            }
        }
    }
}

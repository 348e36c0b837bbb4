//! JSON for machines: the facts as they are, streamed.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

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

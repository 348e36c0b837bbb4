//! CSV for spreadsheets: RFC 4180, English headers, UTF-8 with a byte-order
//! mark (without it Excel reads Chinese text as GBK), and no cell that a
//! spreadsheet takes for a formula.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{Column, visible};

/// Writes all columns, hidden ones too.
pub fn write_csv<'a, T: 'a>(
    out: &mut dyn Write,
    columns: &[Column<T>],
    rows: impl IntoIterator<Item = &'a T>,
) -> io::Result<()> {
    out.write_all("\u{feff}".as_bytes())?;
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    csv.write_record(columns.iter().map(|c| c.key)).map_err(into_io)?;
    for row in rows {
        for c in columns {
            csv.write_field(harmless(&visible(&(c.value)(row))).as_ref()).map_err(into_io)?;
        }
        csv.write_record(None::<&[u8]>).map_err(into_io)?;
    }
    csv.flush()
}

/// The crate's own conversion would hide a broken pipe.
fn into_io(e: csv::Error) -> io::Error {
    match e.into_kind() {
        csv::ErrorKind::Io(e) => e,
        _ => io::Error::other("a row does not fit its header"),
    }
}

/// Puts an apostrophe before what a spreadsheet would calculate, spaces in
/// front of it or not.
pub(super) fn harmless(cell: &str) -> Cow<'_, str> {
    let first = cell.trim_start().chars().next();
    let raw = cell.chars().next();
    if first.is_some_and(|c| "=+-@＝＋－＠−﹢﹣﹦﹫".contains(c))
        || raw.is_some_and(|c| matches!(c, '\t' | '\r' | '\n'))
    {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

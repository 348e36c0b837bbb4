//! Reading a provider's file: CSV, JSON or XLSX, told by its content.

use std::io::{Cursor, Read as _};
use std::path::Path;

use calamine::{DataRef, Reader as _, Xlsx};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::facts::Why;
use crate::filing::registry::Fault;
use crate::filing::text::decode;

use super::rows::{Cells, Column, Table};
use super::unusable;

/// Bytes of one file.
const FILE_MOST: u64 = 256 << 20;
/// Cells of one row.
const COLUMNS_MOST: usize = 1024;

/// Reads a file into a table.
pub(super) fn load(path: &Path) -> Result<Table, Fault> {
    let bytes = read(path)?;
    if bytes.starts_with(b"PK\x03\x04") {
        return xlsx(bytes);
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => decode(e.as_bytes())
            .ok_or_else(|| unusable("the provider's file is neither UTF-8 nor GB18030 text, nor XLSX"))?,
    };
    let text = text.trim_start_matches('\u{feff}');
    match text.trim_start().chars().next() {
        Some('[' | '{') => json(text),
        _ => csv(text),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let gone = |_| Fault::operator(Why::Configuration, "the provider's file cannot be read");
    // A FIFO would block for ever when opened.
    let meta = std::fs::metadata(path).map_err(gone)?;
    if !meta.is_file() {
        return Err(Fault::operator(Why::Configuration, "the provider's file is not a regular file"));
    }
    let mut bytes = Vec::with_capacity(meta.len().min(FILE_MOST) as usize + 1);
    std::fs::File::open(path).map_err(gone)?.take(FILE_MOST + 1).read_to_end(&mut bytes).map_err(gone)?;
    if bytes.len() as u64 > FILE_MOST {
        return Err(Fault::operator(Why::TooLarge, "the provider's file is larger than 256 MiB"));
    }
    Ok(bytes)
}

/// Which cell of a row belongs to which column. Without a domain and an
/// access state no row can be used.
fn columns<'a>(header: impl Iterator<Item = &'a str>) -> Result<Vec<Option<Column>>, Fault> {
    let columns: Vec<Option<Column>> = header.take(COLUMNS_MOST).map(Column::of).collect();
    for (needed, message) in [
        (Column::Domain, "the provider's file has no header row with a column domain (域名)"),
        (Column::AccessState, "the provider's file has no column access_state (接入状态)"),
    ] {
        if !columns.contains(&Some(needed)) {
            return Err(unusable(message));
        }
    }
    Ok(columns)
}

fn cells<'a>(columns: &[Option<Column>], row: impl Iterator<Item = &'a str>) -> Cells {
    let mut out = Cells::default();
    for (column, text) in columns.iter().zip(row) {
        if let Some(column) = column {
            out.set(*column, text);
        }
    }
    out
}

fn csv(text: &str) -> Result<Table, Fault> {
    // An odd number of quotes is a field that never ends: it would swallow
    // rows, and their absence would count against their owners.
    if text.bytes().filter(|b| *b == b'"').count() % 2 == 1 {
        return Err(unusable("the provider's file has a quotation that does not end"));
    }
    let first = text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
    let count = |d: char| first.chars().filter(|c| *c == d).count();
    let delimiter = [',', '\t', ';'].into_iter().rev().max_by_key(|d| count(*d)).unwrap_or(',');
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter as u8)
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    let broken = |_| unusable("the provider's file is not well-formed CSV");
    let blank = |r: &csv::StringRecord| r.iter().all(|c| c.trim().is_empty());
    let mut header = None;
    let mut table = Table::default();
    while reader.read_record(&mut record).map_err(broken)? {
        match &header {
            None if blank(&record) => {}
            None => header = Some(columns(record.iter())?),
            Some(columns) => table.add(&cells(columns, record.iter()))?,
        }
    }
    table.finish()
}

fn xlsx(bytes: Vec<u8>) -> Result<Table, Fault> {
    let broken = |_| unusable("the provider's file is not a readable XLSX workbook");
    let mut book = Xlsx::new(Cursor::new(bytes)).map_err(broken)?;
    let Some(sheet) = book.sheet_names().first().cloned() else {
        return Err(unusable("the provider's workbook has no sheet"));
    };
    // Cell by cell: a sheet with one cell at its far corner must not be laid
    // out in memory.
    let mut reader = book.worksheet_cells_reader(&sheet).map_err(broken)?;
    let mut header = None;
    let mut table = Table::default();
    let mut row: Vec<String> = Vec::new();
    let mut number = None;
    loop {
        let cell = reader.next_cell().map_err(broken)?;
        let at = cell.as_ref().map(|c| c.get_position().0);
        if at != number || cell.is_none() {
            if row.iter().any(|c| !c.trim().is_empty()) {
                match &header {
                    None => header = Some(columns(row.iter().map(String::as_str))?),
                    Some(columns) => table.add(&cells(columns, row.iter().map(String::as_str)))?,
                }
            }
            row.clear();
            number = at;
        }
        let Some(cell) = cell else { break };
        let column = cell.get_position().1 as usize;
        if column < COLUMNS_MOST {
            row.resize(row.len().max(column + 1), String::new());
            if let Some(slot) = row.get_mut(column) {
                *slot = text_of(cell.get_value());
            }
        }
    }
    table.finish()
}

/// A cell as text; a date as `YYYY-MM-DD`.
fn text_of(value: &DataRef<'_>) -> String {
    match value {
        DataRef::String(s) | DataRef::DateTimeIso(s) | DataRef::DurationIso(s) => s.clone(),
        DataRef::SharedString(s) => (*s).to_owned(),
        DataRef::Int(n) => n.to_string(),
        DataRef::Float(n) => n.to_string(),
        DataRef::Bool(b) => b.to_string(),
        DataRef::DateTime(d) => {
            let (y, m, d, ..) = d.to_ymd_hms_milli();
            format!("{y:04}-{m:02}-{d:02}")
        }
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

fn json(text: &str) -> Result<Table, Fault> {
    let mut table = Table::default();
    let mut full = None;
    let mut de = serde_json::Deserializer::from_str(text);
    let parsed = Rows { table: &mut table, full: &mut full }.deserialize(&mut de).and_then(|()| de.end());
    if let Some(fault) = full {
        return Err(fault);
    }
    parsed.map_err(|_| unusable("the provider's file is not a JSON array of objects"))?;
    table.finish()
}

/// An array of row objects, or an object that holds one under a usual name.
/// Rows are taken in one by one, so that the file is not held twice. Nesting
/// is bounded by the parser.
struct Rows<'a> {
    table: &'a mut Table,
    full: &'a mut Option<Fault>,
}

impl<'de> DeserializeSeed<'de> for Rows<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(object) = seq.next_element::<serde_json::Map<String, Value>>()? {
            let mut cells = Cells::default();
            for (key, value) in &object {
                if let Some(column) = Column::of(key) {
                    cells.set(column, &plain(value));
                }
            }
            if let Err(fault) = self.table.add(&cells) {
                *self.full = Some(fault);
                return Err(serde::de::Error::custom("too many rows"));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if !found && matches!(key.as_str(), "filings" | "data" | "rows" | "list" | "items") {
                found = true;
                map.next_value_seed(Rows { table: &mut *self.table, full: &mut *self.full })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if found { Ok(()) } else { Err(serde::de::Error::custom("no rows")) }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Number(n) => n.to_string(),
        _ => String::new(),
    }
}

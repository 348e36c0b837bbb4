//! What people and machines read: one description of each table, rendered for
//! a terminal, as CSV and (as the facts themselves) as JSON.
//!
//! Everything that comes from files, DNS or registries passes through
//! [`visible`] on its way to a terminal or a spreadsheet.

mod advice;
mod csv;
mod explain;
mod json;
mod layout;
mod names;
mod panel;
mod report;
mod sites;
mod status;
mod terminal;
mod words;

use crate::config::Lang;

pub use self::csv::write_csv;
pub use self::explain::explain;
pub use self::json::{write_json, write_sites_json};
pub use self::names::columns as name_columns;
pub use self::report::{audit, in_reading_order};
pub use self::sites::{columns as site_columns, sites};
pub use self::status::{history, not_running, status};
pub use self::terminal::{Look, write_terminal};
pub use self::words::{dns_why, local_time, why as why_words};
pub use crate::telemetry::visible;

/// Where the settings of a pass came from, for sentences that name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// The language of the reader.
    pub lang: Lang,
    /// The settings file that was read, or would be.
    pub settings: String,
    /// How many registries were asked.
    pub registries: usize,
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Printable text: control and direction characters are spelled out.
    pub text: String,
    /// A name, path, number or command that is never cut in the middle.
    pub whole: bool,
}

/// How a cell or line is coloured. Colour never says what words do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Breaks the rule.
    Bad,
    /// Not certain.
    Doubt,
    /// In order.
    Good,
    /// Beside the point.
    Dim,
}

/// One cell: lines of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Parts stand beside each other as they are: spaces belong to the texts.
    pub lines: Vec<Vec<Part>>,
    /// Its colour.
    pub tone: Tone,
}

impl Cell {
    /// A cell of one flowing text, in which `` `…` `` marks what is whole.
    pub fn text(s: &str) -> Cell {
        Cell { lines: vec![rich(s)], tone: Tone::Plain }
    }

    /// A cell that is never cut.
    pub fn whole(s: &str) -> Cell {
        Cell { lines: vec![vec![whole(s)]], tone: Tone::Plain }
    }

    /// One whole text a line.
    pub fn stack<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> Cell {
        Cell { lines: lines.into_iter().map(|l| vec![whole(l.as_ref())]).collect(), tone: Tone::Plain }
    }

    /// The same in another colour.
    pub fn toned(mut self, tone: Tone) -> Cell {
        self.tone = tone;
        self
    }

    /// Whether there is nothing to see.
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|l| l.iter().all(|p| p.text.is_empty()))
    }
}

/// A part that is never cut.
pub fn whole(s: &str) -> Part {
    Part { text: visible(s).into_owned(), whole: true }
}

/// A part that may flow.
pub fn flow(s: &str) -> Part {
    Part { text: visible(s).into_owned(), whole: false }
}

/// Parts of a text of ours in which `` `…` `` marks what is whole. Foreign
/// text goes through [`whole`] or [`flow`], not through here.
pub fn rich(s: &str) -> Vec<Part> {
    s.split('`')
        .enumerate()
        .filter(|(_, t)| !t.is_empty())
        .map(|(i, t)| if i % 2 == 1 { whole(t) } else { flow(t) })
        .collect()
}

/// How a column behaves when room is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Stands in CSV only.
    Hidden,
    /// Wraps.
    Flow,
    /// Moves to a line of its own below the row.
    OwnLine,
}

/// One column of a table of `T`, for every output.
pub struct Column<T: ?Sized> {
    /// English header in CSV.
    pub key: &'static str,
    /// Header on a terminal, Chinese and English.
    pub title: (&'static str, &'static str),
    /// When room is short.
    pub fit: Fit,
    /// The value for machines.
    pub value: fn(&T) -> String,
    /// What a person reads.
    pub cell: fn(&T, Lang) -> Cell,
}

impl<T: ?Sized> Column<T> {
    /// A column for machines only.
    pub fn hidden(key: &'static str, value: fn(&T) -> String) -> Column<T> {
        Column {
            key,
            title: ("", ""),
            fit: Fit::Hidden,
            value,
            cell: |_, _| Cell { lines: Vec::new(), tone: Tone::Plain },
        }
    }
}

/// A table that is ready to be laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Header and behaviour of each column.
    pub columns: Vec<(&'static str, Fit)>,
    /// As many cells a row as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

impl Grid {
    /// The terminal's columns of a table.
    pub fn of<'a, T: 'a>(columns: &[Column<T>], rows: impl IntoIterator<Item = &'a T>, lang: Lang) -> Grid {
        let shown: Vec<&Column<T>> = columns.iter().filter(|c| c.fit != Fit::Hidden).collect();
        Grid {
            columns: shown.iter().map(|c| (lang.pick(c.title.0, c.title.1), c.fit)).collect(),
            rows: rows.into_iter().map(|r| shown.iter().map(|c| (c.cell)(r, lang)).collect()).collect(),
        }
    }
}

/// One block of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A headline.
    Heading(String),
    /// A flowing paragraph.
    Text(Cell),
    /// A point of a list.
    Item(Cell),
    /// `label: value` pairs.
    Pairs(Vec<(&'static str, Cell)>),
    /// A table.
    Table(Grid),
    /// Lines to copy as they are.
    Code(Vec<String>),
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

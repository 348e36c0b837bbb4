//! A document on a terminal. A table stands in columns where it fits; short of
//! room its long columns move to lines of their own below each row; narrower
//! still, each row becomes a list.

use std::io::{self, Write};

use super::layout::{least, natural, pad, width, wrap, wrap_cell};
use super::{Block, Cell, Fit, Grid, Tone};

/// How the terminal is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns.
    pub width: usize,
    /// Whether colour is wanted.
    pub color: bool,
}

/// Between two columns.
const GAP: usize = 2;
/// Below this no column is wrapped.
const LEAST_FLOW: usize = 8;

/// Writes a document.
pub fn write_terminal(out: &mut dyn Write, blocks: &[Block], look: Look) -> io::Result<()> {
    let mut pen = Pen { out, look };
    let mut above: Option<&Block> = None;
    for block in blocks {
        // An empty line stands before headlines and before anything but
        // another point of the same list.
        let tight = matches!(
            (above, block),
            (None, _) | (Some(Block::Item(_)), Block::Item(_)) | (Some(Block::Heading(_)), _)
        );
        if !tight {
            pen.line("", Tone::Plain)?;
        }
        match block {
            Block::Heading(s) => pen.heading(s)?,
            Block::Text(c) => pen.indented("", "", c)?,
            Block::Item(c) => pen.indented("  * ", "    ", c)?,
            Block::Pairs(pairs) => pen.pairs(pairs)?,
            Block::Table(g) => pen.table(g)?,
            Block::Code(lines) => {
                for l in lines {
                    pen.line(&format!("    {l}"), Tone::Plain)?;
                }
            }
        }
        above = Some(block);
    }
    Ok(())
}

struct Pen<'a> {
    out: &'a mut dyn Write,
    look: Look,
}

impl Pen<'_> {
    fn line(&mut self, s: &str, tone: Tone) -> io::Result<()> {
        let s = s.trim_end();
        writeln!(self.out, "{}", self.painted(s, tone))
    }

    fn painted(&self, s: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Bad => "1;31",
            Tone::Doubt => "33",
            Tone::Good => "32",
            Tone::Dim => "2",
            Tone::Plain => "",
        };
        if !self.look.color || code.is_empty() || s.is_empty() {
            return s.to_owned();
        }
        format!("\x1b[{code}m{s}\x1b[0m")
    }

    fn heading(&mut self, s: &str) -> io::Result<()> {
        for l in wrap(&super::rich(s), self.look.width) {
            if self.look.color {
                writeln!(self.out, "\x1b[1m{l}\x1b[0m")?;
            } else {
                writeln!(self.out, "{l}")?;
            }
        }
        if !self.look.color {
            // Without bold type a rule sets it off.
            writeln!(self.out, "{}", "=".repeat(width(s).min(self.look.width)))?;
        }
        Ok(())
    }

    /// A cell between a first and a further indent.
    fn indented(&mut self, first: &str, further: &str, cell: &Cell) -> io::Result<()> {
        let room = self.look.width.saturating_sub(width(further));
        for (i, l) in wrap_cell(cell, room).iter().enumerate() {
            let lead = if i == 0 { first } else { further };
            let l = self.painted(l, cell.tone);
            writeln!(self.out, "{lead}{l}")?;
        }
        Ok(())
    }

    fn pairs(&mut self, pairs: &[(&str, Cell)]) -> io::Result<()> {
        let label = pairs.iter().map(|(l, _)| width(l)).max().unwrap_or(0);
        for (l, cell) in pairs.iter().filter(|(_, c)| !c.is_empty()) {
            self.pair(l, label, cell)?;
        }
        Ok(())
    }

    /// `label  value`; a value with a part too long for its room begins on a
    /// line of its own.
    fn pair(&mut self, label: &str, label_width: usize, cell: &Cell) -> io::Result<()> {
        let indent = 2 + label_width + GAP;
        let room = self.look.width.saturating_sub(indent);
        if least(cell) <= room && room >= LEAST_FLOW {
            let first = format!("  {}{}", pad(label, label_width), " ".repeat(GAP));
            return self.indented(&first, &" ".repeat(indent), cell);
        }
        self.line(&format!("  {label}"), Tone::Plain)?;
        self.indented("    ", "    ", cell)
    }

    fn table(&mut self, g: &Grid) -> io::Result<()> {
        let all: Vec<usize> = (0..g.columns.len()).collect();
        let inline: Vec<usize> = if self.naturally_fits(g, &all) {
            all
        } else {
            all.into_iter().filter(|&i| g.columns.get(i).is_some_and(|c| c.1 != Fit::OwnLine)).collect()
        };
        let Some(widths) = self.widths(g, &inline) else {
            for (i, row) in g.rows.iter().enumerate() {
                if i > 0 {
                    self.line("", Tone::Plain)?;
                }
                self.stacked(g, row)?;
            }
            return Ok(());
        };
        let titles: Vec<&str> = inline.iter().filter_map(|&i| g.columns.get(i)).map(|c| c.0).collect();
        let head: Vec<String> = titles.iter().zip(&widths).map(|(t, w)| pad(t, *w)).collect();
        self.line(&head.join(&" ".repeat(GAP)), Tone::Plain)?;
        let rule: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
        self.line(&rule.join(&" ".repeat(GAP)), Tone::Dim)?;
        for row in &g.rows {
            let cells: Vec<&Cell> = inline.iter().filter_map(|&i| row.get(i)).collect();
            if cells.iter().zip(&widths).any(|(c, w)| least(c) > *w) {
                self.stacked(g, row)?;
                continue;
            }
            self.in_columns(&cells, &widths)?;
            for (i, cell) in row.iter().enumerate() {
                if !inline.contains(&i) && !cell.is_empty() {
                    self.indented("    ", "    ", cell)?;
                }
            }
        }
        Ok(())
    }

    fn naturally_fits(&self, g: &Grid, columns: &[usize]) -> bool {
        let sum: usize = columns.iter().map(|&i| column_width(g, i, natural)).sum();
        sum + GAP * columns.len().saturating_sub(1) <= self.look.width
    }

    /// Widths of the columns; `None` when they do not fit beside each other.
    fn widths(&self, g: &Grid, columns: &[usize]) -> Option<Vec<usize>> {
        let room = self.look.width.saturating_sub(GAP * columns.len().saturating_sub(1));
        // One long name must not turn the whole table into a list: it is
        // listed by itself instead.
        let cap = self.look.width * 2 / 5;
        let mut widths: Vec<usize> = Vec::new();
        let mut floors: Vec<usize> = Vec::new();
        for &i in columns {
            let title = g.columns.get(i).map_or(0, |c| width(c.0));
            let mut floor = title.max(LEAST_FLOW);
            let mut wish = title;
            for cell in g.rows.iter().filter_map(|r| r.get(i)) {
                let needed = least(cell);
                if needed <= cap {
                    floor = floor.max(needed);
                    wish = wish.max(natural(cell));
                }
            }
            widths.push(wish);
            floors.push(floor.min(wish));
        }
        while widths.iter().sum::<usize>() > room {
            // The column with the most to give gives one.
            let (i, spare) = widths
                .iter()
                .zip(&floors)
                .map(|(w, f)| w - f)
                .enumerate()
                .max_by_key(|&(i, spare)| (spare, usize::MAX - i))?;
            if spare == 0 {
                return None;
            }
            *widths.get_mut(i)? -= 1;
        }
        Some(widths)
    }

    fn in_columns(&mut self, cells: &[&Cell], widths: &[usize]) -> io::Result<()> {
        let wrapped: Vec<Vec<String>> = cells.iter().zip(widths).map(|(c, w)| wrap_cell(c, *w)).collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
        for n in 0..height {
            let mut text = String::new();
            let mut at = 0;
            for ((lines, cell), w) in wrapped.iter().zip(cells).zip(widths) {
                let s = lines.get(n).map_or("", String::as_str);
                if !s.is_empty() {
                    text.push_str(&" ".repeat(at));
                    text.push_str(&self.painted(s, cell.tone));
                    at = w.saturating_sub(width(s)) + GAP;
                } else {
                    at += w + GAP;
                }
            }
            writeln!(self.out, "{text}")?;
        }
        Ok(())
    }

    /// A row as a list: its first cell as a headline.
    fn stacked(&mut self, g: &Grid, row: &[Cell]) -> io::Result<()> {
        let Some((first, rest)) = row.split_first() else { return Ok(()) };
        self.indented("", "  ", first)?;
        let label = g.columns.iter().skip(1).map(|c| width(c.0)).max().unwrap_or(0);
        for (cell, (title, _)) in rest.iter().zip(g.columns.iter().skip(1)) {
            if !cell.is_empty() {
                self.pair(title, label, cell)?;
            }
        }
        Ok(())
    }
}

fn column_width(g: &Grid, i: usize, of: impl Fn(&Cell) -> usize) -> usize {
    let title = g.columns.get(i).map_or(0, |c| width(c.0));
    g.rows.iter().filter_map(|r| r.get(i)).map(of).max().unwrap_or(0).max(title)
}

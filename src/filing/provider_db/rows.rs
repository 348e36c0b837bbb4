//! The rows of a provider's file, whatever its format.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::civil::Date;
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfkc_quick};

use crate::facts::AccessState;
use crate::filing::registry::{Facts, Fault, Reply, Word};
use crate::filing::spelling;
use crate::filing::text::{clean, date, licence};
use crate::names;

use super::unusable;

/// Rows of one file.
const ROWS_MOST: usize = 5_000_000;

/// The columns that are read, in both languages (contract-details Q3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Domain,
    SubjectLicence,
    SiteLicence,
    Unit,
    Nature,
    AccessState,
    ApprovedOn,
    ConnectedOn,
}

impl Column {
    /// The column of a header cell; other columns are ignored.
    pub(super) fn of(header: &str) -> Option<Column> {
        let folded = fold(trim(header)).to_lowercase();
        Some(match folded.as_str() {
            "domain" | "域名" => Column::Domain,
            "subject_licence" | "主体备案号" => Column::SubjectLicence,
            "site_licence" | "网站备案号" => Column::SiteLicence,
            "unit" | "主办单位" => Column::Unit,
            "nature" | "单位性质" => Column::Nature,
            "access_state" | "接入状态" => Column::AccessState,
            "approved_on" | "审核通过日期" => Column::ApprovedOn,
            "connected_on" | "接入日期" => Column::ConnectedOn,
            _ => return None,
        })
    }
}

/// Access states, the better last: of two rows of one date the better counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Cancelled,
    Pending,
    FirstReviewPassed,
    Connected,
}

impl State {
    fn of(word: &str) -> Option<State> {
        Some(match word.to_lowercase().as_str() {
            "connected" | "已接入" => State::Connected,
            "first_review_passed" | "初审通过" => State::FirstReviewPassed,
            "pending" | "待初审" => State::Pending,
            "cancelled" | "取消接入" => State::Cancelled,
            _ => return None,
        })
    }
}

/// The cells of one row, as text.
#[derive(Debug, Default)]
pub(super) struct Cells {
    pub domain: String,
    pub subject_licence: String,
    pub site_licence: String,
    pub unit: String,
    pub nature: String,
    pub access_state: String,
    pub approved_on: String,
    pub connected_on: String,
}

impl Cells {
    /// Puts a cell in its column; the first of two columns of one name counts.
    pub(super) fn set(&mut self, column: Column, text: &str) {
        let cell = match column {
            Column::Domain => &mut self.domain,
            Column::SubjectLicence => &mut self.subject_licence,
            Column::SiteLicence => &mut self.site_licence,
            Column::Unit => &mut self.unit,
            Column::Nature => &mut self.nature,
            Column::AccessState => &mut self.access_state,
            Column::ApprovedOn => &mut self.approved_on,
            Column::ConnectedOn => &mut self.connected_on,
        };
        if cell.is_empty() {
            cell.push_str(trim(text));
        }
    }
}

/// Rows that could not be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Skipped {
    /// Without a domain.
    pub blank: usize,
    /// With a domain that is none, or an unknown access state.
    pub bad: usize,
}

struct Row {
    state: State,
    approved: Option<Date>,
    connected: Option<Date>,
    /// Subject licence, site licence, unit, nature, one a line: one
    /// allocation a row, of which there may be a million.
    text: Box<str>,
}

/// The file, by domain.
#[derive(Default)]
pub(super) struct Table {
    rows: HashMap<Box<str>, Row>,
    read: usize,
    pub(super) skipped: Skipped,
}

impl Table {
    /// Takes in one row. Fails only beyond the greatest number of rows.
    pub(super) fn add(&mut self, cells: &Cells) -> Result<(), Fault> {
        self.read += 1;
        if self.read > ROWS_MOST {
            return Err(unusable("the provider's file has more than 5,000,000 rows"));
        }
        if cells.domain.is_empty() {
            self.skipped.blank += 1;
            return Ok(());
        }
        let (Some(key), Some(state)) = (key(&cells.domain), State::of(&cells.access_state)) else {
            self.skipped.bad += 1;
            return Ok(());
        };
        let text: String = [
            licence(&fold(&cells.subject_licence)),
            licence(&fold(&cells.site_licence)),
            clean(&cells.unit),
            clean(&cells.nature),
        ]
        .map(Option::unwrap_or_default)
        .join("\n");
        let row = Row {
            state,
            approved: date(&cells.approved_on),
            connected: date(&cells.connected_on),
            text: text.into_boxed_str(),
        };
        let rank = |r: &Row| (r.approved, r.connected, r.state);
        // The newest approval counts; of equal ones the later connection,
        // the better state, the later row.
        match self.rows.get_mut(key.as_str()) {
            Some(old) if rank(old) > rank(&row) => {}
            Some(old) => *old = row,
            None => {
                self.rows.insert(key.into_boxed_str(), row);
            }
        }
        Ok(())
    }

    /// The table, if it has any usable row (contract-details Q4).
    pub(super) fn finish(self) -> Result<Table, Fault> {
        if self.rows.is_empty() {
            return Err(unusable("the provider's file has no usable row"));
        }
        Ok(self)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What the file says of a name in A-labels.
    pub(super) fn get(&self, name: &str) -> Option<Reply> {
        let row = self.rows.get(name)?;
        let mut lines = row.text.split('\n').map(|l| (!l.is_empty()).then(|| l.to_owned()));
        let mut next = || lines.next().flatten();
        let facts = Facts {
            subject_licence: next(),
            site_licence: next(),
            unit: next(),
            nature: next(),
            approved_on: row.approved.map(|d| d.to_string()),
        };
        let access = match row.state {
            State::Connected => AccessState::Here,
            State::FirstReviewPassed => AccessState::Pending,
            State::Pending | State::Cancelled => AccessState::Elsewhere,
        };
        let licensed = facts.subject_licence.is_some() || facts.site_licence.is_some();
        let filed = licensed || row.state == State::Connected;
        Some(Reply { word: if filed { Word::Filed } else { Word::Row }, access: Some(access), facts })
    }
}

/// Cells are trimmed of ASCII and full-width space.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '\u{3000}' | '\u{a0}' | '\u{feff}'))
}

/// NFKC; most cells are in that form already.
fn fold(text: &str) -> Cow<'_, str> {
    match is_nfkc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        _ => Cow::Owned(text.nfkc().collect()),
    }
}

/// The name by which a row is found: the apex of the host in the cell. Under
/// .gov.cn each body files its own name, so there the host itself counts
/// (contract-details Q11).
fn key(cell: &str) -> Option<String> {
    let folded = fold(cell);
    let host = spelling::host(&folded);
    let host = host.strip_prefix("*.").unwrap_or(host);
    let name = spelling::ascii(host)?;
    let apex = names::apex(&name)?;
    if apex.ends_with(".gov.cn") {
        return Some(name.strip_prefix("www.").unwrap_or(&name).to_owned());
    }
    Some(apex)
}

//! A `beian.report/1`, written row by row: 10,000 of them are never in memory
//! at once.

use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

use crate::facts::{Agent, Loss, Part, REPORT_SCHEMA, Summary, Transition};

use super::Ledger;
use super::store::{Fault, Txn};

/// What a report is about, beside its rows.
pub(super) struct Head<'a> {
    pub(super) report_id: String,
    pub(super) sequence: u64,
    pub(super) agent: &'a Agent,
    pub(super) summary: Summary,
    pub(super) transitions: &'a [Transition],
    pub(super) losses: &'a [Loss],
    pub(super) part: Option<Part>,
}

/// Writes the report as one line of JSON.
pub(super) fn write(t: &Txn<'_>, head: &Head<'_>, out: &mut dyn Write) -> Result<(), Fault> {
    let meta = t.scan_meta()?;
    field(out, "{\"schema\":", &REPORT_SCHEMA)?;
    field(out, ",\"report_id\":", &head.report_id)?;
    field(out, ",\"sequence\":", &head.sequence)?;
    field(out, ",\"complete\":", &meta.complete)?;
    field(out, ",\"scanned_at\":", &meta.scanned_at)?;
    field(out, ",\"agent\":", head.agent)?;
    field(out, ",\"addresses\":", &meta.addresses)?;
    field(out, ",\"summary\":", &head.summary)?;
    out.write_all(b",\"names\":[")?;
    let (index, count) = head.part.map_or((0, 1), |p| (u64::from(p.index - 1), u64::from(p.count)));
    let len = t.names_len()?;
    let mine = (len * index / count)..(len * (index + 1) / count);
    let (mut number, mut first) = (0, true);
    t.each_kept(|kept| {
        if mine.contains(&number) {
            field(out, if first { "" } else { "," }, &kept.row)?;
            first = false;
        }
        number += 1;
        Ok(())
    })?;
    out.write_all(b"]")?;
    // What is about sites, not names, stands in the first part alone.
    let whole = index == 0;
    field(out, ",\"findings\":", if whole { meta.findings.as_slice() } else { &[] })?;
    field(out, ",\"problems\":", if whole { meta.problems.as_slice() } else { &[] })?;
    if !head.transitions.is_empty() {
        field(out, ",\"transitions\":", head.transitions)?;
    }
    if !head.losses.is_empty() {
        field(out, ",\"losses\":", head.losses)?;
    }
    if let Some(part) = head.part {
        field(out, ",\"part\":", &part)?;
    }
    out.write_all(b"}")?;
    Ok(())
}

fn field<T: Serialize + ?Sized>(out: &mut dyn Write, before: &str, value: &T) -> Result<(), Fault> {
    out.write_all(before.as_bytes())?;
    Ok(serde_json::to_writer(out, value)?)
}

impl Ledger {
    /// Writes the state as a report: for polling, with the highest sequence
    /// used so far. An error where the ledger cannot be read, or `out` fails.
    pub fn write_report(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let inner = self.lock();
        inner
            .store
            .read(|t| {
                let head = Head {
                    report_id: uuid::Uuid::now_v7().to_string(),
                    sequence: t.meta("sequence")?.unwrap_or(0),
                    agent: &inner.agent,
                    summary: inner.summary,
                    transitions: &[],
                    losses: &[],
                    part: None,
                };
                write(t, &head, out)
            })
            .map_err(std::io::Error::other)
    }

    /// When the last scan began; the epoch before the first one.
    pub fn scanned_at(&self) -> Timestamp {
        self.meta().scanned_at
    }
}

//! What a scan changes: names that are new, that are served elsewhere, or
//! that are gone.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;

use jiff::Timestamp;

use crate::facts::{Finding, Problem, Row, Transition};

use super::remember::Kept;
use super::store::{self, DUE_NAMES, Fault, Gone, Txn};
use super::{Ledger, Meta};

/// One scan, as the ledger takes it.
#[derive(Debug)]
pub struct ScanResult {
    /// One row a name without its facts, and the question about its filing
    /// (empty where nothing is asked).
    pub rows: Vec<(Row, Vec<String>)>,
    /// `None`: there are no other names. Else whatever is not in `rows` is as
    /// the scan before said, but for these names, which are gone.
    pub gone: Option<Vec<String>>,
    /// What is wrong with sites.
    pub findings: Vec<Finding>,
    /// What was not read, or should be known.
    pub problems: Vec<Problem>,
    /// This server's addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether everything could be read. If not, names that are missing stay:
    /// that they were not read is no proof that they are gone.
    pub complete: bool,
    /// When the scan began.
    pub at: Timestamp,
}

/// What a scan changed.
#[derive(Debug, Default)]
pub struct Applied {
    /// Names that were not there before.
    pub new: usize,
    /// Names that are served elsewhere than before.
    pub moved: usize,
    /// Names that are not served any more.
    pub gone: usize,
    /// Verdicts that changed by it (names that are gone, or need no filing).
    pub transitions: Vec<Transition>,
    /// Findings that were not there before.
    pub findings: Vec<Finding>,
    /// Problems that were not there before.
    pub problems: Vec<Problem>,
}

/// The hash of a row's name, and of all that a scan says of it.
pub(super) fn hashes(state: &RandomState, row: &Row, question: &[String]) -> (u64, u64) {
    let name = state.hash_one(row.name.as_str());
    let exempt = row.exempt.as_ref().map(|e| (&e.name, &e.by, &e.why, &e.until));
    // Verdict and reason of a frame only say why a name needs no filing.
    let spared = question.is_empty().then_some((row.verdict, row.reason));
    let mut h = state.build_hasher();
    (question, exempt, spared, &row.unicode, &row.apex).hash(&mut h);
    for place in &row.served_by {
        (place.server, &place.file, place.line, &place.listen).hash(&mut h);
    }
    (name, std::hash::Hasher::finish(&h))
}

impl Ledger {
    /// Takes a scan in. Rows that say what they said before are not touched.
    pub fn apply_scan(&self, scan: ScanResult) -> Applied {
        let mut guard = self.lock();
        let inner = &mut *guard;
        // A scan began before it ended: transitions stay in order.
        let now = scan.at.max(inner.clock);
        let mut changed: Vec<&(Row, Vec<String>)> = Vec::new();
        let mut frames = HashMap::with_capacity(scan.rows.len());
        for entry in &scan.rows {
            let (name, frame) = hashes(&inner.hasher, &entry.0, &entry.1);
            if inner.frames.get(&name) != Some(&frame) {
                changed.push(entry);
            }
            frames.insert(name, frame);
        }
        let missing = match &scan.gone {
            Some(_) => false,
            None => inner.frames.keys().any(|name| !frames.contains_key(name)),
        };
        let mut summary = inner.summary;
        let hasher = &inner.hasher;
        let old_summary = inner.summary;
        let applied = inner.store.write(|t| {
            summary = old_summary;
            let mut out = Applied::default();
            for (row, question) in &changed {
                enter(t, row, question, now, &mut summary, &mut out)?;
            }
            if missing && scan.complete {
                for name in t.all_names()? {
                    if !frames.contains_key(&hasher.hash_one(name.as_str())) {
                        leave(t, &name, now, &mut summary, &mut out)?;
                    }
                }
            }
            for name in scan.gone.iter().flatten().filter(|_| scan.complete) {
                leave(t, name, now, &mut summary, &mut out)?;
            }
            let old: Meta = t.meta("scan")?.unwrap_or_default();
            out.findings = scan.findings.iter().filter(|f| !old.findings.contains(f)).cloned().collect();
            out.problems = scan.problems.iter().filter(|p| !old.problems.contains(p)).cloned().collect();
            let meta = Meta {
                complete: scan.complete,
                scanned_at: scan.at,
                addresses: scan.addresses.clone(),
                findings: scan.findings.clone(),
                problems: scan.problems.clone(),
            };
            t.put_meta("scan", &meta)?;
            if out.new + out.moved + out.gone + out.findings.len() + out.problems.len() > 0 {
                // Not every change is a transition; the hub's picture is to be
                // that of now all the same.
                t.put_meta("untold_state", &true)?;
            }
            Ok(out)
        });
        inner.summary = summary;
        match &scan.gone {
            None if scan.complete => inner.frames = frames,
            gone => {
                for name in gone.iter().flatten().filter(|_| scan.complete) {
                    inner.frames.remove(&inner.hasher.hash_one(name.as_str()));
                }
                inner.frames.extend(frames);
            }
        }
        drop(guard);
        self.changed();
        applied
    }
}

/// A name is new, or the configuration says something else of it.
fn enter(
    t: &mut Txn<'_>,
    row: &Row,
    question: &[String],
    now: Timestamp,
    summary: &mut crate::facts::Summary,
    out: &mut Applied,
) -> Result<(), Fault> {
    let name = row.name.as_str();
    let old = t.kept(name)?;
    let key = store::key(question);
    let mut kept = match &old {
        Some(old) => {
            out.moved += 1;
            let mut kept = old.clone();
            kept.reframe(row.clone(), question.to_vec());
            kept
        }
        None => {
            out.new += 1;
            let mut kept = Kept::new(row.clone(), question.to_vec());
            if let Some(gone) = t.recall_gone(name)? {
                kept.row.first_seen = gone.first_seen.min(kept.row.first_seen);
                kept.row.connected_before_filing = gone.connected_before_filing;
            }
            kept
        }
    };
    let (old_key, old_due) = match &old {
        Some(o) => (store::key(&o.question), (!o.question.is_empty()).then_some(o.dns.due)),
        None => (String::new(), None),
    };
    if old_key != key && !old_key.is_empty() {
        t.unuse_fact(&old_key, name)?;
    }
    match (old_due, !question.is_empty()) {
        (Some(old), true) => t.put_due(DUE_NAMES, old, kept.dns.due, name)?,
        (None, true) => t.put_due(DUE_NAMES, kept.dns.due, kept.dns.due, name)?,
        (Some(old), false) => t.remove_due(DUE_NAMES, old, name)?,
        (None, false) => {}
    }
    if !key.is_empty() {
        t.use_fact(&key, name)?;
    }
    let fact = t.fact(&key)?;
    store::settle(t, name, &mut kept, fact.as_ref(), now, &mut out.transitions)?;
    store::recount(summary, old.map(|o| o.row.verdict), Some(kept.row.verdict));
    Ok(())
}

/// A name is not served any more.
fn leave(
    t: &mut Txn<'_>,
    name: &str,
    now: Timestamp,
    summary: &mut crate::facts::Summary,
    out: &mut Applied,
) -> Result<(), Fault> {
    let Some(kept) = t.remove_kept(name)? else { return Ok(()) };
    out.gone += 1;
    if !kept.question.is_empty() {
        t.remove_due(DUE_NAMES, kept.dns.due, name)?;
        t.unuse_fact(&store::key(&kept.question), name)?;
    }
    store::recount(summary, Some(kept.row.verdict), None);
    t.remember_gone(
        name,
        &Gone {
            first_seen: kept.row.first_seen,
            connected_before_filing: kept.row.connected_before_filing,
            at: now,
        },
    )?;
    if let Some(from) = kept.told {
        let transition = store::transition(name, Some(from), None, None, now);
        t.push_transition(&transition)?;
        out.transitions.push(transition);
    }
    Ok(())
}

//! What is kept of the sites of one scan, so that the next one makes only the
//! rows that may have changed.
//!
//! Of each site that is a hash of all that its rows and findings are made
//! from, and the names of its rows. Two scans are compared from both ends:
//! what lies between the sites that both begin with and those that both end
//! with may have changed, and so may every row that one of these sites has a
//! part in, then or now. One changed file among ten thousand is one site so.

use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::ops::Range;

use foldhash::quality::RandomState;
use jiff::Timestamp;

use super::rows::{Drafts, Policy};
use super::{Frames, findings};
use crate::config::Config;
use crate::facts::{Finding, Scan, Site};

/// Bytes of names that are kept; with more, every scan makes all rows.
const NAMES: usize = 4 << 20;
/// Where more than one site in so many may have changed, all rows are made.
const FEW: usize = 4;
/// Ends a name.
const END: char = '\0';

/// What the rows of the last scan were made from. Starts empty. Belongs to
/// whoever scans again and again with the same settings, and passes on what
/// every [`frames`] gives; whoever could not starts with an empty one.
#[derive(Debug, Default)]
pub struct Known {
    hasher: RandomState,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    policy: Policy,
    /// Everything could be read.
    complete: bool,
    /// In load order.
    sites: Vec<Mark>,
    /// The names of every site's rows, one after the other.
    names: String,
}

/// One site.
#[derive(Debug, Clone, Copy)]
struct Mark {
    hash: u64,
    /// Where its names end.
    end: u32,
    /// It has findings.
    found: bool,
    /// It has a name that can be no name.
    not_a_name: bool,
}

impl Known {
    /// Bytes that this takes, nearly: for tests and benches.
    pub fn bytes(&self) -> usize {
        self.last.as_ref().map_or(0, |l| l.sites.capacity() * size_of::<Mark>() + l.names.capacity())
    }

    fn hash(&self, site: &Site) -> u64 {
        // Spelt out, so that a new field is not forgotten here. Where requests
        // go is in no row.
        let Site {
            server,
            names,
            listen,
            default,
            shadowed: _,
            file,
            line,
            root: _,
            upstream: _,
            certificates: _,
            redirect: _,
            unbounded,
            synthetic,
            refuses,
            implicit_default,
        } = site;
        let row = (server, names, synthetic, listen, file, line);
        self.hasher.hash_one((row, (default, implicit_default, refuses, unbounded)))
    }
}

impl Last {
    fn new(policy: Policy, complete: bool, sites: usize) -> Last {
        Last { policy, complete, sites: Vec::with_capacity(sites), names: String::new() }
    }

    fn start(&self, site: usize) -> usize {
        site.checked_sub(1).and_then(|i| self.sites.get(i)).map_or(0, |m| m.end as usize)
    }

    fn names(&self, of: Range<usize>) -> impl Iterator<Item = &str> {
        let text = self.names.get(self.start(of.start)..self.start(of.end)).unwrap_or_default();
        text.split_terminator(END)
    }

    /// The sites that may have changed, in this scan and in the next.
    fn changed(&self, hashes: &[u64]) -> Option<(Range<usize>, Range<usize>)> {
        let same = |(mark, hash): &(&Mark, &u64)| mark.hash == **hash;
        let head = self.sites.iter().zip(hashes).take_while(same).count();
        let (old, new) = (self.sites.get(head..)?, hashes.get(head..)?);
        let tail = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
        let (old, new) = (head..self.sites.len() - tail, head..hashes.len() - tail);
        (old.len().max(new.len()) * FEW <= hashes.len()).then_some((old, new))
    }

    /// Takes a site in. `None`: that is more than is kept.
    fn add(
        &mut self,
        hash: u64,
        site: &Site,
        drafts: &mut Drafts<'_>,
        findings: &mut Vec<Finding>,
    ) -> Option<()> {
        let (names, mut plain, known) = (&mut self.names, true, findings.len());
        let not_a_name = !drafts.add_site(site, |name| {
            plain &= !name.contains(END);
            if names.len() <= NAMES {
                names.push_str(name);
                names.push(END);
            }
        });
        findings.extend(findings::of(std::slice::from_ref(site)));
        let found = findings.len() > known;
        self.sites.push(Mark { hash, end: end(names.len())?, found, not_a_name });
        plain.then_some(())
    }

    /// Takes sites of the scan before in, as they were.
    fn copy(&mut self, old: &Last, sites: Range<usize>) -> Option<()> {
        let (start, at) = (old.start(sites.start), self.names.len());
        self.names.push_str(old.names.get(start..old.start(sites.end))?);
        for mark in old.sites.get(sites)? {
            self.sites.push(Mark { end: end(mark.end as usize - start + at)?, ..*mark });
        }
        Some(())
    }

    /// This scan's, by the one before: where that is possible, with the names
    /// whose rows may have changed.
    fn next(
        &self,
        policy: &Policy,
        complete: bool,
        sites: &[Site],
        hashes: &[u64],
    ) -> Option<(Last, HashSet<String>)> {
        // Names that were missing while something could not be read are gone
        // now, if they still are: only all rows together say which.
        if self.policy != *policy || (complete && !self.complete) {
            return None;
        }
        let (before, now) = self.changed(hashes)?;
        let mut new = Last::new(policy.clone(), complete, sites.len());
        new.copy(self, 0..before.start)?;
        let (mut drafts, mut findings) = (Drafts::new(policy), Vec::new());
        for (site, hash) in sites.get(now.clone())?.iter().zip(hashes.get(now.clone())?) {
            new.add(*hash, site, &mut drafts, &mut findings)?;
        }
        new.copy(self, before.end..self.sites.len())?;
        let touched = self.names(before).chain(new.names(now)).map(str::to_owned).collect();
        Some((new, touched))
    }
}

/// The end of names, as it is kept.
fn end(len: usize) -> Option<u32> {
    u32::try_from(len).ok().filter(|_| len <= NAMES)
}

/// The rows of a scan, under the policy of the settings. By what is known of
/// the scan before, rows that are as they were are left out
/// ([`Frames::gone`]); with `whole` none is.
pub fn frames(cfg: &Config, scan: Scan, now: Timestamp, known: &mut Known, whole: bool) -> Frames {
    let policy = Policy::new(cfg, now);
    let Scan { sites, mut problems } = scan;
    let hashes: Vec<u64> = sites.iter().map(|s| known.hash(s)).collect();
    let complete = !problems.iter().any(|p| p.kind.incomplete());
    let last = known.last.take().filter(|_| !whole);
    let next = last.and_then(|l| l.next(&policy, complete, &sites, &hashes));

    let (mut drafts, mut findings) = (Drafts::new(&policy), Vec::new());
    let (new, touched) = match next {
        Some((new, touched)) => {
            for (i, (site, mark)) in sites.iter().zip(&new.sites).enumerate() {
                if mark.not_a_name || new.names(i..i + 1).any(|n| touched.contains(n)) {
                    drafts.add_site(site, |_| {});
                }
                if mark.found {
                    findings.extend(findings::of(std::slice::from_ref(site)));
                }
            }
            (Some(new), Some(touched))
        }
        None => {
            let mut new = Last::new(policy.clone(), complete, sites.len());
            let mut fits = true;
            for (site, hash) in sites.iter().zip(&hashes) {
                fits &= new.add(*hash, site, &mut drafts, &mut findings).is_some();
            }
            (fits.then_some(new), None)
        }
    };

    let (drafts, not_names) = drafts.finish();
    problems.extend(not_names);
    let mut gone = touched;
    let mut rows = Vec::with_capacity(drafts.len());
    for draft in drafts {
        // Of what a site beside says only what has changed counts.
        if gone.as_mut().is_none_or(|touched| touched.remove(draft.name())) {
            let target = draft.target().cloned();
            rows.push((draft.into_row(now), target));
        }
    }
    known.last = new.map(|mut new| {
        new.names.shrink_to_fit();
        new
    });
    Frames {
        rows,
        gone: gone.map(|names| names.into_iter().collect()),
        findings,
        problems,
        complete,
        sites: sites.len(),
    }
}

#[cfg(test)]
mod tests;

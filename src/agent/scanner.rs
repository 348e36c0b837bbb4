//! The thread that reads configuration: one, since reading blocks, and since
//! what is kept between scans belongs to it alone.
//!
//! A change re-reads only the trees that reach it, and of those only the files
//! that changed ([`discover::Memory`]). What the other trees said is kept
//! packed: the sites of ten thousand vhosts take a few hundred kilobytes so,
//! and nothing at all where there is one tree.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use flate2::Compression;
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

use crate::audit;
use crate::config::Config;
use crate::discover::watch::{Began, Change, Watch};
use crate::discover::{self, Memory, SEARCH, TreeKey, TreeReach};
use crate::facts::{Problem, Scan, Site};
use crate::ledger::{Applied, Ledger, ScanResult};
use crate::resolve::OwnAddresses;
use crate::source::{Dirty, Source};

use super::beat::Stage;

/// A scan takes no longer beyond its own limit, remembering included.
const GRACE: Duration = Duration::from_secs(60);

/// What the thread is told.
enum Order {
    /// Why, in a word; what changed: `None` for everything.
    Scan(&'static str, Option<Change>),
}

/// The way to the thread. Dropped, the thread ends after the scan that it is
/// in.
#[derive(Clone)]
pub struct Scanner {
    orders: Sender<Order>,
}

/// One scan, carried out and remembered.
#[derive(Debug)]
pub struct Scanned {
    /// What it changed in the ledger.
    pub applied: Applied,
    /// Why it was made: `start`, `change`, `timer`, `signal`, `request`.
    pub trigger: &'static str,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, remembering included.
    pub took: Duration,
    /// Files that were opened.
    pub files: u64,
    /// Sites that were found.
    pub sites: usize,
    /// Whether everything could be read.
    pub complete: bool,
    /// This server's addresses at that time.
    pub own: OwnAddresses,
}

/// What the thread works with.
pub struct Tools {
    pub cfg: Arc<Config>,
    pub ledger: Arc<Ledger>,
    pub watch: Arc<Watch>,
    pub scanned: UnboundedSender<Scanned>,
    pub stage: Stage,
}

impl Scanner {
    /// Starts the thread.
    pub fn start(tools: Tools) -> std::io::Result<Scanner> {
        let (orders, inbox) = channel();
        std::thread::Builder::new().name("scanner".to_owned()).spawn(move || work(&tools, &inbox))?;
        Ok(Scanner { orders })
    }

    /// Everything is to be read.
    pub fn all(&self, trigger: &'static str) {
        // Nobody listens only while the daemon ends.
        let _ = self.orders.send(Order::Scan(trigger, None));
    }

    /// What a change reaches is to be read.
    pub fn changed(&self, change: Change) {
        let _ = self.orders.send(Order::Scan("change", Some(change)));
    }
}

fn work(tools: &Tools, inbox: &Receiver<Order>) {
    let mut trees = Trees::default();
    while let Ok(Order::Scan(mut trigger, mut which)) = inbox.recv() {
        // Orders that came meanwhile are one.
        for Order::Scan(why, more) in inbox.try_iter() {
            match (&mut which, more) {
                (Some(which), Some(more)) => join(which, more),
                (_, None) => {
                    trigger = why;
                    which = None;
                }
                (None, Some(_)) => {}
            }
        }
        tools.stage.within(tools.cfg.limits.time.saturating_mul(3) + GRACE);
        match scan(tools, &mut trees, trigger, which) {
            Ok(Some(scanned)) => drop(tools.scanned.send(scanned)),
            Ok(None) => {}
            Err(error) => {
                // What was to be read again is not known any more.
                trees = Trees::default();
                tracing::error!(target: "beian", "scan: {error:#}");
            }
        }
        tools.stage.rest();
    }
}

/// Two changes as one.
fn join(change: &mut Change, more: Change) {
    change.trees.extend(more.trees);
    match (&mut change.dirty, more.dirty) {
        (Dirty::Paths(all), Dirty::Paths(more)) => all.extend(more),
        (all, _) => *all = Dirty::All,
    }
}

/// What is kept of each tree.
#[derive(Default)]
struct Trees {
    memory: Memory,
    /// In the order in which they were found.
    order: Vec<TreeKey>,
    kept: HashMap<TreeKey, Vec<u8>>,
    /// What their sites came to.
    known: audit::Known,
}

/// `None`: the turn of the daemon whose settings this scan has is over.
fn scan(
    tools: &Tools,
    trees: &mut Trees,
    trigger: &'static str,
    which: Option<Change>,
) -> anyhow::Result<Option<Scanned>> {
    let cfg = &tools.cfg;
    let (start, at, began) = (Instant::now(), Timestamp::now(), Began::now());
    let src = Source::open(&cfg.root, cfg.limits)
        .with_context(|| format!("[agent] root {}: cannot be opened", cfg.root.display()))?
        .recording();
    // Where the search itself is touched, there may be more trees or fewer.
    let which =
        which.filter(|c| !c.trees.contains(&SEARCH) && c.trees.iter().all(|t| trees.order.contains(t)));
    let dirty = which.as_ref().map_or(Dirty::All, |c| c.dirty.clone());
    let mut reached: Vec<TreeReach> = Vec::new();
    let mut files = 0;
    let mut found = Scan::default();
    let full = which.is_none();
    if full {
        src.take_reach();
        trees.order = discover::layouts::find(&src).into_iter().map(|(s, p)| (Some(s), p)).collect();
        reached.push(TreeReach { server: SEARCH.0, path: SEARCH.1, reach: src.take_reach() });
        trees.kept.clear();
        trees.memory.retain(&trees.order);
    }
    for key in trees.order.clone() {
        let wanted = which.as_ref().is_none_or(|c| c.trees.contains(&key));
        let kept = trees.kept.get(&key).filter(|_| !wanted).and_then(|bytes| unpack(bytes));
        match (kept, key.0) {
            (Some(scan), _) => found.extend(scan),
            (None, Some(server)) => {
                let (scan, reach) =
                    discover::read_tree_with(&src, server, &key.1, &[], &mut trees.memory, &dirty);
                files += src.files_opened();
                reached.push(reach);
                // One tree is always read itself.
                if trees.order.len() > 1 {
                    trees.kept.insert(key, pack(&scan));
                }
                found.extend(scan);
            }
            (None, None) => {}
        }
    }
    if full {
        tools.watch.follow(reached, began, trigger != "start");
    } else {
        tools.watch.refollow(reached, began);
    }
    drop(src);
    if tools.scanned.is_closed() {
        // What it says must not come after the next turn's.
        return Ok(None);
    }
    let own = OwnAddresses::find(&[], &cfg.public_addresses);
    let frames = audit::frames(cfg, found, at, &mut trees.known, full);
    let (sites, complete) = (frames.sites, frames.complete);
    let applied = tools.ledger.apply_scan(ScanResult {
        rows: frames
            .rows
            .into_iter()
            .map(|(row, t)| (row, t.map_or_else(Vec::new, |t| t.filing_names)))
            .collect(),
        gone: frames.gone,
        findings: frames.findings,
        problems: frames.problems,
        addresses: own.list.clone(),
        complete,
        at,
    });
    Ok(Some(Scanned { applied, trigger, at, took: start.elapsed(), files, sites, complete, own }))
}

fn pack(scan: &Scan) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    // Plain data into memory: nothing here can fail; if it did, the tree would
    // be read again.
    let _ = serde_json::to_writer(&mut gz, &(&scan.sites, &scan.problems));
    let _ = gz.flush();
    gz.finish().unwrap_or_default()
}

fn unpack(bytes: &[u8]) -> Option<Scan> {
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut json).ok()?;
    let (sites, problems): (Vec<Site>, Vec<Problem>) = serde_json::from_slice(&json).ok()?;
    Some(Scan { sites, problems })
}

#[cfg(test)]
mod tests;

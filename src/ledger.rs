//! What the daemon remembers: one redb file, `ledger.redb`, in its state
//! directory.
//!
//! # What it must hold
//!
//! 1. What was told as remembered is on disk: every change is one transaction
//!    with fsync, and a verdict's transition is written in the same one as the
//!    state that it tells. `kill -9` at any instruction loses nothing.
//! 2. The audit never stops for it. A file that is corrupt, foreign or of a
//!    newer version is set aside and reported as a loss. On a full or broken
//!    disk the ledger goes on in memory, with all that it can still read, and
//!    moves back to the disk when that works again.
//! 3. It has a ceiling ([`CEILING`] on disk, compaction included): reports
//!    are sealed one at a time and hold the newest state, so a superseded
//!    snapshot is never kept; beyond [`UNTOLD_BYTES`] the oldest untold
//!    transitions go, counted and told as a loss; the current state never
//!    goes. redb frees nothing by deleting, so [`Ledger::maintain`] compacts.
//! 4. It is small in memory: rows stay on disk, and of each name only two
//!    hashes are kept to see what a scan has changed.
//!
//! # Format (version 1)
//!
//! Values are JSON of the types here, so that a field can be added; those of
//! which there is one a name (`names`, `facts`, `untold`, `history`) are
//! deflated. What
//! cannot be read any more belongs to a new version and its migration
//! (`store`, with a fixture of each old format in `tests/fixtures/ledger`).
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | word | version, sequence, last scan, receipt, parts |
//! | `names` | name | row, question, asking of DNS, what was told |
//! | `facts` | question | filing, asking, stale |
//! | `uses` | question → names (multimap) | |
//! | `due_names`, `due_facts` | milliseconds, name or question | |
//! | `gone` | name | when it was first seen, whether it was connected before filing |
//! | `untold` | number | transition |
//! | `history` | name, number | transition without its row |
//! | `sealed` | sequence | body, with what it tells |
//! | `dead` | sequence | why a report was given up |
//! | `losses` | number | loss not yet told |
//!
//! # Recovery
//!
//! redb's commits are atomic; at the start the whole file is checked. `open`
//! ends with a ledger in every case but one: another process holds the file.

mod outbox;
mod remember;
mod report;
mod scan;
mod store;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::config::Freshness;
use crate::facts::{Agent, Exposure, Filing, Finding, Loss, Problem, Row, Summary, Transition};

pub use outbox::{Outbox, OutboxError, Sealed};
pub use scan::{Applied, ScanResult};
pub use store::{CEILING, LedgerError, UNTOLD_BYTES};

use store::Store;

/// What the last scan said, beside its names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Meta {
    /// Whether everything could be read.
    pub complete: bool,
    /// When the scan began; the epoch before the first one.
    pub scanned_at: Timestamp,
    /// This server's addresses.
    pub addresses: Vec<std::net::IpAddr>,
    /// What is wrong with sites.
    pub findings: Vec<Finding>,
    /// What was not read, or should be known.
    pub problems: Vec<Problem>,
}

impl Default for Meta {
    fn default() -> Self {
        Meta {
            complete: false,
            scanned_at: Timestamp::UNIX_EPOCH,
            addresses: Vec::new(),
            findings: Vec::new(),
            problems: Vec::new(),
        }
    }
}

/// How the ledger itself stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Bytes on disk.
    pub bytes: u64,
    /// Why it is kept in memory, where it is.
    pub in_memory: Option<String>,
    /// Transitions, and reports, that the hub has not.
    pub untold: u64,
    /// When the oldest of them came about.
    pub oldest: Option<Timestamp>,
    /// Reports given up.
    pub dead: u64,
    /// The highest sequence used.
    pub sequence: u64,
    /// When the hub last gave a receipt.
    pub delivered_at: Option<Timestamp>,
}

/// The ledger. Calls block for milliseconds on the disk.
pub struct Ledger {
    inner: Mutex<Inner>,
    /// Changes whenever anything that a report shows has changed.
    generation: AtomicU64,
    /// Some facts may wait for the hub to hear of their names; so that a
    /// receipt costs nothing where none does.
    unserved: AtomicBool,
    /// Receipts that came since it was opened.
    deliveries: AtomicU64,
}

struct Inner {
    store: Store,
    policy: Freshness,
    /// By hash of a name: the hash of its frame. A scan that changed nothing
    /// touches no row.
    frames: HashMap<u64, u64>,
    hasher: std::hash::RandomState,
    /// Kept as an aggregate.
    summary: Summary,
    agent: Agent,
    /// The latest time that was seen, to notice a clock that jumps back.
    clock: Timestamp,
}

impl Ledger {
    /// Opens the ledger in a folder, which is made if it is not there. What
    /// could not be used is set aside and noted as a loss; without a usable
    /// disk the ledger is in memory. An error only where another process
    /// holds the file.
    pub fn open(dir: &Path, policy: Freshness) -> Result<Ledger, LedgerError> {
        let store = Store::open(dir)?;
        let mut inner = Inner {
            store,
            policy,
            frames: HashMap::new(),
            hasher: std::hash::RandomState::new(),
            summary: Summary::default(),
            agent: Agent {
                id: None,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            },
            clock: Timestamp::UNIX_EPOCH,
        };
        inner.recount();
        Ok(Ledger {
            inner: Mutex::new(inner),
            generation: AtomicU64::new(1),
            unserved: AtomicBool::new(true),
            deliveries: AtomicU64::new(0),
        })
    }

    /// Who reports from now on.
    pub fn set_agent(&self, agent: Agent) {
        let mut inner = self.lock();
        if inner.agent != agent {
            inner.agent = agent;
            self.changed();
        }
    }

    /// New settings for how long facts hold; what is due stays due.
    pub fn set_policy(&self, policy: Freshness) {
        self.lock().policy = policy;
    }

    /// A number that changes whenever anything that a report shows changed.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Rows counted by verdict.
    pub fn summary(&self) -> Summary {
        self.lock().summary
    }

    /// What the last scan said beside its names.
    pub fn meta(&self) -> Meta {
        self.lock().store.read(|t| t.scan_meta()).unwrap_or_default()
    }

    /// Problems that are of no scan (a registry's operator is needed): reports
    /// show them beside the scan's own.
    pub fn set_standing_problems(&self, problems: &[Problem]) {
        self.lock().store.write(|t| t.put_meta("standing", &problems));
        self.changed();
    }

    /// One row.
    pub fn row(&self, name: &str) -> Option<Row> {
        self.lock().store.read(|t| t.kept(name)).ok().flatten().map(|k| k.row)
    }

    /// Every row in the order of names, one at a time.
    pub fn rows(&self, mut f: impl FnMut(Row)) {
        let inner = self.lock();
        let _ = inner.store.read(|t| {
            t.each_kept(|k| {
                f(k.row);
                Ok(())
            })
        });
    }

    /// The last transitions of a name, the newest last, without their rows.
    pub fn history(&self, name: &str) -> Vec<Transition> {
        self.lock().store.read(|t| t.history(name)).unwrap_or_default()
    }

    /// How the ledger stands.
    pub fn health(&self) -> Health {
        let inner = self.lock();
        let store = &inner.store;
        let mut health = Health {
            bytes: store.bytes(),
            in_memory: store.in_memory().map(str::to_owned),
            untold: 0,
            oldest: None,
            dead: 0,
            sequence: 0,
            delivered_at: None,
        };
        let _ = store.read(|t| {
            health.untold = t.untold_len()?;
            health.oldest = t.oldest_untold()?;
            health.dead = t.dead_len()?;
            health.sequence = t.meta("sequence")?.unwrap_or(0);
            health.delivered_at = t.meta("delivered_at")?;
            Ok(())
        });
        health
    }

    /// Notes something that was lost; the next report tells it.
    pub fn note_loss(&self, loss: Loss) {
        self.lock().store.write(|t| t.push_loss(&loss));
        self.changed();
    }

    /// Losses that no report has told yet.
    pub fn losses(&self) -> Vec<Loss> {
        self.lock().store.read(|t| t.losses()).unwrap_or_default().into_iter().map(|(_, l)| l).collect()
    }

    /// Names that DNS is to be asked for, those never asked first.
    pub fn due_names(&self, now: Timestamp, most: usize) -> Vec<String> {
        let mut inner = self.lock();
        inner.tick(now);
        inner.store.read(|t| t.due(store::DUE_NAMES, now, most)).unwrap_or_default()
    }

    /// When the next name is due.
    pub fn next_name_due(&self) -> Option<Timestamp> {
        self.lock().store.read(|t| t.next_due(store::DUE_NAMES)).ok().flatten()
    }

    /// Questions (the names to ask a registry for, in their order) that are
    /// due.
    pub fn due_filings(&self, now: Timestamp, most: usize) -> Vec<Vec<String>> {
        let mut inner = self.lock();
        inner.tick(now);
        let due = inner.store.read(|t| t.due(store::DUE_FACTS, now, most)).unwrap_or_default();
        due.iter().map(|q| store::question(q)).collect()
    }

    /// When the next filing is due.
    pub fn next_filing_due(&self) -> Option<Timestamp> {
        self.lock().store.read(|t| t.next_due(store::DUE_FACTS)).ok().flatten()
    }

    /// How many names and filings are due.
    pub fn due_len(&self, now: Timestamp) -> (u64, u64) {
        let inner = self.lock();
        let count = |table| inner.store.read(|t| t.due_len(table, now)).unwrap_or(0);
        (count(store::DUE_NAMES), count(store::DUE_FACTS))
    }

    /// Every filing is to be asked again now: a provider's file was replaced,
    /// or the registries were changed.
    pub fn all_filings_due(&self, now: Timestamp) {
        self.lock().store.write(|t| {
            t.each_fact(|t, key, mut fact| {
                if fact.asking.due > now {
                    t.put_due(store::DUE_FACTS, fact.asking.due, now, key)?;
                    fact.asking.due = now;
                    t.put_fact(key, &fact)?;
                }
                Ok(())
            })
        });
    }

    /// How many reports the hub has taken since the ledger was opened.
    pub fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Acquire)
    }

    /// Whether facts may wait for the hub to be told of their names.
    pub fn unserved(&self) -> bool {
        self.unserved.load(Ordering::Acquire)
    }

    /// The hub has been told of names that it had not heard of: what it did not
    /// answer for that reason is asked again now. Whether there was any.
    pub fn unserved_due(&self, now: Timestamp) -> bool {
        if !self.unserved.swap(false, Ordering::AcqRel) {
            return false;
        }
        self.lock().store.write(|t| {
            let mut any = false;
            t.each_fact(|t, key, mut fact| {
                if fact.asking.unserved {
                    any = true;
                    t.put_due(store::DUE_FACTS, fact.asking.due, now, key)?;
                    // Once for one receipt.
                    fact.asking = remember::Asking { due: now, unserved: false, ..fact.asking };
                    t.put_fact(key, &fact)?;
                }
                Ok(())
            })?;
            Ok(any)
        })
    }

    /// Every name is to be resolved again now: this server's addresses, or
    /// the resolvers, were changed.
    pub fn all_names_due(&self, now: Timestamp) {
        self.lock().store.write(|t| {
            t.each_kept_mut(|t, name, mut kept| {
                if !kept.question.is_empty() && kept.dns.due > now {
                    t.put_due(store::DUE_NAMES, kept.dns.due, now, name)?;
                    kept.dns.due = now;
                    t.put_kept(name, &kept)?;
                }
                Ok(())
            })
        });
    }

    /// Takes in where names lead; the verdicts that changed by it.
    pub fn record_exposures(&self, found: Vec<(String, Exposure)>, now: Timestamp) -> Vec<Transition> {
        let mut inner = self.lock();
        inner.tick(now);
        let (policy, old_summary) = (inner.policy, inner.summary);
        let mut summary = old_summary;
        let transitions = inner.store.write(|t| {
            // This may run twice.
            summary = old_summary;
            let mut out = Vec::new();
            for (name, exposure) in &found {
                let Some(mut kept) = t.kept(name)? else { continue };
                let (before, due) = (kept.row.verdict, kept.dns.due);
                kept.observe(exposure.clone(), &policy, now, rand::random());
                t.put_due(store::DUE_NAMES, due, kept.dns.due, name)?;
                let fact = t.fact(&store::key(&kept.question))?;
                store::settle(t, name, &mut kept, fact.as_ref(), now, &mut out)?;
                store::recount(&mut summary, Some(before), Some(kept.row.verdict));
            }
            Ok(out)
        });
        inner.summary = summary;
        self.changed();
        transitions
    }

    /// Takes in what the registries said; the verdicts that changed by it.
    pub fn record_filings(&self, found: Vec<(Vec<String>, Filing)>, now: Timestamp) -> Vec<Transition> {
        let mut inner = self.lock();
        inner.tick(now);
        let (policy, old_summary) = (inner.policy, inner.summary);
        let mut summary = old_summary;
        let mut unserved = false;
        let transitions = inner.store.write(|t| {
            // This may run twice.
            summary = old_summary;
            let mut out = Vec::new();
            for (question, filing) in &found {
                let key = store::key(question);
                let Some(mut fact) = t.fact(&key)? else { continue };
                let due = fact.asking.due;
                fact.observe(filing.clone(), &policy, now, rand::random());
                unserved |= fact.asking.unserved;
                t.put_due(store::DUE_FACTS, due, fact.asking.due, &key)?;
                t.put_fact(&key, &fact)?;
                for name in t.uses(&key)? {
                    let Some(mut kept) = t.kept(&name)? else { continue };
                    let before = kept.row.verdict;
                    store::settle(t, &name, &mut kept, Some(&fact), now, &mut out)?;
                    store::recount(&mut summary, Some(before), Some(kept.row.verdict));
                }
            }
            Ok(out)
        });
        if unserved {
            self.unserved.store(true, Ordering::Release);
        }
        inner.summary = summary;
        self.changed();
        transitions
    }

    /// Keeps the ledger below its ceiling, and moves it back to the disk once
    /// that works again. Called every few minutes; takes longer only when
    /// there is something to do.
    pub fn maintain(&self, now: Timestamp) {
        let mut inner = self.lock();
        inner.tick(now);
        inner.store.maintain(now);
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic between two statements leaves no half of a transaction.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Fills what is kept in memory from the rows.
    fn recount(&mut self) {
        let mut summary = Summary::default();
        let mut frames = HashMap::new();
        let hasher = &self.hasher;
        let _ = self.store.read(|t| {
            summary = Summary::default();
            frames.clear();
            t.each_kept(|k| {
                store::recount(&mut summary, None, Some(k.row.verdict));
                let (name, frame) = scan::hashes(hasher, &k.row, &k.question);
                frames.insert(name, frame);
                Ok(())
            })
        });
        (self.summary, self.frames) = (summary, frames);
    }

    /// A clock that jumped back would leave everything due far in the future:
    /// nothing may wait longer than its own time from now.
    fn tick(&mut self, now: Timestamp) {
        let back = self.clock.duration_since(now);
        self.clock = now;
        if back > jiff::SignedDuration::from_secs(60) {
            let policy = self.policy;
            self.store.write(|t| store::pull_in(t, &policy, now));
        }
    }
}

#[cfg(test)]
mod tests;

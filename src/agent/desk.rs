//! What polling and the local commands are answered from.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::discover::watch::Watch;
use crate::facts::{Server, Verdict, Why};
use crate::ledger::{CEILING, Ledger};
use crate::names::{self, NameClass};
use crate::telemetry::Metrics;
use crate::telemetry::event::RegistryChanged;
use crate::uplink::serve::{
    Desk, Freshness, HubState, LastScan, LedgerState, Named, Packed, RegistryState, ResolverState,
    STATUS_SCHEMA, Status, WatchState, WrongName,
};

use super::scanner::Scanner;

/// Names that the status lists.
const WRONG_MOST: usize = 20;

/// What the stages leave here for whoever asks.
pub struct Board {
    pub ledger: Arc<Ledger>,
    pub metrics: Arc<Metrics>,
    ledger_path: PathBuf,
    started: (Timestamp, Instant),
    ready: AtomicBool,
    notes: Mutex<Notes>,
    packed: Mutex<Option<(u64, Packed)>>,
}

/// What changes while the daemon runs.
#[derive(Default)]
pub struct Notes {
    pub doing: String,
    pub last_scan: Option<LastScan>,
    pub next_scan: Option<Timestamp>,
    pub watch: Option<Arc<Watch>>,
    pub scanner: Option<Scanner>,
    pub registries: BTreeMap<String, RegistryState>,
    pub resolver: ResolverState,
    pub hub: Option<HubState>,
    pub agent_id: Option<String>,
}

impl Board {
    pub fn new(ledger: Arc<Ledger>, metrics: Arc<Metrics>, ledger_path: PathBuf) -> Board {
        Board {
            ledger,
            metrics,
            ledger_path,
            started: (Timestamp::now(), Instant::now()),
            ready: AtomicBool::new(false),
            notes: Mutex::default(),
            packed: Mutex::new(None),
        }
    }

    /// The first scan is done; or the daemon ends.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call to a registry ended.
    pub fn registry_called(&self, name: &str, outcome: &'static str, took: Duration) {
        self.metrics.registry(name, outcome, took);
        let why = (outcome != "ok").then(|| outcome.parse::<Why>().unwrap_or(Why::Unavailable));
        let before = {
            let mut notes = self.notes();
            let state = notes.registries.entry(name.to_owned()).or_insert_with(|| RegistryState {
                name: name.to_owned(),
                ok: None,
                error: None,
                since: None,
            });
            let before = state.error.as_deref().and_then(|e| e.parse::<Why>().ok());
            if state.ok.is_none() || before != why {
                state.since = Some(Timestamp::now());
            }
            state.ok = Some(why.is_none());
            state.error = why.map(|w| w.as_str().to_owned());
            before
        };
        RegistryChanged { registry: name, why, before }.emit();
    }

    /// One name was asked of DNS.
    pub fn dns_called(&self, outcome: &'static str, took: Duration) {
        self.metrics.dns(outcome, took);
        let ok = outcome == "ok";
        let mut notes = self.notes();
        let state = &mut notes.resolver;
        if state.ok != Some(ok) || state.error.as_deref() != (!ok).then_some(outcome) {
            *state = ResolverState {
                ok: Some(ok),
                error: (!ok).then(|| outcome.to_owned()),
                since: Some(Timestamp::now()),
            };
        }
    }

    /// Numbers that are looked up rather than counted.
    pub fn measure(&self) {
        let health = self.ledger.health();
        self.metrics.set_names(&self.ledger.summary());
        self.metrics.set_outbox(health.untold, health.oldest);
        self.metrics.set_ledger(health.bytes);
        if let Some(watch) = self.notes().watch.clone() {
            let state = watch.state();
            self.metrics.set_watch(state.watched, state.degraded.is_some());
        }
    }
}

impl Desk for Board {
    fn report(&self) -> io::Result<Packed> {
        let generation = self.ledger.generation();
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, packed)) = &*packed
            && *of == generation
        {
            return Ok(packed.clone());
        }
        let new = Packed::of(|w| self.ledger.write_report(w))?;
        *packed = Some((generation, new.clone()));
        Ok(new)
    }

    fn status(&self) -> Status {
        let (health, meta) = (self.ledger.health(), self.ledger.meta());
        let now = Timestamp::now();
        let (mut wrong, mut stale) = (Vec::new(), 0);
        self.ledger.rows(|row| {
            stale += u64::from(row.stale);
            if matches!(row.verdict, Verdict::Violation | Verdict::Suspected) {
                wrong.push(WrongName {
                    name: row.name,
                    unicode: row.unicode,
                    verdict: row.verdict,
                    reason: row.reason,
                    exposed_since: row.exposed_since,
                });
                // Violations first; no more than are shown.
                wrong.sort_by_key(|w| w.verdict);
                wrong.truncate(WRONG_MOST);
            }
        });
        let (names_due, filings_due) = self.ledger.due_len(now);
        let next = [self.ledger.next_name_due(), self.ledger.next_filing_due()].into_iter().flatten().min();
        let watch = self.notes().watch.clone().map(|w| w.state());
        let notes = self.notes();
        let hub = notes.hub.clone().map(|h| HubState { outbox: health.untold, oldest: health.oldest, ..h });
        Status {
            schema: STATUS_SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            agent_id: notes.agent_id.clone(),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            started_at: self.started.0,
            uptime: self.started.1.elapsed().as_secs(),
            ready: self.ready(),
            doing: notes.doing.clone(),
            last_scan: notes.last_scan.clone(),
            next_scan: notes.next_scan,
            summary: self.ledger.summary(),
            wrong,
            findings: meta.findings.len(),
            problems: meta.problems.len(),
            addresses: meta.addresses,
            watch: watch.map_or_else(WatchState::default, |w| WatchState {
                folders: w.watched as u64,
                degraded: w.degraded,
            }),
            freshness: Freshness { due: names_due + filings_due, next, stale },
            registries: notes.registries.values().cloned().collect(),
            resolver: notes.resolver.clone(),
            hub,
            losses: self.ledger.losses(),
            ledger: LedgerState {
                path: self.ledger_path.display().to_string(),
                bytes: health.bytes,
                ceiling: CEILING,
                in_memory: health.in_memory.is_some(),
                error: health.in_memory,
            },
        }
    }

    fn metrics(&self) -> String {
        self.measure();
        self.metrics.encode()
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn name(&self, name: &str) -> io::Result<Option<Named>> {
        Ok(named(&self.ledger, name))
    }

    fn scan(&self) {
        if let Some(scanner) = &self.notes().scanner {
            scanner.all("request");
        }
    }
}

/// What a ledger holds of a name as typed.
pub fn named(ledger: &Ledger, typed: &str) -> Option<Named> {
    let (mut rows, mut history) = (Vec::new(), Vec::new());
    for class in names::classify(typed, Server::Nginx) {
        let name = match class {
            NameClass::Judged(t) => t.name,
            NameClass::NotApplicable { name, .. } => name,
            _ => continue,
        };
        rows.extend(ledger.row(&name));
        history.extend(ledger.history(&name));
    }
    history.sort_by_key(|t: &crate::facts::Transition| std::cmp::Reverse(t.at));
    (!rows.is_empty() || !history.is_empty()).then(|| Named::new(rows, history))
}

//! The two loops that keep facts fresh: one asks DNS, one the registries.
//! They run apart, so that a slow registry never delays DNS; each takes a
//! small batch of what the ledger says is due, and what was never asked comes
//! first.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, watch};

use crate::audit::PUBLIC_ADDRESS_UNKNOWN;
use crate::facts::{Exposure, ExposureState, Filing, Problem, Server, Transition};
use crate::filing::{Ask, Registries};
use crate::ledger::Ledger;
use crate::names::{self, NameClass, Target};
use crate::resolve::Resolver;

use super::beat::Stage;

/// Names that are asked of DNS in one batch, and then remembered at once.
const NAMES_AT_A_TIME: usize = 128;
/// Without anything due, a loop looks again after this time at the latest,
/// and shows that it is alive.
const LOOK_AGAIN: Duration = Duration::from_secs(20);
/// A loop that waits is heard of within this time.
pub(super) const ALIVE: Duration = Duration::from_secs(60);
/// One batch takes no longer, or the stage hangs: names and registries are
/// bounded by their own timeouts far below.
const BATCH: Duration = Duration::from_secs(900);

/// What a loop tells the daemon.
#[derive(Debug)]
pub enum Told {
    /// Verdicts that changed.
    Transitions(Vec<Transition>),
    /// Only private addresses of this server are known, and names lead to
    /// public ones (contract-details Q18).
    BehindNat(bool),
    /// What the registries' operators should know, as of the last batch.
    Registries(Vec<Problem>),
    /// The hub answers some questions only after the next report.
    Unserved,
}

/// What both loops need.
#[derive(Clone)]
pub struct Judge {
    pub ledger: Arc<Ledger>,
    /// Something may be due: a scan has found names.
    pub nudge: Arc<Notify>,
    pub told: UnboundedSender<Told>,
}

impl Judge {
    /// Asks DNS for what is due, for ever.
    pub async fn exposures(self, resolver: watch::Receiver<Arc<Resolver>>, stage: Stage) {
        loop {
            let due = self.ledger.due_names(Timestamp::now(), NAMES_AT_A_TIME);
            let targets: Vec<Target> = due.iter().filter_map(|name| target(name)).collect();
            if targets.is_empty() {
                self.wait(self.ledger.next_name_due(), &stage).await;
                continue;
            }
            stage.within(BATCH);
            let asker = resolver.borrow().clone();
            let exposures = asker.exposures(&targets, &|| {}).await;
            let nat = exposures.iter().any(|e| e.why.as_deref() == Some(PUBLIC_ADDRESS_UNKNOWN));
            let known = exposures.iter().any(|e| e.state == ExposureState::Here);
            if nat || known {
                let _ = self.told.send(Told::BehindNat(nat));
            }
            let found: Vec<(String, Exposure)> = targets.into_iter().map(|t| t.name).zip(exposures).collect();
            self.tell(self.ledger.record_exposures(found, Timestamp::now()));
            tokio::task::yield_now().await;
        }
    }

    /// Asks the registries for what is due, for ever.
    pub async fn filings(self, registries: Arc<Registries>, stage: Stage) {
        loop {
            if registries.files_changed() {
                self.ledger.all_filings_due(Timestamp::now());
            }
            let asks: Vec<Ask> = self
                .ledger
                .due_filings(Timestamp::now(), registries.at_a_time())
                .into_iter()
                .map(|names| Ask { names })
                .collect();
            if asks.is_empty() {
                self.wait(self.ledger.next_filing_due(), &stage).await;
                continue;
            }
            stage.within(BATCH);
            let deliveries = self.ledger.deliveries();
            let answers = registries.lookup(&asks, &|| {}).await;
            let found: Vec<(Vec<String>, Filing)> =
                asks.into_iter().map(|a| a.names).zip(answers.filings).collect();
            let _ = self.told.send(Told::Registries(answers.problems));
            self.tell(self.ledger.record_filings(found, Timestamp::now()));
            if self.ledger.deliveries() != deliveries {
                // The report came to the hub while it was asked.
                self.ledger.unserved_due(Timestamp::now());
            }
            tokio::task::yield_now().await;
        }
    }

    fn tell(&self, transitions: Vec<Transition>) {
        if self.ledger.unserved() {
            let _ = self.told.send(Told::Unserved);
        }
        if !transitions.is_empty() {
            // The daemon is draining when nobody listens: the ledger has them.
            let _ = self.told.send(Told::Transitions(transitions));
        }
    }

    async fn wait(&self, next: Option<Timestamp>, stage: &Stage) {
        stage.within(ALIVE);
        let until = next
            .and_then(|t| Duration::try_from(t.duration_since(Timestamp::now())).ok())
            .unwrap_or(LOOK_AGAIN)
            .clamp(Duration::from_millis(50), LOOK_AGAIN);
        tokio::select! {
            () = self.nudge.notified() => {}
            () = tokio::time::sleep(until) => {}
        }
    }
}

/// What to ask for a row's name.
fn target(name: &str) -> Option<Target> {
    names::classify(name, Server::Nginx).into_iter().find_map(|class| match class {
        NameClass::Judged(t) if t.name == name => Some(t),
        _ => None,
    })
}

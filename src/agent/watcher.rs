//! Takes the courier's news to the journal, the metrics and the status, and to
//! whoever waits for them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use crate::ledger::Ledger;
use crate::telemetry::Metrics;
use crate::telemetry::event::{HubCalled, HubOutcome};
use crate::uplink::push::{Called, Observer, Waiting};
use crate::uplink::serve::Delivery;
use crate::uplink::{Enrolment, HubSettings};

use super::beat::Stage;
use super::desk::Board;
use super::hub::Renewal;

pub(super) struct Watcher {
    pub ledger: Arc<Ledger>,
    pub board: Arc<Board>,
    pub metrics: Arc<Metrics>,
    /// How the call before ended.
    pub before: Mutex<Option<HubOutcome>>,
    /// The last report did not get through.
    pub failing: AtomicBool,
    pub stage: Stage,
    pub enrolment: Enrolment,
    pub state_dir: PathBuf,
    /// Wakes whoever asks for filings.
    pub filings: Arc<Notify>,
    pub renew: UnboundedSender<Renewal>,
}

impl Watcher {
    /// The hub knows more names than before.
    fn served(&self) {
        let (ledger, filings) = (self.ledger.clone(), self.filings.clone());
        tokio::task::spawn_blocking(move || {
            if ledger.unserved_due(Timestamp::now()) {
                filings.notify_one();
            }
        });
    }
}

impl Observer for Watcher {
    fn called(&self, called: Called) {
        let now = Timestamp::now();
        let delivered = called.outcome == HubOutcome::Delivered;
        if called.report {
            self.failing.store(!delivered, Ordering::Relaxed);
        }
        // A heartbeat between two tries says nothing of the report.
        let between = !called.report && self.failing.load(Ordering::Relaxed);
        let before = if between {
            Some(called.outcome)
        } else {
            let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
            before.replace(called.outcome)
        };
        HubCalled { outcome: called.outcome, before, sequence: called.sequence, at: now }.emit(&self.metrics);
        if let Some(ms) = called.skew_ms {
            self.metrics.set_clock_skew(ms as f64 / 1000.0);
        }
        if let Some(state) = &mut self.board.notes().hub {
            // The status says how far this server is ahead, not the hub.
            state.skew_ms = called.skew_ms.map(|ms| -ms).or(state.skew_ms);
            if called.report && delivered {
                state.last_delivery = Some(Delivery { at: now, sequence: called.sequence });
            }
            if !between {
                state.last_error = called.error.filter(|_| !delivered);
                state.next_try = called.next_try;
            }
        }
        if called.report && delivered {
            self.served();
        }
    }

    fn waiting(&self) -> Waiting {
        let health = self.ledger.health();
        Waiting { untold: health.untold, oldest: health.oldest }
    }

    fn alive(&self, within: Duration) {
        self.stage.within(within);
    }

    fn settings(&self, new: HubSettings) {
        let (enrolment, dir) = (self.enrolment.clone(), self.state_dir.clone());
        let renew = self.renew.clone();
        tokio::task::spawn_blocking(move || match enrolment.keep_settings(new, &dir) {
            Ok(Some(_)) => {
                let _ = renew.send(Renewal::Settings);
            }
            // Enrolled anew meanwhile: that holds with the next reload.
            Ok(None) => {}
            Err(e) => {
                tracing::error!(target: "beian", "the hub's new settings could not be kept: {e}");
            }
        });
    }
}

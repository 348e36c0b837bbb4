//! Problems that are of no scan, and stand until their cause is gone.

use crate::audit;
use crate::facts::Problem;
use crate::ledger::Ledger;
use crate::telemetry::Metrics;
use crate::telemetry::event::ProblemSeen;

/// Problems that are not of a scan: they stand beside its own.
#[derive(Default)]
pub(super) struct Standing {
    registries: Vec<Problem>,
    nat: bool,
}

impl Standing {
    pub(super) fn registries(&mut self, problems: Vec<Problem>, ledger: &Ledger, metrics: &Metrics) {
        if self.registries != problems {
            for new in problems.iter().filter(|p| !self.registries.contains(p)) {
                ProblemSeen(new).emit(metrics);
            }
            self.registries = problems;
            self.write(ledger);
        }
    }

    pub(super) fn behind_nat(&mut self, is: bool, ledger: &Ledger, metrics: &Metrics) {
        if self.nat != is {
            self.nat = is;
            if is {
                ProblemSeen(&audit::public_address_unknown()).emit(metrics);
            }
            self.write(ledger);
        }
    }

    fn write(&self, ledger: &Ledger) {
        let mut all = self.registries.clone();
        if self.nat {
            all.push(audit::public_address_unknown());
        }
        ledger.set_standing_problems(&all);
    }
}

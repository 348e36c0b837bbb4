//! What happens in the daemon, one struct an event: `emit` writes the log and
//! counts the metric. Journal fields are the names here in capitals
//! (`beian_verdict` is `BEIAN_VERDICT`).
//!
//! Names and paths come from hostile files: control characters are spelled
//! out, lengths are bounded, and nothing of theirs starts a new line.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;

use crate::facts::{Finding, Loss, Problem, Row, Transition, Verdict, Why};

use super::{Metrics, visible};

/// The verdict field of a name that is not served any more.
pub const NOT_SERVED: &str = "not_served";

/// Longest text of others in a log field, in bytes: a path (PATH_MAX is 4096)
/// is cut rarely, a name never.
const LONGEST: usize = 1024;

/// Foreign text as it may stand in a log.
fn clean(s: &str) -> Cow<'_, str> {
    let mut end = s.len().min(LONGEST);
    while !s.is_char_boundary(end) {
        end -= 1;
    }
    let shown = visible(s.get(..end).unwrap_or_default());
    if end < s.len() { Cow::Owned(format!("{shown}…")) } else { shown }
}

fn clean_option(s: Option<&str>) -> Option<Cow<'_, str>> {
    s.map(clean)
}

/// A callsite has one level, so there are two of them.
macro_rules! say {
    (warn if $loud:expr; $($rest:tt)+) => {
        if $loud { tracing::warn!(target: "beian", $($rest)+) } else { tracing::info!(target: "beian", $($rest)+) }
    };
}

/// A name's verdict changed.
#[derive(Debug, Clone, Copy)]
pub struct VerdictChanged<'a> {
    /// What changed.
    pub transition: &'a Transition,
    /// The row where the transition does not carry it.
    pub row: Option<&'a Row>,
}

impl VerdictChanged<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        let t = self.transition;
        let row = t.row.as_deref().or(self.row);
        let place = row.and_then(|r| r.served_by.first());
        let verdict = t.to.map_or(NOT_SERVED, |s| s.verdict.as_str());
        let from = t.from.map(|s| s.verdict.as_str());
        let name = clean(&t.name);
        let file = clean_option(place.map(|p| p.file.as_str()));
        let apex = clean_option(row.and_then(|r| r.apex.as_deref()));
        let loud = t.to.is_some_and(|s| matches!(s.verdict, Verdict::Violation | Verdict::Suspected));
        metrics.count_transition(verdict);
        say!(warn if loud;
            beian_name = name.as_ref(),
            beian_verdict = verdict,
            beian_reason = t.to.map(|s| s.reason.as_str()),
            beian_stale = t.to.map(|s| s.stale),
            beian_from = from,
            beian_file = file.as_deref(),
            beian_line = place.map(|p| p.line),
            beian_apex = apex.as_deref(),
            beian_transition = t.id.as_str(),
            "{name} is {}{}{}",
            words(verdict),
            t.to.map_or_else(String::new, |s| format!(" ({})", words(s.reason.as_str()))),
            from.map_or_else(|| ", newly seen".to_owned(), |f| format!(", before that {}", words(f))),
        );
    }
}

/// `not_filed` as a sentence has it.
fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// Something was not read, or should be known. Emit it when it appears, not at
/// every scan that still sees it.
#[derive(Debug, Clone, Copy)]
pub struct ProblemSeen<'a>(pub &'a Problem);

impl ProblemSeen<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        let p = self.0;
        let file = clean_option(p.file.as_deref());
        let registry = clean_option(p.registry.as_deref());
        metrics.count_problem(p.kind);
        tracing::warn!(
            target: "beian",
            beian_problem = p.kind.as_str(),
            beian_file = file.as_deref(),
            beian_line = p.line,
            beian_registry = registry.as_deref(),
            "{}",
            clean(&p.message)
        );
    }
}

/// Something is wrong with a site. Emit it when it appears.
#[derive(Debug, Clone, Copy)]
pub struct FindingSeen<'a>(pub &'a Finding);

impl FindingSeen<'_> {
    /// Logs it; the count of what stands comes with the scan.
    pub fn emit(&self) {
        let f = self.0;
        let file = clean(&f.file);
        tracing::warn!(
            target: "beian",
            beian_finding = f.kind.as_str(),
            beian_server = f.server.as_str(),
            beian_file = file.as_ref(),
            beian_line = f.line,
            "{}",
            clean(&f.detail)
        );
    }
}

/// The agent lost something of what it should remember or tell.
#[derive(Debug, Clone, Copy)]
pub struct LossNoted<'a>(pub &'a Loss);

impl LossNoted<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        let l = self.0;
        metrics.count_loss(l.kind, l.count);
        tracing::error!(
            target: "beian",
            beian_loss = l.kind.as_str(),
            beian_count = l.count,
            "{}",
            clean(&l.detail)
        );
    }
}

/// A scan ended.
#[derive(Debug, Clone, Copy)]
pub struct ScanDone<'a> {
    /// Why it was made, in a word: `start`, `change`, `timer`, `signal`.
    pub trigger: &'static str,
    /// Whether everything was read.
    pub complete: bool,
    /// How long it took.
    pub took: Duration,
    /// Files read in it.
    pub files: u64,
    /// Sites found.
    pub sites: usize,
    /// What was not read.
    pub problems: &'a [Problem],
    /// What is wrong with sites.
    pub findings: &'a [Finding],
    /// When it ended.
    pub ended: Timestamp,
}

impl ScanDone<'_> {
    /// Logs and counts it.
    pub fn emit(&self, metrics: &Metrics) {
        metrics.count_scan(self.complete, self.took, self.files, self.ended);
        metrics.set_wrongs(self.problems, self.findings);
        say!(warn if !self.complete;
            beian_event = "scan",
            beian_trigger = self.trigger,
            beian_complete = self.complete,
            beian_milliseconds = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            beian_files = self.files,
            beian_sites = self.sites,
            "scan ended: {} sites in {} files{}",
            self.sites,
            self.files,
            if self.complete { "" } else { "; not everything could be read" },
        );
    }
}

/// How a call to the hub ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubOutcome {
    /// It gave a receipt.
    Delivered,
    /// It cannot be reached, or is out of order; tried again.
    Unreachable,
    /// It asks to wait.
    Throttled,
    /// It does not know this agent, or its key.
    Unauthorised,
    /// It refuses this report for good.
    Refused,
    /// Its answer is not one of a hub (a proxy's page, say).
    Malformed,
}

impl HubOutcome {
    /// The word in the log and the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            HubOutcome::Delivered => "delivered",
            HubOutcome::Unreachable => "unreachable",
            HubOutcome::Throttled => "throttled",
            HubOutcome::Unauthorised => "unauthorised",
            HubOutcome::Refused => "refused",
            HubOutcome::Malformed => "malformed",
        }
    }
}

/// One call to the hub ended.
#[derive(Debug, Clone, Copy)]
pub struct HubCalled {
    /// How.
    pub outcome: HubOutcome,
    /// How the call before it ended: only a change is worth a line.
    pub before: Option<HubOutcome>,
    /// The report's or heartbeat's sequence.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
}

impl HubCalled {
    /// Counts it, and logs it where it differs from the one before.
    pub fn emit(&self, metrics: &Metrics) {
        let delivered = self.outcome == HubOutcome::Delivered;
        metrics.count_hub(self.outcome.as_str(), delivered.then_some(self.at));
        if self.before == Some(self.outcome) {
            return;
        }
        say!(warn if !delivered;
            beian_event = "hub",
            beian_hub = self.outcome.as_str(),
            beian_from = self.before.map(HubOutcome::as_str),
            beian_sequence = self.sequence,
            "{}",
            match self.outcome {
                HubOutcome::Delivered => "the hub takes reports",
                HubOutcome::Unreachable => "the hub cannot be reached; reports are kept",
                HubOutcome::Throttled => "the hub asks to wait; reports are kept",
                HubOutcome::Unauthorised => "the hub does not accept this agent; reports are kept",
                HubOutcome::Refused => "the hub refuses a report",
                HubOutcome::Malformed => "what answers for the hub is no hub; reports are kept",
            },
        );
    }
}

/// A registry began or stopped giving answers.
#[derive(Debug, Clone, Copy)]
pub struct RegistryChanged<'a> {
    /// Its name in the settings.
    pub registry: &'a str,
    /// Why it gives none now; `None`: it does.
    pub why: Option<Why>,
    /// Why it gave none before.
    pub before: Option<Why>,
}

impl RegistryChanged<'_> {
    /// Logs it where it is a change. Answers are counted one by one
    /// ([`Metrics::registry`]).
    pub fn emit(&self) {
        if self.why == self.before {
            return;
        }
        let registry = clean(self.registry);
        say!(warn if self.why.is_some();
            beian_event = "registry",
            beian_registry = registry.as_ref(),
            beian_why = self.why.map(Why::as_str),
            beian_from = self.before.map(Why::as_str),
            "{}",
            match self.why {
                Some(why) => format!("registry {registry} gives no answers ({})", words(why.as_str())),
                None => format!("registry {registry} gives answers again"),
            },
        );
    }
}

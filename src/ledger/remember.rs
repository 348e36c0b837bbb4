//! Observations to state: pure, no I/O. What holds, what is stale, when to ask
//! again (contract-details Q24), and the order of things: first seen, exposed
//! since, filed since (rules.md, "First file, then connect").

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz};
use serde::{Deserialize, Serialize};

use crate::config::Freshness;
use crate::facts::{
    AccessState, Exposure, ExposureState, Filing, FilingState, Reason, Row, SourceAnswer, SourceState,
    Standing, Verdict, Why,
};
use crate::verdict;

/// How long a confirmed exposure holds while asking fails (Q24).
const EXPOSURE_MOST: SignedDuration = SignedDuration::from_hours(24);
/// The least pause before a hub that has not asked yet is asked again.
const UNSERVED: SignedDuration = SignedDuration::from_secs(5);
/// The word of an exposure that nobody has asked for yet.
pub(super) const NOT_ASKED: &str = "not_asked";

/// How a fact stands with its asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asking {
    /// When it was last confirmed.
    pub(super) confirmed: Option<Timestamp>,
    /// Failures since.
    pub(super) failures: u32,
    /// When to ask again.
    pub(super) due: Timestamp,
    /// It was asked at least once.
    pub(super) asked: bool,
    /// The hub answers only once a report has told it of the name.
    #[serde(default)]
    pub(super) unserved: bool,
}

impl Asking {
    /// Not asked yet; due at once, before all that was asked before.
    pub(super) fn new() -> Asking {
        Asking { confirmed: None, failures: 0, due: Timestamp::UNIX_EPOCH, asked: false, unserved: false }
    }
}

/// One served name as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) row: Row,
    /// The question whose filing the row shows; empty where nothing is asked.
    pub(super) question: Vec<String>,
    pub(super) dns: Asking,
    /// What was last told; `None` until all facts were asked for once.
    pub(super) told: Option<Standing>,
}

/// One filing as the ledger keeps it: of every name that rests on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fact {
    pub(super) filing: Filing,
    pub(super) asking: Asking,
    /// The last try failed; `filing` is what was confirmed before.
    pub(super) stale: bool,
}

impl Fact {
    /// Nobody has asked yet.
    pub(super) fn new() -> Fact {
        Fact { filing: Filing::unknown(Why::NotAsked), asking: Asking::new(), stale: false }
    }

    /// Takes a new answer in. A failure leaves what was confirmed, as stale,
    /// until twice its time; only then nobody knows.
    pub(super) fn observe(&mut self, new: Filing, policy: &Freshness, now: Timestamp, spread: f64) {
        let unserved = new.sources.iter().any(|s| s.error == Some(Why::NotAsked));
        self.asking.unserved = unserved;
        // Until a report has told the hub of the name, nobody was asked: that
        // is no news for the very report.
        self.asking.asked |= !(unserved && is_failure(&new));
        let failed =
            is_failure(&new) || (self.asking.confirmed.is_some() && lost_a_voice(&self.filing, &new));
        if !failed {
            let holds = holds(&new, policy);
            self.asking = Asking {
                confirmed: Some(now),
                failures: 0,
                due: now + spread_over(holds, spread),
                asked: true,
                unserved,
            };
            self.filing = new;
            self.stale = false;
            self.filing.expires_at = Some(self.asking.due);
            return;
        }
        self.asking.failures = self.asking.failures.saturating_add(1);
        self.asking.due = now + backoff(self.asking.failures, policy);
        if let Some(ready) = new.expires_at.filter(|_| unserved) {
            // The hub says when it will know.
            self.asking.due = ready.max(now + UNSERVED).min(self.asking.due);
        }
        let limit = signed(holds(&self.filing, policy)).saturating_mul(2);
        if self.asking.confirmed.is_some_and(|t| age(t, now) < limit) {
            self.stale = true;
        } else {
            // Nothing certain is left; where one source still speaks, its
            // word is in the new answer.
            self.filing = if is_failure(&new) { new } else { unknown_of(new) };
            self.asking.confirmed = None;
            self.stale = false;
        }
        self.filing.expires_at = Some(self.asking.due);
    }
}

/// A fact that could not be asked again for too long does not hold any more,
/// whether or not it was asked meanwhile.
pub(super) fn expire_exposure(kept: &mut Kept, now: Timestamp) {
    if kept.dns.failures > 0
        && kept.dns.confirmed.is_some_and(|t| age(t, now) >= EXPOSURE_MOST)
        && let Some(e) = &mut kept.row.exposure
    {
        e.state = ExposureState::Unknown;
        kept.dns.confirmed = None;
    }
}

impl Kept {
    /// A name that was not there before.
    pub(super) fn new(frame: Row, question: Vec<String>) -> Kept {
        let judged = !question.is_empty();
        let mut kept = Kept { row: frame, question, dns: Asking::new(), told: None };
        if judged {
            kept.row.verdict = Verdict::Unconfirmed;
            kept.row.reason = Reason::FilingUnknown;
            kept.row.exposure = Some(Exposure {
                state: ExposureState::Unknown,
                addresses: Vec::new(),
                cname: Vec::new(),
                checked_at: kept.row.first_seen,
                why: Some(NOT_ASKED.to_owned()),
                asked: Vec::new(),
                ttl: None,
            });
            kept.row.filing = Some(Filing::unknown(Why::NotAsked));
        }
        kept
    }

    /// The configuration says something else of this name than before: where
    /// it is served, or whether it is judged at all.
    pub(super) fn reframe(&mut self, frame: Row, question: Vec<String>) {
        let mut new = Kept::new(frame, question);
        new.row.first_seen = self.row.first_seen.min(new.row.first_seen);
        new.row.connected_before_filing = self.row.connected_before_filing;
        new.told = self.told;
        if new.question.is_empty() == self.question.is_empty() {
            new.row.exposure = self.row.exposure.take().or(new.row.exposure);
            new.row.filing = self.row.filing.take().or(new.row.filing);
            new.row.exposed_since = self.row.exposed_since;
            new.row.filed_since = self.row.filed_since.take();
            if !new.question.is_empty() {
                (new.row.verdict, new.row.reason) = (self.row.verdict, self.row.reason);
            }
            new.row.stale = self.row.stale;
            new.dns = self.dns;
        }
        *self = new;
    }

    /// Takes a new exposure in; the verdict follows with [`Kept::judge`].
    pub(super) fn observe(&mut self, new: Exposure, policy: &Freshness, now: Timestamp, spread: f64) {
        self.dns.asked = true;
        if new.state != ExposureState::Unknown {
            let ttl =
                Duration::from_secs(u64::from(new.ttl.unwrap_or(0))).clamp(policy.dns_min, policy.dns_max);
            self.dns = Asking {
                confirmed: Some(now),
                failures: 0,
                due: now + spread_over(ttl, spread),
                asked: true,
                unserved: false,
            };
            match new.state {
                ExposureState::Here => {
                    self.row.exposed_since.get_or_insert(new.checked_at);
                }
                _ => self.row.exposed_since = None,
            }
            self.row.exposure = Some(new);
            return;
        }
        self.dns.failures = self.dns.failures.saturating_add(1);
        self.dns.due = now + backoff(self.dns.failures, policy);
        if self.dns.confirmed.is_none_or(|t| age(t, now) >= EXPOSURE_MOST) {
            self.dns.confirmed = None;
            self.row.exposure = Some(new);
        }
    }

    /// The verdict that the facts come to; what it stood at before where that
    /// has changed. Nothing is told before every fact was asked for once.
    pub(super) fn judge(&mut self, fact: Option<&Fact>) -> Option<(Option<Standing>, Standing)> {
        let row = &mut self.row;
        if let (Some(fact), Some(exposure)) = (fact, &row.exposure) {
            let filing = &fact.filing;
            (row.verdict, row.reason) = verdict::judge(filing.state, filing.access, exposure.state);
            row.stale = fact.stale || self.dns.failures > 0 && self.dns.confirmed.is_some();
            let filed = matches!(filing.state, FilingState::Filed | FilingState::Restricted);
            row.filed_since = if filed { filing.approved_on.clone() } else { None };
            let exposed = row.exposed_since.map(day_of);
            // Once so, always so: it is the order of things that counts.
            row.connected_before_filing |= verdict::connected_before_filing(filing, exposed.as_deref());
            row.filing = Some(filing.clone());
            if !(fact.asking.asked && self.dns.asked) {
                return None;
            }
        }
        let standing = Standing { verdict: row.verdict, reason: row.reason, stale: row.stale };
        let before = self.told;
        let same = before.is_some_and(|b| (b.verdict, b.reason) == (standing.verdict, standing.reason));
        if same {
            return None;
        }
        self.told = Some(standing);
        Some((before, standing))
    }
}

/// No usable word about anything.
fn is_failure(f: &Filing) -> bool {
    f.state == FilingState::Unknown && f.access == AccessState::Unknown
}

/// The answer differs from what was confirmed, and only because a source that
/// spoke then failed now: that is a failure, and changes nothing. A source
/// that did speak, and says something else than then, explains a change. A
/// source of the hub's fails with the hub, which stands in its place then.
fn lost_a_voice(old: &Filing, new: &Filing) -> bool {
    if (old.state, old.access) == (new.state, new.access) {
        return false;
    }
    let usable = |s: SourceState| s != SourceState::Unknown;
    let fails = |n: &SourceAnswer| n.error.is_some() && !usable(n.state);
    let in_place =
        new.sources.iter().any(|n| fails(n) && !old.sources.iter().any(|o| o.registry == n.registry));
    let lost = old.sources.iter().filter(|o| usable(o.state)).any(|o| {
        let mut same = new.sources.iter().filter(|n| n.registry == o.registry).peekable();
        if same.peek().is_none() { in_place } else { same.any(fails) }
    });
    let explained = new.sources.iter().any(|n| {
        usable(n.state) && !old.sources.iter().any(|o| o.registry == n.registry && o.state == n.state)
    });
    lost && !explained
}

/// An answer of which a part failed, once what was confirmed has run out: the
/// part that is left must not stand for the whole.
fn unknown_of(f: Filing) -> Filing {
    let why = f.sources.iter().find_map(|s| s.error).unwrap_or(Why::Unavailable);
    Filing { sources: f.sources, filed_for: f.filed_for, ..Filing::unknown(why) }
}

/// How long a filing holds before it is asked again.
pub(super) fn holds(f: &Filing, policy: &Freshness) -> Duration {
    match (f.state, f.access) {
        (FilingState::Filed, AccessState::Pending) => policy.pending,
        (FilingState::Filed, AccessState::Here | AccessState::Unknown) => policy.filed,
        _ => policy.not_filed,
    }
}

/// 5 minutes, doubled with each failure, an hour at most.
fn backoff(failures: u32, policy: &Freshness) -> Duration {
    let doubled = policy.retry_min.saturating_mul(1_u32 << failures.saturating_sub(1).min(16));
    doubled.min(policy.retry_max)
}

/// Between nine tenths of the time and all of it, so that what was asked
/// together is not asked together for ever.
fn spread_over(time: Duration, spread: f64) -> Duration {
    time.mul_f64(0.9 + 0.1 * spread.clamp(0.0, 1.0))
}

/// Never negative: a clock that jumped back makes nothing older.
fn age(since: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(since).max(SignedDuration::ZERO)
}

fn signed(d: Duration) -> SignedDuration {
    SignedDuration::try_from(d).unwrap_or(SignedDuration::MAX)
}

/// The day in the mainland, as filing dates are given.
fn day_of(t: Timestamp) -> String {
    tz::offset(8).to_datetime(t).date().to_string()
}

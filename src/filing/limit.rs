//! How often one source is asked, and when it is left alone.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;

use crate::config::Rate;
use crate::facts::Why;

use super::registry::RETRY_AFTER_MOST;

/// Without `rate`, a source gets this many questions a second.
const DEFAULT_RATE: u32 = 2;
/// Greatest burst, whatever the rate: "500/m" must not open with hundreds.
const BURST_MOST: u32 = 30;

/// One source's queue: its rate, and the silence that it asked for.
pub(super) struct Pace {
    limiter: DefaultDirectRateLimiter,
    hold: Mutex<Hold>,
}

#[derive(Default)]
struct Hold {
    until: Option<Instant>,
    spent: Duration,
}

impl Pace {
    pub(super) fn new(rate: Option<Rate>) -> Pace {
        let (count, per) = rate.map_or((DEFAULT_RATE, Duration::from_secs(1)), |r| (r.count.max(1), r.per));
        let burst = NonZeroU32::new(count.min(BURST_MOST)).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period((per / count).max(Duration::from_nanos(1)))
            .unwrap_or(Quota::per_second(NonZeroU32::MIN));
        Pace { limiter: RateLimiter::direct(quota.allow_burst(burst)), hold: Mutex::default() }
    }

    /// Waits for this source's turn.
    pub(super) async fn ready(&self) {
        loop {
            self.limiter.until_ready().await;
            let until = self.lock().until.filter(|t| *t > Instant::now());
            match until {
                Some(t) => tokio::time::sleep_until(t).await,
                None => return,
            }
        }
    }

    /// Keeps the source silent for `wait`. False where this pass has already
    /// waited as long as it may: then there is no second try.
    pub(super) fn hold(&self, wait: Duration, now: Instant) -> bool {
        let mut hold = self.lock();
        let from = hold.until.filter(|t| *t > now).unwrap_or(now);
        let until = from.max(now + wait);
        let more = until - from;
        if hold.spent + more > RETRY_AFTER_MOST {
            return false;
        }
        hold.spent += more;
        hold.until = Some(until);
        true
    }

    /// A new pass may wait anew.
    pub(super) fn new_pass(&self) {
        self.lock().spent = Duration::ZERO;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Hold> {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Failures in a row after which a source is left alone.
const FAILURES_MOST: u32 = 5;
/// Unusable answers in a row after which it is: a service that has changed its
/// format answers every name, and none usably.
const UNUSABLE_MOST: u32 = 40;
/// Or this much time lost on at least two of them.
const LOST_MOST: Duration = Duration::from_secs(20);
/// How long it is left alone.
pub(super) const REST: Duration = Duration::from_secs(60);
/// How long it is left alone when only the operator can mend it.
pub(super) const OPERATOR_REST: Duration = Duration::from_secs(3600);

/// A source that is left alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub why: Why,
    /// The sentence for the report, where the operator is needed.
    pub message: Option<&'static str>,
    until: Instant,
}

/// Circuit breaker of one source. Open: it is not asked. After its rest it
/// is half open: the first failure opens it again.
#[derive(Default)]
pub(super) struct Breaker {
    open: Option<Open>,
    failures: u32,
    unusable: u32,
    lost: Duration,
}

impl Breaker {
    /// The start of a pass.
    pub(super) fn new_pass(&mut self, now: Instant) {
        self.success();
        if self.open.is_some_and(|o| o.until <= now) {
            self.open = None;
            self.failures = FAILURES_MOST - 1;
        }
    }

    /// Why it is not to be asked.
    pub(super) fn open(&self) -> Option<Open> {
        self.open
    }

    /// It answered.
    pub(super) fn success(&mut self) {
        self.failures = 0;
        self.unusable = 0;
        self.lost = Duration::ZERO;
    }

    /// It failed. True when it has failed often enough.
    pub(super) fn failure(&mut self, took: Duration) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.lost = self.lost.saturating_add(took);
        self.failures >= FAILURES_MOST || (self.failures >= 2 && self.lost >= LOST_MOST)
    }

    /// It answered, but nothing that can be used. True when it has done so
    /// often enough.
    pub(super) fn unusable(&mut self) -> bool {
        self.unusable = self.unusable.saturating_add(1);
        self.unusable >= UNUSABLE_MOST
    }

    /// Whatever kept it from being asked has changed.
    pub(super) fn reset(&mut self) {
        *self = Breaker::default();
    }

    /// Leaves it alone for a time.
    pub(super) fn trip(&mut self, why: Why, message: Option<&'static str>, rest: Duration, now: Instant) {
        if self.open.is_none() {
            let rest = rest.min(OPERATOR_REST);
            self.open = Some(Open { why, message, until: now + rest });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn never_more_than_twice_the_rate_in_a_second() {
        let pace = Pace::new(Some(Rate { count: 4, per: Duration::from_secs(1) }));
        let start = std::time::Instant::now();
        let mut at = Vec::new();
        for _ in 0..12 {
            pace.ready().await;
            at.push(start.elapsed());
        }
        for (i, a) in at.iter().enumerate() {
            let n = at.iter().skip(i).take_while(|b| **b < *a + Duration::from_secs(1)).count();
            assert!(n <= 8, "{n} in a second: {at:?}");
        }
        assert!(at.last().is_some_and(|t| *t > Duration::from_millis(1700)));
    }

    #[test]
    fn a_pass_waits_thirty_seconds_at_most() {
        let pace = Pace::new(None);
        let now = Instant::now();
        let twenty = Duration::from_secs(20);
        assert!(pace.hold(twenty, now));
        assert!(pace.hold(twenty, now), "the same silence counts once");
        assert!(!pace.hold(twenty, now + twenty));
        assert!(pace.hold(twenty, now + Duration::from_secs(5)), "five seconds more");
        pace.new_pass();
        assert!(pace.hold(twenty, now + twenty));
    }

    #[tokio::test]
    async fn nobody_asks_during_a_silence() {
        let pace = Pace::new(Some(Rate { count: 100, per: Duration::from_secs(1) }));
        pace.ready().await;
        let start = Instant::now();
        assert!(pace.hold(Duration::from_millis(300), start));
        futures::future::join_all((0..5).map(|_| pace.ready())).await;
        assert!(start.elapsed() >= Duration::from_millis(300));
    }

    #[test]
    fn opens_rests_and_probes() {
        let mut b = Breaker::default();
        let now = Instant::now();
        b.new_pass(now);
        for _ in 0..4 {
            assert!(!b.failure(Duration::from_millis(5)));
        }
        assert!(b.failure(Duration::from_millis(5)));
        b.trip(Why::Blocked, None, REST, now);
        b.new_pass(now);
        assert!(b.open().is_some());
        b.new_pass(now + REST);
        assert!(b.open().is_none());
        assert!(b.failure(Duration::ZERO), "half open: one failure is enough");
        b.success();
        assert!(!b.failure(Duration::from_secs(15)));
        assert!(b.failure(Duration::from_secs(15)), "time lost counts too");
    }
}

//! What one source said, kept for as long as it holds (contract-details Q24).

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::facts::Why;

use super::registry::{Reply, Word};

/// Answers that are kept for one source.
const ENTRIES_MOST: usize = 100_000;

/// How long a filing holds, in seconds: asked again after a week.
pub(super) const FILED: i64 = 7 * 24 * 3600;
/// Restricted, not filed, pending: facts that their owner is changing.
pub(super) const OPEN: i64 = 6 * 3600;
/// No answer at all.
pub(super) const UNKNOWN: i64 = 5 * 60;

/// One name's final answer: a reply that counts, or why there is none.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub said: Result<Reply, Why>,
    pub at: Timestamp,
}

impl Outcome {
    fn holds(&self) -> Duration {
        let seconds = match &self.said {
            Ok(r) if r.word == Word::Filed => FILED,
            Ok(_) => OPEN,
            Err(_) => UNKNOWN,
        };
        Duration::from_secs(seconds.unsigned_abs())
    }
}

/// Answers of one source by name.
#[derive(Default)]
pub(super) struct Cache {
    kept: HashMap<String, (Instant, Outcome)>,
    off: bool,
}

impl Cache {
    /// Keeps nothing from now on: the daemon's ledger remembers, and decides
    /// when to ask again.
    pub(super) fn switch_off(&mut self) {
        *self = Cache { kept: HashMap::new(), off: true };
    }

    /// The answer, while it holds.
    pub(super) fn get(&self, name: &str, now: Instant) -> Option<Outcome> {
        self.kept.get(name).filter(|(until, _)| *until > now).map(|(_, o)| o.clone())
    }

    /// Keeps an answer; when full of answers that still hold, forgets it.
    pub(super) fn put(&mut self, name: &str, outcome: &Outcome, now: Instant) {
        if self.off {
            return;
        }
        if self.kept.len() >= ENTRIES_MOST {
            self.kept.retain(|_, (until, _)| *until > now);
        }
        if self.kept.len() < ENTRIES_MOST {
            self.kept.insert(name.to_owned(), (now + outcome.holds(), outcome.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_as_long_as_they_hold() {
        let mut cache = Cache::default();
        let now = Instant::now();
        let mut keep = |name, said| cache.put(name, &Outcome { said, at: Timestamp::now() }, now);
        keep("f.cn", Ok(Reply::bare(Word::Filed)));
        keep("n.cn", Ok(Reply::bare(Word::Negative)));
        keep("u.cn", Err(Why::Timeout));
        let after =
            |s| ["f.cn", "n.cn", "u.cn"].map(|n| cache.get(n, now + Duration::from_secs(s)).is_some());
        assert_eq!(after(0), [true, true, true]);
        assert_eq!(after(301), [true, true, false]);
        assert_eq!(after(6 * 3600 + 1), [true, false, false]);
        assert_eq!(after(7 * 86_400 + 1), [false, false, false]);
    }
}

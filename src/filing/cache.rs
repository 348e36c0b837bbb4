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
}

impl Cache {
    /// The answer, while it holds.
    pub(super) fn get(&self, name: &str) -> Option<Outcome> {
        self.kept.get(name).filter(|(until, _)| *until > Instant::now()).map(|(_, o)| o.clone())
    }

    /// Keeps an answer; when full of answers that still hold, forgets it.
    pub(super) fn put(&mut self, name: &str, outcome: &Outcome) {
        let now = Instant::now();
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

    #[tokio::test(start_paused = true)]
    async fn answers_are_kept_as_long_as_they_hold() {
        let mut cache = Cache::default();
        let keep = |said| Outcome { said, at: Timestamp::now() };
        cache.put("f.cn", &keep(Ok(Reply::bare(Word::Filed))));
        cache.put("n.cn", &keep(Ok(Reply::bare(Word::Negative))));
        cache.put("u.cn", &keep(Err(Why::Timeout)));
        let all = |c: &Cache| ["f.cn", "n.cn", "u.cn"].map(|n| c.get(n).is_some());
        assert_eq!(all(&cache), [true, true, true]);
        tokio::time::advance(Duration::from_secs(301)).await;
        assert_eq!(all(&cache), [true, true, false]);
        tokio::time::advance(Duration::from_secs(6 * 3600)).await;
        assert_eq!(all(&cache), [true, false, false]);
        tokio::time::advance(Duration::from_secs(7 * 86_400)).await;
        assert_eq!(all(&cache), [false, false, false]);
    }
}

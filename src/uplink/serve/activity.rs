//! How long a connection may stay: it must ask soon, and go on asking.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For a whole request head to arrive, and between two requests.
pub(super) const QUIET: Duration = Duration::from_secs(10);
/// For one answer to be taken.
pub(super) const ANSWER: Duration = Duration::from_secs(120);

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Activity(Mutex<(usize, Instant)>);

impl Activity {
    pub(super) fn new() -> Arc<Activity> {
        Arc::new(Activity(Mutex::new((0, Instant::now()))))
    }

    /// A request has come; it is being answered until the guard goes.
    pub(super) fn begin(self: &Arc<Activity>) -> Busy {
        let mut s = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *s = (s.0 + 1, Instant::now());
        Busy(self.clone())
    }

    /// When the connection has been silent for too long.
    pub(super) fn deadline(&self) -> Instant {
        let s = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        s.1 + if s.0 > 0 { ANSWER } else { QUIET }
    }
}

/// While it lives, a request is being answered.
pub(super) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut s = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        *s = (s.0.saturating_sub(1), Instant::now());
    }
}

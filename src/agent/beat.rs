//! Whether every stage is alive: systemd's watchdog is fed only while each of
//! them keeps its word.
//!
//! A stage says when it will be heard of next, before it begins something that
//! may take long. One that hangs breaks its word, and systemd starts the
//! daemon anew: nothing is lost by that, since the ledger holds all state.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// All stages of one daemon.
#[derive(Clone)]
pub struct Stages {
    start: Instant,
    all: Arc<Mutex<Vec<Stage>>>,
}

/// One stage's word.
#[derive(Clone)]
pub struct Stage {
    name: &'static str,
    start: Instant,
    /// Milliseconds after `start`; `u64::MAX`: nothing is promised.
    until: Arc<AtomicU64>,
}

impl Default for Stages {
    fn default() -> Self {
        Stages { start: Instant::now(), all: Arc::default() }
    }
}

impl Stages {
    /// A new stage, which has promised nothing yet. It takes the place of the
    /// one of that name, which ended with its turn and keeps no word any more.
    pub fn stage(&self, name: &'static str) -> Stage {
        let stage = Stage { name, start: self.start, until: Arc::new(AtomicU64::new(u64::MAX)) };
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|s| s.name != name);
        all.push(stage.clone());
        stage
    }

    /// The stages that broke their word.
    pub fn late(&self) -> Vec<&'static str> {
        let now = millis(self.start.elapsed());
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|s| s.until.load(Ordering::Relaxed) < now).map(|s| s.name).collect()
    }
}

impl Stage {
    /// It will be heard of again within this time.
    pub fn within(&self, time: Duration) {
        let until = millis(self.start.elapsed()).saturating_add(millis(time));
        self.until.store(until.min(u64::MAX - 1), Ordering::Relaxed);
    }

    /// It has ended, or waits for something that may never come.
    pub fn rest(&self) {
        self.until.store(u64::MAX, Ordering::Relaxed);
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_breaks_its_word_is_named() {
        let stages = Stages::default();
        let (scan, ask) = (stages.stage("scan"), stages.stage("ask"));
        assert!(stages.late().is_empty(), "nothing was promised yet");
        scan.within(Duration::from_secs(60));
        ask.within(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(stages.late(), ["ask"]);
        ask.within(Duration::MAX);
        assert!(stages.late().is_empty());
        scan.within(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(stages.late(), ["scan"]);
        scan.rest();
        assert!(stages.late().is_empty());
        // After a reload another one keeps the word of this name.
        ask.within(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(stages.late(), ["ask"]);
        let new = stages.stage("ask");
        assert!(stages.late().is_empty());
        new.within(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(stages.late(), ["ask"]);
    }
}

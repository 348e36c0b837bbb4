//! An outbox in memory.

use std::sync::Mutex;

use crate::ledger::{Outbox, OutboxError, Sealed};

#[derive(Default)]
pub(super) struct State {
    pub(super) sequence: u64,
    /// What is to be told.
    pub(super) news: Vec<String>,
    pub(super) sealed: Option<Sealed>,
    pub(super) receipts: Vec<(u64, String)>,
    pub(super) rolled_back: Vec<u64>,
    pub(super) dead: Vec<(u64, String)>,
    /// How often it can be split; and how often it was.
    pub(super) splittable: u32,
    pub(super) split: u32,
    /// The disk is full for so many calls.
    pub(super) full: u32,
}

#[derive(Default)]
pub(super) struct Memory(pub(super) Mutex<State>);

impl Memory {
    /// Something to tell.
    pub(super) fn with(news: &str) -> Memory {
        let memory = Memory::default();
        memory.tell(news);
        memory
    }

    pub(super) fn tell(&self, news: &str) {
        self.0.lock().unwrap().news.push(news.to_owned());
    }
}

impl Outbox for Memory {
    fn next(&self, snapshot: bool) -> Result<Option<Sealed>, OutboxError> {
        let mut s = self.0.lock().unwrap();
        if s.full > 0 {
            s.full -= 1;
            return Err(OutboxError("no space".to_owned()));
        }
        if s.sealed.is_none() && (snapshot || !s.news.is_empty()) {
            s.sequence += 1;
            let body = format!("{}:{}", s.sequence, s.news.join(",")).into_bytes();
            s.sealed = Some(Sealed { sequence: s.sequence, body });
        }
        Ok(s.sealed.clone())
    }

    fn delivered(&self, sequence: u64, receipt: &str) -> Result<(), OutboxError> {
        let mut s = self.0.lock().unwrap();
        assert_eq!(s.sealed.take().map(|l| l.sequence), Some(sequence));
        s.news.clear();
        s.receipts.push((sequence, receipt.to_owned()));
        Ok(())
    }

    fn rolled_back(&self, highest: u64) -> Result<(), OutboxError> {
        let mut s = self.0.lock().unwrap();
        s.rolled_back.push(highest);
        s.sequence = s.sequence.max(highest);
        s.sealed = None;
        Ok(())
    }

    fn dead_letter(&self, sequence: u64, why: &str) -> Result<(), OutboxError> {
        let mut s = self.0.lock().unwrap();
        assert_eq!(s.sealed.take().map(|l| l.sequence), Some(sequence));
        s.dead.push((sequence, why.to_owned()));
        s.news = vec!["loss".to_owned()];
        Ok(())
    }

    fn split(&self, _: u64) -> Result<(), OutboxError> {
        let mut s = self.0.lock().unwrap();
        if s.split == s.splittable {
            return Err(OutboxError("small already".to_owned()));
        }
        s.split += 1;
        s.sealed = None;
        Ok(())
    }

    fn take_sequence(&self) -> Result<u64, OutboxError> {
        let mut s = self.0.lock().unwrap();
        s.sequence += 1;
        Ok(s.sequence)
    }
}

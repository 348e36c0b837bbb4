//! Canaries: when a negative counts (contract-details Q6, registries.md).
//!
//! A source that throttles or blocks us answers "nothing found", so a
//! negative counts only between two good canaries: one answered before it was
//! asked, one asked after it was answered. The one before is asked when the
//! batch begins, not at the first negative: a negative that came before any
//! canary would have to be asked again.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Longest time between canaries, with a margin for the call itself.
pub(super) const EVERY: Duration = Duration::from_secs(270);

/// The canaries of one source, taken in turn so that a cached answer proves
/// little.
pub(super) struct Canaries {
    names: Vec<String>,
    next: AtomicUsize,
}

impl Canaries {
    /// Names in A-labels.
    pub(super) fn new(names: Vec<String>) -> Canaries {
        Canaries { names, next: AtomicUsize::new(0) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The next canary, one that is not itself in question if there is one.
    pub(super) fn turn(&self, asked: &HashSet<&str>) -> Option<&str> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let n = self.names.len();
        let at = |i: usize| self.names.get((start.wrapping_add(i)) % n);
        if n == 0 {
            return None;
        }
        (0..n).filter_map(at).find(|c| !asked.contains(c.as_str())).or_else(|| at(0)).map(String::as_str)
    }

    /// Whether this name is the only thing that a negative of it could be
    /// measured by.
    pub(super) fn is_sole(&self, name: &str, asked: &HashSet<&str>) -> bool {
        self.names.iter().any(|c| c == name) && self.names.iter().all(|c| asked.contains(c.as_str()))
    }
}

/// The negatives of one batch.
pub(super) struct Batch<T> {
    epoch: u64,
    good: bool,
    pending: Vec<T>,
}

/// What a canary decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decided<T> {
    pub confirmed: Vec<T>,
    pub failed: Vec<T>,
}

impl<T> Batch<T> {
    /// Nothing asked yet; `good`: a good canary of the last batch is recent
    /// enough to stand before this one.
    pub(super) fn new(good: bool) -> Batch<T> {
        Batch { epoch: 0, good, pending: Vec::new() }
    }

    /// Taken when a question is sent: the good canary that stands before it.
    pub(super) fn ticket(&self) -> Option<u64> {
        self.good.then_some(self.epoch)
    }

    /// A negative. Given back where no good canary stands before it, or one
    /// failed since.
    pub(super) fn negative(&mut self, ticket: Option<u64>, item: T) -> Result<(), T> {
        if self.good && ticket == Some(self.epoch) {
            self.pending.push(item);
            Ok(())
        } else {
            Err(item)
        }
    }

    /// Taken when a canary is sent: the negatives that it can confirm.
    pub(super) fn mark(&self) -> usize {
        self.pending.len()
    }

    /// Whether negatives wait for a canary.
    pub(super) fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// A canary's answer.
    pub(super) fn canary(&mut self, mark: usize, good: bool) -> Decided<T> {
        if good {
            self.good = true;
            let rest = self.pending.split_off(mark.min(self.pending.len()));
            Decided { confirmed: std::mem::replace(&mut self.pending, rest), failed: Vec::new() }
        } else {
            self.good = false;
            self.epoch += 1;
            Decided { confirmed: Vec::new(), failed: std::mem::take(&mut self.pending) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_counts_between_two_good_canaries_only() {
        let mut b = Batch::new(false);
        assert_eq!(b.negative(b.ticket(), 0), Err(0), "none before");
        b.canary(0, true);
        let early = b.ticket();
        assert_eq!(b.negative(early, 1), Ok(()));
        let mark = b.mark();
        assert_eq!(b.negative(early, 2), Ok(()), "answered after the canary was sent");
        assert_eq!(b.canary(mark, true), Decided { confirmed: vec![1], failed: vec![] });
        assert_eq!(b.canary(b.mark(), false), Decided { confirmed: vec![], failed: vec![2] });
        assert_eq!(b.negative(early, 3), Err(3), "a canary failed in between");
        b.canary(0, true);
        assert_eq!(b.negative(early, 4), Err(4), "asked before the new good canary");
        assert_eq!(b.negative(b.ticket(), 5), Ok(()));
        assert!(b.waits());
    }

    #[test]
    fn canaries_take_turns_and_avoid_the_names_in_question() {
        let c = Canaries::new(vec!["a.cn".into(), "b.cn".into(), "c.cn".into()]);
        let none = HashSet::new();
        assert_eq!(
            [c.turn(&none), c.turn(&none), c.turn(&none), c.turn(&none)],
            [Some("a.cn"), Some("b.cn"), Some("c.cn"), Some("a.cn")]
        );
        let asked = HashSet::from(["b.cn"]);
        assert_eq!(c.turn(&asked), Some("c.cn"));
        assert!(!c.is_sole("b.cn", &asked));
        let one = Canaries::new(vec!["b.cn".into()]);
        assert_eq!(one.turn(&asked), Some("b.cn"));
        assert!(one.is_sole("b.cn", &asked));
        assert_eq!(Canaries::new(vec![]).turn(&asked), None);
    }
}

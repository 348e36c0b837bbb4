//! What happened and was not told yet: bounded, whatever happens.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Change, Dirty};
use crate::discover::TreeKey;

/// More paths are told as everything.
const PATHS: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Pending {
    trees: BTreeSet<TreeKey>,
    /// `None`: everything.
    paths: Option<BTreeSet<Box<[u8]>>>,
    /// First and last event.
    times: Option<(Instant, Instant)>,
}

impl Pending {
    /// Something that `trees` reach happened at `path` (`None`: anywhere).
    pub(super) fn add<'t>(
        &mut self,
        trees: impl IntoIterator<Item = &'t TreeKey>,
        path: Option<&[u8]>,
        now: Instant,
    ) {
        for tree in trees {
            if !self.trees.contains(tree) {
                self.trees.insert(tree.clone());
            }
        }
        match self.times {
            None => {
                self.paths = path.map(|p| BTreeSet::from([p.into()]));
                self.times = Some((now, now));
            }
            Some((first, _)) => {
                if let (Some(paths), Some(path)) = (&mut self.paths, path)
                    && !paths.contains(path)
                {
                    paths.insert(path.into());
                }
                if path.is_none() || self.paths.as_ref().is_some_and(|p| p.len() > PATHS) {
                    self.paths = None;
                }
                self.times = Some((first, now));
            }
        }
    }

    /// When it is to be told.
    pub(super) fn due(&self, quiet: Duration, most: Duration) -> Option<Instant> {
        let (first, last) = self.times?;
        Some((last + quiet).min(first + most))
    }

    /// A change that could not be told: it waits with what came since.
    pub(super) fn give_back(&mut self, change: Change) {
        let now = Instant::now();
        match change.dirty {
            Dirty::All => self.add(&change.trees, None, now),
            Dirty::Paths(paths) => {
                for path in paths {
                    self.add(&change.trees, Some(&path), now);
                }
            }
        }
    }

    pub(super) fn take(&mut self) -> Option<Change> {
        let all = std::mem::take(self);
        all.times?;
        Some(Change { trees: all.trees, dirty: all.paths.map_or(Dirty::All, Dirty::Paths) })
    }
}

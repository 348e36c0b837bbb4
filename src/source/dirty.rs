//! What may have changed since it was read.

use std::collections::BTreeSet;

/// What may no longer be as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dirty {
    /// These files and folders, and what lies in the folders: paths inside the
    /// root, without links in them.
    Paths(BTreeSet<Box<[u8]>>),
    /// Anything.
    All,
}

impl Dirty {
    /// Nothing.
    pub fn nothing() -> Dirty {
        Dirty::Paths(BTreeSet::new())
    }

    /// Whether a file at this path (inside the root, without links in it) may
    /// have changed.
    pub fn covers(&self, path: &[u8]) -> bool {
        let Dirty::Paths(paths) = self else { return true };
        if paths.contains(path) || paths.contains(&b"/"[..]) {
            return true;
        }
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(i, _)| i);
        ends.filter_map(|i| path.get(..i)).any(|folder| paths.contains(folder))
    }

    /// From now on, what is dirty in `other` too.
    pub fn extend(&mut self, other: Dirty) {
        match (&mut *self, other) {
            (Dirty::Paths(paths), Dirty::Paths(more)) => paths.extend(more),
            _ => *self = Dirty::All,
        }
    }
}

//! What was asked for between two moments, so that the answer can be kept for
//! as long as none of it changes.

use super::disk::{Disk, split};
use super::{Source, SourceError, lock};

/// More than this, and an answer is not worth keeping.
const ASKED: usize = 512;

/// One thing that was asked for, by the path that was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// What stands at a path. `link`: whether a symbolic link does, where that
    /// is known.
    File {
        /// The path.
        path: Box<[u8]>,
        /// Whether a link stands there.
        link: Option<bool>,
    },
    /// Names in a folder that match a pattern; all names without one.
    Names {
        /// The folder.
        folder: Box<[u8]>,
        /// The pattern.
        pattern: Option<Box<[u8]>>,
    },
}

/// All that was asked for.
#[derive(Debug, Default)]
pub struct Trail {
    /// In order, repetitions included.
    pub asked: Vec<Asked>,
    /// Too much was asked for, or something failed that may work the next
    /// time without any file being changed.
    pub unsure: bool,
}

impl Trail {
    pub(super) fn add(&mut self, asked: Asked) {
        if self.asked.len() < ASKED {
            self.asked.push(asked);
        } else {
            self.unsure = true;
        }
    }

    pub(super) fn failed(&mut self, e: SourceError) {
        // The others follow from what stands at a path, which is watched.
        self.unsure |= matches!(
            e,
            SourceError::Denied | SourceError::Io | SourceError::FileLimit | SourceError::TimeLimit
        );
    }
}

/// Where a folder really is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Its path inside the root, without links; `None` where it leads nowhere.
    pub real: Option<Vec<u8>>,
    /// What else decides about that: the links on the way, and the name that
    /// is not there.
    pub beside: Vec<Vec<u8>>,
}

impl Source {
    /// From now on, what is asked for is also noted in a [`Trail`].
    pub fn begin_trail(&self) {
        *lock(&self.trail) = Some(Trail::default());
    }

    /// What was asked for since [`Source::begin_trail`].
    pub fn end_trail(&self) -> Trail {
        lock(&self.trail).take().unwrap_or_default()
    }

    /// Where a folder really is.
    pub fn way(&self, folder: &[u8]) -> Way {
        way(&self.disk, folder)
    }

    /// The path that a symbolic link leads to, where one stands.
    pub fn link_target(&self, path: &[u8]) -> Option<Vec<u8>> {
        let (dir, name) = split(path);
        let target = self.disk.link_target(dir, name)?;
        // `..` in it starts where the folder really is: so does resolving.
        Some(if target.first() == Some(&b'/') { target } else { [dir, &target].concat() })
    }
}

fn way(disk: &Disk, folder: &[u8]) -> Way {
    let mut passed: Vec<Vec<u8>> = Vec::new();
    let real = disk.root().trace(folder, &mut |at, name| passed.push(super::join(at, name)));
    // What happens above a path is told of the path itself.
    if let Some(real) = &real {
        passed.retain(|p| real != p && !(real.starts_with(p) && real.get(p.len()) == Some(&b'/')));
    }
    Way { real, beside: passed }
}

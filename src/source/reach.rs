//! What a scan reached: everything whose change can change its result.
//!
//! Kept by folder, because that is what inotify watches: for each folder the
//! patterns that were matched against its names and the single names that were
//! looked up in it, there or not. Every component of every path counts, so that
//! a folder that is renamed away or a link that is set anew is noticed too; of
//! a path that leads nowhere, the last folder that exists waits for the name.
//!
//! Ten thousand files that one pattern matched are one pattern, not ten
//! thousand names.

use std::collections::{BTreeMap, HashMap};

use super::disk::{Disk, split};
use super::fnmatch;

/// Names looked up in one folder; beyond that, every name of it counts.
const NAMES: usize = 256;
/// Patterns matched in one folder; beyond that, every name of it counts.
const PATTERNS: usize = 64;
/// Folders of one tree.
const FOLDERS: usize = 65_536;
/// The system's own limits: nothing longer can ever be there.
const NAME_MAX: usize = 255;
/// As many links as the kernel follows in one walk.
const MAX_LINKS: u32 = 40;

/// What one tree of configuration reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    folders: BTreeMap<Box<[u8]>, Interest>,
    cut: bool,
}

/// What counts in one folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Interest {
    all: bool,
    patterns: Vec<Box<[u8]>>,
    /// In order.
    names: Vec<Box<[u8]>>,
}

impl Interest {
    fn wants(&self, name: &[u8]) -> bool {
        self.all
            || self.names.binary_search_by(|n| (**n).cmp(name)).is_ok()
            || self.patterns.iter().any(|p| fnmatch(p, name))
    }

    fn everything(&mut self) {
        *self = Interest { all: true, ..Interest::default() };
    }

    fn name(&mut self, name: &[u8]) {
        if name.len() > NAME_MAX || self.all || self.patterns.iter().any(|p| fnmatch(p, name)) {
            return;
        }
        let Err(at) = self.names.binary_search_by(|n| (**n).cmp(name)) else { return };
        if self.names.len() >= NAMES {
            return self.everything();
        }
        self.names.insert(at, name.into());
    }

    fn pattern(&mut self, pattern: &[u8]) {
        if self.all || self.patterns.iter().any(|p| **p == *pattern) {
            return;
        }
        if self.patterns.len() >= PATTERNS {
            return self.everything();
        }
        self.names.retain(|n| !fnmatch(pattern, n));
        self.patterns.push(pattern.into());
    }
}

impl Reach {
    /// The folders, absolute paths inside the root without links in them, in
    /// byte order.
    pub fn folders(&self) -> impl Iterator<Item = &[u8]> {
        self.folders.keys().map(|f| &**f)
    }

    /// How many folders that are.
    pub fn len(&self) -> usize {
        self.folders.len()
    }

    /// Whether nothing was reached.
    pub fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }

    /// Whether more folders were reached than are kept here: what lies in the
    /// others is found by the next whole scan only.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether the folder was reached at all.
    pub fn has(&self, folder: &[u8]) -> bool {
        self.folders.contains_key(folder)
    }

    /// Whether what happens to an entry of a folder can change the result.
    pub fn wants(&self, folder: &[u8], name: &[u8]) -> bool {
        self.folders.get(folder).is_some_and(|i| i.wants(name))
    }

    /// Bytes that this takes, nearly: for tests and benches.
    pub fn bytes(&self) -> usize {
        let words = |v: &[Box<[u8]>]| v.iter().map(|w| w.len() + 16).sum::<usize>();
        self.folders
            .iter()
            .map(|(f, i)| f.len() + size_of::<Interest>() + 16 + words(&i.patterns) + words(&i.names))
            .sum()
    }

    fn at(&mut self, folder: &[u8]) -> Option<&mut Interest> {
        if !self.folders.contains_key(folder) {
            if self.folders.len() >= FOLDERS {
                self.cut = true;
                return None;
            }
            self.folders.insert(folder.into(), Interest::default());
        }
        self.folders.get_mut(folder)
    }

    fn pattern_for(&self, folder: &[u8], name: &[u8]) -> Option<&[u8]> {
        self.folders.get(folder)?.patterns.iter().map(|p| &**p).find(|p| fnmatch(p, name))
    }

    fn name(&mut self, folder: &[u8], name: &[u8]) {
        if let Some(i) = self.at(folder) {
            i.name(name);
        }
    }
}

struct Last {
    folder: Box<[u8]>,
    pattern: Box<[u8]>,
}

/// Writes down what is asked of a [`super::Source`].
#[derive(Default)]
pub(super) struct Recorder {
    reach: Reach,
    /// Folders as they were asked for, and where they really are: ten thousand
    /// files of one folder are one walk.
    known: HashMap<Box<[u8]>, Option<Box<[u8]>>>,
    /// The folder of the last file, as it was asked for, and a pattern that
    /// counts in it: most files come after their like.
    last: Option<Last>,
}

impl Recorder {
    /// What was written down since the last call.
    pub(super) fn take(&mut self) -> Reach {
        std::mem::take(self).reach
    }

    /// Goes on where an earlier reading stopped.
    pub(super) fn resume(&mut self, reach: Reach) {
        self.reach = reach;
    }

    /// A file that was asked for, there or not. `link` where it is known
    /// whether a symbolic link stands there.
    pub(super) fn file(&mut self, disk: &Disk, path: &[u8], link: Option<bool>) {
        let (dir, name) = split(path);
        if matches!(name, b"" | b"." | b"..") {
            self.folder(disk, path);
            return;
        }
        let dir = bare(dir);
        if link == Some(false)
            && let Some(last) = &self.last
            && *last.folder == *dir
            && fnmatch(&last.pattern, name)
        {
            return;
        }
        if !self.known.contains_key(dir) {
            self.learn(disk, dir);
        }
        let Some(Some(real)) = self.known.get(dir) else { return };
        self.reach.name(real, name);
        if let Some(pattern) = self.reach.pattern_for(real, name) {
            self.last = Some(Last { folder: dir.into(), pattern: pattern.into() });
        }
        if link == Some(false) {
            return;
        }
        let mut at = join(real, name);
        // Each link on the way: where it stands, and the way to its target.
        for _ in 0..MAX_LINKS {
            let (dir, name) = split(&at);
            let Some(target) = disk.link_target(dir, name) else { return };
            let next = if target.first() == Some(&b'/') { target } else { join(bare(dir), &target) };
            let (dir, name) = split(&next);
            if matches!(name, b"" | b"." | b"..") {
                self.folder(disk, &next);
                return;
            }
            let Some(real) = self.folder(disk, dir) else { return };
            self.reach.name(&real, name);
            at = join(&real, name);
        }
    }

    /// A folder of which every name counts.
    pub(super) fn listed(&mut self, disk: &Disk, path: &[u8]) {
        if let Some(real) = self.folder(disk, path)
            && let Some(i) = self.reach.at(&real)
        {
            i.everything();
        }
    }

    /// A folder whose names were matched.
    pub(super) fn matched(&mut self, disk: &Disk, path: &[u8], pattern: &[u8]) {
        if let Some(real) = self.folder(disk, path)
            && let Some(i) = self.reach.at(&real)
        {
            i.pattern(pattern);
        }
    }

    /// An entry that was looked for; where it leads does not count.
    pub(super) fn entry(&mut self, disk: &Disk, path: &[u8]) {
        self.file(disk, path, Some(false));
    }

    /// Where a folder really is; everything on the way to it counts from now on.
    fn folder(&mut self, disk: &Disk, path: &[u8]) -> Option<Box<[u8]>> {
        let path = bare(path);
        if !self.known.contains_key(path) {
            self.learn(disk, path);
        }
        self.known.get(path)?.clone()
    }

    fn learn(&mut self, disk: &Disk, path: &[u8]) {
        if self.known.len() >= FOLDERS {
            self.known.clear();
        }
        let (parent, name) = split(path);
        // The way to its parent is known: one look.
        let short = match self.known.get(bare(parent)) {
            Some(Some(real)) if !matches!(name, b"" | b"." | b"..") && disk.is_plain_folder(real, name) => {
                self.reach.name(real, name);
                Some(join(real, name))
            }
            _ => None,
        };
        let reach = &mut self.reach;
        let real = short.or_else(|| disk.root().trace(path, &mut |folder, name| reach.name(folder, name)));
        let real = real.map(Vec::into_boxed_slice);
        if let Some(real) = &real {
            self.reach.at(real);
        }
        self.known.insert(path.into(), real);
    }
}

fn bare(folder: &[u8]) -> &[u8] {
    let end = folder.iter().rposition(|&b| b != b'/').map_or(0, |i| i + 1);
    folder.get(..end).filter(|f| !f.is_empty()).unwrap_or(b"/")
}

/// A folder's path and a name in it.
pub fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    [bare(folder).strip_suffix(b"/").unwrap_or(bare(folder)), b"/", name].concat()
}

#[cfg(test)]
mod tests;

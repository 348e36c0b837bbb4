//! The folders that units were read from: where they really are, and which of
//! their names have changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::HashMap;

use crate::source::{Asked, Dirty, Source, Trail, fnmatch};

/// Folders of one tree; what lies in others is read every time.
const FOLDERS: usize = 65_536;
/// As many links as the kernel follows.
const LINKS: usize = 40;
/// Up to so many changes are compared one by one.
const FEW: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Ways {
    list: Vec<Folder>,
    index: HashMap<Arc<[u8]>, u32>,
    /// Of each folder of `list` that was there when the reading began.
    marks: Vec<Mark>,
    /// The changed names of one folder, in order.
    names: Vec<Vec<Box<[u8]>>>,
}

#[derive(Debug)]
struct Folder {
    /// As it was asked for, with its final slash.
    asked: Arc<[u8]>,
    real: Real,
    beside: Box<[Box<[u8]>]>,
    /// To be looked up again.
    stale: bool,
}

#[derive(Debug)]
enum Real {
    Nowhere,
    /// Where it was asked for.
    AsAsked,
    At(Box<[u8]>),
}

impl Folder {
    fn real(&self) -> Option<&[u8]> {
        match &self.real {
            Real::Nowhere => None,
            Real::AsAsked => self.asked.strip_suffix(b"/"),
            Real::At(path) => Some(path),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Clean,
    /// Anything in it, or the way to it.
    All,
    /// Index of [`Ways::names`].
    Names(usize),
}

/// What was asked of a folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    /// What stands at a name.
    Name(Box<[u8]>),
    /// Its names that match.
    Pattern(Box<[u8]>),
    /// All its names.
    All,
}

/// A path's folder, with its slash, and the last name; `None` where that is
/// no name.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let (dir, name) = path.split_at(path.iter().rposition(|&b| b == b'/')? + 1);
    (!matches!(name, b"" | b"." | b"..")).then_some((dir, name))
}

impl Ways {
    /// Notes what has changed since the last reading.
    pub fn mark(&mut self, dirty: &BTreeSet<Box<[u8]>>) {
        self.names.clear();
        self.marks.clear();
        let few = dirty.len() <= FEW;
        let whole = Dirty::Paths(if few { BTreeSet::new() } else { dirty.clone() });
        let covers = |path: &[u8]| match few {
            true => dirty.iter().any(|d| {
                **d == *b"/"
                    || path.strip_prefix(&**d).is_some_and(|r| r.is_empty() || r.first() == Some(&b'/'))
            }),
            false => whole.covers(path),
        };
        // By folder.
        let mut below: std::collections::BTreeMap<&[u8], Vec<Box<[u8]>>> = std::collections::BTreeMap::new();
        for path in dirty {
            if let Some((dir, name)) = split(path) {
                below.entry(dir.strip_suffix(b"/").unwrap_or(dir)).or_default().push(name.into());
            }
        }
        let mut numbers: std::collections::BTreeMap<&[u8], usize> = std::collections::BTreeMap::new();
        for (dir, names) in below {
            numbers.insert(dir, self.names.len());
            self.names.push(names);
        }
        for folder in &mut self.list {
            let all = folder.real().is_some_and(covers) || folder.beside.iter().any(|p| covers(p));
            folder.stale |= all;
            let names = || {
                let real = folder.real()?;
                numbers.get(real.strip_suffix(b"/").unwrap_or(real)).copied()
            };
            self.marks.push(match (all, names()) {
                (true, _) => Mark::All,
                (false, Some(n)) => Mark::Names(n),
                (false, None) => Mark::Clean,
            });
        }
    }

    /// The number of a folder, which is looked up the first time.
    pub fn number(&mut self, src: &Source, asked: &[u8]) -> Option<u64> {
        let known = self.index.get(asked).copied();
        if let Some(n) = known
            && !self.list.get(n as usize)?.stale
        {
            return Some(u64::from(n));
        }
        let way = src.way(asked);
        let asked: Arc<[u8]> = match known {
            Some(n) => self.list.get(n as usize)?.asked.clone(),
            None => asked.into(),
        };
        let folder = Folder {
            real: match way.real {
                None => Real::Nowhere,
                Some(real) if asked.strip_suffix(b"/") == Some(&*real) => Real::AsAsked,
                Some(real) => Real::At(real.into()),
            },
            beside: way.beside.into_iter().map(Vec::into_boxed_slice).collect(),
            asked: asked.clone(),
            stale: false,
        };
        match known {
            Some(n) => {
                *self.list.get_mut(n as usize)? = folder;
                Some(u64::from(n))
            }
            None => {
                if self.list.len() >= FOLDERS {
                    return None;
                }
                let n = u32::try_from(self.list.len()).ok()?;
                self.list.push(folder);
                self.index.insert(asked, n);
                Some(u64::from(n))
            }
        }
    }

    /// A folder as it was asked for.
    pub fn folder(&self, number: u64) -> Option<&[u8]> {
        self.list.get(usize::try_from(number).ok()?).map(|f| &*f.asked)
    }

    fn mark_of(&self, number: u64) -> Option<Mark> {
        self.marks.get(usize::try_from(number).ok()?).copied()
    }

    /// Whether what stands at a name may have changed; `None` where that is
    /// not known.
    pub fn changed(&self, number: u64, name: &[u8]) -> Option<bool> {
        Some(match self.mark_of(number)? {
            Mark::Clean => false,
            Mark::All => true,
            Mark::Names(n) => self.names.get(n)?.binary_search_by(|c| (**c).cmp(name)).is_ok(),
        })
    }

    /// Whether the names that match may have changed; all names without a
    /// pattern.
    pub fn names_changed(&self, number: u64, pattern: Option<&[u8]>) -> Option<bool> {
        Some(match self.mark_of(number)? {
            Mark::Clean => false,
            Mark::All => true,
            Mark::Names(n) => {
                let names = self.names.get(n)?;
                pattern.is_none_or(|p| names.iter().any(|name| fnmatch(p, name)))
            }
        })
    }

    /// All that a trail asked for, each once, links followed; `own` is left
    /// out. `None` where something cannot be followed.
    pub fn follow(&mut self, src: &Source, trail: &Trail, own: (u64, &[u8])) -> Option<Vec<(u64, What)>> {
        let mut out: Vec<(u64, What)> = Vec::new();
        for asked in &trail.asked {
            match asked {
                Asked::Names { folder, pattern } => {
                    let folder = with_slash(folder);
                    let what = pattern.as_ref().map_or(What::All, |p| What::Pattern(p.clone()));
                    add(&mut out, (self.number(src, &folder)?, what));
                }
                Asked::File { path, link } => {
                    let (dir, name) = split(path)?;
                    let way = self.number(src, dir)?;
                    if (way, name) != own {
                        add(&mut out, (way, What::Name(name.into())));
                    }
                    let mut at = path.to_vec();
                    for _ in 0..LINKS {
                        if *link == Some(false) {
                            break;
                        }
                        let Some(target) = src.link_target(&at) else { break };
                        let (dir, name) = split(&target)?;
                        add(&mut out, (self.number(src, dir)?, What::Name(name.into())));
                        at = target;
                    }
                }
            }
        }
        Some(out)
    }

    pub fn bytes(&self) -> usize {
        let folders: usize = self
            .list
            .iter()
            .map(|f| {
                let real = if let Real::At(p) = &f.real { p.len() + 16 } else { 0 };
                // The index has 24 bytes for each, and room to spare.
                f.asked.len() + 32 + real + f.beside.iter().map(|b| b.len() + 32).sum::<usize>() + 40
            })
            .sum();
        folders + self.list.capacity() * size_of::<Folder>() + self.marks.capacity() * size_of::<Mark>()
    }
}

fn with_slash(folder: &[u8]) -> Vec<u8> {
    let mut folder = folder.to_vec();
    if folder.last() != Some(&b'/') {
        folder.push(b'/');
    }
    folder
}

fn add(to: &mut Vec<(u64, What)>, one: (u64, What)) {
    if !to.contains(&one) {
        to.push(one);
    }
}

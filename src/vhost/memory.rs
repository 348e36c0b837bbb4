//! What is kept of a tree between two readings, so that one changed file among
//! ten thousand costs one file.
//!
//! What is kept are *units*: included files that only add sites, each with all
//! that it includes in turn. A unit is used again while three things hold:
//! nothing that was asked of the disk for it has changed ([`Dirty`]), the
//! reader stands where it stood then (the *context*: a hash of all state that
//! can influence what the file means), and no limit is nearer than it was. A
//! file that does anything else than add sites is no unit and is read every
//! time; so is the main file. What only the whole configuration can settle
//! (default servers, names already taken) is settled anew in every reading.
//!
//! The sites of a unit are packed into a few hundred bytes; a reading that
//! must not trust anything ([`Dirty::All`]) drops them all.

mod pack;
mod store;
mod ways;

use std::hash::{BuildHasher, Hash, RandomState};

use foldhash::{HashMap, HashMapExt as _};

use crate::config::Limits;
use crate::facts::{Problem, Server};
use crate::source::{Dirty, Reach, Source, Trail};
use crate::vhost::Entry;

pub(super) use pack::{Packer, Unpacker};
use store::{Place, Store};
use ways::Ways;

/// Problems that one unit has at most.
const PROBLEMS: usize = 64;
/// Changes up to which the files to read are not worth reading ahead.
const FEW: usize = 64;

/// What is kept of one tree. Starts empty.
#[derive(Debug, Default)]
pub struct Memory {
    tree: Option<Tree>,
}

#[derive(Debug)]
struct Tree {
    server: Server,
    entry: Entry,
    limits: Limits,
    hasher: RandomState,
    ways: Ways,
    store: Store,
    /// In load order; what was used again or is of no use is `None`.
    units: Vec<Option<Place>>,
    /// Where the next one is expected.
    at: usize,
    /// By the hash of the path: made when a unit is not where it is expected.
    index: Option<HashMap<u64, u32>>,
    fresh: Vec<Option<Place>>,
    /// Few files have to be read.
    few: bool,
    /// A reading began and has not come to its end.
    reading: bool,
    reach: Option<Reach>,
}

impl Memory {
    /// Bytes that this takes, nearly: for tests and benches.
    pub fn bytes(&self) -> usize {
        self.tree.as_ref().map_or(0, |t| {
            t.store.bytes()
                + t.ways.bytes()
                + t.units.capacity() * size_of::<Option<Place>>()
                + t.reach.as_ref().map_or(0, Reach::bytes)
        })
    }

    /// Units that are kept.
    pub fn len(&self) -> usize {
        self.tree.as_ref().map_or(0, |t| t.units.len())
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A reading begins.
    pub(super) fn begin(&mut self, src: &Source, server: Server, entry: &Entry, dirty: &Dirty) -> Recall<'_> {
        let same =
            |t: &Tree| !t.reading && t.server == server && t.entry == *entry && t.limits == *src.limits();
        let Dirty::Paths(paths) = dirty else {
            self.tree = None;
            return self.recall(src, server, entry);
        };
        if !self.tree.as_ref().is_some_and(same) {
            self.tree = None;
        }
        if let Some(t) = &mut self.tree {
            t.ways.mark(paths);
            t.few = paths.len() <= FEW;
            if let Some(reach) = t.reach.take() {
                src.reached_before(reach);
            }
        }
        self.recall(src, server, entry)
    }

    fn recall(&mut self, src: &Source, server: Server, entry: &Entry) -> Recall<'_> {
        let tree = self.tree.get_or_insert_with(|| Tree {
            server,
            entry: entry.clone(),
            limits: *src.limits(),
            hasher: RandomState::new(),
            ways: Ways::default(),
            store: Store::default(),
            units: Vec::new(),
            at: 0,
            index: None,
            fresh: Vec::new(),
            few: false,
            reading: false,
            reach: None,
        });
        tree.reading = true;
        tree.at = 0;
        tree.index = None;
        tree.fresh = Vec::with_capacity(tree.units.len());
        Recall { tree }
    }

    /// What the reading reached, to be reached by the next one too.
    pub fn keep_reach(&mut self, reach: &Reach) {
        if let Some(t) = &mut self.tree {
            t.reach = Some(reach.clone());
        }
    }
}

/// The memory during one reading.
#[derive(Debug)]
pub(super) struct Recall<'m> {
    tree: &'m mut Tree,
}

/// A unit that may be used again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    number: usize,
    place: Place,
    /// Where the reader's own part begins.
    body: usize,
    /// Files that it read.
    pub files: u64,
}

/// What is known of a unit beside the reader's own part.
pub(super) struct Taken<'t> {
    pub path: &'t [u8],
    pub context: u64,
    pub trail: Trail,
    pub files: u64,
}

impl Recall<'_> {
    /// A hash that nobody outside can foresee.
    pub fn hash(&self, what: impl Hash) -> u64 {
        self.tree.hasher.hash_one(what)
    }

    /// The unit of this file in this context, if nothing has changed.
    pub fn find(&mut self, path: &[u8], context: u64) -> Option<Unit> {
        let t = &mut *self.tree;
        let number = match t.units.get(t.at) {
            Some(Some(place)) if t.is(*place, path) => t.at,
            _ => t.search(path)?,
        };
        t.at = number + 1;
        let place = (*t.units.get(number)?)?;
        let mut u = Unpacker::new(t.store.get(place));
        let (dir, _) = (u.num()?, u.text()?);
        if u.fixed()? != context {
            return None;
        }
        let files = u.num()?;
        let name = path.get(t.ways.folder(dir)?.len()..)?;
        if t.ways.changed(dir, name)? {
            return None;
        }
        for _ in 0..u.num()? {
            let way = u.num()?;
            let changed = match u.num()? {
                0 => t.ways.changed(way, u.text()?)?,
                1 => t.ways.names_changed(way, Some(u.text()?))?,
                _ => t.ways.names_changed(way, None)?,
            };
            if changed {
                return None;
            }
        }
        let body = u.position();
        Some(Unit { number, place, body, files })
    }

    /// The reader's own part of a unit.
    pub fn body(&self, unit: &Unit) -> Unpacker<'_> {
        Unpacker::at(self.tree.store.get(unit.place), unit.body)
    }

    /// The unit was used.
    pub fn used(&mut self, unit: &Unit) {
        if let Some(slot) = self.tree.units.get_mut(unit.number) {
            self.tree.fresh.push(slot.take());
        }
    }

    /// A unit was read; `body` writes the reader's part, and says whether it
    /// could.
    pub fn keep(&mut self, src: &Source, taken: &Taken<'_>, body: impl FnOnce(&mut Packer) -> bool) {
        if taken.trail.unsure {
            return;
        }
        let t = &mut *self.tree;
        let Some((dir, name)) = ways::split(taken.path) else { return };
        let mut p = Packer::default();
        let Some(dir) = t.ways.number(src, dir) else { return };
        p.num(dir);
        p.text(name);
        p.fixed(taken.context);
        p.num(taken.files);
        let Some(asked) = t.ways.follow(src, &taken.trail, (dir, name)) else { return };
        p.num(asked.len() as u64);
        for (way, what) in &asked {
            p.num(*way);
            match what {
                ways::What::Name(name) => {
                    p.num(0);
                    p.text(name);
                }
                ways::What::Pattern(pattern) => {
                    p.num(1);
                    p.text(pattern);
                }
                ways::What::All => p.num(2),
            }
        }
        p.restart();
        if body(&mut p)
            && let Some(place) = t.store.add(&p.done())
        {
            t.fresh.push(Some(place));
        }
    }

    /// Whether most of a list of files that begins with this one need not be
    /// read in this context.
    pub fn is_warm(&mut self, first: &[u8], context: u64) -> bool {
        let at = self.tree.at;
        let warm = self.tree.few
            && self.tree.units.len() > FEW
            && (self.find(first, context).is_some() || {
                // The first itself may be the one that changed.
                let t = &*self.tree;
                let next = t.units.iter().flatten().take(2).last();
                next.is_some_and(|p| t.context(*p) == Some(context))
            });
        self.tree.at = at;
        warm
    }

    /// The reading is over: what was neither used nor read is forgotten.
    pub fn end(self) {
        let t = self.tree;
        t.units = std::mem::take(&mut t.fresh);
        t.units.shrink_to_fit();
        t.reading = false;
        t.index = None;
        t.store.tidy(&mut t.units);
    }
}

impl Tree {
    fn head(&self, place: Place) -> Option<(&[u8], &[u8])> {
        let mut u = Unpacker::new(self.store.get(place));
        Some((self.ways.folder(u.num()?)?, u.text()?))
    }

    fn context(&self, place: Place) -> Option<u64> {
        let mut u = Unpacker::new(self.store.get(place));
        u.num()?;
        u.text()?;
        u.fixed()
    }

    fn is(&self, place: Place, path: &[u8]) -> bool {
        self.head(place).is_some_and(|(dir, name)| path.strip_prefix(dir) == Some(name))
    }

    fn search(&mut self, path: &[u8]) -> Option<usize> {
        if self.units.is_empty() {
            return None;
        }
        if self.index.is_none() {
            let mut index = HashMap::with_capacity(self.units.len());
            for (i, place) in self.units.iter().enumerate() {
                if let Some((dir, name)) = place.and_then(|p| self.head(p)) {
                    index.insert(self.hasher.hash_one([dir, name].concat()), i as u32);
                }
            }
            self.index = Some(index);
        }
        let number = *self.index.as_ref()?.get(&self.hasher.hash_one(path))? as usize;
        let place = (*self.units.get(number)?)?;
        self.is(place, path).then_some(number)
    }
}

/// Problems as they were noted, before repetitions were left out.
#[derive(Debug, Default)]
pub(super) struct Noted {
    list: Vec<Problem>,
    pub too_many: bool,
}

impl Noted {
    pub fn add(&mut self, p: &Problem) {
        if self.list.len() < PROBLEMS {
            self.list.push(p.clone());
        } else {
            self.too_many = true;
        }
    }

    /// Few units have any.
    pub fn pack(&self, p: &mut Packer) -> bool {
        match self.list.is_empty() {
            true => p.text(b""),
            false => match serde_json::to_vec(&self.list) {
                Ok(json) => p.text(&json),
                Err(_) => return false,
            },
        }
        !self.too_many
    }

    pub fn unpack(u: &mut Unpacker<'_>) -> Option<Vec<Problem>> {
        match u.text()? {
            b"" => Some(Vec::new()),
            json => serde_json::from_slice(json).ok(),
        }
    }
}

#[cfg(test)]
mod tests;

//! Which servers and configuration trees exist under a root.
//!
//! Found by what exists: only a server whose main file is there counts, and
//! panels' site files count only when that main file includes them.

pub mod layouts;
pub mod watch;

use std::collections::HashMap;

use crate::facts::{Scan, Server};

use crate::source::{Dirty, Reach, Source};
use crate::vhost::{self, Entry};

/// Reads every configuration tree under the root, each once.
pub fn scan(src: &Source, args: &[(Server, String)]) -> Scan {
    let mut scan = Scan::default();
    for (server, path) in layouts::find(src) {
        src.next_tree();
        scan.extend(vhost::read(src, server, &Entry { path, args: args_of(args, server) }));
    }
    scan
}

/// A tree of configuration: its server and main file. Without a server: the
/// search for main files ([`layouts`]), which a server that is installed later
/// changes.
pub type TreeKey = (Option<Server>, Vec<u8>);

/// The tree that stands for the search for main files.
pub const SEARCH: TreeKey = (None, Vec::new());

/// What the reading of one tree reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeReach {
    /// The server; `None` for the search for main files.
    pub server: Option<Server>,
    /// The main file, as it is named inside the root; empty for the search.
    pub path: Vec<u8>,
    /// What its reading reached.
    pub reach: Reach,
}

impl TreeReach {
    /// Which tree this is.
    pub fn key(&self) -> TreeKey {
        (self.server, self.path.clone())
    }
}

/// [`scan`], and what it reached: the search for main files first, then each
/// tree. `src` has to be [`Source::recording`].
pub fn scan_reaching(src: &Source, args: &[(Server, String)]) -> (Scan, Vec<TreeReach>) {
    src.take_reach();
    let found = layouts::find(src);
    let mut reaches = vec![TreeReach { server: SEARCH.0, path: SEARCH.1, reach: src.take_reach() }];
    let (scan, trees) = scan_entries(src, &found, args);
    reaches.extend(trees);
    (scan, reaches)
}

/// The same for main files that are given (`--entry`): nothing is searched.
pub fn scan_entries(
    src: &Source,
    entries: &[(Server, Vec<u8>)],
    args: &[(Server, String)],
) -> (Scan, Vec<TreeReach>) {
    let mut scan = Scan::default();
    let mut reaches = Vec::with_capacity(entries.len());
    for (server, path) in entries {
        let (one, reach) = read_tree(src, *server, path, args);
        scan.extend(one);
        reaches.push(reach);
    }
    (scan, reaches)
}

/// Reads one tree: the part of a scan that a change of this tree alone needs.
pub fn read_tree(src: &Source, server: Server, path: &[u8], args: &[(Server, String)]) -> (Scan, TreeReach) {
    src.next_tree();
    src.take_reach();
    let scan = vhost::read(src, server, &Entry { path: path.to_vec(), args: args_of(args, server) });
    (scan, TreeReach { server: Some(server), path: path.to_vec(), reach: src.take_reach() })
}

/// What is kept between scans, so that one changed file among ten thousand
/// costs one file. Belongs to whoever scans one root again and again with the
/// same settings.
#[derive(Debug, Default)]
pub struct Memory {
    trees: HashMap<TreeKey, vhost::Memory>,
}

impl Memory {
    /// Trees that are not among these are forgotten.
    pub fn retain(&mut self, trees: &[TreeKey]) {
        self.trees.retain(|key, _| trees.contains(key));
    }

    /// Bytes that this takes, nearly: for tests and benches.
    pub fn bytes(&self) -> usize {
        self.trees.iter().map(|((_, path), m)| path.len() + size_of::<vhost::Memory>() + m.bytes()).sum()
    }

    /// Files that need not be read again as long as nothing changes.
    pub fn files(&self) -> usize {
        self.trees.values().map(vhost::Memory::len).sum()
    }
}

/// [`scan_reaching`] by what is known from earlier scans: the same result, but
/// files are opened only where something changed. `dirty` must hold whatever
/// changed since the memory was last used; [`Dirty::All`] trusts nothing.
pub fn scan_with(
    src: &Source,
    args: &[(Server, String)],
    memory: &mut Memory,
    dirty: &Dirty,
) -> (Scan, Vec<TreeReach>) {
    src.take_reach();
    let found = layouts::find(src);
    let mut reaches = vec![TreeReach { server: SEARCH.0, path: SEARCH.1, reach: src.take_reach() }];
    memory.retain(&found.iter().map(|(s, p)| (Some(*s), p.clone())).collect::<Vec<_>>());
    let mut scan = Scan::default();
    for (server, path) in &found {
        let (one, reach) = read_tree_with(src, *server, path, args, memory, dirty);
        scan.extend(one);
        reaches.push(reach);
    }
    (scan, reaches)
}

/// [`read_tree`] by what is known from earlier scans.
pub fn read_tree_with(
    src: &Source,
    server: Server,
    path: &[u8],
    args: &[(Server, String)],
    memory: &mut Memory,
    dirty: &Dirty,
) -> (Scan, TreeReach) {
    src.next_tree();
    src.take_reach();
    let entry = Entry { path: path.to_vec(), args: args_of(args, server) };
    let kept = memory.trees.entry((Some(server), path.to_vec())).or_default();
    let scan = vhost::read_with(src, server, &entry, kept, dirty);
    let reach = src.take_reach();
    kept.keep_reach(&reach);
    (scan, TreeReach { server: Some(server), path: path.to_vec(), reach })
}

/// The start options that were given for a server.
pub fn args_of(args: &[(Server, String)], server: Server) -> Option<String> {
    let given: Vec<&str> = args.iter().filter(|(s, _)| *s == server).map(|(_, a)| a.as_str()).collect();
    (!given.is_empty()).then(|| given.join(" "))
}

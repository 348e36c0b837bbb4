//! What an Include means: a file, a pattern, or a folder with all that is in
//! it.

use std::sync::Arc;

use crate::facts::ProblemKind;
use crate::source::{Kind, SourceError, decode, fnmatch, fold};

use super::walk::Walk;

/// Apache's own bound on folders inside an included folder.
const FOLDER_DEPTH: u32 = 20;

/// One path that an include leads to.
#[derive(Debug)]
pub(super) struct Item {
    pub path: Vec<u8>,
    /// Its last component is the directive's own text, not found in a folder:
    /// it may well be missing.
    pub literal: bool,
}

/// A folder, with what it holds.
type Folder = (Arc<[u8]>, Arc<[Vec<u8>]>);

/// What is still to be read of one Include. Its paths stand in one buffer:
/// ten thousand small ones, freed one by one between the files, would cost
/// more than reading the lines.
#[derive(Debug)]
pub(super) struct Items {
    paths: Vec<u8>,
    /// In reverse: where each path begins, and whether it is literal.
    rest: Vec<(usize, bool)>,
    pub optional: bool,
    pub includer: Arc<str>,
    pub line: u32,
    /// The folders above.
    above: Vec<Folder>,
}

impl Items {
    fn new(optional: bool, includer: Arc<str>, line: u32) -> Items {
        Items { paths: Vec::new(), rest: Vec::new(), optional, includer, line, above: Vec::new() }
    }

    /// The main file, which no line includes: line 0.
    pub fn main(path: &[u8]) -> Items {
        let path = fold(path);
        let mut items = Items::new(false, decode(&path).into(), 0);
        items.push(&[&path], true);
        items
    }

    /// Adds a path, in parts, before those that are there.
    fn push(&mut self, parts: &[&[u8]], literal: bool) {
        self.rest.push((self.paths.len(), literal));
        for p in parts {
            self.paths.extend_from_slice(p);
        }
    }

    /// Puts the next path into `item`; false at the end.
    pub fn next(&mut self, item: &mut Item) -> bool {
        let Some((start, literal)) = self.rest.pop() else { return false };
        item.path.clear();
        item.path.extend_from_slice(self.paths.get(start..).unwrap_or_default());
        item.literal = literal;
        self.paths.truncate(start);
        true
    }
}

impl Walk<'_> {
    /// A path as Apache merges it with ServerRoot: `..` folded as text.
    pub fn absolute(&self, path: &[u8]) -> Vec<u8> {
        match path.first() {
            Some(b'/') => fold(path).into_owned(),
            _ => fold(&[&self.server_root, &b"/"[..], path].concat()).into_owned(),
        }
    }

    /// The paths of an Include, in the order in which Apache reads them.
    pub fn include(&mut self, path: &[u8], optional: bool, includer: Arc<str>, line: u32) -> Option<Items> {
        if path.is_empty() {
            self.note(&includer, line, ProblemKind::Syntax, "an Include without a path");
            return None;
        }
        let path = self.absolute(path);
        let mut found: Vec<Item> = vec![Item { path: Vec::new(), literal: true }];
        for (part, last) in parts(&path) {
            if !has_magic(part) {
                for item in &mut found {
                    item.path.push(b'/');
                    item.path.extend_from_slice(part);
                    item.literal = true;
                }
                continue;
            }
            let mut next = Vec::new();
            for item in found {
                let names = match self.list(&item.path) {
                    Ok(names) => names,
                    // A folder that is not there is an empty one here.
                    Err(SourceError::NotFound | SourceError::NotRegularFile | SourceError::SymlinkLoop) => {
                        Vec::new()
                    }
                    Err(e) => {
                        self.problem(e.problem(&item.path, includer.as_bytes(), line));
                        continue;
                    }
                };
                let before = next.len();
                for name in names.into_iter().filter(|n| fnmatch(part, n)) {
                    let path = [&item.path, &b"/"[..], &name].concat();
                    if last || self.src.kind(&path) == Ok(Kind::Dir) {
                        next.push(Item { path, literal: false });
                    }
                    if next.len() as u64 > self.src.limits().files {
                        self.problem(SourceError::FileLimit.problem(&item.path, includer.as_bytes(), line));
                        break;
                    }
                }
                if next.len() == before && !optional {
                    let message = "a pattern of an Include that matches nothing, which Apache 2.4 refuses";
                    self.note(&includer, line, ProblemKind::MissingInclude, message);
                }
            }
            found = next;
        }
        if !found.first().is_some_and(|first| self.is_warm(&first.path)) {
            self.src.read_ahead(found.iter().map(|i| i.path.as_slice()));
        }
        let mut items = Items::new(optional, includer, line);
        for item in found.iter().rev() {
            items.push(&[&item.path], item.literal);
        }
        Some(items)
    }

    /// What a folder holds, to be read in its place; hidden files too.
    pub fn folder(&mut self, item: &Item, items: &Items) -> Option<Items> {
        if self.src.kind(&item.path) != Ok(Kind::Dir) {
            self.problem(SourceError::NotRegularFile.problem(
                &item.path,
                items.includer.as_bytes(),
                items.line,
            ));
            return None;
        }
        let names: Arc<[Vec<u8>]> = match self.list(&item.path) {
            Ok(names) => names.into(),
            Err(e) => {
                self.problem(e.problem(&item.path, items.includer.as_bytes(), items.line));
                return None;
            }
        };
        if items.above.iter().any(|above| self.same_folder(above, &item.path, &names)) {
            self.problem(SourceError::SymlinkLoop.problem(&item.path, items.includer.as_bytes(), items.line));
            return None;
        }
        if items.above.len() >= FOLDER_DEPTH as usize {
            let message = "folders are nested deeper than Apache reads them";
            self.note(&items.includer.clone(), items.line, ProblemKind::IncludeDepth, message);
            return None;
        }
        let mut inner = Items::new(items.optional, items.includer.clone(), items.line);
        for n in names.iter().rev() {
            inner.push(&[&item.path, b"/", n], false);
        }
        inner.above.clone_from(&items.above);
        inner.above.push((item.path.as_slice().into(), names));
        Some(inner)
    }

    /// Whether a folder is one above it once more, reached by a link: the same
    /// entries, and the first file among them is the same file. Without any
    /// file there is nothing to read twice.
    fn same_folder(&self, above: &Folder, path: &[u8], names: &Arc<[Vec<u8>]>) -> bool {
        if above.1 != *names {
            return false;
        }
        names.iter().take(64).any(|n| {
            let id = |dir: &[u8]| self.src.read(&[dir, b"/", n].concat()).ok().map(|f| f.id);
            id(path).is_some_and(|here| id(&above.0) == Some(here))
        })
    }

    fn list(&mut self, path: &[u8]) -> Result<Vec<Vec<u8>>, SourceError> {
        self.folders += 1;
        if self.folders > self.src.limits().files {
            self.write();
            return Err(SourceError::FileLimit);
        }
        self.src.list(if path.is_empty() { b"/" } else { path })
    }
}

/// Path components, each with whether it is the last.
fn parts(path: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let mut it = path.split(|&b| b == b'/').filter(|p| !p.is_empty()).peekable();
    std::iter::from_fn(move || {
        let part = it.next()?;
        Some((part, it.peek().is_none()))
    })
}

/// apr_fnmatch_test: `*`, `?`, or a bracket that is closed; a backslash
/// quotes.
fn has_magic(part: &[u8]) -> bool {
    let mut bracket = false;
    let mut it = part.iter();
    while let Some(b) = it.next() {
        match b {
            b'*' | b'?' => return true,
            b'\\' => {
                it.next();
            }
            b'[' => bracket = true,
            b']' if bracket => return true,
            _ => {}
        }
    }
    false
}

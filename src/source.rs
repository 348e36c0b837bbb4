//! The only door to the customer's files.
//!
//! Every path is resolved inside one root as in a chroot: `..` stops at the
//! root, absolute links start there, nothing outside is ever opened. Only
//! regular files are read, each within a limit, all of them within a limit of
//! number and time. What is refused becomes a [`SourceError`], which knows its
//! problem kind and a sentence that quotes nothing.

mod ahead;
mod confine;
mod dirty;
mod disk;
mod folders;
mod glob;
pub mod privilege;
mod reach;
mod secret;
mod text;
mod trail;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::config::Limits;
use crate::facts::{Problem, ProblemKind};

use ahead::Ahead;
use disk::Disk;
use glob::Asked as InGlob;
use reach::Recorder;

pub use confine::fold;
pub use dirty::Dirty;
pub use folders::{Folders, Look};
pub use glob::{fnmatch, has_magic};
pub use reach::{Reach, join};
pub use text::decode;
pub use trail::{Asked, Trail, Way};

/// Why a file or folder could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Nothing of that name inside the root.
    #[error("the file is not there")]
    NotFound,
    /// A FIFO, socket, device or folder.
    #[error("not a regular file; it is not opened")]
    NotRegularFile,
    /// Links in a ring.
    #[error("symbolic links lead in a ring")]
    SymlinkLoop,
    /// More than `limits.file_bytes`.
    #[error("larger than limits.file_bytes")]
    TooLarge,
    /// The system refuses.
    #[error("no permission to read it; run as root or give the agent CAP_DAC_READ_SEARCH")]
    Denied,
    /// A folder or file of secrets.
    #[error("a place for secrets; it is never opened")]
    Secret,
    /// The disk or the file system failed.
    #[error("reading failed")]
    Io,
    /// `limits.files` is used up.
    #[error("more files than limits.files; the rest is not read")]
    FileLimit,
    /// `limits.seconds` is used up.
    #[error("longer than limits.seconds; the rest is not read")]
    TimeLimit,
}

impl SourceError {
    /// The kind of problem that this is.
    pub const fn kind(self) -> ProblemKind {
        match self {
            SourceError::NotFound => ProblemKind::MissingInclude,
            SourceError::NotRegularFile => ProblemKind::NotRegularFile,
            SourceError::SymlinkLoop => ProblemKind::SymlinkLoop,
            SourceError::TooLarge => ProblemKind::TooLarge,
            SourceError::Denied | SourceError::Secret | SourceError::Io => ProblemKind::Unreadable,
            SourceError::FileLimit | SourceError::TimeLimit => ProblemKind::IncludeLimit,
        }
    }

    /// Whether nothing more can be read in this scan.
    pub const fn is_final(self) -> bool {
        matches!(self, SourceError::FileLimit | SourceError::TimeLimit)
    }

    /// The problem that an include of `path` at `file`:`line` makes: it names
    /// the file that was refused where that exists, else the includer (an
    /// include may name anything, and its text must not come out).
    pub fn problem(self, path: &[u8], file: &[u8], line: u32) -> Problem {
        match self {
            SourceError::NotFound | SourceError::FileLimit | SourceError::TimeLimit => {
                let message = match self {
                    SourceError::NotFound => "an included file is not there".to_owned(),
                    _ => self.to_string(),
                };
                Problem::at(decode(file), Some(line), self.kind(), message)
            }
            _ => Problem::at(decode(&fold(path)), None, self.kind(), self.to_string()),
        }
    }
}

impl From<Errno> for SourceError {
    fn from(e: Errno) -> Self {
        match e {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL => SourceError::NotFound,
            Errno::LOOP => SourceError::SymlinkLoop,
            Errno::ACCESS | Errno::PERM => SourceError::Denied,
            Errno::NXIO | Errno::NODEV | Errno::ISDIR => SourceError::NotRegularFile,
            _ => SourceError::Io,
        }
    }
}

/// What a file is on its file system, whatever links lead to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    dev: u64,
    ino: u64,
}

/// A file's bytes.
#[derive(Debug)]
pub struct FileBytes {
    /// What was read.
    pub bytes: Vec<u8>,
    /// To notice the same file under another path.
    pub id: FileId,
    /// Whether a symbolic link stands at the path that was asked for.
    pub link: bool,
}

/// What stands at a path, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// Anything else.
    Other,
}

/// One root, with the budget of one scan. Paths are bytes, absolute, and mean
/// what they mean inside the root.
pub struct Source {
    disk: Arc<Disk>,
    files: AtomicU64,
    spared: AtomicU64,
    hasher: RandomState,
    kept: Mutex<Kept>,
    ahead: Mutex<Option<Ahead>>,
    recorder: Option<Mutex<Recorder>>,
    trail: Mutex<Option<Trail>>,
}

/// A path, and what stands there.
type KeptFile = (Box<[u8]>, Arc<FileBytes>);

#[derive(Default)]
struct Kept {
    /// By the (keyed) hash of the path: a file is worth keeping only once it
    /// is read again, and until then its path is not worth keeping either.
    seen: HashMap<u64, Option<KeptFile>>,
    bytes: usize,
}

/// Shared snippets that every site includes are kept up to this size…
const KEEP_FILE: usize = 64 << 10;
/// …and this total.
const KEEP_TOTAL: usize = 2 << 20;

impl Source {
    /// Opens a root folder.
    pub fn open(root: &Path, limits: Limits) -> io::Result<Source> {
        Ok(Source::over(confine::Root::open(root)?, limits))
    }

    /// The same without openat2, as on kernels before 5.6.
    #[doc(hidden)]
    pub fn open_by_walking(root: &Path, limits: Limits) -> io::Result<Source> {
        Ok(Source::over(confine::Root::open(root)?.by_walking(), limits))
    }

    fn over(root: confine::Root, limits: Limits) -> Source {
        Source {
            disk: Arc::new(Disk::new(root, limits)),
            files: AtomicU64::new(0),
            spared: AtomicU64::new(0),
            hasher: RandomState::new(),
            kept: Mutex::new(Kept::default()),
            ahead: Mutex::new(None),
            recorder: None,
            trail: Mutex::new(None),
        }
    }

    /// From now on, what is asked for is written down ([`Source::take_reach`]).
    pub fn recording(mut self) -> Source {
        self.recorder = Some(Mutex::default());
        self
    }

    /// What was reached since the last call; nothing without
    /// [`Source::recording`].
    pub fn take_reach(&self) -> Reach {
        self.recorder.as_ref().map(|r| lock(r).take()).unwrap_or_default()
    }

    /// What an earlier reading reached counts as reached again.
    pub fn reached_before(&self, reach: Reach) {
        self.record(|r, _| r.resume(reach));
    }

    fn record(&self, what: impl FnOnce(&mut Recorder, &Disk)) {
        if let Some(r) = &self.recorder {
            what(&mut lock(r), &self.disk);
        }
    }

    /// The bounds.
    pub fn limits(&self) -> &Limits {
        self.disk.limits()
    }

    /// Another tree begins: files are counted anew, so that one tree of
    /// include bombs does not hide the sites of the next. The time goes on.
    pub fn next_tree(&self) {
        self.files.store(0, Ordering::Relaxed);
        self.spared.store(0, Ordering::Relaxed);
    }

    /// Files of this tree read so far, repeated reads included.
    pub fn files_read(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Counts files of this tree as read that need not be read again: they
    /// count against `limits.files` like the others.
    pub fn spare(&self, files: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.spared.fetch_add(files, Ordering::Relaxed);
    }

    /// Files of this tree that were really opened, or tried to.
    pub fn files_opened(&self) -> u64 {
        self.files_read().saturating_sub(self.spared.load(Ordering::Relaxed))
    }

    /// Fails once the time for this scan is over; for long loops that read
    /// nothing.
    pub fn check_time(&self) -> Result<(), SourceError> {
        self.disk.check_time()
    }

    /// Reads one regular file, links followed inside the root.
    pub fn read(&self, path: &[u8]) -> Result<Arc<FileBytes>, SourceError> {
        if self.files.fetch_add(1, Ordering::Relaxed) >= self.limits().files {
            self.trace(|t| t.unsure = true);
            return Err(SourceError::FileLimit);
        }
        if let Err(e) = self.check_time() {
            self.trace(|t| t.failed(e));
            return Err(e);
        }
        let file = self.read_or_kept(path);
        let link = file.as_ref().ok().map(|f| f.link);
        self.record(|r, disk| r.file(disk, path, link));
        self.trace(|t| {
            t.add(Asked::File { path: path.into(), link });
            if let Err(e) = &file {
                t.failed(*e);
            }
        });
        file
    }

    fn trace(&self, what: impl FnOnce(&mut Trail)) {
        if let Some(trail) = &mut *lock(&self.trail) {
            what(trail);
        }
    }

    fn read_or_kept(&self, path: &[u8]) -> Result<Arc<FileBytes>, SourceError> {
        let hash = self.hasher.hash_one(path);
        let again = match lock(&self.kept).seen.entry(hash) {
            Entry::Vacant(e) => {
                e.insert(None);
                false
            }
            Entry::Occupied(e) => match e.get() {
                Some((kept, file)) if **kept == *path => return Ok(file.clone()),
                Some(_) => false,
                None => true,
            },
        };
        let early = lock(&self.ahead).as_mut().and_then(|a| a.take(path));
        let file = Arc::new(early.unwrap_or_else(|| self.disk.read(path, u64::MAX))?);
        if again && file.bytes.len() <= KEEP_FILE {
            let mut kept = lock(&self.kept);
            if kept.bytes + file.bytes.len() <= KEEP_TOTAL {
                kept.bytes += file.bytes.len();
                kept.seen.insert(hash, Some((path.into(), file.clone())));
            }
        }
        Ok(file)
    }

    /// A hint: these files will be read next, in this order. A long list is
    /// read ahead by a thread, so that reading and parsing overlap; nothing
    /// else changes.
    pub fn read_ahead<'p>(&self, paths: impl ExactSizeIterator<Item = &'p [u8]>) {
        let mut ahead = lock(&self.ahead);
        if paths.len() >= ahead::WORTH && ahead.as_ref().is_none_or(Ahead::is_over) {
            *ahead = Ahead::start(self.disk.clone(), paths.map(<[u8]>::to_vec).collect());
        }
    }

    /// What stands at a path.
    pub fn kind(&self, path: &[u8]) -> Result<Kind, SourceError> {
        self.record(|r, disk| r.file(disk, path, None));
        let kind = self.disk.kind(path);
        self.trace(|t| {
            t.add(Asked::File { path: path.into(), link: None });
            if let Err(e) = kind {
                t.failed(e);
            }
        });
        kind
    }

    /// Whether a regular file stands there.
    pub fn is_file(&self, path: &[u8]) -> bool {
        self.kind(path) == Ok(Kind::File)
    }

    /// Names in a folder, hidden ones included, in byte order.
    pub fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, SourceError> {
        self.record(|r, disk| r.listed(disk, path));
        let mut names = self.disk.scan_dir(path, |_| true);
        self.trace(|t| {
            t.add(Asked::Names { folder: path.into(), pattern: None });
            if let Err(e) = &names {
                t.failed(*e);
            }
        });
        if let Ok(names) = &mut names {
            names.sort_unstable();
        }
        names
    }

    /// glob(3) without flags, as nginx calls it, in byte order: `*`, `?` and
    /// brackets match within one path component, a leading dot only
    /// literally, a backslash quotes. No match is an empty list.
    pub fn glob(&self, pattern: &[u8]) -> Result<Vec<Vec<u8>>, SourceError> {
        let found = glob::expand(&self.disk, pattern, &mut |asked| {
            self.record(|r, disk| match asked {
                InGlob::Names { folder, pattern } => r.matched(disk, folder, pattern),
                InGlob::Entry(path) => r.entry(disk, path),
            });
            self.trace(|t| {
                t.add(match asked {
                    InGlob::Names { folder, pattern } => {
                        Asked::Names { folder: folder.into(), pattern: Some(pattern.into()) }
                    }
                    InGlob::Entry(path) => Asked::File { path: path.into(), link: Some(false) },
                });
            });
        });
        if let Err(e) = &found {
            self.trace(|t| t.failed(*e));
        }
        found
    }
}

/// A poisoned lock only means that another thread panicked between two
/// inserts of a cache; what is in it is still true.
fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

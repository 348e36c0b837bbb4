//! The only door to the customer's files.
//!
//! Every path is resolved inside one root as in a chroot: `..` stops at the
//! root, absolute links start there, nothing outside is ever opened. Only
//! regular files are read, each within a limit, all of them within a limit of
//! number and time. What is refused becomes a [`SourceError`], which knows its
//! problem kind and a sentence that quotes nothing.

mod confine;
mod glob;
pub mod privilege;
mod secret;
mod text;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::config::Limits;
use crate::facts::{Problem, ProblemKind};

pub use confine::fold;
pub use glob::{fnmatch, has_magic};
pub use text::decode;

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
    root: confine::Root,
    limits: Limits,
    started: Instant,
    files: AtomicU64,
    hasher: RandomState,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Folders that files were opened in, so that 10,000 files of one folder
    /// cost one walk to it.
    dirs: HashMap<Vec<u8>, Arc<OwnedFd>>,
    /// Hashes of the paths read so far: a file is worth keeping only once it
    /// is read again.
    seen: HashSet<u64>,
    kept: HashMap<Vec<u8>, Arc<FileBytes>>,
    kept_bytes: usize,
}

/// Shared snippets that every site includes are kept up to this size…
const KEEP_FILE: usize = 64 << 10;
/// …and this total.
const KEEP_TOTAL: usize = 2 << 20;
/// Folders kept open at a time.
const KEEP_DIRS: usize = 64;

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
            root,
            limits,
            started: Instant::now(),
            files: AtomicU64::new(0),
            hasher: RandomState::new(),
            state: Mutex::new(State::default()),
        }
    }

    /// The bounds.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Files read so far, repeated reads included.
    pub fn files_read(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Fails once the time for this scan is over; for long loops that read
    /// nothing.
    pub fn check_time(&self) -> Result<(), SourceError> {
        if self.started.elapsed() > self.limits.time { Err(SourceError::TimeLimit) } else { Ok(()) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A poisoned lock only means that another thread panicked between two
        // inserts of a cache; what is in it is still true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one regular file, links followed inside the root.
    pub fn read(&self, path: &[u8]) -> Result<Arc<FileBytes>, SourceError> {
        if self.files.fetch_add(1, Ordering::Relaxed) >= self.limits.files {
            return Err(SourceError::FileLimit);
        }
        self.check_time()?;
        let again = {
            let hash = self.hasher.hash_one(path);
            let mut st = self.state();
            if let Some(f) = st.kept.get(path) {
                return Ok(f.clone());
            }
            !st.seen.insert(hash)
        };
        let file = Arc::new(self.read_uncached(path)?);
        if again && file.bytes.len() <= KEEP_FILE {
            let mut st = self.state();
            if st.kept_bytes + file.bytes.len() <= KEEP_TOTAL {
                st.kept_bytes += file.bytes.len();
                st.kept.insert(path.to_vec(), file.clone());
            }
        }
        Ok(file)
    }

    fn read_uncached(&self, path: &[u8]) -> Result<FileBytes, SourceError> {
        if secret::is_secret(&fold(path)) {
            // Only what exists is reported by its own path.
            return Err(match self.kind(path) {
                Err(SourceError::NotFound) => SourceError::NotFound,
                _ => SourceError::Secret,
            });
        }
        let (dir, name) = split(path);
        if matches!(name, b"" | b"." | b"..") {
            return Err(SourceError::NotRegularFile);
        }
        let dir = self.dir(dir)?;
        let st = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(st.st_mode) {
            FileType::RegularFile => {
                self.check_size(&st)?;
                // O_NONBLOCK and the second look: between the two calls the
                // file may have been replaced by a FIFO.
                let fd = rustix::fs::openat(&dir, name, READ | OFlags::NOFOLLOW, Mode::empty())?;
                self.read_fd(fd)
            }
            FileType::Symlink => {
                let fd = self.root.resolve(path)?;
                let st = rustix::fs::fstat(&fd)?;
                self.check_size(&st)?;
                if let Some(real) = self.root.real_path(fd.as_fd())
                    && secret::is_secret(&real)
                {
                    return Err(SourceError::Secret);
                }
                self.read_fd(self.root.reopen(fd, path, READ)?)
            }
            _ => Err(SourceError::NotRegularFile),
        }
    }

    fn check_size(&self, st: &Stat) -> Result<(), SourceError> {
        if FileType::from_raw_mode(st.st_mode) != FileType::RegularFile {
            return Err(SourceError::NotRegularFile);
        }
        if u64::try_from(st.st_size).unwrap_or(u64::MAX) > self.limits.file_bytes {
            return Err(SourceError::TooLarge);
        }
        Ok(())
    }

    fn read_fd(&self, fd: OwnedFd) -> Result<FileBytes, SourceError> {
        let st = rustix::fs::fstat(&fd)?;
        self.check_size(&st)?;
        let size = usize::try_from(st.st_size).unwrap_or(0);
        let mut bytes = Vec::with_capacity(size + 1);
        loop {
            if bytes.len() == bytes.capacity() {
                bytes.reserve(4096);
            }
            match rustix::io::read(&fd, rustix::buffer::spare_capacity(&mut bytes)) {
                Ok(0) => break,
                // A file that was read to its size is read whole, unless it
                // grows right now; then the next scan sees the rest.
                Ok(_) if bytes.len() == size => break,
                Ok(_) if bytes.len() as u64 > self.limits.file_bytes => return Err(SourceError::TooLarge),
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        if secret::looks_like_a_key(&bytes) {
            return Err(SourceError::Secret);
        }
        Ok(FileBytes { bytes, id: FileId { dev: st.st_dev, ino: st.st_ino } })
    }

    /// A folder of the root, opened for looking things up in it.
    fn dir(&self, path: &[u8]) -> Result<Arc<OwnedFd>, SourceError> {
        if let Some(d) = self.state().dirs.get(path) {
            return Ok(d.clone());
        }
        let fd = self.root.resolve(path)?;
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::Directory {
            return Err(SourceError::NotFound);
        }
        if let Some(real) = self.root.real_path(fd.as_fd())
            && secret::is_secret(&[real.as_slice(), b"/"].concat())
        {
            return Err(SourceError::Secret);
        }
        let fd = Arc::new(fd);
        let mut st = self.state();
        if st.dirs.len() >= KEEP_DIRS {
            st.dirs.clear();
        }
        st.dirs.insert(path.to_vec(), fd.clone());
        Ok(fd)
    }

    /// What stands at a path.
    pub fn kind(&self, path: &[u8]) -> Result<Kind, SourceError> {
        let st = rustix::fs::fstat(self.root.resolve(path)?)?;
        Ok(match FileType::from_raw_mode(st.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Dir,
            _ => Kind::Other,
        })
    }

    /// Whether a regular file stands there.
    pub fn is_file(&self, path: &[u8]) -> bool {
        self.kind(path) == Ok(Kind::File)
    }

    /// Names in a folder, hidden ones included, in byte order.
    pub fn list(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, SourceError> {
        let mut names = self.scan_dir(path, |_| true)?;
        names.sort_unstable();
        Ok(names)
    }

    fn scan_dir(&self, path: &[u8], want: impl Fn(&[u8]) -> bool) -> Result<Vec<Vec<u8>>, SourceError> {
        self.check_time()?;
        let dir = self.dir(path)?;
        let fd = rustix::fs::openat(
            &dir,
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut names = Vec::new();
        for (i, entry) in Dir::new(fd)?.enumerate() {
            if i % 4096 == 4095 {
                self.check_time()?;
            }
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." || !want(name) {
                continue;
            }
            if names.len() as u64 >= self.limits.files {
                return Err(SourceError::FileLimit);
            }
            names.push(name.to_vec());
        }
        Ok(names)
    }

    /// glob(3) without flags, as nginx calls it, in byte order: `*`, `?` and
    /// brackets match within one path component, a leading dot only
    /// literally, a backslash quotes. No match is an empty list.
    pub fn glob(&self, pattern: &[u8]) -> Result<Vec<Vec<u8>>, SourceError> {
        glob::expand(self, pattern)
    }
}

const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(i) => (&path[..=i], &path[i + 1..]),
        None => (b"/", path),
    }
}

#[cfg(test)]
mod tests;

//! The file system below the root: what is opened, and what never is.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{FileBytes, FileId, Kind, SourceError, confine, fold, lock, secret};
use crate::config::Limits;

/// Folders kept open at a time.
const KEEP_DIRS: usize = 64;

pub(super) struct Disk {
    root: confine::Root,
    limits: Limits,
    started: Instant,
    /// Folders that files were opened in, so that 10,000 files of one folder
    /// cost one walk to it.
    dirs: Mutex<HashMap<Vec<u8>, Arc<Folder>>>,
}

/// An open folder.
struct Folder {
    fd: OwnedFd,
    /// It was listed in this scan, and nothing in it is a FIFO, socket or
    /// device: what is opened there needs no look before.
    tame: AtomicBool,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Disk {
    pub(super) fn new(root: confine::Root, limits: Limits) -> Disk {
        Disk { root, limits, started: Instant::now(), dirs: Mutex::new(HashMap::new()) }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn check_time(&self) -> Result<(), SourceError> {
        if self.started.elapsed() > self.limits.time { Err(SourceError::TimeLimit) } else { Ok(()) }
    }

    /// Reads a regular file of up to `most` bytes and the limit of the
    /// settings.
    pub(super) fn read(&self, path: &[u8], most: u64) -> Result<FileBytes, SourceError> {
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
        if dir.tame.load(Ordering::Relaxed) {
            // A link is for what follows; all else is decided by the open file.
            match rustix::fs::openat(&*dir, name, READ | OFlags::NOFOLLOW, Mode::empty()) {
                Err(Errno::LOOP) => {}
                opened => return self.read_fd(opened?, most),
            }
        }
        let st = rustix::fs::statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(st.st_mode) {
            // Panels make an empty file of rewrite rules for every site. On a
            // disk that is all there is to know; elsewhere (/proc) a file of
            // size 0 may have something in it.
            FileType::RegularFile if st.st_size == 0 && st.st_dev == self.root.dev() => Ok(FileBytes {
                bytes: Vec::new(),
                id: FileId { dev: st.st_dev, ino: st.st_ino },
                link: false,
            }),
            FileType::RegularFile => {
                self.check_size(&st, most)?;
                // O_NONBLOCK and the second look: between the two calls the
                // file may have been replaced by a FIFO.
                let fd = rustix::fs::openat(&*dir, name, READ | OFlags::NOFOLLOW, Mode::empty())?;
                self.read_fd(fd, most)
            }
            FileType::Symlink => {
                let fd = self.root.resolve(path)?;
                let st = rustix::fs::fstat(&fd)?;
                self.check_size(&st, most)?;
                if let Some(real) = self.root.real_path(fd.as_fd())
                    && secret::is_secret(&real)
                {
                    return Err(SourceError::Secret);
                }
                let file = self.read_fd(self.root.reopen(fd, path, READ)?, most)?;
                Ok(FileBytes { link: true, ..file })
            }
            _ => Err(SourceError::NotRegularFile),
        }
    }

    fn check_size(&self, st: &Stat, most: u64) -> Result<(), SourceError> {
        if FileType::from_raw_mode(st.st_mode) != FileType::RegularFile {
            return Err(SourceError::NotRegularFile);
        }
        if u64::try_from(st.st_size).unwrap_or(u64::MAX) > self.limits.file_bytes.min(most) {
            return Err(SourceError::TooLarge);
        }
        Ok(())
    }

    fn read_fd(&self, fd: OwnedFd, most: u64) -> Result<FileBytes, SourceError> {
        let st = rustix::fs::fstat(&fd)?;
        self.check_size(&st, most)?;
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
                Ok(_) if bytes.len() as u64 > self.limits.file_bytes.min(most) => {
                    return Err(SourceError::TooLarge);
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        if secret::looks_like_a_key(&bytes) {
            return Err(SourceError::Secret);
        }
        Ok(FileBytes { bytes, id: FileId { dev: st.st_dev, ino: st.st_ino }, link: false })
    }

    /// A folder of the root, opened for looking things up in it.
    fn dir(&self, path: &[u8]) -> Result<Arc<Folder>, SourceError> {
        if let Some(d) = lock(&self.dirs).get(path) {
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
        let fd = Arc::new(Folder { fd, tame: AtomicBool::new(false) });
        let mut dirs = lock(&self.dirs);
        if dirs.len() >= KEEP_DIRS {
            dirs.clear();
        }
        dirs.insert(path.to_vec(), fd.clone());
        Ok(fd)
    }

    pub(super) fn kind(&self, path: &[u8]) -> Result<Kind, SourceError> {
        let st = rustix::fs::fstat(self.root.resolve(path)?)?;
        Ok(match FileType::from_raw_mode(st.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Dir,
            _ => Kind::Other,
        })
    }

    /// Names in a folder that are wanted, in the order of the file system.
    pub(super) fn scan_dir(
        &self,
        path: &[u8],
        want: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<Vec<u8>>, SourceError> {
        self.check_time()?;
        let dir = self.dir(path)?;
        let fd = rustix::fs::openat(
            &*dir,
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut names = Vec::new();
        let mut tame = true;
        for (i, entry) in Dir::new(fd)?.enumerate() {
            if i % 4096 == 4095 {
                self.check_time()?;
            }
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let kind = entry.file_type();
            tame &= matches!(kind, FileType::RegularFile | FileType::Directory | FileType::Symlink);
            if name == b"." || name == b".." || !want(name) {
                continue;
            }
            if names.len() as u64 >= self.limits.files {
                return Err(SourceError::FileLimit);
            }
            names.push(name.to_vec());
        }
        dir.tame.store(tame, Ordering::Relaxed);
        Ok(names)
    }

    pub(super) fn root(&self) -> &confine::Root {
        &self.root
    }

    /// What a symbolic link says, as it is written in it.
    pub(super) fn link_target(&self, dir: &[u8], name: &[u8]) -> Option<Vec<u8>> {
        Some(rustix::fs::readlinkat(self.dir(dir).ok()?, name, Vec::new()).ok()?.into_bytes())
    }

    /// Whether a folder, and no link to one, stands there.
    pub(super) fn is_plain_folder(&self, dir: &[u8], name: &[u8]) -> bool {
        self.dir(dir).is_ok_and(|d| match rustix::fs::statat(&d, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(st) => FileType::from_raw_mode(st.st_mode) == FileType::Directory,
            Err(_) => false,
        })
    }

    /// Whether the folder has an entry of that name, whatever it is.
    pub(super) fn entry_exists(&self, path: &[u8]) -> bool {
        let (dir, name) = split(path);
        self.dir(dir).is_ok_and(|d| rustix::fs::statat(&*d, name, AtFlags::SYMLINK_NOFOLLOW).is_ok())
    }
}

const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(i) => (&path[..=i], &path[i + 1..]),
        None => (b"/", path),
    }
}

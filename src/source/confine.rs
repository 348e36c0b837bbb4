//! Resolving paths inside a root.
//!
//! Where the kernel has it, openat2 with RESOLVE_IN_ROOT does the whole walk.
//! Elsewhere (before Linux 5.6, or where a seccomp filter of an old container
//! runtime refuses the call) a walk of our own does, component by component
//! with O_NOFOLLOW, `..` by a stack of open folders, so that nothing that is
//! renamed meanwhile can lead it out.

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::SourceError;

const PATH: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// As many links as the kernel follows in one walk.
const MAX_LINKS: u32 = 40;

pub(super) struct Root {
    fd: OwnedFd,
    /// The root's own path on the host, to be taken off what the kernel says
    /// a file is called.
    host: Vec<u8>,
    /// The file system that the root itself is on.
    dev: u64,
    walk: AtomicBool,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Root> {
        let fd = rustix::fs::openat(CWD, path, PATH | OFlags::DIRECTORY, Mode::empty())?;
        let host = std::fs::canonicalize(path)?.into_os_string().into_vec();
        let host = if host == b"/" { Vec::new() } else { host };
        let dev = rustix::fs::fstat(&fd)?.st_dev;
        Ok(Root { fd, host, dev, walk: AtomicBool::new(false) })
    }

    pub(super) fn dev(&self) -> u64 {
        self.dev
    }

    pub(super) fn by_walking(self) -> Root {
        self.walk.store(true, Ordering::Relaxed);
        self
    }

    /// A handle (O_PATH: nothing is opened for reading) on what a path means
    /// inside the root, all links followed.
    pub(super) fn resolve(&self, path: &[u8]) -> Result<OwnedFd, SourceError> {
        if path.contains(&0) {
            return Err(SourceError::NotFound);
        }
        if !self.walk.load(Ordering::Relaxed) {
            let rel = match path.iter().position(|&b| b != b'/') {
                Some(i) => &path[i..],
                None => b".",
            };
            // EAGAIN: something was renamed while `..` was walked.
            for _ in 0..16 {
                match rustix::fs::openat2(
                    &self.fd,
                    rel,
                    PATH,
                    Mode::empty(),
                    ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
                ) {
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(Errno::NOSYS | Errno::PERM) => {
                        self.walk.store(true, Ordering::Relaxed);
                        break;
                    }
                    other => return Ok(other?),
                }
            }
        }
        self.walk(path)
    }

    fn walk(&self, path: &[u8]) -> Result<OwnedFd, SourceError> {
        let mut todo: Vec<Vec<u8>> = components(path);
        // The folders below the root that lead to where we are.
        let mut stack: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == b".." {
                stack.pop();
                continue;
            }
            let here = stack.last().map_or(self.fd.as_fd(), OwnedFd::as_fd);
            let fd = rustix::fs::openat(here, name.as_slice(), PATH | OFlags::NOFOLLOW, Mode::empty())?;
            if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::Symlink {
                stack.push(fd);
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(SourceError::SymlinkLoop);
            }
            let target = rustix::fs::readlinkat(&fd, "", Vec::new())?.into_bytes();
            if target.first() == Some(&b'/') {
                stack.clear();
            }
            todo.extend(components(&target));
        }
        match stack.pop() {
            Some(fd) => Ok(fd),
            None => Ok(self.fd.try_clone().map_err(|_| SourceError::Io)?),
        }
    }

    /// Walks a path and tells each folder on the way, by its path inside the
    /// root without links, with the name that is looked up in it; links are
    /// followed. The same kind of path to what is there; `None` where the path
    /// leads nowhere.
    pub(super) fn trace(&self, path: &[u8], step: &mut dyn FnMut(&[u8], &[u8])) -> Option<Vec<u8>> {
        let mut todo: Vec<Vec<u8>> = components(path);
        // Open folders, each with the length of the path that leads to it.
        let mut stack: Vec<(OwnedFd, usize)> = Vec::new();
        let mut here: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == b".." {
                if let Some((_, len)) = stack.pop() {
                    here.truncate(len);
                }
                continue;
            }
            step(if here.is_empty() { b"/" } else { &here }, &name);
            let at = stack.last().map_or(self.fd.as_fd(), |(fd, _)| fd.as_fd());
            let fd = rustix::fs::openat(at, name.as_slice(), PATH | OFlags::NOFOLLOW, Mode::empty()).ok()?;
            let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd).ok()?.st_mode);
            if kind == FileType::Symlink {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                let target = rustix::fs::readlinkat(&fd, "", Vec::new()).ok()?.into_bytes();
                if target.first() == Some(&b'/') {
                    stack.clear();
                    here.clear();
                }
                todo.extend(components(&target));
                continue;
            }
            if kind != FileType::Directory {
                return None;
            }
            stack.push((fd, here.len()));
            here.push(b'/');
            here.extend_from_slice(&name);
        }
        Some(if here.is_empty() { b"/".to_vec() } else { here })
    }

    /// The path inside the root of what a handle stands for, all links
    /// followed; `None` where /proc does not say.
    pub(super) fn real_path(&self, fd: BorrowedFd<'_>) -> Option<Vec<u8>> {
        let real = rustix::fs::readlink(proc_fd(fd), Vec::new()).ok()?.into_bytes();
        real.strip_prefix(self.host.as_slice()).map(<[u8]>::to_vec)
    }

    /// Opens what a handle stands for; the handle has already been looked at.
    pub(super) fn reopen(&self, fd: OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, SourceError> {
        match rustix::fs::open(proc_fd(fd.as_fd()), flags, Mode::empty()) {
            Ok(fd) => Ok(fd),
            // Without /proc: the same way again, and the same file or none.
            Err(Errno::NOENT) => {
                let want = rustix::fs::fstat(&fd)?;
                let rel = path.iter().position(|&b| b != b'/').map_or(&b"."[..], |i| &path[i..]);
                let got = rustix::fs::openat2(
                    &self.fd,
                    rel,
                    flags,
                    Mode::empty(),
                    ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
                )?;
                let st = rustix::fs::fstat(&got)?;
                if (st.st_dev, st.st_ino) == (want.st_dev, want.st_ino) {
                    Ok(got)
                } else {
                    Err(SourceError::Io)
                }
            }
            Err(e) => Err(e.into()),
        }
    }
}

fn proc_fd(fd: BorrowedFd<'_>) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Components in reverse, empty ones and `.` left out.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&b| b == b'/').rev().filter(|c| !c.is_empty() && *c != b".").map(<[u8]>::to_vec).collect()
}

/// `..` and `.` folded away as text, stopping at the root: the path by which a
/// person knows the file. Opening never goes by it.
pub fn fold(path: &[u8]) -> Cow<'_, [u8]> {
    if is_folded(path) {
        return Cow::Borrowed(path);
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for c in path.split(|&b| b == b'/') {
        match c {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            _ => parts.push(c),
        }
    }
    let mut out = Vec::with_capacity(path.len() + 1);
    for p in parts {
        out.push(b'/');
        out.extend_from_slice(p);
    }
    if out.is_empty() {
        out.push(b'/');
    }
    Cow::Owned(out)
}

/// Whether a path is absolute and has nothing to fold: no empty part, no `.`,
/// no `..`.
fn is_folded(path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(b"/") else { return false };
    rest.is_empty() || rest.split(|&b| b == b'/').all(|c| !matches!(c, b"" | b"." | b".."))
}

//! Folders for those who wait for changes: handles to watch them by, and looks
//! at them where they cannot be watched. Nothing outside the root is met.

use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use super::{SourceError, confine};

/// Entries that are looked at in one folder; what lies beyond is found by the
/// whole scan.
const ENTRIES: usize = 200_000;

/// File systems that others write to as well, or that tell inotify nothing:
/// NFS, CIFS, SMB2, FUSE, 9p, Ceph, AFS.
const REMOTE: &[u64] =
    &[0x6969, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546, 0x0102_1997, 0x00c3_6400, 0x5346_414f];

/// The folders below one root.
pub struct Folders {
    root: confine::Root,
    host: PathBuf,
    hasher: RandomState,
}

/// What a folder looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Differs when an entry that counts came, went, or was changed.
    pub fingerprint: u64,
    /// The last change of the folder or of an entry that counts, in
    /// nanoseconds since 1970: ctime, which nobody can set back.
    pub newest: i128,
}

impl Folders {
    /// Opens a root folder.
    pub fn open(root: &Path) -> io::Result<Folders> {
        Ok(Folders {
            root: confine::Root::open(root)?,
            host: std::fs::canonicalize(root)?,
            hasher: RandomState::new(),
        })
    }

    /// A handle (O_PATH) on a folder, and whether its file system may hide
    /// changes from inotify. The path is one of [`super::Reach::folders`];
    /// where by now a link stands in it, it is another folder and not found.
    pub fn handle(&self, folder: &[u8]) -> Result<(OwnedFd, bool), SourceError> {
        let fd = self.root.resolve(folder)?;
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::Directory {
            return Err(SourceError::NotFound);
        }
        if let Some(real) = self.root.real_path(fd.as_fd())
            && real != folder
            && !(real.is_empty() && folder == b"/")
        {
            return Err(SourceError::NotFound);
        }
        let remote = rustix::fs::fstatfs(&fd)
            .is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|t| REMOTE.contains(&(t & 0xffff_ffff))));
        Ok((fd, remote))
    }

    /// The folder's path on the host.
    pub fn host_path(&self, folder: &[u8]) -> PathBuf {
        self.host.join(OsStr::from_bytes(folder.strip_prefix(b"/").unwrap_or(folder)))
    }

    /// Looks at a folder and at its entries that count.
    pub fn look(&self, folder: &[u8], counts: impl Fn(&[u8]) -> bool) -> Result<Look, SourceError> {
        let (at, _) = self.handle(folder)?;
        let st = rustix::fs::fstat(&at)?;
        let mut look = Look { fingerprint: self.hash(b"", &st, false), newest: changed(&st) };
        let fd = rustix::fs::openat(
            &at,
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        for entry in Dir::new(fd)?.take(ENTRIES) {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." || !counts(name) {
                continue;
            }
            // Gone since it was listed: not there.
            let Ok(st) = rustix::fs::statat(&at, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let dir = FileType::from_raw_mode(st.st_mode) == FileType::Directory;
            // The order of the entries does not count. Of a folder only what it
            // is: what happens in it is its own look.
            look.fingerprint = look.fingerprint.wrapping_add(self.hash(name, &st, !dir));
            look.newest = look.newest.max(changed(&st));
        }
        Ok(look)
    }

    fn hash(&self, name: &[u8], st: &Stat, content: bool) -> u64 {
        let content = content.then_some((st.st_size, changed(st)));
        self.hasher.hash_one((name, st.st_dev, st.st_ino, st.st_mode, st.st_uid, content))
    }
}

fn changed(st: &Stat) -> i128 {
    i128::from(st.st_ctime) * 1_000_000_000 + i128::from(st.st_ctime_nsec)
}

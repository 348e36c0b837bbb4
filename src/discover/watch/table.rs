//! Which folder is watched how, and what an event means.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::ops::Bound;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::pending::Pending;
use super::{Began, Change, Options, WatchState};
use crate::discover::{TreeKey, TreeReach};
use crate::source::{Folders, SourceError, decode, join};

/// What can change a result. Neither opening nor reading is among it, so that
/// a scan wakes nobody. IN_MODIFY: some programs write and never close.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::EXCL_UNLINK)
    .union(WatchFlags::ONLYDIR);
/// File times come from a clock that ticks some milliseconds behind.
const SLACK: i128 = 100_000_000;

/// Why a folder is looked at instead of watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    NoInstance,
    NoWatch,
    OwnLimit,
    Denied,
    Remote,
    Failed,
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Why::NoInstance => "no inotify instance is left; raise fs.inotify.max_user_instances",
            Why::NoWatch => "no inotify watch is left; raise fs.inotify.max_user_watches",
            Why::OwnLimit => "more folders than are watched at most",
            Why::Denied => "no permission to watch; run as root or give the agent CAP_DAC_READ_SEARCH",
            Why::Remote => "a network file system, where others may write",
            Why::Failed => "inotify failed",
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum By {
    Watch(i32),
    /// With the last look's fingerprint; `None`: it could not be looked at.
    Poll(Option<u64>, Why),
}

pub(super) struct Table {
    folders: Folders,
    options: Options,
    inotify: Option<Arc<OwnedFd>>,
    trees: Vec<(TreeKey, TreeReach)>,
    held: BTreeMap<Arc<[u8]>, By>,
    /// One watch may stand for several paths (a bind mount).
    by_wd: HashMap<i32, Vec<Arc<[u8]>>>,
    polled: usize,
    cut: bool,
    overflows: u64,
    last_event: Option<SystemTime>,
    pub(super) pending: Pending,
}

impl Table {
    pub(super) fn new(folders: Folders, options: Options) -> Table {
        Table {
            folders,
            options,
            inotify: open(),
            trees: Vec::new(),
            held: BTreeMap::new(),
            by_wd: HashMap::new(),
            polled: 0,
            cut: false,
            overflows: 0,
            last_event: None,
            pending: Pending::default(),
        }
    }

    pub(super) fn inotify(&self) -> Option<Arc<OwnedFd>> {
        self.inotify.clone()
    }

    pub(super) fn polls(&self) -> usize {
        self.polled
    }

    pub(super) fn state(&self) -> WatchState {
        let mut why: BTreeMap<Why, usize> = BTreeMap::new();
        for by in self.held.values() {
            if let By::Poll(_, w) = by {
                *why.entry(*w).or_default() += 1;
            }
        }
        let mut words: Vec<String> = why
            .into_iter()
            .map(|(w, n)| {
                format!("{n} folders are looked at every {} s: {}", self.every().as_secs(), w.words())
            })
            .collect();
        if self.cut {
            words.push("more folders than are followed; the rest is found by the hourly scan".to_owned());
        }
        WatchState {
            watched: self.held.len() - self.polled,
            polled: self.polled,
            degraded: (!words.is_empty()).then(|| words.join("; ")),
            overflows: self.overflows,
            last_event: self.last_event,
        }
    }

    /// The time between two looks.
    pub(super) fn every(&self) -> Duration {
        let thousands = u32::try_from(self.polled.div_ceil(1_000).max(1)).unwrap_or(u32::MAX);
        self.options.poll.saturating_mul(thousands)
    }

    pub(super) fn follow(&mut self, trees: Vec<TreeReach>, began: Began, verify: bool) {
        self.trees = trees.into_iter().map(|t| (t.key(), t)).collect();
        if verify {
            self.verify();
        }
        self.settle(began);
    }

    pub(super) fn refollow(&mut self, trees: Vec<TreeReach>, began: Began) {
        for tree in trees {
            let key = tree.key();
            match self.trees.iter_mut().find(|(k, _)| *k == key) {
                Some((_, old)) => *old = tree,
                None => self.trees.push((key, tree)),
            }
        }
        self.settle(began);
    }

    /// Holds the folders that are reached, and no others.
    fn settle(&mut self, began: Began) {
        let wanted: BTreeSet<Box<[u8]>> =
            self.trees.iter().flat_map(|(_, t)| t.reach.folders().map(Into::into)).collect();
        self.cut = self.trees.iter().any(|(_, t)| t.reach.is_cut());
        let old: Vec<Arc<[u8]>> = self.held.keys().filter(|f| !wanted.contains(&***f)).cloned().collect();
        for folder in &old {
            self.release(folder);
        }
        let mut added = 0;
        for folder in wanted {
            if self.held.contains_key(&*folder) {
                continue;
            }
            added += 1;
            self.hold(&folder);
            self.look_once(&folder, began);
        }
        if added > 0 || !old.is_empty() {
            tracing::info!(
                watched = self.held.len() - self.polled,
                polled = self.polled,
                added,
                released = old.len(),
                "folders are watched"
            );
        }
    }

    /// A folder that was not held while the scan read it.
    fn look_once(&mut self, folder: &[u8], began: Began) {
        let look = self.folders.look(folder, |name| self.wants(folder, name));
        if let Some(By::Poll(print, _)) = self.held.get_mut(folder) {
            *print = look.as_ref().ok().map(|l| l.fingerprint);
        }
        let changed = match look {
            Ok(look) => look.newest + SLACK >= nanoseconds(began.wall) || clock_was_set(began),
            // It vanished since; the folder above tells when it returns.
            Err(SourceError::NotFound) => true,
            // Nobody may look: the scan says so.
            Err(_) => false,
        };
        if changed {
            self.touched(folder, None);
        }
    }

    fn wants(&self, folder: &[u8], name: &[u8]) -> bool {
        self.trees.iter().any(|(_, t)| t.reach.wants(folder, name))
    }

    fn hold(&mut self, folder: &[u8]) {
        let by = match self.watch(folder) {
            Ok(wd) => By::Watch(wd),
            Err(None) => return,
            Err(Some(why)) => By::Poll(None, why),
        };
        let folder: Arc<[u8]> = folder.into();
        tracing::debug!(folder = ?decode(&folder), ?by, "folder");
        match by {
            By::Watch(wd) => self.by_wd.entry(wd).or_default().push(folder.clone()),
            By::Poll(..) => self.polled += 1,
        }
        self.held.insert(folder, by);
    }

    /// `Err(None)`: it is not there (any more).
    fn watch(&self, folder: &[u8]) -> Result<i32, Option<Why>> {
        let (fd, remote) = match self.folders.handle(folder) {
            Ok(found) => found,
            Err(SourceError::NotFound) => return Err(None),
            Err(SourceError::Denied) => return Err(Some(Why::Denied)),
            Err(_) => return Err(Some(Why::Failed)),
        };
        if remote {
            return Err(Some(Why::Remote));
        }
        let Some(inotify) = &self.inotify else { return Err(Some(Why::NoInstance)) };
        if self.by_wd.len() >= self.options.watches {
            return Err(Some(Why::OwnLimit));
        }
        // By its handle, so that nothing renamed meanwhile leads elsewhere.
        let by_handle = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let added = match inotify::add_watch(inotify, by_handle, EVENTS) {
            // Without /proc.
            Err(Errno::NOENT) => {
                inotify::add_watch(inotify, self.folders.host_path(folder), EVENTS | WatchFlags::DONT_FOLLOW)
            }
            other => other,
        };
        added.map_err(|e| match e {
            Errno::NOSPC => Some(Why::NoWatch),
            Errno::ACCESS | Errno::PERM => Some(Why::Denied),
            Errno::NOENT | Errno::NOTDIR => None,
            _ => Some(Why::Failed),
        })
    }

    fn release(&mut self, folder: &[u8]) {
        match self.held.remove(folder) {
            Some(By::Watch(wd)) => {
                let Some(paths) = self.by_wd.get_mut(&wd) else { return };
                paths.retain(|p| **p != *folder);
                if paths.is_empty() {
                    self.by_wd.remove(&wd);
                    if let Some(inotify) = &self.inotify {
                        // Already gone with its folder: all the same.
                        let _ = inotify::remove_watch(inotify, wd);
                    }
                }
            }
            Some(By::Poll(..)) => self.polled -= 1,
            None => {}
        }
    }

    /// The folder, or one above it, is no longer what it was: what is held at
    /// and below it stands for something else. The next follow holds it anew.
    fn release_below(&mut self, folder: &[u8]) {
        self.release(folder);
        let prefix = join(folder, b"");
        let from = (Bound::Included(&*prefix), Bound::Unbounded);
        let below: Vec<Arc<[u8]>> = self
            .held
            .range::<[u8], _>(from)
            .map(|(f, _)| f)
            .take_while(|f| f.starts_with(&prefix))
            .cloned()
            .collect();
        for f in below {
            self.touched(&f, None);
            self.release(&f);
        }
    }

    /// Whether each watch is still on the folder that stands at its path.
    fn verify(&mut self) {
        let watched: Vec<(Arc<[u8]>, i32)> = self
            .held
            .iter()
            .filter_map(|(f, by)| match by {
                By::Watch(wd) => Some((f.clone(), *wd)),
                By::Poll(..) => None,
            })
            .collect();
        for (folder, wd) in watched {
            // For the same folder the kernel gives the same watch.
            match self.watch(&folder) {
                Ok(now) if now == wd => {}
                Ok(now) => {
                    self.release(&folder);
                    self.by_wd.entry(now).or_default().push(folder.clone());
                    self.held.insert(folder.clone(), By::Watch(now));
                    self.touched(&folder, None);
                }
                // The limit is no news about this one.
                Err(Some(Why::OwnLimit)) => {}
                Err(_) => {
                    self.release(&folder);
                    self.touched(&folder, None);
                }
            }
        }
    }

    /// Something happened to an entry of a folder, or to the folder itself.
    fn touched(&mut self, folder: &[u8], name: Option<&[u8]>) {
        let concerned = self
            .trees
            .iter()
            .filter(|(_, t)| match name {
                Some(name) => t.reach.wants(folder, name),
                None => t.reach.has(folder),
            })
            .map(|(key, _)| key);
        let mut concerned = concerned.peekable();
        if concerned.peek().is_none() {
            return;
        }
        let path = name.map(|name| join(folder, name));
        self.pending.add(concerned, Some(path.as_deref().unwrap_or(folder)), Instant::now());
        self.last_event = Some(SystemTime::now());
    }

    fn everything(&mut self) {
        self.pending.add(self.trees.iter().map(|(key, _)| key), None, Instant::now());
        self.last_event = Some(SystemTime::now());
    }

    pub(super) fn event(&mut self, wd: i32, what: ReadFlags, name: Option<&[u8]>) {
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.overflows += 1;
            tracing::warn!("the queue of inotify was full: everything is read again");
            // A folder that was replaced may be among what was lost.
            self.verify();
            return self.everything();
        }
        // Of a watch that is no longer ours.
        let Some(paths) = self.by_wd.get(&wd).cloned() else { return };
        let entries = ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO;
        for folder in paths {
            match name {
                Some(name) => {
                    self.touched(&folder, Some(name));
                    if what.contains(ReadFlags::ISDIR) && what.intersects(entries) {
                        self.release_below(&join(&folder, name));
                    }
                }
                None => {
                    self.touched(&folder, None);
                    let gone = ReadFlags::DELETE_SELF
                        | ReadFlags::MOVE_SELF
                        | ReadFlags::UNMOUNT
                        | ReadFlags::IGNORED;
                    if what.intersects(gone) {
                        self.release_below(&folder);
                    }
                }
            }
        }
    }

    /// Looks at the folders that cannot be watched; tries to watch them again.
    pub(super) fn poll(&mut self) {
        if self.inotify.is_none() {
            self.inotify = open();
        }
        let polled: Vec<(Arc<[u8]>, Option<u64>, Why)> = self
            .held
            .iter()
            .filter_map(|(f, by)| match by {
                By::Poll(print, why) => Some((f.clone(), *print, *why)),
                By::Watch(_) => None,
            })
            .collect();
        let mut full = false;
        for (folder, print, why) in polled {
            // First the watch, then the look: nothing slips between them.
            let watch = if full || why == Why::Remote { Err(Some(why)) } else { self.watch(&folder) };
            full |= matches!(watch, Err(Some(Why::NoWatch | Why::NoInstance | Why::OwnLimit)));
            let now =
                self.folders.look(&folder, |name| self.wants(&folder, name)).ok().map(|l| l.fingerprint);
            if now != print {
                self.touched(&folder, None);
            }
            match watch {
                Ok(wd) => {
                    self.polled -= 1;
                    self.by_wd.entry(wd).or_default().push(folder.clone());
                    self.held.insert(folder, By::Watch(wd));
                }
                Err(Some(why)) => {
                    self.held.insert(folder, By::Poll(now, why));
                }
                Err(None) => {
                    self.touched(&folder, None);
                    self.release(&folder);
                }
            }
        }
    }

    /// The inotify instance does not answer any more.
    pub(super) fn broken(&mut self) {
        self.inotify = None;
        self.by_wd.clear();
        for by in self.held.values_mut() {
            *by = By::Poll(None, Why::NoInstance);
        }
        self.polled = self.held.len();
        self.everything();
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.due(self.options.quiet, self.options.most)
    }

    pub(super) fn take(&mut self) -> Option<Change> {
        self.pending.take()
    }
}

fn open() -> Option<Arc<OwnedFd>> {
    let fd: io::Result<OwnedFd> =
        inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(Into::into);
    fd.inspect_err(|error| tracing::warn!(%error, "no inotify instance; folders are looked at instead"))
        .ok()
        .map(Arc::new)
}

fn nanoseconds(t: SystemTime) -> i128 {
    match t.duration_since(UNIX_EPOCH) {
        Ok(d) => i128::try_from(d.as_nanos()).unwrap_or(i128::MAX),
        Err(_) => 0,
    }
}

/// Whether the wall clock went otherwise than time since then, so that file
/// times say nothing.
fn clock_was_set(began: Began) -> bool {
    let steady = began.steady.elapsed();
    match began.wall.elapsed() {
        Ok(wall) => wall.abs_diff(steady) > Duration::from_secs(1),
        Err(_) => true,
    }
}

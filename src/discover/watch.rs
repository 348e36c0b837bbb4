//! Waiting for changes of what a scan reached.
//!
//! inotify is asked directly. The crate notify watches IN_OPEN whatever it is
//! told (8.2): each of our own reads, and each look of any program into /etc,
//! would wake the daemon, and a scan of ten thousand files would overflow the
//! queue. It also says nothing of a watch that the kernel took away
//! (IN_IGNORED, IN_UNMOUNT). What is watched here are folders, one watch each.
//!
//! Nothing is lost between a scan and its watches: [`Watch::follow`] looks at
//! every folder that it did not watch before, after the watch is in place, and
//! what was changed since the scan began is a [`Change`] like any other.
//!
//! Where inotify cannot help, folders are looked at every 30 seconds and the
//! state says why: no watch is left (fs.inotify.max_user_watches), no instance
//! (max_user_instances), the folder may not be read, or it lies on a network
//! file system, where others change it. What no look at the known folders can
//! show (something mounted over a folder) is found by the hourly scan, whose
//! follow verifies each watch.

mod pending;
mod table;
mod task;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, mpsc};

use super::{TreeKey, TreeReach};
use crate::source::Folders;

pub use crate::source::Dirty;

use table::Table;

/// Times and bounds.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// A change is told once nothing happened for so long…
    pub quiet: Duration,
    /// …and at the latest so long after its first event.
    pub most: Duration,
    /// How often folders are looked at that cannot be watched; longer when
    /// they are many (per started thousand).
    pub poll: Duration,
    /// Watches at most: a customer's folders must not use up what the other
    /// programs of the same user need.
    pub watches: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            quiet: Duration::from_millis(300),
            most: Duration::from_secs(2),
            poll: Duration::from_secs(30),
            watches: 16_384,
        }
    }
}

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The trees to be read again. [`super::SEARCH`] among them: main files
    /// are to be searched again.
    pub trees: BTreeSet<TreeKey>,
    /// Where.
    pub dirty: Dirty,
}

/// When a scan began, to know what changed since.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    wall: SystemTime,
    steady: Instant,
}

impl Began {
    /// To be asked for before the first file is read.
    pub fn now() -> Began {
        Began { wall: SystemTime::now(), steady: Instant::now() }
    }
}

/// For the status, the metrics and the doctor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchState {
    /// Folders with a watch.
    pub watched: usize,
    /// Folders that are looked at instead.
    pub polled: usize,
    /// Why, in words, where that is so.
    pub degraded: Option<String>,
    /// How often the kernel's queue was full: each time everything is read
    /// again.
    pub overflows: u64,
    /// When something that counts happened last.
    pub last_event: Option<SystemTime>,
}

/// Watches the folders of one root until it is dropped.
pub struct Watch {
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    table: Mutex<Table>,
    poke: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        // The table is whole between its methods, and none of them panics.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Starts to wait, for nothing yet. Has to be called within a tokio
    /// runtime. While `changed` is full, changes are gathered.
    ///
    /// An error only where the root cannot be opened.
    pub fn start(root: &Path, changed: mpsc::Sender<Change>, options: Options) -> std::io::Result<Watch> {
        let shared = Arc::new(Shared {
            table: Mutex::new(Table::new(Folders::open(root)?, options)),
            poke: Notify::new(),
        });
        let task = tokio::spawn(task::run(shared.clone(), changed, options));
        Ok(Watch { shared, task })
    }

    /// Follows these trees and no others. `began`: when their scan began. What
    /// changed since then in a folder that was not watched before is told as a
    /// [`Change`].
    ///
    /// With `verify`, folders that are watched already are looked up again, so
    /// that one over which another was mounted is noticed (for the hourly
    /// scan).
    pub fn follow(&self, trees: Vec<TreeReach>, began: Began, verify: bool) {
        self.shared.lock().follow(trees, began, verify);
        self.shared.poke.notify_one();
    }

    /// Follows what these trees reach now, and the others as before.
    pub fn refollow(&self, trees: Vec<TreeReach>, began: Began) {
        self.shared.lock().refollow(trees, began);
        self.shared.poke.notify_one();
    }

    /// How it goes.
    pub fn state(&self) -> WatchState {
        self.shared.lock().state()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;

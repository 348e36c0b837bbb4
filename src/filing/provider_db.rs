//! A: the provider's own filing database as a file (contract-details Q3, Q4).

mod load;
mod rows;

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::SystemTime;

use futures::future::BoxFuture;

use crate::facts::Why;

use super::http::Line;
use super::registry::{Fault, Registry, Reply, Word};
use rows::Table;

/// The file as it was last read.
pub(super) struct ProviderDb {
    path: PathBuf,
    now: RwLock<Loaded>,
}

struct Loaded {
    /// By this a replaced file is noticed.
    stamp: Option<(SystemTime, u64)>,
    /// The rows, or why they cannot be used.
    table: Result<Table, Fault>,
}

impl ProviderDb {
    /// Reads the file. What cannot be used is a failed source, never a file
    /// without rows: every question to it is answered with the fault.
    pub(super) fn load(path: &Path) -> ProviderDb {
        ProviderDb { path: path.to_owned(), now: RwLock::new(Loaded::read(path)) }
    }

    fn find(&self, name: &str) -> Result<Reply, Fault> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        let table = now.table.as_ref().map_err(Clone::clone)?;
        Ok(table.get(name).unwrap_or_else(|| Reply::bare(Word::Absent)))
    }
}

impl Loaded {
    fn read(path: &Path) -> Loaded {
        // Taken before reading: a change while reading is read again.
        Loaded { stamp: stamp(path), table: load::load(path) }
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

impl Registry for ProviderDb {
    fn ask<'a>(
        &'a self,
        name: &'a str,
        _spelling: &'a str,
        _line: &'a Line,
    ) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(std::future::ready(self.find(name)))
    }

    fn remote(&self) -> bool {
        false
    }

    fn changed(&self) -> bool {
        self.now.read().unwrap_or_else(PoisonError::into_inner).stamp != stamp(&self.path)
    }

    fn refresh(&self) -> bool {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let changed = now.stamp != stamp(&self.path);
        if changed {
            *now = Loaded::read(&self.path);
        }
        changed
    }

    fn note(&self) -> Option<String> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        let skipped = now.table.as_ref().ok()?.skipped;
        (skipped.blank + skipped.bad > 0).then(|| {
            format!(
                "rows skipped in the provider's file: {} without a domain, {} with a bad domain or an unknown access state",
                skipped.blank, skipped.bad
            )
        })
    }
}

/// The fault of a file that cannot be used.
fn unusable(message: &'static str) -> Fault {
    Fault::operator(Why::Malformed, message)
}

#[cfg(test)]
mod tests;

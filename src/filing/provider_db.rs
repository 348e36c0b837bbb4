//! A: the provider's own filing database as a file (contract-details Q3, Q4).

mod load;
mod rows;

use std::path::Path;

use futures::future::BoxFuture;

use crate::facts::Why;

use super::http::Line;
use super::registry::{Fault, Registry, Reply, Word};
pub(super) use rows::Skipped;
use rows::Table;

/// A file that was read, or why it could not be.
pub(super) struct ProviderDb {
    table: Result<Table, Fault>,
}

impl ProviderDb {
    /// Reads the file. What cannot be used is a failed source, never a file
    /// without rows: every question to it is answered with the fault.
    pub(super) fn load(path: &Path) -> ProviderDb {
        ProviderDb { table: load::load(path) }
    }

    /// Rows that could not be used.
    pub(super) fn skipped(&self) -> Skipped {
        self.table.as_ref().map(|t| t.skipped).unwrap_or_default()
    }

    fn find(&self, name: &str) -> Result<Reply, Fault> {
        let table = self.table.as_ref().map_err(Clone::clone)?;
        Ok(table.get(name).unwrap_or_else(|| Reply::bare(Word::Absent)))
    }
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
}

/// The fault of a file that cannot be used.
fn unusable(message: &'static str) -> Fault {
    Fault::operator(Why::Malformed, message)
}

#[cfg(test)]
mod tests;

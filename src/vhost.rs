//! The vhost readers, one file a server: configuration files to [`Site`]s.
//!
//! A reader never stops at a fault: it notes a [`Problem`] and goes on, so
//! that what can be read is always listed.

pub mod apache;
mod memory;
pub mod nginx;

use crate::facts::{Scan, Server};
use crate::source::{Dirty, Source};

pub use memory::Memory;

/// Where the reading of one server's configuration starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The main file: an absolute path inside the root.
    pub path: Vec<u8>,
    /// The server's start options (`-DSSL`, `-p /opt/web/`), space-separated;
    /// `None` when nobody knows them.
    pub args: Option<String>,
}

/// Reads one server's configuration.
pub fn read(src: &Source, server: Server, entry: &Entry) -> Scan {
    match server {
        Server::Nginx => nginx::read(src, entry),
        Server::Apache => apache::read(src, entry),
    }
}

/// The same, and the same result, but files are opened only where `dirty` or
/// another state of the configuration may have changed what they say since
/// `memory` was last used. `dirty` must hold whatever changed since then.
pub fn read_with(src: &Source, server: Server, entry: &Entry, memory: &mut Memory, dirty: &Dirty) -> Scan {
    let recall = memory.begin(src, server, entry, dirty);
    match server {
        Server::Nginx => nginx::read_with(src, entry, recall),
        Server::Apache => apache::read_with(src, entry, recall),
    }
}

//! One full pass over one server: the only place (beside the daemon and the
//! hub) that wires the rooms together.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::config::{Config, Registry};
use crate::facts::{Report, Scan, Server};

/// What to audit.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// File system root (`--root`), else `[agent] root`.
    pub root: Option<PathBuf>,
    /// `--entry SERVER=PATH`: these files only, discovery off.
    pub entries: Vec<(Server, String)>,
    /// `--server-args SERVER=ARGS`.
    pub server_args: Vec<(Server, String)>,
    /// `--names`: audit these names instead of vhosts.
    pub names: Option<Vec<String>>,
    /// Judge this name alone (`explain`).
    pub only: Option<String>,
    /// `--address`.
    pub addresses: Vec<IpAddr>,
    /// `--resolver`.
    pub resolvers: Vec<SocketAddr>,
    /// The registries to ask.
    pub registries: Vec<Registry>,
}

/// A part of the pass, for progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading configuration files.
    Reading,
    /// Asking DNS.
    Resolving,
    /// Asking the registries.
    Filings,
}

/// Told how far the pass is.
pub trait Progress: Sync {
    /// A stage begins with so many steps (0: unknown).
    fn begin(&self, _stage: Stage, _steps: usize) {}
    /// A step of the stage is done.
    fn step(&self, _stage: Stage) {}
}

/// Nobody watches.
pub struct Unwatched;
impl Progress for Unwatched {}

/// Reads the configuration of every server: static, offline.
pub fn scan(_cfg: &Config, _req: &Request) -> anyhow::Result<Scan> {
    Ok(Scan::default())
}

/// Scans, resolves, looks up, judges. An error only where the request cannot
/// be carried out at all (no such root); everything else is in the report.
pub async fn run(_cfg: &Config, _req: &Request, _progress: &dyn Progress) -> anyhow::Result<Report> {
    anyhow::bail!("not here yet")
}

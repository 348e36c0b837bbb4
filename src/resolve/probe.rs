//! Whether each resolver answers at all.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_resolver::proto::rr::{Name, RecordType};

use crate::config;

use super::ask::Asker;
use super::system_servers;

/// How one resolver did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The server.
    pub server: SocketAddr,
    /// From the question to the answer, or to giving up.
    pub took: Duration,
    /// The word of the failure, as in [`crate::facts::Exposure`]'s `why`.
    pub failure: Option<&'static str>,
}

/// Asks each resolver, of the settings or else of the system, one question
/// that any of them can answer whatever it forwards: addresses of the root.
pub async fn probe(cfg: &config::Resolver) -> anyhow::Result<Vec<Probe>> {
    let mut servers = if cfg.servers.is_empty() { system_servers() } else { cfg.servers.clone() };
    if servers.is_empty() {
        servers.push(SocketAddr::from(([127, 0, 0, 1], 53)));
    }
    let mut probes = Vec::new();
    for server in servers {
        let asker = Asker::new(&[server], cfg.timeout, cfg.attempts)?;
        let begun = Instant::now();
        let result = asker.question(&Name::root(), RecordType::A).await;
        probes.push(Probe { server, took: begun.elapsed(), failure: result.err().map(|f| f.word()) });
    }
    Ok(probes)
}

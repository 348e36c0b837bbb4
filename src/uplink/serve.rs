//! The polling API (`/v1/report`, `/v1/status`, `/metrics`, `/healthz`,
//! `/readyz`) and the control socket of `beian-agent status`.
//!
//! It answers from what the [`Desk`] holds and never starts a scan, except
//! where the control socket asks for one. Other tenants' programs run on the
//! same server, so a loopback address protects nothing: everything but the two
//! health checks needs the token or a client certificate.

mod activity;
mod answer;
mod ask;
mod control;
mod host;
mod listen;
mod negotiate;
mod packed;
mod plain;
mod routes;
mod settings;
mod status;
mod tls;
mod token;

use std::io;

use serde::{Deserialize, Serialize};

use crate::config::Text;
use crate::facts::{Row, Transition};

pub use ask::{Answer, ask};
pub use control::{Control, RUNTIME_DIR, SOCKET, control, places, socket_path};
pub use listen::{Server, start};
pub use packed::Packed;
pub use plain::to_plain_text;
pub use settings::{Pair, Settings};
pub use status::{
    Delivery, Freshness, HubState, LastScan, LedgerState, RegistryState, ResolverState, STATUS_SCHEMA,
    Status, WatchState, WrongName,
};
pub use tls::Tls;
pub use token::{Tokens, make_token};

/// What the polling API answers from. Every call may block on the disk for
/// milliseconds; none waits for the network. Calls come from blocking threads.
pub trait Desk: Send + Sync + 'static {
    /// The report as it stands. An implementation keeps the packed bytes of
    /// the current generation and packs anew ([`Packed::of`]) only after a
    /// change; the API asks for one at a time.
    fn report(&self) -> io::Result<Packed>;
    /// How the daemon does.
    fn status(&self) -> Status;
    /// All metrics in OpenMetrics text, `# EOF` included.
    fn metrics(&self) -> String;
    /// The first scan is done, and the daemon is not stopping. Anyone may ask,
    /// so this one is called where it must not block: a flag.
    fn ready(&self) -> bool;
    /// What the ledger holds of a name as typed; `None` where it holds nothing.
    fn name(&self, name: &str) -> io::Result<Option<Named>>;
    /// Asks for a scan now; returns at once.
    fn scan(&self);
}

/// Schema name of [`Named`].
pub const NAME_SCHEMA: &str = "beian.name/1";

/// What the ledger holds of one name (`GET /v1/names/NAME`, control socket
/// only).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// [`NAME_SCHEMA`].
    pub schema: String,
    /// Its rows as they stand; `.a.cn` stands for two. Empty where the name is
    /// not served any more.
    pub rows: Vec<Row>,
    /// What changed, the latest first.
    pub history: Vec<Transition>,
}

impl Named {
    /// Rows and history.
    pub fn new(rows: Vec<Row>, history: Vec<Transition>) -> Named {
        Named { schema: NAME_SCHEMA.to_owned(), rows, history }
    }
}

/// Why the API cannot be served, and what to change, in both languages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.en)]
pub struct ServeError(pub Text);

impl ServeError {
    fn new(en: impl Into<String>, zh: impl Into<String>) -> ServeError {
        ServeError(Text::new(en, zh))
    }
}

#[cfg(test)]
mod tests;

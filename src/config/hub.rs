//! The hub's settings (`hub.toml`, contract-details Q23), checked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

use super::{Lang, Registry, Text};

/// Where the packages put them.
pub const DEFAULT_PATH: &str = "/etc/beian/hub.toml";

/// All settings of the hub.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// `[server]`.
    pub server: HubServer,
    /// `[store] url`: holds a password, perhaps.
    pub store_url: SecretString,
    /// `[agents]`.
    pub agents: HubAgents,
    /// `[provider_db]`.
    pub provider_db: ProviderDb,
    /// `[[registry]]`, in their order.
    pub registries: Vec<Registry>,
    /// `[[registry]] quota`: questions a day, by the registry's name.
    pub quotas: HashMap<String, u64>,
    /// `[retention]`.
    pub retention: Retention,
    /// `[hub] lang`: of what a person reads.
    pub lang: Option<Lang>,
    /// `[log] json_file`.
    pub log_json_file: Option<PathBuf>,
    /// What should be known, but stops nothing.
    pub warnings: Vec<Text>,
    /// The files that were read, in their order.
    pub files: Vec<PathBuf>,
}

/// `[server]`: where the hub listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubServer {
    /// The address.
    pub listen: SocketAddr,
    /// Certificate chain and key; both or none.
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    pub tls_key: Option<PathBuf>,
    /// Proxies whose `X-Forwarded-For` is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// How agents and people reach the hub.
    pub public_url: Option<url::Url>,
}

/// `[agents]`: what agents are told, and when they count as lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubAgents {
    /// Between two reports where nothing changes.
    pub report_interval: Duration,
    /// Between two heartbeats.
    pub heartbeat_interval: Duration,
    /// Over which the first report after a start is spread.
    pub splay: Duration,
    /// Silent for so long, an agent is lost; three heartbeats by default.
    pub lost_after: Duration,
    /// Agents below it are `outdated`.
    pub minimum_version: Option<String>,
    /// New apexes that one agent may look up in a day.
    pub lookups_per_day: u32,
    /// Between two polls of an agent that announces an address.
    pub poll_interval: Duration,
    /// Domains known to be filed, that agents are told.
    pub canaries: Vec<String>,
    /// CDN suffixes that agents are told.
    pub cdn_suffixes: Vec<String>,
}

/// `[provider_db]`: the provider's own filing database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderDb {
    /// A file or an HTTPS address, imported on schedule.
    pub source: Option<String>,
    /// How often.
    pub schedule: Duration,
    /// It is complete: what it lacks is not connected here.
    pub authoritative: bool,
}

/// `[retention]`: how long what is over is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Transitions.
    pub transitions: Duration,
    /// Receipts.
    pub receipts: Duration,
    /// The operators' log.
    pub audit_log: Duration,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Default for HubConfig {
    fn default() -> Self {
        HubConfig {
            server: HubServer::default(),
            store_url: "sqlite:///var/lib/beian-hub/hub.db".to_owned().into(),
            agents: HubAgents::default(),
            provider_db: ProviderDb { source: None, schedule: DAY, authoritative: true },
            registries: Vec::new(),
            quotas: HashMap::new(),
            retention: Retention::default(),
            lang: None,
            log_json_file: None,
            warnings: Vec::new(),
            files: Vec::new(),
        }
    }
}

impl Default for HubServer {
    fn default() -> Self {
        HubServer {
            listen: SocketAddr::from(([127, 0, 0, 1], 8690)),
            tls_cert: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            public_url: None,
        }
    }
}

impl Default for HubAgents {
    fn default() -> Self {
        HubAgents {
            report_interval: Duration::from_secs(3600),
            heartbeat_interval: Duration::from_secs(300),
            splay: Duration::from_secs(900),
            lost_after: Duration::from_secs(900),
            minimum_version: None,
            lookups_per_day: 2_000,
            poll_interval: Duration::from_secs(3600),
            canaries: Vec::new(),
            cdn_suffixes: Vec::new(),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Retention { transitions: 730 * DAY, receipts: 90 * DAY, audit_log: 1095 * DAY }
    }
}

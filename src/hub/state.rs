//! What all of the hub's rooms share.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::config::HubConfig;

use super::cache::AgentCache;
use super::exempt::Exemptions;
use super::ingest::Queue;
use super::keys::Keys;
use super::metrics::HubMetrics;
use super::store::Store;

/// The running hub. Any number of them may share a PostgreSQL: nothing here
/// is state that another could miss for longer than a few seconds.
pub struct Hub {
    /// The settings.
    pub cfg: HubConfig,
    /// The store.
    pub store: Store,
    /// By which receipts are signed.
    pub keys: Keys,
    /// What `/metrics` says.
    pub metrics: HubMetrics,
    /// Keys of agents.
    pub agents: AgentCache,
    /// Names that need no filing here.
    pub exemptions: Exemptions,
    /// Reports and heartbeats on their way into the store.
    pub queue: Queue,
    /// Something is to be looked up.
    pub lookups: Notify,
    /// Something was looked up.
    pub looked_up: Notify,
}

impl Hub {
    /// Reads keys and exemptions; the store must be migrated. Starts the
    /// writer, which ends with the last of the hub.
    pub async fn open(cfg: HubConfig, store: Store) -> anyhow::Result<Arc<Hub>> {
        let keys = Keys::open(&store).await?;
        let exemptions = Exemptions::default();
        exemptions.refresh(&store).await?;
        let (queue, writer) = Queue::new();
        let hub = Arc::new(Hub {
            cfg,
            store,
            keys,
            metrics: HubMetrics::new(),
            agents: AgentCache::default(),
            exemptions,
            queue,
            lookups: Notify::new(),
            looked_up: Notify::new(),
        });
        writer.start(&hub);
        Ok(hub)
    }
}

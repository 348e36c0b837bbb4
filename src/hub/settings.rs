//! What the hub sets for an agent: data of a fixed schema, never a path, a
//! command or an address to fetch.

use std::time::Duration;

use sqlx::Row as _;

use crate::uplink::HubSettings;

use super::Hub;
use super::cache::Keyed;
use super::store::{Agent, AgentState, StoreError};

/// Exemptions that one agent is told.
const EXEMPTIONS_MOST: usize = 1000;

/// The settings of an agent whose key is kept: asked for once while it is.
pub async fn kept<'a>(hub: &Hub, keyed: &'a Keyed) -> Result<&'a HubSettings, StoreError> {
    keyed.settings.get_or_try_init(|| of(hub, &keyed.agent)).await
}

/// The settings of one agent.
pub async fn of(hub: &Hub, agent: &Agent) -> Result<HubSettings, StoreError> {
    let seconds = |d: Duration| d.as_secs();
    let cfg = &hub.cfg.agents;
    // Until an operator has confirmed it, nothing of the inventory is its own.
    let confirmed = agent.state == AgentState::Active;
    let addresses = match agent.server.as_deref().filter(|_| confirmed) {
        Some(server) => addresses_of(hub, server).await?,
        None => Vec::new(),
    };
    Ok(HubSettings {
        report_interval: seconds(cfg.report_interval),
        heartbeat_interval: seconds(cfg.heartbeat_interval),
        splay: seconds(cfg.splay),
        addresses: addresses.iter().filter_map(|a| a.parse().ok()).collect(),
        cdn_suffixes: cfg.cdn_suffixes.clone(),
        exemptions: if confirmed { hub.exemptions.of(&agent.tenant, EXEMPTIONS_MOST) } else { Vec::new() },
        canaries: cfg.canaries.clone(),
    }
    .bounded())
}

/// Addresses that the inventory assigns to a server.
pub async fn addresses_of(hub: &Hub, server: &str) -> Result<Vec<String>, StoreError> {
    let rows =
        sqlx::query("SELECT address FROM server_addresses WHERE server = $1 ORDER BY address LIMIT 64")
            .bind(server)
            .fetch_all(hub.store.read())
            .await?;
    Ok(rows.iter().map(|r| r.try_get(0)).collect::<Result<_, _>>()?)
}

//! Agents' keys in memory: each call needs one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use tokio::sync::OnceCell;

use crate::uplink::HubSettings;

use super::store::{Agent, Store, StoreError};

/// How long a key is taken without asking again: a revocation on another
/// replica takes effect within it. What is stored is checked again anyway.
const HOLDS: Duration = Duration::from_secs(10);
/// Agents that are kept.
const MOST: usize = 200_000;

/// An agent with its key, decoded.
#[derive(Debug)]
pub struct Keyed {
    /// As it is stored.
    pub agent: Agent,
    /// Ed25519, 32 bytes.
    pub key: Vec<u8>,
    /// What the hub sets for it, once somebody has asked.
    pub settings: OnceCell<HubSettings>,
}

/// The cache.
#[derive(Debug, Default)]
pub struct AgentCache(Mutex<HashMap<String, (Instant, Arc<Keyed>)>>);

impl AgentCache {
    /// An agent by its id.
    pub async fn get(&self, store: &Store, id: &str) -> Result<Option<Arc<Keyed>>, StoreError> {
        if let Some(known) = self.kept(id) {
            return Ok(Some(known));
        }
        let Some(agent) = store.agent(id).await? else { return Ok(None) };
        let key = URL_SAFE_NO_PAD.decode(agent.public_key.trim_end_matches('=')).unwrap_or_default();
        let keyed = Arc::new(Keyed { agent, key, settings: OnceCell::new() });
        let mut all = self.lock();
        if all.len() >= MOST {
            all.retain(|_, (at, _)| at.elapsed() < HOLDS);
        }
        all.insert(id.to_owned(), (Instant::now(), keyed.clone()));
        Ok(Some(keyed))
    }

    /// Forgets one: it was changed.
    pub fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn kept(&self, id: &str) -> Option<Arc<Keyed>> {
        self.lock().get(id).filter(|(at, _)| at.elapsed() < HOLDS).map(|(_, k)| k.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Arc<Keyed>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

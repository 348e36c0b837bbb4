//! The hub's own keys: receipts are signed by the one that the agent pinned.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::store::Store;

/// A key with its public half in base64url.
#[derive(Debug)]
pub struct HubKey {
    /// Its id.
    pub id: String,
    /// As agents pin it.
    pub public: String,
    /// The pair.
    pub pair: Ed25519KeyPair,
}

/// The key that new agents are given, and all keys by their ids.
type Known = (Arc<HubKey>, HashMap<String, Arc<HubKey>>);

/// The hub's keys.
#[derive(Debug)]
pub struct Keys(RwLock<Known>);

impl Keys {
    /// Reads the keys, and makes the first one.
    pub async fn open(store: &Store) -> anyhow::Result<Keys> {
        if store.hub_keys().await?.is_empty() {
            let mut tx = store.begin().await?;
            make(store, &mut tx).await?;
            store.log(&mut tx, "hub", "key.create", None, "receipt", &serde_json::json!({})).await?;
            tx.commit().await.map_err(super::store::StoreError::from)?;
        }
        Ok(Keys(RwLock::new(read(store).await?)))
    }

    /// Makes a new key for agents that enrol from now on; the others keep
    /// theirs until they enrol again.
    pub async fn rotate(&self, store: &Store, who: &str) -> anyhow::Result<String> {
        let mut tx = store.begin().await?;
        let id = make(store, &mut tx).await?;
        store.log(&mut tx, who, "key.rotate", None, &id, &serde_json::json!({})).await?;
        tx.commit().await.map_err(super::store::StoreError::from)?;
        self.refresh(store).await?;
        Ok(id)
    }

    /// Reads them again: another replica may have made one.
    pub async fn refresh(&self, store: &Store) -> anyhow::Result<()> {
        let new = read(store).await?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// The key for new agents.
    pub fn current(&self) -> Arc<HubKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// A key by its id.
    pub fn get(&self, id: &str) -> Option<Arc<HubKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).1.get(id).cloned()
    }
}

async fn make(store: &Store, tx: &mut super::store::Tx) -> anyhow::Result<String> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| anyhow!("the system gives no random numbers"))?;
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| anyhow!("ring refuses its own key"))?;
    let id = uuid::Uuid::now_v7().to_string();
    let public = URL_SAFE_NO_PAD.encode(pair.public_key());
    store.add_hub_key(tx, &id, &BASE64.encode(pkcs8.as_ref()), &public).await?;
    Ok(id)
}

async fn read(store: &Store) -> anyhow::Result<Known> {
    let mut all = HashMap::new();
    let mut first = None;
    for (id, pkcs8, public) in store.hub_keys().await? {
        let der = BASE64.decode(&pkcs8).context("hub_keys")?;
        let pair =
            Ed25519KeyPair::from_pkcs8(&der).map_err(|_| anyhow!("hub_keys: a key that cannot be read"))?;
        let key = Arc::new(HubKey { id: id.clone(), public, pair });
        first.get_or_insert_with(|| key.clone());
        all.insert(id, key);
    }
    Ok((first.context("the store has no key")?, all))
}

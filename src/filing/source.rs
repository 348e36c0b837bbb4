//! One configured source: its adapter, its way out, what it has said.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Client;
use tokio::time::Instant;

use crate::config::{Negative, Registry as Settings, RegistryKind};
use crate::facts::{Problem, ProblemKind};

use super::cache::Cache;
use super::canary::Canaries;
use super::http::Line;
use super::json_api::JsonApi;
use super::limit::{Breaker, Pace};
use super::ministry_list::MinistryList;
use super::provider_db::ProviderDb;
use super::registry::Registry;
use super::spelling::ascii;
use super::yd2431::Yd2431;

pub(super) struct Source {
    pub name: String,
    pub upstream: String,
    pub adapter: Box<dyn Registry>,
    pub line: Line,
    pub canaries: Canaries,
    /// Its word is beyond doubt.
    pub trusted: bool,
    /// What it lacks does not exist.
    pub complete: bool,
    /// When the last canary was good; `None` when it was not.
    canary_good: Mutex<Option<Instant>>,
    breaker: Mutex<Breaker>,
    /// Where every call is told: how it ended, how long it took.
    pub observer: Option<Observer>,
    cache: Mutex<Cache>,
}

/// Told of every call to a registry: its name, the outcome in one word (`ok`,
/// or why there was none) and how long it took.
pub type Observer = Arc<dyn Fn(&str, &'static str, Duration) + Send + Sync>;

impl Source {
    pub(super) fn new(settings: &Settings, client: &Client) -> anyhow::Result<Source> {
        let adapter: Box<dyn Registry> = match &settings.kind {
            RegistryKind::ProviderDb { path } => Box::new(ProviderDb::load(path)),
            RegistryKind::Yd2431 { url, isp_id, user, password, hash_order } => Box::new(Yd2431 {
                url: url.clone(),
                isp_id: isp_id.clone(),
                user: user.clone(),
                password: password.clone(),
                hash_order: *hash_order,
            }),
            RegistryKind::MinistryList { url } => Box::new(MinistryList::new(url)),
            RegistryKind::JsonApi { url, preset, key, user } => Box::new(
                JsonApi::new(url, preset, key.clone(), user.clone())
                    .with_context(|| format!("[[registry]] {}", settings.name))?,
            ),
            // It is no source among others: see `hub`.
            RegistryKind::Hub => anyhow::bail!("[[registry]] {}: the hub is asked apart", settings.name),
        };
        let mut canaries = Vec::new();
        for canary in &settings.canary {
            let name = ascii(canary)
                .with_context(|| format!("[[registry]] {}: canary is no domain name", settings.name))?;
            canaries.push(name);
        }
        Ok(Source {
            name: settings.name.clone(),
            upstream: settings.upstream.clone(),
            adapter,
            line: Line { client: client.clone(), pace: Pace::new(settings.rate), timeout: settings.timeout },
            canaries: Canaries::new(canaries),
            trusted: settings.trusted,
            complete: settings.negative == Negative::Authoritative,
            canary_good: Mutex::default(),
            breaker: Mutex::default(),
            observer: None,
            cache: Mutex::default(),
        })
    }

    /// Whether a negative of it counts between good canaries only.
    pub(super) fn needs_canary(&self) -> bool {
        self.adapter.remote() && !self.complete
    }

    /// What the operator should know of it after a pass.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let fault = self.breaker().open().and_then(|o| o.message).map(str::to_owned);
        [self.adapter.note(), fault].into_iter().flatten().map(|m| problem(&self.name, m)).collect()
    }

    pub(super) fn canary_good(&self) -> MutexGuard<'_, Option<Instant>> {
        self.canary_good.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn problem(registry: &str, message: String) -> Problem {
    Problem {
        file: None,
        line: None,
        kind: ProblemKind::RegistryConfiguration,
        registry: Some(registry.to_owned()),
        message,
    }
}

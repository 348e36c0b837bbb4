//! Names that the provider exempts (whitelist): kept in memory, renewed from
//! the store.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::Row as _;

use crate::facts::ExemptedBy;

use super::judge::day;
use super::store::{Store, StoreError, now};

/// One exemption that holds.
#[derive(Debug, Clone)]
struct One {
    /// `None`: for every customer.
    tenant: Option<String>,
    until: Option<String>,
    who: String,
    why: String,
}

type Kept = HashMap<String, Vec<One>>;

/// The exemptions in force.
#[derive(Debug, Default)]
pub struct Exemptions(RwLock<Arc<Kept>>);

impl Exemptions {
    /// Reads them again. True when something changed.
    pub async fn refresh(&self, store: &Store) -> Result<bool, StoreError> {
        let rows = sqlx::query(
            "SELECT tenant, name, who, why, until FROM exemptions WHERE revoked_at IS NULL ORDER BY name, created_at",
        )
        .fetch_all(store.read())
        .await?;
        let today = day(now());
        let mut kept: Kept = HashMap::new();
        for r in &rows {
            let until: Option<String> = r.try_get(4)?;
            if until.as_ref().is_none_or(|u| *u >= today) {
                let one = One { tenant: r.try_get(0)?, until, who: r.try_get(2)?, why: r.try_get(3)? };
                kept.entry(r.try_get(1)?).or_default().push(one);
            }
        }
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let changed = now.len() != kept.len()
            || kept.iter().any(|(n, list)| {
                now.get(n).is_none_or(|old| {
                    old.len() != list.len()
                        || old.iter().zip(list).any(|(a, b)| (&a.tenant, &a.until) != (&b.tenant, &b.until))
                })
            });
        *now = Arc::new(kept);
        Ok(changed)
    }

    /// Whether a name, or one above it, is exempt for a customer.
    pub fn covers(&self, tenant: &str, name: &str) -> bool {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if kept.is_empty() {
            return false;
        }
        let name = name.trim_start_matches("*.");
        let suffixes =
            std::iter::once(name).chain(name.match_indices('.').filter_map(|(i, _)| name.get(i + 1..)));
        suffixes
            .filter_map(|s| kept.get(s))
            .any(|list| list.iter().any(|o| o.tenant.as_deref().is_none_or(|t| t == tenant)))
    }

    /// Those that an agent of a customer is told, at most `most`.
    pub fn of(&self, tenant: &str, most: usize) -> Vec<ExemptedBy> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut out: Vec<ExemptedBy> = kept
            .iter()
            .flat_map(|(name, list)| list.iter().map(move |o| (name, o)))
            .filter(|(_, o)| o.tenant.as_deref().is_none_or(|t| t == tenant))
            .map(|(name, o)| ExemptedBy {
                name: name.clone(),
                by: o.who.clone(),
                why: o.why.clone(),
                until: o.until.clone(),
            })
            .collect();
        out.sort_by(|a, b| a.name.cmp(&b.name));
        out.truncate(most);
        out
    }
}

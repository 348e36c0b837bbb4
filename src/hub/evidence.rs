//! The evidence of a name: its row in the report as it came.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use sqlx::Row as _;

use super::store::{Store, StoreError};
use super::wire::{Coding, unfold};

#[derive(Deserialize)]
struct Names<'a> {
    #[serde(borrow)]
    names: Vec<Name<'a>>,
}

#[derive(Deserialize)]
struct Name<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// The names of an unfolded report.
pub fn names_in(json: &[u8]) -> Vec<String> {
    serde_json::from_slice::<Names<'_>>(json)
        .map(|n| n.names.into_iter().map(|n| n.name.into_owned()).collect())
        .unwrap_or_default()
}

/// A whole part of an agent's last report, with when it came.
pub async fn report(
    store: &Store,
    tenant: &str,
    agent: &str,
    part: i64,
) -> Result<Option<(Value, i64)>, StoreError> {
    let row =
        sqlx::query("SELECT body, received_at FROM snapshots WHERE tenant = $1 AND agent = $2 AND part = $3")
            .bind(tenant)
            .bind(agent)
            .bind(part)
            .fetch_optional(store.read())
            .await?;
    let Some(row) = row else { return Ok(None) };
    let body: Vec<u8> = row.try_get(0)?;
    let json = unfold(&body, Coding::Gzip).ok().and_then(|j| serde_json::from_slice(&j).ok());
    Ok(json.map(|j: Value| row.try_get(1).map(|at| (j, at))).transpose()?)
}

/// The row of one name, as the agent sent it.
pub async fn row(
    store: &Store,
    tenant: &str,
    agent: &str,
    part: i64,
    name: &str,
) -> Result<Option<(Value, i64)>, StoreError> {
    let Some((mut report, at)) = report(store, tenant, agent, part).await? else { return Ok(None) };
    let rows = report.get_mut("names").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    Ok(rows.into_iter().find(|r| r.get("name").and_then(Value::as_str) == Some(name)).map(|r| (r, at)))
}

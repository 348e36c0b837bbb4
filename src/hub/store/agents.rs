//! Agents: who they are, and how they stand.

use serde::Serialize;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx, clean, now, sql};

/// How an agent is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentState {
    /// Like any other.
    Active,
    /// An operator has to confirm it first: its reports are kept, and count
    /// for nothing.
    Quarantined,
    /// Its key is not taken any more.
    Revoked,
}

impl AgentState {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            AgentState::Active => "active",
            AgentState::Quarantined => "quarantined",
            AgentState::Revoked => "revoked",
        }
    }

    fn parse(word: &str) -> AgentState {
        match word {
            "active" => AgentState::Active,
            "quarantined" => AgentState::Quarantined,
            _ => AgentState::Revoked,
        }
    }
}

/// What the calls of an agent are checked by.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its id.
    pub id: String,
    /// Its customer; empty: nobody yet.
    pub tenant: String,
    /// How it is taken.
    pub state: AgentState,
    /// Ed25519, 32 bytes, base64url.
    pub public_key: String,
    /// The hub's key that it pinned.
    pub hub_key: String,
    /// The server of the inventory.
    pub server: Option<String>,
    /// Its host name.
    pub hostname: String,
    /// Where the call before the last came from.
    pub last_address: Option<String>,
    /// The token that it last enrolled with.
    pub enrolled_with: Option<String>,
}

/// A new agent.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// Its id.
    pub id: String,
    /// Its customer; empty: nobody yet.
    pub tenant: String,
    /// Whether it waits for an operator, and why.
    pub quarantine: Option<String>,
    /// Base64url.
    pub public_key: String,
    /// The hub's key that it is given.
    pub hub_key: String,
    /// What the hub polls it with.
    pub polling_token: String,
    /// The certificate that it serves polling with (SHA-256, hexadecimal).
    pub certificate: Option<String>,
    /// The server of the inventory.
    pub server: Option<String>,
    /// Its host name.
    pub hostname: String,
    /// Its version.
    pub version: String,
    /// Where it may be polled.
    pub announce: Option<String>,
    /// Its addresses, as it sees them.
    pub addresses: Vec<String>,
    /// Where the call came from.
    pub from: Option<String>,
    /// The id of the token.
    pub with: String,
}

/// What became of an enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolled {
    /// A new agent.
    New,
    /// The same key again: the same agent.
    Again,
    /// Another key for a known agent.
    TakenOver,
}

fn agent(r: &AnyRow) -> Result<Agent, sqlx::Error> {
    let state: String = r.try_get("state")?;
    Ok(Agent {
        id: r.try_get("id")?,
        tenant: r.try_get("tenant")?,
        state: AgentState::parse(&state),
        public_key: r.try_get("public_key")?,
        hub_key: r.try_get("hub_key")?,
        server: r.try_get("server")?,
        hostname: r.try_get("hostname")?,
        last_address: r.try_get("last_address")?,
        enrolled_with: r.try_get("enrolled_with")?,
    })
}

const AGENT: &str = "SELECT id, tenant, state, public_key, hub_key, server, hostname, last_address, enrolled_with FROM agents";

/// Tables whose rows are an agent's, keyed by (tenant, agent).
pub(super) const OF_AGENT: [&str; 7] =
    ["agent_flags", "receipts", "snapshots", "names", "transitions", "site_findings", "losses"];

impl Store {
    /// An agent by its id.
    pub async fn agent(&self, id: &str) -> Result<Option<Agent>, StoreError> {
        let row =
            sqlx::query(sql(format!("{AGENT} WHERE id = $1"))).bind(id).fetch_optional(self.read()).await?;
        Ok(row.as_ref().map(agent).transpose()?)
    }

    /// An agent by its key, in a transaction.
    pub async fn agent_of_key(&self, tx: &mut Tx, key: &str) -> Result<Option<Agent>, StoreError> {
        let row = sqlx::query(sql(format!("{AGENT} WHERE public_key = $1{}", self.for_update())))
            .bind(key)
            .fetch_optional(&mut **tx)
            .await?;
        Ok(row.as_ref().map(agent).transpose()?)
    }

    /// An agent by its id, in a transaction.
    pub async fn agent_for_update(&self, tx: &mut Tx, id: &str) -> Result<Option<Agent>, StoreError> {
        let row = sqlx::query(sql(format!("{AGENT} WHERE id = $1{}", self.for_update())))
            .bind(id)
            .fetch_optional(&mut **tx)
            .await?;
        Ok(row.as_ref().map(agent).transpose()?)
    }

    /// Adds an agent.
    pub async fn add_agent(&self, tx: &mut Tx, a: &NewAgent) -> Result<(), StoreError> {
        let state = if a.quarantine.is_some() { AgentState::Quarantined } else { AgentState::Active };
        sqlx::query(
            "INSERT INTO agents (tenant, id, state, why, public_key, hub_key, polling_token, certificate, server, \
             hostname, version, announce, addresses, enrolled_at, enrolled_from, enrolled_with, highest, seen, lookup_sequence, \
             snapshot_sequence, snapshot_hash, parts, complete, last_seen, last_address, address_at, lookups_day, \
             lookups, names, compliant, violation, suspected, dormant, unconfirmed, not_applicable) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, 0, 0, 0, 0, 0, 0, $14, \
             $15, $14, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
        )
        .bind(&a.tenant)
        .bind(&a.id)
        .bind(state.as_str())
        .bind(&a.quarantine)
        .bind(&a.public_key)
        .bind(&a.hub_key)
        .bind(&a.polling_token)
        .bind(&a.certificate)
        .bind(&a.server)
        .bind(clean(&a.hostname))
        .bind(clean(&a.version))
        .bind(a.announce.as_deref().map(clean))
        .bind(serde_json::json!(a.addresses).to_string())
        .bind(now())
        .bind(&a.from)
        .bind(&a.with)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Gives a known agent what a new enrolment brought: another key, or the
    /// same; its history stays.
    pub async fn renew_agent(&self, tx: &mut Tx, id: &str, a: &NewAgent) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE agents SET public_key = $1, hub_key = $2, polling_token = $3, certificate = $4, hostname = $5, \
             version = $6, announce = $7, addresses = $8, enrolled_at = $9, enrolled_from = $10, last_seen = $9, \
             last_address = $10, address_at = $9, poll_etag = NULL, server = COALESCE(server, $11), \
             enrolled_with = $12 WHERE id = $13",
        )
        .bind(&a.public_key)
        .bind(&a.hub_key)
        .bind(&a.polling_token)
        .bind(&a.certificate)
        .bind(clean(&a.hostname))
        .bind(clean(&a.version))
        .bind(a.announce.as_deref().map(clean))
        .bind(serde_json::json!(a.addresses).to_string())
        .bind(now())
        .bind(&a.from)
        .bind(&a.server)
        .bind(&a.with)
        .bind(id)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Confirms a quarantined agent: from now on it is this customer's.
    /// False where no such agent waits.
    pub async fn confirm_agent(
        &self,
        tx: &mut Tx,
        id: &str,
        tenant: &str,
        server: Option<&str>,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE agents SET state = 'active', why = NULL, tenant = $1, server = COALESCE($2, server) \
             WHERE id = $3 AND state = 'quarantined'",
        )
        .bind(tenant)
        .bind(server)
        .bind(id)
        .execute(&mut **tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        for table in OF_AGENT {
            sqlx::query(sql(format!("UPDATE {table} SET tenant = $1 WHERE tenant <> $1 AND agent = $2")))
                .bind(tenant)
                .bind(id)
                .execute(&mut **tx)
                .await?;
        }
        Ok(true)
    }

    /// Takes an agent's key away. False where there is none.
    pub async fn revoke_agent(&self, tx: &mut Tx, id: &str, why: &str) -> Result<bool, StoreError> {
        let done =
            sqlx::query("UPDATE agents SET state = 'revoked', why = $1 WHERE id = $2 AND state <> 'revoked'")
                .bind(clean(why))
                .bind(id)
                .execute(&mut **tx)
                .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Notes something odd about an agent; the newest of a kind stays.
    pub async fn flag_agent(
        &self,
        tx: &mut Tx,
        tenant: &str,
        id: &str,
        kind: &str,
        detail: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO agent_flags (tenant, agent, kind, at, detail) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (tenant, agent, kind) DO UPDATE SET at = excluded.at, detail = excluded.detail",
        )
        .bind(tenant)
        .bind(id)
        .bind(kind)
        .bind(now())
        .bind(clean(detail))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Takes the next sequence of an agent's lookups: `Err(highest)` where it
    /// is not above the last one.
    pub async fn take_lookup_sequence(&self, id: &str, sequence: i64) -> Result<Result<(), i64>, StoreError> {
        let done =
            sqlx::query("UPDATE agents SET lookup_sequence = $1 WHERE id = $2 AND lookup_sequence < $1")
                .bind(sequence)
                .bind(id)
                .execute(self.write())
                .await?;
        if done.rows_affected() == 1 {
            return Ok(Ok(()));
        }
        let row = sqlx::query("SELECT lookup_sequence FROM agents WHERE id = $1")
            .bind(id)
            .fetch_optional(self.write())
            .await?;
        Ok(Err(row.map_or(Ok(0), |r| r.try_get(0))?))
    }

    /// The key by which receipts are signed from now on, made where there is
    /// none: id, PKCS#8 in base64, public key in base64url.
    pub async fn hub_keys(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, pkcs8, public_key FROM hub_keys ORDER BY retired_at IS NOT NULL, created_at DESC",
        )
        .fetch_all(self.read())
        .await?;
        rows.iter().map(|r| Ok((r.try_get(0)?, r.try_get(1)?, r.try_get(2)?))).collect()
    }

    /// Keeps a new key of the hub's; the ones before sign for those agents
    /// only that have pinned them.
    pub async fn add_hub_key(
        &self,
        tx: &mut Tx,
        id: &str,
        pkcs8: &str,
        public: &str,
    ) -> Result<(), StoreError> {
        let now = now();
        sqlx::query("UPDATE hub_keys SET retired_at = $1 WHERE retired_at IS NULL")
            .bind(now)
            .execute(&mut **tx)
            .await?;
        sqlx::query("INSERT INTO hub_keys (id, pkcs8, public_key, created_at) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(pkcs8)
            .bind(public)
            .bind(now)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }
}

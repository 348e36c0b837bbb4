//! Tokens: those that enrol, and those of the API. Kept as hashes only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError, Tx, now};

/// A new secret of 32 random bytes, after a word that says what it is.
pub fn new_secret(prefix: &str) -> std::io::Result<String> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| std::io::Error::other("the system gives no random numbers"))?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// How a token is kept: it has 256 random bits, so that a plain hash is enough.
pub fn hash_of(token: &str) -> String {
    digest(&SHA256, token.trim().as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// A token that enrols.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct EnrolToken {
    /// Names it without being it.
    pub id: String,
    /// The customer that it is bound to.
    pub tenant: Option<String>,
    /// Address ranges that it is good for; empty: any.
    pub ranges: Vec<String>,
    /// The agent whose identity a rebuilt server takes over with it.
    pub takes_over: Option<String>,
    /// How often it may be used.
    pub uses: i64,
    /// How often it was.
    pub used: i64,
    /// When it ends, in milliseconds.
    pub expires_at: i64,
    /// When it was made, in milliseconds.
    pub created_at: i64,
    /// Who made it.
    pub created_by: String,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

/// Why a token enrols nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// Never made, or revoked.
    Unknown,
    /// Its time is over.
    Expired,
}

/// What a token of the API may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See.
    Read,
    /// Decide: confirm agents, exempt names, import.
    Operate,
    /// Tokens, keys, deletion.
    Admin,
}

impl Scope {
    /// `read`, `operate`, `admin`.
    pub fn parse(word: &str) -> Option<Scope> {
        match word {
            "read" => Some(Scope::Read),
            "operate" => Some(Scope::Operate),
            "admin" => Some(Scope::Admin),
            _ => None,
        }
    }

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Operate => "operate",
            Scope::Admin => "admin",
        }
    }
}

/// A token of the API.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct ApiToken {
    /// Names it without being it.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// The only customer that it sees; `None`: all.
    pub tenant: Option<String>,
    /// When it ends.
    pub expires_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// Who made it.
    pub created_by: String,
    /// When it was last used, to the hour.
    pub used_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

fn enrol_token(r: &AnyRow) -> Result<EnrolToken, sqlx::Error> {
    let ranges: String = r.try_get("ranges")?;
    Ok(EnrolToken {
        id: r.try_get("id")?,
        tenant: r.try_get("tenant")?,
        ranges: serde_json::from_str(&ranges).unwrap_or_default(),
        takes_over: r.try_get("takes_over")?,
        uses: r.try_get("uses")?,
        used: r.try_get("used")?,
        expires_at: r.try_get("expires_at")?,
        created_at: r.try_get("created_at")?,
        created_by: r.try_get("created_by")?,
        revoked_at: r.try_get("revoked_at")?,
    })
}

fn api_token(r: &AnyRow) -> Result<ApiToken, sqlx::Error> {
    let scope: String = r.try_get("scope")?;
    Ok(ApiToken {
        id: r.try_get("id")?,
        name: r.try_get("name")?,
        scope: Scope::parse(&scope).unwrap_or(Scope::Read),
        tenant: r.try_get("tenant")?,
        expires_at: r.try_get("expires_at")?,
        created_at: r.try_get("created_at")?,
        created_by: r.try_get("created_by")?,
        used_at: r.try_get("used_at")?,
        revoked_at: r.try_get("revoked_at")?,
    })
}

const ENROL: &str = "SELECT id, tenant, ranges, takes_over, uses, used, expires_at, created_at, created_by, revoked_at FROM enrol_tokens";
const API: &str =
    "SELECT id, name, scope, tenant, expires_at, created_at, created_by, used_at, revoked_at FROM api_tokens";

impl Store {
    /// Keeps a new enrolment token; only its hash.
    pub async fn add_enrol_token(
        &self,
        tx: &mut Tx,
        token: &EnrolToken,
        hash: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO enrol_tokens (id, hash, tenant, ranges, takes_over, uses, used, expires_at, created_at, created_by) \
             VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9)",
        )
        .bind(&token.id)
        .bind(hash)
        .bind(&token.tenant)
        .bind(serde_json::json!(token.ranges).to_string())
        .bind(&token.takes_over)
        .bind(token.uses)
        .bind(token.expires_at)
        .bind(token.created_at)
        .bind(&token.created_by)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// All enrolment tokens, the newest first.
    pub async fn enrol_tokens(&self) -> Result<Vec<EnrolToken>, StoreError> {
        let rows = sqlx::query(super::sql(format!("{ENROL} ORDER BY created_at DESC, id LIMIT 1000")))
            .fetch_all(self.read())
            .await?;
        rows.iter().map(|r| enrol_token(r).map_err(StoreError::from)).collect()
    }

    /// Finds a token by itself, and locks it until the transaction ends. It may
    /// be used up: the caller compares `used` with `uses`.
    pub async fn enrol_token(
        &self,
        tx: &mut Tx,
        token: &str,
    ) -> Result<Result<EnrolToken, TokenFault>, StoreError> {
        let text = format!("{ENROL} WHERE hash = $1{}", self.for_update());
        let row = sqlx::query(super::sql(text)).bind(hash_of(token)).fetch_optional(&mut **tx).await?;
        let Some(row) = row else { return Ok(Err(TokenFault::Unknown)) };
        let token = enrol_token(&row)?;
        Ok(match token {
            t if t.revoked_at.is_some() => Err(TokenFault::Unknown),
            t if t.expires_at <= now() => Err(TokenFault::Expired),
            t => Ok(t),
        })
    }

    /// Counts one use.
    pub async fn use_enrol_token(&self, tx: &mut Tx, id: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE enrol_tokens SET used = used + 1 WHERE id = $1")
            .bind(id)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// Keeps a new token of the API; only its hash.
    pub async fn add_api_token(&self, tx: &mut Tx, token: &ApiToken, hash: &str) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO api_tokens (id, hash, name, scope, tenant, expires_at, created_at, created_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&token.id)
        .bind(hash)
        .bind(&token.name)
        .bind(token.scope.as_str())
        .bind(&token.tenant)
        .bind(token.expires_at)
        .bind(token.created_at)
        .bind(&token.created_by)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// All tokens of the API, the newest first.
    pub async fn api_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let rows = sqlx::query(super::sql(format!("{API} ORDER BY created_at DESC, id LIMIT 1000")))
            .fetch_all(self.read())
            .await?;
        rows.iter().map(|r| api_token(r).map_err(StoreError::from)).collect()
    }

    /// The token, where it is good.
    pub async fn api_token(&self, token: &str) -> Result<Option<ApiToken>, StoreError> {
        let row = sqlx::query(super::sql(format!("{API} WHERE hash = $1")))
            .bind(hash_of(token))
            .fetch_optional(self.read())
            .await?;
        let Some(token) = row.as_ref().map(api_token).transpose()? else { return Ok(None) };
        let now = now();
        if token.revoked_at.is_some() || token.expires_at.is_some_and(|t| t <= now) {
            return Ok(None);
        }
        if token.used_at.is_none_or(|t| now - t > 3_600_000) {
            sqlx::query("UPDATE api_tokens SET used_at = $1 WHERE id = $2")
                .bind(now)
                .bind(&token.id)
                .execute(self.write())
                .await?;
        }
        Ok(Some(token))
    }

    /// Revokes a token of either kind by its id; false where there is none.
    pub async fn revoke_token(&self, tx: &mut Tx, id: &str) -> Result<bool, StoreError> {
        let mut done = 0;
        for table in ["enrol_tokens", "api_tokens"] {
            done += sqlx::query(super::sql(format!(
                "UPDATE {table} SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL"
            )))
            .bind(now())
            .bind(id)
            .execute(&mut **tx)
            .await?
            .rows_affected();
        }
        Ok(done > 0)
    }
}

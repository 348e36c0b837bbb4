//! What operators did: an entry each, chained by hashes, so that a changed or
//! missing one shows.

use ring::digest::{SHA256, digest};
use serde::Serialize;
use sqlx::Row as _;

use super::{Store, StoreError, Tx, clean, now, sql};

/// One entry.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1.
    pub n: i64,
    /// When, in milliseconds.
    pub at: i64,
    /// Who: a token's name, or `cli:USER`.
    pub who: String,
    /// What, in a word: `token.create`, `inventory.import`.
    pub action: String,
    /// Whose data, where it is one customer's.
    pub tenant: Option<String>,
    /// To what.
    pub subject: String,
    /// More, as JSON.
    pub detail: String,
    /// The hash of the entry before; empty for the first.
    pub before: String,
    /// The hash of this one.
    pub hash: String,
}

impl Entry {
    fn hashed(mut self) -> Entry {
        let text = serde_json::json!([
            self.n,
            self.at,
            self.who,
            self.action,
            self.tenant,
            self.subject,
            self.detail,
            self.before
        ]);
        let sum = digest(&SHA256, text.to_string().as_bytes());
        self.hash = sum.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        self
    }

    pub(super) fn of(r: &sqlx::any::AnyRow) -> Result<Entry, sqlx::Error> {
        Ok(Entry {
            n: r.try_get("n")?,
            at: r.try_get("at")?,
            who: r.try_get("who")?,
            action: r.try_get("action")?,
            tenant: r.try_get("tenant")?,
            subject: r.try_get("subject")?,
            detail: r.try_get("detail")?,
            before: r.try_get("before")?,
            hash: r.try_get("hash")?,
        })
    }
}

impl Store {
    /// Adds an entry in the transaction that does what it tells.
    pub async fn log(
        &self,
        tx: &mut Tx,
        who: &str,
        action: &str,
        tenant: Option<&str>,
        subject: &str,
        detail: &serde_json::Value,
    ) -> Result<(), StoreError> {
        // One at a time, or two would follow the same entry.
        if self.kind() == super::Kind::Postgres {
            sqlx::query("SELECT pg_advisory_xact_lock(7268391)").execute(&mut **tx).await?;
        }
        let last = sqlx::query("SELECT n, hash FROM audit_log ORDER BY n DESC LIMIT 1")
            .fetch_optional(&mut **tx)
            .await?;
        let (n, before) = match last {
            Some(r) => (r.try_get::<i64, _>(0)? + 1, r.try_get(1)?),
            None => (1, String::new()),
        };
        let entry = Entry {
            n,
            at: now(),
            who: clean(who),
            action: action.to_owned(),
            tenant: tenant.map(str::to_owned),
            subject: clean(subject),
            detail: detail.to_string(),
            before,
            hash: String::new(),
        }
        .hashed();
        sqlx::query(
            "INSERT INTO audit_log (n, at, who, action, tenant, subject, detail, before, hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(entry.n)
        .bind(entry.at)
        .bind(&entry.who)
        .bind(&entry.action)
        .bind(&entry.tenant)
        .bind(&entry.subject)
        .bind(&entry.detail)
        .bind(&entry.before)
        .bind(&entry.hash)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Entries from `after` on, at most `most`, in their order.
    pub async fn entries(&self, after: i64, most: i64) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(sql("SELECT * FROM audit_log WHERE n > $1 ORDER BY n LIMIT $2".to_owned()))
            .bind(after)
            .bind(most)
            .fetch_all(self.read())
            .await?;
        rows.iter().map(|r| Entry::of(r).map_err(StoreError::from)).collect()
    }

    /// The number of the first entry that does not fit the one before it; the
    /// first kept entry is taken as it is (older ones may have been retired).
    pub async fn log_broken_at(&self) -> Result<Option<i64>, StoreError> {
        let (mut after, mut last): (i64, Option<(i64, String)>) = (0, None);
        loop {
            let page = self.entries(after, 1000).await?;
            let Some(end) = page.last() else { return Ok(None) };
            after = end.n;
            for entry in page {
                let follows =
                    last.as_ref().is_none_or(|(n, hash)| *n + 1 == entry.n && *hash == entry.before);
                let own = Entry { hash: String::new(), ..entry.clone() }.hashed().hash;
                if !follows || own != entry.hash {
                    return Ok(Some(entry.n));
                }
                last = Some((entry.n, entry.hash));
            }
        }
    }
}

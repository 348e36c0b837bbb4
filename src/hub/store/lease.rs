//! Work that one replica does at a time: a lease that is renewed, and passes
//! on when its holder is gone.

use std::time::Duration;

use super::{Store, StoreError, now};

/// A lease held by this process.
#[derive(Debug, Clone)]
pub struct Lease {
    name: &'static str,
    holder: String,
    time: Duration,
}

impl Lease {
    /// Not held yet. `time`: how long it stays after it was last renewed.
    pub fn new(name: &'static str, time: Duration) -> Lease {
        Lease { name, holder: uuid::Uuid::now_v7().to_string(), time }
    }

    /// Takes or renews it. False: another process holds it.
    pub async fn hold(&self, store: &Store) -> Result<bool, StoreError> {
        let now = now();
        let until = now + i64::try_from(self.time.as_millis()).unwrap_or(60_000);
        let done = sqlx::query(
            "INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE \
             SET holder = excluded.holder, until = excluded.until \
             WHERE leases.holder = excluded.holder OR leases.until < $4",
        )
        .bind(self.name)
        .bind(&self.holder)
        .bind(until)
        .bind(now)
        .execute(store.write())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives it up, so that another need not wait.
    pub async fn give_up(&self, store: &Store) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2")
            .bind(self.name)
            .bind(&self.holder)
            .execute(store.write())
            .await?;
        Ok(())
    }
}

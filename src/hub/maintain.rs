//! Housekeeping: what is over goes by its retention, partitions are made
//! ahead, exemptions and keys are read again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;
use serde_json::json;

use super::Hub;
use super::store::{Kind, Lease, StoreError, now, sql};

/// How often what other replicas may have changed is read again.
const REFRESH: Duration = Duration::from_secs(5);
/// How often what is over goes.
const SWEEP: Duration = Duration::from_secs(600);
/// Rows that one statement takes away, so that nobody waits long.
const AT_A_TIME: i64 = 5_000;
/// Months for which partitions are made ahead, this one included.
const MONTHS: i8 = 3;
/// Days of registries' usage that are kept.
const USAGE_DAYS: i64 = 400;

/// Runs for ever.
pub async fn run(hub: Arc<Hub>) {
    let lease = Lease::new("maintain", SWEEP * 2);
    let mut next_sweep = tokio::time::Instant::now();
    loop {
        if let Err(error) = refresh(&hub).await {
            tracing::warn!(target: "beian", "housekeeping: {error:#}");
        }
        if tokio::time::Instant::now() >= next_sweep {
            next_sweep += SWEEP;
            let done = async { if lease.hold(&hub.store).await? { sweep(&hub).await } else { Ok(()) } };
            if let Err(error) = done.await {
                tracing::warn!(target: "beian", %error, "housekeeping");
            }
        }
        tokio::time::sleep(REFRESH).await;
    }
}

async fn refresh(hub: &Hub) -> anyhow::Result<()> {
    hub.exemptions.refresh(&hub.store).await?;
    hub.keys.refresh(&hub.store).await
}

/// What is over goes; partitions are made ahead.
pub async fn sweep(hub: &Hub) -> Result<(), StoreError> {
    if hub.store.kind() == Kind::Postgres {
        partitions(hub, now()).await?;
    }
    let before = |d: Duration| now() - i64::try_from(d.as_millis()).unwrap_or(i64::MAX / 4);
    let retention = &hub.cfg.retention;
    // The newest receipts of an agent stay, however old: a report that is sent
    // again must get its own.
    drain(
        hub,
        "DELETE FROM receipts WHERE (tenant, agent, sequence) IN (SELECT r.tenant, r.agent, r.sequence FROM receipts r \
         JOIN agents a ON a.id = r.agent WHERE r.received_at < $1 AND r.sequence < a.highest - 64 LIMIT $2)",
        before(retention.receipts),
    )
    .await?;
    drain(
        hub,
        "DELETE FROM transitions WHERE (tenant, agent, at, id) IN \
         (SELECT tenant, agent, at, id FROM transitions WHERE at < $1 LIMIT $2)",
        before(retention.transitions),
    )
    .await?;
    drain(
        hub,
        "DELETE FROM losses WHERE (tenant, agent, kind, at) IN \
         (SELECT tenant, agent, kind, at FROM losses WHERE at < $1 LIMIT $2)",
        before(retention.transitions),
    )
    .await?;
    drain(
        hub,
        "DELETE FROM source_usage WHERE (source, day) IN (SELECT source, day FROM source_usage WHERE day < $1 LIMIT $2)",
        now() / 86_400_000 - USAGE_DAYS,
    )
    .await?;
    // A question that nobody's name needs any more is not asked again.
    drain(
        hub,
        "DELETE FROM filings WHERE question IN (SELECT f.question FROM filings f WHERE f.due_at < $1 \
         AND NOT EXISTS (SELECT 1 FROM names n WHERE n.question = f.question) LIMIT $2)",
        now(),
    )
    .await?;
    retire_log(hub, before(retention.audit_log)).await
}

/// Deletes some rows at a time until none is left.
async fn drain(hub: &Hub, text: &'static str, before: i64) -> Result<(), StoreError> {
    loop {
        let done = sqlx::query(text).bind(before).bind(AT_A_TIME).execute(hub.store.write()).await?;
        if done.rows_affected() < AT_A_TIME.unsigned_abs() {
            return Ok(());
        }
        // Reports go between.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The operators' log from its beginning on; that it was cut is an entry.
async fn retire_log(hub: &Hub, before: i64) -> Result<(), StoreError> {
    let mut tx = hub.store.begin().await?;
    // By number, so that a clock that jumped leaves no hole in the chain.
    let done = sqlx::query(
        "DELETE FROM audit_log WHERE n < COALESCE((SELECT MIN(n) FROM audit_log WHERE at >= $1), \
         (SELECT MAX(n) FROM audit_log))",
    )
    .bind(before)
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() > 0 {
        let detail = json!({ "entries": done.rows_affected() });
        hub.store.log(&mut tx, "hub", "log.retire", None, "audit_log", &detail).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// One partition of `transitions` a month.
async fn partitions(hub: &Hub, at: i64) -> Result<(), StoreError> {
    let today =
        Offset::UTC.to_datetime(Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH)).date();
    let mut month = today.first_of_month();
    for _ in 0..MONTHS {
        let Ok(next) = month.checked_add(jiff::Span::new().months(1)) else { return Ok(()) };
        let (from, to) = (milliseconds(month), milliseconds(next));
        // Numbers of ours alone.
        let name = format!("transitions_{:04}_{:02}", month.year(), month.month());
        let text = format!(
            "CREATE TABLE IF NOT EXISTS {name} PARTITION OF transitions FOR VALUES FROM ({from}) TO ({to})"
        );
        if let Err(error) = sqlx::query(sql(text)).execute(hub.store.write()).await {
            // Rows of that month stand in the default partition already.
            tracing::debug!(target: "beian", %error, name, "no partition of its own");
        }
        month = next;
    }
    Ok(())
}

fn milliseconds(day: Date) -> i64 {
    Offset::UTC.to_timestamp(day.to_datetime(Time::midnight())).map_or(0, Timestamp::as_millisecond)
}

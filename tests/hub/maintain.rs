//! Housekeeping: what is over goes, what counts stays.

use std::time::Duration;

use beian::config::HubConfig;
use beian::hub::maintain::sweep;
use beian::hub::store::Lease;
use serde_json::json;

use crate::harness::provider::{On, Provider, report, transition};

crate::on_both_stores!(what_is_over_goes_and_what_counts_stays, one_holds_a_lease_until_it_is_gone);

async fn what_is_over_goes_and_what_counts_stays(on: On) {
    let mut cfg = HubConfig::default();
    cfg.retention.transitions = Duration::from_secs(86_400);
    cfg.retention.receipts = Duration::from_secs(60);
    cfg.retention.audit_log = Duration::from_secs(3600);
    let p = Provider::with(on, cfg).await;
    sweep(&p.hub).await.unwrap();
    p.customer("c1", "127.0.0.1").await;
    let mut agent = p.agent("c1", "127.0.0.1").await;
    let name = ("www.example.cn", "violation", "not_filed", "here", "not_filed", "unknown");
    let mut told = report(&[name]);
    let mut old = transition("www.example.cn", None, Some(("suspected", "not_filed")));
    old["at"] = json!("2020-01-31T23:59:59Z");
    told["transitions"] = json!([old, transition("www.example.cn", None, Some(("violation", "not_filed")))]);
    assert_eq!(agent.report(&mut told).await.0, 200);
    // A later report, and receipts of long ago for both.
    assert_eq!(agent.report_as(&mut report(&[name]), 100).await.0, 200);
    for text in [
        "UPDATE receipts SET received_at = 5",
        "UPDATE filings SET due_at = 5",
        "INSERT INTO filings (question, state, access, body, due_at, failures, stale) VALUES ('gone.example', 'unknown', 'unknown', '{}', 5, 0, 0)",
        "INSERT INTO source_usage (source, day, asked) VALUES ('a', 3, 7)",
        "UPDATE audit_log SET at = 5 WHERE n = 1",
    ] {
        sqlx::query(text).execute(p.hub.store.write()).await.unwrap();
    }
    assert_eq!(p.number("SELECT COUNT(*) FROM transitions").await, 2);
    sweep(&p.hub).await.unwrap();
    assert_eq!(p.number("SELECT COUNT(*) FROM transitions").await, 1);
    assert_eq!(p.number("SELECT COUNT(*) FROM transitions WHERE to_verdict = 'violation'").await, 1);
    // The newest receipts stay, so that a report sent again gets its own.
    assert_eq!(p.number("SELECT COUNT(*) FROM receipts").await, 1);
    assert_eq!(p.number("SELECT sequence FROM receipts").await, 100);
    assert_eq!(p.number("SELECT COUNT(*) FROM filings").await, 1, "what a name still needs");
    assert_eq!(p.number("SELECT COUNT(*) FROM source_usage").await, 0);
    // The log was cut, says so, and the chain of what is left holds.
    assert_eq!(p.number("SELECT COUNT(*) FROM audit_log WHERE action = 'log.retire'").await, 1);
    assert_eq!(p.number("SELECT COUNT(*) FROM audit_log WHERE n = 1").await, 0);
    assert_eq!(p.hub.store.log_broken_at().await.unwrap(), None);
    if on == On::Postgres {
        // This month's rows stand in a partition of their own.
        let made =
            p.number("SELECT COUNT(*) FROM pg_inherits WHERE inhparent = 'transitions'::regclass").await;
        assert_eq!(made, 4);
        assert_eq!(p.number("SELECT COUNT(*) FROM transitions_other").await, 0);
    }
}

async fn one_holds_a_lease_until_it_is_gone(on: On) {
    let p = Provider::start(on).await;
    let store = &p.hub.store;
    let lease = |time| Lease::new("work", Duration::from_millis(time));
    let (first, second) = (lease(60_000), lease(300));
    assert!(first.hold(store).await.unwrap());
    assert!(!second.hold(store).await.unwrap());
    assert!(first.hold(store).await.unwrap(), "renewed");
    // Another's is not given up.
    second.give_up(store).await.unwrap();
    assert!(!second.hold(store).await.unwrap());
    first.give_up(store).await.unwrap();
    assert!(second.hold(store).await.unwrap());
    assert!(!first.hold(store).await.unwrap());
    // Its holder is gone, and gave nothing up.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(first.hold(store).await.unwrap());
    assert!(Lease::new("other", Duration::from_secs(1)).hold(store).await.unwrap());
}

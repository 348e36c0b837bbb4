//! Polling, against the agent's real polling API over TLS.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use beian::hub::poller;
use beian::uplink::identity::{fingerprint, own_certificate};
use beian::uplink::serve::{self, Desk, Named, Packed, Pair, Settings, Status};
use serde_json::{Value, json};

use crate::harness::provider::{On, Provider, report};

crate::on_both_stores!(
    an_agent_is_polled_at_its_inventory_address_with_its_certificate,
    a_poll_goes_nowhere_else,
);

/// A desk with one report.
struct OneReport {
    report: Mutex<Value>,
    asked: AtomicU64,
}

impl Desk for OneReport {
    fn report(&self) -> io::Result<Packed> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let text = self.report.lock().unwrap().to_string();
        Packed::of(|w| w.write_all(text.as_bytes()))
    }
    fn status(&self) -> Status {
        unreachable!("the hub asks for the report alone")
    }
    fn metrics(&self) -> String {
        String::new()
    }
    fn ready(&self) -> bool {
        true
    }
    fn name(&self, _: &str) -> io::Result<Option<Named>> {
        Ok(None)
    }
    fn scan(&self) {}
}

async fn polled(dir: &Path, token: &str, pair: &Pair) -> (serve::Server, Arc<OneReport>) {
    let file = dir.join("hub-token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let desk = Arc::new(OneReport { report: Mutex::new(Value::Null), asked: AtomicU64::new(0) });
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        tokens: vec![file],
        tls: Some(pair.clone()),
        client_ca: None,
        names: vec!["poll.example.com".to_owned()],
    };
    (serve::start(settings, desk.clone()).await.unwrap(), desk)
}

/// What the store has of the agent's announcement, token and certificate.
async fn announce(p: &Provider, id: &str, announce: &str, certificate: &str) {
    sqlx::query("UPDATE agents SET announce = $1, certificate = $2, poll_due = NULL WHERE id = $3")
        .bind(announce)
        .bind(certificate)
        .bind(id)
        .execute(p.hub.store.write())
        .await
        .unwrap();
}

async fn text(p: &Provider, sql: &'static str) -> Option<String> {
    use sqlx::Row as _;
    sqlx::query(sql).fetch_one(p.hub.store.read()).await.unwrap().try_get(0).unwrap()
}

const BAD: (&str, &str, &str, &str, &str, &str) =
    ("www.example.cn", "violation", "not_filed", "here", "not_filed", "unknown");

async fn an_agent_is_polled_at_its_inventory_address_with_its_certificate(on: On) {
    let p = Provider::start(on).await;
    p.customer("c1", "127.0.0.1").await;
    let mut agent = p.agent("c1", "127.0.0.1").await;
    let token = text(&p, "SELECT polling_token FROM agents").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let pair = own_certificate(dir.path()).unwrap();
    let (server, desk) = polled(dir.path(), &token, &pair).await;
    let port = server.address().port();
    let pin = fingerprint(&pair.cert).unwrap();
    // The announced name leads nowhere; the inventory's address does.
    announce(&p, &agent.id, &format!("poll.example.com:{port}"), &pin).await;
    let mut told = report(&[BAD]);
    told["agent"]["id"] = json!(agent.id);
    *desk.report.lock().unwrap() = told.clone();
    assert_eq!(poller::round(&p.hub).await.unwrap(), 1);
    assert_eq!(text(&p, "SELECT poll_error FROM agents").await, None);
    assert_eq!(p.number("SELECT violation FROM agents").await, 1);
    assert_eq!(p.number("SELECT COUNT(*) FROM names WHERE since > 1700000000000").await, 1);
    // Not its turn again; then nothing new.
    assert_eq!(poller::round(&p.hub).await.unwrap(), 0);
    let etag = text(&p, "SELECT poll_etag FROM agents").await;
    assert!(etag.is_some());
    announce(&p, &agent.id, &format!("127.0.0.1:{port}"), &pin).await;
    assert_eq!(poller::round(&p.hub).await.unwrap(), 1);
    assert_eq!(text(&p, "SELECT poll_etag FROM agents").await, etag);
    assert_eq!(desk.asked.load(Ordering::Relaxed), 2);
    assert_eq!(p.number("SELECT COUNT(*) FROM receipts").await, 0, "no sequence is used up");
    // What was pushed later is newer than what is polled.
    let mut fixed =
        report(&[("www.example.cn", "dormant", "not_filed", "elsewhere", "not_filed", "unknown")]);
    assert_eq!(agent.report(&mut fixed).await.0, 200);
    told["summary"]["names"] = json!(7);
    *desk.report.lock().unwrap() = told;
    announce(&p, &agent.id, &format!("127.0.0.1:{port}"), &pin).await;
    assert_eq!(poller::round(&p.hub).await.unwrap(), 1);
    assert_eq!(p.number("SELECT violation FROM agents").await, 0);
    server.drain().await;
}

async fn a_poll_goes_nowhere_else(on: On) {
    let p = Provider::start(on).await;
    p.customer("c1", "127.0.0.1").await;
    let agent = p.agent("c1", "127.0.0.1").await;
    let token = text(&p, "SELECT polling_token FROM agents").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let pair = own_certificate(dir.path()).unwrap();
    let (server, desk) = polled(dir.path(), &token, &pair).await;
    let port = server.address().port();
    let pin = fingerprint(&pair.cert).unwrap();
    for (announced, certificate, why) in [
        // An address that is not the inventory's, though it leads to the same machine.
        (format!("127.0.0.2:{port}"), pin.as_str(), "not_in_inventory"),
        (format!("user@127.0.0.1:{port}"), pin.as_str(), "announce"),
        // Somebody else's certificate: no token is sent.
        (format!("127.0.0.1:{port}"), &"0".repeat(64), "unreachable"),
    ] {
        announce(&p, &agent.id, &announced, certificate).await;
        assert_eq!(poller::round(&p.hub).await.unwrap(), 1);
        assert_eq!(text(&p, "SELECT poll_error FROM agents").await.as_deref(), Some(why), "{announced}");
    }
    assert_eq!(desk.asked.load(Ordering::Relaxed), 0);
    // Another agent's report is not this one's.
    let mut other = report(&[BAD]);
    other["agent"]["id"] = json!("somebody-else");
    *desk.report.lock().unwrap() = other;
    announce(&p, &agent.id, &format!("127.0.0.1:{port}"), &pin).await;
    assert_eq!(poller::round(&p.hub).await.unwrap(), 1);
    assert_eq!(text(&p, "SELECT poll_error FROM agents").await.as_deref(), Some("malformed"));
    assert_eq!(p.number("SELECT COUNT(*) FROM names").await, 0);
    server.drain().await;
}

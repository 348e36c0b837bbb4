//! The provider's side in a test: the real hub in this process, on SQLite or
//! on PostgreSQL, and agents that are made up but sign and compress like real
//! ones.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use beian::config::HubConfig;
use beian::hub::Hub;
use beian::hub::serve::{self, Server};
use beian::hub::store::{EnrolToken, Store, hash_of, new_secret, now};
use beian::uplink::signature::{self, Call};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::postgres::Postgres;

/// The kinds of store that every contract test runs on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum On {
    Sqlite,
    Postgres,
}

#[allow(dead_code, reason = "not every test looks at everything; server and store live as long")]
pub struct Provider {
    pub hub: Arc<Hub>,
    pub server: Server,
    pub url: String,
    pub http: reqwest::Client,
    pub store_url: String,
    pub postgres: Option<Arc<Postgres>>,
    _dir: tempfile::TempDir,
}

impl Provider {
    pub async fn start(on: On) -> Provider {
        Provider::with(on, HubConfig::default()).await
    }

    /// With settings of the test's; store and address are filled in.
    pub async fn with(on: On, mut cfg: HubConfig) -> Provider {
        let dir = tempfile::tempdir().unwrap();
        let postgres = (on == On::Postgres).then(|| Arc::new(Postgres::start()));
        let store_url = match &postgres {
            Some(p) => p.url(),
            None => format!("sqlite://{}", dir.path().join("hub.db").display()),
        };
        cfg.store_url = store_url.clone().into();
        cfg.server.listen = "127.0.0.1:0".parse().unwrap();
        let store = Store::open(&store_url).await.unwrap();
        store.migrate().await.unwrap();
        let hub = Hub::open(cfg, store).await.unwrap();
        let server = serve::start(hub.clone()).await.unwrap();
        let url = format!("http://{}", server.address());
        beian::filing::install_crypto();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Provider { hub, server, url, http, store_url, postgres, _dir: dir }
    }

    /// A customer with one server at this address.
    pub async fn customer(&self, tenant: &str, address: &str) {
        let store = &self.hub.store;
        let mut tx = store.begin().await.unwrap();
        for (sql, binds) in [
            (
                "INSERT INTO customers (id, name, unit, created_at, updated_at) VALUES ($1, $2, $3, 0, 0) ON CONFLICT DO NOTHING",
                [tenant.to_owned(), format!("示例客户 {tenant}"), format!("示例公司 {tenant}")],
            ),
            (
                "INSERT INTO servers (tenant, id, product, created_at, updated_at) VALUES ($1, $2, $3, 0, 0)",
                [tenant.to_owned(), format!("srv-{address}"), "vps".to_owned()],
            ),
            (
                "INSERT INTO server_addresses (tenant, server, address) VALUES ($1, $2, $3)",
                [tenant.to_owned(), format!("srv-{address}"), address.to_owned()],
            ),
        ] {
            let mut q = sqlx::query(sql);
            for b in binds {
                q = q.bind(b);
            }
            q.execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// A token for so many enrolments.
    pub async fn token(&self, tenant: Option<&str>, uses: i64) -> String {
        self.token_like(|t| {
            t.tenant = tenant.map(str::to_owned);
            t.uses = uses;
        })
        .await
    }

    pub async fn token_like(&self, change: impl FnOnce(&mut EnrolToken)) -> String {
        let secret = new_secret("be_").unwrap();
        let mut token = EnrolToken {
            id: uuid::Uuid::now_v7().to_string(),
            tenant: None,
            ranges: Vec::new(),
            takes_over: None,
            uses: 1,
            used: 0,
            expires_at: now() + 3_600_000,
            created_at: now(),
            created_by: "test".to_owned(),
            revoked_at: None,
        };
        change(&mut token);
        let mut tx = self.hub.store.begin().await.unwrap();
        self.hub.store.add_enrol_token(&mut tx, &token, &hash_of(&secret)).await.unwrap();
        tx.commit().await.unwrap();
        secret
    }

    /// An agent that is enrolled with a fresh token.
    pub async fn agent(&self, tenant: &str, address: &str) -> Fake {
        let token = self.token(Some(tenant), 1).await;
        let mut fake = Fake::new(&self.url, self.http.clone());
        let (status, answer) = fake.enrol(&token, &[address]).await;
        assert_eq!(status, 200, "{answer}");
        fake
    }

    /// One number from the store.
    pub async fn number(&self, sql: &'static str) -> i64 {
        use sqlx::Row as _;
        sqlx::query(sql).fetch_one(self.hub.store.read()).await.unwrap().try_get(0).unwrap()
    }
}

/// An agent without a server.
pub struct Fake {
    pub id: String,
    pub key: Arc<Ed25519KeyPair>,
    pub sequence: u64,
    pub receipt_key: String,
    pub url: String,
    pub http: reqwest::Client,
    pub hostname: String,
}

impl Fake {
    pub fn new(url: &str, http: reqwest::Client) -> Fake {
        let seed: [u8; 32] = rand::random();
        Fake {
            id: String::new(),
            key: Arc::new(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap()),
            sequence: 0,
            receipt_key: String::new(),
            url: url.to_owned(),
            http,
            hostname: "web1.example.com".to_owned(),
        }
    }

    pub async fn enrol(&mut self, token: &str, addresses: &[&str]) -> (u16, Value) {
        let body = json!({
            "token": token,
            "public_key": URL_SAFE_NO_PAD.encode(self.key.public_key()),
            "certificate_fingerprint": null,
            "hostname": self.hostname,
            "version": "0.1.0",
            "announce": null,
            "addresses": addresses,
        });
        let answer = self
            .http
            .post(format!("{}/v1/enrol", self.url))
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let said: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        if status == 200 {
            self.id = said["agent_id"].as_str().unwrap().to_owned();
            self.receipt_key = said["receipt_key"].as_str().unwrap().to_owned();
        }
        (status, said)
    }

    /// A signed call; the answer's status and JSON.
    pub async fn call(&self, path: &str, sequence: u64, body: Vec<u8>, coding: &str) -> (u16, Value) {
        let call = Call { method: "POST", path, agent: &self.id, sequence, body: &body };
        let h = signature::sign(&call, jiff::Timestamp::now().as_second(), &self.key);
        let mut request = self
            .http
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .header(signature::AGENT, &self.id)
            .header(signature::SEQUENCE, sequence.to_string())
            .header("content-digest", h.content_digest)
            .header("signature-input", h.signature_input)
            .header("signature", h.signature);
        if !coding.is_empty() {
            request = request.header("content-encoding", coding);
        }
        let answer = request.body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    /// Sends a report under the next sequence.
    pub async fn report(&mut self, report: &mut Value) -> (u16, Value) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.report_as(report, sequence).await
    }

    pub async fn report_as(&self, report: &mut Value, sequence: u64) -> (u16, Value) {
        report["sequence"] = json!(sequence);
        report["agent"]["id"] = json!(self.id);
        let body = gzip(&serde_json::to_vec(report).unwrap());
        self.call(&format!("/v1/agents/{}/reports", self.id), sequence, body, "gzip").await
    }

    pub async fn beat(&mut self) -> (u16, Value) {
        self.sequence += 1;
        let body = json!({"sequence": self.sequence, "at": jiff::Timestamp::now(), "version": "0.1.0", "outbox": 0, "oldest_untold": null});
        self.call(
            &format!("/v1/agents/{}/heartbeat", self.id),
            self.sequence,
            body.to_string().into_bytes(),
            "",
        )
        .await
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// A report with these names: (name, verdict, reason, exposure, filing, access).
pub fn report(rows: &[(&str, &str, &str, &str, &str, &str)]) -> Value {
    let at = jiff::Timestamp::now();
    let names: Vec<Value> = rows
        .iter()
        .map(|(name, verdict, reason, exposure, filing, access)| {
            let apex = name.rsplitn(3, '.').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>();
            json!({
                "name": name, "unicode": name, "apex": apex.join("."), "verdict": verdict, "reason": reason,
                "stale": false,
                "exposure": {"state": exposure, "addresses": ["203.0.113.10"], "cname": [], "checked_at": at},
                "filing": {"state": filing, "access": access, "subject_licence": null, "site_licence": null,
                    "unit": null, "nature": null, "approved_on": null, "sources": [], "expires_at": null},
                "first_seen": at, "exposed_since": at, "filed_since": null, "connected_before_filing": false,
                "served_by": [{"server": "nginx", "file": "/etc/nginx/conf.d/a.conf", "line": 1, "listen": ["*:80"]}],
            })
        })
        .collect();
    json!({
        "schema": "beian.report/1", "report_id": uuid::Uuid::now_v7().to_string(), "sequence": 0, "complete": true,
        "scanned_at": at, "agent": {"id": null, "version": "0.1.0", "hostname": "web1.example.com"},
        "addresses": ["203.0.113.10"],
        "summary": {"names": rows.len(), "compliant": 0, "violation": 0, "suspected": 0, "dormant": 0,
            "unconfirmed": 0, "not_applicable": 0},
        "names": names, "findings": [], "problems": [],
    })
}

/// A transition to be told in a report.
pub fn transition(name: &str, from: Option<(&str, &str)>, to: Option<(&str, &str)>) -> Value {
    let standing = |s: (&str, &str)| json!({"verdict": s.0, "reason": s.1, "stale": false});
    json!({
        "id": uuid::Uuid::now_v7().to_string(), "at": jiff::Timestamp::now(), "name": name,
        "from": from.map(standing), "to": to.map(standing),
    })
}

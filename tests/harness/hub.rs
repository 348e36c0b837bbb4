//! A hub of the tests: the other side of the contract, as small as it can be,
//! over real HTTP. It verifies every signature, stores a report once per
//! (agent, sequence), and signs receipts; and it can be told to answer as hubs
//! and what stands before them do on bad days.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use beian::facts::{Report, Transition};
use beian::uplink::signature::{self, Call, Headers};
use beian::uplink::{Receipt, enrol};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

/// How it answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Mood {
    Good,
    /// This status, without a word of its own.
    Status(u16),
    /// This status and Retry-After.
    Later(u16, u64),
    /// 200 and nonsense.
    Garbage,
    /// Nothing, for so long.
    Slow(Duration),
    /// A proxy's page.
    Page(u16),
    /// The report is stored, but the answer is lost.
    Lost,
}

pub struct Shared {
    key: Ed25519KeyPair,
    pub token: String,
    pub settings: Mutex<Value>,
    pub mood: Mutex<Mood>,
    pub agents: Mutex<HashMap<String, Vec<u8>>>,
    /// By agent and sequence: digest and receipt.
    pub stored: Mutex<BTreeMap<(String, u64), (String, String)>>,
    pub reports: Mutex<Vec<Report>>,
    /// Each once, by its id, in the order of arrival.
    pub transitions: Mutex<Vec<Transition>>,
    known: Mutex<HashSet<String>>,
    /// Calls that were not what they said.
    pub refused: Mutex<Vec<String>>,
    pub calls: Mutex<usize>,
    /// What lookups answer: the filing of a name, where it is one that the
    /// agent's reports have told of.
    pub filings: Mutex<HashMap<String, Value>>,
    /// Questions of each lookup, in the order of arrival.
    pub lookups: Mutex<Vec<Vec<Vec<String>>>>,
    looked_up: Mutex<HashMap<String, u64>>,
    pub heartbeats: Mutex<usize>,
    /// Each accepted report is printed as one line.
    pub print: bool,
}

pub struct Hub {
    pub at: SocketAddr,
    pub shared: Arc<Shared>,
}

impl Hub {
    /// Serves on this address in a thread of its own.
    pub fn start(at: &str, token: &str, print: bool) -> Hub {
        let shared = Arc::new(Shared {
            key: Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap(),
            token: token.to_owned(),
            settings: Mutex::new(json!({"splay": 0, "heartbeat_interval": 60})),
            mood: Mutex::new(Mood::Good),
            agents: Mutex::default(),
            stored: Mutex::default(),
            reports: Mutex::default(),
            transitions: Mutex::default(),
            known: Mutex::default(),
            refused: Mutex::default(),
            calls: Mutex::default(),
            filings: Mutex::default(),
            lookups: Mutex::default(),
            looked_up: Mutex::default(),
            heartbeats: Mutex::default(),
            print,
        });
        let listener = std::net::TcpListener::bind(at).unwrap();
        listener.set_nonblocking(true).unwrap();
        let at = listener.local_addr().unwrap();
        let theirs = shared.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let app = Router::new().fallback(handle).with_state(theirs);
                axum::serve(listener, app).await.unwrap();
            });
        });
        Hub { at, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    pub fn mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// `name: from -> to` of every transition, each once, in order.
    pub fn told(&self) -> Vec<(String, Option<String>)> {
        let all = self.shared.transitions.lock().unwrap();
        all.iter().map(|t| (t.name.clone(), t.to.map(|s| s.verdict.as_str().to_owned()))).collect()
    }
}

type Answer = Response<Body>;

fn answer(status: u16, media: &str, body: String) -> Answer {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", media)
        .body(Body::from(body))
        .unwrap()
}

fn problem(status: u16, word: &str, more: Value) -> Answer {
    let mut body = json!({"type": format!("urn:beian:problem:{word}"), "title": word, "status": status});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    answer(status, "application/problem+json", body.to_string())
}

async fn handle(State(hub): State<Arc<Shared>>, request: Request) -> Answer {
    *hub.calls.lock().unwrap() += 1;
    let mood = hub.mood.lock().unwrap().clone();
    match mood {
        Mood::Status(s) => return answer(s, "text/plain", String::new()),
        Mood::Later(s, wait) => {
            let mut a = answer(s, "text/plain", String::new());
            a.headers_mut().insert("retry-after", wait.into());
            return a;
        }
        Mood::Garbage => return answer(200, "application/json", "{\"agent\":".to_owned()),
        Mood::Slow(time) => {
            tokio::time::sleep(time).await;
            return answer(200, "text/plain", String::new());
        }
        Mood::Page(s) => return answer(s, "text/html", "<html>blocked</html>".to_owned()),
        Mood::Good | Mood::Lost => {}
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap();
    let path = parts.uri.path().to_owned();
    if path == "/healthz" {
        return answer(200, "text/plain", "ok".to_owned());
    }
    if path == "/v1/enrol" {
        return enrolled(&hub, &body);
    }
    if path == "/v1/filings:lookup" {
        let agent = parts.headers.get(signature::AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        return match checked(&hub, parts.method.as_str(), &path, agent, &parts.headers, &body) {
            Ok(sequence) => look_up(&hub, agent, sequence, &body),
            Err(a) => *a,
        };
    }
    let Some((agent, what)) = path.strip_prefix("/v1/agents/").and_then(|p| p.split_once('/')) else {
        return answer(404, "text/plain", String::new());
    };
    match checked(&hub, parts.method.as_str(), &path, agent, &parts.headers, &body) {
        Err(a) => *a,
        Ok(_) if what == "heartbeat" => {
            assert!(body.len() < 300, "{} bytes", body.len());
            *hub.heartbeats.lock().unwrap() += 1;
            let settings = hub.settings.lock().unwrap();
            answer(200, "application/json", json!({ "settings": *settings }).to_string())
        }
        Ok(sequence) => {
            let a = store(&hub, agent, sequence, &body);
            if mood == Mood::Lost { answer(502, "text/html", String::new()) } else { a }
        }
    }
}

fn enrolled(hub: &Shared, body: &[u8]) -> Answer {
    let asked: enrol::Request = serde_json::from_slice(body).unwrap();
    if asked.token != hub.token {
        return problem(403, "token_unknown", json!({}));
    }
    let key = URL_SAFE_NO_PAD.decode(&asked.public_key).unwrap();
    let mut agents = hub.agents.lock().unwrap();
    let id = format!("agent-{}", agents.len() + 1);
    agents.insert(id.clone(), key);
    let body = json!({
        "agent_id": id,
        "receipt_key": URL_SAFE_NO_PAD.encode(hub.key.public_key()),
        "polling_token": "polling-token-of-the-test-hub-0123456789",
        "settings": *hub.settings.lock().unwrap(),
    });
    answer(201, "application/json", body.to_string())
}

/// Lookups have a sequence of their own.
fn look_up(hub: &Shared, agent: &str, sequence: u64, body: &Bytes) -> Answer {
    let mut last = hub.looked_up.lock().unwrap();
    let highest = last.entry(agent.to_owned()).or_default();
    if sequence <= *highest {
        return problem(409, "sequence_rollback", json!({ "highest": *highest }));
    }
    *highest = sequence;
    #[derive(serde::Deserialize)]
    struct Asked {
        questions: Vec<Vec<String>>,
    }
    let asked: Asked = serde_json::from_slice(body).unwrap();
    assert!(asked.questions.len() <= 500);
    let reports = hub.reports.lock().unwrap();
    let served = |name: &String| {
        reports.iter().filter(|r| r.agent.id.as_deref() == Some(agent)).flat_map(|r| &r.names).any(|row| {
            row.apex.as_ref() == Some(name) || row.name == *name || row.name.ends_with(&format!(".{name}"))
        })
    };
    let filings = hub.filings.lock().unwrap();
    let answers: Vec<Value> = asked
        .questions
        .iter()
        .map(|names| match names.iter().find(|n| served(n)).map(|n| filings.get(n)) {
            None => json!({"refused": "not_served"}),
            Some(None) => json!({"refused": "quota"}),
            Some(Some(filing)) => json!({ "filing": filing }),
        })
        .collect();
    hub.lookups.lock().unwrap().push(asked.questions);
    answer(200, "application/json", json!({ "answers": answers }).to_string())
}

fn checked(
    hub: &Shared,
    method: &str,
    path: &str,
    agent: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<u64, Box<Answer>> {
    let header = |n: &str| headers.get(n).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let Some(key) = hub.agents.lock().unwrap().get(agent).cloned() else {
        return Err(Box::new(problem(401, "unknown_agent", json!({}))));
    };
    let sequence: u64 = header(signature::SEQUENCE).parse().unwrap_or(0);
    let named = header(signature::AGENT);
    let call = Call { method, path, agent: &named, sequence, body };
    let signed = Headers {
        content_digest: header("content-digest"),
        signature_input: header("signature-input"),
        signature: header("signature"),
    };
    match signature::verify(&call, &signed, &key) {
        Ok(_) if named == agent => Ok(sequence),
        Ok(_) => Err(Box::new(problem(401, "bad_signature", json!({})))),
        Err(e) => {
            hub.refused.lock().unwrap().push(e.to_string());
            Err(Box::new(problem(401, "bad_signature", json!({}))))
        }
    }
}

fn store(hub: &Shared, agent: &str, sequence: u64, body: &Bytes) -> Answer {
    let digest = signature::content_digest(body);
    let mut stored = hub.stored.lock().unwrap();
    let at = (agent.to_owned(), sequence);
    if let Some((known, receipt)) = stored.get(&at) {
        if *known == digest {
            return answer(200, "application/json", receipt.clone());
        }
        let highest = stored.keys().filter(|(a, _)| a == agent).map(|(_, s)| *s).max();
        return problem(409, "sequence_rollback", json!({"highest": highest}));
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(body.as_ref()).read_to_string(&mut text).unwrap();
    let report: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(report.sequence, sequence);
    assert_eq!(report.agent.id.as_deref(), Some(agent));
    if hub.print {
        std::io::Write::write_all(&mut std::io::stdout(), format!("{text}\n").as_bytes()).unwrap();
    }
    for t in &report.transitions {
        if hub.known.lock().unwrap().insert(t.id.clone()) {
            hub.transitions.lock().unwrap().push(t.clone());
        }
    }
    hub.reports.lock().unwrap().push(report);
    let receipt = Receipt {
        agent: agent.to_owned(),
        sequence,
        digest: digest.clone(),
        received_at: jiff::Timestamp::now().to_string(),
        signature: String::new(),
    }
    .signed(&hub.key);
    let mut receipt = serde_json::to_value(&receipt).unwrap();
    receipt["settings"] = hub.settings.lock().unwrap().clone();
    let receipt = receipt.to_string();
    stored.insert(at, (digest, receipt.clone()));
    answer(201, "application/json", receipt)
}

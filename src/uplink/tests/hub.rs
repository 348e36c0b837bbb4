//! The hub: answers one call after the other as it is told, then well.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

use crate::uplink::Receipt;
use crate::uplink::signature::{self, Headers};

/// One answer.
#[derive(Debug, Clone)]
pub(super) enum Say {
    /// The receipt.
    Well,
    /// Status, headers and body.
    This(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A receipt by another key.
    Forged,
    /// A receipt for another report.
    Other,
    /// The receipt, after so long.
    Slowly(Duration),
}

impl Say {
    /// A status, with a page.
    pub(super) fn page(status: u16) -> Say {
        Say::This(status, vec![("content-type", "text/html".to_owned())], b"<h1>no</h1>".to_vec())
    }

    /// A problem of this type.
    pub(super) fn problem(status: u16, kind: &str, more: Value) -> Say {
        let mut body = json!({"type": kind, "title": "no", "status": status});
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let media = ("content-type", "application/problem+json; charset=utf-8".to_owned());
        Say::This(status, vec![media], body.to_string().into_bytes())
    }

    /// A problem of the hub's own list.
    pub(super) fn own(status: u16, word: &str, more: Value) -> Say {
        Say::problem(status, &format!("urn:beian:problem:{word}"), more)
    }
}

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) path: String,
    pub(super) sequence: u64,
    pub(super) encoding: Option<String>,
    pub(super) body: Bytes,
}

pub(super) struct Shared {
    script: Mutex<VecDeque<Say>>,
    pub(super) calls: Mutex<Vec<Call>>,
    public_key: Vec<u8>,
    /// What every report gets, instead of the script.
    reports: Mutex<Option<Say>>,
    /// More members of what is answered well.
    more: Mutex<Option<Value>>,
}

pub(super) struct Hub {
    pub(super) at: SocketAddr,
    pub(super) shared: Arc<Shared>,
}

pub(super) fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap()
}

impl Hub {
    /// Knows the agent `a1` by this key.
    pub(super) async fn start(public_key: &[u8], script: impl IntoIterator<Item = Say>) -> Hub {
        let shared = Arc::new(Shared {
            script: Mutex::new(script.into_iter().collect()),
            calls: Mutex::default(),
            public_key: public_key.to_vec(),
            reports: Mutex::default(),
            more: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let app = Router::new().fallback(handle).with_state(shared.clone());
        // It ends with the test's runtime.
        tokio::spawn(async move { axum::serve(listener, app).await });
        Hub { at, shared }
    }

    pub(super) fn url(&self) -> url::Url {
        format!("http://{}", self.at).parse().unwrap()
    }

    /// Every report is answered so from now on; `None`: by the script.
    pub(super) fn reports_get(&self, say: Option<Say>) {
        *self.shared.reports.lock().unwrap() = say;
    }

    /// Receipts and heartbeats' answers have these members too.
    pub(super) fn answers_have(&self, more: Option<Value>) {
        *self.shared.more.lock().unwrap() = more;
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }
}

async fn handle(State(hub): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path().to_owned();
    let fixed = hub.reports.lock().unwrap().clone().filter(|_| path.ends_with("/reports"));
    let say = fixed.or_else(|| hub.script.lock().unwrap().pop_front()).unwrap_or(Say::Well);
    let more = hub.more.lock().unwrap().clone();
    let header = |n: &str| parts.headers.get(n).map(|v| v.to_str().unwrap().to_owned());
    let mut call = Call { path: path.clone(), sequence: 0, encoding: header("content-encoding"), body };
    if path != "/v1/enrol" {
        call.sequence = header("beian-sequence").unwrap().parse().unwrap();
        let signed = signature::Call {
            method: parts.method.as_str(),
            path: &path,
            agent: &header("beian-agent").unwrap(),
            sequence: call.sequence,
            body: &call.body,
        };
        let headers = Headers {
            content_digest: header("content-digest").unwrap(),
            signature_input: header("signature-input").unwrap(),
            signature: header("signature").unwrap(),
        };
        signature::verify(&signed, &headers, &hub.public_key).unwrap();
    }
    let (sequence, digest) = (call.sequence, signature::content_digest(&call.body));
    let asked = call.body.clone();
    hub.calls.lock().unwrap().push(call);
    let receipt = |sequence, key: &Ed25519KeyPair| {
        let received_at = "2026-11-25T08:00:00Z".to_owned();
        let blank = Receipt {
            agent: "a1".to_owned(),
            sequence,
            digest: digest.clone(),
            received_at,
            signature: String::new(),
        };
        let mut body = serde_json::to_value(blank.signed(key)).unwrap();
        body.as_object_mut().unwrap().extend(more.iter().flat_map(|m| m.as_object().cloned().unwrap()));
        Response::new(Body::from(body.to_string()))
    };
    match say {
        Say::Well if path.ends_with("/heartbeat") => match &more {
            None => Response::builder().status(204).body(Body::empty()).unwrap(),
            Some(more) => Response::new(Body::from(more.to_string())),
        },
        Say::Well if path.ends_with("/v1/filings:lookup") => Response::new(Body::from(filings(&asked))),
        Say::Well => receipt(sequence, &key()),
        Say::Slowly(time) => {
            tokio::time::sleep(time).await;
            receipt(sequence, &key())
        }
        Say::Forged => receipt(sequence, &Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap()),
        Say::Other => receipt(sequence + 1, &key()),
        Say::This(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).unwrap()
        }
    }
}

/// Every name is filed, under a unit of its first name.
fn filings(asked: &[u8]) -> String {
    let asked: Value = serde_json::from_slice(asked).unwrap();
    let answers: Vec<Value> = asked["questions"].as_array().unwrap().iter().map(|q| filing(&q[0])).collect();
    json!({"answers": answers, "more": 1}).to_string()
}

pub(super) fn filing(unit: &Value) -> Value {
    json!({"filing": {
        "state": "filed", "access": "here",
        "subject_licence": "蜀ICP备00000001号", "site_licence": "蜀ICP备00000001号-2",
        "unit": unit, "nature": "企业", "approved_on": "2024-05-01",
        "sources": [{"registry": "yd2431", "state": "filed", "checked_at": "2026-11-25T08:00:00Z", "new": 1}],
        "expires_at": null, "new": true,
    }})
}

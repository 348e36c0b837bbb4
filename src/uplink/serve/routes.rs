//! From a request to its answer.

use std::io::{self, Read};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use futures::stream;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::activity::{Activity, Busy};
use super::answer::{self, Problem, answer};
use super::host::{Meant, meant};
use super::{Desk, Packed, Tokens, negotiate, to_plain_text};

/// Requests that are answered at the same time.
const REQUESTS: usize = 8;
/// How much of a report is unpacked at a time.
const CHUNK: usize = 32 << 10;

const JSON: &str = "application/json";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What all connections of a listener share.
pub(super) struct Shared {
    pub(super) desk: Arc<dyn Desk>,
    /// `None` on the control socket: who may open it may ask.
    pub(super) tokens: Option<Tokens>,
    pub(super) names: Vec<String>,
    requests: Arc<Semaphore>,
    /// One report is packed at a time.
    packing: Mutex<()>,
}

impl Shared {
    pub(super) fn new(desk: Arc<dyn Desk>, tokens: Option<Tokens>, names: Vec<String>) -> Arc<Shared> {
        let requests = Arc::new(Semaphore::new(REQUESTS));
        Arc::new(Shared { desk, tokens, names, requests, packing: Mutex::new(()) })
    }
}

/// One connection.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) shared: Arc<Shared>,
    /// It showed a certificate that `client_ca` signed.
    pub(super) certified: bool,
    pub(super) activity: Arc<Activity>,
}

/// What an answer holds on to until it is sent.
struct Held {
    _busy: Busy,
    _permit: OwnedSemaphorePermit,
}

/// Answers one request.
pub(super) async fn handle(caller: Caller, req: Request<Body>) -> Response<Body> {
    let busy = caller.activity.begin();
    let head = *req.method() == Method::HEAD;
    // No request has a body here, so what there is of it is not read.
    let (req, _) = req.into_parts();
    let mut r = route(&caller, &req, busy).await.unwrap_or_else(Into::into);
    if head {
        *r.body_mut() = Body::empty();
    }
    r
}

async fn route(caller: &Caller, req: &Parts, busy: Busy) -> Result<Response<Body>, Problem> {
    let shared = &caller.shared;
    let path = req.uri.path();
    if shared.tokens.is_some() {
        match meant(req, &shared.names) {
            Meant::Us => {}
            Meant::Unclear => return Err(answer::HOST_UNCLEAR),
            Meant::Other => return Err(answer::HOST_UNKNOWN),
        }
    }
    if has_body(&req.headers) {
        return Err(answer::BODY);
    }
    if path == "/healthz" || path == "/readyz" {
        read_only(req)?;
        let ready = path == "/healthz" || shared.desk.ready();
        return if ready {
            Ok(answer(StatusCode::OK, JSON, "{\"status\":\"ok\"}\n"))
        } else {
            Err(answer::NOT_READY)
        };
    }
    if !caller.certified
        && let Some(tokens) = &shared.tokens
    {
        match bearer(&req.headers) {
            None => return Err(answer::NO_TOKEN),
            Some(presented) if !tokens.opens(presented) => return Err(answer::WRONG_TOKEN),
            Some(_) => {}
        }
    }
    // After the token: a stranger cannot keep others out.
    let permit = shared.requests.clone().try_acquire_owned().map_err(|_| answer::BUSY)?;
    let held = Held { _busy: busy, _permit: permit };
    match path {
        "/v1/report" => {
            read_only(req)?;
            let packed = {
                let _one = shared.packing.lock().await;
                ask(shared, |d| d.report()).await?.map_err(broken)?
            };
            Ok(report(req, packed, held))
        }
        "/v1/status" => {
            read_only(req)?;
            json(&ask(shared, |d| d.status()).await?)
        }
        "/metrics" => {
            read_only(req)?;
            let text = ask(shared, |d| d.metrics()).await?;
            Ok(if negotiate::takes_openmetrics(&req.headers) {
                answer(StatusCode::OK, OPENMETRICS, text)
            } else {
                answer(StatusCode::OK, PLAIN_METRICS, to_plain_text(&text))
            })
        }
        "/v1/scan" if shared.tokens.is_none() => {
            if req.method != Method::POST {
                return Err(answer::POST_ONLY);
            }
            ask(shared, |d| d.scan()).await?;
            Ok(answer(StatusCode::ACCEPTED, JSON, "{\"status\":\"accepted\"}\n"))
        }
        _ => match path.strip_prefix("/v1/names/") {
            Some(coded) if shared.tokens.is_none() => {
                read_only(req)?;
                let name = decode(coded).ok_or(answer::NOT_A_NAME)?;
                let named = ask(shared, move |d| d.name(&name)).await?.map_err(broken)?;
                json(&named.ok_or(answer::NO_NAME)?)
            }
            _ => Err(answer::NOT_FOUND),
        },
    }
}

/// Asks the desk on a thread that may block.
async fn ask<T: Send + 'static>(
    shared: &Arc<Shared>,
    question: impl FnOnce(&dyn Desk) -> T + Send + 'static,
) -> Result<T, Problem> {
    let desk = shared.desk.clone();
    tokio::task::spawn_blocking(move || question(desk.as_ref())).await.map_err(|e| {
        tracing::error!("an answer was not finished: {e}");
        answer::BROKEN
    })
}

fn broken(e: io::Error) -> Problem {
    tracing::warn!("the ledger could not be read for an answer: {e}");
    answer::BROKEN
}

fn json<T: serde::Serialize>(value: &T) -> Result<Response<Body>, Problem> {
    let mut text = serde_json::to_vec(value).map_err(|e| broken(e.into()))?;
    text.push(b'\n');
    Ok(answer(StatusCode::OK, JSON, text))
}

fn report(req: &Parts, packed: Packed, held: Held) -> Response<Body> {
    // Two codings are two representations, so each has a strong tag of its own.
    let plain_tag = format!("\"{}\"", packed.digest());
    let gzip_tag = format!("\"{}-gzip\"", packed.digest());
    let gzip = negotiate::takes_gzip(&req.headers);
    let tag = if gzip { &gzip_tag } else { &plain_tag };
    let mut r = if negotiate::has_already(&req.headers, &[&plain_tag, &gzip_tag]) {
        let mut r = Response::new(Body::empty());
        *r.status_mut() = StatusCode::NOT_MODIFIED;
        answer::secure(r)
    } else if gzip {
        let mut r = answer(StatusCode::OK, JSON, packed.gzip());
        r.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        r
    } else {
        let body = if req.method == Method::HEAD { Body::empty() } else { unpacked(&packed, held) };
        answer::stream(StatusCode::OK, JSON, packed.length(), body)
    };
    if let Ok(tag) = HeaderValue::from_str(tag) {
        r.headers_mut().insert(header::ETAG, tag);
    }
    r.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    r
}

/// The report unpacked while it is sent. A chunk takes well below a
/// millisecond, so no thread of its own is needed.
fn unpacked(packed: &Packed, held: Held) -> Body {
    let start = (packed.reader(), held);
    Body::from_stream(stream::try_unfold(start, |(mut reader, held)| async move {
        let mut chunk = Vec::with_capacity(CHUNK);
        reader.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
        Ok::<_, io::Error>((!chunk.is_empty()).then(|| (Bytes::from(chunk), (reader, held))))
    }))
}

fn read_only(req: &Parts) -> Result<(), Problem> {
    match req.method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(answer::READ_ONLY),
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get_all(header::CONTENT_LENGTH).iter().any(|l| l.as_bytes() != b"0")
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// `%XX` undone; `None` where it is no UTF-8 or longer than any name.
fn decode(coded: &str) -> Option<String> {
    let mut out = Vec::with_capacity(coded.len());
    let mut bytes = coded.bytes();
    while let Some(b) = bytes.next() {
        out.push(if b == b'%' {
            let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            b
        });
    }
    let name = String::from_utf8(out).ok()?;
    (!name.is_empty() && name.len() <= 4096).then_some(name)
}

//! The way to the hub: one client, bounded answers, no redirect.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Certificate, Client, RequestBuilder, Response, redirect};

use crate::config::{Hub, Text};
use crate::filing::install_crypto;

use super::identity::Identity;
use super::signature::{self, Call};

/// Connect to last byte of the answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// Above it no sequence can be: every JSON reader knows integers so far, and
/// counting on from there must not end.
pub(super) const SEQUENCE_MOST: u64 = 1 << 53;
/// Bytes of an answer that are read.
const ANSWER_MOST: usize = 64 << 10;

/// A client for this hub. TLS by the system's authorities, or by `[hub]
/// ca_file` alone where that is set; plain HTTP to loopback only.
pub(super) fn client(hub: &Hub, url: &url::Url, timeout: Duration) -> Result<Client, Text> {
    install_crypto();
    Hub::check_url(url)
        .map_err(|t| Text::new(format!("the hub's address: {}", t.en), format!("中心的地址：{}", t.zh)))?;
    let mut builder = Client::builder()
        .user_agent(concat!("beian-agent/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .http1_only()
        .timeout(timeout)
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_secs(15));
    let broken = |e: &dyn std::fmt::Display| {
        Text::new(format!("[hub] ca_file: {e}"), format!("[hub] ca_file 无法使用：{e}"))
    };
    if let Some(file) = &hub.ca_file {
        let pem = std::fs::read(file).map_err(|e| broken(&e))?;
        let certs = Certificate::from_pem_bundle(&pem).map_err(|e| broken(&e))?;
        if certs.is_empty() {
            return Err(broken(&"no certificate in it"));
        }
        builder = builder.tls_certs_only(certs);
    } else if url.scheme() == "http" {
        // The system's authorities are some hundred kilobytes.
        builder = builder.tls_certs_only(std::iter::empty());
    }
    builder.build().map_err(|e| {
        Text::new(format!("[hub]: the HTTP client cannot be built: {e}"), format!("[hub]：无法建立连接：{e}"))
    })
}

/// An address below the hub's.
pub(super) fn join(hub: &url::Url, path: &str) -> url::Url {
    let mut url = hub.clone();
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}{path}"));
    url.set_query(None);
    url
}

/// A signed call of this agent to an address of the hub's.
pub(super) fn signed(
    client: &Client,
    url: url::Url,
    (agent, identity): (&str, &Identity),
    sequence: u64,
    body: Vec<u8>,
) -> RequestBuilder {
    let call = Call { method: "POST", path: url.path(), agent, sequence, body: &body };
    let headers = signature::sign(&call, Timestamp::now().as_second(), identity.key());
    client
        .post(url.clone())
        .header("content-type", "application/json")
        .header(signature::AGENT, agent)
        .header(signature::SEQUENCE, sequence.to_string())
        .header("content-digest", headers.content_digest)
        .header("signature-input", headers.signature_input)
        .header("signature", headers.signature)
        .body(body)
}

/// An answer that was read whole.
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) retry_after: Option<Duration>,
    pub(super) date: Option<std::time::SystemTime>,
    pub(super) body: Vec<u8>,
}

/// Why an answer was not read whole.
pub(super) enum Unread {
    /// It is longer than a hub's.
    TooLong,
    /// The connection failed.
    Broken(reqwest::Error),
}

/// Reads an answer; a longer one than a hub gives is an error.
pub(super) async fn read(response: Response) -> Result<Said, String> {
    read_up_to(response, ANSWER_MOST).await.map_err(|e| match e {
        Unread::TooLong => "the answer is longer than a hub's".to_owned(),
        Unread::Broken(e) => words(&e),
    })
}

/// The same with another bound.
pub(super) async fn read_up_to(mut response: Response, most: usize) -> Result<Said, Unread> {
    let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let retry_after = header("retry-after").and_then(|v| wait_of(&v));
    let date = header("date").and_then(|v| httpdate::parse_http_date(&v).ok());
    let content_type = header("content-type");
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Broken)? {
        if body.len() + chunk.len() > most {
            return Err(Unread::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Said { status, content_type, retry_after, date, body })
}

/// Seconds, or a date.
fn wait_of(v: &str) -> Option<Duration> {
    if let Ok(seconds) = v.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(v.trim()).ok()?.duration_since(std::time::SystemTime::now()).ok()
}

/// An error with its causes, without the address.
pub(super) fn words(e: &reqwest::Error) -> String {
    use std::error::Error as _;
    if e.is_timeout() {
        return "no answer in time".to_owned();
    }
    let (mut out, mut source) = (String::new(), e.source());
    while let Some(s) = source {
        if !out.is_empty() {
            out.push_str(": ");
        }
        out.push_str(&s.to_string());
        source = s.source();
    }
    if out.is_empty() { "the request failed".to_owned() } else { out }
}

//! The way to the hub: one client, bounded answers, no redirect.

use std::time::Duration;

use reqwest::{Certificate, Client, Response, redirect};

use crate::config::{Hub, Text};
use crate::filing::install_crypto;

/// Connect to last byte of the answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
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

/// An answer that was read whole.
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) retry_after: Option<Duration>,
    pub(super) date: Option<std::time::SystemTime>,
    pub(super) body: Vec<u8>,
}

/// Reads an answer; a longer one than a hub gives is an error.
pub(super) async fn read(mut response: Response) -> Result<Said, String> {
    let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let retry_after = header("retry-after").and_then(|v| wait_of(&v));
    let date = header("date").and_then(|v| httpdate::parse_http_date(&v).ok());
    let content_type = header("content-type");
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| words(&e))? {
        if body.len() + chunk.len() > ANSWER_MOST {
            return Err("the answer is longer than a hub's".to_owned());
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

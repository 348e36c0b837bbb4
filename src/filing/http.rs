//! The only way out to registries: one client, bounded answers, no redirect,
//! no proxy, no cookie.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};

use crate::config::{Registry, RegistryKind};
use crate::facts::Why;

use super::limit::Pace;
use super::registry::Fault;
use super::text::decode;

/// Bytes of one answer after decompression (contract-details Q8).
const BODY_MOST: usize = 1 << 20;

/// Words on pages of attack filters; any of them in an HTML page means that
/// our address is blocked.
const BLOCK_MARKS: &[&str] =
    &["疑似黑客攻击", "网站管理员设置为拦截", "访问被拦截", "安全验证", "Access Denied"];

/// The client of all adapters.
///
/// Certificate authorities are those of the system, read only where a
/// registry is asked over TLS.
pub(super) fn client(registries: &[Registry]) -> anyhow::Result<Client> {
    install_crypto();
    let mut builder = Client::builder()
        .user_agent(concat!("beian-agent/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .http1_only()
        .http1_max_headers(100)
        .gzip(true)
        .pool_max_idle_per_host(8)
        .pool_idle_timeout(Duration::from_secs(20));
    if !registries.iter().any(|r| over_tls(&r.kind)) {
        builder = builder.tls_certs_only(std::iter::empty());
    }
    builder.build().context("the HTTP client for registries cannot be built")
}

fn over_tls(kind: &RegistryKind) -> bool {
    match kind {
        RegistryKind::ProviderDb { .. } | RegistryKind::Hub => false,
        RegistryKind::Yd2431 { url, .. }
        | RegistryKind::MinistryList { url }
        | RegistryKind::JsonApi { url, .. } => url.scheme() == "https",
    }
}

/// Installs ring as the process's provider of cryptography, once. The only
/// place that does.
pub fn install_crypto() {
    // An error only says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// What a body is, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    /// JSON, or plain text that may be JSON.
    Json,
    /// XML.
    Xml,
    /// A page for people.
    Html,
    /// Anything else, or no content type at all.
    Other,
}

/// A complete answer.
#[derive(Debug)]
pub(super) struct Page {
    pub status: u16,
    pub media: Media,
    pub text: String,
}

/// The way to one source: its queue and its timeout.
pub(super) struct Line {
    pub client: Client,
    pub pace: Pace,
    /// Connect to last byte.
    pub timeout: Duration,
}

impl Line {
    /// Sends one request in this source's turn and reads all of the answer.
    /// Redirects, 401, 402, 403, 429, 521 and block pages are faults already.
    pub(super) async fn fetch(&self, request: RequestBuilder) -> Result<Page, Fault> {
        self.pace.ready().await;
        tokio::time::timeout(self.timeout, receive(request))
            .await
            .unwrap_or_else(|_| Err(Fault::new(Why::Timeout)))
    }
}

async fn receive(request: RequestBuilder) -> Result<Page, Fault> {
    let response = request.send().await.map_err(|e| transport(&e))?;
    let status = response.status();
    if status.is_redirection() {
        return Err(Fault::new(Why::Redirected));
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS => return Err(Fault::throttled(retry_after(response.headers()))),
        StatusCode::UNAUTHORIZED => return Err(Fault::unauthorised(true)),
        StatusCode::PAYMENT_REQUIRED => return Err(Fault::credit()),
        StatusCode::FORBIDDEN => return Err(Fault::new(Why::Blocked)),
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => return Err(Fault::new(Why::Timeout)),
        _ => {}
    }
    let status = status.as_u16();
    if status == 521 {
        // What the filter in front of the public site answers to clients
        // that it does not take for browsers.
        return Err(Fault::new(Why::Blocked));
    }
    let media = media(response.headers());
    let bytes = body(response).await?;
    let Some(text) = decode(&bytes) else {
        return Err(Fault::new(if status >= 500 { Why::Unavailable } else { Why::Malformed }));
    };
    let page = media == Media::Html || (media != Media::Xml && text.trim_start().starts_with('<'));
    if page && BLOCK_MARKS.iter().any(|m| text.contains(m)) {
        return Err(Fault::new(Why::Blocked));
    }
    Ok(Page { status, media, text })
}

async fn body(mut response: Response) -> Result<Vec<u8>, Fault> {
    if response.content_length().is_some_and(|n| n > BODY_MOST as u64) {
        return Err(Fault::new(Why::TooLarge));
    }
    let mut out = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| transport(&e))? {
        if out.len() + chunk.len() > BODY_MOST {
            return Err(Fault::new(Why::TooLarge));
        }
        out.extend_from_slice(&chunk);
    }
    Ok(out)
}

/// What a failed call means. The error itself goes nowhere: its text holds
/// the URL, and with it a key.
fn transport(error: &reqwest::Error) -> Fault {
    if error.is_timeout() {
        return Fault::new(Why::Timeout);
    }
    if error.is_builder() {
        return Fault::operator(Why::Configuration, "the request cannot be built; check key and preset");
    }
    let mut source = std::error::Error::source(error);
    while let Some(e) = source {
        if e.to_string().contains("head is too large") {
            return Fault::new(Why::TooLarge);
        }
        source = e.source();
    }
    // A body that was cut, a connection that was reset or refused, bytes that
    // are no HTTP.
    Fault::transport()
}

fn media(headers: &HeaderMap) -> Media {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" | "text/json" | "text/plain" => Media::Json,
        "application/xml" | "text/xml" | "application/soap+xml" => Media::Xml,
        "text/html" | "application/xhtml+xml" => Media::Html,
        e if e.ends_with("+json") => Media::Json,
        e if e.ends_with("+xml") => Media::Xml,
        _ => Media::Other,
    }
}

/// Retry-After in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(std::time::SystemTime::now()).unwrap_or(Duration::ZERO))
}

/// A parsed JSON body, whatever its status.
pub(super) fn json(page: &Page) -> Result<serde_json::Value, Fault> {
    if page.media != Media::Json {
        return Err(unreadable(page));
    }
    // The parser refuses nesting beyond 128, so hostile depth is an error.
    serde_json::from_str(&page.text).map_err(|_| unreadable(page))
}

/// The fault of a page that says nothing: out of order, or no answer.
pub(super) fn unreadable(page: &Page) -> Fault {
    Fault::new(if page.status >= 500 { Why::Unavailable } else { Why::Malformed })
}

/// The base URL with the adapter's path appended.
pub(super) fn endpoint(base: &url::Url, path: &str) -> url::Url {
    let mut url = base.clone();
    let joined = format!("{}{}", base.path().trim_end_matches('/'), path);
    url.set_path(&joined);
    url.set_fragment(None);
    url
}

/// A member of a JSON answer as text: services write codes as numbers or as
/// strings.
pub(super) fn scalar(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(s) => Some(s.trim().to_owned()),
        serde_json::Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn retry_after_in_both_forms() {
        let of = |v: &str| {
            let mut h = HeaderMap::new();
            h.insert(RETRY_AFTER, v.parse().unwrap());
            retry_after(&h)
        };
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("soon"), None);
        assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = std::time::SystemTime::now() + Duration::from_secs(20);
        let wait = of(&httpdate::fmt_http_date(later)).unwrap();
        assert!(wait > Duration::from_secs(15) && wait <= Duration::from_secs(20));
    }

    #[test]
    fn paths_are_appended_to_the_base() {
        let of = |base: &str, path: &str| endpoint(&base.parse().unwrap(), path).to_string();
        assert_eq!(of("http://127.0.0.1:1/c/", "/query/web"), "http://127.0.0.1:1/c/query/web");
        assert_eq!(of("https://icp.example.com", "/query/web"), "https://icp.example.com/query/web");
    }
}

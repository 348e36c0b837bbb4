//! Polling: agents that announce an address of the inventory are asked for
//! their report.
//!
//! No request can be steered elsewhere: the connection goes to an address that
//! the inventory assigns to this agent's server, whatever the announced name
//! resolves to; beyond loopback only over TLS with the very certificate that
//! was pinned at enrolment; redirects are not followed, and the token is sent
//! to nobody else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::header;
use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use sqlx::Row as _;

use super::Hub;
use super::settings::addresses_of;
use super::store::{Arrival, Outcome, StoreError, now, sql};
use super::wire::{self, BODY_MOST, Coding};

/// Agents that one replica takes at a time, and asks at the same time.
const AT_A_TIME: i64 = 32;
const WIDTH: usize = 8;
/// Without anything due.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// From connecting to the last byte.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a poll came to nothing, in one word that is kept and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The announcement is no address with a port.
    Announce,
    /// The inventory assigns no such address to its server.
    NotInInventory,
    /// TLS is needed beyond loopback, and no certificate was pinned.
    NoCertificate,
    /// No connection, or another certificate than the pinned one.
    Unreachable,
    /// It answered something else than its report.
    Refused,
    /// Its report cannot be read, or is too large.
    Malformed,
}

impl Why {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Announce => "announce",
            Why::NotInInventory => "not_in_inventory",
            Why::NoCertificate => "no_certificate",
            Why::Unreachable => "unreachable",
            Why::Refused => "refused",
            Why::Malformed => "malformed",
        }
    }
}

/// One agent whose turn it is. No `Debug`: the token is a secret.
struct Due {
    id: String,
    server: Option<String>,
    announce: String,
    token: String,
    certificate: Option<String>,
    etag: Option<String>,
}

/// Polls for ever.
pub async fn run(hub: Arc<Hub>) {
    loop {
        match round(&hub).await {
            Ok(0) => tokio::time::sleep(LOOK_AGAIN).await,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(target: "beian", %error, "polling");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }
}

/// Takes what is due and asks it; how many there were.
pub async fn round(hub: &Hub) -> Result<usize, StoreError> {
    let due = claim(hub).await?;
    let count = due.len();
    futures::stream::iter(due)
        .for_each_concurrent(WIDTH, |agent| async move {
            if let Err(error) = one(hub, &agent).await {
                tracing::warn!(target: "beian", %error, agent = agent.id, "polling");
            }
        })
        .await;
    Ok(count)
}

/// Takes agents whose turn it is: other replicas skip them, and if this one
/// dies their next turn comes anyway.
async fn claim(hub: &Hub) -> Result<Vec<Due>, StoreError> {
    let (now, every) =
        (now(), i64::try_from(hub.cfg.agents.poll_interval.as_millis()).unwrap_or(i64::MAX / 2));
    let text = format!(
        "UPDATE agents SET poll_due = $1 WHERE id IN (SELECT id FROM agents WHERE state = 'active' \
         AND announce IS NOT NULL AND (poll_due IS NULL OR poll_due <= $2) ORDER BY poll_due LIMIT {AT_A_TIME}{}) \
         RETURNING id, server, announce, polling_token, certificate, poll_etag",
        hub.store.skip_locked()
    );
    // Spread over a tenth, so that a fleet that enrolled at once drifts apart.
    let next = now + every + (every / 10).max(1) * i64::from(rand::random::<u16>()) / i64::from(u16::MAX);
    let rows = sqlx::query(sql(text)).bind(next).bind(now).fetch_all(hub.store.write()).await?;
    let due = rows.iter().map(|r| {
        Ok(Due {
            id: r.try_get(0)?,
            server: r.try_get(1)?,
            announce: r.try_get(2)?,
            token: r.try_get(3)?,
            certificate: r.try_get(4)?,
            etag: r.try_get(5)?,
        })
    });
    Ok(due.collect::<Result<_, sqlx::Error>>()?)
}

async fn one(hub: &Hub, agent: &Due) -> Result<(), StoreError> {
    let asked = ask(hub, agent).await;
    let (word, etag) = match asked {
        Ok(Answer::Unchanged) => {
            touch(hub, &agent.id).await?;
            ("unchanged", agent.etag.clone())
        }
        Ok(Answer::Report { arrival, etag }) => match hub.queue.report(*arrival).await {
            Ok(Outcome::Stored(_) | Outcome::Known(_)) => ("stored", etag),
            Ok(_) | Err(_) => ("refused", agent.etag.clone()),
        },
        Err(Failed::Store(e)) => return Err(e),
        Err(Failed::Poll(why)) => (why.as_str(), agent.etag.clone()),
    };
    hub.metrics.polls.get_or_create(&[("outcome", word)]).inc();
    let error = (!matches!(word, "unchanged" | "stored")).then_some(word);
    sqlx::query("UPDATE agents SET poll_at = $1, poll_error = $2, poll_etag = $3 WHERE id = $4")
        .bind(now())
        .bind(error)
        .bind(etag)
        .bind(&agent.id)
        .execute(hub.store.write())
        .await?;
    Ok(())
}

/// It lives.
async fn touch(hub: &Hub, id: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE agents SET last_seen = $1 WHERE id = $2 AND last_seen < $1")
        .bind(now())
        .bind(id)
        .execute(hub.store.write())
        .await?;
    Ok(())
}

enum Answer {
    Unchanged,
    Report { arrival: Box<Arrival>, etag: Option<String> },
}

enum Failed {
    Poll(Why),
    Store(StoreError),
}

impl From<Why> for Failed {
    fn from(why: Why) -> Failed {
        Failed::Poll(why)
    }
}

async fn ask(hub: &Hub, agent: &Due) -> Result<Answer, Failed> {
    let (host, port) = announced(&agent.announce).ok_or(Why::Announce)?;
    let assigned = match &agent.server {
        Some(server) => addresses_of(hub, server).await.map_err(Failed::Store)?,
        None => Vec::new(),
    };
    let assigned: Vec<IpAddr> = assigned.iter().filter_map(|a| a.parse().ok()).collect();
    let address = match host.parse::<IpAddr>() {
        Ok(ip) => assigned.iter().find(|a| **a == ip.to_canonical()).copied(),
        // A name: the inventory's address, whatever the name resolves to.
        Err(_) => assigned.first().copied(),
    }
    .ok_or(Why::NotInInventory)?;
    let target = SocketAddr::new(address, port);
    let secure = match &agent.certificate {
        Some(pin) => Some(pin.clone()),
        None if address.is_loopback() => None,
        None => return Err(Why::NoCertificate.into()),
    };
    let scheme = if secure.is_some() { "https" } else { "http" };
    let client = client(&host, target, secure).ok_or(Why::Unreachable)?;
    let shown = if host.contains(':') { format!("[{host}]") } else { host };
    let mut request = client
        .get(format!("{scheme}://{shown}:{port}/v1/report"))
        .bearer_auth(&agent.token)
        .header(header::ACCEPT_ENCODING, "gzip");
    if let Some(etag) = &agent.etag {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    let mut answer = request.send().await.map_err(|_| Why::Unreachable)?;
    match answer.status().as_u16() {
        304 => return Ok(Answer::Unchanged),
        200 => {}
        _ => return Err(Why::Refused.into()),
    }
    let text = |name| answer.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let etag = text(header::ETAG).filter(|e| e.len() <= 200);
    let coding = Coding::of(text(header::CONTENT_ENCODING).as_deref()).map_err(|_| Why::Malformed)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| Why::Unreachable)? {
        if body.len() + chunk.len() > BODY_MOST {
            return Err(Why::Malformed.into());
        }
        body.extend_from_slice(&chunk);
    }
    let id = agent.id.clone();
    let read = tokio::task::spawn_blocking(move || polled(&id, &body, coding, address)).await;
    let arrival = read.ok().flatten().ok_or(Why::Malformed)?;
    Ok(Answer::Report { arrival: Box::new(arrival), etag })
}

/// The report, with its own sequence.
fn polled(id: &str, body: &[u8], coding: Coding, from: IpAddr) -> Option<Arrival> {
    let json = wire::unfold(body, coding).ok()?;
    let sequence = wire::sequence(&json)?;
    let report = wire::digest(&json, id, sequence).ok()?;
    let body = if coding == Coding::Gzip { body.to_vec() } else { wire::fold(&json) };
    Some(Arrival {
        agent: id.to_owned(),
        sequence: i64::try_from(sequence).ok()?,
        digest: String::new(),
        body,
        report,
        at: now(),
        from: Some(from.to_string()),
        skew_ms: None,
        polled: true,
    })
}

/// `HOST:PORT`, `[IPv6]:PORT`, or the same after `https://`.
fn announced(text: &str) -> Option<(String, u16)> {
    let text = text.trim().trim_start_matches("https://").trim_end_matches('/');
    if let Ok(at) = text.parse::<SocketAddr>() {
        return Some((at.ip().to_canonical().to_string(), at.port()));
    }
    let (host, port) = text.rsplit_once(':')?;
    let sane = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let port = port.parse().ok().filter(|p| *p != 0)?;
    (!host.is_empty() && host.len() <= 253 && host.chars().all(sane))
        .then(|| (host.to_ascii_lowercase(), port))
}

/// A client that reaches this one address and nothing else.
fn client(host: &str, target: SocketAddr, pin: Option<String>) -> Option<reqwest::Client> {
    crate::filing::install_crypto();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("beian-hub/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_gzip()
        .timeout(TIMEOUT)
        .pool_max_idle_per_host(0)
        .resolve(host, target);
    if let Some(pin) = pin {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(Pinned { pin, provider: provider.clone() });
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        builder = builder.https_only(true).tls_backend_preconfigured(config);
    }
    builder.build().ok()
}

/// Takes the pinned certificate alone: it is the agent's own, made on the
/// server, so names and authorities say nothing about it.
#[derive(Debug)]
struct Pinned {
    pin: String,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let sum = ring::digest::digest(&ring::digest::SHA256, end_entity);
        let hex: String = sum.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        if hex == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_hosts_and_ports_alone() {
        let of = |s| announced(s);
        let some = |h: &str, p| Some((h.to_owned(), p));
        assert_eq!(of("203.0.113.10:9690"), some("203.0.113.10", 9690));
        assert_eq!(of("https://Web1.example.com:443/"), some("web1.example.com", 443));
        assert_eq!(of("[2001:db8::1]:9690"), some("2001:db8::1", 9690));
        for bad in [
            "",
            "203.0.113.10",
            "host:0",
            "host:99999",
            "user@host:1",
            "host/path:80",
            "a b:80",
            "http://x:80",
            ":80",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}

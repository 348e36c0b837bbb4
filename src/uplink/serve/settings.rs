//! What the polling API is started with, checked before a socket opens.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::config;

use super::ServeError;

/// Certificate chain and key, PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// What the polling API is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Files of tokens; any opens.
    pub tokens: Vec<PathBuf>,
    /// TLS; `None` on loopback only.
    pub tls: Option<Pair>,
    /// Authority of client certificates.
    pub client_ca: Option<PathBuf>,
    /// Names beside `localhost` under which it may be asked, lower case. An
    /// address is always right: only names can be made to lead elsewhere.
    pub names: Vec<String>,
}

impl Settings {
    /// Of `[serve]`; `None` where it is off. `own` is the agent's self-signed
    /// pair (the one whose fingerprint the hub was told): taken where TLS is
    /// needed and the settings name no certificate. Without `token_file` the
    /// token is `poll-token` in the state directory.
    pub fn of(
        serve: &config::Serve,
        state_dir: &Path,
        own: Option<Pair>,
    ) -> Result<Option<Settings>, ServeError> {
        let Some(listen) = serve.listen else { return Ok(None) };
        let given = match (&serve.tls_cert, &serve.tls_key) {
            (Some(cert), Some(key)) => Some(Pair { cert: cert.clone(), key: key.clone() }),
            (None, None) => None,
            _ => {
                return Err(ServeError::new(
                    "[serve] tls_cert and tls_key belong together: set both or none",
                    "[serve] tls_cert 和 tls_key 要么都写，要么都不写",
                ));
            }
        };
        let wanted = !is_loopback(listen.ip()) || serve.client_ca.is_some();
        let tls = given.or_else(|| own.filter(|_| wanted));
        if tls.is_none() && !is_loopback(listen.ip()) {
            return Err(ServeError::new(
                format!(
                    "[serve] listen {listen}: beyond loopback only with TLS; set tls_cert and tls_key, or listen on 127.0.0.1:{}",
                    listen.port()
                ),
                format!(
                    "[serve] listen {listen}：监听本机以外的地址必须用 TLS；请设置 tls_cert 和 tls_key，或改为监听 127.0.0.1:{}",
                    listen.port()
                ),
            ));
        }
        if tls.is_none() && serve.client_ca.is_some() {
            return Err(ServeError::new(
                "[serve] client_ca: client certificates need TLS; set tls_cert and tls_key",
                "[serve] client_ca：客户端证书需要 TLS；请设置 tls_cert 和 tls_key",
            ));
        }
        let token = serve.token_file.clone().unwrap_or_else(|| state_dir.join("poll-token"));
        Ok(Some(Settings {
            listen,
            tokens: vec![token],
            tls,
            client_ca: serve.client_ca.clone(),
            names: serve.announce.as_deref().and_then(announced).into_iter().collect(),
        }))
    }
}

/// `127.0.0.0/8`, `::1`, and the former written in IPv6.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// The name in `HOST`, `HOST:PORT` or `https://HOST:PORT/…`.
fn announced(s: &str) -> Option<String> {
    let s = s.trim();
    let authority = s.split_once("://").map_or(s, |(_, rest)| rest).split('/').next()?;
    super::host::name(authority).map(|h| h.to_ascii_lowercase())
}

//! TLS of the polling API. Its files are looked at again when they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::token::Stamp;
use super::{Pair, ServeError};

/// The files are looked at no more often than this, and only when somebody
/// connects.
const LOOK: Duration = Duration::from_secs(5);

/// A pair and an authority, as their files last were.
pub struct Tls {
    /// The table of the settings that names the files.
    section: &'static str,
    pair: Pair,
    client_ca: Option<PathBuf>,
    now: Mutex<Now>,
}

struct Now {
    config: Arc<ServerConfig>,
    stamps: Vec<Option<Stamp>>,
    looked: Instant,
}

impl Tls {
    /// Reads the files; `section` is the table that names them.
    pub fn open(pair: Pair, client_ca: Option<PathBuf>, section: &'static str) -> Result<Tls, ServeError> {
        let stamps = stamps(&pair, client_ca.as_deref());
        let config = config(&pair, client_ca.as_deref(), section)?;
        Ok(Tls { section, pair, client_ca, now: Mutex::new(Now { config, stamps, looked: Instant::now() }) })
    }

    /// For the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        let due = {
            let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            now.looked.elapsed() >= LOOK
        };
        if due && let Err(e) = self.look(false) {
            tracing::warn!("{e}; the old certificate stays");
        }
        TlsAcceptor::from(self.now.lock().unwrap_or_else(PoisonError::into_inner).config.clone())
    }

    /// Reads the files again, if they changed or it must be. What cannot be
    /// used is an error, and leaves the old ones in force.
    pub fn look(&self, must: bool) -> Result<(), ServeError> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.looked = Instant::now();
        let stamps = stamps(&self.pair, self.client_ca.as_deref());
        if stamps == now.stamps && !must {
            return Ok(());
        }
        // Remembered whatever comes of it, so that it is told once.
        now.stamps = stamps;
        now.config = config(&self.pair, self.client_ca.as_deref(), self.section)?;
        Ok(())
    }
}

fn stamps(pair: &Pair, client_ca: Option<&Path>) -> Vec<Option<Stamp>> {
    [Some(pair.cert.as_path()), Some(pair.key.as_path()), client_ca]
        .into_iter()
        .map(|p| p.and_then(Stamp::at))
        .collect()
}

fn config(pair: &Pair, client_ca: Option<&Path>, section: &str) -> Result<Arc<ServerConfig>, ServeError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(&pair.cert, section, "tls_cert")?;
    let key = PrivateKeyDer::from_pem_file(&pair.key).map_err(|_| {
        let at = pair.key.display();
        // The error's own words could quote the file.
        ServeError::new(
            format!("[{section}] tls_key {at}: no private key in PEM that can be read"),
            format!("[{section}] tls_key {at}：读不到 PEM 格式的私钥"),
        )
    })?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable(section, e))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for cert in certificates(path, section, "client_ca")? {
                roots.add(cert).map_err(|e| unusable(section, e))?;
            }
            // Without a certificate the token still opens, and the health
            // checks need neither.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|e| unusable(section, e))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|e| unusable(section, e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session would remember a certificate that a changed client_ca
    // no longer signs.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn certificates(path: &Path, section: &str, key: &str) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let at = path.display();
    let list = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .ok()
        .filter(|list| !list.is_empty());
    list.ok_or_else(|| {
        ServeError::new(
            format!("[{section}] {key} {at}: no certificate in PEM that can be read"),
            format!("[{section}] {key} {at}：读不到 PEM 格式的证书"),
        )
    })
}

fn unusable(section: &str, e: impl std::fmt::Display) -> ServeError {
    ServeError::new(
        format!("[{section}] tls_cert, tls_key, client_ca: {e}"),
        format!("[{section}] tls_cert、tls_key、client_ca 用不了（{e}）"),
    )
}

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
pub(super) struct Tls {
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
    pub(super) fn open(pair: Pair, client_ca: Option<PathBuf>) -> Result<Tls, ServeError> {
        let stamps = stamps(&pair, client_ca.as_deref());
        let config = config(&pair, client_ca.as_deref())?;
        Ok(Tls { pair, client_ca, now: Mutex::new(Now { config, stamps, looked: Instant::now() }) })
    }

    /// For the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
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
    pub(super) fn look(&self, must: bool) -> Result<(), ServeError> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.looked = Instant::now();
        let stamps = stamps(&self.pair, self.client_ca.as_deref());
        if stamps == now.stamps && !must {
            return Ok(());
        }
        // Remembered whatever comes of it, so that it is told once.
        now.stamps = stamps;
        now.config = config(&self.pair, self.client_ca.as_deref())?;
        Ok(())
    }
}

fn stamps(pair: &Pair, client_ca: Option<&Path>) -> Vec<Option<Stamp>> {
    [Some(pair.cert.as_path()), Some(pair.key.as_path()), client_ca]
        .into_iter()
        .map(|p| p.and_then(Stamp::at))
        .collect()
}

fn config(pair: &Pair, client_ca: Option<&Path>) -> Result<Arc<ServerConfig>, ServeError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(&pair.cert, "tls_cert")?;
    let key = PrivateKeyDer::from_pem_file(&pair.key).map_err(|_| {
        let at = pair.key.display();
        // The error's own words could quote the file.
        ServeError::new(
            format!("[serve] tls_key {at}: no private key in PEM that can be read"),
            format!("[serve] tls_key {at}：读不到 PEM 格式的私钥"),
        )
    })?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for cert in certificates(path, "client_ca")? {
                roots.add(cert).map_err(unusable)?;
            }
            // Without a certificate the token still opens, and the health
            // checks need neither.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(unusable)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session would remember a certificate that a changed client_ca
    // no longer signs.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn certificates(path: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, ServeError> {
    let at = path.display();
    let list = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .ok()
        .filter(|list| !list.is_empty());
    list.ok_or_else(|| {
        ServeError::new(
            format!("[serve] {key} {at}: no certificate in PEM that can be read"),
            format!("[serve] {key} {at}：读不到 PEM 格式的证书"),
        )
    })
}

fn unusable(e: impl std::fmt::Display) -> ServeError {
    ServeError::new(
        format!("[serve] tls_cert, tls_key, client_ca: {e}"),
        format!("[serve] tls_cert、tls_key、client_ca 用不了（{e}）"),
    )
}

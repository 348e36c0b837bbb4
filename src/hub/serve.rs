//! Sockets, TLS, connections and their limits.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::IntoResponse as _;
use futures::StreamExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::uplink::serve::{Pair, Tls};

use super::Hub;
use super::problem::Problem;
use super::routes;

/// Connections at the same time; more wait in the socket's queue.
const CONNECTIONS: usize = 8_192;
/// For the head of a request, and for a handshake.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// From a request to the end of its answer.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// Bytes of a request's head.
const HEAD: usize = 16 << 10;
/// Bytes of a body that are thrown away before the connection is.
const DISCARD_MOST: usize = 64 << 20;
/// How long the last answers may take once the hub stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Where a call came from: the connection, or what a trusted proxy says.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The running server.
pub struct Server {
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    stop: watch::Sender<bool>,
    permits: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens, the port filled in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS itself.
    pub fn tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads the certificate again (SIGHUP); one that cannot be used leaves
    /// the old one in force.
    pub fn reload(&self) -> anyhow::Result<()> {
        Ok(self.tls.as_ref().map_or(Ok(()), |t| t.look(true))?)
    }

    /// Takes no more connections and lets what is under way end.
    pub async fn drain(mut self) {
        self.stop.send_replace(true);
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        let _ = timeout(DRAIN, async {
            let _ = (&mut self.task).await;
            self.permits.acquire_many(all).await.is_ok()
        })
        .await;
    }
}

/// Listens. The socket is open, and certificates were read, when this returns.
pub async fn start(hub: Arc<Hub>) -> anyhow::Result<Server> {
    let cfg = &hub.cfg.server;
    let tls = match (&cfg.tls_cert, &cfg.tls_key) {
        (Some(cert), Some(key)) => {
            let pair = Pair { cert: cert.clone(), key: key.clone() };
            Some(Arc::new(Tls::open(pair, None, "server")?))
        }
        _ => None,
    };
    let listener =
        TcpListener::bind(cfg.listen).await.with_context(|| format!("[server] listen {}", cfg.listen))?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let proxies: Arc<[IpNet]> = cfg.trusted_proxies.clone().into();
    let router = routes::router(hub.clone());
    let task = tokio::spawn(accept(listener, tls.clone(), router, proxies, stopped, permits.clone()));
    Ok(Server { address, tls, stop, permits, task })
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    proxies: Arc<[IpNet]>,
    mut stop: watch::Receiver<bool>,
    permits: Arc<Semaphore>,
) {
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            a = listener.accept() => a,
            _ = stop.wait_for(|s| *s) => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                wait_after(&e).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (tls, router, proxies, stop) = (tls.clone(), router.clone(), proxies.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let peer = from.ip().to_canonical();
            match tls {
                None => connection(stream, router, peer, proxies, stop).await,
                Some(tls) => {
                    let Ok(Ok(stream)) = timeout(HEAD_TIME, tls.acceptor().accept(stream)).await else {
                        return;
                    };
                    connection(stream, router, peer, proxies, stop).await;
                }
            }
        });
    }
}

async fn connection<S>(
    stream: S,
    router: Router,
    peer: IpAddr,
    proxies: Arc<[IpNet]>,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = tower::service_fn(move |mut req: Request<hyper::body::Incoming>| {
        let client = client(peer, &proxies, req.headers());
        req.extensions_mut().insert(Peer(client));
        let router = router.clone();
        async move {
            let answer = tower::ServiceExt::oneshot(router, req.map(Body::new));
            match timeout(REQUEST_TIME, answer).await {
                Ok(answer) => answer,
                // A slow line is no fault of the report: it is sent again.
                Err(_) => Ok(Problem::unavailable(5).into_response()),
            }
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD.max(64 << 10))
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .max_concurrent_streams(64)
        .max_header_list_size(HEAD as u32);
    let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        // Its errors are the client's: it went, or spoke no HTTP.
        _ = serving.as_mut() => return,
        _ = stop.wait_for(|s| *s) => serving.as_mut().graceful_shutdown(),
    }
    let _ = timeout(DRAIN, serving).await;
}

/// A body of at most so many bytes; of a longer one the rest is thrown away.
pub async fn short_body(request: axum::extract::Request, most: usize) -> Result<Bytes, Problem> {
    let (mut out, mut stream, mut length) = (Vec::new(), request.into_body().into_data_stream(), 0);
    while let Some(chunk) = stream.next().await {
        // The client has gone: nobody reads the answer.
        let chunk = chunk.map_err(|_| Problem::bad("the body was cut off"))?;
        length += chunk.len();
        if length > DISCARD_MOST.max(most) {
            break;
        }
        if length <= most {
            out.extend_from_slice(&chunk);
        }
    }
    if length <= most { Ok(out.into()) } else { Err(too_long()) }
}

/// Throws a body away, so that a client that still sends hears the answer: one
/// that is cut off tries again for ever.
pub async fn discard(request: axum::extract::Request) {
    let mut stream = request.into_body().into_data_stream();
    let mut length = 0;
    while let Some(Ok(chunk)) = stream.next().await {
        length += chunk.len();
        if length > DISCARD_MOST {
            return;
        }
    }
}

/// A body that is too long to be read.
pub fn too_long() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too long: a report is to be split")
}

/// Behind trusted proxies: the last address of `X-Forwarded-For` that is none
/// of them. Nobody else is believed.
fn client(peer: IpAddr, proxies: &[IpNet], headers: &HeaderMap) -> IpAddr {
    let trusted = |a: &IpAddr| proxies.iter().any(|p| p.contains(a));
    if !trusted(&peer) {
        return peer;
    }
    let values = headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok());
    let list: Vec<&str> = values.flat_map(|v| v.split(',')).map(str::trim).collect();
    let mut last = peer;
    for text in list.into_iter().rev() {
        let Ok(address) = text.parse::<IpAddr>() else { break };
        last = address.to_canonical();
        if !trusted(&last) {
            break;
        }
    }
    last
}

/// Out of file descriptors, or a client that went before it was accepted.
async fn wait_after(e: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if matches!(e.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        return;
    }
    tracing::warn!(target: "beian", "cannot take a connection: {e}");
    sleep(Duration::from_secs(1)).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "198.51.100.7, 203.0.113.9".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.2".parse().unwrap());
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        assert_eq!(client(ip("10.0.0.1"), &proxies, &headers), ip("203.0.113.9"));
        assert_eq!(
            client(ip("192.0.2.1"), &proxies, &headers),
            ip("192.0.2.1"),
            "a stranger says what it likes"
        );
        assert_eq!(client(ip("10.0.0.1"), &[], &headers), ip("10.0.0.1"));
        headers.clear();
        headers.append("x-forwarded-for", "nonsense".parse().unwrap());
        assert_eq!(client(ip("10.0.0.1"), &proxies, &headers), ip("10.0.0.1"));
    }
}

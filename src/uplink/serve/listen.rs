//! Sockets, connections and their limits.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};

use super::activity::{Activity, QUIET};
use super::routes::{Caller, Shared, handle};
use super::tls::Tls;
use super::{Desk, ServeError, Settings, Tokens};

/// Connections at the same time; more wait in the socket's queue.
const CONNECTIONS: usize = 64;
/// Bytes of a request's head.
const HEAD: usize = 16 << 10;
/// How long the last answers may take once the daemon stops.
pub(super) const DRAIN: Duration = Duration::from_secs(5);

/// The polling API while it is served. Dropped: closed at once.
pub struct Server {
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    run: Running,
}

impl Server {
    /// Where it listens, the port filled in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    pub fn tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads certificate, key and authority again (SIGHUP). What cannot be
    /// used is an error, and leaves the old ones in force. Tokens and changed
    /// files are noticed without it.
    pub fn reload(&self) -> Result<(), ServeError> {
        self.tls.as_ref().map_or(Ok(()), |t| t.look(true))
    }

    /// Takes no more connections, lets the answers that are under way go out
    /// (5 s at most), and closes.
    pub async fn drain(self) {
        self.run.drain().await;
    }
}

/// Serves the polling API until it is drained or dropped. The socket is open,
/// and all files were read, when this returns.
pub async fn start(settings: Settings, desk: Arc<dyn Desk>) -> Result<Server, ServeError> {
    let tokens = Tokens::open(settings.tokens)?;
    let tls = match settings.tls {
        Some(pair) => Some(Arc::new(Tls::open(pair, settings.client_ca, "serve")?)),
        None => None,
    };
    let listener =
        TcpListener::bind(settings.listen).await.map_err(|e| cannot_listen(settings.listen, &e))?;
    let address = listener.local_addr().map_err(|e| cannot_listen(settings.listen, &e))?;
    let shared = Shared::new(desk, Some(tokens), settings.names);
    let for_tls = tls.clone();
    let run = Running::new(CONNECTIONS, move |stop, permits| tcp(listener, for_tls, shared, stop, permits));
    Ok(Server { address, tls, run })
}

/// A task that accepts, and how to stop it.
pub(super) struct Running {
    stop: watch::Sender<bool>,
    permits: Arc<Semaphore>,
    limit: usize,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) fn new<F: Future<Output = ()> + Send + 'static>(
        limit: usize,
        accept: impl FnOnce(watch::Receiver<bool>, Arc<Semaphore>) -> F,
    ) -> Running {
        let (stop, stopped) = watch::channel(false);
        let permits = Arc::new(Semaphore::new(limit));
        let task = tokio::spawn(accept(stopped, permits.clone()));
        Running { stop, permits, limit, task }
    }

    pub(super) async fn drain(mut self) {
        self.stop.send_replace(true);
        let all = u32::try_from(self.limit).unwrap_or(u32::MAX);
        // Every connection has given its permit back: all are closed.
        let _ = timeout(DRAIN, async {
            let _ = (&mut self.task).await;
            self.permits.acquire_many(all).await.is_ok()
        })
        .await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Connections end with the channel.
        self.task.abort();
    }
}

async fn tcp(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
    permits: Arc<Semaphore>,
) {
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            a = listener.accept() => a,
            _ = stop.wait_for(|s| *s) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(e) => {
                wait_after(&e).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        let stop = stop.clone();
        let tls = tls.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let Some(tls) = tls else {
                return connection(stream, shared, false, stop).await;
            };
            // A handshake that fails is a stranger's, or a scanner's.
            let Ok(Ok(stream)) = timeout(QUIET, tls.acceptor().accept(stream)).await else { return };
            let certified = stream.get_ref().1.peer_certificates().is_some_and(|c| !c.is_empty());
            connection(stream, shared, certified, stop).await;
        });
    }
}

/// Serves one connection to its end.
pub(super) async fn connection<S>(
    stream: S,
    shared: Arc<Shared>,
    certified: bool,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let caller = Caller { shared, certified, activity: activity.clone() };
    let router = Router::new().fallback(move |req: Request| handle(caller.clone(), req));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(QUIET)
        .max_buf_size(HEAD)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(8)
        .max_header_list_size(HEAD as u32);
    let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = std::pin::pin!(serving);
    let mut stopping = false;
    loop {
        let until = activity.deadline();
        tokio::select! {
            // Its errors are the client's: it went, or spoke no HTTP.
            _ = serving.as_mut() => return,
            s = stop.wait_for(|s| *s), if !stopping => {
                if s.is_err() {
                    return;
                }
                stopping = true;
                serving.as_mut().graceful_shutdown();
            }
            () = sleep_until(until) => {
                if activity.deadline() <= until {
                    return;
                }
            }
        }
    }
}

/// Out of file descriptors, or a client that went before it was accepted: the
/// former passes only with time.
pub(super) async fn wait_after(e: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if matches!(e.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        return;
    }
    tracing::warn!("cannot take a connection: {e}");
    sleep(Duration::from_secs(1)).await;
}

fn cannot_listen(at: SocketAddr, e: &io::Error) -> ServeError {
    let port = at.port();
    match e.kind() {
        io::ErrorKind::AddrInUse => ServeError::new(
            format!(
                "[serve] listen {at}: another program, or another beian-agent, listens there; see `ss -ltnp 'sport = :{port}'`, then stop it or choose another port, or \"\" for off"
            ),
            format!(
                "[serve] listen {at}：端口已被其他程序（或另一个 beian-agent）占用；用 `ss -ltnp 'sport = :{port}'` 查看，停掉它或换一个端口，或写 \"\" 关闭"
            ),
        ),
        io::ErrorKind::AddrNotAvailable => ServeError::new(
            format!("[serve] listen {at}: this server has no such address; see `ip address`"),
            format!("[serve] listen {at}：本机没有这个地址；用 `ip address` 查看"),
        ),
        io::ErrorKind::PermissionDenied => ServeError::new(
            format!("[serve] listen {at}: not permitted; ports below 1024 need root, choose a higher one"),
            format!("[serve] listen {at}：没有权限；1024 以下的端口需要 root，请换一个更大的端口"),
        ),
        _ => ServeError::new(format!("[serve] listen {at}: {e}"), format!("[serve] listen {at}：{e}")),
    }
}

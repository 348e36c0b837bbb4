//! `beian-hub serve`: the life of the hub.

use tokio::signal::unix::{SignalKind, signal};

use crate::hub::{Hub, serve, work};
use crate::telemetry::systemd;

use super::{Call, OK};

/// Serves until SIGTERM or SIGINT.
pub async fn run(call: Call) -> anyhow::Result<u8> {
    // Before anything else, so that no signal ends the process half way.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let lang = call.lang;
    systemd::status(lang.pick("正在打开数据库", "opening the store"));
    let store = call.store().await?;
    store.migrate().await?;
    let hub = Hub::open(call.cfg, store).await?;
    let server = serve::start(hub.clone()).await?;
    let work = work::start(&hub);
    tracing::info!(target: "beian", address = %server.address(), tls = server.tls(), "serves");
    systemd::ready(lang.pick("运行中", "serving"));
    let mut alive =
        tokio::time::interval(systemd::watchdog_interval().unwrap_or(std::time::Duration::from_secs(30)));
    loop {
        tokio::select! {
            _ = alive.tick() => {
                // Fed only while the store answers.
                if hub.store.ping().await.is_ok() {
                    systemd::alive();
                }
            }
            _ = hangup.recv() => {
                systemd::reloading();
                if let Err(error) = server.reload() {
                    tracing::error!(target: "beian", "{error:#}; the old certificate stays");
                }
                systemd::ready(lang.pick("运行中", "serving"));
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    systemd::stopping(lang.pick("正在停止", "stopping"));
    server.drain().await;
    work.stop().await;
    hub.store.close().await;
    tracing::info!(target: "beian", "stopped");
    Ok(OK)
}

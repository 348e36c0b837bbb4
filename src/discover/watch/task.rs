//! The loop: sleeps until the kernel has something to say.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::inotify::Reader;
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{sleep, sleep_until};

use super::{Change, Options, Shared};

/// After each reading of events: a program that writes without pause wakes us
/// so often at most.
const BREATH: Duration = Duration::from_millis(20);

pub(super) async fn run(shared: Arc<Shared>, changed: mpsc::Sender<Change>, options: Options) {
    let mut inotify: Option<AsyncFd<Arc<OwnedFd>>> = None;
    let mut polled = Instant::now();
    loop {
        let (due, poll) = {
            let mut table = shared.lock();
            match (table.inotify(), &inotify) {
                (Some(fd), Some(ours)) if Arc::ptr_eq(&fd, ours.get_ref()) => {}
                (Some(fd), _) => {
                    inotify = AsyncFd::register_with_interest(fd, Interest::READABLE).ok();
                    if inotify.is_none() {
                        table.broken();
                    }
                }
                (None, _) => inotify = None,
            }
            let blind = inotify.is_none() || table.polls() > 0;
            (table.due(), blind.then(|| polled + table.every().max(options.poll)))
        };
        tokio::select! {
            ready = readable(inotify.as_ref()) => {
                if !ready || !drain(&shared) {
                    shared.lock().broken();
                    inotify = None;
                }
                sleep(BREATH).await;
            }
            () = shared.poke.notified() => {}
            () = until(due) => {
                let Some(change) = shared.lock().take() else { continue };
                match changed.try_send(change) {
                    Ok(()) => {}
                    // Offered again after the next quiet.
                    Err(TrySendError::Full(change)) => shared.lock().pending.give_back(change),
                    Err(TrySendError::Closed(_)) => return,
                }
            }
            () = until(poll) => {
                shared.lock().poll();
                polled = Instant::now();
            }
        }
    }
}

async fn until(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when.into()).await,
        None => std::future::pending().await,
    }
}

async fn readable(fd: Option<&AsyncFd<Arc<OwnedFd>>>) -> bool {
    match fd {
        Some(fd) => match fd.readable().await {
            Ok(mut guard) => {
                guard.clear_ready();
                true
            }
            Err(_) => false,
        },
        None => std::future::pending().await,
    }
}

/// Reads what is there; false where the instance is broken. Readiness was
/// cleared before, so that what comes meanwhile wakes again.
fn drain(shared: &Shared) -> bool {
    let mut table = shared.lock();
    let Some(fd) = table.inotify() else { return true };
    let mut buf = [MaybeUninit::<u8>::uninit(); 8192];
    let mut reader = Reader::new(&fd, &mut buf);
    loop {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name().map(|n| n.to_bytes());
                table.event(event.wd(), event.events(), name);
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return true,
            Err(_) => return false,
        }
    }
}

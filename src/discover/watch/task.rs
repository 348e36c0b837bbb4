//! The loop: sleeps until the kernel has something to say.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::inotify::ReadFlags;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{sleep, sleep_until};

use super::table::Table;
use super::{Change, Options, Shared};

/// After each reading of events: a program that writes without pause wakes us
/// so often at most.
const BREATH: Duration = Duration::from_millis(20);

/// An inotify instance, and the end of it that the runtime waits for.
///
/// An instance is read like a pipe, and tokio's pipe is its safe way to wait
/// for a descriptor that is neither socket nor file.
struct Instance {
    fd: Arc<OwnedFd>,
    events: Receiver,
}

impl Instance {
    fn of(fd: Arc<OwnedFd>) -> io::Result<Instance> {
        let events = Receiver::from_owned_fd_unchecked(fd.try_clone()?)?;
        Ok(Instance { fd, events })
    }
}

pub(super) async fn run(shared: Arc<Shared>, changed: mpsc::Sender<Change>, options: Options) {
    let mut instance: Option<Instance> = None;
    let mut polled = Instant::now();
    loop {
        let (due, poll) = {
            let mut table = shared.lock();
            match (table.inotify(), &instance) {
                (Some(fd), Some(ours)) if Arc::ptr_eq(&fd, &ours.fd) => {}
                (Some(fd), _) => {
                    instance = Instance::of(fd).ok();
                    if instance.is_none() {
                        table.broken();
                    }
                }
                (None, _) => instance = None,
            }
            let blind = instance.is_none() || table.polls() > 0;
            (table.due(), blind.then(|| polled + table.every().max(options.poll)))
        };
        tokio::select! {
            ready = readable(instance.as_ref()) => {
                let read = ready.and_then(|events| drain(events, &shared));
                if let Err(error) = read {
                    tracing::warn!(%error, "inotify does not answer");
                    shared.lock().broken();
                    instance = None;
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

async fn readable(instance: Option<&Instance>) -> io::Result<&Receiver> {
    match instance {
        Some(i) => i.events.readable().await.map(|()| &i.events),
        None => std::future::pending().await,
    }
}

/// Reads what is there.
fn drain(events: &Receiver, shared: &Shared) -> io::Result<()> {
    let mut table = shared.lock();
    let mut buf = [0; 8192];
    loop {
        match events.try_read(&mut buf) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => parse(buf.get(..n).unwrap_or_default(), &mut table),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// `struct inotify_event`s: watch, mask, cookie and length as native words,
/// then the name, filled up with NUL. The kernel gives whole ones only.
fn parse(mut bytes: &[u8], table: &mut Table) {
    while let Some((head, rest)) = bytes.split_first_chunk::<16>() {
        let word = |i: usize| {
            let at = head.get(i * 4..).and_then(|h| h.first_chunk::<4>()).copied();
            u32::from_ne_bytes(at.unwrap_or_default())
        };
        let len = usize::try_from(word(3)).unwrap_or(usize::MAX).min(rest.len());
        let (name, next) = rest.split_at(len);
        let name = name.split(|&b| b == 0).next().filter(|n| !n.is_empty());
        table.event(word(0).cast_signed(), ReadFlags::from_bits_retain(word(1)), name);
        bytes = next;
    }
}

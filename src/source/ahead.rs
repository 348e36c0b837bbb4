//! Reading ahead: while the reader parses one file of a long list, a thread
//! reads the next ones, with the same rules ([`Disk::read`]).
//!
//! Files come in batches, since handing over each one would cost more than
//! reading it. What lies ready is bounded: a few batches of [`BATCH_BYTES`],
//! and files larger than that are left to the reader.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use super::disk::Disk;
use super::{FileBytes, SourceError};

/// Lists shorter than this are read faster than a thread is started.
pub(super) const WORTH: usize = 64;
const BATCH_FILES: usize = 64;
const BATCH_BYTES: usize = 256 << 10;
const BATCHES: usize = 4;

type Read = (Vec<u8>, Result<FileBytes, SourceError>);

pub(super) struct Ahead {
    /// Closed when the list is through, or the thread gone.
    batches: Receiver<Vec<Read>>,
    ready: VecDeque<Read>,
    over: bool,
}

impl Ahead {
    /// `None` where no thread can be had: then everything is read in turn.
    pub(super) fn start(disk: Arc<Disk>, paths: Vec<Vec<u8>>) -> Option<Ahead> {
        let (send, batches) = sync_channel::<Vec<Read>>(BATCHES);
        std::thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn(move || {
                let mut batch = Vec::with_capacity(BATCH_FILES);
                let mut bytes = 0;
                for path in paths {
                    // A large file fails here; the reader asks for it itself.
                    let file = disk.read(&path, BATCH_BYTES as u64);
                    bytes += file.as_ref().map_or(0, |f| f.bytes.len());
                    batch.push((path, file));
                    if batch.len() >= BATCH_FILES || bytes >= BATCH_BYTES {
                        bytes = 0;
                        let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_FILES));
                        // Nobody listens any more: the scan is over.
                        if disk.check_time().is_err() || send.send(full).is_err() {
                            return;
                        }
                    }
                }
                let _ = send.send(batch);
            })
            .ok()?;
        Some(Ahead { batches, ready: VecDeque::new(), over: false })
    }

    /// Whether the list is through.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The file, if it is the next of the list and was read.
    pub(super) fn take(&mut self, path: &[u8]) -> Option<Result<FileBytes, SourceError>> {
        while self.ready.is_empty() && !self.over {
            match self.batches.recv() {
                Ok(batch) => self.ready.extend(batch),
                Err(_) => self.over = true,
            }
        }
        if self.ready.front()?.0 != path {
            return None;
        }
        match self.ready.pop_front()?.1 {
            Err(SourceError::TooLarge) => None,
            read => Some(read),
        }
    }
}

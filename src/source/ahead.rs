//! Reading ahead: while the reader parses one file of a long list, a thread
//! reads the next ones, with the same rules ([`Disk::read`]).
//!
//! Files come in batches, since handing over each one would cost more than
//! reading it. What lies ready is bounded: a few batches of [`BATCH_BYTES`],
//! and files larger than that are left to the reader.
//!
//! Panels give every site a file of its own beside the vhost file, which that
//! includes by its full path. Those are read ahead too: a line that begins
//! with `include` and an absolute path is a good guess, and a wrong one costs
//! a file that nobody asks for. Only while the reader is the slower of the
//! two, though: otherwise it would wait for guesses.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};

use super::disk::Disk;
use super::{FileBytes, SourceError};

/// Lists shorter than this are read faster than a thread is started.
pub(super) const WORTH: usize = 64;
const BATCH_FILES: usize = 64;
const BATCH_BYTES: usize = 256 << 10;
const BATCHES: usize = 4;

/// Guesses that are followed in one file.
const GUESSES: usize = 4;
/// Guesses that are remembered: a snippet that every site includes is kept by
/// [`super::Source`] and need not be read again and again.
const RECENT: usize = 16;

/// One file that was read ahead.
struct Read {
    path: Vec<u8>,
    /// Not of the list: a file that the last one of the list seems to include.
    guess: bool,
    file: Result<FileBytes, SourceError>,
}

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
                let mut recent = Recent::default();
                let mut leading = false;
                for path in paths {
                    // A large file fails here; the reader asks for it itself.
                    let file = disk.read(&path, BATCH_BYTES as u64);
                    let at = batch.len();
                    bytes += file.as_ref().map_or(0, |f| f.bytes.len());
                    batch.push(Read { path, guess: false, file });
                    for path in if leading { guesses(&batch, at) } else { Vec::new() } {
                        if recent.knows(&path) {
                            continue;
                        }
                        let file = disk.read(&path, BATCH_BYTES as u64);
                        bytes += file.as_ref().map_or(0, |f| f.bytes.len());
                        batch.push(Read { path, guess: true, file });
                    }
                    if batch.len() >= BATCH_FILES || bytes >= BATCH_BYTES {
                        bytes = 0;
                        let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_FILES));
                        if disk.check_time().is_err() {
                            return;
                        }
                        let sent = match send.try_send(full) {
                            Err(TrySendError::Full(full)) => {
                                leading = true;
                                send.send(full).is_ok()
                            }
                            sent => {
                                leading = false;
                                sent.is_ok()
                            }
                        };
                        // Nobody listens any more: the scan is over.
                        if !sent {
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
        let mut at = 0;
        // Guesses about the last file of the list, then the next of the list.
        loop {
            let read = self.ready.get(at)?;
            if read.path == path {
                break;
            }
            if !read.guess {
                return None;
            }
            at += 1;
        }
        // Guesses that were passed over are wrong, or their turn is past.
        match self.ready.drain(..=at).next_back()?.file {
            Err(SourceError::TooLarge) => None,
            read => Some(read),
        }
    }
}

/// The files that a file just read seems to include.
fn guesses(batch: &[Read], at: usize) -> Vec<Vec<u8>> {
    match batch.get(at) {
        Some(Read { file: Ok(file), .. }) => included(&file.bytes).map(<[u8]>::to_vec).collect(),
        _ => Vec::new(),
    }
}

/// Absolute paths without wildcards, on lines that begin with `include`.
fn included(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = |line: &'_ [u8]| -> Option<(usize, usize)> {
        let start = line.iter().position(|b| !matches!(b, b' ' | b'\t'))?;
        let word = line.get(start..start + 7)?;
        if !word.eq_ignore_ascii_case(b"include") {
            return None;
        }
        let rest = line.get(start + 7..)?;
        let gap = rest.iter().position(|b| !matches!(b, b' ' | b'\t')).filter(|n| *n > 0)?;
        let from = start + 7 + gap;
        let len = line.get(from..)?.iter().position(|b| matches!(b, b' ' | b'\t' | b'\r' | b';'));
        let to = len.map_or(line.len(), |n| from + n);
        let path = line.get(from..to)?;
        let plain = path.first() == Some(&b'/')
            && !path.iter().any(|b| matches!(b, b'*' | b'?' | b'[' | b'$' | b'"' | b'\'' | b'\\' | 0));
        plain.then_some((from, to))
    };
    bytes
        .split(|b| *b == b'\n')
        .filter_map(move |line| path(line).and_then(|(from, to)| line.get(from..to)))
        .take(GUESSES)
}

/// The last few paths that were guessed.
#[derive(Default)]
struct Recent(VecDeque<Vec<u8>>);

impl Recent {
    /// Whether it was guessed lately; from now on it was.
    fn knows(&mut self, path: &[u8]) -> bool {
        if let Some(at) = self.0.iter().position(|p| p == path) {
            let path = self.0.remove(at);
            self.0.extend(path);
            return true;
        }
        if self.0.len() >= RECENT {
            self.0.pop_front();
        }
        self.0.push_back(path.to_vec());
        false
    }
}

#[cfg(test)]
mod tests {
    use super::included;

    #[test]
    fn a_line_that_includes_one_file_is_a_guess() {
        let text =
            b"server {\n\tinclude  /etc/a.conf;\n  #include /no;\ninclude b.conf;\ninclude /x/*.conf;\n\
            IncludeOptional /no\n  Include /etc/b.conf\r\nincludes /no;\ninclude /c d;\ninclude";
        let found: Vec<&[u8]> = included(text).collect();
        assert_eq!(found, [b"/etc/a.conf".as_slice(), b"/etc/b.conf", b"/c"]);
    }
}

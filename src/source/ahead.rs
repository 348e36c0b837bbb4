//! Reading ahead: while the reader parses one file of a long list, a thread
//! reads the next ones, with the same rules ([`Disk::read`]).
//!
//! Files come in batches, since handing over each one would cost more than
//! reading it. What lies ready is bounded: a few batches of small files, and
//! larger files are left to the reader. A reader that would have to wait for
//! the thread reads a batch itself.
//!
//! Panels give every site a file of its own beside the vhost file, which that
//! includes by its full path. Those are read ahead too: a line that begins
//! with `include` and an absolute path is a good guess, and a wrong one costs
//! a file that nobody asks for. Only while the reader is the slower of the
//! two, though: otherwise it would wait for guesses.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};

use super::disk::Disk;
use super::{FileBytes, SourceError};

/// Lists shorter than this are read faster than a thread is started.
pub(super) const WORTH: usize = 64;
/// Files of one batch, and the size up to which a file is read ahead at all.
const BATCH_FILES: usize = 32;
const FILE_BYTES: u64 = 32 << 10;
/// Batches that lie ready.
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
    list: Arc<List>,
    /// Batches with their numbers; closed when the list is through, or the
    /// thread gone.
    batches: Receiver<(usize, Vec<Read>)>,
    /// Batches whose turn has not come.
    waiting: HashMap<usize, Vec<Read>>,
    /// The batch whose turn it is.
    turn: usize,
    ready: VecDeque<Read>,
    over: bool,
}

/// The list, read batch by batch by whoever comes first.
struct List {
    disk: Arc<Disk>,
    paths: Vec<Vec<u8>>,
    next: AtomicUsize,
}

impl List {
    /// Reads the next batch that nobody has taken; with its number.
    fn read(&self, mut recent: Option<&mut Recent>) -> Option<(usize, Vec<Read>)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let start = number.checked_mul(BATCH_FILES)?;
        let paths = self.paths.get(start..(start + BATCH_FILES).min(self.paths.len()))?;
        if paths.is_empty() || self.disk.check_time().is_err() {
            return None;
        }
        let mut batch = Vec::with_capacity(BATCH_FILES);
        for path in paths {
            // A large file fails here; the reader asks for it itself.
            let file = self.disk.read(path, FILE_BYTES);
            let at = batch.len();
            batch.push(Read { path: path.clone(), guess: false, file });
            let Some(recent) = &mut recent else { continue };
            for path in guesses(&batch, at) {
                if !recent.knows(&path) {
                    let file = self.disk.read(&path, FILE_BYTES);
                    batch.push(Read { path, guess: true, file });
                }
            }
        }
        Some((number, batch))
    }
}

impl Ahead {
    /// `None` where no thread can be had: then everything is read in turn.
    pub(super) fn start(disk: Arc<Disk>, paths: Vec<Vec<u8>>) -> Option<Ahead> {
        let (send, batches) = sync_channel(BATCHES);
        let list = Arc::new(List { disk, paths, next: AtomicUsize::new(0) });
        let theirs = list.clone();
        std::thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn(move || {
                let mut recent = Recent::default();
                let mut leading = false;
                while let Some(batch) = theirs.read(leading.then_some(&mut recent)) {
                    let sent = match send.try_send(batch) {
                        Err(TrySendError::Full(batch)) => {
                            leading = true;
                            send.send(batch).is_ok()
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
            })
            .ok()?;
        Some(Ahead { list, batches, waiting: HashMap::new(), turn: 0, ready: VecDeque::new(), over: false })
    }

    /// Whether the list is through.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Moves the next batch to what is ready.
    fn advance(&mut self) {
        while self.ready.is_empty() && !self.over {
            // No further than needed: a full channel tells the thread that it
            // leads.
            while !self.waiting.contains_key(&self.turn)
                && let Ok((number, batch)) = self.batches.try_recv()
            {
                self.waiting.insert(number, batch);
            }
            if let Some(batch) = self.waiting.remove(&self.turn) {
                self.turn += 1;
                self.ready.extend(batch);
                continue;
            }
            // The thread has it in hand, or nobody has.
            if self.waiting.len() < BATCHES
                && let Some((number, batch)) = self.list.read(None)
            {
                self.waiting.insert(number, batch);
                continue;
            }
            match self.batches.recv() {
                Ok((number, batch)) => drop(self.waiting.insert(number, batch)),
                Err(_) => self.over = true,
            }
        }
    }

    /// The file, if it is the next of the list and was read.
    pub(super) fn take(&mut self, path: &[u8]) -> Option<Result<FileBytes, SourceError>> {
        self.advance();
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

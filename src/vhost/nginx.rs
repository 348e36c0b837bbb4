//! nginx, Tengine, OpenResty: the configuration as nginx itself loads it.
//!
//! One loop over a stack of open files and a stack of open blocks, never
//! recursive. Files are read once from front to back, words are ranges of
//! their bytes, and only directives that say something about sites are looked
//! at. What only the whole configuration can tell (default servers, names
//! already taken) is settled at the end, in [`select`].

mod lexer;
mod listen;
mod lua;
mod remember;
mod select;
mod server;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use crate::facts::{self, Problem, ProblemKind, Scan, Site};
use crate::source::{FileBytes, Source, SourceError, decode, fold, has_magic};
use crate::vhost::Entry;
use crate::vhost::memory::Recall;

use lexer::{Cursor, End, Statement, Token, Word};
use listen::Listen;
use remember::Capture;
use server::{Answer, Scope, Server};

/// Open blocks; nginx itself would overflow its stack before.
const BLOCKS_LIMIT: usize = 1 << 16;
/// Problems of one kind of fault in one file.
const FAULTS_PER_FILE: u32 = 16;
/// Problems in all.
const PROBLEMS_LIMIT: usize = 5_000;
/// Bytes of memory for what is kept of sites…
const KEEP_LIMIT: usize = 96 << 20;
/// …of which names and other strings leave the rest to further sites.
const KEEP_STRINGS: usize = 72 << 20;
/// What a site, a listen and a string cost beside their text, the tables of
/// the end included (measured).
const SITE_COST: usize = 1_536;
const LISTEN_COST: usize = 352;
const STRING_COST: usize = 48;
/// Files that are open at a time (each includes the next) hold at most this
/// many times `limits.file_bytes`.
const OPEN_FILES: u64 = 4;

/// Reads the configuration that starts at `entry`. A main file without any
/// `http {}` is taken for a piece that a panel includes there: its servers
/// are web sites. Start options change nothing here: whatever `-p` says,
/// relative includes start at the main file's folder.
pub fn read(src: &Source, entry: &Entry) -> Scan {
    Reader::new(src, &entry.path, None).read(entry)
}

/// The same with what is known from earlier readings.
pub(super) fn read_with(src: &Source, entry: &Entry, memory: Recall<'_>) -> Scan {
    Reader::new(src, &entry.path, Some(memory)).read(entry)
}

/// What a block is to the sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `http {}`, with its scope.
    Http(usize),
    /// A `server {}` of it: the index of the server.
    Server(usize),
    Location(Place),
    /// An `if` of a server.
    If,
    /// Any other block inside a server.
    Inner,
    /// Not about web sites (`stream`, `events`, `upstream`).
    Other,
    /// Lines that are no directives (`map`, `types`): nothing in it counts.
    Table,
}

/// What a location stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `/` of a server: whatever has no other location.
    Root,
    /// Below `/.well-known/`: proofs for certificate authorities.
    WellKnown,
    Elsewhere,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Open,
    Refuses,
    Redirects,
    Answers,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    kind: Kind,
    line: u32,
    /// What the block does first.
    outcome: Outcome,
}

struct Frame {
    file: Arc<FileBytes>,
    /// The path by which it was opened.
    path: Vec<u8>,
    cursor: Cursor,
    /// Open blocks that belong to the files above.
    base: usize,
    /// Files of a glob that are still to be read, and its line.
    pending: std::vec::IntoIter<Vec<u8>>,
    line: u32,
    faults: u32,
}

struct Reader<'a> {
    src: &'a Source,
    /// Relative includes start here at any depth: the main file's folder.
    prefix: Vec<u8>,
    frames: Vec<Frame>,
    blocks: Vec<Block>,
    /// Blocks beyond [`BLOCKS_LIMIT`] in the current file.
    surplus: u64,
    scopes: Vec<Scope>,
    http_seen: bool,
    servers: Vec<Server>,
    /// Open servers, the innermost last; more than one only after a fault.
    open_servers: Vec<usize>,
    problems: Vec<Problem>,
    reported: HashSet<(Option<String>, Option<u32>, ProblemKind)>,
    kept: usize,
    keep_full: bool,
    open_bytes: u64,
    pending: u64,
    statement: Statement,
    memory: Option<Recall<'a>>,
    /// The file that may become a unit of the memory.
    capture: Option<Capture>,
    /// How often anything was changed that other files can see, or was not
    /// read because of what others had read.
    writes: u64,
}

impl<'a> Reader<'a> {
    fn new(src: &'a Source, main: &[u8], memory: Option<Recall<'a>>) -> Reader<'a> {
        let prefix = main.iter().rposition(|&b| b == b'/').and_then(|i| main.get(..=i)).unwrap_or(b"/");
        Reader {
            src,
            prefix: prefix.to_vec(),
            frames: Vec::new(),
            blocks: Vec::new(),
            surplus: 0,
            // The first scope is the top of the main file, for fragments.
            scopes: vec![Scope::default()],
            http_seen: false,
            servers: Vec::new(),
            open_servers: Vec::new(),
            problems: Vec::new(),
            reported: HashSet::new(),
            kept: 0,
            keep_full: false,
            open_bytes: 0,
            pending: 0,
            statement: Statement::default(),
            memory,
            capture: None,
            writes: 0,
        }
    }

    fn read(mut self, entry: &Entry) -> Scan {
        self.open_main(&entry.path);
        self.run();
        self.finish()
    }

    fn open_main(&mut self, path: &[u8]) {
        if let Err(e) = self.src.read(path).and_then(|file| self.push(path, file)) {
            let message = match e {
                SourceError::NotFound => "the main configuration file is not there".to_owned(),
                e => e.to_string(),
            };
            self.report(Problem::at(decode(&fold(path)), None, e.kind(), message));
        }
    }

    /// Reads on in the innermost file until none is left.
    fn run(&mut self) {
        while let Some(frame) = self.frames.last_mut() {
            if let Some(path) = frame.pending.next() {
                self.pending -= 1;
                let line = frame.line;
                self.include_file(&path, line);
                continue;
            }
            let file = Arc::clone(&frame.file);
            let mut cursor = frame.cursor;
            let depth = self.frames.len();
            let mut st = std::mem::take(&mut self.statement);
            loop {
                let token = lexer::next(&file.bytes, &mut cursor, &mut st);
                if !st.faults.is_empty() {
                    self.faults(&st);
                }
                match token {
                    Token::Statement(end) => self.statement(&file.bytes, &st.words, end, &mut cursor),
                    Token::Close => self.close(cursor.line),
                    Token::Eof => self.end_of_file(),
                }
                let open = self.frames.len();
                let Some(frame) = self.frames.get_mut(depth - 1) else { break };
                // Files of an include come before the rest of this one.
                if open != depth || frame.pending.len() > 0 {
                    frame.cursor = cursor;
                    break;
                }
            }
            self.statement = st;
        }
    }

    fn path(&self) -> &[u8] {
        self.frames.last().map_or(b"/", |f| &f.path)
    }

    fn report(&mut self, p: Problem) {
        if let Some(capture) = &mut self.capture {
            capture.problems.add(&p);
        }
        if self.problems.len() < PROBLEMS_LIMIT && self.reported.insert((p.file.clone(), p.line, p.kind)) {
            self.problems.push(p);
        }
    }

    /// A problem at a line of the current file.
    fn complain(&mut self, kind: ProblemKind, line: u32, message: &str) {
        if matches!(kind, ProblemKind::Syntax | ProblemKind::NulByte | ProblemKind::NotAName)
            && let Some(frame) = self.frames.last_mut()
        {
            frame.faults += 1;
            if frame.faults > FAULTS_PER_FILE {
                return;
            }
        }
        let file = decode(&fold(self.path()));
        self.report(Problem::at(file, Some(line), kind, message));
    }

    fn faults(&mut self, st: &Statement) {
        for &(fault, line) in &st.faults {
            // A file that was cut is reported by its open block, if it has one.
            if fault == lexer::Fault::EndOfFile && self.open_blocks() {
                continue;
            }
            self.complain(fault.kind(), line, fault.message());
        }
    }

    fn open_blocks(&self) -> bool {
        self.frames.last().is_some_and(|f| self.blocks.len() > f.base)
    }

    // ---- files ----

    fn push(&mut self, path: &[u8], file: Arc<FileBytes>) -> Result<(), SourceError> {
        let (file, skip, marked) = without_mark(file);
        let len = file.bytes.len() as u64;
        let room = self.src.limits().file_bytes.saturating_mul(OPEN_FILES);
        if u32::try_from(len).is_err() || (self.open_bytes + len > room && !self.frames.is_empty()) {
            return Err(SourceError::TooLarge);
        }
        self.open_bytes += len;
        self.frames.push(Frame {
            file,
            path: path.to_vec(),
            cursor: Cursor { pos: skip, line: 1 },
            base: self.blocks.len(),
            pending: Vec::new().into_iter(),
            line: 0,
            faults: 0,
        });
        if marked {
            self.complain(
                ProblemKind::Encoding,
                1,
                "the file begins with a byte-order mark, which nginx refuses; listed as if it did not",
            );
        }
        Ok(())
    }

    fn include(&mut self, arg: &[u8], line: u32) {
        // nginx hands the name to the system as a C string.
        let arg = arg.split(|&b| b == 0).next().unwrap_or_default();
        if arg.is_empty() {
            return self.complain(ProblemKind::Syntax, line, "\"include\" without a file name");
        }
        let path =
            if arg.first() == Some(&b'/') { arg.to_vec() } else { [self.prefix.as_slice(), arg].concat() };
        if !has_magic(&path) {
            return self.include_file(&path, line);
        }
        match self.src.glob(&path) {
            Ok(mut found) => {
                // More than may still be read is not worth the memory.
                let left = self.src.limits().files.saturating_sub(self.src.files_read() + self.pending);
                let most = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(1);
                if found.len() > most {
                    found.truncate(most);
                    self.writes += 1;
                }
                self.pending += found.len() as u64;
                if !self.is_warm(found.first()) {
                    self.src.read_ahead(found.iter().map(Vec::as_slice));
                }
                if let Some(frame) = self.frames.last_mut() {
                    frame.pending = found.into_iter();
                    frame.line = line;
                }
            }
            Err(e) if e.is_final() => self.refused(e, &path, line),
            // A pattern is no file that a problem could name.
            Err(e) => self.complain(e.kind(), line, &e.to_string()),
        }
    }

    fn refused(&mut self, e: SourceError, path: &[u8], line: u32) {
        let problem = e.problem(path, &fold(self.path()), line);
        self.report(problem);
        if e.is_final() {
            self.stop();
        }
    }

    /// Nothing more can be read; what is known stays.
    fn stop(&mut self) {
        self.frames.clear();
        self.pending = 0;
    }

    fn include_file(&mut self, path: &[u8], line: u32) {
        if self.frames.len() > self.src.limits().include_depth as usize {
            let message = "includes are nested deeper than limits.include_depth; this one is not read";
            return self.complain(ProblemKind::IncludeDepth, line, message);
        }
        let unit = self.in_http();
        if unit {
            // A file that includes others here is no unit; they may be.
            self.abandon();
            if self.replay(path) {
                return;
            }
            self.begin_capture(path);
        }
        self.open_file(path, line);
        if unit {
            self.opened_capture();
        }
    }

    fn open_file(&mut self, path: &[u8], line: u32) {
        let file = match self.src.read(path) {
            Ok(file) => file,
            Err(e) => return self.refused(e, path, line),
        };
        if self.frames.iter().any(|f| f.file.id == file.id) {
            let message = "the included file is already open: it includes itself, directly or through others";
            return self.complain(ProblemKind::IncludeLoop, line, message);
        }
        if let Err(e) = self.push(path, file) {
            self.refused(e, path, line);
        }
    }

    fn end_of_file(&mut self) {
        let base = self.frames.last().map_or(0, |f| f.base);
        if self.blocks.len() > base {
            let line = self.blocks.last().map_or(0, |b| b.line);
            self.complain(ProblemKind::UnclosedBlock, line, "a block that the file does not close");
        }
        self.surplus = 0;
        while self.blocks.len() > base {
            self.leave();
        }
        if let Some(frame) = self.frames.pop() {
            self.open_bytes = self.open_bytes.saturating_sub(frame.file.bytes.len() as u64);
            self.end_capture();
        }
    }

    // ---- blocks ----

    fn enter(&mut self, kind: Kind, line: u32) {
        if self.blocks.len() >= BLOCKS_LIMIT {
            if self.surplus == 0 {
                let message = "blocks are nested deeper than the reader follows; the inner ones are not read";
                self.complain(ProblemKind::NestingDepth, line, message);
            }
            self.surplus += 1;
        } else {
            self.blocks.push(Block { kind, line, outcome: Outcome::Open });
        }
    }

    fn close(&mut self, line: u32) {
        if self.surplus > 0 {
            self.surplus -= 1;
        } else if self.open_blocks() {
            self.leave();
        } else {
            self.complain(ProblemKind::Syntax, line, "\"}\" without an open block");
        }
    }

    /// Closes the innermost block.
    fn leave(&mut self) {
        let Some(block) = self.blocks.pop() else { return };
        match block.kind {
            Kind::Server(number) => {
                self.open_servers.pop();
                if let Some(server) = self.servers.get_mut(number) {
                    server.close();
                }
            }
            Kind::Location(place) => {
                let Some(flow) = self.server_mut().map(|s| &mut s.flow) else { return };
                match (place, block.outcome) {
                    (_, Outcome::Refuses) => flow.refusing += 1,
                    (Place::Root, Outcome::Redirects) => {}
                    (Place::WellKnown, _) => flow.well_known += 1,
                    _ => flow.answering += 1,
                }
            }
            _ => {}
        }
    }

    /// The server that the current block belongs to.
    fn server_mut(&mut self) -> Option<&mut Server> {
        let number = *self.open_servers.last()?;
        self.servers.get_mut(number)
    }

    // ---- what is kept ----

    /// Whether there is room for another string of this length.
    fn room(&mut self, len: usize, line: u32) -> bool {
        self.room_below(KEEP_STRINGS, len + STRING_COST, line)
    }

    fn room_below(&mut self, limit: usize, cost: usize, line: u32) -> bool {
        if self.kept + cost <= limit {
            self.kept += cost;
            return true;
        }
        if !self.keep_full {
            self.keep_full = true;
            let message = "more sites and names than the reader keeps; the rest is not listed";
            self.complain(ProblemKind::IncludeLimit, line, message);
        }
        false
    }

    fn keep(&mut self, text: &[u8], line: u32) -> Option<String> {
        self.room(text.len(), line).then(|| decode(text))
    }

    fn finish(mut self) -> Scan {
        // Left open only where reading was stopped.
        while !self.blocks.is_empty() {
            self.leave();
        }
        if self.http_seen {
            for i in 0..self.servers.len() {
                let Some(s) = self.servers.get(i).filter(|s| s.loose) else { continue };
                let (file, line) = (s.site.file.clone(), s.site.line);
                let message = "\"server\" stands outside of \"http\", where nginx refuses it";
                self.report(Problem::at(file, Some(line), ProblemKind::Syntax, message));
            }
        }
        self.abandon();
        if let Some(memory) = self.memory.take() {
            memory.end();
        }
        let (servers, scopes) = (std::mem::take(&mut self.servers), std::mem::take(&mut self.scopes));
        let src = self.src;
        let sites = select::settle(src, servers, &scopes, |p| self.report(p));
        Scan { sites, problems: self.problems }
    }
}

mod directives;

/// A byte-order mark is refused by nginx. UTF-16 is turned into UTF-8, so
/// that what a person sees in such a file is listed too.
fn without_mark(file: Arc<FileBytes>) -> (Arc<FileBytes>, usize, bool) {
    let decoder = match *file.bytes {
        [0xef, 0xbb, 0xbf, ..] => return (file, 3, true),
        [0xff, 0xfe, ..] => encoding_rs::UTF_16LE,
        [0xfe, 0xff, ..] => encoding_rs::UTF_16BE,
        _ => return (file, 0, false),
    };
    let bytes = decoder.decode_with_bom_removal(&file.bytes).0.into_owned().into_bytes();
    (Arc::new(FileBytes { bytes, id: file.id, link: file.link }), 0, true)
}

#[cfg(test)]
mod tests;

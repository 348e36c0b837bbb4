//! Walks the configuration in load order: files, includes, macros, sections.
//!
//! Everything that waits (includes that are still to be read, the rest of a
//! file behind an include or a macro, open sections) stands on stacks of our
//! own, so that no input can make the reader recurse.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::facts::{Problem, ProblemKind};
use crate::source::{FileBytes, FileId, Source, SourceError, decode};

use super::binary::Httpd;
use super::condition::{Modules, Version};
use super::directive::{Directive, directive};
use super::env::{Options, Vars};
use super::evidence::Evidence;
use super::include::{Item, Items};
use super::line::{Line, Lines, trim, word, words};
use super::macros::{Fault, Macros, Recording};
use super::remember::Remembered;
use super::sections::{Scope, Section, Skip};
use super::server::{Addr, Listen, Server};

/// Apache's own bound on nested includes.
const APACHE_DEPTH: usize = 128;
/// Macros inside macros.
const MAX_MACROS: usize = 64;
/// Bytes that macros and variables may make of a configuration, together.
const EXPANSION: usize = 64 << 20;
/// Bytes of names and addresses that are kept.
const RETAINED: usize = 128 << 20;
/// Problems that are kept.
const MAX_PROBLEMS: usize = 10_000;
/// Faults of one kind that are told of one file.
const NOISE: usize = 16;

/// Text that is being read.
pub(super) struct Frame {
    text: Text,
    lines: Lines,
    pub file: Arc<str>,
    /// `Some` in a macro's text: the line of the outermost `Use`.
    used_at: Option<u32>,
    /// The macro whose text this is.
    of_macro: Option<Vec<u8>>,
    id: Option<FileId>,
    /// Sections that were open when the file began; a file closes its own.
    pub base: usize,
}

enum Text {
    File(Arc<FileBytes>),
    Made(Arc<[u8]>),
}

enum Work {
    Text(Frame),
    Files(Items),
}

/// The reader's state.
pub(super) struct Walk<'s> {
    pub src: &'s Source,
    pub problems: Vec<Problem>,
    pub server_root: Vec<u8>,
    /// The main server, then the vhosts in load order.
    pub servers: Vec<Server>,
    pub listens: Vec<Listen>,
    /// `NameVirtualHost`s in load order.
    pub name_hosts: Vec<Addr>,
    pub main: Vec<u8>,
    /// The installed server, once it was looked for.
    pub looked_for: Option<Option<Httpd>>,
    /// The version where no installed server tells it.
    pub assumed: Version,
    pub evidence: Evidence,
    /// Whether anything read so far depends on the version.
    pub version_asked: bool,
    /// Whether the include file that SUSE generates was read.
    pub suse_include: bool,
    pub modules: Modules,
    pub defines: HashSet<Vec<u8>>,
    /// By lower-case name, as Apache's tables are.
    pub values: HashMap<Vec<u8>, Vec<u8>>,
    pub env: Vars,
    macros: Macros,
    work: Vec<Work>,
    pub sections: Vec<Section>,
    pub skip: Skip,
    pub recording: Option<Recording>,
    /// The record that directives belong to.
    pub current: usize,
    pub expansion: usize,
    pub retained: usize,
    /// Folders listed; they count against `limits.files` of their own.
    pub folders: u64,
    pub full: bool,
    /// The port of the main server's ServerName, as far as it is read.
    pub main_port: u16,
    /// Whether any file could be read.
    pub opened: bool,
    pub remembered: Remembered<'s>,
}

impl<'s> Walk<'s> {
    pub fn new(
        src: &'s Source,
        main: &[u8],
        server_root: Vec<u8>,
        env: Vars,
        options: &Options,
        assumed: Version,
    ) -> Self {
        Walk {
            src,
            problems: Vec::new(),
            server_root,
            servers: vec![Server::new(decode(main).into(), 1)],
            listens: Vec::new(),
            name_hosts: Vec::new(),
            main: main.to_vec(),
            looked_for: None,
            assumed,
            evidence: Evidence::default(),
            version_asked: false,
            suse_include: false,
            modules: Modules::default(),
            defines: options.defines.iter().cloned().collect(),
            values: HashMap::new(),
            env,
            macros: Macros::default(),
            work: Vec::new(),
            sections: Vec::new(),
            skip: Skip::default(),
            recording: None,
            current: 0,
            expansion: EXPANSION,
            retained: RETAINED,
            folders: 0,
            full: false,
            main_port: 0,
            opened: false,
            remembered: Remembered::default(),
        }
    }

    /// Reads text of the start options as if it stood in the main file.
    pub fn run_made(&mut self, main: &[u8], text: Vec<u8>) {
        let file: Arc<str> = decode(main).into();
        let frame = Frame {
            lines: Lines::new(0, &text),
            text: Text::Made(text.into()),
            file,
            used_at: Some(1),
            of_macro: None,
            id: None,
            base: 0,
        };
        self.work.push(Work::Text(frame));
        self.run();
        self.close_file(0, 1, &decode(main));
    }

    /// Reads the main file and all that it includes.
    pub fn run_main(&mut self, main: &[u8]) {
        self.work.push(Work::Files(Items::main(main)));
        self.run();
    }

    fn run(&mut self) {
        let mut item = Item { path: Vec::new(), literal: false };
        while let Some(work) = self.work.pop() {
            if self.full {
                self.work.clear();
                return;
            }
            match work {
                Work::Files(mut items) => {
                    if items.next(&mut item) {
                        self.open(&item, items);
                    }
                }
                Work::Text(frame) => self.read(frame),
            }
        }
    }

    /// Opens one file of an include, or lists it where it is a folder.
    fn open(&mut self, item: &Item, items: Items) {
        let line = items.line;
        if item.path == *b"/dev/null" {
            // The one device that Apache takes.
            self.work.push(Work::Files(items));
            return;
        }
        let unit = self.is_unit(line);
        if unit {
            // A file that includes others here is no unit; they may be.
            self.abandon();
            if self.replay(&item.path) {
                self.opened = true;
                self.work.push(Work::Files(items));
                return;
            }
            self.begin_capture(&item.path);
        }
        self.open_file(item, items);
        if unit {
            self.opened_capture();
        }
    }

    fn open_file(&mut self, item: &Item, items: Items) {
        let (optional, line) = (items.optional, items.line);
        let includer = items.includer.clone();
        let file = match self.src.read(&item.path) {
            Ok(file) => file,
            Err(e) => {
                let opened = (e == SourceError::NotRegularFile).then(|| self.folder(item, &items));
                self.work.push(Work::Files(items));
                match opened {
                    Some(Some(inner)) => self.work.push(Work::Files(inner)),
                    Some(None) => {}
                    None if optional && item.literal && e == SourceError::NotFound => {}
                    None => {
                        self.problem(match line {
                            0 => Problem::at(&*includer, None, e.kind(), format!("the main file: {e}")),
                            _ => e.problem(&item.path, includer.as_bytes(), line),
                        });
                        if e.is_final() {
                            self.full = true;
                        }
                    }
                }
                return;
            }
        };
        self.suse_include |= item.path == super::suse::INCLUDE;
        let mut depth = 0;
        let mut looped = false;
        for w in &self.work {
            if let Work::Text(f) = w
                && let Some(id) = f.id
            {
                depth += 1;
                looped |= id == file.id;
            }
        }
        self.work.push(Work::Files(items));
        let limit =
            APACHE_DEPTH.min(usize::try_from(self.src.limits().include_depth).unwrap_or(APACHE_DEPTH));
        if looped {
            return self.note(
                &includer,
                line,
                ProblemKind::IncludeLoop,
                "a file includes itself; it is read once",
            );
        }
        if depth > limit {
            return self.note(
                &includer,
                line,
                ProblemKind::IncludeDepth,
                "includes are nested deeper than limits.include_depth; the rest is not read",
            );
        }
        self.opened = true;
        let name: Arc<str> = match std::str::from_utf8(&item.path) {
            Ok(path) => path.into(),
            Err(_) => decode(&item.path).into(),
        };
        let mut start = 0;
        if file.bytes.starts_with(b"\xef\xbb\xbf") {
            start = 3;
            let message = "the file begins with a byte-order mark, which Apache refuses; it is read without";
            self.note(&name, 1, ProblemKind::Encoding, message);
        }
        self.work.push(Work::Text(Frame {
            id: Some(file.id),
            lines: Lines::new(start, &file.bytes),
            text: Text::File(file),
            file: name,
            used_at: None,
            of_macro: None,
            base: self.sections.len(),
        }));
    }

    fn read(&mut self, mut frame: Frame) {
        // A frame behind an include goes on where it stopped; its text is held
        // here so that lines can be borrowed while the state changes.
        let text = match &frame.text {
            Text::File(f) => Text::File(f.clone()),
            Text::Made(t) => Text::Made(t.clone()),
        };
        let bytes: &[u8] = match &text {
            Text::File(f) => &f.bytes,
            Text::Made(t) => t,
        };
        while let Some(line) = frame.lines.next(bytes) {
            if line.nul {
                let n = frame.used_at.unwrap_or(line.number);
                let message = "a NUL byte ends the line for Apache; the rest of it is not read";
                self.note(&frame.file, n, ProblemKind::NulByte, message);
            }
            if let Some(more) = self.line(&line, &frame) {
                self.work.push(Work::Text(frame));
                self.work.push(more);
                return;
            }
            if self.full {
                return;
            }
        }
        if frame.of_macro.is_none() {
            self.close_file(frame.base, frame.used_at.unwrap_or(0), &frame.file);
            self.end_capture();
        }
    }

    /// The files that are open, the outermost first.
    pub fn open_files(&self) -> impl Iterator<Item = FileId> {
        self.work.iter().filter_map(|w| match w {
            Work::Text(f) => f.id,
            Work::Files(_) => None,
        })
    }

    /// Whether a text is to be read next.
    pub fn text_is_next(&self) -> bool {
        matches!(self.work.last(), Some(Work::Text(_)))
    }

    /// What is on the stack.
    pub fn depth(&self) -> usize {
        self.work.len()
    }

    /// What a file leaves open ends with it.
    fn close_file(&mut self, base: usize, used_at: u32, file: &str) {
        let at = |line: u32| if used_at > 0 { used_at } else { line };
        if let Some(r) = self.recording.take() {
            let message = "the macro is not closed in its file";
            self.note(file, at(r.line), ProblemKind::UnclosedBlock, message);
        }
        if !self.skip.open.is_empty() {
            let message = "the section is not closed in its file; what follows it is not read";
            self.note(file, at(self.skip.line), ProblemKind::UnclosedBlock, message);
            self.skip.open.clear();
        }
        while self.sections.len() > base {
            if let Some(s) = self.sections.pop() {
                self.note(
                    file,
                    at(s.line),
                    ProblemKind::UnclosedBlock,
                    "the section is not closed in its file",
                );
                self.left(s.scope);
            }
        }
    }

    pub fn left(&mut self, scope: Scope) {
        if scope == Scope::VirtualHost {
            self.current = 0;
        }
    }

    /// Reads one line; what it puts in its place is given back.
    fn line(&mut self, line: &Line<'_>, frame: &Frame) -> Option<Work> {
        let at = frame.used_at.unwrap_or(line.number);
        if let Some(r) = &mut self.recording {
            if self.expansion <= line.text.len() {
                self.recording = None;
                self.write();
                self.note(&frame.file, at, ProblemKind::IncludeLimit, "macros are longer than what is read");
            } else if r.take(line) {
                if let Some(r) = self.recording.take() {
                    self.change(("macro", r.text()));
                    self.macros.define(r);
                }
            } else {
                self.expansion -= line.text.len() + 1;
            }
            return None;
        }
        let text: &[u8] = &line.text;
        if !self.skip.open.is_empty() {
            self.skipped(text, at, &frame.file);
            return None;
        }
        match text.first() {
            Some(b'<') => {
                match text.get(1) {
                    Some(b'/') => self.close(text, at, frame),
                    _ => self.section(text, at, frame),
                }
                None
            }
            _ => {
                let end = text.iter().position(|&b| super::line::is_space(b)).unwrap_or(text.len());
                let (name, args) = text.split_at(end);
                let quoted;
                let (name, args) = match name.first() {
                    Some(b'"' | b'\'') => {
                        let mut rest = text;
                        quoted = word(&mut rest)?;
                        (&*quoted, rest)
                    }
                    _ => (name, trim(args)),
                };
                let directive = directive(name)?;
                let args = self.resolve(args, at, &frame.file)?;
                self.directive(directive, &args, at, frame)
            }
        }
    }

    fn directive(&mut self, d: Directive, args: &[u8], at: u32, frame: &Frame) -> Option<Work> {
        if Evidence::interests(d) && !self.in_version_test() {
            self.evidence.directive(d, &words(args).next().unwrap_or_default());
        }
        match d {
            Directive::Include | Directive::IncludeOptional => {
                self.unresolved(args, at, &frame.file);
                let path = words(args).next()?;
                let items = self.include(&path, d == Directive::IncludeOptional, frame.file.clone(), at);
                return items.map(Work::Files);
            }
            Directive::Use => return self.use_macro(args, at, frame),
            Directive::UndefMacro => {
                if let Some(name) = words(args).next() {
                    self.change(("undefmacro", &*name));
                    self.macros.undefine(&name);
                }
            }
            Directive::Define => {
                let mut it = words(args);
                let name = it.next()?.into_owned();
                if name.contains(&b':') {
                    return None;
                }
                self.change(("define", args));
                if let Some(value) = it.next()
                    && self.spend(value.len() + name.len() + 64, at, &frame.file)
                {
                    self.values.insert(name.to_ascii_lowercase(), value.into_owned());
                }
                if self.spend(name.len(), at, &frame.file) {
                    self.defines.insert(name);
                }
            }
            Directive::UnDefine => {
                let name = words(args).next()?;
                self.change(("undefine", &*name));
                self.defines.remove(&*name);
                self.values.remove(&name.to_ascii_lowercase());
            }
            Directive::LoadModule => {
                self.change(("module", args));
                let mut it = words(args);
                if let (Some(name), Some(file)) = (it.next(), it.next()) {
                    self.modules.load(&name, &file);
                    if !self.in_version_test() {
                        self.evidence.module(&name);
                    }
                }
            }
            Directive::NameVirtualHost if self.in_main() => {
                self.write();
                let word = words(args).next()?;
                if let Some(addr) = Addr::parse(&word, self.main_port)
                    && self.spend(64, at, &frame.file)
                {
                    self.name_hosts.push(addr);
                }
            }
            Directive::ServerRoot => {
                let dir = words(args).next()?;
                self.change(("root", &*dir));
                if dir.first() == Some(&b'/') {
                    self.server_root = dir.into_owned();
                }
            }
            Directive::Listen => {
                self.write();
                self.unresolved(args, at, &frame.file);
                match Listen::parse(args) {
                    Some(l) if self.spend(64, at, &frame.file) => self.listens.push(l),
                    Some(_) => {}
                    None if args.windows(2).any(|w| w == b"${") => {}
                    None => self.note(&frame.file, at, ProblemKind::Syntax, "a Listen that Apache refuses"),
                }
            }
            _ => {
                let scope = self.sections.iter().rev().map(|s| s.scope).find(|s| *s != Scope::Open);
                // Outside of these sections, access says nothing of a record.
                let idle =
                    matches!(d, Directive::Require | Directive::Deny | Directive::Allow | Directive::Satisfy)
                        && matches!(scope, None | Some(Scope::Other));
                if self.in_main() && !idle {
                    self.write();
                }
                super::content::directive(self, d, args, scope, at, &frame.file);
            }
        }
        None
    }

    fn use_macro(&mut self, args: &[u8], at: u32, frame: &Frame) -> Option<Work> {
        let macros = self.work.iter().rev().map_while(|w| match w {
            Work::Text(f) => f.of_macro.as_ref(),
            Work::Files(_) => None,
        });
        let (text, name) = match self.macros.expand(args, self.expansion) {
            Ok((name, text)) => (text, name),
            Err(Fault::Refused) => {
                self.note(&frame.file, at, ProblemKind::Syntax, "a Use that fits no macro");
                return None;
            }
            Err(Fault::TooLong) => {
                self.write();
                self.note(&frame.file, at, ProblemKind::IncludeLimit, "macros make more text than is read");
                return None;
            }
        };
        let mut depth = 0;
        let mut again = frame.of_macro.as_ref() == Some(&name);
        for outer in macros {
            depth += 1;
            again |= *outer == name;
        }
        if again || depth >= MAX_MACROS {
            self.note(&frame.file, at, ProblemKind::IncludeLoop, "a macro uses itself; it is read once");
            return None;
        }
        self.expansion -= text.len().min(self.expansion);
        Some(Work::Text(Frame {
            lines: Lines::new(0, &text),
            text: Text::Made(text.into()),
            file: frame.file.clone(),
            used_at: Some(at),
            of_macro: Some(name),
            id: None,
            base: frame.base,
        }))
    }

    /// The record that directives belong to now.
    pub fn server(&mut self) -> Option<&mut Server> {
        self.servers.get_mut(self.current)
    }

    /// Whether directives belong to the main server now.
    pub fn in_main(&self) -> bool {
        self.current == 0
    }

    /// Takes bytes out of what may be kept; notes once that it is used up.
    pub fn spend(&mut self, bytes: usize, at: u32, file: &str) -> bool {
        if bytes > self.retained {
            if !self.full {
                self.full = true;
                self.note(
                    file,
                    at,
                    ProblemKind::IncludeLimit,
                    "more names and addresses than the reader keeps",
                );
            }
            return false;
        }
        self.retained -= bytes;
        true
    }

    /// Adds a problem, once for each place and kind.
    pub fn note(&mut self, file: &str, line: u32, kind: ProblemKind, message: &str) {
        self.problem(Problem::at(file, Some(line), kind, message));
    }

    pub fn problem(&mut self, p: Problem) {
        self.remembered.note(&p);
        // A file that is no configuration at all would fill the list.
        let noisy = matches!(p.kind, ProblemKind::Syntax | ProblemKind::NulByte | ProblemKind::UnclosedBlock);
        let mut alike = 0;
        for q in self.problems.iter().rev().take(64).filter(|q| q.kind == p.kind && q.file == p.file) {
            alike += 1;
            if (q.line == p.line && q.message == p.message) || (noisy && alike >= NOISE) {
                return;
            }
        }
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(p);
        }
    }
}

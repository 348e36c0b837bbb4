//! Sections: conditions, vhosts, and what only has to be closed again.

use std::borrow::Cow;

use crate::facts::ProblemKind;

use super::condition::if_version;
use super::directive::{Opener, is_known, opener};
use super::line::{tag, trim, word, words};
use super::macros::Recording;
use super::server::{Addr, Server};
use super::walk::{Frame, Walk};

/// Sections open at a time.
const MAX_SECTIONS: usize = 10_000;
/// Sites that are kept.
pub(super) const MAX_SERVERS: usize = 200_000;

/// What an open section does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    VirtualHost,
    /// A condition that held: as if it were not there.
    Open,
    /// `<Location />` or its match on everything.
    Everything,
    /// `<Location>` elsewhere.
    Location,
    Require,
    Other,
}

#[derive(Debug)]
pub(super) struct Section {
    pub name: u64,
    pub line: u32,
    pub scope: Scope,
}

/// Lines that are passed over: the contents of a section that does not hold.
#[derive(Debug, Default)]
pub(super) struct Skip {
    /// Open sections inside, the skipped one first.
    pub open: Vec<u64>,
    pub line: u32,
    /// Perl code has no sections.
    perl: bool,
}

impl Walk<'_> {
    /// `</NAME>`.
    pub(super) fn close(&mut self, text: &[u8], at: u32, frame: &Frame) {
        let Some(name) = tag(text).0.strip_prefix(b"</").and_then(|n| n.strip_suffix(b">")) else {
            return self.note(&frame.file, at, ProblemKind::Syntax, "a closing tag without its >");
        };
        let name = hash(name);
        // A file closes nothing that it did not open; a macro is part of its
        // file.
        let own = self.sections.get(frame.base..).unwrap_or_default();
        let Some(found) = own.iter().rposition(|s| s.name == name) else {
            return self.note(&frame.file, at, ProblemKind::Syntax, "a closing tag without its section");
        };
        let found = frame.base + found;
        if found + 1 != self.sections.len() {
            self.note(&frame.file, at, ProblemKind::Syntax, "a closing tag where another section is open");
        }
        while self.sections.len() > found {
            if let Some(s) = self.sections.pop() {
                self.left(s.scope);
            }
        }
    }

    /// `<NAME ARGS>`.
    pub(super) fn section(&mut self, text: &[u8], at: u32, frame: &Frame) {
        let (first, rest) = tag(text);
        let name = first.get(1..).unwrap_or_default();
        // `<IfModule>`: the bracket belongs to the name.
        let (name, bare) = match name.strip_suffix(b">") {
            Some(n) => (n, true),
            None => (name, false),
        };
        let kind = opener(name);
        let Some(args) = self.resolve(rest, at, &frame.file) else {
            return self.skip_section(name, at, false);
        };
        let end = args.iter().rposition(|&b| b == b'>');
        if end.is_none() && !bare {
            self.note(&frame.file, at, ProblemKind::Syntax, "a section without its closing >");
        }
        let args = trim(args.get(..end.unwrap_or(args.len())).unwrap_or_default());
        let scope = match kind {
            Opener::VirtualHost => return self.virtual_host(name, args, at, frame),
            Opener::Macro => {
                self.recording = Recording::start(args, at);
                if self.recording.is_none() {
                    self.note(&frame.file, at, ProblemKind::Syntax, "a macro that Apache refuses");
                    self.skip_section(name, at, false);
                }
                return;
            }
            Opener::IfDefine | Opener::IfModule | Opener::IfVersion | Opener::IfFile => {
                if !self.holds(kind, args, at, frame) {
                    return self.skip_section(name, at, false);
                }
                Scope::Open
            }
            Opener::IfDirective | Opener::IfSection => {
                let (negated, what) = negated(args);
                let known = match kind {
                    Opener::IfSection => !matches!(opener(what), Opener::Other | Opener::Perl),
                    _ => is_known(what),
                };
                if known == negated {
                    return self.skip_section(name, at, false);
                }
                Scope::Open
            }
            Opener::Expression => {
                if !self.in_version_test() {
                    self.evidence.new_section();
                }
                if self.in_main() {
                    self.write();
                }
                if let Some(s) = self.servers.get_mut(self.current) {
                    s.access.doubtful = true;
                }
                return self.skip_section(name, at, false);
            }
            Opener::Perl => return self.skip_section(name, at, true),
            Opener::Location | Opener::LocationMatch => {
                let mut rest = args;
                let path = word(&mut rest).unwrap_or_default();
                let all = match (kind, &*path) {
                    (Opener::Location, b"~") => {
                        word(&mut rest).is_some_and(|p| super::server::is_catch_all(&p))
                    }
                    (Opener::Location, p) => p == b"/",
                    (_, p) => super::server::is_catch_all(p),
                };
                if all { Scope::Everything } else { Scope::Location }
            }
            Opener::Require => {
                if !self.in_version_test() {
                    self.evidence.new_section();
                }
                Scope::Require
            }
            Opener::Other => Scope::Other,
        };
        self.push_section(name, at, scope, &frame.file);
    }

    fn push_section(&mut self, name: &[u8], line: u32, scope: Scope, file: &str) {
        if self.sections.len() >= MAX_SECTIONS {
            self.note(
                file,
                line,
                ProblemKind::NestingDepth,
                "sections are nested deeper than the reader follows",
            );
            return self.skip_section(name, line, false);
        }
        self.sections.push(Section { name: hash(name), line, scope });
    }

    fn skip_section(&mut self, name: &[u8], line: u32, perl: bool) {
        self.skip.open.clear();
        self.skip.open.push(hash(name));
        self.skip.line = line;
        self.skip.perl = perl;
    }

    /// A line inside a section that does not hold: only its structure counts.
    pub(super) fn skipped(&mut self, text: &[u8], at: u32, file: &str) {
        if text.first() != Some(&b'<') {
            return;
        }
        let (first, _) = tag(text);
        match first.strip_prefix(b"</") {
            Some(name) => {
                let name = hash(name.strip_suffix(b">").unwrap_or(name));
                match self.skip.open.iter().rposition(|&n| n == name) {
                    Some(found) => {
                        if found + 1 != self.skip.open.len() && !self.skip.perl {
                            let message = "a closing tag where another section is open";
                            self.note(file, at, ProblemKind::Syntax, message);
                        }
                        self.skip.open.truncate(found);
                    }
                    None if self.skip.perl => {}
                    None => self.note(file, at, ProblemKind::Syntax, "a closing tag without its section"),
                }
            }
            None if self.skip.perl => {}
            None => {
                let name = first.get(1..).unwrap_or_default();
                self.skip.open.push(hash(name.strip_suffix(b">").unwrap_or(name)));
            }
        }
    }

    fn holds(&mut self, kind: Opener, args: &[u8], at: u32, frame: &Frame) -> bool {
        if kind == Opener::IfVersion {
            self.version_asked = true;
            let version = self.version();
            return if_version(args, version).unwrap_or_else(|| {
                self.note(&frame.file, at, ProblemKind::Syntax, "a version test that Apache refuses");
                false
            });
        }
        let (negated, what) = negated(args);
        let what = match kind {
            Opener::IfDefine => Cow::Borrowed(what),
            _ => words(what).next().unwrap_or_default(),
        };
        let found = match kind {
            Opener::IfDefine => self.defines.contains(&*what),
            Opener::IfModule => self.modules.has(&what) || self.compiled_in(&what),
            _ => self.src.kind(&self.absolute(&what)).is_ok(),
        };
        found != negated
    }

    /// Whether a test of the version is open; what stands in it tells nothing
    /// about the version.
    pub(super) fn in_version_test(&self) -> bool {
        let name = hash(b"ifversion");
        self.sections.iter().any(|s| s.scope == Scope::Open && s.name == name)
    }

    fn virtual_host(&mut self, name: &[u8], args: &[u8], at: u32, frame: &Frame) {
        // Apache refuses one inside another: the outer one was not closed.
        let own = self.sections.get(frame.base..).unwrap_or_default();
        if let Some(found) = own.iter().position(|s| s.scope == Scope::VirtualHost) {
            let found = frame.base + found;
            let line = self.sections.get(found).map_or(at, |s| s.line);
            self.note(
                &frame.file,
                line,
                ProblemKind::UnclosedBlock,
                "the section is not closed before the next VirtualHost",
            );
            self.sections.truncate(found);
        }
        if self.servers.len() > MAX_SERVERS {
            self.full = true;
            return self.note(&frame.file, at, ProblemKind::IncludeLimit, "more sites than the reader keeps");
        }
        self.unresolved(args, at, &frame.file);
        let mut server = Server::new(frame.file.clone(), at);
        if args.is_empty() {
            self.note(&frame.file, at, ProblemKind::Syntax, "a VirtualHost without an address");
        }
        for w in words(args) {
            match Addr::parse(&w, self.main_port) {
                Some(addr) if self.spend(w.len() + 64, at, &frame.file) => {
                    if server.addrs.is_empty() {
                        server.addrs.reserve_exact(1);
                    }
                    server.addrs.push(addr);
                }
                Some(_) => break,
                None => {
                    self.note(
                        &frame.file,
                        at,
                        ProblemKind::Syntax,
                        "an address of VirtualHost that Apache refuses",
                    );
                }
            }
        }
        if !self.spend(512, at, &frame.file) {
            return;
        }
        self.current = self.servers.len();
        self.servers.push(server);
        self.push_section(name, at, Scope::VirtualHost, &frame.file);
    }
}

fn negated(args: &[u8]) -> (bool, &[u8]) {
    match args.strip_prefix(b"!") {
        Some(rest) => (true, trim(rest)),
        None => (false, args),
    }
}

/// Section names are compared by an FNV-1a hash of their lower-case text.
fn hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(b.to_ascii_lowercase())).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

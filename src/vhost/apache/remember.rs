//! Units of the memory ([`crate::vhost::memory`]): files included in the main
//! server that hold nothing but vhosts.
//!
//! All state that can change what a file means (defines, modules, macros,
//! ServerRoot, the main server's port) is a function of the directives that
//! set it, in their order. So the context is a running hash of those, and a
//! file that has one of them is no unit.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use super::evidence::Evidence;
use super::sections::{MAX_SERVERS, Scope};
use super::server::{Access, Addr, Host, Rewrite, Server};
use super::walk::Walk;
use crate::facts::Problem;
use crate::source::decode;
use crate::vhost::memory::{Noted, Packer, Recall, Taken, Unit, Unpacker};

/// What a walk needs to remember, and to be remembered.
#[derive(Default)]
pub(super) struct Remembered<'s> {
    memory: Option<Recall<'s>>,
    /// The running hash.
    state: u64,
    /// How often anything was changed that other files can see.
    writes: u64,
    capture: Option<Capture>,
    /// The installed server was asked for since the capture began.
    asked: bool,
    /// A hash of what the installed server is.
    httpd: Option<u64>,
}

/// A file that is being read, and where the walk stood before it.
struct Capture {
    path: Vec<u8>,
    context: u64,
    /// The stack below it.
    depth: usize,
    servers: usize,
    files: u64,
    folders: u64,
    retained: usize,
    expansion: usize,
    writes: u64,
    looked: bool,
    evidence: Evidence,
    version_asked: bool,
    problems: Noted,
}

/// What a unit adds.
struct Added {
    folders: u64,
    retained: usize,
    expansion: usize,
    evidence: Evidence,
    version_asked: bool,
    problems: Vec<Problem>,
    servers: Vec<Server>,
}

impl Remembered<'_> {
    pub fn note(&mut self, p: &Problem) {
        if let Some(c) = &mut self.capture {
            c.problems.add(p);
        }
    }

    pub fn httpd_asked(&mut self) {
        self.asked = true;
    }
}

impl<'s> Walk<'s> {
    /// Uses what is known from earlier readings. Called before anything is
    /// read.
    pub fn remember(&mut self, memory: Option<Recall<'s>>) {
        if let Some(m) = &memory {
            // The order of what stands in tables does not count.
            let mut sum = 0_u64;
            for entry in &self.env {
                sum = sum.wrapping_add(m.hash(entry));
            }
            for name in &self.defines {
                sum = sum.wrapping_add(m.hash(name));
            }
            self.remembered.state = m.hash((sum, &self.server_root, self.assumed));
        }
        self.remembered.memory = memory;
    }

    /// The memory, for another walk or for the end.
    pub fn forget(&mut self) -> Option<Recall<'s>> {
        self.abandon();
        self.remembered.memory.take()
    }

    /// Something changed that other files can see, but that does not change
    /// what they mean.
    pub fn write(&mut self) {
        self.remembered.writes += 1;
    }

    /// Something changed that can change what other files mean.
    pub fn change(&mut self, what: impl Hash) {
        self.remembered.writes += 1;
        if let Some(m) = &self.remembered.memory {
            self.remembered.state = m.hash((self.remembered.state, what));
        }
    }

    /// Whether an include on this line leads to files that may be units.
    pub fn is_unit(&self, line: u32) -> bool {
        // Line 0: the main file.
        self.remembered.memory.is_some() && line > 0 && self.in_main() && self.recording.is_none()
    }

    fn context(&self, memory: &Recall<'_>) -> u64 {
        let open: Vec<_> = self.open_files().collect();
        let sections: Vec<(u64, Scope)> = self.sections.iter().map(|s| (s.name, s.scope)).collect();
        memory.hash((self.remembered.state, open, sections, self.assumed))
    }

    /// Whether most files of a list that begins so need not be read.
    pub fn is_warm(&mut self, first: &[u8]) -> bool {
        if !self.is_unit(1) {
            return false;
        }
        let Some(mut memory) = self.remembered.memory.take() else { return false };
        let warm = memory.is_warm(first, self.context(&memory));
        self.remembered.memory = Some(memory);
        warm
    }

    /// A hash of what the installed server is, which is looked for if it was
    /// not yet.
    fn httpd_print(&mut self, memory: &Recall<'_>) -> u64 {
        if let Some(print) = self.remembered.httpd {
            return print;
        }
        let print = match self.httpd() {
            None => 0,
            Some(h) => {
                let modules = h.modules.iter().fold(0_u64, |sum, m| sum.wrapping_add(memory.hash(m)));
                memory.hash((h.version, modules)) | 1
            }
        };
        self.remembered.httpd = Some(print);
        print
    }

    /// Adds what a file added the last time, if that still holds.
    pub fn replay(&mut self, path: &[u8]) -> bool {
        let Some(mut memory) = self.remembered.memory.take() else { return false };
        let context = self.context(&memory);
        let unit = memory.find(path, context);
        let added = unit.and_then(|u| self.added(&memory, &u, path));
        if let (Some(unit), Some(added)) = (&unit, &added) {
            memory.used(unit);
            self.src.spare(unit.files);
            self.folders += added.folders;
            self.retained -= added.retained;
            self.expansion -= added.expansion;
            self.evidence.add(added.evidence);
            self.version_asked |= added.version_asked;
        }
        self.remembered.memory = Some(memory);
        let Some(added) = added else { return false };
        self.servers.extend(added.servers);
        for p in added.problems {
            self.problem(p);
        }
        true
    }

    /// Unpacks a unit; `None` where a limit is near: then the file is read.
    fn added(&mut self, memory: &Recall<'_>, unit: &Unit, path: &[u8]) -> Option<Added> {
        let mut u = memory.body(unit);
        // Whatever the file asked of the installed server must still be so.
        if u.flag()? && u.fixed()? != self.httpd_print(memory) {
            return None;
        }
        let (folders, retained, expansion) = (u.num()?, u.small()?, u.small()?);
        let most = self.src.limits().files;
        if self.full
            || self.src.files_read() + unit.files > most
            || self.folders + folders > most
            || retained > self.retained
            || expansion > self.expansion
            || self.src.check_time().is_err()
        {
            return None;
        }
        let evidence = Evidence::from_bits(u.num()?);
        let version_asked = u.flag()?;
        let problems = Noted::unpack(&mut u)?;
        let number: usize = u.small()?;
        if self.servers.len() + number > MAX_SERVERS {
            return None;
        }
        let own: Arc<str> = decode(path).into();
        let mut servers = Vec::with_capacity(number);
        for _ in 0..number {
            servers.push(server(&mut u, &own)?);
        }
        Some(Added { folders, retained, expansion, evidence, version_asked, problems, servers })
    }

    /// A file is about to be opened.
    pub fn begin_capture(&mut self, path: &[u8]) {
        let Some(memory) = &self.remembered.memory else { return };
        // That one is counted: see `suse`.
        if self.full || path == super::suse::INCLUDE {
            return;
        }
        let context = self.context(memory);
        self.remembered.capture = Some(Capture {
            path: path.to_vec(),
            context,
            // The rest of the include comes before the file.
            depth: self.depth() + 1,
            servers: self.servers.len(),
            files: self.src.files_read(),
            folders: self.folders,
            retained: self.retained,
            expansion: self.expansion,
            writes: self.remembered.writes,
            looked: self.looked_for.is_some(),
            evidence: std::mem::take(&mut self.evidence),
            version_asked: std::mem::take(&mut self.version_asked),
            problems: Noted::default(),
        });
        self.remembered.asked = false;
        self.src.begin_trail();
    }

    /// It was opened and lies on the stack, or could not be.
    pub fn opened_capture(&mut self) {
        let open = |c: &Capture| self.text_is_next() && c.depth + 1 == self.depth();
        if self.remembered.capture.as_ref().is_some_and(|c| !open(c)) {
            self.abandon();
        }
    }

    /// The file is no unit after all.
    pub fn abandon(&mut self) {
        if let Some(c) = self.remembered.capture.take() {
            self.src.end_trail();
            self.evidence.add(c.evidence);
            self.version_asked |= c.version_asked;
        }
    }

    /// A file ends; it is no longer on the stack.
    pub fn end_capture(&mut self) {
        if self.remembered.capture.as_ref().is_none_or(|c| c.depth != self.depth()) {
            return;
        }
        let Some(c) = self.remembered.capture.take() else { return };
        let trail = self.src.end_trail();
        let (evidence, version_asked) = (self.evidence, self.version_asked);
        self.evidence.add(c.evidence);
        self.version_asked |= c.version_asked;
        let asked = self.remembered.asked;
        let pure = self.remembered.writes == c.writes && !self.full && (c.looked || !asked);
        let Some(mut memory) = self.remembered.memory.take() else { return };
        if pure {
            let print = asked.then(|| self.httpd_print(&memory));
            let files = self.src.files_read().saturating_sub(c.files);
            let taken = Taken { path: &c.path, context: c.context, trail, files };
            let own = decode(&c.path);
            let added = self.servers.get(c.servers..).unwrap_or_default();
            memory.keep(self.src, &taken, |p| {
                p.flag(print.is_some());
                if let Some(print) = print {
                    p.fixed(print);
                }
                p.num(self.folders - c.folders);
                p.num((c.retained - self.retained) as u64);
                p.num((c.expansion - self.expansion) as u64);
                p.num(evidence.bits());
                p.flag(version_asked);
                let whole = c.problems.pack(p);
                p.num(added.len() as u64);
                for s in added {
                    pack(p, s, &own);
                }
                whole
            });
        }
        self.remembered.memory = Some(memory);
    }
}

fn pack(p: &mut Packer, server: &Server, own: &str) {
    // Spelt out, so that a new field is not forgotten here.
    let Server {
        file,
        line,
        addrs,
        names,
        server_name,
        named,
        root,
        upstream,
        certificates,
        ssl,
        redirect,
        proxied,
        access: Access { denied, doubtful },
        rewrite: Rewrite { on, ruled, conditional },
        vhost_alias,
    } = server;
    p.option((**file != *own).then_some(&**file));
    p.num(u64::from(*line));
    p.num(addrs.len() as u64);
    for a in addrs {
        let Addr { host, port, v6_any, marked } = a;
        p.num(u64::from(*v6_any) | u64::from(*marked) << 1);
        p.num(u64::from(*port));
        match host {
            Host::Any => p.num(0),
            Host::Ip(IpAddr::V4(ip)) => {
                p.num(1);
                p.text(&ip.octets());
            }
            Host::Ip(IpAddr::V6(ip)) => {
                p.num(2);
                p.text(&ip.octets());
            }
            Host::Name(name) => {
                p.num(3);
                p.text(name.as_bytes());
            }
        }
    }
    p.list(names);
    p.num(server_name.map_or(0, |n| n as u64 + 1));
    p.option(root.as_deref());
    p.list(upstream);
    p.list(certificates);
    p.maybe(*ssl);
    p.option(redirect.as_deref());
    let flags = [*named, *proxied, *denied, *doubtful, *on, *ruled, *conditional, *vhost_alias];
    p.num(flags.iter().rev().fold(0, |n, f| n << 1 | u64::from(*f)));
}

fn server(u: &mut Unpacker<'_>, own: &Arc<str>) -> Option<Server> {
    let file = u.option()?.map_or_else(|| own.clone(), Arc::from);
    let mut s = Server::new(file, u.small()?);
    let number: usize = u.small()?;
    s.addrs.reserve_exact(number.min(64));
    for _ in 0..number {
        let flags = u.num()?;
        let port = u.small()?;
        let host = match u.num()? {
            0 => Host::Any,
            1 => Host::Ip(IpAddr::from(<[u8; 4]>::try_from(u.text()?).ok()?)),
            2 => Host::Ip(IpAddr::from(<[u8; 16]>::try_from(u.text()?).ok()?)),
            _ => Host::Name(u.string()?.into()),
        };
        s.addrs.push(Addr { host, port, v6_any: flags & 1 != 0, marked: flags & 2 != 0 });
    }
    s.names = u.list()?;
    s.server_name = usize::try_from(u.num()?).ok()?.checked_sub(1);
    s.root = u.option()?;
    s.upstream = u.list()?;
    s.certificates = u.list()?;
    s.ssl = u.maybe()?;
    s.redirect = u.option()?;
    let flags = u.num()?;
    let bit = |i: u32| flags >> i & 1 == 1;
    s.named = bit(0);
    s.proxied = bit(1);
    s.access = Access { denied: bit(2), doubtful: bit(3) };
    s.rewrite = Rewrite { on: bit(4), ruled: bit(5), conditional: bit(6) };
    s.vhost_alias = bit(7);
    Some(s)
}

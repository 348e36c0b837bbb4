//! Units of the memory ([`crate::vhost::memory`]): files included in `http {}`
//! that hold nothing but servers and what servers do not see.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::listen::{Address, Listen};
use super::server::{Server, Settled};
use super::{KEEP_STRINGS, Kind, Reader};
use crate::facts::{self, Problem, Site};
use crate::source::{decode, fold};
use crate::vhost::memory::{Noted, Packer, Recall, Taken, Unit, Unpacker};

/// A file that is being read, and where the reader stood before it.
pub(super) struct Capture {
    path: Vec<u8>,
    context: u64,
    /// Open files, it included.
    depth: usize,
    servers: usize,
    kept: usize,
    files: u64,
    writes: u64,
    pub(super) problems: Noted,
}

/// What a unit adds.
struct Added {
    kept: usize,
    problems: Vec<Problem>,
    servers: Vec<Server>,
}

impl Reader<'_> {
    /// Whether an include stands directly in `http {}`, and there is a memory.
    pub(super) fn in_http(&self) -> bool {
        self.memory.is_some()
            && self.open_servers.is_empty()
            && self.surplus == 0
            && matches!(self.blocks.last().map(|b| b.kind), Some(Kind::Http(_)))
    }

    /// Everything that can change what an included file means. The values of
    /// `http {}` do not: they come in at the end.
    fn context(&self, memory: &Recall<'_>) -> u64 {
        let ids: Vec<_> = self.frames.iter().map(|f| f.file.id).collect();
        memory.hash((ids, self.open_bytes, self.blocks.len()))
    }

    /// Whether most files of a list that begins so need not be read.
    pub(super) fn is_warm(&mut self, first: Option<&Vec<u8>>) -> bool {
        if !self.in_http() {
            return false;
        }
        let Some(first) = first else { return false };
        let Some(mut memory) = self.memory.take() else { return false };
        let warm = memory.is_warm(first, self.context(&memory));
        self.memory = Some(memory);
        warm
    }

    /// Adds what a file added the last time, if that still holds.
    pub(super) fn replay(&mut self, path: &[u8]) -> bool {
        let Some(Kind::Http(scope)) = self.blocks.last().map(|b| b.kind) else { return false };
        let Some(mut memory) = self.memory.take() else { return false };
        let context = self.context(&memory);
        let unit = memory.find(path, context);
        let added = unit.and_then(|u| self.added(memory.body(&u), &u, path, scope));
        if let (Some(unit), Some(added)) = (&unit, added) {
            memory.used(unit);
            self.src.spare(unit.files);
            self.kept += added.kept;
            self.servers.extend(added.servers);
            self.memory = Some(memory);
            for p in added.problems {
                self.report(p);
            }
            return true;
        }
        self.memory = Some(memory);
        false
    }

    /// Unpacks a unit; `None` where a limit is near: then the file is read.
    fn added(&self, mut u: Unpacker<'_>, unit: &Unit, path: &[u8], scope: usize) -> Option<Added> {
        let kept: usize = u.small()?;
        let most = self.src.limits().files;
        if self.keep_full
            || self.kept.checked_add(kept)? > KEEP_STRINGS
            || self.src.files_read() + self.pending + unit.files > most
            || self.src.check_time().is_err()
        {
            return None;
        }
        let problems = Noted::unpack(&mut u)?;
        let number: usize = u.small()?;
        let own = decode(&fold(path));
        let mut servers = Vec::new();
        for _ in 0..number {
            servers.push(server(&mut u, &own, scope)?);
        }
        Some(Added { kept, problems, servers })
    }

    /// A file is about to be opened.
    pub(super) fn begin_capture(&mut self, path: &[u8]) {
        let Some(memory) = &self.memory else { return };
        if self.keep_full {
            return;
        }
        self.capture = Some(Capture {
            path: path.to_vec(),
            context: self.context(memory),
            depth: self.frames.len() + 1,
            servers: self.servers.len(),
            kept: self.kept,
            files: self.src.files_read(),
            writes: self.writes,
            problems: Noted::default(),
        });
        self.src.begin_trail();
    }

    /// It was opened, or could not be.
    pub(super) fn opened_capture(&mut self) {
        if self.capture.as_ref().is_some_and(|c| c.depth != self.frames.len()) {
            self.abandon();
        }
    }

    /// The file is no unit after all.
    pub(super) fn abandon(&mut self) {
        if self.capture.take().is_some() {
            self.src.end_trail();
        }
    }

    /// A file ends; its frame is gone.
    pub(super) fn end_capture(&mut self) {
        if self.capture.as_ref().is_none_or(|c| c.depth != self.frames.len() + 1) {
            return;
        }
        let Some(c) = self.capture.take() else { return };
        let trail = self.src.end_trail();
        let added = self.servers.get(c.servers..).unwrap_or_default();
        let pure = self.writes == c.writes && !self.keep_full && added.iter().all(|s| !s.loose);
        let Some(memory) = &mut self.memory else { return };
        if !pure {
            return;
        }
        let files = self.src.files_read().saturating_sub(c.files);
        let taken = Taken { path: &c.path, context: c.context, trail, files };
        let own = decode(&fold(&c.path));
        memory.keep(self.src, &taken, |p| {
            p.num((self.kept - c.kept) as u64);
            let whole = c.problems.pack(p);
            p.num(added.len() as u64);
            for s in added {
                pack(p, s, &own);
            }
            whole
        });
    }
}

fn pack(p: &mut Packer, server: &Server, own: &str) {
    // Spelt out, so that a new field is not forgotten here.
    let Server { site, listens, scope: _, loose: _, flow: _, settled, seen: _ } = server;
    let Site {
        server: _,
        names,
        listen: _,
        default: _,
        shadowed: _,
        file,
        line,
        root,
        upstream,
        certificates,
        redirect,
        unbounded: _,
        synthetic: _,
        refuses: _,
        implicit_default: _,
    } = site;
    p.option((file != own).then_some(file));
    p.num(u64::from(*line));
    p.list(names);
    p.option(root.as_deref());
    p.list(upstream);
    p.list(certificates);
    p.option(redirect.as_deref());
    let Settled { ssl, reject_handshake, lua, refuses: [alone, paged] } = settled;
    p.maybe(*ssl);
    p.maybe(*reject_handshake);
    p.num(u64::from(*lua) | u64::from(*alone) << 1 | u64::from(*paged) << 2);
    p.num(listens.len() as u64);
    for l in listens {
        let Listen { address, ports: (first, last), text, default, ssl, quic, line } = l;
        p.num(u64::from(*default) | u64::from(*ssl) << 1 | u64::from(*quic) << 2);
        p.num(u64::from(*line));
        p.num(u64::from(*first));
        p.num(u64::from(*last - *first));
        p.text(text.as_bytes());
        match address {
            Address::Any => p.num(0),
            Address::V4(ip) => {
                p.num(1);
                p.text(&ip.octets());
            }
            Address::V6(ip) => {
                p.num(2);
                p.text(&ip.octets());
            }
            Address::Host(name) => {
                p.num(3);
                p.text(name.as_bytes());
            }
            Address::Unix(path) => {
                p.num(4);
                p.text(path.as_bytes());
            }
        }
    }
}

fn server(u: &mut Unpacker<'_>, own: &str, scope: usize) -> Option<Server> {
    let file = u.option()?.unwrap_or_else(|| own.to_owned());
    let mut site = Site::new(facts::Server::Nginx, file, u.small()?);
    site.names = u.list()?;
    site.root = u.option()?;
    site.upstream = u.list()?;
    site.certificates = u.list()?;
    site.redirect = u.option()?;
    let mut server = Server::new(site, scope, false);
    let (ssl, reject_handshake) = (u.maybe()?, u.maybe()?);
    let flags = u.num()?;
    server.settled =
        Settled { ssl, reject_handshake, lua: flags & 1 != 0, refuses: [flags & 2 != 0, flags & 4 != 0] };
    let number: usize = u.small()?;
    server.listens.reserve_exact(number.min(64));
    for _ in 0..number {
        let flags = u.num()?;
        let line = u.small()?;
        let first: u16 = u.small()?;
        let last = first.checked_add(u.small()?)?;
        let text = u.string()?;
        let address = match u.num()? {
            0 => Address::Any,
            1 => Address::V4(Ipv4Addr::from(<[u8; 4]>::try_from(u.text()?).ok()?)),
            2 => Address::V6(Ipv6Addr::from(<[u8; 16]>::try_from(u.text()?).ok()?)),
            3 => Address::Host(u.string()?),
            _ => Address::Unix(u.string()?),
        };
        server.listens.push(Listen {
            address,
            ports: (first, last),
            text,
            default: flags & 1 != 0,
            ssl: flags & 2 != 0,
            quic: flags & 4 != 0,
            line,
        });
    }
    Some(server)
}

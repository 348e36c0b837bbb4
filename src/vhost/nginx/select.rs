//! Which site answers what: sockets, default servers and names already taken,
//! the way nginx itself builds its tables. Everything is hashed, so 10,000
//! servers on one socket or 60,000 names of one server cost no more than they
//! are many.

use std::borrow::Cow;
use std::collections::HashSet;

use foldhash::{HashMap, HashMapExt as _};

use crate::facts::{Problem, ProblemKind, Site, Unbounded};
use crate::source::Source;

use super::listen::{Address, Listen};
use super::server::{Scope, Server};

/// Port ranges are spread over their ports up to this many in all; beyond it
/// a range counts by its first port.
const SOCKETS_LIMIT: usize = 1 << 20;
/// Names compared, over all sockets; beyond it nothing more is called
/// shadowed, which leaves names to be judged that nobody reaches: the safe
/// side.
const COMPARE_LIMIT: usize = 10_000_000;

#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    address: &'a Address,
    port: u16,
    quic: bool,
}

#[derive(Default)]
struct Socket {
    ssl: bool,
    explicit: Option<u32>,
    /// In load order, each once.
    servers: Vec<u32>,
}

impl Socket {
    fn default_server(&self) -> Option<u32> {
        self.explicit.or(self.servers.first().copied())
    }
}

/// Turns servers into sites; `problem` takes what nginx would refuse.
pub(super) fn settle(
    src: &Source,
    mut servers: Vec<Server>,
    scopes: &[Scope],
    mut problem: impl FnMut(Problem),
) -> Vec<Site> {
    let listens: Vec<Vec<Listen>> = servers.iter_mut().map(|s| std::mem::take(&mut s.listens)).collect();
    let mut index: HashMap<Key<'_>, u32> = HashMap::new();
    let mut sockets: Vec<Socket> = Vec::new();
    // Per server and listen: its sockets.
    let mut used: Vec<Vec<Vec<u32>>> = Vec::with_capacity(servers.len());
    let mut spent = 0_usize;
    for (number, (server, own)) in servers.iter().zip(&listens).enumerate() {
        let number = number as u32;
        let mut mine = Vec::with_capacity(own.len());
        for listen in own {
            let (first, mut last) = listen.ports;
            let count = usize::from(last - first) + 1;
            if count > 1 && spent + count > SOCKETS_LIMIT {
                last = first;
            }
            spent += usize::from(last - first);
            let mut ids = Vec::with_capacity(usize::from(last - first) + 1);
            for port in first..=last {
                let next = sockets.len() as u32;
                let id =
                    *index.entry(Key { address: &listen.address, port, quic: listen.quic }).or_insert(next);
                if id == next {
                    sockets.push(Socket::default());
                }
                let Some(socket) = sockets.get_mut(id as usize) else { continue };
                socket.ssl |= listen.ssl;
                if socket.servers.last() != Some(&number) {
                    socket.servers.push(number);
                }
                if listen.default {
                    match socket.explicit {
                        Some(other) if other != number => problem(Problem::at(
                            server.site.file.clone(),
                            Some(listen.line),
                            ProblemKind::Syntax,
                            "a second default server for one listen; nginx refuses it",
                        )),
                        Some(_) => {}
                        None => socket.explicit = Some(number),
                    }
                }
                ids.push(id);
            }
            mine.push(ids);
        }
        used.push(mine);
    }
    drop(index);

    let dead = unreachable_names(src, &servers, &sockets);
    let mut dead = dead.into_iter();
    let mut sites = Vec::with_capacity(servers.len());
    for (number, ((server, own), mine)) in servers.into_iter().zip(listens).zip(&used).enumerate() {
        let dead: Vec<bool> = dead.by_ref().take(server.site.names.len()).collect();
        sites.push(finish(server, own, mine, &sockets, number as u32, scopes, &dead));
    }
    sites
}

fn finish(
    server: Server,
    listens: Vec<Listen>,
    used: &[Vec<u32>],
    sockets: &[Socket],
    number: u32,
    scopes: &[Scope],
    dead: &[bool],
) -> Site {
    let Server { mut site, scope, settled, .. } = server;
    let none = Scope::default();
    let scope = scopes.get(scope).unwrap_or(&none);
    let rejects = settled.reject_handshake.unwrap_or(scope.reject_handshake);
    let old_ssl = settled.ssl.unwrap_or(scope.ssl);
    let refuses = settled.refuses(scope);
    for (listen, ids) in listens.into_iter().zip(used) {
        let sockets = ids.iter().filter_map(|&id| sockets.get(id as usize));
        let (mut ssl, mut default, mut by_place) = (old_ssl, false, true);
        for socket in sockets {
            // One `ssl` makes the whole socket speak TLS, for every server.
            ssl |= socket.ssl;
            if socket.default_server() == Some(number) {
                default = true;
                by_place &= socket.explicit.is_none();
            }
        }
        let mut text = listen.text;
        if ssl {
            text.push_str(" ssl");
        }
        if default {
            if refuses || (ssl && rejects) {
                site.refuses.push(text.clone());
            }
            if by_place {
                site.implicit_default.push(text.clone());
            }
            site.default.push(text.clone());
        }
        site.listen.push(text);
    }
    for list in [&mut site.listen, &mut site.default, &mut site.refuses, &mut site.implicit_default] {
        once(list);
    }
    site.shadowed = site.names.iter().zip(dead).filter(|(_, d)| **d).map(|(n, _)| n.clone()).collect();
    if site.root.is_none() {
        site.root.clone_from(&scope.root);
    }
    if site.certificates.is_empty() {
        site.certificates.clone_from(&scope.certificates);
    }
    if settled.lua || scope.lua {
        site.unbounded.push(Unbounded::Lua);
    }
    site
}

/// Lists up to this length are compared one by one.
const FEW: usize = 8;

/// Keeps the first of equal texts.
fn once(list: &mut Vec<String>) {
    if list.len() <= FEW {
        let mut at = 1;
        while let Some(text) = list.get(at) {
            if list.iter().take(at).any(|t| t == text) {
                list.remove(at);
            } else {
                at += 1;
            }
        }
        return;
    }
    let mut seen = HashSet::with_capacity(list.len());
    list.retain(|text| seen.insert(text.clone()));
}

/// nginx's tables of one socket: exact names, `*.x` and `.x` under `x`,
/// `x.*` under `x`, regexes. The value is the server that a name leads to.
#[derive(Default)]
struct Names<'a> {
    exact: HashMap<Cow<'a, str>, Option<u32>>,
    head: HashMap<Cow<'a, str>, u32>,
    tail: HashMap<Cow<'a, str>, u32>,
    regex: HashMap<&'a str, u32>,
}

impl<'a> Names<'a> {
    /// Enters a name; whether it leads to `server`.
    fn enter(&mut self, name: &'a str, server: u32) -> bool {
        if name.starts_with('~') {
            return *self.regex.entry(name).or_insert(server) == server;
        }
        if let Some(base) = name.strip_prefix("*.") {
            return *self.head.entry(lower(base)).or_insert(server) == server;
        }
        if let Some(base) = name.strip_suffix(".*") {
            return *self.tail.entry(lower(base)).or_insert(server) == server;
        }
        if let Some(base) = name.strip_prefix('.') {
            let base = lower(base);
            // An exact name takes all of `.x`, subdomains included…
            if let Some(owner) = self.exact.get(&base) {
                return *owner == Some(server) && self.head.get(&base) == Some(&server);
            }
            // …and a `*.x` leaves `x` itself to nobody (nginx 1.22, seen).
            let alive = !self.head.contains_key(&base);
            self.exact.insert(base.clone(), alive.then_some(server));
            if alive {
                self.head.insert(base, server);
            }
            return alive;
        }
        *self.exact.entry(lower(name)).or_insert(Some(server)) == Some(server)
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// For every name of every server in turn, whether no socket leads it there.
fn unreachable_names(src: &Source, servers: &[Server], sockets: &[Socket]) -> Vec<bool> {
    let mut offsets = Vec::with_capacity(servers.len());
    let mut total = 0;
    for s in servers {
        offsets.push(total);
        total += s.site.names.len();
    }
    let mut reached = vec![false; total];
    let mut spent = 0_usize;
    for socket in sockets {
        let mut names = Names::default();
        // A panel's sites have two names each.
        names.exact.reserve(if socket.servers.len() > 1 { socket.servers.len() * 2 } else { 0 });
        for &number in &socket.servers {
            let number_ = number as usize;
            let (Some(server), Some(&offset)) = (servers.get(number_), offsets.get(number_)) else {
                continue;
            };
            let own = &server.site.names;
            let Some(marks) = reached.get_mut(offset..offset + own.len()) else { continue };
            spent = spent.saturating_add(own.len());
            // A server alone on its socket gets everything.
            if socket.servers.len() == 1 || spent > COMPARE_LIMIT || src.check_time().is_err() {
                marks.fill(true);
                continue;
            }
            for (name, mark) in own.iter().zip(marks) {
                *mark |= names.enter(name, number);
            }
        }
    }
    reached.iter_mut().for_each(|m| *m = !*m);
    reached
}

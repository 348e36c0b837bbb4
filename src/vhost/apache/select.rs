//! Which server record answers on which address for which name, as Apache's
//! `vhost.c` decides it when it starts and with every request.
//!
//! Records are chained by address and port, in load order. A connection goes
//! to the chain of its exact address, there first by its port, then by "any
//! port"; without one, to a chain of the wildcard address by the same rule;
//! else to the main server. In a chain the first record that has the name
//! answers (ServerName, alias or wildcard alias alike), else the chain's
//! first. 2.2 makes such chains only where NameVirtualHost says so (see
//! `old`).

mod old;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use super::server::{Addr, Host, Listen, Server};
use old::Link;

/// The part of a site that selection decides.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub listen: Vec<String>,
    pub default: Vec<String>,
    /// Those of `default` with an explicit mark.
    pub marked: Vec<String>,
    pub shadowed: Vec<String>,
}

/// Steps that one scan spends on shadowed names and on "every port"; hostile
/// trees with ten thousand wildcards on ten thousand addresses stop here.
const STEPS: u64 = 20_000_000;
/// Names by chain that are remembered for that; a wildcard counts as several.
const STORED: usize = 1_000_000;
const WILD_COSTS: usize = 16;
/// Listens that "every port" is compared with, all records together.
const EXPANSIONS: usize = 2_000_000;

/// All chains of a configuration.
pub(super) struct Chains<'a> {
    servers: &'a [Server],
    listens: &'a [Listen],
    /// Host and port to the record that answers unknown names, and a number.
    chains: HashMap<(&'a Host, u16), (usize, u32)>,
    /// In 2.2, where each address of each record went.
    links: Option<Vec<Vec<Link>>>,
    ports: HashMap<u16, bool>,
}

impl<'a> Chains<'a> {
    /// Chains the records; the first of `servers` is the main server. With
    /// `name_hosts`, the addresses of NameVirtualHost, as 2.2 does it.
    pub fn new(servers: &'a [Server], listens: &'a [Listen], name_hosts: Option<&'a [Addr]>) -> Self {
        let mut chains = HashMap::new();
        let mut links = None;
        if let Some(name_hosts) = name_hosts {
            let old = old::chain(servers, name_hosts);
            (chains, links) = (old.chains, Some(old.links));
        } else {
            for (i, s) in servers.iter().enumerate().skip(1) {
                for a in &s.addrs {
                    let n = u32::try_from(chains.len()).unwrap_or(u32::MAX);
                    chains.entry((&a.host, a.port)).or_insert((i, n));
                }
            }
        }
        let mut ports = HashMap::new();
        for l in listens {
            *ports.entry(l.addr.port).or_insert(false) |= l.https;
        }
        Chains { servers, listens, chains, links, ports }
    }

    /// Whether TLS ends at a vhost: its own or the main server's SSLEngine,
    /// else the protocol of the Listen of its first address's port.
    pub fn ssl(&self, server: &Server) -> bool {
        let main = self.servers.first().and_then(|m| m.ssl);
        server.ssl.or(main).unwrap_or_else(|| {
            server.addrs.first().is_some_and(|a| self.ports.get(&a.port).copied().unwrap_or(false))
        })
    }

    /// Where the `n`th address `a` of record `i` went.
    fn link(&self, i: usize, n: usize, a: &Addr) -> Option<Link> {
        match &self.links {
            Some(links) => links.get(i)?.get(n).copied(),
            None => {
                let &(first, number) = self.chains.get(&(&a.host, a.port))?;
                Some(Link { first, number, port: a.port, lost: false })
            }
        }
    }

    /// Whether a Listen opens one of a record's ports (true without any
    /// Listen: then not all of the configuration is here).
    pub fn reachable(&self, server: &Server) -> bool {
        self.ports.is_empty()
            || server.addrs.is_empty()
            || server
                .addrs
                .iter()
                .any(|a| a.port == 0 || matches!(a.host, Host::Name(_)) || self.ports.contains_key(&a.port))
    }

    /// Where each record stands, in the order of the records. The main
    /// server's listens are the Listens that no record takes.
    pub fn places(&self) -> Vec<Place> {
        let mut shadows = Shadows::new(self.servers);
        let mut expansions = EXPANSIONS;
        let mut places = Vec::with_capacity(self.servers.len());
        for (i, s) in self.servers.iter().enumerate() {
            if i == 0 {
                places.push(self.main(s));
                continue;
            }
            let suffix = if self.ssl(s) { " ssl" } else { "" };
            let some = s.addrs.len().min(16);
            let mut place = Place { listen: Vec::with_capacity(some), ..Place::default() };
            let mut numbers: Vec<u32> = Vec::with_capacity(s.addrs.len());
            for (n, a) in s.addrs.iter().enumerate() {
                let Some(link) = self.link(i, n, a) else { continue };
                let texts = self.texts(a, link.port, suffix, &mut expansions);
                for text in texts {
                    // A line of thousands of addresses is cleaned up below.
                    if s.addrs.len() <= 16 && place.listen.contains(&text) {
                        continue;
                    }
                    if link.first == i && !link.lost {
                        if a.marked {
                            place.marked.push(text.clone());
                        }
                        place.default.reserve_exact(1);
                        place.default.push(text.clone());
                    }
                    place.listen.push(text);
                }
                if !link.lost {
                    numbers.push(link.number);
                }
            }
            if s.addrs.len() > 16 {
                for list in [&mut place.listen, &mut place.default, &mut place.marked] {
                    let mut seen = HashSet::new();
                    list.retain(|l| seen.insert(l.clone()));
                }
            }
            numbers.sort_unstable();
            numbers.dedup();
            place.shadowed = match numbers.is_empty() && !s.addrs.is_empty() {
                // Others have all its addresses.
                true => s.names.clone(),
                false => shadows.enter(i, &numbers),
            };
            places.push(place);
        }
        places
    }

    /// The listens of one address: itself, or for "every port" the ports
    /// that come to it.
    fn texts(&self, a: &Addr, port: u16, suffix: &str, expansions: &mut usize) -> Vec<String> {
        let host = a.host_text();
        if let Host::Name(name) = &a.host
            && name.contains("${")
            && port == 0
        {
            return vec![format!("{name}{suffix}")];
        }
        if port != 0 {
            return vec![[&*host, ":", itoa(port, &mut [0; 5]), suffix].concat()];
        }
        let mut out: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        for l in self.listens {
            let port = l.addr.port;
            let comes = match (&a.host, &l.addr.host) {
                (Host::Any, Host::Ip(_)) => {
                    !self.chains.contains_key(&(&l.addr.host, port))
                        && !self.chains.contains_key(&(&l.addr.host, 0))
                }
                (Host::Any, _) => true,
                (_, Host::Any) => true,
                (a, l) => a == l,
            };
            if *expansions == 0 {
                break;
            }
            *expansions -= 1;
            if comes && !self.chains.contains_key(&(&a.host, port)) && seen.insert(port) {
                out.push(format!("{host}:{port}{suffix}"));
            }
        }
        if out.is_empty() {
            out.push(format!("{host}:*{suffix}"));
        }
        out
    }

    fn main(&self, main: &Server) -> Place {
        let ports: HashSet<u16> = self.chains.keys().map(|(_, port)| *port).collect();
        // A host name may mean any address.
        let named: HashSet<u16> =
            self.chains.keys().filter(|(h, _)| matches!(h, Host::Name(_))).map(|(_, port)| *port).collect();
        let mut place = Place::default();
        let mut seen = HashSet::new();
        for l in self.listens {
            let port = l.addr.port;
            let has =
                |host: &Host| self.chains.contains_key(&(host, port)) || self.chains.contains_key(&(host, 0));
            let taken = match &l.addr.host {
                Host::Ip(_) => {
                    has(&l.addr.host) || has(&Host::Any) || named.contains(&port) || named.contains(&0)
                }
                _ => ports.contains(&port) || ports.contains(&0),
            };
            // `Listen … https` turns nothing on here: seen.
            let suffix = if main.ssl == Some(true) { " ssl" } else { "" };
            let text = format!("{}:{port}{suffix}", l.addr.host_text());
            if !taken && seen.insert(text.clone()) {
                place.listen.push(text);
            }
        }
        place.default = place.listen.clone();
        place
    }
}

/// A port in digits; twenty thousand of them go through `format!` slowly.
fn itoa(mut port: u16, buffer: &mut [u8; 5]) -> &str {
    let mut at = buffer.len();
    for slot in buffer.iter_mut().rev() {
        *slot = b'0' + (port % 10) as u8;
        port /= 10;
        at -= 1;
        if port == 0 {
            break;
        }
    }
    std::str::from_utf8(buffer.get(at..).unwrap_or_default()).unwrap_or_default()
}

/// Names that earlier records of the same chain take.
struct Shadows<'a> {
    servers: &'a [Server],
    hasher: RandomState,
    /// Hash of chain and lower-case name to the first record that has it.
    exact: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
    lower: Vec<u8>,
    wild: HashMap<u32, Wild>,
    steps: u64,
    stored: usize,
}

/// The keys are hashes already, by a secret key.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(b);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// The wildcard aliases of one chain, by what stands behind their last mark.
#[derive(Default)]
struct Wild {
    lengths: Vec<usize>,
    /// Whether any suffix begins with something else than a dot.
    other_starts: bool,
    by_suffix: HashMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl<'a> Shadows<'a> {
    fn new(servers: &'a [Server]) -> Self {
        let exact = HashMap::with_capacity_and_hasher(
            servers.iter().map(|s| s.names.len()).sum(),
            BuildHasherDefault::default(),
        );
        Shadows {
            servers,
            hasher: RandomState::new(),
            exact,
            lower: Vec::new(),
            wild: HashMap::new(),
            steps: STEPS,
            stored: STORED,
        }
    }

    /// The main server's name, which a record without one takes over where it
    /// has a wildcard address. It is written nowhere in the record, so it is
    /// none of the site's names.
    fn implied(&self, s: &Server) -> Option<&'a String> {
        let main = self.servers.first().filter(|m| m.named)?;
        let takes = !s.named && s.addrs.iter().any(|a| a.host == Host::Any);
        main.names.first().filter(|_| takes)
    }

    /// Notes record `i` in its chains; its names that it has in none of them
    /// for itself.
    fn enter(&mut self, i: usize, chains: &[u32]) -> Vec<String> {
        let Some(server) = self.servers.get(i) else { return Vec::new() };
        let mut out = Vec::new();
        let mut new_wild: Vec<(u32, Vec<u8>)> = Vec::new();
        for name in &server.names {
            let wild = name.contains(['*', '?']);
            let cost = chains.len() * if wild { WILD_COSTS } else { 1 };
            if self.stored < cost {
                self.stored = 0;
                break;
            }
            self.stored -= cost;
            let mut lower = std::mem::take(&mut self.lower);
            lower.clear();
            lower.extend(name.bytes().map(|b| b.to_ascii_lowercase()));
            let mut everywhere = !chains.is_empty();
            for &chain in chains {
                let key = self.hasher.hash_one((chain, &lower));
                let earlier = *self.exact.entry(key).or_insert(i as u32) as usize;
                // Two names of one hash are possible in principle.
                let exact = earlier != i
                    && self.servers.get(earlier).is_some_and(|s| {
                        s.names.iter().chain(self.implied(s)).any(|n| n.eq_ignore_ascii_case(name))
                    });
                let taken = exact || self.wild.get(&chain).is_some_and(|w| w.takes(&lower, &mut self.steps));
                everywhere &= taken;
            }
            if everywhere {
                out.push(name.clone());
            }
            if wild {
                new_wild.extend(chains.iter().map(|&c| (c, lower.clone())));
            }
            self.lower = lower;
        }
        if let Some(name) = self.implied(server) {
            let lower = name.to_ascii_lowercase().into_bytes();
            for &chain in chains {
                self.exact.entry(self.hasher.hash_one((chain, &lower))).or_insert(i as u32);
            }
        }
        // Its own wildcards do not shadow its own names.
        for (chain, pattern) in new_wild {
            self.wild.entry(chain).or_default().add(pattern);
        }
        out
    }
}

impl Wild {
    fn add(&mut self, pattern: Vec<u8>) {
        let tail = pattern.iter().rposition(|b| matches!(b, b'*' | b'?')).map_or(0, |p| p + 1);
        let suffix = pattern.get(tail..).unwrap_or_default().to_vec();
        self.other_starts |= suffix.first().is_some_and(|b| *b != b'.');
        if let Err(at) = self.lengths.binary_search(&suffix.len()) {
            self.lengths.insert(at, suffix.len());
        }
        self.by_suffix.entry(suffix).or_default().push(pattern);
    }

    fn takes(&self, name: &[u8], steps: &mut u64) -> bool {
        for &len in self.lengths.iter().take_while(|&&l| l <= name.len()) {
            let Some(suffix) = name.get(name.len() - len..) else { continue };
            // Nearly all suffixes begin with a dot, which most names have
            // elsewhere.
            if suffix.first().is_some_and(|b| *b != b'.') && !self.other_starts {
                continue;
            }
            let Some(patterns) = self.by_suffix.get(suffix) else { continue };
            for p in patterns {
                let cost = 1 + name.len() as u64 / 8;
                if *steps < cost {
                    *steps = 0;
                    return false;
                }
                *steps -= cost;
                if covers(p, name) {
                    return true;
                }
            }
        }
        false
    }
}

/// Whether every host that `name` stands for matches `pattern`, both in lower
/// case: `*` is any text, `?` one character. `name` may be a wildcard itself:
/// its `*` is covered by a `*` alone, its `?` by either.
pub(super) fn covers(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), name.get(n)) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                p += 1;
                back = Some((p, n));
                continue;
            }
            (Some(b'?'), Some(c)) if *c != b'*' => {
                p += 1;
                n += 1;
                continue;
            }
            (Some(a), Some(b)) if a == b => {
                p += 1;
                n += 1;
                continue;
            }
            _ => {}
        }
        match back {
            Some((bp, bn)) if bn < name.len() => {
                p = bp;
                n = bn + 1;
                back = Some((bp, n));
            }
            _ => return false,
        }
    }
}

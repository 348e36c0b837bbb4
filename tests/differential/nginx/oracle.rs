//! Who answers, told from our list of sites alone, by nginx's documented
//! order: exact name, longest `*.x`, longest `x.*`, first regex, default.

use std::collections::HashMap;

use beian::facts::Site;

use super::model::REGEXES;

/// The sites of one socket, by the text of their listen.
pub struct Socket<'a> {
    sites: Vec<(usize, &'a Site)>,
    default: Option<usize>,
    exact: HashMap<String, Option<usize>>,
    head: HashMap<String, (usize, bool)>,
    tail: HashMap<String, usize>,
    regex: Vec<(&'a str, usize)>,
    /// Names that lead nowhere on this socket, by site.
    pub dead: Vec<(usize, &'a str)>,
}

impl<'a> Socket<'a> {
    /// The socket that a connection to `address` (as in a listen) and `port`
    /// reaches; `None` where nobody listens.
    pub fn reached(sites: &'a [Site], address: &str, port: u16) -> Option<Socket<'a>> {
        let any = if address.starts_with('[') { "[::]" } else { "*" };
        [address, any].iter().find_map(|a| Socket::new(sites, &format!("{a}:{port}")))
    }

    pub fn new(sites: &'a [Site], listen: &str) -> Option<Socket<'a>> {
        let has = |list: &[String]| list.iter().any(|l| l == listen);
        let mine: Vec<_> = sites.iter().enumerate().filter(|(_, s)| has(&s.listen)).collect();
        if mine.is_empty() {
            return None;
        }
        let mut defaults = mine.iter().filter(|(_, s)| has(&s.default)).map(|(i, _)| *i);
        let default = defaults.next();
        assert_eq!(defaults.next(), None, "two defaults on {listen}");
        let mut socket = Socket {
            sites: mine,
            default,
            exact: HashMap::new(),
            head: HashMap::new(),
            tail: HashMap::new(),
            regex: Vec::new(),
            dead: Vec::new(),
        };
        for (i, site) in socket.sites.clone() {
            for name in &site.names {
                if !socket.enter(i, name) {
                    socket.dead.push((i, name));
                }
            }
        }
        if socket.sites.len() == 1 {
            socket.dead.clear();
        }
        Some(socket)
    }

    /// The first to claim a name has it; `.x` claims both `x` and `*.x` or
    /// nothing.
    fn enter(&mut self, site: usize, name: &'a str) -> bool {
        if name.starts_with('~') {
            let first = self.regex.iter().find(|(n, _)| *n == name).map(|(_, s)| *s);
            self.regex.push((name, site));
            return first.is_none_or(|s| s == site);
        }
        let name = name.to_ascii_lowercase();
        if let Some(base) = name.strip_prefix("*.") {
            return self.head.entry(base.to_owned()).or_insert((site, false)).0 == site;
        }
        if let Some(base) = name.strip_suffix(".*") {
            return *self.tail.entry(base.to_owned()).or_insert(site) == site;
        }
        if let Some(base) = name.strip_prefix('.') {
            if self.exact.contains_key(base) {
                let whole = self.head.get(base) == Some(&(site, true));
                return whole
                    || self.head.get(base) == Some(&(site, false)) && self.exact[base] == Some(site);
            }
            let free = !self.head.contains_key(base);
            self.exact.insert(base.to_owned(), None);
            if free {
                self.head.insert(base.to_owned(), (site, true));
            }
            return free;
        }
        // `.x` of the same site has brought `x` there already.
        self.head.get(&name) == Some(&(site, true))
            || *self.exact.entry(name).or_insert(Some(site)) == Some(site)
    }

    /// The index of the site that answers a (lower-case) host.
    pub fn answers(&self, host: &str) -> Option<usize> {
        if let [(only, _)] = self.sites[..] {
            return Some(only);
        }
        if let Some(Some(site)) = self.exact.get(host) {
            return Some(*site);
        }
        if let Some((site, true)) = self.head.get(host) {
            return Some(*site);
        }
        let dots: Vec<usize> = host.match_indices('.').map(|(i, _)| i).collect();
        for &dot in &dots {
            if dot > 0
                && let Some((site, _)) = self.head.get(&host[dot + 1..])
            {
                return Some(*site);
            }
        }
        for &dot in dots.iter().rev() {
            if dot + 1 < host.len()
                && let Some(site) = self.tail.get(&host[..dot])
            {
                return Some(*site);
            }
        }
        for (name, site) in &self.regex {
            // Without a host no regex is tried.
            if host.is_empty() {
                break;
            }
            let regex = REGEXES.iter().find(|r| r.text == *name).expect("a regex of the model");
            if (regex.matches)(host) {
                return Some(*site);
            }
        }
        self.default
    }
}

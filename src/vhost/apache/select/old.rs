//! Apache 2.2's chains: name-based only where NameVirtualHost says so.
//!
//! A `NameVirtualHost` opens a chain for its address; a vhost of that address
//! joins it and is found by name. A vhost of any other address takes the
//! address for itself, whatever the name; of several with the same one the
//! first in load order wins and the others are never reached. Addresses are
//! the same with equal ports, or where one of the two is "any port" (2.2's
//! documentation, "An In-Depth Discussion of Virtual Host Matching").
//! `_default_` and `*` are one address here too, but for ports: the wildcard
//! of one port never joins that of every port.

use std::collections::HashMap;

use crate::vhost::apache::server::{Addr, Host, Server};

/// Who has an address.
#[derive(Debug)]
struct Chain<'a> {
    host: &'a Host,
    port: u16,
    by_name: bool,
    /// The record that answers there without a name, once there is one.
    first: Option<usize>,
}

/// Where one address of one record went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// The record that answers unknown names there.
    pub first: usize,
    /// Records of the same number are told apart by name.
    pub number: u32,
    /// The port of the address, or that of the chain where it has none.
    pub port: u16,
    /// Another record has the address; this one is never reached there.
    pub lost: bool,
}

/// All of them, and where each address of each record went.
pub(super) struct Old<'a> {
    /// The addresses that are looked up when a connection comes.
    pub chains: HashMap<(&'a Host, u16), (usize, u32)>,
    /// By record, then by address.
    pub links: Vec<Vec<Link>>,
}

/// Chains the records; the first of `servers` is the main server.
pub(super) fn chain<'a>(servers: &'a [Server], name_hosts: &'a [Addr]) -> Old<'a> {
    let mut chains: Vec<Chain<'a>> = Vec::new();
    let mut exact: HashMap<(&Host, u16), usize> = HashMap::new();
    // What an address of every port meets: the first chain of its host.
    let mut of_host: HashMap<&Host, usize> = HashMap::new();
    for a in name_hosts {
        exact.entry((&a.host, a.port)).or_insert_with(|| {
            of_host.entry(&a.host).or_insert(chains.len());
            chains.push(Chain { host: &a.host, port: a.port, by_name: true, first: None });
            chains.len() - 1
        });
    }
    // From the last record to the first, so that earlier ones win.
    let mut joined: Vec<Vec<usize>> = vec![Vec::new(); servers.len()];
    for (i, s) in servers.iter().enumerate().skip(1).rev() {
        let Some(mine) = joined.get_mut(i) else { continue };
        for a in &s.addrs {
            let mut found = exact.get(&(&a.host, a.port)).or_else(|| exact.get(&(&a.host, 0))).copied();
            if found.is_none() && a.port == 0 && a.host != Host::Any {
                found = of_host.get(&a.host).copied();
            }
            // A port of the wildcard's own may stand beside "every port".
            if let Some(c) = found
                && a.host == Host::Any
                && chains.get(c).is_some_and(|c| !c.by_name && c.port != a.port)
            {
                found = None;
            }
            let at = match found {
                Some(c) => c,
                None => {
                    exact.insert((&a.host, a.port), chains.len());
                    // Chains by name go first, then the earliest record's.
                    let first = of_host.entry(&a.host).or_insert(chains.len());
                    if chains.get(*first).is_some_and(|c| !c.by_name) {
                        *first = chains.len();
                    }
                    chains.push(Chain { host: &a.host, port: a.port, by_name: false, first: None });
                    chains.len() - 1
                }
            };
            if let Some(c) = chains.get_mut(at) {
                if !c.by_name && c.port != a.port {
                    // The winner's port counts from now on.
                    exact.remove(&(c.host, c.port));
                    c.port = a.port;
                    exact.insert((c.host, c.port), at);
                }
                c.first = Some(i);
            }
            mine.push(at);
        }
    }
    let mut numbers: HashMap<(usize, u16), u32> = HashMap::new();
    let links = servers.iter().zip(&joined).enumerate().map(|(i, (s, mine))| {
        let link = |(a, &at): (&Addr, &usize)| {
            let c = chains.get(at)?;
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            Some(Link {
                first: c.first?,
                // In one chain names are compared for the same port only.
                number: *numbers.entry((at, a.port)).or_insert(next),
                port: if a.port == 0 { c.port } else { a.port },
                lost: !c.by_name && c.first != Some(i),
            })
        };
        s.addrs.iter().zip(mine).filter_map(link).collect()
    });
    let links = links.collect();
    let looked_up = exact.iter().filter_map(|(key, &at)| Some((*key, (chains.get(at)?.first?, 0)))).collect();
    Old { chains: looked_up, links }
}

//! Which site should answer, by the reader's sites alone, and which does.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use beian::config::Limits;
use beian::facts::{Server, Site};
use beian::source::Source;
use beian::vhost::{self, Entry};

use super::generate::Tree;
use super::server::{self, Apache};

/// What was compared.
#[derive(Debug, Default)]
pub struct Counts {
    pub trees: usize,
    pub sites: usize,
    pub requests: usize,
    pub shadowed: usize,
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        self.trees += other.trees;
        self.sites += other.sites;
        self.requests += other.requests;
        self.shadowed += other.shadowed;
    }
}

fn sites(tree: &Tree) -> Result<Vec<Site>, String> {
    let src = Source::open(Path::new("/"), Limits::default()).map_err(|e| e.to_string())?;
    let quoted = |o: &String| if o.contains(' ') { format!("\"{o}\"") } else { o.clone() };
    let mut args: Vec<String> = vec!["-d".into(), tree.dir.to_str().unwrap().into()];
    args.extend(server::module_options().iter().chain(&tree.options).map(quoted));
    let entry = Entry { path: tree.main.to_str().unwrap().into(), args: Some(args.join(" ")) };
    let scan = vhost::read(&src, Server::Apache, &entry);
    let bad: Vec<_> = scan.problems.iter().filter(|p| p.kind.incomplete()).collect();
    if !bad.is_empty() {
        return Err(format!("problems in a tree that Apache takes: {bad:?}"));
    }
    Ok(scan.sites)
}

/// `ADDRESS:PORT` without ` ssl`.
fn listens(site: &Site, at: &str) -> bool {
    site.listen.iter().any(|l| l == at)
}

/// The sites that an address leads to, in order, and the listen by which.
fn group(sites: &[Site], ip: IpAddr, port: u16) -> (Vec<(usize, &Site)>, Vec<String>) {
    let exact = match ip {
        IpAddr::V4(ip) => format!("{ip}:{port}"),
        IpAddr::V6(ip) => format!("[{ip}]:{port}"),
    };
    let any = [format!("*:{port}"), format!("[::]:{port}")];
    for ways in [vec![exact], any.to_vec()] {
        let found: Vec<_> =
            sites.iter().enumerate().filter(|(_, s)| ways.iter().any(|w| listens(s, w))).collect();
        if !found.is_empty() {
            return (found, ways);
        }
    }
    (Vec::new(), Vec::new())
}

/// Apache's wildcard match, written down once more and plainly.
fn matches(pattern: &[u8], host: &[u8]) -> bool {
    match (pattern.split_first(), host.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => matches(rest, host) || (!host.is_empty() && matches(pattern, &host[1..])),
        (Some((b'?', p)), Some((_, h))) => matches(p, h),
        (Some((a, p)), Some((b, h))) => a.eq_ignore_ascii_case(b) && matches(p, h),
        _ => false,
    }
}

fn takes(site: &Site, host: &str, ignore_shadowed: bool) -> bool {
    site.names
        .iter()
        .any(|n| !(ignore_shadowed && site.shadowed.contains(n)) && matches(n.as_bytes(), host.as_bytes()))
}

/// Hosts that a name stands for.
fn instances(name: &str) -> Vec<String> {
    if !name.contains(['*', '?']) {
        return vec![name.to_owned(), name.to_ascii_uppercase()];
    }
    ["x", "a.b", ""].iter().map(|s| name.replace('*', s).replace('?', "q")).filter(|h| valid(h)).collect()
}

fn valid(host: &str) -> bool {
    !host.is_empty()
        && !host.starts_with('.')
        && !host.ends_with('.')
        && !host.contains("..")
        && !host.contains('$')
}

/// Compares one tree.
pub fn compare(tree: &Tree, apache: &Apache) -> Result<Counts, String> {
    let sites = sites(tree)?;
    let mut counts = Counts { trees: 1, sites: sites.len(), ..Counts::default() };
    let mut hosts = BTreeSet::from(["zz-unknown.example.net".to_owned()]);
    for s in &sites {
        hosts.extend(s.names.iter().flat_map(|n| instances(n)).filter(|h| valid(h)));
        counts.shadowed += s.shadowed.len();
    }
    let hosts: Vec<String> = hosts.into_iter().collect();
    // For each name that no one shadows, whether it reached its site.
    let mut reached = BTreeSet::new();
    let mut reachable = BTreeSet::new();
    for target in tree.targets() {
        let (ip, port) = (target.ip(), target.port());
        let (group, ways) = group(&sites, ip, port);
        // A vhost without ServerName takes over the main server's, which is
        // written nowhere in it: not a name of its site.
        let hosts: Vec<String> = hosts
            .iter()
            .filter(|h| {
                group.iter().all(|(_, s)| s.root.as_deref() == Some("srv/main"))
                    || !h.eq_ignore_ascii_case("main.ex.test")
            })
            .cloned()
            .collect();
        let answers = apache.ask(ip, port, &hosts)?;
        counts.requests += answers.len();
        let defaults: Vec<usize> = group
            .iter()
            .filter(|(_, s)| s.default.iter().any(|d| ways.contains(d)))
            .map(|(i, _)| *i)
            .collect();
        if !group.is_empty() && defaults.len() != 1 {
            return Err(format!("{} defaults on {target}: {group:?}", defaults.len()));
        }
        for (host, got) in hosts.iter().zip(&answers) {
            let pick = |ignore| {
                let hit = group.iter().find(|(_, s)| takes(s, host, ignore)).map(|(i, _)| *i);
                hit.or(defaults.first().copied())
            };
            for ignore_shadowed in [false, true] {
                let picked = pick(ignore_shadowed);
                // Where no site of ours is, the main server answers.
                let want = picked
                    .and_then(|i| sites[i].root.as_deref())
                    .and_then(|r| r.strip_prefix("srv/"))
                    .unwrap_or("main");
                if want != got {
                    let who = if ignore_shadowed { "without shadowed names " } else { "" };
                    return Err(format!(
                        "{target} Host {host}: {who}the sites say {want}, Apache answers {got}; sites: {sites:#?}"
                    ));
                }
            }
            if let Some(i) = pick(false) {
                for n in sites[i].names.iter().filter(|n| n.eq_ignore_ascii_case(host)) {
                    reached.insert((i, n.clone()));
                }
            }
        }
        for (i, s) in &group {
            for n in &s.names {
                reachable.insert((*i, n.clone()));
            }
        }
    }
    for (i, name) in reachable {
        let s = &sites[i];
        let all_asked = s.listen.iter().all(|l| tree.is_asked(l));
        if name.contains(['*', '?', '$']) || !all_asked {
            continue;
        }
        let shadowed = s.shadowed.contains(&name);
        if shadowed == reached.contains(&(i, name.clone())) {
            return Err(format!("{name} of site {i}: shadowed is {shadowed}, seen otherwise; {sites:#?}"));
        }
    }
    Ok(counts)
}

//! Apache HTTP Server 2.2 and 2.4: `<VirtualHost>`s and the main server.
//!
//! The configuration is read as Apache reads it: line by line in load order,
//! with `Define`, `LoadModule`, `Include` and macros taking effect where they
//! stand. The version is that of the installed server, where the root has one
//! (see `binary`); else the tree's own marks tell 2.2 (see `evidence`), and
//! without them 2.4 counts.

mod binary;
mod condition;
mod content;
mod directive;
mod env;
mod evidence;
mod include;
mod line;
mod macros;
mod remember;
mod sections;
mod select;
mod server;
mod suse;
mod variables;
mod walk;

use crate::facts::{Problem, ProblemKind, Scan, Server as Kind, Site, Unbounded};
use crate::source::{Source, decode, fold};
use crate::vhost::Entry;
use crate::vhost::memory::Recall;

use condition::Version;
use env::{Options, Vars};
use select::{Chains, Place};
use server::{Host, Server};
use suse::Suse;
use walk::Walk;

/// Upstreams of the main server that vhosts inherit, at most.
const INHERITED: usize = 16;

/// Reads an Apache configuration from its main file.
///
/// Sites come in load order; the main server, where a `Listen` port is left
/// to it, comes first, at line 1 of the main file. `names` are in the order of
/// the file (of several ServerNames the last one counts), `listen` are the
/// addresses of the `<VirtualHost>` line, a port left out stands for every
/// `Listen` that comes to it. `default` and `shadowed` follow Apache's own
/// choice (see `select`); a name is shadowed when it is taken on all of the
/// site's listens. `implicit_default` are the defaults of sites with names,
/// unless `_default_` is written.
///
/// `redirect` is set where everything below `/` is sent to one target, before
/// any other rule; `refuses` where everything below `/` is refused and nothing
/// in the vhost can allow it again.
///
/// Variables come from `Define` in load order, then from the `envvars` beside
/// the main file (or `bin/envvars` below ServerRoot) and, for `/etc/httpd`,
/// from `/etc/sysconfig/httpd`, whose `OPTIONS` are the start options when
/// the entry has none. SUSE's `/etc/sysconfig/apache2` stands for the start
/// options of its main file in the same way (see `suse`).
pub fn read(src: &Source, entry: &Entry) -> Scan {
    read_tree(src, entry, None)
}

/// The same with what is known from earlier readings.
pub(super) fn read_with(src: &Source, entry: &Entry, memory: Recall<'_>) -> Scan {
    read_tree(src, entry, Some(memory))
}

fn read_tree(src: &Source, entry: &Entry, mut memory: Option<Recall<'_>>) -> Scan {
    let main = fold(&entry.path);
    let mut args = entry.args.clone();
    let mut env = Vars::new();
    if main.starts_with(b"/etc/httpd/")
        && let Ok(file) = src.read(b"/etc/sysconfig/httpd")
    {
        env = env::environment_file(&file.bytes);
        if args.is_none() {
            args = env.get(&b"OPTIONS"[..]).map(|o| decode(o));
        }
    }
    // A command line that somebody knows holds all that SUSE's script makes.
    let suse = if args.is_none() { Suse::read(src, &main) } else { None };
    let options = match &suse {
        Some(suse) => suse.options(src),
        None => Options::parse(args.as_deref().unwrap_or_default()),
    };
    let folder = parent(&main);
    let server_root = match &options.server_root {
        Some(root) => fold(root).into_owned(),
        // Debian's and SUSE's are compiled in.
        None if suse.is_some() => b"/srv/www".to_vec(),
        None if main.starts_with(b"/etc/apache2/") => b"/etc/apache2".to_vec(),
        None => parent(folder).to_vec(),
    };
    for path in [[folder, b"/envvars"].concat(), [&server_root, &b"/bin/envvars"[..]].concat()] {
        if let Ok(file) = src.read(&path) {
            env.extend(env::envvars(&file.bytes));
            break;
        }
    }

    let walked = |assumed: Version, memory| {
        let mut walk = Walk::new(src, &main, server_root.clone(), env.clone(), &options, assumed);
        walk.remember(memory);
        if !options.before.is_empty() {
            walk.run_made(&main, options.before.clone());
        }
        walk.run_main(&main);
        let mut after = options.after.clone();
        if let Some(suse) = &suse
            && !walk.suse_include
        {
            after.extend(suse.after(src));
        }
        if !after.is_empty() {
            walk.run_made(&main, after);
        }
        walk
    };
    let mut walk = walked(Version::DEFAULT, memory.take());
    let mut version = walk.version();
    let told = walk.httpd().is_some_and(|h| h.version.is_some());
    if !told && walk.evidence.is_old() {
        version = Version::OLD;
        // Tests were answered as for 2.4: what they hide is read now.
        if walk.version_asked {
            src.next_tree();
            let memory = walk.forget();
            walk = walked(version, memory);
        }
    }
    if let Some(memory) = walk.forget() {
        memory.end();
    }
    finish(walk, version)
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&b| b == b'/').and_then(|at| path.get(..at)).unwrap_or_default()
}

fn finish(walk: Walk<'_>, version: Version) -> Scan {
    let Walk { servers, listens, name_hosts, problems, opened, .. } = walk;
    let mut scan = Scan { sites: Vec::with_capacity(servers.len()), problems };
    let name_hosts = version.is_old().then_some(&*name_hosts);
    let chains = Chains::new(&servers, &listens, name_hosts);
    let places = chains.places();
    let unreachable: Vec<bool> = servers.iter().map(|s| !chains.reachable(s)).collect();
    let ssl: Vec<bool> = servers.iter().map(|s| chains.ssl(s)).collect();
    let mut records = servers.into_iter().zip(places).zip(ssl.into_iter().zip(unreachable));
    let Some(((main, place), _)) = records.next() else { return scan };
    let inherited = main.clone();
    if opened && !place.listen.is_empty() {
        let tls = place.listen.iter().any(|l| l.ends_with(" ssl"));
        scan.sites.push(site(main, place, tls, None));
    }
    for ((server, place), (tls, unreachable)) in records {
        if unreachable && scan.problems.len() < 10_000 {
            let message = "no Listen opens a port of this VirtualHost";
            scan.problems.push(Problem::at(
                &*server.file,
                Some(server.line),
                ProblemKind::SiteDisabled,
                message,
            ));
        }
        scan.sites.push(site(server, place, tls, Some(&inherited)));
    }
    scan
}

fn site(server: Server, place: Place, tls: bool, main: Option<&Server>) -> Site {
    let mut site = Site::new(Kind::Apache, &*server.file, server.line);
    site.listen = place.listen;
    site.default = place.default;
    site.shadowed = place.shadowed;
    site.names = server.names;
    site.upstream = server.upstream;
    site.certificates = server.certificates;
    site.redirect = server.redirect;
    site.root = server.root;
    let mut vhost_alias = server.vhost_alias;
    let mut proxied = server.proxied;
    if let Some(main) = main {
        if site.root.is_none() {
            site.root.clone_from(&main.root);
        }
        if tls && site.certificates.is_empty() {
            site.certificates.clone_from(&main.certificates);
        }
        // mod_alias's redirects are inherited, mod_rewrite's rules are not.
        if site.redirect.is_none() && !main.rewrite.ruled {
            site.redirect.clone_from(&main.redirect);
        }
        for u in main.upstream.iter().take(INHERITED) {
            if !site.upstream.contains(u) {
                site.upstream.push(u.clone());
            }
        }
        vhost_alias |= main.vhost_alias;
        proxied |= main.proxied;
        if site.names.is_empty() {
            // Without a name of its own a vhost answers to the host name of
            // its address.
            for a in &server.addrs {
                if let Host::Name(name) = &a.host
                    && !name.contains("${")
                    && site.names.is_empty()
                {
                    site.names.push(name.to_string());
                }
            }
        }
    }
    if proxied {
        site.redirect = None;
    }
    if vhost_alias {
        site.unbounded.push(Unbounded::VhostAlias);
    }
    if server.access.denied && !server.access.doubtful && !proxied {
        site.refuses = site.default.clone();
    }
    if !site.names.is_empty() && !site.default.is_empty() {
        site.implicit_default = site.default.iter().filter(|l| !place.marked.contains(l)).cloned().collect();
    }
    if site.file.starts_with("/www/server/panel/vhost/apache/")
        && let Some(name) = server.server_name.and_then(|i| site.names.get(i))
        && made_up(name, &site.names)
    {
        site.synthetic = vec![name.clone()];
    }
    site
}

/// 宝塔 gives Apache a ServerName of eight hex digits, or `SSL`, before the
/// site, which stands among the aliases.
fn made_up(name: &str, names: &[String]) -> bool {
    let Some((head, rest)) = name.split_once('.') else { return false };
    let hex = head.len() == 8 && head.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (hex || head == "SSL") && names.iter().any(|n| n == rest)
}

#[cfg(test)]
mod tests;

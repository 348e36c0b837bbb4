//! Whatever is edited, reading with a memory says what reading anew says.

mod trees;

use std::collections::BTreeSet;
use std::path::Path;

use super::Memory;
use super::pack::{Packer, Unpacker};
use crate::config::Limits;
use crate::facts::{Scan, Server};
use crate::source::{Dirty, Reach, Source};
use crate::vhost::{self, Entry};
use trees::{Random, Root};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn entry(server: Server) -> Entry {
    let path: &[u8] = match server {
        Server::Nginx => b"/etc/nginx/nginx.conf",
        Server::Apache => b"/etc/apache2/apache2.conf",
    };
    Entry { path: path.to_vec(), args: None }
}

struct Reading {
    scan: Scan,
    reach: Reach,
    read: u64,
    opened: u64,
}

fn read(root: &Path, server: Server, limits: Limits, memory: Option<(&mut Memory, &Dirty)>) -> Reading {
    let src = Source::open(root, limits).unwrap().recording();
    let scan = match memory {
        None => vhost::read(&src, server, &entry(server)),
        Some((memory, dirty)) => {
            let scan = vhost::read_with(&src, server, &entry(server), memory, dirty);
            let reach = src.take_reach();
            memory.keep_reach(&reach);
            return Reading { scan, reach, read: src.files_read(), opened: src.files_opened() };
        }
    };
    Reading { scan, reach: src.take_reach(), read: src.files_read(), opened: src.files_opened() }
}

/// Everything that the whole reading reached is still reached: else a change
/// would go unnoticed.
fn reaches(with: &Reach, whole: &Reach, root: &Root) -> Result<(), String> {
    for folder in whole.folders() {
        if !with.has(folder) {
            return Err(format!("{} is not reached", folder.escape_ascii()));
        }
        for name in root.names() {
            if whole.wants(folder, name) && !with.wants(folder, name) {
                return Err(format!("{}/{} does not count", folder.escape_ascii(), name.escape_ascii()));
            }
        }
    }
    Ok(())
}

/// One tree, edited again and again; the number of files that were spared.
fn edited(seed: u64, server: Server) -> (u64, u64) {
    let mut random = Random::new(seed);
    let mut root = Root::new(&mut random, server);
    let limits = Limits {
        files: if random.one_in(6) { 30 } else { 200_000 },
        include_depth: if random.one_in(6) { 2 } else { 64 },
        file_bytes: if random.one_in(6) { 900 } else { 16 << 20 },
        ..Limits::default()
    };
    let mut memory = Memory::default();
    let (mut spared, mut all) = (0, 0);
    let mut dirty = Dirty::All;
    for step in 0..12 {
        let with = read(root.path(), server, limits, Some((&mut memory, &dirty)));
        let whole = read(root.path(), server, limits, None);
        let place = || format!("seed {seed}, {server}, step {step}; {}\n{}", root.last(), root.show());
        assert_eq!(with.scan.sites, whole.scan.sites, "{}", place());
        assert_eq!(with.scan.problems, whole.scan.problems, "{}", place());
        assert_eq!(with.read, whole.read, "{}", place());
        if let Err(e) = reaches(&with.reach, &whole.reach, &root) {
            panic!("{e}: {}", place());
        }
        spared += with.read - with.opened;
        all += with.read;
        let mut paths = BTreeSet::new();
        root.forget();
        for _ in 0..random.below(3) {
            paths.extend(root.edit(&mut random));
        }
        dirty = if random.one_in(20) { Dirty::All } else { Dirty::Paths(paths) };
    }
    (spared, all)
}

fn many(server: Server) {
    let (seed, trees) = (setting("BEIAN_DIFF_SEED", 1), setting("BEIAN_DIFF_TREES", 60));
    let (mut spared, mut all) = (0, 0);
    for i in 0..trees {
        let (s, a) = edited(seed + i, server);
        spared += s;
        all += a;
    }
    // Else this would prove nothing.
    assert!(spared * 4 > all, "only {spared} of {all} files were spared");
}

#[test]
fn nginx_with_memory_is_nginx() {
    many(Server::Nginx);
}

#[test]
fn apache_with_memory_is_apache() {
    many(Server::Apache);
}

/// A tree of sites, one file each.
fn sites(root: &Path, n: usize) {
    let folder = root.join("etc/nginx/conf.d");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(root.join("etc/nginx/php.conf"), "location ~ php { fastcgi_pass unix:/run/php.sock; }\n")
        .unwrap();
    std::fs::write(root.join("etc/nginx/nginx.conf"), "http {\n include conf.d/*.conf;\n}\n").unwrap();
    for i in 0..n {
        site(root, i, "80");
    }
}

fn site(root: &Path, i: usize, port: &str) {
    let text = format!(
        "server {{\n listen {port};\n server_name a{i}.example.com www.a{i}.example.com;\n root /srv/a{i};\n \
         include php.conf;\n}}\n"
    );
    std::fs::write(root.join(format!("etc/nginx/conf.d/a{i:05}.conf")), text).unwrap();
}

fn changed(paths: &[&str]) -> Dirty {
    Dirty::Paths(paths.iter().map(|p| p.as_bytes().into()).collect())
}

#[test]
fn one_changed_file_is_one_file_read() {
    let dir = tempfile::tempdir().unwrap();
    sites(dir.path(), 500);
    let mut memory = Memory::default();
    let limits = Limits::default();
    let first = read(dir.path(), Server::Nginx, limits, Some((&mut memory, &Dirty::nothing())));
    assert_eq!((first.opened, memory.len()), (1_001, 500));

    let again = read(dir.path(), Server::Nginx, limits, Some((&mut memory, &Dirty::nothing())));
    assert_eq!(again.opened, 1, "the main file");
    assert_eq!(again.scan.sites, first.scan.sites);

    site(dir.path(), 7, "81");
    let dirty = changed(&["/etc/nginx/conf.d/a00007.conf"]);
    let one = read(dir.path(), Server::Nginx, limits, Some((&mut memory, &dirty)));
    assert_eq!(one.opened, 3, "the main file, the site, its snippet");
    assert_eq!(one.scan.sites[7].listen, ["*:81"]);

    // Not told of: not seen. This is what the watch is for.
    site(dir.path(), 8, "82");
    let blind = read(dir.path(), Server::Nginx, limits, Some((&mut memory, &Dirty::nothing())));
    assert_eq!(blind.scan.sites[8].listen, ["*:80"]);
    let all = read(dir.path(), Server::Nginx, limits, Some((&mut memory, &Dirty::All)));
    assert_eq!((all.opened, all.scan.sites[8].listen.as_slice()), (1_001, &["*:82".to_owned()][..]));

    // The snippet of all sites.
    let snippet = changed(&["/etc/nginx/php.conf"]);
    let all = read(dir.path(), Server::Nginx, limits, Some((&mut memory, &snippet)));
    assert_eq!(all.opened, 1_001);
}

#[test]
fn other_settings_start_anew() {
    let dir = tempfile::tempdir().unwrap();
    sites(dir.path(), 5);
    let mut memory = Memory::default();
    read(dir.path(), Server::Nginx, Limits::default(), Some((&mut memory, &Dirty::All)));
    let other = Limits { file_bytes: 60, ..Limits::default() };
    let with = read(dir.path(), Server::Nginx, other, Some((&mut memory, &Dirty::nothing())));
    let whole = read(dir.path(), Server::Nginx, other, None);
    assert_eq!(with.scan.problems, whole.scan.problems);
    assert!(with.scan.sites.is_empty());
}

#[test]
fn absolute_links_start_at_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let at = |p: &str| dir.path().join(p);
    sites(dir.path(), 0);
    std::fs::create_dir_all(at("opt/one")).unwrap();
    std::fs::create_dir_all(at("opt/two")).unwrap();
    for (folder, name) in [("one", "one.example.com"), ("two", "two.example.com")] {
        let text = format!("server {{ listen 80; server_name {name}; }}\n");
        std::fs::write(at("opt").join(folder).join("s"), text).unwrap();
    }
    std::os::unix::fs::symlink("/opt/one", at("opt/live")).unwrap();
    std::os::unix::fs::symlink("/opt/live/s", at("etc/nginx/conf.d/s.conf")).unwrap();
    let mut memory = Memory::default();
    let limits = Limits::default();
    let names = |r: &Reading| r.scan.sites.iter().flat_map(|s| s.names.clone()).collect::<Vec<_>>();
    let r = read(dir.path(), Server::Nginx, limits, Some((&mut memory, &Dirty::All)));
    assert_eq!((names(&r), memory.len()), (vec!["one.example.com".to_owned()], 1));
    std::fs::remove_file(at("opt/live")).unwrap();
    std::os::unix::fs::symlink("/opt/two", at("opt/live")).unwrap();
    let r = read(dir.path(), Server::Nginx, limits, Some((&mut memory, &changed(&["/opt/live"]))));
    assert_eq!(names(&r), ["two.example.com"]);
    std::fs::write(at("opt/two/s"), "server { listen 80; server_name new.example.com; }\n").unwrap();
    let r = read(dir.path(), Server::Nginx, limits, Some((&mut memory, &changed(&["/opt/two/s"]))));
    assert_eq!(names(&r), ["new.example.com"]);
}

#[test]
fn many_edits_leave_no_rubbish() {
    let dir = tempfile::tempdir().unwrap();
    sites(dir.path(), 3_000);
    let mut memory = Memory::default();
    let limits = Limits::default();
    read(dir.path(), Server::Nginx, limits, Some((&mut memory, &Dirty::All)));
    let bytes = memory.bytes();
    assert!(bytes < 3_000 * 500, "{bytes}");
    for round in 0..40 {
        // A hundred sites each time.
        let paths: Vec<String> =
            (0..100).map(|i| format!("/etc/nginx/conf.d/a{:05}.conf", (round * 100 + i) % 3_000)).collect();
        let dirty = changed(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        read(dir.path(), Server::Nginx, limits, Some((&mut memory, &dirty)));
    }
    assert!(memory.bytes() < bytes * 2 + (1 << 20), "{} after {bytes}", memory.bytes());
}

#[test]
fn what_is_packed_comes_out() {
    let texts = ["", "a", "www.example.com", "b", "www.example.com", "备案.示例", "www.example.com"];
    let mut p = Packer::default();
    for n in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
        p.num(n);
    }
    p.fixed(77);
    for t in texts {
        p.text(t.as_bytes());
    }
    for b in [None, Some(false), Some(true)] {
        p.maybe(b);
    }
    p.list(&texts.map(str::to_owned));
    p.option(None);
    p.option(Some("x"));
    let bytes = p.done();
    let mut u = Unpacker::new(&bytes);
    for n in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(u.num(), Some(n));
    }
    assert_eq!(u.fixed(), Some(77));
    for t in texts {
        assert_eq!(u.string().as_deref(), Some(t));
    }
    for b in [None, Some(false), Some(true)] {
        assert_eq!(u.maybe(), Some(b));
    }
    assert_eq!(u.list().unwrap(), texts);
    assert_eq!(u.option(), Some(None));
    assert_eq!(u.option(), Some(Some("x".to_owned())));
    assert_eq!(u.num(), None, "the end");

    // Cut anywhere, it is refused, not misread.
    let mut p = Packer::default();
    p.list(&texts.map(str::to_owned));
    let bytes = p.done();
    for end in 0..bytes.len() {
        assert_eq!(Unpacker::new(&bytes[..end]).list(), None, "{end}");
    }
}

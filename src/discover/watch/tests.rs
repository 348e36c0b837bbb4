#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod random;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::config::Limits;
use crate::discover::{SEARCH, scan_reaching};
use crate::facts::{Scan, Server};
use crate::source::Source;

const FAST: Options = Options {
    quiet: Duration::from_millis(60),
    most: Duration::from_millis(400),
    poll: Duration::from_millis(200),
    watches: 16_384,
};
/// Nothing is this slow on a machine that works.
const LONG: Duration = Duration::from_secs(20);

/// A root with nginx, and what follows it as the daemon does.
struct Host {
    dir: tempfile::TempDir,
    watch: Watch,
    changes: mpsc::Receiver<Change>,
    names: Vec<String>,
}

const MAIN: &str = "http { include conf.d/*.conf; include sites-enabled/*; include /www/*/vhost.conf; include /opt/late.conf; }";

fn site(name: &str) -> String {
    format!("server {{ listen 80; server_name {name}; }}\n")
}

fn put(root: &Path, file: &str, text: &str) {
    let p = root.join(file);
    std::fs::create_dir_all(p.parent().unwrap()).unwrap();
    std::fs::write(p, text).unwrap();
}

fn names(scan: &Scan) -> Vec<String> {
    let mut names: Vec<String> = scan.sites.iter().flat_map(|s| s.names.iter().cloned()).collect();
    names.sort();
    names
}

fn scan(root: &Path) -> (Scan, Vec<TreeReach>) {
    scan_reaching(&Source::open(root, Limits::default()).unwrap().recording(), &[])
}

impl Host {
    fn new(options: Options) -> Host {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        put(root, "etc/nginx/nginx.conf", MAIN);
        put(root, "etc/nginx/conf.d/a.conf", &site("a.example.com"));
        put(root, "etc/nginx/sites-available/b", &site("b.example.com"));
        put(root, "etc/nginx/sites-enabled/.keep", "");
        put(root, "www/one/vhost.conf", &site("one.example.com"));
        symlink("../sites-available/b", root.join("etc/nginx/sites-enabled/b")).unwrap();
        let (send, changes) = mpsc::channel(4);
        let watch = Watch::start(root, send, options).unwrap();
        let mut s = Host { dir, watch, changes, names: Vec::new() };
        s.rescan();
        assert_eq!(s.names, ["a.example.com", "b.example.com", "one.example.com"]);
        s
    }

    fn root(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn rescan(&mut self) {
        let began = Began::now();
        let (scan, trees) = scan(&self.root());
        self.watch.follow(trees, began, false);
        self.names = names(&scan);
    }

    async fn change(&mut self) -> Change {
        tokio::time::timeout(LONG, self.changes.recv()).await.unwrap().unwrap()
    }

    /// Rescans at each change until the names are these.
    async fn becomes(&mut self, want: &[&str]) {
        let end = tokio::time::Instant::now() + LONG;
        while self.names != want {
            match tokio::time::timeout_at(end, self.changes.recv()).await {
                Ok(change) => drop(change.unwrap()),
                Err(_) => panic!("{:?} never became {want:?}; {:?}", self.names, self.watch.state()),
            }
            self.rescan();
        }
        self.calm().await;
        assert_eq!(self.names, want);
    }

    /// Until nothing is told any more.
    async fn calm(&mut self) {
        while tokio::time::timeout(FAST.most * 2, self.changes.recv()).await.is_ok() {
            self.rescan();
        }
    }
}

#[tokio::test]
async fn files_that_come_change_and_go() {
    let mut s = Host::new(FAST);
    s.calm().await;
    put(&s.root(), "etc/nginx/conf.d/n.conf", &site("n.example.com"));
    let change = s.change().await;
    assert!(change.dirty.covers(b"/etc/nginx/conf.d/n.conf"), "{change:?}");
    assert!(!change.dirty.covers(b"/etc/nginx/conf.d/a.conf"), "{change:?}");
    assert!(change.trees.contains(&(Some(Server::Nginx), b"/etc/nginx/nginx.conf".to_vec())));
    assert!(!change.trees.contains(&SEARCH));
    s.rescan();
    s.becomes(&["a.example.com", "b.example.com", "n.example.com", "one.example.com"]).await;
    // In place; by a temporary file; away.
    put(&s.root(), "etc/nginx/conf.d/a.conf", &site("a2.example.com"));
    s.becomes(&["a2.example.com", "b.example.com", "n.example.com", "one.example.com"]).await;
    put(&s.root(), "etc/nginx/conf.d/.n.tmp", &site("n2.example.com"));
    std::fs::rename(s.at("etc/nginx/conf.d/.n.tmp"), s.at("etc/nginx/conf.d/n.conf")).unwrap();
    s.becomes(&["a2.example.com", "b.example.com", "n2.example.com", "one.example.com"]).await;
    std::fs::remove_file(s.at("etc/nginx/conf.d/n.conf")).unwrap();
    std::fs::rename(s.at("etc/nginx/conf.d/a.conf"), s.at("etc/nginx/conf.d/a.conf.bak")).unwrap();
    s.becomes(&["b.example.com", "one.example.com"]).await;
    // What no pattern matches wakes nobody: an editor's backup.
    put(&s.root(), "etc/nginx/conf.d/a.conf~", "x");
    put(&s.root(), "etc/passwd", "x");
    assert!(tokio::time::timeout(FAST.most * 2, s.changes.recv()).await.is_err());
}

#[tokio::test]
async fn both_ends_of_links() {
    let mut s = Host::new(FAST);
    put(&s.root(), "etc/nginx/sites-available/b", &site("b2.example.com"));
    s.becomes(&["a.example.com", "b2.example.com", "one.example.com"]).await;
    // ln -sfn: made aside and renamed over.
    put(&s.root(), "srv/c", &site("c.example.com"));
    symlink("/srv/c", s.at("etc/nginx/.new")).unwrap();
    std::fs::rename(s.at("etc/nginx/.new"), s.at("etc/nginx/sites-enabled/b")).unwrap();
    s.becomes(&["a.example.com", "c.example.com", "one.example.com"]).await;
    put(&s.root(), "srv/c", &site("c2.example.com"));
    s.becomes(&["a.example.com", "c2.example.com", "one.example.com"]).await;
    // A folder becomes a link to another, and that is set anew.
    put(&s.root(), "v1/x.conf", &site("v1.example.com"));
    put(&s.root(), "v2/x.conf", &site("v2.example.com"));
    std::fs::rename(s.at("etc/nginx/conf.d"), s.at("etc/nginx/old.d")).unwrap();
    symlink("/v1", s.at("etc/nginx/conf.d")).unwrap();
    s.becomes(&["c2.example.com", "one.example.com", "v1.example.com"]).await;
    std::fs::remove_file(s.at("etc/nginx/conf.d")).unwrap();
    symlink("/v2", s.at("etc/nginx/conf.d")).unwrap();
    s.becomes(&["c2.example.com", "one.example.com", "v2.example.com"]).await;
    put(&s.root(), "v2/y.conf", &site("y.example.com"));
    s.becomes(&["c2.example.com", "one.example.com", "v2.example.com", "y.example.com"]).await;
}

#[tokio::test]
async fn folders_that_vanish_return_and_are_new() {
    let mut s = Host::new(FAST);
    std::fs::remove_dir_all(s.at("etc/nginx/conf.d")).unwrap();
    s.becomes(&["b.example.com", "one.example.com"]).await;
    put(&s.root(), "etc/nginx/conf.d/r.conf", &site("r.example.com"));
    s.becomes(&["b.example.com", "one.example.com", "r.example.com"]).await;
    put(&s.root(), "etc/nginx/conf.d/r.conf", &site("r2.example.com"));
    s.becomes(&["b.example.com", "one.example.com", "r2.example.com"]).await;
    // At a level of a pattern; the file comes later.
    std::fs::create_dir(s.at("www/two")).unwrap();
    s.calm().await;
    put(&s.root(), "www/two/vhost.conf", &site("two.example.com"));
    s.becomes(&["b.example.com", "one.example.com", "r2.example.com", "two.example.com"]).await;
    // A missing include, and the folder that it would be in.
    std::fs::create_dir(s.at("opt")).unwrap();
    s.calm().await;
    put(&s.root(), "opt/late.conf", &site("late.example.com"));
    s.becomes(&["b.example.com", "late.example.com", "one.example.com", "r2.example.com", "two.example.com"])
        .await;
    // Everything above moves away, and another comes in its place.
    std::fs::rename(s.at("etc"), s.at("etc.old")).unwrap();
    s.becomes(&[]).await;
    put(&s.root(), "etc.new/nginx/nginx.conf", MAIN);
    put(&s.root(), "etc.new/nginx/conf.d/z.conf", &site("z.example.com"));
    std::fs::rename(s.at("etc.new"), s.at("etc")).unwrap();
    let three = ["late.example.com", "one.example.com", "two.example.com", "z.example.com"];
    s.becomes(&three).await;
    // What moved away is no longer followed; what stands there is.
    put(&s.root(), "etc.old/nginx/conf.d/q.conf", &site("q.example.com"));
    assert!(tokio::time::timeout(FAST.most * 2, s.changes.recv()).await.is_err());
    put(&s.root(), "etc/nginx/conf.d/z.conf", &site("z2.example.com"));
    s.becomes(&["late.example.com", "one.example.com", "two.example.com", "z2.example.com"]).await;
}

#[tokio::test]
async fn a_server_that_is_installed_later() {
    let mut s = Host::new(FAST);
    s.calm().await;
    put(
        &s.root(),
        "usr/local/openresty/nginx/conf/nginx.conf",
        "http { server { server_name o.example.com; } }",
    );
    s.becomes(&["a.example.com", "b.example.com", "o.example.com", "one.example.com"]).await;
}

#[tokio::test]
async fn a_file_dropped_between_scan_and_watch_is_found() {
    let mut s = Host::new(FAST);
    s.calm().await;
    let (send, changes) = mpsc::channel(4);
    s.changes = changes;
    s.watch = Watch::start(&s.root(), send, FAST).unwrap();
    let began = Began::now();
    let (_, trees) = scan(&s.root());
    std::fs::create_dir(s.at("www/late")).unwrap();
    put(&s.root(), "www/late/vhost.conf", &site("late.example.com"));
    // In place: only the file's own time tells.
    put(&s.root(), "etc/nginx/conf.d/a.conf", &site("x.example.com"));
    s.watch.follow(trees, began, false);
    s.becomes(&["b.example.com", "late.example.com", "one.example.com", "x.example.com"]).await;
    // And where nothing happened, nothing is told.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (send, mut quiet) = mpsc::channel(4);
    let watch = Watch::start(&s.root(), send, FAST).unwrap();
    let began = Began::now();
    watch.follow(scan(&s.root()).1, began, false);
    assert!(tokio::time::timeout(FAST.most, quiet.recv()).await.is_err());
}

#[tokio::test]
async fn a_scan_wakes_nobody_and_a_mode_is_a_change() {
    let mut s = Host::new(FAST);
    s.calm().await;
    for _ in 0..3 {
        scan(&s.root());
    }
    assert!(tokio::time::timeout(FAST.most, s.changes.recv()).await.is_err());
    let a = s.at("etc/nginx/conf.d/a.conf");
    std::fs::set_permissions(&a, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(s.change().await.dirty.covers(b"/etc/nginx/conf.d/a.conf"));
}

#[tokio::test]
async fn a_program_that_never_stops_writing_does_not_starve_us() {
    let mut s = Host::new(FAST);
    s.calm().await;
    let file = s.at("etc/nginx/conf.d/busy.conf");
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = stop.clone();
    let writer = std::thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            std::fs::write(&file, site("busy.example.com")).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let change = s.change().await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    assert!(change.dirty.covers(b"/etc/nginx/conf.d/busy.conf"));
    s.rescan();
    s.becomes(&["a.example.com", "b.example.com", "busy.example.com", "one.example.com"]).await;
}

#[tokio::test]
async fn a_storm_is_one_change_and_an_overflow_is_everything() {
    let mut s = Host::new(FAST);
    s.calm().await;
    // No await in between: the loop does not run, the kernel's queue (16,384)
    // fills up.
    let queue: usize =
        std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    for i in 0..=queue / 3 {
        put(&s.root(), &format!("etc/nginx/conf.d/s{i}.conf"), "#");
    }
    put(&s.root(), "etc/nginx/conf.d/last.conf", &site("last.example.com"));
    let change = s.change().await;
    assert_eq!(change.dirty, Dirty::All);
    assert!(change.trees.contains(&SEARCH) && change.trees.len() == 2, "{change:?}");
    assert!(s.watch.state().overflows >= 1);
    s.rescan();
    s.becomes(&["a.example.com", "b.example.com", "last.example.com", "one.example.com"]).await;
}

#[tokio::test]
async fn beyond_our_own_limit_folders_are_looked_at() {
    let mut s = Host::new(Options { watches: 2, ..FAST });
    let state = s.watch.state();
    assert_eq!(state.watched, 2);
    assert!(state.polled > 3 && state.degraded.unwrap().contains("at most"));
    everything_is_found(&mut s).await;
}

/// Where some or all folders are looked at.
async fn everything_is_found(s: &mut Host) {
    put(&s.root(), "etc/nginx/conf.d/n.conf", &site("n.example.com"));
    s.becomes(&["a.example.com", "b.example.com", "n.example.com", "one.example.com"]).await;
    put(&s.root(), "etc/nginx/sites-available/b", &site("b2.example.com"));
    s.becomes(&["a.example.com", "b2.example.com", "n.example.com", "one.example.com"]).await;
    std::fs::remove_dir_all(s.at("www/one")).unwrap();
    s.becomes(&["a.example.com", "b2.example.com", "n.example.com"]).await;
    put(&s.root(), "www/two/vhost.conf", &site("two.example.com"));
    s.becomes(&["a.example.com", "b2.example.com", "n.example.com", "two.example.com"]).await;
}

/// Runs this test again in a user namespace of its own, where the number of
/// watches or instances is ours to set.
fn in_namespace(test: &str, setting: &str, value: &str) {
    let script = format!("echo {value} > /proc/sys/user/{setting} && exec \"$0\" \"$@\"");
    let out = std::process::Command::new("unshare")
        .args(["-Ur", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("discover::watch::tests::{test}"), "--nocapture"])
        .env("BEIAN_TEST_INSIDE", setting)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("1 passed"), "{text}");
}

fn inside(setting: &str) -> bool {
    std::env::var("BEIAN_TEST_INSIDE").is_ok_and(|s| s == setting)
}

#[tokio::test]
async fn exhausted_watches() {
    const SETTING: &str = "max_inotify_watches";
    if !inside(SETTING) {
        return in_namespace("exhausted_watches", SETTING, "3");
    }
    let mut s = Host::new(FAST);
    let state = s.watch.state();
    assert_eq!(state.watched, 3);
    assert!(state.polled > 3 && state.degraded.unwrap().contains("fs.inotify.max_user_watches"));
    everything_is_found(&mut s).await;
    // Room again: watched again, and no longer degraded.
    std::fs::write("/proc/sys/user/max_inotify_watches", "1000").unwrap();
    let end = tokio::time::Instant::now() + LONG;
    while s.watch.state().degraded.is_some() {
        assert!(tokio::time::Instant::now() < end);
        tokio::time::sleep(FAST.poll).await;
    }
    put(&s.root(), "www/two/vhost.conf", &site("three.example.com"));
    s.becomes(&["a.example.com", "b2.example.com", "n.example.com", "three.example.com"]).await;
}

#[tokio::test]
async fn no_instance() {
    const SETTING: &str = "max_inotify_instances";
    if !inside(SETTING) {
        return in_namespace("no_instance", SETTING, "0");
    }
    let mut s = Host::new(FAST);
    let state = s.watch.state();
    assert_eq!(state.watched, 0);
    assert!(state.degraded.unwrap().contains("fs.inotify.max_user_instances"));
    everything_is_found(&mut s).await;
    std::fs::write("/proc/sys/user/max_inotify_instances", "10").unwrap();
    let end = tokio::time::Instant::now() + LONG;
    while s.watch.state().degraded.is_some() {
        assert!(tokio::time::Instant::now() < end);
        tokio::time::sleep(FAST.poll).await;
    }
    put(&s.root(), "www/two/vhost.conf", &site("three.example.com"));
    s.becomes(&["a.example.com", "b2.example.com", "n.example.com", "three.example.com"]).await;
}

#[test]
fn more_than_a_thousand_paths_are_everything() {
    let key: TreeKey = (Some(Server::Nginx), b"/n".to_vec());
    let mut p = pending::Pending::default();
    let t = Instant::now();
    for i in 0..1_000 {
        p.add([&key], Some(format!("/d/{i}").as_bytes()), t);
    }
    let change = p.take().unwrap();
    assert!(change.dirty.covers(b"/d/999") && !change.dirty.covers(b"/d/1000"));
    assert!(change.dirty.covers(b"/d/7/below"));
    for i in 0..1_001 {
        p.add([&key], Some(format!("/d/{i}").as_bytes()), t);
    }
    assert_eq!(p.take().unwrap().dirty, Dirty::All);
    assert_eq!(p.take(), None);
}

#[test]
fn quiet_at_most_so_long() {
    let key: TreeKey = (None, Vec::new());
    let mut p = pending::Pending::default();
    let (quiet, most) = (Duration::from_millis(300), Duration::from_secs(2));
    assert_eq!(p.due(quiet, most), None);
    let t = Instant::now();
    p.add([&key], Some(b"/a"), t);
    assert_eq!(p.due(quiet, most), Some(t + quiet));
    p.add([&key], Some(b"/a"), t + Duration::from_millis(1_900));
    assert_eq!(p.due(quiet, most), Some(t + most));
}

#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::config::Limits;
use crate::source::{Reach, Source, decode};

fn put(root: &Path, file: &str) {
    let p = root.join(file);
    std::fs::create_dir_all(p.parent().unwrap()).unwrap();
    std::fs::write(p, "x").unwrap();
}

fn source(root: &Path) -> Source {
    Source::open(root, Limits::default()).unwrap().recording()
}

fn folders(r: &Reach) -> Vec<String> {
    r.folders().map(decode).collect()
}

#[test]
fn every_component_of_a_path_counts_and_nothing_beside_it() {
    let t = tempfile::tempdir().unwrap();
    put(t.path(), "etc/nginx/nginx.conf");
    let src = source(t.path());
    src.read(b"/etc/nginx/nginx.conf").unwrap();
    let r = src.take_reach();
    assert_eq!(folders(&r), ["/", "/etc", "/etc/nginx"]);
    assert!(r.wants(b"/", b"etc") && r.wants(b"/etc", b"nginx") && r.wants(b"/etc/nginx", b"nginx.conf"));
    assert!(!r.wants(b"/etc", b"passwd") && !r.wants(b"/etc/nginx", b"mime.types"));
    assert!(src.take_reach().is_empty());
}

#[test]
fn what_is_not_there_waits_in_the_last_folder_that_is() {
    let t = tempfile::tempdir().unwrap();
    put(t.path(), "usr/bin/x");
    let src = source(t.path());
    src.read(b"/usr/local/nginx/conf/nginx.conf").unwrap_err();
    src.glob(b"/usr/lib/*.conf").unwrap();
    let r = src.take_reach();
    assert_eq!(folders(&r), ["/", "/usr"]);
    assert!(r.wants(b"/usr", b"local") && r.wants(b"/usr", b"lib") && !r.wants(b"/usr", b"bin"));
}

#[test]
fn a_pattern_counts_at_each_of_its_levels_matched_or_not() {
    let t = tempfile::tempdir().unwrap();
    put(t.path(), "conf.d/a/x.conf");
    put(t.path(), "conf.d/b/readme");
    let src = source(t.path());
    src.glob(b"/conf.d/*/x.conf").unwrap();
    src.glob(b"/conf.d/b/*.conf").unwrap();
    let r = src.take_reach();
    assert_eq!(folders(&r), ["/", "/conf.d", "/conf.d/a", "/conf.d/b"]);
    assert!(r.wants(b"/conf.d", b"new") && r.wants(b"/conf.d/b", b"x.conf"));
    assert!(r.wants(b"/conf.d/b", b"new.conf") && !r.wants(b"/conf.d/b", b"readme"));
    assert!(!r.wants(b"/conf.d/a", b"new.conf"));
}

#[test]
fn links_count_where_they_stand_and_where_they_lead() {
    let t = tempfile::tempdir().unwrap();
    put(t.path(), "opt/sites/a");
    put(t.path(), "srv/real/b");
    std::fs::create_dir_all(t.path().join("etc/on")).unwrap();
    symlink("../../mid/a", t.path().join("etc/on/a")).unwrap();
    std::fs::create_dir(t.path().join("mid")).unwrap();
    symlink("/opt/sites/a", t.path().join("mid/a")).unwrap();
    symlink("/srv/real", t.path().join("etc/dir")).unwrap();
    symlink("/srv/gone/c", t.path().join("etc/on/c")).unwrap();
    symlink("r2", t.path().join("etc/on/r1")).unwrap();
    symlink("r1", t.path().join("etc/on/r2")).unwrap();
    let src = source(t.path());
    src.read(b"/etc/on/a").unwrap();
    src.read(b"/etc/dir/b").unwrap();
    src.read(b"/etc/on/c").unwrap_err();
    src.read(b"/etc/on/r1").unwrap_err();
    let r = src.take_reach();
    for (folder, name) in [
        ("/etc/on", "a"),
        ("/mid", "a"),
        ("/opt/sites", "a"),
        ("/etc", "dir"),
        ("/srv/real", "b"),
        ("/etc/on", "c"),
        ("/srv", "gone"),
        ("/etc/on", "r2"),
    ] {
        assert!(r.wants(folder.as_bytes(), name.as_bytes()), "{folder} {name}: {r:?}");
    }
    assert!(!r.has(b"/etc/dir"), "folders are named by where they are");
}

#[test]
fn ten_thousand_files_of_a_pattern_are_one_pattern() {
    let t = tempfile::tempdir().unwrap();
    for i in 0..3 {
        for j in 0..700 {
            put(t.path(), &format!("d{i}/s{j}.conf"));
        }
    }
    let src = source(t.path());
    for i in 0..3 {
        for f in src.glob(format!("/d{i}/*.conf").as_bytes()).unwrap() {
            src.read(&f).unwrap();
        }
    }
    // The same by name: from a certain number on every name counts.
    for j in 0..700 {
        src.read(format!("/d0/none{j}").as_bytes()).unwrap_err();
    }
    let r = src.take_reach();
    assert!(r.bytes() < 1_000, "{}", r.bytes());
    assert!(r.wants(b"/d0", b"anything") && !r.wants(b"/d1", b"anything") && r.wants(b"/d1", b"n.conf"));
}

#[test]
fn a_listed_folder_counts_whole_and_a_source_that_does_not_record_keeps_nothing() {
    let t = tempfile::tempdir().unwrap();
    put(t.path(), "d/a");
    let src = source(t.path());
    src.list(b"/d").unwrap();
    assert!(src.take_reach().wants(b"/d", b".hidden"));
    // A file that is kept in memory counts for the next tree too.
    for _ in 0..3 {
        src.read(b"/d/a").unwrap();
        assert!(src.take_reach().wants(b"/d", b"a"));
    }
    let plain = Source::open(t.path(), Limits::default()).unwrap();
    plain.list(b"/d").unwrap();
    assert!(plain.take_reach().is_empty());
}

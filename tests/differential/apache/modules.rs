//! The modules that the reader finds in the server's program are those that
//! the server itself lists.

use std::collections::BTreeSet;
use std::process::Command;

use beian::config::Limits;
use beian::facts::Server;
use beian::source::Source;
use beian::vhost::{self, Entry};

const PROGRAM: &str = "/usr/sbin/apache2";
/// Modules that are no part of this server, beside all that it can load.
const OTHERS: &[&str] = &["mod_none.c", "mod_pagespeed.c", "prefork.c", "worker.c", "event.c", "util_ldap.c"];

#[test]
fn compiled_in_modules_are_those_that_the_server_lists() {
    let out = Command::new(PROGRAM).arg("-l").output().unwrap();
    let listed: BTreeSet<String> =
        String::from_utf8_lossy(&out.stdout).lines().skip(1).map(|l| l.trim().to_owned()).collect();
    assert!(listed.contains("core.c"), "{listed:?}");
    let mut names = listed.clone();
    names.extend(OTHERS.iter().map(|&n| n.to_owned()));
    for entry in std::fs::read_dir("/usr/lib/apache2/modules").unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        names.extend(file.strip_suffix(".so").map(|stem| format!("{stem}.c")));
    }
    assert!(names.len() > listed.len() + 50);

    // An own build, so that no list of a distribution's modules counts.
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("usr/local/apache");
    std::fs::create_dir_all(folder.join("conf")).unwrap();
    std::fs::create_dir_all(folder.join("bin")).unwrap();
    std::fs::copy(PROGRAM, folder.join("bin/httpd")).unwrap();
    let mut text = String::from("Listen 80\n");
    for name in &names {
        text += &format!(
            "<IfModule {name}>\n<VirtualHost *:80>\nServerName {name}\n</VirtualHost>\n</IfModule>\n"
        );
    }
    // Its version is the program's too.
    let version = Command::new(PROGRAM).arg("-v").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let version = version.split("Apache/").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    text += &format!(
        "<IfVersion = {version}>\n<VirtualHost *:80>\nServerName version\n</VirtualHost>\n</IfVersion>\n"
    );
    std::fs::write(folder.join("conf/httpd.conf"), text).unwrap();

    let src = Source::open(root.path(), Limits::default()).unwrap();
    let entry = Entry { path: b"/usr/local/apache/conf/httpd.conf".to_vec(), args: None };
    let scan = vhost::read(&src, Server::Apache, &entry);
    assert_eq!(scan.problems, []);
    let found: BTreeSet<String> = scan.sites.into_iter().flat_map(|s| s.names).collect();
    let mut expected = listed;
    expected.insert("version".to_owned());
    assert_eq!(found, expected);
}

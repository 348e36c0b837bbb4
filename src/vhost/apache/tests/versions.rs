//! 2.2 or 2.4: what tells them apart, and what 2.2 does differently. From
//! 2.2's documentation: "Name-based Virtual Host Support", "An In-Depth
//! Discussion of Virtual Host Matching", "VirtualHost Examples".

use super::*;

/// A module that only 2.2 and before has.
const OLD: &str = "LoadModule authz_default_module modules/mod_authz_default.so\n";
const LISTEN: &str = "Listen 80\nListen 8080\n";

fn old(text: &str) -> Vec<Site> {
    Tree::of(format!("{OLD}{LISTEN}{text}")).scan().sites
}

/// Listens, those that it is the default of, and shadowed names.
fn places(sites: &[Site]) -> Vec<(Vec<&str>, Vec<&str>, Vec<&str>)> {
    fn strs(list: &[String]) -> Vec<&str> {
        list.iter().map(String::as_str).collect()
    }
    sites.iter().map(|s| (strs(&s.listen), strs(&s.default), strs(&s.shadowed))).collect()
}

/// The vhosts alone.
fn vhosts(text: &str) -> Vec<Site> {
    old(text).into_iter().filter(|s| !s.names.is_empty()).collect()
}

fn httpd(version: &str, modules: &[&str]) -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\0\xff\x90http_core.c\0core_module\0http_module\0".to_vec();
    out.extend(format!("Apache/2\0Apache/{version}\0Apache/{version} (Unix)\0").bytes());
    for m in modules {
        out.extend(format!("/build/modules/mod_{m}.c\0{m}_module\0").bytes());
    }
    out
}

#[test]
fn with_name_virtual_host_names_decide() {
    for (declared, addr) in [
        ("*:80", "*:80"),
        ("*:80", "_default_:80"),
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("10.0.0.1", "10.0.0.1:80"),
    ] {
        // Their order does not matter.
        let hosts = [vhost(addr, "a.test"), vhost(addr, "b.test"), vhost(addr, "A.test")].concat();
        for text in
            [format!("NameVirtualHost {declared}\n{hosts}"), format!("{hosts}NameVirtualHost {declared}\n")]
        {
            let s = vhosts(&text);
            let defaults: Vec<bool> = s.iter().map(|s| !s.default.is_empty()).collect();
            assert_eq!(defaults, [true, false, false], "{declared} {addr}");
            let shadowed: Vec<_> = s.iter().map(|s| s.shadowed.len()).collect();
            assert_eq!(shadowed, [0, 0, 1], "{declared} {addr}");
        }
    }
}

#[test]
fn without_it_the_first_takes_the_address() {
    for addr in ["*:80", "10.0.0.1:80", "_default_:80"] {
        let s = vhosts(&[vhost(addr, "a.test"), vhost(addr, "b.test"), vhost(addr, "c.test")].concat());
        let p = places(&s);
        assert_eq!(p[0].0, p[0].1, "{addr}");
        assert_eq!(p[0].2, [""; 0], "{addr}");
        for (p, name) in p[1..].iter().zip(["b.test", "c.test"]) {
            assert!(!p.0.is_empty() && p.1.is_empty(), "{addr}");
            assert_eq!(p.2, [name], "{addr}");
        }
    }
}

#[test]
fn it_counts_for_its_own_address_only() {
    let text = [
        "NameVirtualHost 10.0.0.1:80\n",
        &vhost("10.0.0.1:80", "a.test"),
        &vhost("10.0.0.1:80", "b.test"),
        &vhost("10.0.0.2:80", "c.test"),
        &vhost("10.0.0.2:80", "d.test"),
        &vhost("10.0.0.1:80 10.0.0.2:80", "e.test"),
        &vhost("10.0.0.2:80", "f.test"),
    ]
    .concat();
    let s = old(&text);
    let shadowed: Vec<_> = s[1..].iter().map(|s| s.shadowed.join(" ")).collect();
    // e.test is lost on one address and found by name on the other.
    assert_eq!(shadowed, ["", "", "", "d.test", "", "f.test"]);
    assert_eq!(s[3].default, ["10.0.0.2:80"]);
    assert_eq!(s[5].default, [""; 0]);
}

#[test]
fn the_wildcard_of_a_port_is_not_that_of_every_port() {
    let text = ["NameVirtualHost *:80\n", &vhost("*", "a.test"), &vhost("*", "b.test")].concat();
    let s = old(&text);
    assert_eq!(
        places(&s),
        [
            (vec!["*:80", "*:8080"], vec!["*:80", "*:8080"], vec![]),
            (vec!["*:80", "*:8080"], vec![], vec!["b.test"]),
        ]
    );
    // That of every port has vhosts of one port in it, told apart by it.
    let text = [
        "NameVirtualHost *\n",
        &vhost("*:80", "a.test"),
        &vhost("*:80", "b.test"),
        &vhost("*:8080", "b.test"),
    ]
    .concat();
    let s = old(&text);
    assert_eq!(
        places(&s),
        [
            (vec!["*:80"], vec!["*:80"], vec![]),
            (vec!["*:80"], vec![], vec![]),
            (vec!["*:8080"], vec![], vec![]),
        ]
    );
}

#[test]
fn an_address_of_every_port_is_the_same_as_that_of_one() {
    let one = vhost("10.0.0.1:80", "one.test");
    let every = vhost("10.0.0.1", "every.test");
    let shadowed = |text: String| -> Vec<usize> { vhosts(&text).iter().map(|s| s.shadowed.len()).collect() };
    // Whichever stands first has it. The wildcard of a port stands beside that of every port.
    assert_eq!(shadowed([&*one, &*every].concat()), [0, 1]);
    assert_eq!(shadowed([&*every, &*one].concat()), [0, 1]);
    assert_eq!(shadowed([vhost("*", "a.test"), vhost("*:80", "b.test")].concat()), [0, 0]);
    assert_eq!(shadowed(format!("NameVirtualHost 10.0.0.1:80\n{one}{every}")), [0, 0]);
}

#[test]
fn the_main_server_has_what_no_vhost_takes() {
    // An unused NameVirtualHost takes nothing.
    let text = ["ServerName m.test\nNameVirtualHost *:80\n", &vhost("10.0.0.1:80", "a.test")].concat();
    let s = old(&text);
    assert_eq!(s[0].listen, ["*:8080"]);
    assert_eq!(old("ServerName m.test\nNameVirtualHost *:80\n")[0].listen, ["*:80", "*:8080"]);
}

#[test]
fn without_evidence_2_4_counts() {
    let hosts = [vhost("*:80", "a.test"), vhost("*:80", "b.test")].concat();
    let shadows = |text: &str| {
        let scan = Tree::of(format!("{text}Listen 80\n{hosts}")).scan();
        !scan.sites[1].shadowed.is_empty()
    };
    let authz = "LoadModule authz_host_module m.so\n";
    assert!(shadows(OLD));
    assert!(shadows("LockFile logs/l\n"));
    assert!(shadows("<IfModule prefork.c>\n</IfModule>\nAcceptMutex flock\n"));
    assert!(shadows(&format!("{authz}NameVirtualHost *:8080\n")));
    for text in [
        "",
        "NameVirtualHost *:8080\n",
        authz,
        &format!("{OLD}LoadModule unixd_module m.so\n"),
        &format!("{OLD}LoadModule mpm_event_module m.so\n"),
        "LockFile l\n<Directory />\nRequire all granted\n</Directory>\n",
        "LockFile l\nIncludeOptional none*.conf\n",
        "<IfVersion >= 2.4>\nLockFile l\n</IfVersion>\n",
        "# LockFile l\n",
    ] {
        assert!(!shadows(text), "{text}");
    }
    // What a test of the version guards tells nothing.
    assert!(shadows(&format!("{OLD}<IfVersion >= 2.4>\nIncludeOptional x*\n</IfVersion>\n")));
}

#[test]
fn version_tests_are_answered_for_the_version_found() {
    let tree = |mark: &str| {
        Tree::of(format!(
            "Listen 80\n<IfVersion >= 2.4>\n{}</IfVersion>\n<IfVersion < 2.3>\nNameVirtualHost *:80\n{}{}</IfVersion>\n\
             <IfModule mod_unixd.c>\n{}</IfModule>\n{mark}",
            vhost("*:80", "new.test"),
            vhost("*:80", "old.test"),
            vhost("*:80", "more.test"),
            vhost("*:80", "unixd.test"),
        ))
        .scan()
    };
    assert_eq!(names(&tree("")), ["new.test", "unixd.test"]);
    let scan = tree(OLD);
    assert_eq!(names(&scan), ["old.test", "more.test"]);
    assert_eq!(scan.sites[1].shadowed, [""; 0]);
    assert_eq!(problems(&scan), []);
}

#[test]
fn the_installed_server_tells_its_version() {
    let main = "/usr/local/httpd/conf/httpd.conf";
    let hosts = [vhost("*:80", "a.test"), vhost("*:80", "b.test")].concat();
    let shadowed = |version: &str, text: &str| {
        let tree = Tree::new()
            .file(main, format!("ServerRoot /opt/web\nListen 80\n{text}{hosts}"))
            .file("/opt/web/bin/httpd", httpd(version, &[]));
        !tree.scan_from(main, None).sites[1].shadowed.is_empty()
    };
    assert!(shadowed("2.2.15", ""));
    assert!(shadowed("2.3.10", ""));
    assert!(!shadowed("2.3.11", ""));
    // Against all marks.
    assert!(!shadowed("2.4.6", OLD));
    // What is no version leaves the marks.
    assert!(shadowed("2.4", OLD));
    let version = |v: &str, test: &str| {
        let tree = Tree::new()
            .file(main, format!("Listen 80\n<IfVersion {test}>\n{hosts}</IfVersion>\n"))
            .file("/usr/local/httpd/sbin/httpd", httpd(v, &[]));
        names(&tree.scan_from(main, None)).len() == 2
    };
    assert!(version("2.2.15", "= 2.2.15"));
    assert!(version("2.4.6", "~ ^2\\.4\\.6$"));
    assert!(!version("2.4.6", ">= 2.4.7"));
}

/// Whether `<IfModule NAME>` holds in an own build with this program.
fn has(program: impl AsRef<[u8]>, name: &str) -> bool {
    let main = "/www/server/apache/conf/httpd.conf";
    let text = format!("Listen 80\n<IfModule {name}>\n{}</IfModule>\n", vhost("*:80", "a.test"));
    let tree = Tree::new().file(main, text).file("/www/server/apache/bin/httpd", program);
    names(&tree.scan_from(main, None)).len() == 1
}

#[test]
fn compiled_in_modules_are_those_of_the_program() {
    let program = httpd("2.4.58", &["rewrite", "userdir", "log_config"]);
    for name in
        ["mod_rewrite.c", "rewrite_module", "core.c", "http_core.c", "http_module", "mod_log_config.c"]
    {
        assert!(has(&program, name), "{name}");
    }
    // Not there, though usual.
    for name in ["mod_ssl.c", "mod_logio.c", "unixd_module", "mod_dir.c", "dir_module"] {
        assert!(!has(&program, name), "{name}");
    }
    assert!(has(&program, "!mod_ssl.c"));
    // A source that is only spoken of, and one with its structure's name
    // inside a longer one.
    let mut program = httpd("2.4.58", &["userdir"]);
    program.extend(b"mod_ssl.c\0please load mod_dir.c\0mod_dir.c\0event.c\0mpm_event_module\0");
    assert!(!has(&program, "mod_ssl.c"));
    assert!(has(&program, "mod_dir.c"));
    assert!(has(&program, "event.c"));
}

#[test]
fn what_is_no_httpd_leaves_the_usual_modules() {
    let mut half = httpd("2.4.58", &["rewrite"]);
    half.truncate(12);
    for program in
        [b"#!/bin/sh\nhttp_core.c\0core_module\0mod_rewrite.c\0rewrite_module\0".to_vec(), half, vec![]]
    {
        assert!(has(&program, "mod_unixd.c"));
        assert!(!has(&program, "mod_rewrite.c"));
    }
    // Nothing but a regular file is opened, and it is no problem.
    let main = "/www/server/apache/conf/httpd.conf";
    let text = format!("Listen 80\n<IfModule mod_so.c>\n{}</IfModule>\n", vhost("*:80", "a.test"));
    let mut tree = Tree::new().file(main, text).file("/www/server/apache/bin/httpd/x", "");
    let scan = tree.scan_from(main, None);
    assert_eq!((names(&scan), problems(&scan)), (vec!["a.test"], vec![]));
    // Nor is one that is larger than what is read.
    tree = Tree::new()
        .file(main, format!("Listen 80\n<IfModule mod_so.c>\n{}</IfModule>\n", vhost("*:80", "a.test")))
        .file("/www/server/apache/bin/httpd", vec![0; 4096]);
    tree.limits.file_bytes = 1024;
    let scan = tree.scan_from(main, None);
    assert_eq!((names(&scan), problems(&scan)), (vec!["a.test"], vec![]));
}

#[test]
fn distributions_keep_the_server_elsewhere() {
    let text = format!("Listen 80\n<IfModule mod_rewrite.c>\n{}</IfModule>\n", vhost("*:80", "a.test"));
    for (main, program, found) in [
        ("/etc/httpd/conf/httpd.conf", "/usr/sbin/httpd", true),
        (MAIN, "/usr/sbin/apache2", true),
        ("/etc/apache2/httpd.conf", "/usr/sbin/httpd-prefork", true),
        // Not below a folder that only the configuration names.
        (MAIN, "/etc/apache2/bin/httpd", false),
        ("/etc/httpd/conf/httpd.conf", "/etc/httpd/bin/httpd", false),
    ] {
        let tree = Tree::new().file(main, &text).file(program, httpd("2.4.58", &["rewrite"]));
        assert_eq!(names(&tree.scan_from(main, None)).len() == 1, found, "{program}");
    }
}

#[test]
fn directives_that_2_4_dropped_are_not_known_to_it() {
    let guarded = |name: &str| {
        let text = format!("Listen 80\n<IfDirective {name}>\n{}</IfDirective>\n", vhost("*:80", "a.test"));
        names(&Tree::of(text).scan()).len() == 1
    };
    assert!(guarded("NameVirtualHost"));
    for name in ["AcceptMutex", "LockFile", "RewriteLock", "SSLMutex"] {
        assert!(!guarded(name), "{name}");
    }
}

#[test]
fn thousands_of_vhosts_of_one_address_take_no_longer() {
    let hosts: String =
        (0..20_000).map(|i| vhost("*:80 10.0.0.1:80 10.0.0.1", &format!("n{i}.test"))).collect();
    let started = std::time::Instant::now();
    let s = old(&format!("NameVirtualHost *:80\n{hosts}"));
    assert_eq!(
        s.iter().filter(|s| s.shadowed.is_empty()).count(),
        20_000 + usize::from(s[0].names.is_empty())
    );
    let s = old(&hosts);
    assert_eq!(s.iter().filter(|s| !s.shadowed.is_empty()).count(), 19_999);
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

//! Input that wants to hang, crash or fill memory.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

#[test]
fn loops_are_cut() {
    let tree = Tree::of(format!("Listen 80\nInclude a.conf\n{}", vhost("*:80", "m.test")))
        .file("/etc/apache2/a.conf", format!("{}Include b.conf\n", vhost("*:80", "a.test")))
        .file(
            "/etc/apache2/b.conf",
            format!("Include a.conf\nInclude apache2.conf\n{}", vhost("*:80", "b.test")),
        );
    let scan = tree.scan();
    assert_eq!(names(&scan), ["a.test", "b.test", "m.test"]);
    let b = "/etc/apache2/b.conf";
    assert_eq!(
        problems(&scan),
        [(ProblemKind::IncludeLoop, b, Some(1)), (ProblemKind::IncludeLoop, b, Some(2))]
    );
}

#[test]
fn a_folder_in_itself_is_read_once() {
    let tree = Tree::of("Listen 80\nInclude d\n")
        .file("/etc/apache2/d/a", vhost("*:80", "a.test"))
        .link("/etc/apache2/d/self", "../d")
        .link("/etc/apache2/d/ring", "ring");
    let scan = tree.scan();
    assert_eq!(names(&scan), ["a.test"]);
    assert!(scan.problems.iter().all(|p| p.kind == ProblemKind::SymlinkLoop), "{:?}", scan.problems);
    assert_eq!(scan.problems.len(), 2);
}

#[test]
fn folders_of_the_same_name_are_no_loop() {
    let tree = Tree::of("Listen 80\nInclude d\n").file("/etc/apache2/d/d/d/d/d", vhost("*:80", "a.test"));
    let scan = tree.scan();
    assert_eq!(names(&scan), ["a.test"]);
    assert_eq!(scan.problems, []);
}

#[test]
fn deep_includes_stop_at_the_limit() {
    let mut tree = Tree::of("Listen 80\nInclude c/0\n");
    tree.limits.include_depth = 10;
    for i in 0..30 {
        let text = format!("{}Include c/{}\n", vhost("*:80", &format!("n{i}.test")), i + 1);
        tree = tree.file(&format!("/etc/apache2/c/{i}"), text);
    }
    let scan = tree.scan();
    assert_eq!(names(&scan).len(), 10);
    assert_eq!(problems(&scan), [(ProblemKind::IncludeDepth, "/etc/apache2/c/9", Some(4))]);
}

#[test]
fn the_number_of_files_is_limited() {
    let mut tree = Tree::of("Listen 80\nInclude d/*.conf\n");
    tree.limits.files = 20;
    for i in 0..50 {
        tree = tree.file(&format!("/etc/apache2/d/{i:02}.conf"), vhost("*:80", &format!("n{i}.test")));
    }
    let scan = tree.scan();
    assert!(scan.sites.len() <= 20);
    assert!(scan.problems.iter().any(|p| p.kind == ProblemKind::IncludeLimit));
}

#[test]
fn special_files_are_not_opened() {
    let tree =
        Tree::of(format!("Listen 80\nIncludeOptional d/*\nInclude /etc/shadow\n{}", vhost("*:80", "a.test")))
            .file("/etc/shadow", "ServerAlias secret.test\n");
    std::fs::create_dir_all(tree.path("/etc/apache2/d")).unwrap();
    let fifo = tree.path("/etc/apache2/d/fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let scan = tree.scan();
    assert_eq!(names(&scan), ["a.test"]);
    assert_eq!(
        problems(&scan),
        [
            (ProblemKind::NotRegularFile, "/etc/apache2/d/fifo", None),
            (ProblemKind::Unreadable, "/etc/shadow", None)
        ]
    );
}

/// Reads a main file and gives back how long it took.
fn timed(text: String) -> (Scan, Duration) {
    let tree = Tree::of(text);
    let start = Instant::now();
    let scan = tree.scan();
    (scan, start.elapsed())
}

#[test]
fn a_file_that_is_no_configuration_makes_few_problems() {
    let scan = Tree::of(format!("Listen 80\n{}", "</x>\0\n".repeat(5000))).scan();
    assert_eq!(scan.problems.len(), 32);
}

#[test]
fn macro_bombs_are_bounded() {
    let mut text = String::from("Listen 80\n<Macro M0 $n>\n");
    text.push_str(&vhost("*:80", "$n.test"));
    text.push_str("</Macro>\n");
    for i in 1..40 {
        text.push_str(&format!("<Macro M{i} $n>\nUse M{0} a$n\nUse M{0} b$n\n</Macro>\n", i - 1));
    }
    text.push_str("Use M39 x\n");
    let (scan, took) = timed(text);
    assert!(scan.problems.iter().any(|p| p.kind == ProblemKind::IncludeLimit), "{:?}", scan.problems.first());
    assert!(scan.sites.len() <= 200_000);
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn macros_do_not_use_themselves() {
    let text = format!(
        "Listen 80\n<Macro A>\nUse B\n</Macro>\n<Macro B>\nUse A\n{}</Macro>\nUse A\n",
        vhost("*:80", "b.test")
    );
    let scan = Tree::of(text).scan();
    assert_eq!(names(&scan), ["b.test"]);
    assert_eq!(problems(&scan), [(ProblemKind::IncludeLoop, MAIN, Some(11))]);
}

#[test]
fn variable_bombs_are_bounded() {
    let mut text = String::from("Listen 80\nDefine A0 aaaaaaaaaaaaaaaa\n");
    for i in 1..64 {
        text.push_str(&format!("Define A{i} ${{A{0}}}${{A{0}}}\n", i - 1));
    }
    text.push_str(&vhost("*:80", "${A63}.test"));
    let (scan, took) = timed(text);
    assert!(scan.problems.iter().any(|p| p.kind == ProblemKind::IncludeLimit));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn deep_sections_are_no_recursion() {
    let n = 200_000;
    let text = format!(
        "Listen 80\n{}{}{}",
        "<IfModule mod_so.c>\n".repeat(n),
        "</IfModule>\n".repeat(n),
        vhost("*:80", "a.test")
    );
    let (scan, _) = timed(text);
    assert_eq!(names(&scan), ["a.test"]);
    assert!(scan.problems.iter().all(|p| p.kind == ProblemKind::NestingDepth));
}

#[test]
fn many_wildcards_and_addresses_end_in_time() {
    let mut text = String::from("Listen 80\n");
    let addrs: Vec<String> = (0..2000).map(|i| format!("10.0.{}.{}:80", i / 250, i % 250)).collect();
    for i in 0..200 {
        let names: Vec<String> = (0..200).map(|j| format!("*a{i}x{j}*.test")).collect();
        text.push_str(&format!(
            "<VirtualHost {}>\nServerAlias {}\n</VirtualHost>\n",
            addrs.join(" "),
            names.join(" ")
        ));
    }
    let (scan, took) = timed(text);
    assert_eq!(scan.sites.len(), 200);
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn text_of_a_foreign_file_does_not_come_out() {
    let tree =
        Tree::of("Listen 80\n<VirtualHost *:80>\nServerName a.test\nInclude /srv/notes\n</VirtualHost>\n")
            .file(
                "/srv/notes",
                "password = hunter2\nServerAlias \"my secret phrase\" key=hunter2\n<hunter2>\n</hunter3>\n",
            );
    let scan = tree.scan();
    assert_eq!(names(&scan), ["a.test"]);
    assert!(scan.problems.iter().any(|p| p.kind == ProblemKind::NotAName));
    let all = format!("{scan:?}");
    assert!(!all.contains("hunter") && !all.contains("secret phrase"), "{all}");
}

/// Lines that mean something, put together at random.
const SOUP: &[&str] = &[
    "<VirtualHost *:80>",
    "<VirtualHost",
    "<VirtualHost ${A} [::1]:* 1.2.3.4 x:y:z>",
    "</VirtualHost>",
    "</",
    "<>",
    "<",
    "</>",
    "ServerName a",
    "ServerName",
    "ServerName ://:",
    "ServerAlias * ?x \"",
    "Listen 80",
    "Listen [::]:x",
    "Listen ${A}",
    "Define A ${A}${A}x",
    "UnDefine A",
    "Define",
    "Include *",
    "Include /",
    "Include apache2.conf",
    "Include d/../*",
    "<IfModule !x>",
    "</IfModule>",
    "<IfVersion ~ [>",
    "</IfVersion>",
    "<IfDefine",
    "<Macro m $a>",
    "</Macro>",
    "Use m b",
    "Use m",
    "<If x>",
    "</If>",
    "<Else>",
    "</Else>",
    "Redirect / x",
    "Redirect 403",
    "RedirectMatch",
    "RewriteEngine on",
    "RewriteRule ^ x [R",
    "RewriteRule",
    "ProxyPass / unix:",
    "SetHandler proxy:",
    "<Location />",
    "</Location>",
    "Require all denied",
    "SSLEngine on",
    "VirtualDocumentRoot x",
    "# \\",
    "\\",
    "a \\",
    "\0",
    "\u{feff}",
    "LoadModule",
    "LoadModule a b",
    "ServerRoot /",
    "<Perl>",
    "</Perl>",
    "IncludeOptional",
    "UndefMacro m",
    "<Macro>",
    "<Macro m ''>",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let tree = Tree::of(&bytes).file("/etc/apache2/envvars", &bytes);
        tree.scan_from(MAIN, Some(&String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn any_soup_is_read(picks in proptest::collection::vec((0..SOUP.len(), 0..4u8), 0..120)) {
        let mut text = String::new();
        for (i, end) in picks {
            text.push_str(SOUP[i]);
            text.push_str(["\n", "\n", "\r\n", " "][usize::from(end)]);
        }
        let scan = Tree::of(&text).file("/etc/apache2/d/x.conf", &text).scan();
        for s in &scan.sites {
            prop_assert!(s.default.iter().all(|d| s.listen.contains(d)));
            prop_assert!(s.shadowed.iter().all(|n| s.names.contains(n)));
            prop_assert!(s.implicit_default.iter().chain(&s.refuses).all(|d| s.default.contains(d)));
        }
    }

    #[test]
    fn covering_is_matching(pattern in "[ab?*.]{0,8}", name in "[ab.]{0,8}") {
        // The same, by the definition.
        fn plain(p: &[u8], n: &[u8]) -> bool {
            match (p.split_first(), n.split_first()) {
                (None, None) => true,
                (Some((b'*', rest)), _) => plain(rest, n) || (!n.is_empty() && plain(p, &n[1..])),
                (Some((b'?', p)), Some((_, n))) => plain(p, n),
                (Some((a, p)), Some((b, n))) => a == b && plain(p, n),
                _ => false,
            }
        }
        prop_assert_eq!(select::covers(pattern.as_bytes(), name.as_bytes()), plain(pattern.as_bytes(), name.as_bytes()));
    }
}

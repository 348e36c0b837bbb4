//! Lines, words, includes, sections.

use super::*;
use line::{Line, Lines, words};

fn lines(text: &[u8]) -> Vec<(u32, String)> {
    let mut l = Lines::new(0, text);
    std::iter::from_fn(|| l.next(text).map(|Line { text, number, .. }| (number, decode(&text)))).collect()
}

fn split(text: &str) -> Vec<String> {
    words(text.as_bytes()).map(|w| decode(&w)).collect()
}

#[test]
fn continuations_and_comments() {
    let text = b"a \\\n  b\r\n# comment \\\n still a comment\nc\\\r\nd\n\n  # x\n e \\\\\nf\ng\\";
    let want = [(1, "a   b"), (5, "cd"), (9, "e \\f"), (11, "g\\")];
    assert_eq!(lines(text), want.map(|(n, t)| (n, t.to_owned())));
}

#[test]
fn word_rules() {
    assert_eq!(split("a  b\tc"), ["a", "b", "c"]);
    assert_eq!(split("\"a b\" 'c \"d\"' \"e\\\"f\" g\"h"), ["a b", "c \"d\"", "e\"f", "g\"h"]);
    assert_eq!(split("\"a\"b c\\\\d e\\f \"\""), ["a", "b", "c\\d", "e\\f", ""]);
    assert_eq!(split("\"not closed"), ["not closed"]);
    assert_eq!(split("  "), [""; 0]);
}

#[test]
fn bytes_of_any_kind() {
    let gbk = b"Listen 80\r\n# \xcf\xc2\xd4\xd8\r\n<VirtualHost *:80>\r\nServerName a.test\r\nDocumentRoot \"/srv/\xd5\xbe\xb5\xe3\"\r\n</VirtualHost>\r\n";
    let scan = Tree::of(gbk).scan();
    assert_eq!(scan.problems, []);
    assert_eq!(names(&scan), ["a.test"]);
    assert_eq!(scan.sites[0].root.as_deref(), Some("/srv/站点"));
}

#[test]
fn a_byte_order_mark_is_a_problem_and_no_more() {
    let tree = Tree::of("Listen 80\nInclude bom.conf\n")
        .file("/etc/apache2/bom.conf", format!("\u{feff}{}", vhost("*:80", "a.test")));
    let scan = tree.scan();
    assert_eq!(names(&scan), ["a.test"]);
    assert_eq!(problems(&scan), [(ProblemKind::Encoding, "/etc/apache2/bom.conf", Some(1))]);
}

#[test]
fn a_nul_ends_its_line() {
    let scan = Tree::of(
        "Listen 80\n<VirtualHost *:80>\nServerName a.test\0 b\nServerAlias c.test\n</VirtualHost>\n",
    )
    .scan();
    assert_eq!(names(&scan), ["a.test", "c.test"]);
    assert_eq!(problems(&scan), [(ProblemKind::NulByte, MAIN, Some(3))]);
}

/// A main file that includes this, and files that hold one site each, named
/// after their place.
fn included(directive: &str, files: &[&str]) -> Tree {
    files.iter().fold(Tree::of(format!("Listen 80\n{directive}\n")), |tree, f| {
        let name = f.trim_start_matches('/').replace('/', ".").replace("etc.apache2.", "").to_lowercase();
        tree.file(f, vhost("*:80", &format!("{name}.test")))
    })
}

#[test]
fn includes_are_files_patterns_and_folders() {
    let files = [
        "/etc/apache2/d/b.conf",
        "/etc/apache2/d/a.conf",
        "/etc/apache2/d/.hidden.conf",
        "/etc/apache2/d/a.conf.bak",
        "/etc/apache2/d/sub/deep/z",
        "/srv/x.conf",
    ];
    let read = |d: &str| {
        let scan = included(d, &files).scan();
        assert_eq!(scan.problems, [], "{d}");
        names(&scan).join(" ")
    };
    assert_eq!(read("Include d/a.conf"), "d.a.conf.test");
    assert_eq!(read("INCLUDE \"/srv/x.conf\""), "srv.x.conf.test");
    assert_eq!(read("Include d/../d/./b.conf"), "d.b.conf.test");
    assert_eq!(read("Include ../../srv/x.conf"), "srv.x.conf.test");
    assert_eq!(read("IncludeOptional d/*.conf"), "d.a.conf.test d.b.conf.test");
    assert_eq!(read("IncludeOptional d/[!a]*.conf"), "d.b.conf.test");
    assert_eq!(read("Include d/?.conf"), "d.a.conf.test d.b.conf.test");
    assert_eq!(read("Include d/*/*/z"), "d.sub.deep.z.test");
    assert_eq!(read("Include [d]/s*"), "d.sub.deep.z.test");
    let all = "d..hidden.conf.test d.a.conf.test d.a.conf.bak.test d.b.conf.test d.sub.deep.z.test";
    assert_eq!(read("Include d"), all);
    assert_eq!(read("Include d/"), all);
    assert_eq!(read("Include /dev/null"), "");
}

#[test]
fn folders_are_ordered_component_by_component() {
    // As whole paths `a-b/x` would come before `a/x`.
    let files = ["/etc/apache2/u/a-b/s.conf", "/etc/apache2/u/a/s.conf", "/etc/apache2/u/B/s.conf"];
    let scan = included("Include u/*/s.conf", &files).scan();
    assert_eq!(names(&scan), ["u.b.s.conf.test", "u.a.s.conf.test", "u.a-b.s.conf.test"]);
}

#[test]
fn what_is_missing() {
    let missing = |d: &str| {
        let scan = included(d, &["/etc/apache2/d/a.conf", "/etc/apache2/e/b"]).scan();
        problems(&scan) == [(ProblemKind::MissingInclude, MAIN, Some(2))]
    };
    assert!(missing("Include none.conf"));
    assert!(missing("Include none/x.conf"));
    assert!(missing("Include none/*.conf"));
    assert!(missing("Include e/*.conf"));
    // One folder has none: Apache refuses all of it.
    assert!(missing("Include */*.conf"));
    for fine in ["none.conf", "none/x.conf", "none/*.conf", "e/*.conf", "*/a.conf", "*/*.conf"] {
        let scan =
            included(&format!("IncludeOptional {fine}"), &["/etc/apache2/d/a.conf", "/etc/apache2/e/b"])
                .scan();
        assert_eq!(scan.problems, [], "{fine}");
    }
}

#[test]
fn server_root_moves_relative_includes_from_where_it_stands() {
    let tree = Tree::of("Listen 80\nInclude a.conf\nServerRoot \"/srv/www\"\nInclude a.conf\n")
        .file("/etc/apache2/a.conf", vhost("*:80", "etc.test"))
        .file("/srv/www/a.conf", vhost("*:80", "srv.test"));
    assert_eq!(names(&tree.scan()), ["etc.test", "srv.test"]);
    assert_eq!(names(&tree.scan_from(MAIN, Some("-d /srv/www"))), ["srv.test", "srv.test"]);
    let own = "/usr/local/apache/conf/httpd.conf";
    let tree = Tree::new()
        .file(own, "Listen 80\nInclude conf/extra/v.conf\n")
        .file("/usr/local/apache/conf/extra/v.conf", vhost("*:80", "own.test"));
    assert_eq!(names(&tree.scan_from(own, None)), ["own.test"]);
}

#[test]
fn files_keep_the_links_name() {
    let tree = Tree::of("Listen 80\nIncludeOptional sites-enabled/*.conf\n")
        .file("/etc/apache2/sites-available/a.conf", vhost("*:80", "a.test"))
        .link("/etc/apache2/sites-enabled/010-a.conf", "../sites-available/a.conf")
        .link("/etc/apache2/sites-enabled/020-gone.conf", "../sites-available/gone.conf");
    let scan = tree.scan();
    assert_eq!(scan.sites[0].file, "/etc/apache2/sites-enabled/010-a.conf");
    assert_eq!(problems(&scan), [(ProblemKind::MissingInclude, MAIN, Some(2))]);
}

#[test]
fn a_file_read_twice_makes_its_sites_twice() {
    let scan = included("Include d/a.conf\nInclude d/a.conf", &["/etc/apache2/d/a.conf"]).scan();
    assert_eq!(names(&scan), ["d.a.conf.test", "d.a.conf.test"]);
    assert_eq!(scan.sites[1].shadowed, ["d.a.conf.test"]);
}

#[test]
fn includes_inside_a_vhost_belong_to_it() {
    let tree = Tree::of("Listen 80\n<VirtualHost *:80>\nServerName a.test\n<IfModule mod_so.c>\nIncludeOptional u/*.conf\n</IfModule>\n</VirtualHost>\n")
        .file("/etc/apache2/u/x.conf", "ServerAlias x.test\nDocumentRoot /srv/x\n");
    let scan = tree.scan();
    assert_eq!(names(&scan), ["a.test", "x.test"]);
    assert_eq!(scan.sites[0].root.as_deref(), Some("/srv/x"));
}

#[test]
fn an_unclosed_vhost_keeps_what_could_be_read() {
    let tree = Tree::of("Listen 80\nInclude d/*.conf\n")
        .file("/etc/apache2/d/a.conf", "\n<VirtualHost *:80>\nServerName a.test\n<Directory /x>\n")
        .file("/etc/apache2/d/b.conf", vhost("*:80", "b.test"));
    let scan = tree.scan();
    assert_eq!(names(&scan), ["a.test", "b.test"]);
    let at = "/etc/apache2/d/a.conf";
    assert_eq!(
        problems(&scan),
        [(ProblemKind::UnclosedBlock, at, Some(4)), (ProblemKind::UnclosedBlock, at, Some(2))]
    );
}

#[test]
fn a_vhost_in_a_vhost_ends_the_one_that_was_not_closed() {
    let text = format!("Listen 80\n<VirtualHost *:80>\nServerName a.test\n{}", vhost("*:80", "b.test"));
    let scan = Tree::of(text).scan();
    assert_eq!(names(&scan), ["a.test", "b.test"]);
    assert_eq!(problems(&scan), [(ProblemKind::UnclosedBlock, MAIN, Some(2))]);
}

#[test]
fn closing_tags_that_fit_nothing() {
    let kinds = |text: &str| {
        let scan = Tree::of(format!("Listen 80\n{text}")).scan();
        assert_eq!(names(&scan), ["a.test", "b.test"], "{text}");
        problems(&scan).iter().map(|p| (p.0, p.2.unwrap())).collect::<Vec<_>>()
    };
    let (a, b) = (vhost("*:80", "a.test"), vhost("*:80", "b.test"));
    assert_eq!(kinds(&format!("{a}</VirtualHost>\n{b}")), [(ProblemKind::Syntax, 5)]);
    assert_eq!(
        kinds(&format!("{a}<IfModule no>\n<Directory>\n</IfModule>\n{b}")),
        [(ProblemKind::Syntax, 7)]
    );
    assert_eq!(
        kinds(&format!("<VirtualHost *:80>\nServerName a.test\n<Directory />\n</VirtualHost>\n{b}")),
        [(ProblemKind::Syntax, 5)]
    );
    // A file closes nothing of its includer.
    let tree = Tree::of("Listen 80\n<VirtualHost *:80>\nServerName a.test\nInclude end.conf\nServerAlias b.test\n</VirtualHost>\n")
        .file("/etc/apache2/end.conf", "</VirtualHost>\n");
    let scan = tree.scan();
    assert_eq!(names(&scan), ["a.test", "b.test"]);
    assert_eq!(problems(&scan), [(ProblemKind::Syntax, "/etc/apache2/end.conf", Some(1))]);
}

#[test]
fn a_missing_main_file_is_a_problem() {
    let scan = Tree::new().scan();
    assert_eq!(scan.sites, []);
    assert_eq!(problems(&scan), [(ProblemKind::MissingInclude, MAIN, None)]);
}

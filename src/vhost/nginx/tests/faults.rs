//! What nginx refuses becomes a problem, and the rest is listed all the same.

use super::*;
use crate::facts::ProblemKind::*;

fn http(inner: &str) -> Scan {
    scan(format!("events {{}}\nhttp {{\n{inner}\n}}\n"))
}

#[test]
fn a_byte_order_mark_is_a_problem_and_the_file_is_listed() {
    let s = scan(b"\xef\xbb\xbfhttp { server { server_name a; } }");
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["a"]], vec![Encoding]));
    let utf16: Vec<u8> = "\u{feff}http {\nserver { server_name 商店.example.com; } }"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let s = scan(utf16);
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["商店.example.com"]], vec![Encoding]));
    assert_eq!(s.sites[0].line, 2);
}

#[test]
fn a_nul_byte_is_a_problem_within_a_directive_only() {
    let s = scan(b"http { server { server_name a; } # \0\n }");
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["a"]], vec![]));
    let s = scan_files(&[
        ("/etc/nginx/nginx.conf", b"http { include *.inc; }"),
        ("/etc/nginx/a.inc", &[0; 9000]),
        ("/etc/nginx/b.inc", b"server { server_name b; }"),
    ]);
    assert_eq!(names(&s), [["b"]]);
    assert!(kinds(&s).contains(&NulByte));
}

#[test]
fn a_cut_file_ends_at_its_own_level() {
    let s = scan_files(&[
        ("/etc/nginx/nginx.conf", b"http { include *.inc; }"),
        ("/etc/nginx/a.inc", b"server {\n server_name a;\n location / {\n proxy_set_header \"Ho"),
        ("/etc/nginx/b.inc", b"server { server_name b; }"),
    ]);
    assert_eq!(names(&s), [["a"], ["b"]]);
    let p = s.problems.iter().find(|p| p.kind == UnclosedBlock).unwrap();
    assert_eq!((p.file.as_deref(), p.line), (Some("/etc/nginx/a.inc"), Some(3)));
    let s = scan("http { server { server_name a b.example.co");
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["a"]], vec![UnclosedBlock]));
    let s = http("server { server_name a; content_by_lua_block { [[ } }");
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["a"]], vec![Syntax]));
    let s = scan("http { server { server_name a; content_by_lua_block { s = '}' ");
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["a"]], vec![UnclosedBlock]));
}

#[test]
fn a_brace_too_many_leaves_the_files_level() {
    let s = scan_files(&[
        ("/etc/nginx/nginx.conf", b"http { include *.inc; }"),
        ("/etc/nginx/a.inc", b"server { server_name a; } } }\nserver { server_name a2; }"),
        ("/etc/nginx/b.inc", b"server { server_name b; }"),
    ]);
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["a"], vec!["a2"], vec!["b"]], vec![Syntax]));
    let s = scan("http { } }\nserver { server_name late; }");
    assert_eq!(names(&s), [["late"]]);
    assert_eq!(kinds(&s), [Syntax, Syntax]);
}

#[test]
fn a_server_that_is_not_closed_does_not_swallow_the_next() {
    let s = http(
        "server { server_name a;\nlocation / {\nserver {\nlisten 81; server_name b;\n}\nserver { server_name c; }",
    );
    assert_eq!(names(&s), [["a"], ["b"], ["c"]]);
    assert_eq!(s.sites[1].listen, ["*:81"]);
    assert!(kinds(&s).contains(&Syntax) && kinds(&s).contains(&UnclosedBlock));
}

#[test]
fn a_forgotten_semicolon_costs_one_directive_at_most() {
    let s = http(
        "include none.conf\nserver {\n listen 81\n server_name a;\n root /x\n location / { proxy_pass http://u; }\n}\nserver { server_name b }\n",
    );
    assert_eq!(names(&s), [["a"], ["b"]]);
    assert_eq!((s.sites[0].line, s.sites[0].listen.as_slice()), (4, &["*:81".to_owned()][..]));
    assert_eq!(s.sites[0].root.as_deref(), Some("/x"));
    assert_eq!(s.sites[0].upstream, ["http://u"]);
    assert!(kinds(&s).iter().all(|k| *k == Syntax));
    let s = http("server { server_name a; listen 80 { x; } } server { server_name b; }");
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["a"], vec!["b"]], vec![Syntax]));
}

#[test]
fn an_open_quote_costs_its_line() {
    let s = http(
        "server {\n add_header X \"abc;\n server_name a;\n}\nserver { add_header Y \"def\"; server_name b; }",
    );
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["a"], vec!["b"]], vec![Syntax]));
}

#[test]
fn text_that_can_be_no_name_is_none() {
    let s = http("server { server_name ok http://a.example.com /var/www 'a b' * a*b *.x.* ~ . a..b x\\y; }");
    assert_eq!(names(&s), [["ok"]]);
    assert!(!kinds(&s).is_empty() && kinds(&s).iter().all(|k| *k == NotAName));
    assert!(!format!("{:?}", s.problems).contains("example.com"));
    let s = http("server { server_name *.x www.* .y ~^/ a_b xn--x a.b:80 商; }");
    assert_eq!((s.sites[0].names.len(), kinds(&s)), (8, vec![]));
}

#[test]
fn variables_stay_as_written() {
    let s = http("server { server_name $hostname a.$x ~^$; listen $port; }");
    assert_eq!(s.sites[0].names, ["$hostname", "a.$x", "~^$"]);
    assert_eq!(s.sites[0].listen, ["$port:80"]);
    assert!(!kinds(&s).is_empty() && kinds(&s).iter().all(|k| *k == UnresolvedVariable));
}

#[test]
fn a_missing_literal_file_is_a_problem_of_the_includer() {
    let s = scan("http {\n include gone.conf;\n include gone/*.conf;\n server { server_name a; } }");
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["a"]], vec![MissingInclude]));
    assert_eq!((s.problems[0].file.as_deref(), s.problems[0].line), (Some("/etc/nginx/nginx.conf"), Some(2)));
    let s = scan_files(&[]);
    assert_eq!((s.sites.len(), kinds(&s)), (0, vec![MissingInclude]));
}

#[test]
fn what_nginx_refuses_of_listens_is_said() {
    for inner in [
        "server { listen 99999; }",
        "server { listen; }",
        "server { listen 80 default_server; } server { listen 80 default_server; }",
        "server x { }",
        "server;",
        "include a b;",
        "{ }",
    ] {
        assert_eq!(kinds(&http(inner)), [Syntax], "{inner}");
    }
}

#[test]
fn a_regex_that_is_not_quoted_costs_itself_only() {
    let s = http("server { server_name a ~^b{2,3}\\.c$; listen 81; root /r; } server { server_name d; }");
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["a"], vec!["d"]], vec![Syntax]));
    assert_eq!(
        (s.sites[0].listen.as_slice(), s.sites[0].root.as_deref()),
        (&["*:81".to_owned()][..], Some("/r"))
    );
}

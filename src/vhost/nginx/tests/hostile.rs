//! Trees made to hurt: bounded time, bounded memory, a problem each.

use std::time::{Duration, Instant};

use super::*;

fn within(seconds: u64, f: impl FnOnce() -> Scan) -> Scan {
    let start = Instant::now();
    let scan = f();
    assert!(start.elapsed() < Duration::from_secs(seconds), "{:?}", start.elapsed());
    scan
}

#[test]
fn include_bombs_stop_at_the_limit_of_files() {
    let files: Vec<(String, Vec<u8>)> = (0..30)
        .map(|i| {
            (format!("/etc/nginx/{i}.inc"), format!("include {0}.inc; include {0}.inc;", i + 1).into_bytes())
        })
        .chain([("/etc/nginx/30.inc".to_owned(), b"server { server_name a; }".to_vec())])
        .chain([(
            "/etc/nginx/nginx.conf".to_owned(),
            b"http { server { server_name first; } include 0.inc; }".to_vec(),
        )])
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(p, b)| (p.as_str(), b.as_slice())).collect();
    let s = within(20, || scan_files(&files));
    assert!(kinds(&s).contains(&ProblemKind::IncludeLimit));
    assert_eq!(s.sites[0].names, ["first"]);
}

#[test]
fn deep_blocks_need_no_stack() {
    let open = "location / {".repeat(200_000);
    let text = format!(
        "http {{ server {{ server_name a; {open} {} }} server {{ server_name b; }} }}",
        "}".repeat(200_000)
    );
    let s = within(10, || scan(text));
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["a"], vec!["b"]], vec![ProblemKind::NestingDepth]));
    let s = within(10, || scan("http{server{".repeat(300_000)));
    assert!(kinds(&s).contains(&ProblemKind::NestingDepth));
}

#[test]
fn many_directives_at_the_bottom_of_deep_blocks_cost_no_more() {
    let text = format!(
        "http {{ server {{ {} {}",
        "location / {".repeat(60_000),
        "proxy_pass http://a;".repeat(200_000)
    );
    let s = within(10, || scan(text));
    assert_eq!(s.sites[0].upstream, ["http://a"]);
}

#[test]
fn every_kind_of_endless_text_is_read_once() {
    let n = 2_000_000;
    for text in [
        "\"\n".repeat(n),
        "\"a\n'b\n".repeat(n / 2),
        "'".repeat(n),
        "\\\"".repeat(n),
        "listen\n".repeat(n),
        "listen\nroot x\n".repeat(n / 2) + "{",
        "a ".repeat(n),
        "x".repeat(n * 2),
        ";".repeat(n),
        "}".repeat(n),
        "{".repeat(n),
        "#".repeat(n),
        "a_by_lua_block {".to_owned() + &"\\\"".repeat(n),
        "a_by_lua_block {".to_owned() + &"[[".repeat(n),
        "a_by_lua_block {".to_owned()
            + &(0..2000).map(|i| format!("[{}[", "=".repeat(i))).collect::<String>(),
        "a_by_lua_block {".to_owned() + &"\"'".repeat(n),
        "server { server_name ".to_owned() + &"\u{0}".repeat(n),
    ] {
        let s = within(5, || scan(&text));
        assert!(!s.problems.is_empty(), "{}", &text[..20]);
        assert!(s.problems.len() < 100);
    }
}

#[test]
fn sixty_thousand_names_and_two_hundred_thousand_in_all() {
    let list = |from: usize, n: usize| {
        (from..from + n).map(|i| format!("n{i}.example.com")).collect::<Vec<_>>().join("\n")
    };
    let text = format!(
        "http {{ server {{ listen 80; listen 81; server_name {}; }}\n server {{ server_name {}; }} {} }}",
        list(0, 60_000),
        list(30_000, 60_000),
        (0..8).map(|i| format!("server {{ server_name {}; }}", list(i * 10_000, 10_000))).collect::<String>()
    );
    let s = within(5, || scan(&text));
    assert_eq!(s.problems, []);
    assert_eq!(s.sites[0].names.len(), 60_000);
    assert_eq!(s.sites[1].shadowed.len(), 30_000);
    assert_eq!(s.sites[2].shadowed.len(), 10_000);
}

#[test]
fn thousands_of_listens_of_every_port_are_bounded() {
    let text =
        format!("http {{ {} }}", "server { listen 1-65535; listen 127.0.0.1:1-65535 ssl; }".repeat(2_000));
    let s = within(20, || scan(&text));
    assert_eq!(s.sites.len(), 2_000);
    assert_eq!(s.sites[0].default.len(), 2);
}

#[test]
fn more_names_than_memory_end_in_a_problem() {
    let big: String = (0..4_000).map(|i| format!("n{i:03500} ")).collect();
    let big = format!("server_name {big};");
    let main = format!("http {{ {} }}", "server { include big.inc; } ".repeat(10));
    let s = scan_files(&[("/etc/nginx/nginx.conf", main.as_bytes()), ("/etc/nginx/big.inc", big.as_bytes())]);
    assert_eq!((s.sites.len(), kinds(&s)), (10, vec![ProblemKind::IncludeLimit]));
    let kept: usize = s.sites.iter().flat_map(|s| &s.names).map(String::len).sum();
    assert!(kept < 100 << 20 && kept > 64 << 20);
}

#[test]
fn limits_of_files_and_time_keep_what_is_known() {
    let files: [(&str, &[u8]); 3] = [
        ("/etc/nginx/nginx.conf", b"http { server { server_name a; include *.inc; } }"),
        ("/etc/nginx/a.inc", b"server_name b;"),
        ("/etc/nginx/b.inc", b"server_name c;"),
    ];
    let s = scan_with(&files, Limits { files: 2, ..Limits::default() });
    assert_eq!((names(&s), kinds(&s)), (vec![vec!["a", "b"]], vec![ProblemKind::IncludeLimit]));
    let s = scan_with(&files, Limits { file_bytes: 20, ..Limits::default() });
    assert_eq!((s.sites.len(), kinds(&s)), (0, vec![ProblemKind::TooLarge]));
}

#[test]
fn tens_of_thousands_of_listens_of_one_server_cost_no_more_than_they_are_many() {
    let listens: String =
        (0..60_000).map(|i| format!("listen 10.{}.{}.{}:80;", i >> 16, i >> 8 & 255, i & 255)).collect();
    let s = within(10, || scan(format!("http {{ server {{ {listens} }} server {{ {listens} }} }}")));
    assert_eq!(s.problems, []);
    assert_eq!((s.sites[0].default.len(), s.sites[1].default.len()), (60_000, 0));
}

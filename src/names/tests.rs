#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::facts::Server::{Apache, Nginx};

fn judged(raw: &str, server: Server) -> Vec<(String, String)> {
    classify(raw, server)
        .into_iter()
        .map(|c| match c {
            NameClass::Judged(t) => (t.name, t.apex),
            other => panic!("{raw}: {other:?}"),
        })
        .collect()
}

fn one(raw: &str, server: Server) -> Target {
    match classify(raw, server).as_slice() {
        [NameClass::Judged(t)] => t.clone(),
        other => panic!("{raw}: {other:?}"),
    }
}

fn reason(raw: &str) -> (String, Reason) {
    match classify(raw, Nginx).as_slice() {
        [NameClass::NotApplicable { name, reason, .. }] => (name.clone(), *reason),
        other => panic!("{raw}: {other:?}"),
    }
}

#[test]
fn apex_is_from_the_icann_section_alone() {
    for (host, want) in [
        ("a.as.sh.cn", "as.sh.cn"),
        ("www.example.cn", "example.cn"),
        ("a.b.c.com.cn", "c.com.cn"),
        ("x.y.bj.cn", "y.bj.cn"),
        ("foo.github.io", "github.io"),
        ("foo.blogspot.com", "blogspot.com"),
        ("x.sc.gov.cn", "sc.gov.cn"),
        ("www.xn--ojqx2aw82g.xn--fiqs8s", "xn--ojqx2aw82g.xn--fiqs8s"),
        ("a.b.xn--55qx5d.cn", "b.xn--55qx5d.cn"),
        ("a.b.xn--55qx5d", "b.xn--55qx5d"),
        ("a.b.xn--io0a7i", "b.xn--io0a7i"),
        ("x.city.kobe.jp", "city.kobe.jp"),
        ("x.y.z.kobe.jp", "y.z.kobe.jp"),
        ("a.b.nosuchtld", "b.nosuchtld"),
    ] {
        assert_eq!(apex(host).as_deref(), Some(want), "{host}");
    }
    for none in
        ["cn", "com.cn", "bj.cn", "gov.cn", "xn--fiqs8s", "intranet", "", ".", "a..cn", "203.0.113.10", "::1"]
    {
        assert_eq!(apex(none), None, "{none}");
    }
}

#[test]
fn uts46_comes_first() {
    for (raw, name, unicode) in [
        ("WWW.Example.CN", "www.example.cn", "www.example.cn"),
        ("www.example.cn.", "www.example.cn", "www.example.cn"),
        ("www。example。cn", "www.example.cn", "www.example.cn"),
        ("ｗｗｗ．ｅｘａｍｐｌｅ．ｃｎ", "www.example.cn", "www.example.cn"),
        ("www.示例乙.中国", "www.xn--ojqx2aw82g.xn--fiqs8s", "www.示例乙.中国"),
        ("WWW.XN--OJQX2AW82G.xn--fiqs8s", "www.xn--ojqx2aw82g.xn--fiqs8s", "www.示例乙.中国"),
        ("例子.公司.cn", "xn--fsqu00a.xn--55qx5d.cn", "例子.公司.cn"),
        ("my_host.example.com", "my_host.example.com", "my_host.example.com"),
        ("a--b.cn", "a--b.cn", "a--b.cn"),
        ("-a-.example.com", "-a-.example.com", "-a-.example.com"),
        ("XN--ZZZZZZ99999.example.com", "xn--zzzzzz99999.example.com", "xn--zzzzzz99999.example.com"),
        ("xn--zzzzzz99999.示例.cn", "xn--zzzzzz99999.xn--fsq092h.cn", "xn--zzzzzz99999.示例.cn"),
        ("*.示例乙.中国", "*.xn--ojqx2aw82g.xn--fiqs8s", "*.示例乙.中国"),
    ] {
        let t = one(raw, Nginx);
        assert_eq!((t.name.as_str(), t.unicode.as_str()), (name, unicode), "{raw}");
    }
}

#[test]
fn catch_alls_are_no_domains() {
    for raw in [
        "",
        "_",
        "__",
        "\"\"",
        "*",
        "--",
        "!@#",
        "*.*",
        "???",
        ".",
        "_default_",
        "~.",
        "~^.*$",
        "~^(.+)$",
        "~.*",
        "~^(?<host>.+)$",
    ] {
        assert_eq!(classify(raw, Nginx), [NameClass::CatchAll], "{raw:?}");
    }
    assert_eq!(classify("*", Apache), [NameClass::CatchAll]);
}

#[test]
fn names_that_need_no_filing() {
    for (raw, want) in [
        ("localhost", Reason::Reserved),
        ("LOCALHOST.", Reason::Reserved),
        ("intranet", Reason::SingleLabel),
        ("nas.local", Reason::Reserved),
        ("x.test", Reason::Reserved),
        ("www.example", Reason::Reserved),
        ("y.invalid", Reason::Reserved),
        ("z.lan", Reason::Reserved),
        ("w.internal", Reason::Reserved),
        ("v.home.arpa", Reason::Reserved),
        ("10.113.0.203.in-addr.arpa", Reason::Reserved),
        ("u.localhost", Reason::Reserved),
        ("*.local", Reason::Reserved),
        ("~^.+\\.example\\.test$", Reason::Reserved),
        ("203.0.113.10", Reason::IpLiteral),
        ("２０３。0.113.10", Reason::IpLiteral),
        ("[2001:DB8::1]", Reason::IpLiteral),
        ("2001:db8::1", Reason::IpLiteral),
        ("::", Reason::IpLiteral),
        ("com.cn", Reason::PublicSuffix),
        ("cn", Reason::PublicSuffix),
        ("公司.cn", Reason::PublicSuffix),
        ("bj.cn", Reason::PublicSuffix),
    ] {
        assert_eq!(reason(raw).1, want, "{raw}");
    }
    for applicable in ["example.com", "localhost.com", "mylocal.cn", "x-test.cn", "internal.example.com"] {
        one(applicable, Nginx);
    }
}

#[test]
fn wildcards_are_judged_by_their_apex() {
    let t = one("*.Example.com", Nginx);
    assert_eq!(t.ask, ["example.com", "www.example.com", "beian-probe.example.com"]);
    assert_eq!((t.name.as_str(), t.apex.as_str()), ("*.example.com", "example.com"));
    let deep = one("*.b.example.com", Nginx);
    assert_eq!(deep.ask, ["b.example.com", "www.b.example.com", "beian-probe.b.example.com", "example.com"]);
    let long = format!("{}.example.com", ["a"; 120].join("."));
    assert_eq!(one(&format!("*.{long}"), Nginx).ask, [long.as_str(), "example.com"]);
    let rows = judged(".example.com", Nginx);
    assert_eq!(rows[0].0, "example.com");
    assert_eq!(rows[1].0, "*.example.com");
    for (raw, name) in [
        ("w?b.example.com", "*.example.com"),
        ("mass?.example.org", "*.example.org"),
        ("a*.b.example.com", "*.b.example.com"),
        ("x.*.example.com", "*.example.com"),
        ("*x*.example.com", "*.example.com"),
        ("*。example.com", "*.example.com"),
        ("${UNSET}.example.com", "*.example.com"),
        ("www-${UNSET}.example.com", "*.example.com"),
    ] {
        assert_eq!(one(raw, Apache).name, name, "{raw}");
    }
}

#[test]
fn patterns_without_a_fixed_apex_are_unbounded() {
    for raw in
        ["*.cn", "*.com.cn", "www.*", "example.*", "*x*", "*example.com", "*.a.c*", "203.0.113.*", ".com.cn"]
    {
        assert_eq!(classify(raw, Nginx), [NameClass::Unbounded], "{raw}");
    }
    for raw in ["mass?.org", "www.example.c?", "www.${DOMAIN}", "*example.com"] {
        assert_eq!(classify(raw, Apache), [NameClass::Unbounded], "{raw}");
    }
}

#[test]
fn text_that_can_be_no_name() {
    let long = format!("{}.cn", "a".repeat(64));
    let longer = format!("{}cn", "abcdefg.".repeat(40));
    for raw in [
        "a.cn:80",
        "http://a.cn",
        "a.cn,",
        "a b.cn",
        "a/b.cn",
        "a..cn",
        "..a.cn",
        "a\u{0}.cn",
        "a\u{7f}.cn",
        "127.1",
        "$host.a.cn",
        "a;b.cn",
        "x%00.cn",
        "*.a b.cn",
        "w?b.a.cn",
        "＊.a.cn",
        "a@b.cn",
        &long,
        &longer,
    ] {
        assert_eq!(classify(raw, Nginx), [NameClass::NotAName], "{raw:?}");
    }
    for raw in ["~^a\\.example\\.com$", ".example.com"] {
        assert_eq!(classify(raw, Apache), [NameClass::NotAName], "Apache knows no {raw}");
    }
}

#[test]
fn regexes_with_a_fixed_anchored_tail() {
    for (raw, apex) in [
        (r"~^u\d+\.example\.net$", "example.net"),
        (r"~^(?<sub>.+)\.example\.com$", "example.com"),
        (r"~^(?P<sub>.+)\.example\.com$", "example.com"),
        (r"~^(www\.)?example\.com$", "example.com"),
        (r"~^(?:www\.|m\.)?example\.com$", "example.com"),
        (r"~(^|\.)example\.com$", "example.com"),
        (r"~^(a|b)\.example\.com$", "example.com"),
        (r"~^([a-z0-9-]+\.)+example\.com$", "example.com"),
        (r"~^(.+\.example\.com)$", "example.com"),
        (r"~\.example\.com$", "example.com"),
        (r"~^.+[.]example[.]com$", "example.com"),
        (r"~(?i)^.+\.Example\.COM$", "example.com"),
        (r"~^.+\.my\-shop\.com\.cn$", "my-shop.com.cn"),
        (r"~^[^.]+\.example\.com\.?$", "example.com"),
        (r"~^x{2,3}\.example\.com\z", "example.com"),
        (r"~^(?!www\.).+\.example\.com$", "example.com"),
        (r"~^.*\.示例乙\.中国$", "xn--ojqx2aw82g.xn--fiqs8s"),
        (r"~^u\d+x\.b\.example\.com$", "example.com"),
        (r"~^www\d*\.\w+\.foo\.example\.com$", "example.com"),
    ] {
        let t = one(raw, Nginx);
        assert_eq!((t.apex.as_str(), t.name.as_str(), t.unicode.as_str()), (apex, raw, raw));
    }
    assert_eq!(
        one(r"~^u\d+\.example\.net$", Nginx).ask,
        ["example.net", "www.example.net", "beian-probe.example.net"]
    );
    assert_eq!(one(r"~^www\.example\.com$", Nginx).ask, ["www.example.com"]);
    assert_eq!(one(r"~^.+\.b\.example\.com$", Nginx).ask[0], "b.example.com");
}

#[test]
fn regexes_that_match_more_than_one_apex() {
    for raw in [
        r"~(www\.)?example\.com$",
        r"~example\.com$",
        r"~^.+\.example.com$",
        r"~^.+\.example\.com",
        r"~^.+\.cn$",
        r"~\.com\.cn$",
        r"~^a\.example\.com$|^b\.example\.net$",
        r"~^a\.example\.com|b$",
        r"~^(a\.example\.com|b\.example\.net)$",
        r"~^.+\.example\.(com|net)$",
        r"~^.+\.exampl[ea]\.com$",
        r"~^.+\.example\.com?$",
        r"~^.+\.example+\.com$",
        r"~^(www\.)*example\.com.*$",
        r"~^(.+)?example\.com$",
        r"~^(a\.|b)example\.com$",
        r"~^.+\.?example\.com$",
        r"~^.+\x2eexample\x2ecom$",
        r"~^(.+\.example\.com)?$",
        r"~^(((((.+\.example\.com$",
        r"~^.+\.example\.com)$",
        r"~[",
        r"~\",
        r"~^(?x) a \. example \. com $",
        r"~^.+\.example\.com(:\d+)?$",
    ] {
        assert_eq!(classify(raw, Nginx), [NameClass::Unbounded], "{raw}");
    }
}

#[test]
fn hostile_patterns_take_linear_time() {
    let begin = std::time::Instant::now();
    for unit in ["(", ")", "(a|", "[", "\\", "(?<", "(?#", "[[:", "{1", "a*", "(a*)*", ".", "*.", "x--", "{,"]
    {
        for n in [100, 1000, 1_000_000] {
            let raw = format!("~{}", unit.repeat(n));
            assert!(!matches!(classify(&raw, Nginx).as_slice(), [NameClass::Judged(_)]), "{unit}");
            classify(raw.strip_prefix('~').unwrap(), Apache);
        }
    }
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
}

#[test]
fn names_under_gov_cn_are_filed_by_body() {
    assert_eq!(one("www.a.b.gov.cn", Nginx).filing_names, ["www.a.b.gov.cn", "a.b.gov.cn", "b.gov.cn"]);
    assert_eq!(one("*.a.b.gov.cn", Nginx).filing_names, ["a.b.gov.cn", "b.gov.cn"]);
    assert_eq!(one("b.gov.cn", Nginx).filing_names, ["b.gov.cn"]);
    assert_eq!(one("www.notgov.cn", Nginx).filing_names, ["notgov.cn"]);
    let deep = one("1x.2.3.4.5.6.7.8.9.b.gov.cn", Nginx).filing_names;
    assert_eq!(
        (deep.len(), deep[0].as_str(), deep[7].as_str()),
        (8, "1x.2.3.4.5.6.7.8.9.b.gov.cn", "b.gov.cn")
    );
}

fn check(raw: &str, server: Server) -> Result<(), TestCaseError> {
    for class in classify(raw, server) {
        let (name, again) = match &class {
            NameClass::Judged(t) => {
                prop_assert!(!t.ask.is_empty() && !t.filing_names.is_empty());
                for n in t.ask.iter().chain(&t.filing_names).chain([&t.apex]) {
                    prop_assert!(
                        n.is_ascii() && *n == n.to_lowercase() && !n.ends_with('.') && !n.starts_with('.'),
                        "{n}"
                    );
                    let wire =
                        hickory_resolver::proto::rr::Name::from_labels(n.split('.').map(str::as_bytes));
                    prop_assert!(wire.is_ok(), "{n} is no name for DNS");
                    let got = apex(n);
                    prop_assert_eq!(got.as_deref(), Some(t.apex.as_str()));
                }
                (t.name.clone(), true)
            }
            NameClass::NotApplicable { name, .. } => (name.clone(), true),
            _ => (String::new(), false),
        };
        if !again {
            continue;
        }
        if !name.starts_with('~') {
            prop_assert!(name.is_ascii() && name == name.to_lowercase() && !name.ends_with('.'), "{name}");
        }
        prop_assert_eq!(classify(&name, server), vec![class], "{}", name);
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_text_panics(raw in any::<String>()) {
        check(&raw, Nginx)?;
        check(&raw, Apache)?;
    }

    #[test]
    fn names_hold_their_shape(raw in r"[.~*]{0,2}[a-zA-Z0-9_。．中国示例公司ßİ٣\u{200d}\u{ad}.-]{0,20}(\.cn|\.com\.cn|\.中国|\.local|\.gov\.cn|\.)?") {
        check(&raw, Nginx)?;
        check(&raw, Apache)?;
    }

    #[test]
    fn patterns_hold_their_shape(raw in r"~\^?[a-z.\\()|?*+\[\]^$<>{},:!=0-9-]{0,24}\\?\.?(example\\?\.com)?\$?") {
        check(&raw, Nginx)?;
    }

    // What a judged pattern claims is true of every host that it matches.
    #[test]
    fn a_fixed_tail_is_what_the_pattern_matches(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..5),
        tail in proptest::sample::select(&[r"example\.com$", r"example.com$", r"(example\.com)$", r"example\.com", r"example\.com|a"][..]),
    ) {
        let raw = format!("{}{tail}", pieces.concat());
        let Ok(re) = regex::Regex::new(&raw) else { return Ok(()) };
        if let [NameClass::Judged(t)] = classify(&format!("~{raw}"), Nginx).as_slice() {
            for head in ["", "a", "b", "a.", "b.", "www.", "wwww.", "a.b.", "aa.", "a.a", "b.a", "www"] {
                for end in ["example.com", "examplexcom", "example.comb", "a"] {
                    let host = format!("{head}{end}");
                    prop_assert!(!re.is_match(&host) || below(&host, &t.apex), "{raw} matches {host}, not below {}", t.apex);
                }
            }
        }
    }
}

const PIECES: &[&str] = &[
    "^",
    "a",
    "b",
    r"\.",
    r"\.?",
    r"\.+",
    r"\.*",
    ".",
    ".*",
    ".+",
    "(a|b)",
    r"(a\.|b)",
    r"(a\.|b\.)",
    r"(a\.|b\.|)",
    r"(www\.)?",
    r"(^|\.)",
    r"([ab]+\.)*",
    r"([ab]+\.)+",
    "[.]",
    "[^.]",
    r"(?:a\.){0,2}",
    "(",
    ")",
    "|",
    r"((a\.)?b)",
    r"((b)?a\.)",
    r"(?:|a\.)?",
];

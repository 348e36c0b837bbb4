#![allow(clippy::unwrap_used, reason = "tests")]

use super::rows::{Drafts, Policy};
use super::*;
use crate::facts::{FindingKind, Reason, Site, Unbounded, Verdict};

fn site(server: Server, line: u32, names: &[&str]) -> Site {
    let mut s = Site::new(server, "/etc/x.conf", line);
    s.names = names.iter().map(|n| (*n).to_owned()).collect();
    s.listen = vec!["*:80".to_owned()];
    s
}

fn config(text: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, text).unwrap();
    Config::load_with(Some(&file), vec![]).unwrap()
}

fn rows_of(cfg: &Config, sites: &[Site]) -> (Vec<Row>, Vec<Problem>) {
    let now = Timestamp::now();
    let policy = Policy::new(cfg, now);
    let mut drafts = Drafts::new(&policy);
    drafts.add_sites(sites);
    let (drafts, problems) = drafts.finish();
    (drafts.into_iter().map(|d| d.into_row(now)).collect(), problems)
}

fn brief(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|r| format!("{} {} {}", r.name, r.reason, r.served_by.len())).collect()
}

#[test]
fn one_row_a_name_however_many_places_serve_it() {
    let mut late = site(Server::Nginx, 9, &["a.example.com", "b.example.com"]);
    late.shadowed = vec!["a.example.com".into()];
    let sites = [
        site(Server::Nginx, 1, &["A.example.com.", "a.example.com", "_", ""]),
        late,
        site(Server::Apache, 3, &["a.example.com", "*.wild.example.com", "www.示例.cn"]),
    ];
    let (rows, problems) = rows_of(&config(""), &sites);
    assert_eq!(
        brief(&rows),
        [
            "a.example.com filing_unknown 3",
            "b.example.com filing_unknown 1",
            "*.wild.example.com filing_unknown 1",
            "www.xn--fsq092h.cn filing_unknown 1"
        ]
    );
    assert!(problems.is_empty());
    assert_eq!(rows[0].served_by.iter().map(|s| s.line).collect::<Vec<_>>(), [1, 9, 3]);
}

#[test]
fn synthetic_names_are_nobody_s_to_file() {
    let mut s = site(Server::Apache, 1, &["1a2b3c4d.a.example.com", "a.example.com"]);
    s.synthetic = vec!["1a2b3c4d.a.example.com".into()];
    assert_eq!(brief(&rows_of(&config(""), &[s]).0), ["a.example.com filing_unknown 1"]);
}

#[test]
fn exemptions_hold_for_a_name_and_all_below_until_their_day() {
    let cfg = config(
        "[[exempt]]\nname='A.示例.cn'\nby='甲'\nwhy='理由'\nuntil='2999-01-01'\n\
         [[exempt]]\nname='old.cn'\nby='甲'\nwhy='理由'\nuntil='2001-01-01'\n\
         [[exempt]]\nname='all.cn'\nby='甲'\nwhy='理由'\n",
    );
    let names = [
        "a.示例.cn",
        "x.a.示例.cn",
        "b.示例.cn",
        "xa.示例.cn",
        "old.cn",
        "*.all.cn",
        "~^x\\.all\\.cn$",
        "notall.cn",
    ];
    let (rows, _) = rows_of(&cfg, &[site(Server::Nginx, 1, &names)]);
    let exempt: Vec<bool> = rows.iter().map(|r| r.reason == Reason::Exempt).collect();
    assert_eq!(exempt, [true, true, false, false, false, true, true, false]);
    let by = rows[0].exempt.as_ref().unwrap();
    assert_eq!((by.by.as_str(), by.why.as_str(), by.until.as_deref()), ("甲", "理由", Some("2999-01-01")));
    assert!(rows[0].exposure.is_none() && rows[0].filing.is_none());
}

#[test]
fn outside_the_mainland_nothing_is_judged() {
    let (rows, _) =
        rows_of(&config("[server]\nmainland = false\n"), &[site(Server::Nginx, 1, &["a.cn", "nas.local"])]);
    assert_eq!(brief(&rows), ["a.cn outside_mainland 1", "nas.local reserved 1"]);
}

#[test]
fn text_that_is_no_name_is_a_problem_without_its_text() {
    let (rows, problems) = rows_of(&config(""), &[site(Server::Nginx, 4, &["a b/GEHEIM", "ok.cn"])]);
    assert_eq!(brief(&rows), ["ok.cn filing_unknown 1"]);
    assert_eq!((problems[0].kind, problems[0].line), (ProblemKind::NotAName, Some(4)));
    assert!(!problems[0].kind.incomplete() && !problems[0].message.contains("GEHEIM"));
}

fn found(sites: &[Site]) -> Vec<(FindingKind, u32)> {
    findings::of(sites).iter().map(|f| (f.kind, f.line)).collect()
}

fn default_on(mut s: Site, listens: &[&str], implicit: bool) -> Site {
    s.default = listens.iter().map(|l| (*l).to_owned()).collect();
    if implicit {
        s.implicit_default.clone_from(&s.default);
    }
    s
}

#[test]
fn catch_alls_that_answer_are_findings() {
    let all = site(Server::Nginx, 1, &["_"]);
    assert!(found(std::slice::from_ref(&all)).is_empty(), "nobody asks for the name _");
    assert_eq!(found(&[default_on(all.clone(), &["*:80"], false)]), [(FindingKind::UnboundedNames, 1)]);
    assert_eq!(found(&[default_on(all.clone(), &["*:80"], true)]), [(FindingKind::UnboundedNames, 1)]);
    let mut safe = default_on(all, &["*:80", "*:443 ssl"], false);
    safe.refuses = vec!["*:80".into()];
    assert_eq!(found(std::slice::from_ref(&safe)), [(FindingKind::UnboundedNames, 1)], "443 still answers");
    safe.refuses.push("*:443 ssl".into());
    assert!(found(&[safe]).is_empty());
}

#[test]
fn named_defaults_are_implicit_or_explicit() {
    let named = site(Server::Nginx, 1, &["a.cn"]);
    assert!(found(std::slice::from_ref(&named)).is_empty());
    assert_eq!(found(&[default_on(named.clone(), &["*:80"], true)]), [(FindingKind::ImplicitDefault, 1)]);
    assert_eq!(found(&[default_on(named.clone(), &["*:80"], false)]), [(FindingKind::UnboundedNames, 1)]);
    assert!(found(&[default_on(named, &["127.0.0.1:80"], true)]).is_empty(), "nobody outside reaches it");
}

#[test]
fn names_that_stand_in_no_file_are_findings() {
    let mut lua = site(Server::Nginx, 1, &["a.cn"]);
    lua.unbounded = vec![Unbounded::Lua];
    let sites = [
        lua,
        site(Server::Nginx, 2, &["~^.+$"]),
        site(Server::Nginx, 3, &["www.*"]),
        site(Server::Apache, 4, &["a.cn", "*"]),
        site(Server::Nginx, 5, &["203.0.113.10"]),
        site(Server::Nginx, 6, &["203.0.113.10", "a.cn"]),
    ];
    let got = found(&sites);
    assert!(got.contains(&(FindingKind::UnboundedNames, 1)));
    assert!(got.contains(&(FindingKind::UnboundedNames, 3)));
    assert!(got.contains(&(FindingKind::UnboundedNames, 4)));
    assert!(got.contains(&(FindingKind::IpOnly, 5)));
    assert!(!got.iter().any(|(_, line)| *line == 6));
    assert!(got.contains(&(FindingKind::UnboundedNames, 2)), "a regex for any name");
}

#[test]
fn explaining_one_name_takes_any_spelling_and_wildcards() {
    let sites = [site(Server::Nginx, 1, &["*.示例.cn"]), site(Server::Nginx, 2, &["www.示例.cn"])];
    let cfg = config("");
    let policy = Policy::new(&cfg, Timestamp::now());
    for (asked, line) in [("WWW.示例.CN.", Some(2)), ("m.xn--fsq092h.cn", Some(1)), ("示例.cn", None)] {
        let mut drafts = Drafts::new(&policy);
        drafts.add_sites(&sites);
        drafts.keep_only(asked, &sites);
        let (drafts, _) = drafts.finish();
        assert_eq!(drafts.len(), 1, "{asked}");
        let row = drafts.into_iter().next().unwrap().into_row(Timestamp::now());
        assert_eq!(row.served_by.first().map(|s| s.line), line, "{asked}");
        assert_eq!(row.verdict, Verdict::NotApplicable);
    }
}

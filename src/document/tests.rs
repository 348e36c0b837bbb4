use super::fixture::{report, scan};
use super::layout::{width, wrap};
use super::*;
use crate::facts::{AccessState, ExposureState, FilingState, Reason};

fn about(lang: Lang, registries: usize) -> Circumstances {
    Circumstances { lang, settings: "/etc/beian/agent.toml".to_owned(), registries }
}

fn drawn(blocks: &[Block], columns: usize, color: bool) -> String {
    let mut out = Vec::new();
    write_terminal(&mut out, blocks, Look { width: columns, color }).expect("written");
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn audit_on_terminals_of_three_widths() {
    for lang in [Lang::Zh, Lang::En] {
        for columns in [40, 80, 120] {
            let text = drawn(&audit(&report(), &about(lang, 2)), columns, false);
            insta::assert_snapshot!(format!("audit_{}_{columns}", lang.pick("zh", "en")), text);
        }
    }
}

#[test]
fn sites_on_terminals_of_three_widths() {
    for lang in [Lang::Zh, Lang::En] {
        for columns in [40, 80, 120] {
            let text = drawn(&sites(&scan(), &about(lang, 0)), columns, false);
            insta::assert_snapshot!(format!("sites_{}_{columns}", lang.pick("zh", "en")), text);
        }
    }
}

/// One row as `explain` has it.
fn only(name: &str) -> crate::facts::Report {
    let mut r = report();
    r.names.retain(|n| n.name == name);
    r.summary = crate::facts::Summary::of(&r.names);
    r.findings.clear();
    r.problems.clear();
    r
}

#[test]
fn explain_shows_the_chain() {
    for (name, lang) in [
        ("waf.example.cn", Lang::Zh),
        ("slow.example.cn", Lang::Zh),
        ("xn--fsqu00a.xn--fiqs8s", Lang::En),
        ("*.example.org.cn", Lang::En),
        ("let.example.cn", Lang::Zh),
    ] {
        let text = drawn(&explain(name, &only(name), &about(lang, 2)), 80, false);
        let id = name.replace(['*', '.'], "_");
        insta::assert_snapshot!(format!("explain_{id}_{}", lang.pick("zh", "en")), text);
    }
    let mut nowhere = only("shop.example.net");
    nowhere.names[0].served_by.clear();
    let text = drawn(&explain("shop.example.net", &nowhere, &about(Lang::En, 0)), 80, false);
    assert!(text.contains("No site on this server is configured for this name"));
    assert!(text.contains("[[registry]]") && text.contains("/etc/beian/agent.toml"));
}

#[test]
fn without_a_registry_one_sentence_says_what_would_decide() {
    let text = drawn(&audit(&report(), &about(Lang::Zh, 0)), 80, false);
    assert!(text.contains("[[registry]]") && text.contains("--registry file:备案库.csv"));
    assert!(!drawn(&audit(&report(), &about(Lang::Zh, 1)), 80, false).contains("没有配置备案查询来源"));
}

/// What a person copies is there in one piece at every width.
#[test]
fn names_paths_licences_and_commands_are_never_cut() {
    let report = report();
    for columns in [20, 33, 40, 57, 80, 100, 120, 200] {
        for lang in [Lang::Zh, Lang::En] {
            let text = drawn(&audit(&report, &about(lang, 1)), columns, false);
            for row in &report.names {
                assert!(text.contains(&row.name), "{} at {columns}", row.name);
                for s in row.served_by.iter().filter(|s| !s.file.contains('\n')) {
                    let place = format!("{}:{}", s.file, s.line);
                    assert!(text.contains(&place), "{place} at {columns}");
                }
            }
            assert!(text.contains("蜀ICP备00000001号-2"), "licence at {columns}");
            assert!(text.contains("beian-agent audit"), "command at {columns}");
            assert!(text.contains("    listen 443 ssl default_server;"));
        }
    }
}

/// No line is wider than the terminal, but for what may not be cut.
#[test]
fn lines_fit_the_terminal() {
    let wide_parts: Vec<String> = report()
        .names
        .iter()
        .flat_map(|r| {
            r.served_by.iter().map(|s| format!("{}:", s.file)).chain([r.name.clone()]).collect::<Vec<_>>()
        })
        .collect();
    for columns in [40, 80, 100, 120] {
        for lang in [Lang::Zh, Lang::En] {
            for line in drawn(&audit(&report(), &about(lang, 0)), columns, false).lines() {
                let excused = wide_parts.iter().any(|p| line.contains(&*visible(p)))
                    || line.starts_with("    ")
                        && !line.contains("  ＊")
                        && line.trim_start().starts_with(['l', 's', 'r', 'S', '<', 'R'])
                    || line.contains(".conf:");
                assert!(excused || width(line) <= columns, "{columns}: {line:?}");
            }
        }
    }
}

#[test]
fn nothing_from_outside_reaches_the_terminal_as_a_command() {
    for blocks in [
        audit(&report(), &about(Lang::Zh, 1)),
        explain("evil.example.cn", &only("evil.example.cn"), &about(Lang::En, 1)),
    ] {
        let text = drawn(&blocks, 100, false);
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']));
        assert!(text.contains("\\u{1b}[2J\\u{202e}fnoc.evil\\u{a}:1"));
    }
}

#[test]
fn verdicts_come_first_and_worst_first() {
    let text = drawn(&audit(&report(), &about(Lang::En, 1)), 200, false);
    let at = |s: &str| text.find(s).unwrap_or_else(|| panic!("{s}"));
    let order =
        ["✗ violation", "! suspected", "? unconfirmed", "- dormant", "✓ compliant", ". not applicable"];
    assert!(order.windows(2).all(|w| at(w[0]) < at(w[1])));
    assert!(at(". not applicable") < at("Findings about sites"));
    assert!(at("Findings about sites") < at("What to do next"));
}

#[test]
fn colour_is_a_matter_of_choice_and_changes_no_word() {
    let blocks = audit(&report(), &about(Lang::Zh, 1));
    let colored = drawn(&blocks, 120, true);
    assert!(colored.contains("\u{1b}[1;31m✗ 违规"));
    let mut bare = String::new();
    let mut rest = colored.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        bare.push_str(before);
        rest = after.split_once('m').expect("a whole sequence").1;
    }
    bare.push_str(rest);
    let plain: String = drawn(&blocks, 120, false)
        .lines()
        .filter(|l| !l.starts_with('='))
        .map(|l| format!("{}\n", l.trim_end()))
        .collect();
    let bare: String = bare.lines().map(|l| format!("{}\n", l.trim_end())).collect();
    assert_eq!(plain, bare);
}

/// Every verdict and reason has words and, but for what is in order, advice.
#[test]
fn every_row_has_words_and_advice() {
    for lang in [Lang::Zh, Lang::En] {
        for row in &report().names {
            let text = drawn(&explain(&row.name, &only(&row.name), &about(lang, 1)), 100, false);
            let next = lang.pick("5. 下一步", "5. What to do next");
            assert_eq!(text.contains(next), row.reason != Reason::Filed, "{}", row.name);
        }
    }
}

/// The cell that `explain` names is the one that the table's first fitting row
/// has, worked out here a second time from rules.md.
#[test]
fn explain_names_the_row_of_the_table() {
    let mut r = only("shop.example.net");
    for filing in FilingState::ALL {
        for access in AccessState::ALL {
            for exposure in ExposureState::ALL {
                let f = r.names[0].filing.as_mut().expect("a filing");
                (f.state, f.access) = (*filing, *access);
                r.names[0].exposure.as_mut().expect("an exposure").state = *exposure;
                let text = drawn(&explain("x", &r, &about(Lang::En, 1)), 300, false);
                let expected = if *filing == FilingState::Restricted {
                    "restricted"
                } else if *filing == FilingState::NotFiled {
                    "not filed"
                } else if *access == AccessState::Elsewhere {
                    "any filing, not connected at this provider"
                } else if *filing == FilingState::Filed && *access == AccessState::Pending {
                    "filed, first review passed"
                } else if *filing == FilingState::Filed {
                    "filed, connected here or not known"
                } else if *filing == FilingState::SuspectedNotFiled {
                    "perhaps not filed"
                } else {
                    "filing not known"
                };
                assert!(text.contains(&format!("row \"{expected}\",")), "{filing} {access}: {text}");
            }
        }
    }
}

#[test]
fn csv_is_rfc_4180_with_english_headers() {
    let mut out = Vec::new();
    write_csv(&mut out, &name_columns(), in_reading_order(&report().names)).expect("written");
    let text = String::from_utf8(out).expect("UTF-8");
    assert!(text.starts_with("\u{feff}verdict,reason,name,unicode,apex,exposure,"));
    let mut read = ::csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let rows: Vec<_> = read.records().map(|r| r.expect("a row")).collect();
    assert_eq!(rows.len(), report().names.len());
    assert_eq!(&rows[0][0], "violation");
    assert!(rows.iter().any(|r| &r[3] == "例子.中国" && &r[2] == "xn--fsqu00a.xn--fiqs8s"));
    assert!(!text.contains(['\u{1b}', '\u{202e}']));
    assert_eq!(text.matches("\r\n").count(), rows.len() + 1);
}

#[test]
fn no_cell_of_csv_is_a_formula() {
    use super::csv::harmless;
    for bad in
        ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "＋1", "－1", "＠A", "\u{3000}=1"]
    {
        assert!(harmless(bad).starts_with('\''), "{bad:?}");
    }
    for fine in ["", "example.cn", "*.example.cn", "~^a=b$", "蜀ICP备00000001号-2", "2026-11-02T01:00:00Z"]
    {
        assert_eq!(harmless(fine), fine);
    }
    let mut out = Vec::new();
    write_csv(&mut out, &site_columns(), &scan().sites).expect("written");
    let text = String::from_utf8(out).expect("UTF-8");
    assert!(text.contains("nginx,'=cmd|' /C calc'!A0.example.com"), "{text}");
}

#[test]
fn json_is_the_report_itself_and_safe_to_look_at() {
    let mut out = Vec::new();
    write_json(&mut out, &report()).expect("written");
    let text = String::from_utf8(out).expect("UTF-8");
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}']));
    let back: crate::facts::Report = serde_json::from_str(&text).expect("JSON");
    assert_eq!(back, report());
    let mut out = Vec::new();
    write_json(&mut out, &["\u{9b}2J\u{e0041}例\u{1b}\"\\"]).expect("written");
    assert_eq!(serde_json::from_slice::<Vec<String>>(&out).expect("JSON"), ["\u{9b}2J\u{e0041}例\u{1b}\"\\"]);
    assert!(out.is_ascii() || !String::from_utf8_lossy(&out).contains('\u{9b}'));
}

#[test]
fn chinese_breaks_between_characters_but_not_before_punctuation() {
    let lines = wrap(&rich("备案通过之前先下线，改好后运行 `beian-agent audit` 再看。"), 18);
    assert!(lines.iter().all(|l| width(l) <= 18 || l.contains("beian-agent audit")), "{lines:?}");
    assert!(lines.iter().all(|l| !l.starts_with(['，', '。', ' '])), "{lines:?}");
    assert!(lines.iter().any(|l| l.contains("beian-agent audit")));
    assert_eq!(wrap(&[flow("")], 10), [""]);
    assert_eq!(wrap(&[flow("abcdefghij")], 4), ["abcd", "efgh", "ij"]);
}

#[test]
fn panels_are_named_by_their_own_entries() {
    let bt = "/www/server/panel/vhost/";
    assert_eq!(panel::entry(&format!("{bt}nginx/html_a.example.com.conf")), Some(("宝塔", "a.example.com")));
    assert_eq!(panel::entry(&format!("{bt}apache/a.example.com.conf")), Some(("宝塔", "a.example.com")));
    assert_eq!(
        panel::entry(&format!("{bt}nginx/extension/a.example.com/x.conf")),
        Some(("宝塔", "a.example.com"))
    );
    assert_eq!(panel::entry("/opt/1panel/www/conf.d/shop.conf"), Some(("1Panel", "shop")));
    assert_eq!(panel::entry("/etc/nginx/conf.d/a.example.com.conf"), None);
}

#[test]
fn times_are_beijings_for_people() {
    assert_eq!(local_time(fixture::time("2026-11-02T17:30:00Z")), "2026-11-03 01:30:00 +08:00");
}

/// As many rows as the largest server has.
#[test]
fn ten_thousand_rows_are_drawn_quickly() {
    let mut r = report();
    let rows = std::mem::take(&mut r.names);
    r.names = rows.iter().cycle().take(10_000).cloned().collect();
    let begun = std::time::Instant::now();
    let text = drawn(&audit(&r, &about(Lang::Zh, 1)), 120, true);
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    assert!(text.lines().count() > 10_000);
    let mut sink = Vec::new();
    write_json(&mut sink, &r).expect("written");
    assert!(begun.elapsed().as_secs() < 10);
}

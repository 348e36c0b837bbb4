#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::facts::AccessState;
use crate::filing::registry::Word;

fn load(bytes: &[u8]) -> Result<Table, Fault> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("filings");
    std::fs::write(&path, bytes).unwrap();
    load::load(&path)
}

fn get(bytes: &[u8], name: &str) -> Reply {
    load(bytes).map_err(|f| f.operator).unwrap().get(name).unwrap()
}

const HEADER: &str =
    "域名,主体备案号,网站备案号,主办单位,单位性质,网站名称,接入状态,备案IP,审核通过日期,接入日期";
const ROW: &str = "jieru-shili.cn,蜀ICP备00000002号,蜀ICP备00000002号-1,示例（成都）公司,企业,示例站,已接入,203.0.113.10,2024-03-01,2024-03-01";

fn check(reply: &Reply) {
    assert_eq!((reply.word, reply.access), (Word::Filed, Some(AccessState::Here)));
    assert_eq!(reply.facts.subject_licence.as_deref(), Some("蜀ICP备00000002号"));
    assert_eq!(reply.facts.site_licence.as_deref(), Some("蜀ICP备00000002号-1"));
    assert_eq!(reply.facts.unit.as_deref(), Some("示例（成都）公司"), "brackets stay");
    assert_eq!(reply.facts.nature.as_deref(), Some("企业"));
    assert_eq!(reply.facts.approved_on.as_deref(), Some("2024-03-01"));
}

#[test]
fn every_encoding_and_line_end() {
    let text = format!("{HEADER}\r\n{ROW}\r\n");
    check(&get(text.as_bytes(), "jieru-shili.cn"));
    check(&get(format!("\u{feff}{text}").as_bytes(), "jieru-shili.cn"));
    check(&get(text.replace('\r', "").as_bytes(), "jieru-shili.cn"));
    check(&get(&encoding_rs::GBK.encode(&text).0, "jieru-shili.cn"));
    let wide: Vec<u8> =
        [0xfeffu16].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    check(&get(&wide, "jieru-shili.cn"));
    for delimiter in ["\t", ";"] {
        check(&get(text.replace(',', delimiter).as_bytes(), "jieru-shili.cn"));
    }
    check(&get(format!("\n\n{text}\n\n").as_bytes(), "jieru-shili.cn"));
    let only_old_mac = text.replace("\r\n", "\r");
    check(&get(only_old_mac.as_bytes(), "jieru-shili.cn"));
}

#[test]
fn headers_of_either_language_in_any_order() {
    let text = "\u{3000}Nature ,x,UNIT,Connected_On,approved_on,access_state,site_licence,Subject_Licence,domain\n\
                企业,secret,示例（成都）公司,2024-03-01,2024-03-01,connected,蜀ICP备00000002号-1,蜀ICP备00000002号,jieru-shili.cn\n";
    check(&get(text.as_bytes(), "jieru-shili.cn"));
}

#[test]
fn domain_cells_are_folded() {
    for cell in [
        "jieru-shili.cn",
        " JieRu-Shili.CN ",
        "\u{3000}jieru-shili.cn\u{3000}",
        "jieru-shili。cn",
        "ｊｉｅｒｕ－ｓｈｉｌｉ．ｃｎ",
        "www.jieru-shili.cn",
        "a.b.jieru-shili.cn.",
        "*.jieru-shili.cn",
        "http://www.jieru-shili.cn/index.html",
        "\"jieru-shili.cn\"",
    ] {
        let text = format!("{HEADER}\n{}\n", ROW.replacen("jieru-shili.cn", cell, 1));
        check(&get(text.as_bytes(), "jieru-shili.cn"));
    }
    for cell in ["示例乙.中国", "www.示例乙.中国", "xn--ojqx2aw82g.xn--fiqs8s"] {
        let text = format!("{HEADER}\n{}\n", ROW.replacen("jieru-shili.cn", cell, 1));
        check(&get(text.as_bytes(), "xn--ojqx2aw82g.xn--fiqs8s"));
    }
    let licence = ROW.replace("蜀ICP备00000002号", " 蜀ＩＣＰ备０００００００２号");
    check(&get(format!("{HEADER}\n{licence}\n").as_bytes(), "jieru-shili.cn"));
}

/// Each body under .gov.cn files its own name.
#[test]
fn under_gov_cn_the_host_itself_counts() {
    let text = "domain,access_state\nbumen.shi.gov.cn,connected\nwww.jia.gov.cn,connected\n";
    let table = load(text.as_bytes()).unwrap();
    assert!(table.get("bumen.shi.gov.cn").is_some());
    assert!(table.get("shi.gov.cn").is_none());
    assert!(table.get("jia.gov.cn").is_some());
}

#[test]
fn states_and_what_they_say_of_the_filing() {
    for (state, access, word_without) in [
        ("connected", AccessState::Here, Word::Filed),
        ("已接入", AccessState::Here, Word::Filed),
        ("first_review_passed", AccessState::Pending, Word::Row),
        ("初审通过", AccessState::Pending, Word::Row),
        ("pending", AccessState::Elsewhere, Word::Row),
        ("待初审", AccessState::Elsewhere, Word::Row),
        ("cancelled", AccessState::Elsewhere, Word::Row),
        ("取消接入", AccessState::Elsewhere, Word::Row),
    ] {
        for (licence, word) in
            [("蜀ICP备00000002号-1", Word::Filed), ("", word_without), ("无", word_without)]
        {
            let text = format!("domain,site_licence,access_state\na-shili.cn,{licence},{state}\n");
            let reply = get(text.as_bytes(), "a-shili.cn");
            assert_eq!((reply.word, reply.access), (word, Some(access)), "{state} {licence:?}");
        }
    }
}

#[test]
fn of_several_rows_the_newest_approval_counts() {
    let of = |rows: &str| {
        let text = format!("domain,access_state,approved_on,connected_on\n{rows}");
        get(text.as_bytes(), "a-shili.cn").access
    };
    use AccessState::{Elsewhere, Here, Pending};
    assert_eq!(of("a-shili.cn,cancelled,2020-01-01,\na-shili.cn,connected,2024-01-01,\n"), Some(Here));
    assert_eq!(of("a-shili.cn,connected,2020-01-01,\na-shili.cn,cancelled,2024-01-01,\n"), Some(Elsewhere));
    assert_eq!(of("a-shili.cn,cancelled,2024-01-01,\na-shili.cn,connected,2020-01-01,\n"), Some(Elsewhere));
    assert_eq!(of("a-shili.cn,connected,,\na-shili.cn,cancelled,2024/1/1,\n"), Some(Elsewhere));
    assert_eq!(
        of("a-shili.cn,connected,2024-01-01,2024-01-01\na-shili.cn,cancelled,20240101,2024-05-01\n"),
        Some(Elsewhere)
    );
    assert_eq!(of("a-shili.cn,first_review_passed,,\nwww.a-shili.cn,pending,,\n"), Some(Pending));
}

#[test]
fn quoting_and_short_rows() {
    let text = "domain,unit,access_state\n\"a-shili.cn\",\"示例, \"\"一\"\"\n公司\",connected\nb-shili.cn,x\nc-shili.cn,x,connected,more,cells\n";
    let table = load(text.as_bytes()).unwrap();
    assert_eq!(table.get("a-shili.cn").unwrap().facts.unit.as_deref(), Some("示例, \"一\"公司"));
    assert!(table.get("b-shili.cn").is_none());
    assert!(table.get("c-shili.cn").is_some());
    assert_eq!((table.skipped.blank, table.skipped.bad), (0, 1));
}

#[test]
fn json_in_its_usual_shapes() {
    let object = r#"{"域名":"www.jieru-shili.cn","主体备案号":"蜀ICP备00000002号","site_licence":"蜀ICP备00000002号-1",
        "unit":"示例（成都）公司","nature":"企业","access_state":"已接入","addresses":["203.0.113.10"],
        "approved_on":"2024-03-01T08:00:00+08:00","extra":{"x":[1,2]}}"#;
    for text in [
        format!("[{object}]"),
        format!("\u{feff} [{object},{{\"domain\":null,\"access_state\":\"connected\"}}]"),
        format!("{{\"count\":1,\"filings\":[{object}]}}"),
        format!("{{\"code\":0,\"data\":{{\"list\":[{object}]}},\"more\":{{}}}}"),
    ] {
        check(&get(text.as_bytes(), "jieru-shili.cn"));
        check(&get(&encoding_rs::GB18030.encode(text.trim_start_matches('\u{feff}')).0, "jieru-shili.cn"));
    }
    for bad in ["[]", "{}", "[1]", "[[]]", "{\"filings\":{}}", "[{\"domain\":\"a.cn\"}]", "[{}] x"] {
        assert!(load(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn xlsx_with_dates_and_a_far_corner() {
    let table = load(include_bytes!("../../../tests/registries/files/filings.xlsx")).unwrap();
    let reply = table.get("jieru-shili.cn").unwrap();
    assert_eq!((reply.word, reply.access), (Word::Filed, Some(AccessState::Here)));
    assert_eq!(reply.facts.unit.as_deref(), Some("示例（成都）公司"));
    assert_eq!(reply.facts.approved_on.as_deref(), Some("2024-03-01"), "a cell in date format");
    let idn = table.get("xn--ojqx2aw82g.xn--fiqs8s").unwrap();
    assert_eq!(
        (idn.access, idn.facts.approved_on.as_deref()),
        (Some(AccessState::Pending), Some("2024-05-01"))
    );
    let serial = table.get("daishen-shili.cn").unwrap();
    assert_eq!(serial.facts.approved_on.as_deref(), Some("2024-03-01"), "a plain serial number");
    assert_eq!((table.len(), table.skipped.blank), (3, 1));
}

#[test]
fn no_cut_of_a_file_panics() {
    let xlsx = include_bytes!("../../../tests/registries/files/filings.xlsx");
    let csv = format!("{HEADER}\r\n{ROW}\r\n");
    let json = r#"[{"domain":"a-shili.cn","access_state":"connected"}]"#;
    for whole in [&xlsx[..], csv.as_bytes(), json.as_bytes()] {
        for n in (0..whole.len()).step_by(5) {
            if let Ok(table) = load(&whole[..n]) {
                assert!(table.len() > 0, "a table without rows is no table");
            }
        }
    }
}

#[test]
fn a_replaced_file_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("filings.csv");
    std::fs::write(&path, "domain,access_state\na-shili.cn,connected\n").unwrap();
    let db = ProviderDb::load(&path);
    assert!(!db.refresh());
    assert_eq!(db.find("bb-shili.cn").unwrap().word, Word::Absent);
    std::fs::write(&path, "domain,access_state\nbb-shili.cn,connected\n").unwrap();
    assert!(db.refresh());
    assert_eq!(db.find("bb-shili.cn").unwrap().word, Word::Filed);
    std::fs::write(&path, "").unwrap();
    assert!(db.refresh());
    assert!(db.find("bb-shili.cn").is_err(), "an emptied file is a failed source, not absence");
}

/// A large file: bounded time and memory (a million rows of this kind come to
/// ten times as much).
#[test]
fn a_hundred_thousand_rows() {
    use std::fmt::Write as _;
    let mut text = format!("{HEADER}\n");
    for i in 0..100_000 {
        writeln!(
            text,
            "yu{i}-shili.cn,蜀ICP备{i:08}号,蜀ICP备{i:08}号-1,成都示例网络科技有限公司,企业,示例站,已接入,203.0.113.10,2024-03-01,2024-03-01"
        )
        .unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("filings.csv");
    std::fs::write(&path, &text).unwrap();
    drop(text);
    let resident = || -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let before = resident();
    let start = std::time::Instant::now();
    let table = load::load(&path).map_err(|f| f.operator).unwrap();
    assert_eq!(table.len(), 100_000);
    assert!(table.get("yu99999-shili.cn").is_some());
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    assert!(resident() - before < 64 << 10, "{} kB", resident() - before);
}

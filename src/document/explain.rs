//! `explain NAME`: the whole chain from the configuration to the verdict.

use crate::config::Lang;
use crate::facts::{AccessState, ExposureState, Filing, FilingState, Report, Row, Verdict};

use super::{Block, Cell, Circumstances, Part, Tone, advice, flow, names, report, whole, words};

/// The document of `explain`: every row of the report, link by link.
pub fn explain(asked: &str, report: &Report, about: &Circumstances) -> Vec<Block> {
    let lang = about.lang;
    let mut out = Vec::new();
    if report.names.is_empty() {
        let mut line = vec![whole(asked)];
        line.push(flow(lang.pick(
            " 不是可以判断的域名：泛解析、空名字和没有固定主域的正则都没有对应的备案。",
            " is no name that can be judged: catch-alls, empty names and patterns without a fixed domain have no filing.",
        )));
        out.push(Block::Text(Cell { lines: vec![line], tone: Tone::Doubt }));
    }
    for row in &report.names {
        one(&mut out, row, report, about);
    }
    report::problems(&mut out, &report.problems, lang);
    out
}

fn one(out: &mut Vec<Block>, row: &Row, report: &Report, about: &Circumstances) {
    let lang = about.lang;
    out.push(Block::Heading(format!(
        "{}  {}",
        super::visible(&row.unicode),
        names::verdict_words(row, lang)
    )));
    let mut identity = Vec::new();
    if row.unicode != row.name {
        identity.push((lang.pick("编码形式", "as DNS has it"), Cell::whole(&row.name)));
    }
    if let Some(apex) = &row.apex {
        identity.push((lang.pick("备案主域", "registrable domain"), Cell::whole(apex)));
    }
    if !identity.is_empty() {
        out.push(Block::Pairs(identity));
    }

    out.push(Block::Heading(lang.pick("1. 配置在哪里", "1. Where it is configured").to_owned()));
    if row.served_by.is_empty() {
        out.push(Block::Text(Cell::text(lang.pick(
            "本机没有哪个站点配置了这个域名；以下按它指向本机的情形判断。",
            "No site on this server is configured for this name; it is judged as if one were.",
        ))));
    }
    for s in &row.served_by {
        let mut line = names::place(&s.file, s.line, lang);
        line.insert(0, flow(&format!("{} ", words::server(s.server))));
        if !s.listen.is_empty() {
            line.push(flow(lang.pick(" 监听 ", " listens on ")));
            line.push(whole(&s.listen.join(", ")));
        }
        out.push(Block::Item(Cell { lines: vec![line], tone: Tone::Plain }));
    }

    out.push(Block::Heading(lang.pick("2. DNS 指向哪里", "2. Where DNS leads").to_owned()));
    dns(out, row, report, lang);
    out.push(Block::Heading(lang.pick("3. 备案与接入", "3. Filing and access").to_owned()));
    match &row.filing {
        Some(f) => filing(out, f, about),
        None => out.push(Block::Text(not_asked(lang))),
    }
    out.push(Block::Heading(lang.pick("4. 结论怎么来的", "4. What decided").to_owned()));
    out.push(Block::Text(decided(row, lang)));
    if row.connected_before_filing {
        out.push(Block::Text(Cell::text(lang.pick(
            "这个域名在备案通过之前就已指向本机，记录会保留。",
            "The name led here before its filing was approved; this stays on record.",
        ))));
    }
    if let Some(a) = advice::for_verdict(row.verdict, row.reason, lang) {
        out.push(Block::Heading(lang.pick("5. 下一步", "5. What to do next").to_owned()));
        out.push(Block::Item(Cell::text(a.meaning)));
        out.extend(a.steps.iter().map(|s| Block::Item(Cell::text(s))));
        if row.verdict == Verdict::Unconfirmed {
            out.extend(report::failures(&[row], lang).into_iter().map(Block::Item));
        }
    }
}

fn not_asked(lang: Lang) -> Cell {
    Cell::text(lang.pick("无需备案的名称，没有查询。", "A name that needs no filing: not asked."))
}

fn dns(out: &mut Vec<Block>, row: &Row, report: &Report, lang: Lang) {
    let Some(e) = &row.exposure else {
        out.push(Block::Text(not_asked(lang)));
        return;
    };
    let asked: Vec<&str> = if e.asked.is_empty() {
        vec![row.name.as_str()]
    } else {
        e.asked.iter().map(String::as_str).collect()
    };
    let state = match e.why.as_deref() {
        Some(w) => vec![
            flow(words::exposure(e.state, lang)),
            flow(lang.pick("：", ": ")),
            flow(words::dns_why(w, lang)),
        ],
        None => vec![flow(words::exposure(e.state, lang))],
    };
    let chain: Vec<Vec<Part>> = e.cname.iter().map(|c| vec![flow("-> "), whole(c)]).collect();
    let mut pairs = vec![
        (lang.pick("问的名字", "asked"), Cell::stack(asked)),
        ("CNAME", Cell { lines: chain, tone: Tone::Plain }),
        (lang.pick("得到地址", "addresses"), Cell::stack(e.addresses.iter().map(ToString::to_string))),
        (
            lang.pick("本机地址", "our addresses"),
            Cell::stack(report.addresses.iter().map(ToString::to_string)),
        ),
        (lang.pick("结果", "result"), Cell { lines: vec![state], tone: Tone::Plain }),
        (lang.pick("时间", "time"), Cell::whole(&words::local_time(e.checked_at))),
    ];
    if let Some(t) = row.exposed_since {
        pairs.push((lang.pick("指向本机始于", "leads here since"), Cell::whole(&words::local_time(t))));
    }
    out.push(Block::Pairs(pairs));
}

fn filing(out: &mut Vec<Block>, f: &Filing, about: &Circumstances) {
    let lang = about.lang;
    for s in &f.sources {
        let mut line =
            vec![whole(&s.registry), flow(lang.pick("：", ": ")), flow(words::source(s.state, lang))];
        if let Some(e) = s.error {
            line.push(flow(lang.pick("，", ", ")));
            line.push(flow(words::why(e, lang)));
        }
        line.push(flow(lang.pick("， ", ", ")));
        line.push(whole(&words::local_time(s.checked_at)));
        out.push(Block::Item(Cell { lines: vec![line], tone: Tone::Plain }));
    }
    if about.registries == 0 {
        out.push(Block::Text(report::no_registry(about)));
    }
    let state = match f.why {
        Some(w) => {
            format!("{}{}{}", words::filing(f.state, lang), lang.pick("：", ": "), words::why(w, lang))
        }
        None => words::filing(f.state, lang).to_owned(),
    };
    let opt = |v: &Option<String>| Cell::whole(v.as_deref().unwrap_or_default());
    out.push(Block::Pairs(vec![
        (lang.pick("备案", "filing"), Cell::text(&state)),
        (lang.pick("接入", "access"), Cell::text(words::access(f.access, lang))),
        (lang.pick("备案所属域名", "filed for"), opt(&f.filed_for)),
        (lang.pick("主体备案号", "subject licence"), opt(&f.subject_licence)),
        (lang.pick("网站备案号", "site licence"), opt(&f.site_licence)),
        (lang.pick("主办单位", "unit"), opt(&f.unit)),
        (lang.pick("单位性质", "nature"), opt(&f.nature)),
        (lang.pick("审核通过日期", "approved on"), opt(&f.approved_on)),
    ]));
}

/// The row of the table of verdicts that fits first, as words. The order of
/// the rows is the table's own.
fn table_row(filing: FilingState, access: AccessState, lang: Lang) -> &'static str {
    match (filing, access) {
        (FilingState::Restricted, _) => lang.pick("限制接入", "restricted"),
        (FilingState::NotFiled, _) => lang.pick("未备案", "not filed"),
        (_, AccessState::Elsewhere) => {
            lang.pick("不论备案，未在本接入商接入", "any filing, not connected at this provider")
        }
        (FilingState::Filed, AccessState::Pending) => {
            lang.pick("已备案，接入初审已过", "filed, first review passed")
        }
        (FilingState::Filed, _) => lang.pick("已备案，接入在此或未知", "filed, connected here or not known"),
        (FilingState::SuspectedNotFiled, _) => lang.pick("疑似未备案", "perhaps not filed"),
        (FilingState::Unknown, _) => lang.pick("备案未知", "filing not known"),
    }
}

fn table_column(exposure: ExposureState, lang: Lang) -> &'static str {
    match exposure {
        ExposureState::Here => lang.pick("指向本机", "leads here"),
        ExposureState::Fronted => lang.pick("经 CDN/WAF", "behind a CDN or WAF"),
        ExposureState::Unknown => lang.pick("指向未知", "where it leads is not known"),
        ExposureState::Elsewhere | ExposureState::Unresolved => {
            lang.pick("指向别处或无解析", "leads elsewhere or nowhere")
        }
    }
}

fn decided(row: &Row, lang: Lang) -> Cell {
    let result = names::verdict_words(row, lang);
    let tone = words::sign(row.verdict).1;
    let text = match (&row.filing, &row.exposure) {
        (Some(f), Some(e)) => {
            let (r, c) = (table_row(f.state, f.access, lang), table_column(e.state, lang));
            lang.pick(
                format!("判定表：行「{r}」，列「{c}」，得 {result}"),
                format!("Table of verdicts: row \"{r}\", column \"{c}\" gives {result}"),
            )
        }
        _ => match &row.exempt {
            Some(x) => {
                let until = x.until.as_deref().unwrap_or(lang.pick("没有期限", "no end"));
                lang.pick(
                    format!(
                        "{result}；豁免的域名 {}，批准人 {}，理由：{}，有效期至 {until}",
                        x.name, x.by, x.why
                    ),
                    format!(
                        "{result}; exempted name {}, by {}, because: {}, until {until}",
                        x.name, x.by, x.why
                    ),
                )
            }
            None => {
                lang.pick(format!("名称本身就决定了：{result}"), format!("The name itself decides: {result}"))
            }
        },
    };
    Cell { lines: vec![vec![flow(&text)]], tone }
}

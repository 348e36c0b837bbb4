//! `audit`: verdicts first, then what is wrong with sites, what was not read,
//! the sum, and what to do next.

use std::collections::BTreeMap;

use crate::config::Lang;
use crate::facts::{Finding, FindingKind, Problem, ProblemKind, Report, Row, Server, Verdict, Why};

use super::{Block, Cell, Circumstances, Fit, Grid, Part, Tone, advice, flow, names, whole, words};

/// The rows as they are read: what breaks the rule first.
pub fn in_reading_order(rows: &[Row]) -> Vec<&Row> {
    let mut out: Vec<&Row> = rows.iter().collect();
    out.sort_by(|a, b| {
        (words::rank(a.verdict), a.reason, &a.apex, &a.name).cmp(&(
            words::rank(b.verdict),
            b.reason,
            &b.apex,
            &b.name,
        ))
    });
    out
}

/// The document of a whole audit.
pub fn audit(report: &Report, about: &Circumstances) -> Vec<Block> {
    let lang = about.lang;
    let rows = in_reading_order(&report.names);
    let mut out = Vec::new();
    if rows.is_empty() {
        out.push(Block::Text(Cell::text(
            lang.pick("没有找到要判断的域名。", "No names to judge were found."),
        )));
    } else {
        out.push(Block::Table(Grid::of(&names::columns(), rows.iter().copied(), lang)));
    }
    findings(&mut out, &report.findings, lang);
    problems(&mut out, &report.problems, lang);
    out.push(Block::Text(Cell::text(&summary(report, lang))));
    if about.registries == 0 && rows.iter().any(|r| r.filing.is_some()) {
        out.push(Block::Text(no_registry(about)));
    }
    next(&mut out, &rows, &report.findings, lang);
    out
}

fn summary(report: &Report, lang: Lang) -> String {
    let s = &report.summary;
    let counts = [
        (Verdict::Violation, s.violation),
        (Verdict::Suspected, s.suspected),
        (Verdict::Unconfirmed, s.unconfirmed),
        (Verdict::Dormant, s.dormant),
        (Verdict::Compliant, s.compliant),
        (Verdict::NotApplicable, s.not_applicable),
    ];
    let list: Vec<String> = counts.iter().map(|(v, n)| format!("{} {n}", words::verdict(*v, lang))).collect();
    let (n, f, p) = (s.names, report.findings.len(), report.problems.len());
    let when = words::local_time(report.scanned_at);
    let mut line = lang.pick(
        format!("共 {n} 个域名：{}；站点发现 {f} 项，读取问题 {p} 项。`{when}`", list.join("，")),
        format!("{n} names: {}; {f} findings, {p} problems. `{when}`", list.join(", ")),
    );
    if !report.complete {
        line.push_str(lang.pick(
            " 有配置没有读全，结果可能不完整。",
            " Part of the configuration was not read: there may be more.",
        ));
    }
    line
}

/// With no registry nothing can be decided: which settings would.
pub(super) fn no_registry(about: &Circumstances) -> Cell {
    let (before, after) = about.lang.pick(
        (
            "没有配置备案查询来源，所以备案与否都待核实：在 ",
            " 里写上 `[[registry]]`，或用 `--registry file:备案库.csv` 给出接入商的备案库导出文件，就能得出结论。",
        ),
        (
            "No filing registry is configured, so nothing can be confirmed: a `[[registry]]` in ",
            ", or the provider's exported filing database as `--registry file:PATH`, would decide.",
        ),
    );
    let mut line = vec![flow(before), whole(&about.settings)];
    line.extend(super::rich(after));
    Cell { lines: vec![line], tone: Tone::Doubt }
}

fn findings(out: &mut Vec<Block>, found: &[Finding], lang: Lang) {
    if found.is_empty() {
        return;
    }
    out.push(Block::Heading(lang.pick("站点发现", "Findings about sites").to_owned()));
    let rows = found.iter().map(|f| {
        vec![
            Cell::whole(f.kind.as_str()).toned(Tone::Doubt),
            Cell::text(words::finding(f.kind, lang)),
            Cell::stack(super::sites::first(&f.listen, 4, lang)),
            Cell { lines: vec![names::place(&f.file, f.line, lang)], tone: Tone::Plain },
        ]
    });
    out.push(Block::Table(Grid {
        columns: vec![
            (lang.pick("发现", "finding"), Fit::Flow),
            (lang.pick("说明", "what it means"), Fit::Flow),
            (lang.pick("监听", "listens on"), Fit::Flow),
            (lang.pick("配置位置", "configured in"), Fit::OwnLine),
        ],
        rows: rows.collect(),
    }));
}

pub(super) fn problems(out: &mut Vec<Block>, found: &[Problem], lang: Lang) {
    if found.is_empty() {
        return;
    }
    out.push(Block::Heading(lang.pick("读取问题", "Problems").to_owned()));
    let rows = found.iter().map(|p| {
        let mut what: Vec<Vec<Part>> = vec![vec![flow(words::problem(p.kind, lang))]];
        // The reader's own sentence is English, and says more at times.
        if !p.message.is_empty() {
            what.push(vec![flow(&p.message)]);
        }
        let place = match (&p.file, &p.registry) {
            (Some(f), _) => whole(&p.line.map_or_else(|| f.clone(), |n| format!("{f}:{n}"))),
            (None, Some(r)) => whole(r),
            (None, None) => flow(""),
        };
        vec![
            Cell::whole(p.kind.as_str()).toned(if p.kind.incomplete() { Tone::Doubt } else { Tone::Dim }),
            Cell { lines: what, tone: Tone::Plain },
            Cell { lines: vec![vec![place]], tone: Tone::Plain },
        ]
    });
    out.push(Block::Table(Grid {
        columns: vec![
            (lang.pick("问题", "problem"), Fit::Flow),
            (lang.pick("说明", "what happened"), Fit::Flow),
            (lang.pick("位置", "where"), Fit::OwnLine),
        ],
        rows: rows.collect(),
    }));
    let mut kinds: Vec<ProblemKind> = found.iter().map(|p| p.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut said: Vec<&str> = Vec::new();
    for remedy in kinds.iter().filter_map(|k| words::problem_remedy(*k, lang)) {
        if !said.contains(&remedy) {
            said.push(remedy);
            out.push(Block::Item(Cell::text(remedy)));
        }
    }
}

/// How many names a group spells out; the table above has them all.
const SHOWN: usize = 5;

fn next(out: &mut Vec<Block>, rows: &[&Row], found: &[Finding], lang: Lang) {
    let mut groups: Vec<((Verdict, &'static str), Vec<&Row>, advice::Advice)> = Vec::new();
    for row in rows {
        let Some(a) = advice::for_verdict(row.verdict, row.reason, lang) else { continue };
        match groups.iter_mut().find(|(k, _, _)| *k == (row.verdict, a.meaning)) {
            Some((_, members, _)) => members.push(row),
            None => groups.push(((row.verdict, a.meaning), vec![row], a)),
        }
    }
    if groups.is_empty() && found.is_empty() {
        return;
    }
    out.push(Block::Heading(lang.pick("下一步", "What to do next").to_owned()));
    for ((verdict, _), members, a) in &groups {
        let (sign, tone) = words::sign(*verdict);
        let title = format!("{sign} {} ({})", words::verdict(*verdict, lang), members.len());
        let mut line = vec![flow(&title), flow(lang.pick("：", ": "))];
        for (i, m) in members.iter().take(SHOWN).enumerate() {
            if i > 0 {
                line.push(flow(lang.pick("，", ", ")));
            }
            line.push(whole(&m.unicode));
        }
        if members.len() > SHOWN {
            line.push(flow(lang.pick(" 等", " and more")));
        }
        out.push(Block::Text(Cell { lines: vec![line], tone }));
        out.push(Block::Item(Cell::text(a.meaning)));
        out.extend(a.steps.iter().map(|s| Block::Item(Cell::text(s))));
        if *verdict == Verdict::Unconfirmed {
            out.extend(failures(members, lang).into_iter().map(Block::Item));
        }
    }
    fixes(out, found, lang);
}

/// Which sources failed, why, how often and when last.
pub(super) fn failures(rows: &[&Row], lang: Lang) -> Vec<Cell> {
    let mut seen: BTreeMap<(&str, Why), (usize, jiff::Timestamp)> = BTreeMap::new();
    for s in rows.iter().filter_map(|r| r.filing.as_ref()).flat_map(|f| &f.sources) {
        if let Some(error) = s.error {
            let e = seen.entry((&s.registry, error)).or_insert((0, s.checked_at));
            e.0 += 1;
            e.1 = e.1.max(s.checked_at);
        }
    }
    seen.into_iter()
        .map(|((registry, error), (n, last))| {
            let mut line = vec![whole(registry)];
            let last = words::local_time(last);
            line.push(flow(&lang.pick(
                format!("：{}，{n} 次，最近一次 ", words::why(error, lang)),
                format!(": {}, {n} times, last at ", words::why(error, lang)),
            )));
            line.push(whole(&last));
            line.push(flow(lang.pick("。", ".")));
            Cell { lines: vec![line], tone: Tone::Plain }
        })
        .collect()
}

fn fixes(out: &mut Vec<Block>, found: &[Finding], lang: Lang) {
    let mut groups: BTreeMap<(bool, Server), Vec<&Finding>> = BTreeMap::new();
    for f in found {
        groups.entry((f.kind == FindingKind::IpOnly, f.server)).or_default().push(f);
    }
    for ((_, server), members) in groups {
        let Some(kind) = members.first().map(|f| f.kind) else { continue };
        let fix = advice::for_findings(kind, server, &members, lang);
        let title = lang.pick(
            format!("! {} 站点发现 ({})：", words::server(server), members.len()),
            format!("! {} findings ({}): ", words::server(server), members.len()),
        );
        out.push(Block::Text(Cell { lines: vec![vec![flow(&title), flow(fix.meaning)]], tone: Tone::Doubt }));
        let mut steps = fix.steps.iter();
        if let Some(first) = steps.next() {
            out.push(Block::Item(Cell::text(first)));
        }
        if !fix.snippet.is_empty() {
            out.push(Block::Code(fix.snippet));
        }
        out.extend(steps.map(|s| Block::Item(Cell::text(s))));
    }
}

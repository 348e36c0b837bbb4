//! `sites`: what the servers would answer for.

use crate::config::Lang;
use crate::facts::{Scan, Site};

use super::{Block, Cell, Circumstances, Column, Fit, Grid, Part, Tone, report, words};

/// The columns of a table of sites.
pub fn columns() -> Vec<Column<Site>> {
    fn list(v: &[String]) -> String {
        v.join(" ")
    }
    let hidden = Column::hidden;
    vec![
        Column {
            key: "server",
            title: ("服务器", "server"),
            fit: Fit::Flow,
            value: |s| s.server.to_string(),
            cell: |s, _| Cell::whole(words::server(s.server)),
        },
        Column {
            key: "names",
            title: ("域名", "names"),
            fit: Fit::Flow,
            value: |s| list(&s.names),
            cell: names,
        },
        Column {
            key: "listen",
            title: ("监听", "listens on"),
            fit: Fit::Flow,
            value: |s| s.listen.join("; "),
            cell: |s, lang| Cell::stack(first(&s.listen, 6, lang)),
        },
        hidden("default", |s| s.default.join("; ")),
        Column {
            key: "location",
            title: ("配置位置", "configured in"),
            fit: Fit::OwnLine,
            value: |s| format!("{}:{}", s.file, s.line),
            cell: |s, _| Cell::stack([format!("{}:{}", s.file, s.line)]),
        },
        hidden("shadowed", |s| list(&s.shadowed)),
        hidden("root", |s| s.root.clone().unwrap_or_default()),
        hidden("upstream", |s| list(&s.upstream)),
        hidden("certificates", |s| list(&s.certificates)),
        hidden("redirect", |s| s.redirect.clone().unwrap_or_default()),
        hidden("unbounded", |s| s.unbounded.iter().map(|u| u.as_str()).collect::<Vec<_>>().join(" ")),
        hidden("refuses", |s| s.refuses.join("; ")),
        hidden("implicit_default", |s| s.implicit_default.join("; ")),
    ]
}

/// The first few of a list, and how many more there are.
pub(super) fn first(list: &[String], n: usize, lang: Lang) -> Vec<String> {
    let mut out: Vec<String> = list.iter().take(n).cloned().collect();
    if list.len() > n {
        let more = list.len() - n;
        out.push(lang.pick(format!("（另有 {more} 个）"), format!("(and {more} more)")));
    }
    out
}

fn names(s: &Site, lang: Lang) -> Cell {
    let mut lines: Vec<Vec<Part>> = first(&s.names, 20, lang)
        .iter()
        .map(|n| {
            let shown = if n.is_empty() { "\"\"" } else { n.as_str() };
            let mut parts = vec![super::whole(shown)];
            if s.shadowed.contains(n) {
                parts.push(super::flow(lang.pick("（被前面的站点占用）", " (taken by an earlier site)")));
            } else if s.synthetic.contains(n) {
                parts.push(super::flow(lang.pick("（面板自造）", " (made up by the panel)")));
            }
            parts
        })
        .collect();
    if !s.default.is_empty() {
        let refused = s.default.iter().all(|d| s.refuses.contains(d));
        lines.push(vec![super::flow(match (refused, s.implicit_default.is_empty()) {
            (true, _) => lang.pick("（未知域名：拒绝）", "(unknown names: refused)"),
            (false, true) => lang.pick("（默认站点：响应未知域名）", "(default: answers unknown names)"),
            (false, false) => {
                lang.pick("（因排在最前而响应未知域名）", "(answers unknown names, being the first)")
            }
        })]);
    }
    if !s.unbounded.is_empty() {
        lines.push(vec![super::flow(
            lang.pick("（域名由程序决定，不在配置里）", "(its names stand in no file)"),
        )]);
    }
    if lines.is_empty() {
        lines.push(vec![super::flow(lang.pick("（没有域名）", "(no name)"))]);
    }
    Cell { lines, tone: Tone::Plain }
}

/// The document of `sites`.
pub fn sites(scan: &Scan, about: &Circumstances) -> Vec<Block> {
    let lang = about.lang;
    let mut out = Vec::new();
    if scan.sites.is_empty() {
        out.push(Block::Text(Cell::text(lang.pick(
            "没有找到站点。配置在别处时用 `--root` 指定根目录，或用 `--entry nginx=/路径/nginx.conf` 指定主配置文件。",
            "No sites found. If the configuration stands elsewhere, give its root with `--root` or its main file with `--entry nginx=/path/nginx.conf`.",
        ))));
    } else {
        out.push(Block::Table(Grid::of(&columns(), &scan.sites, lang)));
    }
    report::problems(&mut out, &scan.problems, lang);
    let (n, m, p) =
        (scan.sites.len(), scan.sites.iter().map(|s| s.names.len()).sum::<usize>(), scan.problems.len());
    out.push(Block::Text(Cell::text(&lang.pick(
        format!("共 {n} 个站点，{m} 个域名；{p} 个问题。"),
        format!("{n} sites, {m} names; {p} problems."),
    ))));
    out
}

//! The table of names with their verdicts.

use crate::config::Lang;
use crate::facts::{Row, SourceAnswer};

use super::{Cell, Column, Fit, Part, Tone, flow, panel, whole, words};

fn or_empty(v: &Option<String>) -> String {
    v.clone().unwrap_or_default()
}

fn joined<T: ToString>(v: &[T]) -> String {
    v.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn source(s: &SourceAnswer) -> String {
    let error = s.error.map_or(String::new(), |e| format!(" ({e})"));
    format!("{}={}{error} {}", s.registry, s.state, s.checked_at)
}

/// The columns of a table of names.
pub fn columns() -> Vec<Column<Row>> {
    let hidden = Column::hidden;
    vec![
        Column {
            key: "verdict",
            title: ("结论", "verdict"),
            fit: Fit::Flow,
            value: |r| r.verdict.to_string(),
            cell: verdict,
        },
        hidden("reason", |r| r.reason.to_string()),
        Column {
            key: "name",
            title: ("域名", "name"),
            fit: Fit::Flow,
            value: |r| r.name.clone(),
            cell: name,
        },
        hidden("unicode", |r| r.unicode.clone()),
        hidden("apex", |r| or_empty(&r.apex)),
        Column {
            key: "exposure",
            title: ("指向", "leads to"),
            fit: Fit::Flow,
            value: |r| r.exposure.as_ref().map(|e| e.state.to_string()).unwrap_or_default(),
            cell: exposure,
        },
        hidden("addresses", |r| r.exposure.as_ref().map(|e| joined(&e.addresses)).unwrap_or_default()),
        hidden("cname", |r| r.exposure.as_ref().map(|e| joined(&e.cname)).unwrap_or_default()),
        hidden("exposure_why", |r| r.exposure.as_ref().map(|e| or_empty(&e.why)).unwrap_or_default()),
        hidden("exposure_checked_at", |r| {
            r.exposure.as_ref().map(|e| e.checked_at.to_string()).unwrap_or_default()
        }),
        Column {
            key: "filing",
            title: ("备案", "filing"),
            fit: Fit::Flow,
            value: |r| r.filing.as_ref().map(|f| f.state.to_string()).unwrap_or_default(),
            cell: filing,
        },
        Column {
            key: "access",
            title: ("接入", "access"),
            fit: Fit::Flow,
            value: |r| r.filing.as_ref().map(|f| f.access.to_string()).unwrap_or_default(),
            cell: |r, lang| Cell::text(r.filing.as_ref().map_or("", |f| words::access(f.access, lang))),
        },
        hidden("subject_licence", |r| {
            r.filing.as_ref().map(|f| or_empty(&f.subject_licence)).unwrap_or_default()
        }),
        hidden("site_licence", |r| r.filing.as_ref().map(|f| or_empty(&f.site_licence)).unwrap_or_default()),
        hidden("unit", |r| r.filing.as_ref().map(|f| or_empty(&f.unit)).unwrap_or_default()),
        hidden("nature", |r| r.filing.as_ref().map(|f| or_empty(&f.nature)).unwrap_or_default()),
        hidden("approved_on", |r| r.filing.as_ref().map(|f| or_empty(&f.approved_on)).unwrap_or_default()),
        hidden("filing_for", |r| r.filing.as_ref().map(|f| or_empty(&f.filed_for)).unwrap_or_default()),
        hidden("filing_why", |r| {
            r.filing.as_ref().and_then(|f| f.why).map(|w| w.to_string()).unwrap_or_default()
        }),
        hidden("sources", |r| {
            r.filing
                .as_ref()
                .map(|f| f.sources.iter().map(source).collect::<Vec<_>>().join("; "))
                .unwrap_or_default()
        }),
        hidden("stale", |r| r.stale.to_string()),
        hidden("first_seen", |r| r.first_seen.to_string()),
        hidden("exposed_since", |r| r.exposed_since.map(|t| t.to_string()).unwrap_or_default()),
        hidden("filed_since", |r| or_empty(&r.filed_since)),
        hidden("connected_before_filing", |r| r.connected_before_filing.to_string()),
        hidden("server", |r| {
            let mut words: Vec<&str> = r.served_by.iter().map(|s| s.server.as_str()).collect();
            words.dedup();
            words.join(" ")
        }),
        Column {
            key: "served_by",
            title: ("配置位置", "configured in"),
            fit: Fit::OwnLine,
            value: |r| {
                r.served_by.iter().map(|s| format!("{}:{}", s.file, s.line)).collect::<Vec<_>>().join("; ")
            },
            cell: served_by,
        },
        hidden("listen", |r| {
            let mut all: Vec<&str> = r.served_by.iter().flat_map(|s| &s.listen).map(String::as_str).collect();
            all.sort_unstable();
            all.dedup();
            all.join("; ")
        }),
        hidden("exempt", |r| {
            r.exempt.as_ref().map(|e| format!("{}: {} ({})", e.name, e.why, e.by)).unwrap_or_default()
        }),
    ]
}

/// `✗ 违规：未备案`.
pub(super) fn verdict_words(r: &Row, lang: Lang) -> String {
    let (sign, _) = words::sign(r.verdict);
    let colon = lang.pick("：", ": ");
    let mut s = format!("{sign} {}{colon}{}", words::verdict(r.verdict, lang), words::reason(r.reason, lang));
    if r.stale {
        s.push_str(lang.pick("（旧结论）", " (stale)"));
    }
    s
}

fn verdict(r: &Row, lang: Lang) -> Cell {
    Cell { lines: vec![vec![flow(&verdict_words(r, lang))]], tone: words::sign(r.verdict).1 }
}

/// The name as people read it, and beside it the spelling that DNS has,
/// where they differ: letters of two scripts can look the same.
pub(super) fn name(r: &Row, _: Lang) -> Cell {
    if r.unicode == r.name { Cell::whole(&r.name) } else { Cell::stack([&r.unicode, &r.name]) }
}

fn exposure(r: &Row, lang: Lang) -> Cell {
    let Some(e) = &r.exposure else { return Cell::text("") };
    let mut lines = vec![vec![flow(words::exposure(e.state, lang))]];
    if let Some(w) = e.why.as_deref().filter(|_| e.addresses.is_empty()) {
        lines.push(vec![flow(words::dns_why(w, lang))]);
    }
    if let Some(last) = e.cname.last() {
        lines.push(vec![whole(last)]);
    }
    if e.cname.is_empty() {
        // All of them stand in `explain`, JSON and CSV.
        lines.extend(e.addresses.iter().take(2).map(|a| vec![whole(&a.to_string())]));
        if e.addresses.len() > 2 {
            let more = e.addresses.len() - 2;
            lines.push(vec![flow(&lang.pick(format!("另有 {more} 个"), format!("and {more} more")))]);
        }
    }
    Cell { lines, tone: Tone::Plain }
}

fn filing(r: &Row, lang: Lang) -> Cell {
    let Some(f) = &r.filing else { return Cell::text("") };
    let mut lines: Vec<Vec<Part>> = vec![vec![flow(words::filing(f.state, lang))]];
    if let Some(l) = f.site_licence.as_deref().or(f.subject_licence.as_deref()) {
        lines.push(vec![whole(l)]);
    }
    if let Some(w) = f.why {
        lines.push(vec![flow(words::why(w, lang))]);
    }
    Cell { lines, tone: Tone::Plain }
}

/// How many places are listed in a table; all stand in `explain`.
const PLACES: usize = 4;

pub(super) fn served_by(r: &Row, lang: Lang) -> Cell {
    let mut lines: Vec<Vec<Part>> =
        r.served_by.iter().take(PLACES).map(|s| place(&s.file, s.line, lang)).collect();
    if r.served_by.len() > PLACES {
        let more = r.served_by.len() - PLACES;
        lines.push(vec![flow(&lang.pick(format!("另有 {more} 处"), format!("and {more} more places")))]);
    }
    Cell { lines, tone: Tone::Plain }
}

/// `FILE:LINE`, and the panel's entry where a panel wrote the file.
pub(super) fn place(file: &str, line: u32, lang: Lang) -> Vec<Part> {
    let mut parts = vec![whole(&format!("{file}:{line}"))];
    if let Some((panel, site)) = panel::entry(file) {
        parts.push(flow(&lang.pick(format!("（{panel}：网站 "), format!(" ({panel}: site "))));
        parts.push(whole(site));
        parts.push(flow(lang.pick("）", ")")));
    }
    parts
}

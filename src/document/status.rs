//! `status`: how the daemon does, in words.

use jiff::Timestamp;

use crate::config::Lang;
use crate::facts::{Loss, LossKind, Summary, Transition, Verdict, Why};
use crate::uplink::serve::{HubState, Status};

use super::{Block, Cell, Part, Tone, flow, rich, whole, words};

/// The document of `status` while a daemon runs.
pub fn status(s: &Status, lang: Lang) -> Vec<Block> {
    let p = |zh: &'static str, en: &'static str| lang.pick(zh, en);
    let mut out = Vec::new();
    let running = if s.ready {
        flow(p("beian-agent 正在运行", "beian-agent is running"))
    } else {
        flow(p("beian-agent 正在运行，但还没有就绪", "beian-agent is running, but not ready yet"))
    };
    let tone = if s.ready { Tone::Good } else { Tone::Doubt };
    let for_so_long = duration(s.uptime, lang);
    out.push(Block::Text(
        line([running, flow(p("，已运行 ", " for ")), whole(&for_so_long), flow(p("。", "."))]).toned(tone),
    ));

    let mut pairs = vec![
        (p("主机", "host"), Cell::whole(&s.hostname)),
        (p("版本", "version"), Cell::whole(&s.version)),
        (p("启动于", "since"), Cell::whole(&words::local_time(s.started_at))),
    ];
    if let Some(scan) = &s.last_scan {
        let found = lang.pick(
            format!("，{} 个文件，{} 个站点，用时 {} 毫秒", scan.files, scan.sites, scan.milliseconds),
            format!(", {} files, {} sites, in {} ms", scan.files, scan.sites, scan.milliseconds),
        );
        let mut parts = vec![whole(&words::local_time(scan.at)), flow(&found)];
        let mut tone = Tone::Plain;
        if !scan.complete {
            tone = Tone::Doubt;
            parts.push(flow(p("，有配置没有读全", ", part of the configuration was not read")));
        }
        pairs.push((p("上次扫描", "last scan"), line(parts).toned(tone)));
    }
    if let Some(at) = s.next_scan {
        pairs.push((p("下次扫描", "next scan"), Cell::whole(&words::local_time(at))));
    }
    if !s.addresses.is_empty() {
        let list: Vec<String> = s.addresses.iter().map(ToString::to_string).collect();
        pairs.push((p("本机地址", "addresses"), Cell::whole(&list.join(" "))));
    }
    let watched = lang.pick(format!("{} 个目录", s.watch.folders), format!("{} folders", s.watch.folders));
    pairs.push(match &s.watch.degraded {
        None => (p("监视", "watched"), Cell::text(&watched)),
        Some(why) => {
            let parts = [flow(&watched), flow(p("；不完整：", "; not all: ")), flow(why)];
            (p("监视", "watched"), line(parts).toned(Tone::Doubt))
        }
    });
    let due = lang.pick(
        format!("{} 项到期，{} 个结论依据陈旧", s.freshness.due, s.freshness.stale),
        format!("{} questions due, {} verdicts on stale facts", s.freshness.due, s.freshness.stale),
    );
    pairs.push((p("复查", "freshness"), Cell::text(&due)));
    let disk = format!("{} / {}", mebibytes(s.ledger.bytes), mebibytes(s.ledger.ceiling));
    pairs.push(match (&s.ledger.error, s.ledger.in_memory) {
        (Some(why), _) => (
            p("账本", "ledger"),
            line([whole(&disk), flow(p("；写不了：", "; not written: ")), flow(why)]).toned(Tone::Bad),
        ),
        (None, true) => (
            p("账本", "ledger"),
            line([flow(p("打不开，暂存在内存里", "cannot be opened; kept in memory"))]).toned(Tone::Bad),
        ),
        (None, false) => (p("账本", "ledger"), Cell::whole(&disk)),
    });
    out.push(Block::Pairs(pairs));

    out.push(Block::Heading(p("结论", "Verdicts").to_owned()));
    out.push(Block::Pairs(counts(&s.summary, lang)));
    wrong(&mut out, s, lang);
    if s.findings + s.problems > 0 {
        out.push(Block::Text(Cell::text(&lang.pick(
            format!("另有 {} 条站点发现、{} 条读取问题：见 `beian-agent audit`。", s.findings, s.problems),
            format!("Also {} findings and {} problems: see `beian-agent audit`.", s.findings, s.problems),
        ))));
    }
    sources(&mut out, s, lang);
    hub(&mut out, s.hub.as_ref(), lang);
    losses(&mut out, &s.losses, lang);
    out
}

/// The document of `status` while none runs. `written`: when the ledger was
/// last written, where there is one.
pub fn not_running(written: Option<Timestamp>, lang: Lang) -> Vec<Block> {
    let p = |zh: &'static str, en: &'static str| lang.pick(zh, en);
    let mut out = vec![Block::Text(
        line([flow(p("beian-agent 没有运行。", "beian-agent is not running."))]).toned(Tone::Bad),
    )];
    if let Some(at) = written {
        out.push(Block::Text(line([
            flow(p("账本最后写入于 ", "The ledger was last written at ")),
            whole(&words::local_time(at)),
            flow(p("。", ".")),
        ])));
    }
    out.push(Block::Item(Cell::text(p(
        "启动：`systemctl start beian-agent`，开机自启：`systemctl enable beian-agent`",
        "Start it: `systemctl start beian-agent`; at every boot: `systemctl enable beian-agent`",
    ))));
    out.push(Block::Item(Cell::text(p(
        "查原因：`journalctl -u beian-agent -n 50`",
        "See why: `journalctl -u beian-agent -n 50`",
    ))));
    out
}

/// What changed about a name, the latest first.
pub fn history(changes: &[Transition], lang: Lang) -> Vec<Block> {
    if changes.is_empty() {
        return Vec::new();
    }
    let mut out = vec![Block::Heading(lang.pick("变化", "What changed").to_owned())];
    for t in changes {
        let stood = |s: Option<crate::facts::Standing>| match s {
            None => lang.pick("没有", "absent").to_owned(),
            Some(s) => format!("{} ({})", words::verdict(s.verdict, lang), words::reason(s.reason, lang)),
        };
        let text = format!("  {} → {}", stood(t.from), stood(t.to));
        out.push(Block::Item(line([whole(&words::local_time(t.at)), flow(&text)])));
    }
    out
}

fn wrong(out: &mut Vec<Block>, s: &Status, lang: Lang) {
    for w in &s.wrong {
        let (sign, tone) = words::sign(w.verdict);
        let why = format!("  {}，{}", words::verdict(w.verdict, Lang::Zh), words::reason(w.reason, Lang::Zh));
        let why_en =
            format!("  {}: {}", words::verdict(w.verdict, Lang::En), words::reason(w.reason, Lang::En));
        let parts = [whole(sign), flow(" "), whole(&w.unicode), flow(lang.pick(&why, &why_en))];
        out.push(Block::Item(line(parts).toned(tone)));
    }
    let all = s.summary.violation + s.summary.suspected;
    if all > s.wrong.len() {
        let more = all - s.wrong.len();
        out.push(Block::Text(Cell::text(
            &lang.pick(format!("还有 {more} 个。"), format!("And {more} more.")),
        )));
    }
    if let Some(first) = s.wrong.first() {
        out.push(Block::Text(line([
            flow(lang.pick("怎么办：", "What to do: ")),
            whole(&format!("beian-agent explain {}", quoted(&first.name))),
        ])));
    }
}

/// A name as a shell takes it: regex names hold what a shell would act on.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.chars().all(plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

fn counts(s: &Summary, lang: Lang) -> Vec<(&'static str, Cell)> {
    [
        (Verdict::Violation, s.violation),
        (Verdict::Suspected, s.suspected),
        (Verdict::Unconfirmed, s.unconfirmed),
        (Verdict::Dormant, s.dormant),
        (Verdict::Compliant, s.compliant),
        (Verdict::NotApplicable, s.not_applicable),
    ]
    .into_iter()
    .map(|(v, n)| {
        let tone = if n == 0 { Tone::Dim } else { words::sign(v).1 };
        (words::verdict(v, lang), Cell::whole(&n.to_string()).toned(tone))
    })
    .collect()
}

fn sources(out: &mut Vec<Block>, s: &Status, lang: Lang) {
    let p = |zh: &'static str, en: &'static str| lang.pick(zh, en);
    out.push(Block::Heading(p("来源", "Sources").to_owned()));
    if s.registries.is_empty() {
        let text = p(
            "没有配置备案查询来源：设置里写上 `[[registry]]`。",
            "No filing registry is configured: add a `[[registry]]` to the settings.",
        );
        out.push(Block::Text(Cell::text(text).toned(Tone::Doubt)));
    }
    let resolver = (p("DNS", "DNS"), s.resolver.ok, &s.resolver.error, s.resolver.since);
    let all = s.registries.iter().map(|r| (r.name.as_str(), r.ok, &r.error, r.since)).chain([resolver]);
    for (name, ok, error, since) in all {
        let (text, tone) = match ok {
            None => (p("还没有问过", "not asked yet"), Tone::Dim),
            Some(true) => (p("正常", "in order"), Tone::Good),
            Some(false) => (p("没有可用的答复", "no usable answer"), Tone::Bad),
        };
        let mut parts = vec![whole(name), flow("  "), flow(text)];
        if let Some(e) = error {
            parts.push(flow(p("：", ": ")));
            parts.push(flow(
                e.parse::<Why>().map_or_else(|()| words::dns_why(e, lang), |w| words::why(w, lang)),
            ));
        }
        if let Some(t) = since.filter(|_| ok == Some(false)) {
            parts.push(flow(p("，自 ", ", since ")));
            parts.push(whole(&words::local_time(t)));
        }
        out.push(Block::Item(line(parts).toned(tone)));
    }
}

fn hub(out: &mut Vec<Block>, hub: Option<&HubState>, lang: Lang) {
    let p = |zh: &'static str, en: &'static str| lang.pick(zh, en);
    out.push(Block::Heading(p("上报", "Hub").to_owned()));
    let Some(h) = hub else {
        out.push(Block::Text(Cell::text(p(
            "没有配置上报中心：结论只在本机，见日志和本命令。",
            "No hub is configured: verdicts stay here, in the journal and in this command.",
        ))));
        return;
    };
    let mut pairs = vec![(p("地址", "URL"), Cell::whole(&h.url))];
    let (text, tone) = match (h.enrolled, h.quarantined) {
        (false, _) => (
            p(
                "没有登记：运行 `beian-agent enrol --hub URL`",
                "not enrolled: run `beian-agent enrol --hub URL`",
            ),
            Tone::Bad,
        ),
        (true, true) => {
            (p("已登记，等待人工确认", "enrolled; an operator has yet to confirm it"), Tone::Doubt)
        }
        (true, false) => (p("已登记", "enrolled"), Tone::Good),
    };
    pairs.push((p("登记", "enrolment"), Cell { lines: vec![rich(text)], tone }));
    let last = match &h.last_delivery {
        None => Cell::text(p("还没有", "none yet")).toned(Tone::Dim),
        Some(d) => Cell::whole(&format!("{}  #{}", words::local_time(d.at), d.sequence)),
    };
    pairs.push((p("最近送达", "last delivery"), last));
    if let Some(e) = &h.last_error {
        pairs.push((p("最近错误", "last error"), line([flow(e)]).toned(Tone::Bad)));
    }
    if let Some(t) = h.next_try {
        pairs.push((p("下次发送", "next try"), Cell::whole(&words::local_time(t))));
    }
    let mut waiting = vec![whole(&h.outbox.to_string())];
    if let Some(t) = h.oldest.filter(|_| h.outbox > 0) {
        waiting.push(flow(p("，最早自 ", ", the oldest since ")));
        waiting.push(whole(&words::local_time(t)));
    }
    pairs.push((p("待发", "waiting"), line(waiting)));
    if let Some(ms) = h.skew_ms.filter(|ms| ms.unsigned_abs() >= 30_000) {
        let text = lang.pick(
            format!("本机时钟相差 {} 秒，请检查对时", ms / 1000),
            format!("this server's clock is off by {} s; check its time service", ms / 1000),
        );
        pairs.push((p("时钟", "clock"), Cell::text(&text).toned(Tone::Doubt)));
    }
    out.push(Block::Pairs(pairs));
}

fn losses(out: &mut Vec<Block>, losses: &[Loss], lang: Lang) {
    if losses.is_empty() {
        return;
    }
    out.push(Block::Heading(lang.pick("丢失", "Losses").to_owned()));
    for l in losses {
        let what = match l.kind {
            LossKind::LedgerSetAside => lang.pick(
                "账本读不了，已另存并重新开始",
                "the ledger could not be read; set aside, a new one began",
            ),
            LossKind::TransitionsDropped => lang.pick(
                "账本到了上限，丢弃了最早的变化",
                "the ledger was full; the oldest changes were dropped",
            ),
            LossKind::DeadLetter => lang.pick("上报中心拒收", "refused by the hub for good"),
        };
        let text = format!("  {what} ×{}", l.count);
        out.push(Block::Item(line([whole(&words::local_time(l.at)), flow(&text)]).toned(Tone::Doubt)));
    }
}

fn line(parts: impl IntoIterator<Item = Part>) -> Cell {
    Cell { lines: vec![parts.into_iter().collect()], tone: Tone::Plain }
}

/// The two or three largest units.
fn duration(seconds: u64, lang: Lang) -> String {
    let (d, h, m, s) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    match (d, h, m) {
        (0, 0, 0) => lang.pick(format!("{s} 秒"), format!("{s} s")),
        (0, 0, _) => lang.pick(format!("{m} 分 {s} 秒"), format!("{m} min {s} s")),
        (0, _, _) => lang.pick(format!("{h} 小时 {m} 分"), format!("{h} h {m} min")),
        _ => lang.pick(format!("{d} 天 {h} 小时 {m} 分"), format!("{d} d {h} h {m} min")),
    }
}

/// Mebibytes with one decimal.
fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

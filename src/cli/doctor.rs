//! `doctor`: what the agent needs here, each point with its state and what to
//! do. It reads and asks; it writes nothing and runs no program.

mod local;
mod remote;
mod secrets;
mod sends;

use std::io::{self, Write};

use serde::Serialize;

use crate::config::{Config, ConfigError, Lang, Text};
use crate::document::{self, Look, visible};
use crate::source::privilege;
use crate::uplink::Enrolment;

use super::{Call, Format, OK, Output, Stop, WRONG};

/// Schema name of `doctor --format json`.
pub const DOCTOR_SCHEMA: &str = "beian.doctor/1";

/// How a point stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, but something is not as it should be, or cannot be seen.
    Warning,
    /// The agent cannot do its work.
    Fault,
}

/// One point.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Point {
    /// A word for programs.
    check: &'static str,
    /// Which one, where a check has several (a registry's name).
    which: Option<String>,
    state: State,
    /// What was found.
    found: Text,
    /// What to do.
    todo: Option<Text>,
}

impl Point {
    fn ok(check: &'static str, found: Text) -> Point {
        Point { check, which: None, state: State::Ok, found, todo: None }
    }

    fn warning(check: &'static str, found: Text, todo: Text) -> Point {
        Point { check, which: None, state: State::Warning, found, todo: Some(todo) }
    }

    fn fault(check: &'static str, found: Text, todo: Text) -> Point {
        Point { check, which: None, state: State::Fault, found, todo: Some(todo) }
    }

    fn of(self, which: impl Into<String>) -> Point {
        Point { which: Some(which.into()), ..self }
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    schema: &'static str,
    /// The worst of the checks.
    state: State,
    checks: Vec<WirePoint<'a>>,
}

/// English always (contract-details Q25).
#[derive(Serialize)]
struct WirePoint<'a> {
    check: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    which: Option<&'a str>,
    state: State,
    found: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<&'a str>,
}

/// Checks everything and shows it. Exit 0 where nothing is a fault, else 1;
/// settings that cannot be used are the first fault, and the last check.
pub fn doctor(
    call: &Call,
    settings: Result<Config, ConfigError>,
    format: Format,
    lang: Lang,
) -> Result<u8, Stop> {
    let out = Output::open(None, call.color, lang)?;
    let look = out.look();
    // As for `audit`: no thread runs yet, and nothing is written from here on.
    privilege::drop_all();
    let points = match settings {
        Ok(cfg) => examine(&cfg)?,
        Err(e) => vec![Point::fault(
            "settings",
            e.0,
            Text::new("mend the settings; nothing else was checked", "请先改正设置；其余各项未检查"),
        )],
    };
    let worst = worst(&points);
    out.write(|w| match format {
        Format::Json => document::write_json(w, &wire(&points)),
        Format::Table | Format::Csv => write_table(w, &points, look, lang),
    })?;
    Ok(if worst == State::Fault { WRONG } else { OK })
}

fn examine(cfg: &Config) -> Result<Vec<Point>, Stop> {
    let enrolment = Enrolment::in_force(cfg);
    let mut cfg = cfg.clone();
    if let Ok(Some(e)) = &enrolment {
        // As the daemon has it.
        cfg.hub.url.get_or_insert_with(|| e.hub.clone());
        cfg.ask_hub_by_default();
    }
    let cfg = &cfg;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Stop::refuse(format!("tokio: {e}")))?;
    let mut points = local::settings(cfg);
    points.push(local::reading());
    points.push(local::state_dir(cfg));
    points.extend(secrets::check(cfg));
    points.extend(local::servers(cfg));
    points.extend(runtime.block_on(remote::check(cfg)));
    points.push(local::enrolled(cfg, &enrolment));
    points.push(local::daemon(cfg));
    points.extend(sends::say(cfg));
    Ok(points)
}

fn worst(points: &[Point]) -> State {
    let has = |s| points.iter().any(|p| p.state == s);
    match (has(State::Fault), has(State::Warning)) {
        (true, _) => State::Fault,
        (false, true) => State::Warning,
        (false, false) => State::Ok,
    }
}

fn wire(points: &[Point]) -> Wire<'_> {
    Wire {
        schema: DOCTOR_SCHEMA,
        state: worst(points),
        checks: points
            .iter()
            .map(|p| WirePoint {
                check: p.check,
                which: p.which.as_deref(),
                state: p.state,
                found: &p.found.en,
                todo: p.todo.as_ref().map(|t| t.en.as_str()),
            })
            .collect(),
    }
}

fn write_table(w: &mut dyn Write, points: &[Point], look: Look, lang: Lang) -> io::Result<()> {
    let named: Vec<String> = points
        .iter()
        .map(|p| match &p.which {
            Some(which) => format!("{} {}", subject(p.check, lang), visible(which)),
            None => subject(p.check, lang).to_owned(),
        })
        .collect();
    for (p, name) in points.iter().zip(&named) {
        // A sign and a word beside the colour.
        let (sign, word, color) = match p.state {
            State::Ok => ("✓", lang.pick("正常", "ok"), "32"),
            State::Warning => ("!", lang.pick("注意", "warning"), "33"),
            State::Fault => ("✗", lang.pick("故障", "fault"), "31"),
        };
        let word = format!("{sign} {word:<0$}", lang.pick(2, 7));
        let word = if look.color { format!("\u{1b}[{color}m{word}\u{1b}[0m") } else { word };
        writeln!(w, "{word}  {name}{}{}", lang.pick("：", ": "), visible(p.found.of(lang)))?;
        if let Some(todo) = &p.todo {
            writeln!(w, "    → {}", visible(todo.of(lang)))?;
        }
    }
    let count = |s| points.iter().filter(|p| p.state == s).count();
    let (faults, warnings) = (count(State::Fault), count(State::Warning));
    writeln!(
        w,
        "\n{}",
        match (faults, warnings) {
            (0, 0) => lang.pick("一切正常。", "All is well.").to_owned(),
            _ => lang.pick(
                format!("{faults} 项故障，{warnings} 项注意。"),
                format!("{faults} faults, {warnings} warnings."),
            ),
        }
    )
}

fn subject(check: &'static str, lang: Lang) -> &'static str {
    match check {
        "settings" => lang.pick("设置", "settings"),
        "reading" => lang.pick("读取权限", "right to read"),
        "state_dir" => lang.pick("状态目录", "state folder"),
        "secrets" => lang.pick("密钥文件", "secret file"),
        "servers" => lang.pick("本机网站", "sites here"),
        "watches" => lang.pick("变更监视", "watches"),
        "resolver" => lang.pick("解析服务器", "resolver"),
        "registry" => lang.pick("备案来源", "registry"),
        "hub" => lang.pick("中心", "hub"),
        "enrolment" => lang.pick("登记", "enrolment"),
        "clock" => lang.pick("时钟", "clock"),
        "daemon" => lang.pick("守护进程", "daemon"),
        "sends" => lang.pick("数据去向", "what is sent"),
        other => other,
    }
}

#[cfg(test)]
mod tests;

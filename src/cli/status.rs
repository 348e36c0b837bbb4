//! What is asked of the running daemon: `status`, `explain --from-ledger`.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::{Config, Lang};
use crate::document::{self, Circumstances};
use crate::facts::{Agent, REPORT_SCHEMA, Report, Summary};
use crate::uplink::serve::{Answer, NAME_SCHEMA, Named, STATUS_SCHEMA, Status, ask};

use super::{Color, Format, INCOMPLETE, OK, Output, Pass, Stop, WRONG, exit_code};

/// `status`: asks the daemon over its control socket. Exit code 0: it runs and
/// found nothing wrong; 1: a violation or a suspicion; 3: it does not run, or
/// is not ready.
pub fn status(cfg: &Config, format: Format, color: Color, lang: Lang) -> Result<u8, Stop> {
    let out = Output::open(None, color, lang)?;
    let look = out.look();
    let Some(body) = said(ask(&cfg.state_dir, "GET", "/v1/status"), lang)?.map(|(_, body)| body) else {
        let written = last_written(&cfg.state_dir);
        out.write(|w| match format {
            Format::Json => document::write_json(
                w,
                &serde_json::json!({ "schema": STATUS_SCHEMA, "running": false, "ledger_written_at": written }),
            ),
            _ => document::write_terminal(w, &document::not_running(written, lang), look),
        })?;
        return Ok(INCOMPLETE);
    };
    let s: Status = read(&body, STATUS_SCHEMA, lang)?;
    out.write(|w| match format {
        // As the daemon said it: a newer one may say more than this program knows.
        Format::Json => document::write_json(
            w,
            &serde_json::from_slice::<serde_json::Value>(&body).map_err(io::Error::from)?,
        ),
        _ => document::write_terminal(w, &document::status(&s, lang), look),
    })?;
    Ok(if !s.ready {
        INCOMPLETE
    } else if s.summary.violation + s.summary.suspected > 0 {
        WRONG
    } else {
        OK
    })
}

/// `explain --from-ledger NAME`: what the daemon remembers of a name. Where no
/// daemon runs, `open` looks into the ledger's file itself; its `None` is that
/// there is none.
pub fn explain_from_ledger(
    name: &str,
    pass: &Pass,
    out: Output,
    cfg: &Config,
    lang: Lang,
    open: impl FnOnce() -> Result<Option<Option<Named>>, Stop>,
) -> Result<u8, Stop> {
    let named = match said(ask(&cfg.state_dir, "GET", &format!("/v1/names/{}", coded(name))), lang)? {
        Some((404, _)) => None,
        Some((_, body)) => Some(read::<Named>(&body, NAME_SCHEMA, lang)?),
        None => open()?.ok_or_else(|| {
            Stop::refuse(lang.pick(
                "explain --from-ledger：beian-agent 没有运行，也没有账本；systemctl start beian-agent，或不带 --from-ledger",
                "explain --from-ledger: beian-agent is not running, and there is no ledger; systemctl start beian-agent, or leave out --from-ledger",
            ))
        })?,
    };
    let Some(named) = named else {
        return Err(Stop::refuse(lang.pick(
            format!("explain --from-ledger {name}：账本里没有这个域名"),
            format!("explain --from-ledger {name}: the ledger holds nothing about this name"),
        )));
    };
    let look = out.look();
    let report = around(named.rows.clone());
    out.write(|w| match pass.format {
        Format::Json => document::write_json(w, &named),
        Format::Csv => document::write_csv(w, &document::name_columns(), &named.rows),
        Format::Table => {
            let mut blocks = Vec::new();
            if !named.rows.is_empty() {
                let settings =
                    cfg.files.first().map_or(Path::new(crate::config::DEFAULT_PATH), |p| p.as_path());
                let about = Circumstances {
                    lang,
                    settings: settings.display().to_string(),
                    registries: cfg.registries.len(),
                };
                blocks.extend(document::explain(name, &report, &about));
            }
            blocks.extend(document::history(&named.history, lang));
            document::write_terminal(w, &blocks, look)
        }
    })?;
    Ok(exit_code(&report, pass.strict))
}

/// Rows as the report that explains them.
fn around(names: Vec<crate::facts::Row>) -> Report {
    Report {
        schema: REPORT_SCHEMA.to_owned(),
        report_id: String::new(),
        sequence: 0,
        complete: true,
        scanned_at: Timestamp::now(),
        agent: Agent { id: None, version: env!("CARGO_PKG_VERSION").to_owned(), hostname: String::new() },
        addresses: Vec::new(),
        summary: Summary::of(&names),
        names,
        findings: Vec::new(),
        problems: Vec::new(),
        transitions: Vec::new(),
        losses: Vec::new(),
        part: None,
    }
}

/// What the daemon said: 200, or 404 with its problem. `None`: none runs.
fn said(answer: io::Result<Answer>, lang: Lang) -> Result<Option<(u16, Vec<u8>)>, Stop> {
    match answer {
        Ok(Answer::NotRunning) => Ok(None),
        Ok(Answer::Said(status @ (200 | 404), body)) => Ok(Some((status, body))),
        Ok(Answer::Said(status, body)) => {
            #[derive(Deserialize)]
            struct Problem {
                title: String,
            }
            let title = serde_json::from_slice::<Problem>(&body).map(|p| p.title).unwrap_or_default();
            Err(Stop::refuse(lang.pick(
                format!("守护进程答复 {status}：{title}"),
                format!("the daemon answers {status}: {title}"),
            )))
        }
        Ok(Answer::Denied) => Err(Stop::refuse(lang.pick(
            "没有权限询问守护进程：用 root 运行，或加入 beian-agent 组（usermod -aG beian-agent 用户名，重新登录）",
            "not permitted to ask the daemon: run as root, or join the group beian-agent (usermod -aG beian-agent USER, log in again)",
        ))),
        Err(e) => Err(Stop::refuse(lang.pick(
            format!("守护进程没有好好答复（{e}）；见 journalctl -u beian-agent"),
            format!("the daemon did not answer ({e}); see journalctl -u beian-agent"),
        ))),
    }
}

fn read<T: DeserializeOwned>(body: &[u8], schema: &str, lang: Lang) -> Result<T, Stop> {
    serde_json::from_slice(body).map_err(|_| {
        Stop::refuse(lang.pick(
            format!("守护进程的答复不是 {schema}：两边版本不同？重启 beian-agent"),
            format!("the daemon's answer is no {schema}: another version? restart beian-agent"),
        ))
    })
}

/// When the ledger's file was last written, where there is one.
fn last_written(state_dir: &Path) -> Option<Timestamp> {
    let m = std::fs::metadata(state_dir.join("ledger.redb")).ok()?;
    Timestamp::try_from(m.modified().ok()?).ok()
}

/// A name as a part of a path: all but the plainest characters as `%XX`.
fn coded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for b in name.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02x}"));
        }
    }
    out
}

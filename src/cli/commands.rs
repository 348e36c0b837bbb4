//! What each command shows, once the rooms have done their work.

use std::sync::Arc;

use clap_complete::Shell;

use crate::audit::Request;
use crate::config::{Config, Lang, PRESETS, RegistryKind};
use crate::document::{self, Circumstances};
use crate::facts::{Report, SITES_SCHEMA, Scan, Server};
use crate::filing::AskHub;
use crate::names::{NameClass, classify};
use crate::resolve;
use crate::uplink::{Enrolment, Lookup};

use super::{Format, INCOMPLETE, OK, Output, Pass, Stop, args, bad_settings, exit_code, names_file, output};

/// What to read and whom to ask.
pub fn request(pass: &Pass, only: Option<&str>, cfg: &Config, lang: Lang) -> Result<Request, Stop> {
    Ok(Request {
        root: pass.root.clone(),
        entries: pass.entries.clone(),
        server_args: pass.server_args.clone(),
        names: pass.names.as_deref().map(|p| names_file::read(p, lang)).transpose()?,
        only: only.map(str::to_owned),
        addresses: pass.addresses.clone(),
        resolvers: pass.resolvers.clone(),
        registries: cfg.pick_registries(&pass.registries).map_err(bad_settings(lang))?,
        hub: None,
    })
}

/// What kind `hub` is asked through, where it is among the registries. Who must
/// not read the enrolment is as one that is not enrolled.
pub fn hub(request: &Request, cfg: &Config, lang: Lang) -> Result<Option<Arc<dyn AskHub>>, Stop> {
    if !request.registries.iter().any(|r| r.kind == RegistryKind::Hub) {
        return Ok(None);
    }
    match Lookup::open(cfg) {
        None => Ok(None),
        Some(Ok(lookup)) => Ok(Some(Arc::new(lookup))),
        Some(Err(why)) => Err(Stop::refuse(why.of(lang))),
    }
}

/// The settings as the daemon has them on an enrolled server: the hub is asked
/// where no registry is configured.
pub fn as_enrolled(cfg: &mut Config) {
    if let Ok(Some(_)) = Enrolment::in_force(cfg) {
        cfg.ask_hub_by_default();
    }
}

/// The name of `explain`, if it is one that can be judged.
pub fn one_name(typed: &str, lang: Lang) -> Result<String, Stop> {
    let name = typed.trim();
    let classes = classify(name, Server::Nginx);
    let judged = |c: &NameClass| matches!(c, NameClass::Judged(_) | NameClass::NotApplicable { .. });
    if name.is_empty() || (!classes.is_empty() && !classes.iter().any(judged)) {
        return Err(Stop::refuse(
            lang.pick(format!("explain {typed}：不是域名"), format!("explain {typed}: no domain name")),
        ));
    }
    Ok(name.to_owned())
}

fn about(cfg: &Config, registries: usize, lang: Lang) -> Circumstances {
    let settings =
        cfg.files.first().map_or_else(|| crate::config::DEFAULT_PATH.to_owned(), |p| p.display().to_string());
    Circumstances { lang, settings, registries }
}

/// Shows what `sites` found.
pub fn show_sites(scan: &Scan, format: Format, out: Output, cfg: &Config, lang: Lang) -> Result<u8, Stop> {
    let look = out.look();
    out.write(|w| match format {
        Format::Json => document::write_sites_json(w, SITES_SCHEMA, &scan.sites, &scan.problems),
        Format::Csv => {
            beside_csv(0, scan.problems.len());
            document::write_csv(w, &document::site_columns(), &scan.sites)
        }
        Format::Table => {
            document::write_terminal(w, &document::sites(scan, &about(cfg, cfg.registries.len(), lang)), look)
        }
    })?;
    Ok(if scan.complete() { OK } else { INCOMPLETE })
}

/// Shows a report.
pub fn show_audit(
    report: &Report,
    pass: &Pass,
    registries: usize,
    out: Output,
    cfg: &Config,
    lang: Lang,
) -> Result<u8, Stop> {
    let look = out.look();
    out.write(|w| match pass.format {
        Format::Json => document::write_json(w, report),
        Format::Csv => {
            beside_csv(report.findings.len(), report.problems.len());
            document::write_csv(w, &document::name_columns(), document::in_reading_order(&report.names))
        }
        Format::Table => {
            document::write_terminal(w, &document::audit(report, &about(cfg, registries, lang)), look)
        }
    })?;
    Ok(exit_code(report, pass.strict))
}

/// Shows the chain behind one name.
pub fn show_explain(
    name: &str,
    report: &Report,
    pass: &Pass,
    registries: usize,
    out: Output,
    cfg: &Config,
    lang: Lang,
) -> Result<u8, Stop> {
    let look = out.look();
    out.write(|w| match pass.format {
        // The row itself; `.a.cn` stands for two, and then it is a list.
        Format::Json => match report.names.as_slice() {
            [row] => document::write_json(w, row),
            rows => document::write_json(w, rows),
        },
        Format::Csv => document::write_csv(w, &document::name_columns(), &report.names),
        Format::Table => {
            document::write_terminal(w, &document::explain(name, report, &about(cfg, registries, lang)), look)
        }
    })?;
    Ok(exit_code(report, pass.strict))
}

/// A table of names has no room for what is wrong with sites.
fn beside_csv(findings: usize, problems: usize) {
    if findings + problems > 0 {
        tracing::warn!(findings, problems, "not part of CSV; see --format table or json");
    }
}

/// One line that the settings can be used, and what should be known of them.
pub fn config_check(cfg: &Config, lang: Lang) -> Result<u8, Stop> {
    output::to_stdout(|w| {
        for warning in &cfg.warnings {
            writeln!(w, "{}{}", lang.pick("注意：", "warning: "), document::visible(warning.of(lang)))?;
        }
        let files: Vec<String> = cfg.files.iter().map(|f| f.display().to_string()).collect();
        let files = if files.is_empty() {
            lang.pick("没有设置文件，全用默认值", "no file, defaults only").to_owned()
        } else {
            document::visible(&files.join(", ")).into_owned()
        };
        writeln!(w, "{}{files}", lang.pick("设置可用：", "OK: "))
    })?;
    Ok(OK)
}

/// The settings in force as TOML; secrets as `***`.
pub fn config_show(cfg: &Config, lang: Lang) -> Result<u8, Stop> {
    let toml = toml::to_string_pretty(&cfg.raw).map_err(Stop::refuse)?;
    output::to_stdout(|w| {
        writeln!(
            w,
            "# {}",
            lang.pick("生效的设置，依次来自：", "The settings in force, from, in this order:")
        )?;
        writeln!(w, "#   {}", lang.pick("内置默认值", "built-in defaults"))?;
        for f in &cfg.files {
            writeln!(w, "#   {}", document::visible(&f.display().to_string()))?;
        }
        // Names only: a value may be a key.
        for (k, _) in std::env::vars_os() {
            let k = k.to_string_lossy();
            if k.starts_with("BEIAN_AGENT__") {
                writeln!(w, "#   {} {}", lang.pick("环境变量", "environment"), document::visible(&k))?;
            }
        }
        for warning in &cfg.warnings {
            writeln!(w, "# {}{}", lang.pick("注意：", "warning: "), document::visible(warning.of(lang)))?;
        }
        writeln!(w)?;
        w.write_all(toml.as_bytes())?;
        // What is built in decides verdicts too.
        let presets = PRESETS.join(" ");
        writeln!(w, "\n# {}{presets}", lang.pick("内置的 json_api 预设：", "built-in json_api presets: "))?;
        writeln!(w, "# {}", lang.pick("内置的 CDN/WAF 域名后缀：", "built-in CDN and WAF suffixes:"))?;
        for suffix in resolve::built_in_cdn_suffixes() {
            writeln!(w, "#   {suffix}")?;
        }
        Ok(())
    })?;
    Ok(OK)
}

/// A completion script.
pub fn completions(shell: Shell, lang: Lang) -> Result<u8, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::definition(lang), "beian-agent", &mut script);
    output::to_stdout(|w| w.write_all(&script))?;
    Ok(OK)
}

/// Help about a command, as `--help` there shows it.
pub fn help(words: &[String], lang: Lang) -> Result<u8, Stop> {
    let mut argv: Vec<std::ffi::OsString> = vec!["beian-agent".into()];
    argv.extend(words.iter().map(Into::into));
    argv.push("--help".into());
    match args::parse(&argv, lang) {
        Err(stop) => Err(stop),
        Ok(_) => Ok(OK),
    }
}

//! The life of one `beian-agent` process, from top to bottom: language and
//! settings, command line, output, privileges, the work, the result.

use std::ffi::OsString;
use std::process::ExitCode;

use beian::agent;
use beian::audit;
use beian::cli::{self, Call, Command, Early, Output, Pass, Stop};
use beian::config::{Config, Lang};
use beian::ledger::Ledger;
use beian::source::privilege;
use beian::uplink::serve::Named;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    cli::end(run(&args))
}

fn run(args: &[OsString]) -> Result<u8, Stop> {
    // The settings may choose the language, and help and errors are texts too.
    let early = Early::look(args.get(1..).unwrap_or_default());
    let lang = early.lang;
    let call = cli::parse(args, lang)?;

    // These need no settings, so that broken settings do not stand in the way.
    match &call.command {
        Command::Completions(shell) => return cli::completions(*shell, lang),
        Command::Help(words) => return cli::help(words, lang),
        _ => {}
    }

    // The daemon's log has places of its own.
    if call.command != Command::Run {
        cli::start_logs(&call);
    }
    let cfg = match early.settings {
        // The first look takes no grammar into account; the parser decides.
        read if early.config == call.config => read,
        _ => Config::load(call.config.as_deref()),
    };
    if let Command::Doctor(format) = call.command {
        return cli::doctor(&call, cfg, format, lang);
    }
    let mut cfg = cfg.map_err(cli::bad_settings(lang))?;
    if call.command == Command::Run {
        let life = agent::Life { cfg, settings: call.config.clone(), lang, log: cli::log_filter(&call) };
        return agent::run(life).map(|()| cli::OK).map_err(Stop::from);
    }
    if !matches!(call.command, Command::ConfigCheck | Command::ConfigShow) {
        for warning in &cfg.warnings {
            tracing::warn!("{}", warning.of(lang));
        }
    }

    if matches!(call.command, Command::Sites(_) | Command::Audit(_) | Command::Explain(..)) {
        cli::as_enrolled(&mut cfg);
    }
    match &call.command {
        Command::ConfigCheck => cli::config_check(&cfg, lang),
        Command::ConfigShow => cli::config_show(&cfg, lang),
        Command::Sites(pass) => sites(&call, pass, &cfg, lang),
        Command::Audit(pass) => judge(&call, pass, None, &cfg, lang),
        Command::Enrol(asked) => cli::enrol(asked, &cfg, lang),
        Command::Status(format) => cli::status(&cfg, *format, call.color, lang),
        Command::Explain(name, pass) => {
            let name = cli::one_name(name, lang)?;
            if pass.from_ledger {
                let output = Output::open(pass.output.as_deref(), call.color, lang)?;
                return cli::explain_from_ledger(&name, pass, output, &cfg, lang, || from_file(&name, &cfg));
            }
            judge(&call, pass, Some(&name), &cfg, lang)
        }
        Command::Completions(_) | Command::Help(_) | Command::Doctor(_) | Command::Run => Ok(cli::OK),
    }
}

/// What the ledger holds of a name while no daemon runs; `None` where there is
/// no ledger.
fn from_file(name: &str, cfg: &Config) -> Result<Option<Option<Named>>, Stop> {
    if !cfg.state_dir.join("ledger.redb").is_file() {
        return Ok(None);
    }
    let ledger = Ledger::open(&cfg.state_dir, cfg.freshness).map_err(Stop::refuse)?;
    Ok(Some(agent::named(&ledger, name)))
}

/// `sites`: static and offline.
fn sites(call: &Call, pass: &Pass, cfg: &Config, lang: Lang) -> Result<u8, Stop> {
    let request = cli::request(pass, None, cfg, lang)?;
    let output = Output::open(pass.output.as_deref(), call.color, lang)?;
    // From here on nothing is written but the opened output, and nothing needs
    // more than reading. No thread runs yet.
    privilege::drop_all();
    let scan = {
        let _bar = cli::Bar::start(call, lang);
        audit::scan(cfg, &request)?
    };
    let code = cli::show_sites(&scan, pass.format, output, cfg, lang);
    // The process ends here: freeing 10,000 sites string by string first would
    // only be waited for.
    std::mem::forget(scan);
    code
}

/// `audit`, and `explain` with one name.
fn judge(call: &Call, pass: &Pass, only: Option<&str>, cfg: &Config, lang: Lang) -> Result<u8, Stop> {
    let output = Output::open(pass.output.as_deref(), call.color, lang)?;
    let mut request = cli::request(pass, only, cfg, lang)?;
    request.hub = cli::hub(&request, cfg, lang)?;
    privilege::drop_all();
    let report = {
        let bar = cli::Bar::start(call, lang);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|e| Stop::refuse(format!("tokio: {e}")))?;
        runtime.block_on(audit::run(cfg, &request, &bar))?
    };
    let asked = request.registries.len();
    match only {
        None => cli::show_audit(&report, pass, asked, output, cfg, lang),
        Some(name) => cli::show_explain(name, &report, pass, asked, output, cfg, lang),
    }
}

//! `beian-hub`: its commands. Each has a module of its own with its arguments
//! and a `run`.

mod serve;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{HubConfig, Lang};

use super::store::Store;

/// Everything went as asked.
pub const OK: u8 = 0;
/// Something was found that needs a look, or was left undone for want of a yes.
pub const FOUND: u8 = 1;
/// The command line or the settings are wrong.
pub const USAGE: u8 = 2;

#[derive(Debug, Parser)]
#[command(name = "beian-hub", version, about = "The provider's side of beian", max_term_width = 100)]
struct Args {
    /// Settings (default: /etc/beian/hub.toml)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Language: zh or en
    #[arg(long, global = true, value_parser = ["zh", "en"])]
    lang: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: take reports, poll, look up
    Serve,
    /// Bring the store's schema up to this version
    Migrate,
}

/// What every command is given.
pub struct Call {
    /// The settings.
    pub cfg: HubConfig,
    /// Of what a person reads.
    pub lang: Lang,
}

impl Call {
    /// The store, as it is; its schema must be of this version already.
    pub async fn store(&self) -> anyhow::Result<Store> {
        use secrecy::ExposeSecret as _;
        Ok(Store::open(self.cfg.store_url.expose_secret()).await?)
    }

    /// Who it is, for the operators' log.
    pub fn who(&self) -> String {
        let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
        format!("cli:{}", user.unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string()))
    }
}

/// Parses, runs, and gives the exit code.
pub fn run(args: &[std::ffi::OsString]) -> anyhow::Result<u8> {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(e) => {
            // Help and version go to stdout, errors to stderr.
            let _ = e.print();
            return Ok(if e.use_stderr() { USAGE } else { OK });
        }
    };
    let cfg = HubConfig::load(args.config.as_deref())?;
    let lang = Lang::choose(args.lang.as_deref().and_then(Lang::parse), cfg.lang);
    let call = Call { cfg, lang };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.command {
            Command::Serve => serve::run(call).await,
            Command::Migrate => {
                call.store().await?.migrate().await?;
                Ok(OK)
            }
        }
    })
}

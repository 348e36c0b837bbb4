//! Settings in layers: built-in defaults < the file < `conf.d/*.toml` beside
//! it < the environment (`BEIAN_AGENT__RESOLVER__TIMEOUT=2s`).
//!
//! Two levels: [`Raw`] as typed (unknown keys are errors), [`Config`] as used
//! (checked, secrets read from their files). The keys are contract-details
//! Q19 to Q23.

mod foreign;
#[cfg(feature = "hub")]
mod hub;
mod layers;
mod raw;
mod registry;
mod shape;
mod units;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Date;

pub use foreign::io_text;
#[cfg(feature = "hub")]
pub use hub::{DEFAULT_PATH as HUB_PATH, HubAgents, HubConfig, HubServer, ProviderDb, Retention};
pub use raw::{Raw, parse_resolver};
pub use registry::{HashOrder, Negative, PRESETS, Rate, Registry, RegistryKind, Secret};
pub use units::parse_duration;

/// Where the packages put the settings.
pub const DEFAULT_PATH: &str = "/etc/beian/agent.toml";

/// Where what came of enrolling is kept (`uplink` writes it); that it is there
/// makes `kind = "hub"` usable without `[hub] url`.
pub fn enrolment_path(state_dir: &Path) -> PathBuf {
    state_dir.join("enrolment.json")
}

/// Why the settings cannot be used: one line that says what to change. Never
/// quotes a value that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.en)]
pub struct ConfigError(pub Text);

impl ConfigError {
    fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        ConfigError(Text::new(en, zh))
    }

    /// The same with a place (a file, a key) before it.
    fn at(place: impl std::fmt::Display, what: Text) -> Self {
        ConfigError(what.at(place))
    }
}

/// One sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

impl Text {
    /// Both at once, so that neither is forgotten.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Text {
        Text { en: en.into(), zh: zh.into() }
    }

    /// The sentence in one language.
    pub fn of(&self, lang: Lang) -> &str {
        lang.pick(&self.zh, &self.en)
    }

    fn at(self, place: impl std::fmt::Display) -> Text {
        Text { en: format!("{place}: {}", self.en), zh: format!("{place}：{}", self.zh) }
    }
}

/// A language that people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// Simplified Chinese.
    Zh,
    /// English.
    En,
}

impl Lang {
    /// `--lang`, then `[agent] lang`, then LC_ALL, LC_MESSAGES, LANG
    /// (contract-details Q25).
    pub fn choose(option: Option<Lang>, configured: Option<Lang>) -> Lang {
        option.or(configured).unwrap_or_else(Lang::of_environment)
    }

    /// The language of LC_ALL, LC_MESSAGES or LANG: the first that is set.
    pub fn of_environment() -> Lang {
        let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .find_map(|k| std::env::var(k).ok().filter(|v| !v.is_empty()));
        if set.is_some_and(|v| v.starts_with("zh")) { Lang::Zh } else { Lang::En }
    }

    /// `zh` or `en`.
    pub fn parse(s: &str) -> Option<Lang> {
        match s {
            "zh" | "zh-CN" | "zh_CN" => Some(Lang::Zh),
            "en" => Some(Lang::En),
            _ => None,
        }
    }

    /// Takes the text of this language.
    pub fn pick<T>(self, zh: T, en: T) -> T {
        match self {
            Lang::Zh => zh,
            Lang::En => en,
        }
    }
}

/// Bounds on what is read. Each is a setting (`[limits]`), each hit a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub file_bytes: u64,
    /// How deep includes may be nested; readers keep the count.
    pub include_depth: u32,
    /// Files read of one server's tree, repeated reads included.
    pub files: u64,
    /// Time for one scan.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { file_bytes: 16 << 20, include_depth: 64, files: 200_000, time: Duration::from_secs(60) }
    }
}

/// `[resolver]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// Servers to ask; empty: those of the system.
    pub servers: Vec<SocketAddr>,
    /// For one try of one question.
    pub timeout: Duration,
    /// Tries of one question.
    pub attempts: usize,
}

/// `[[exempt]]`: a name, and all below it, that the provider exempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exempt {
    /// The name as typed.
    pub name: String,
    /// Who exempted it.
    pub by: String,
    /// Why.
    pub why: String,
    /// The last day on which it holds.
    pub until: Option<Date>,
}

/// `[freshness]`: how long facts hold before they are asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// A filing.
    pub filed: Duration,
    /// A filing whose connection here is under review.
    pub pending: Duration,
    /// Anything else that is certain of a filing.
    pub not_filed: Duration,
    /// The least time between two questions to DNS, whatever the TTL.
    pub dns_min: Duration,
    /// The most.
    pub dns_max: Duration,
    /// The pause after a first failure; it doubles…
    pub retry_min: Duration,
    /// …up to this.
    pub retry_max: Duration,
}

/// `[serve]`: the polling API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// Where it listens; `None`: off.
    pub listen: Option<SocketAddr>,
    /// The address that the hub is told.
    pub announce: Option<String>,
    /// Where the polling token is kept.
    pub token_file: Option<PathBuf>,
    /// Certificate chain for TLS.
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    pub tls_key: Option<PathBuf>,
    /// Authority of client certificates.
    pub client_ca: Option<PathBuf>,
}

/// `[hub]`: where reports go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hub {
    /// Base URL.
    pub url: Option<url::Url>,
    /// The certificate authority to trust for it, instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl Hub {
    /// Whether this address can be a hub's: TLS beyond loopback, and no
    /// credentials, since the agent signs its calls and shows the address.
    pub fn check_url(url: &url::Url) -> Result<(), Text> {
        if url.scheme() != "https" && !(url.scheme() == "http" && registry::is_loopback(url)) {
            return Err(Text::new(
                "only https:// is used beyond loopback, so that nobody reads or changes reports on the way",
                "本机以外只能用 https://，以免上报内容在途中被窃取或篡改",
            ));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(Text::new(
                "the address alone: no user, password or query belongs there",
                "只写地址，不要带用户名、密码或查询参数",
            ));
        }
        Ok(())
    }
}

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Root of the file system that is scanned.
    pub root: PathBuf,
    /// The daemon's own folder.
    pub state_dir: PathBuf,
    /// Language of what a person reads.
    pub lang: Option<Lang>,
    /// Public addresses that lead to this server.
    pub public_addresses: Vec<IpAddr>,
    /// Whether the server stands in the mainland.
    pub mainland: bool,
    /// Time between full scans.
    pub scan_interval: Duration,
    /// Bounds on reading.
    pub limits: Limits,
    /// How long facts hold.
    pub freshness: Freshness,
    /// DNS.
    pub resolver: Resolver,
    /// CDN and WAF suffixes beside the built-in ones.
    pub cdn_suffixes: Vec<String>,
    /// The polling API.
    pub serve: Serve,
    /// The hub.
    pub hub: Hub,
    /// Log file in JSON lines, beside the journal.
    pub log_json_file: Option<PathBuf>,
    /// Filing registries, in the order in which they are listed.
    pub registries: Vec<Registry>,
    /// Exempted names.
    pub exempt: Vec<Exempt>,
    /// What should be known, but stops nothing: one sentence each.
    pub warnings: Vec<Text>,
    /// As typed, defaults filled in; what `config show` prints.
    pub raw: Raw,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
}

impl Config {
    /// Reads the settings. Without a path: [`DEFAULT_PATH`], which may be
    /// missing; a path that is given must exist.
    pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
        let mut env = Vec::new();
        // Other programs' variables may hold any bytes.
        for (variable, value) in std::env::vars_os() {
            let Some(variable) = variable.to_str().filter(|v| v.starts_with("BEIAN_AGENT__")) else {
                continue;
            };
            let value = value.into_string().map_err(|_| {
                ConfigError::at(variable, Text::new("its value is not UTF-8", "值不是 UTF-8 编码"))
            })?;
            env.push((variable.to_owned(), value));
        }
        Config::load_with(path, env)
    }

    /// The same with an environment of the caller's.
    pub fn load_with(path: Option<&Path>, env: Vec<(String, String)>) -> Result<Config, ConfigError> {
        let layers = layers::read(path, env)?;
        let mut cfg = layers.raw.check(&layers.secrets, &layers.origins)?;
        cfg.files = layers.files;
        Ok(cfg)
    }

    /// An enrolled agent asks its hub where no registry is configured.
    pub fn ask_hub_by_default(&mut self) {
        if self.registries.is_empty() {
            self.registries.push(Registry::hub());
        }
    }

    /// The registries that `--registry` picks (all of them for none):
    /// configured names, or `file:PATH` for a provider's file.
    pub fn pick_registries(&self, wanted: &[String]) -> Result<Vec<Registry>, ConfigError> {
        if wanted.is_empty() {
            return Ok(self.registries.clone());
        }
        let mut out: Vec<Registry> = Vec::new();
        for w in wanted {
            let reg = match w.strip_prefix("file:") {
                Some(path) => Registry::provider_file(path)?,
                None => self.registries.iter().find(|r| r.name == *w).cloned().ok_or_else(|| {
                    let known: Vec<&str> = self.registries.iter().map(|r| r.name.as_str()).collect();
                    let known = known.join(", ");
                    ConfigError::new(
                        format!(
                            "--registry {w}: no [[registry]] of that name; configured: {}; a provider's file is given as file:PATH",
                            if known.is_empty() { "none" } else { &known }
                        ),
                        format!(
                            "--registry {w}：没有这个名字的 [[registry]]；已配置：{}；接入商备案库文件写作 file:路径",
                            if known.is_empty() { "无" } else { &known }
                        ),
                    )
                })?,
            };
            if !out.iter().any(|r| r.name == reg.name) {
                out.push(reg);
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests;

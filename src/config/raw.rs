//! Settings as typed, in layers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::registry::{HashOrder, Negative, Registry, Secret};
use super::units::parse_duration;
use super::{Config, ConfigError, DEFAULT_PATH, Exempt, Hub, Lang, Limits, Resolver, Serve, Text};

/// The file as typed, defaults filled in. Unknown keys are errors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the keys are documented in config/agent.toml")]
pub struct Raw {
    pub agent: RawAgent,
    pub server: RawServer,
    pub scan: RawScan,
    pub limits: RawLimits,
    pub resolver: RawResolver,
    pub exposure: RawExposure,
    pub serve: RawServe,
    pub hub: RawHub,
    pub log: RawLog,
    pub registry: Vec<RawRegistry>,
    pub exempt: Vec<RawExempt>,
}

macro_rules! raw_table {
    ($(#[$m:meta])* $name:ident { $($field:ident : $ty:ty = $default:expr),+ $(,)? }) => {
        $(#[$m])*
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[allow(missing_docs, reason = "the keys are documented in config/agent.toml")]
        pub struct $name { $(
            #[serde(skip_serializing_if = "is_absent")]
            pub $field: $ty
        ),+ }
        impl Default for $name {
            fn default() -> Self { $name { $($field: $default),+ } }
        }
    };
}

/// Absent settings are left out by `config show`; TOML has no null.
fn is_absent<T: Serialize>(value: &T) -> bool {
    serde_json::to_value(value).is_ok_and(|v| v.is_null())
}

raw_table!(#[doc = "`[agent]`."] RawAgent {
    root: String = "/".to_owned(),
    state_dir: String = "/var/lib/beian-agent".to_owned(),
    lang: Option<String> = None,
});
raw_table!(#[doc = "`[server]`."] RawServer {
    public_addresses: Vec<String> = Vec::new(),
    mainland: bool = true,
});
raw_table!(
    #[doc = "`[scan]`."]
    RawScan { interval: String = "1h".to_owned() }
);
raw_table!(
    #[doc = "`[limits]`."]
    RawLimits {
        file_bytes: u64 = Limits::default().file_bytes,
        include_depth: u32 = Limits::default().include_depth,
        files: u64 = Limits::default().files,
        seconds: u64 = Limits::default().time.as_secs(),
    }
);
raw_table!(#[doc = "`[resolver]`."] RawResolver {
    servers: Vec<String> = Vec::new(),
    timeout: String = "3s".to_owned(),
    attempts: usize = 2,
});
raw_table!(#[doc = "`[exposure]`."] RawExposure { cdn_suffixes: Vec<String> = Vec::new() });
raw_table!(#[doc = "`[serve]`."] RawServe {
    listen: String = "127.0.0.1:9690".to_owned(),
    announce: Option<String> = None,
    token_file: Option<PathBuf> = None,
    tls_cert: Option<PathBuf> = None,
    tls_key: Option<PathBuf> = None,
    client_ca: Option<PathBuf> = None,
});
raw_table!(#[doc = "`[hub]`."] RawHub { url: Option<String> = None, ca_file: Option<PathBuf> = None });
raw_table!(#[doc = "`[log]`."] RawLog { json_file: Option<PathBuf> = None });
raw_table!(#[doc = "`[[registry]]`."] RawRegistry {
    name: String = String::new(),
    kind: String = String::new(),
    url: Option<String> = None,
    path: Option<PathBuf> = None,
    preset: Option<String> = None,
    key: Option<Secret> = None,
    key_file: Option<PathBuf> = None,
    canary: OneOrMany = OneOrMany(Vec::new()),
    rate: Option<String> = None,
    timeout: Option<String> = None,
    negative: Option<Negative> = None,
    upstream: Option<String> = None,
    isp_id: Option<String> = None,
    user: Option<String> = None,
    password: Option<Secret> = None,
    password_file: Option<PathBuf> = None,
    hash_order: Option<HashOrder> = None,
    allow_plain_http: bool = false,
    trusted_network: bool = false,
});
raw_table!(#[doc = "`[[exempt]]`."] RawExempt {
    name: String = String::new(),
    by: String = String::new(),
    why: String = String::new(),
    until: Option<String> = None,
});

/// `"x"` or `["x", "y"]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "OneOrManyTyped")]
pub struct OneOrMany(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrManyTyped {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrManyTyped> for OneOrMany {
    fn from(v: OneOrManyTyped) -> Self {
        OneOrMany(match v {
            OneOrManyTyped::One(s) => vec![s],
            OneOrManyTyped::Many(v) => v,
        })
    }
}

impl std::ops::Deref for OneOrMany {
    type Target = Vec<String>;
    fn deref(&self) -> &Vec<String> {
        &self.0
    }
}

/// `BEIAN_AGENT__REGISTRY__NAME__KEY` and `…__PASSWORD`: the name in capitals,
/// anything that is no letter or digit as `_`.
#[derive(Default)]
pub(super) struct SecretsFromEnvironment(HashMap<String, Secret>);

const PREFIX: &str = "BEIAN_AGENT__";
const REGISTRY_PREFIX: &str = "BEIAN_AGENT__REGISTRY__";

impl SecretsFromEnvironment {
    pub(super) fn get(&self, registry: &str, what: &str) -> Option<Secret> {
        let name: String = registry
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        self.0.get(&format!("{name}__{}", what.to_ascii_uppercase())).cloned()
    }
}

/// Settings that are lists of plain values, so that the environment can give
/// them with commas.
const LISTS: &[&str] = &["server.public_addresses", "resolver.servers", "exposure.cdn_suffixes"];

pub(super) fn layers(
    path: Option<&Path>,
    env: Vec<(String, String)>,
) -> Result<(Raw, Vec<PathBuf>, SecretsFromEnvironment), ConfigError> {
    let main = path.unwrap_or(Path::new(DEFAULT_PATH));
    let mut files = Vec::new();
    let mut builder = config::Config::builder();
    // Lists of tables add up over the files, so that one file a registry in
    // conf.d works; everything else is taken from the last file that says it.
    let mut lists: HashMap<&str, Vec<toml::Value>> = HashMap::new();
    let mut texts = Vec::new();
    match std::fs::read_to_string(main) {
        Ok(text) => texts.push((main.to_path_buf(), text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && path.is_none() => {}
        Err(e) => return Err(ConfigError::at(main.display(), io_text(&e))),
    }
    for file in conf_d(main)? {
        let text =
            std::fs::read_to_string(&file).map_err(|e| ConfigError::at(file.display(), io_text(&e)))?;
        texts.push((file, text));
    }
    for (file, text) in texts {
        let mut table = parse_toml(&file, &text)?;
        for key in ["registry", "exempt"] {
            match table.remove(key) {
                Some(toml::Value::Array(items)) => lists.entry(key).or_default().extend(items),
                Some(_) => {
                    return Err(ConfigError::at(
                        file.display(),
                        Text::new(
                            format!("{key} is written as [[{key}]]"),
                            format!("{key} 要写成 [[{key}]]"),
                        ),
                    ));
                }
                None => {}
            }
        }
        // Each file by itself first, so that the error names the file.
        if let Err(e) = toml::Value::Table(table.clone()).try_into::<Raw>() {
            return Err(ConfigError::at(file.display(), serde_text(&one_line(e.message()))));
        }
        let layer = config::Config::try_from(&table)
            .map_err(|e| ConfigError::at(file.display(), serde_text(&one_line(&e.to_string()))))?;
        builder = builder.add_source(layer);
        files.push(file);
    }
    let mut secrets = SecretsFromEnvironment::default();
    let mut plain = HashMap::new();
    for (k, v) in env {
        if let Some(rest) = k.strip_prefix(REGISTRY_PREFIX) {
            if !(rest.ends_with("__KEY") || rest.ends_with("__PASSWORD")) {
                return Err(ConfigError::new(
                    format!("{k}: of a registry the environment gives only __KEY and __PASSWORD"),
                    format!("{k}：环境变量只能给出某个来源的 __KEY 和 __PASSWORD"),
                ));
            }
            secrets.0.insert(rest.to_owned(), Secret::new(v));
        } else if k.starts_with(PREFIX) {
            plain.insert(k, v);
        }
    }
    let mut source = config::Environment::with_prefix("BEIAN_AGENT")
        .prefix_separator("__")
        .separator("__")
        .list_separator(",")
        .try_parsing(true)
        .source(Some(plain));
    for key in LISTS {
        source = source.with_list_parse_key(key);
    }
    let merged =
        builder.add_source(source).build().map_err(|e| ConfigError(serde_text(&one_line(&e.to_string()))))?;
    let mut raw: Raw =
        merged.try_deserialize().map_err(|e| ConfigError(serde_text(&one_line(&e.to_string()))))?;
    let mut take = |key: &str| lists.remove(key).unwrap_or_default();
    for item in take("registry") {
        raw.registry.push(typed(item, "registry")?);
    }
    for item in take("exempt") {
        raw.exempt.push(typed(item, "exempt")?);
    }
    Ok((raw, files, secrets))
}

fn typed<T: for<'de> Deserialize<'de>>(item: toml::Value, key: &str) -> Result<T, ConfigError> {
    let name = item.get("name").and_then(toml::Value::as_str).unwrap_or("(without a name)").to_owned();
    // The error's own text may hold a value, which may be a secret.
    item.try_into().map_err(|e: toml::de::Error| {
        let message = one_line(e.message());
        let message = if message.starts_with("unknown field") || message.starts_with("missing field") {
            serde_text(&message)
        } else {
            Text::new("a value has the wrong type", "有一个值的类型不对")
        };
        ConfigError::at(format_args!("[[{key}]] {name}"), message)
    })
}

/// The parser's own report shows the line, which may hold a key.
fn parse_toml(file: &Path, text: &str) -> Result<toml::Table, ConfigError> {
    text.parse::<toml::Table>().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(0, |s| text[..s.start.min(text.len())].matches('\n').count() + 1);
        {
            let what = one_line(e.message());
            ConfigError::at(
                format_args!("{}:{line}", file.display()),
                Text::new(format!("no valid TOML ({what})"), format!("不是有效的 TOML（{what}）")),
            )
        }
    })
}

fn io_text(e: &std::io::Error) -> Text {
    use std::io::ErrorKind;
    let zh = match e.kind() {
        ErrorKind::NotFound => "没有这个文件".to_owned(),
        ErrorKind::PermissionDenied => "没有读取权限".to_owned(),
        _ => format!("读不了（{e}）"),
    };
    Text::new(e.to_string(), zh)
}

/// What serde says of a key: its own sentence is English only.
fn serde_text(en: &str) -> Text {
    let mut quoted = en.split('`').skip(1).step_by(2);
    let zh = if en.starts_with("unknown field") {
        let key = quoted.next().unwrap_or_default();
        let known: Vec<&str> = quoted.collect();
        format!("不认识的键 {key}；可用的有 {}", known.join("、"))
    } else if en.starts_with("missing field") {
        format!("缺少键 {}", quoted.next().unwrap_or_default())
    } else {
        // The sentence quotes the value that was found, which may be a key in
        // the wrong place: only what belongs there is passed on.
        return match en.rsplit_once(", expected ") {
            Some((_, wanted)) => Text::new(
                format!("a value has the wrong type; expected {wanted}"),
                format!("有一个值的类型不对；应为 {wanted}"),
            ),
            None => Text::new("a value has the wrong type", "有一个值的类型不对"),
        };
    };
    Text::new(en, zh)
}

fn one_line(s: &str) -> String {
    s.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn conf_d(main: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let dir = main.parent().unwrap_or(Path::new(".")).join("conf.d");
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(ConfigError::at(dir.display(), io_text(&e))),
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|e| e.path())
        .filter(|p| {
            p.extension().is_some_and(|x| x == "toml")
                && p.file_name().is_some_and(|n| !n.to_string_lossy().starts_with('.'))
        })
        .collect();
    files.sort();
    Ok(files)
}

impl Raw {
    pub(super) fn check(self, secrets: &SecretsFromEnvironment) -> Result<Config, ConfigError> {
        let duration = |key: &str, s: &str| parse_duration(s).map_err(|t| ConfigError::at(key, t));
        let mut warnings = Vec::new();
        let mut registries: Vec<Registry> = Vec::new();
        for r in &self.registry {
            let r = Registry::check(r, secrets, &mut warnings)?;
            if registries.iter().any(|o| o.name == r.name) {
                return Err(ConfigError::new(
                    format!("[[registry]] {}: this name is there twice", r.name),
                    format!("[[registry]] {}：这个名字出现了两次", r.name),
                ));
            }
            registries.push(r);
        }
        let exempt = self.exempt.iter().map(check_exempt).collect::<Result<_, _>>()?;
        let lang = match self.agent.lang.as_deref() {
            None => None,
            Some(s) => Some(Lang::parse(s).ok_or_else(|| {
                ConfigError::new("[agent] lang: \"zh\" or \"en\"", "[agent] lang：只能是 \"zh\" 或 \"en\"")
            })?),
        };
        let mut public_addresses: Vec<IpAddr> = Vec::new();
        for a in &self.server.public_addresses {
            let ip = a.trim().parse().map_err(|_| {
                ConfigError::new(
                    format!("[server] public_addresses: {a:?} is no IP address"),
                    format!("[server] public_addresses：{a:?} 不是 IP 地址"),
                )
            })?;
            public_addresses.push(ip);
        }
        let servers = self
            .resolver
            .servers
            .iter()
            .map(|s| parse_resolver(s).map_err(|t| ConfigError::at("[resolver] servers", t)))
            .collect::<Result<_, _>>()?;
        if self.resolver.attempts == 0 || self.resolver.attempts > 10 {
            return Err(ConfigError::new("[resolver] attempts: 1 to 10", "[resolver] attempts：1 到 10"));
        }
        let l = &self.limits;
        if l.file_bytes == 0 || l.include_depth == 0 || l.files == 0 || l.seconds == 0 {
            return Err(ConfigError::new("[limits]: each is more than zero", "[limits]：每一项都要大于零"));
        }
        let listen = match self.serve.listen.trim() {
            "" => None,
            s => Some(s.parse::<SocketAddr>().map_err(|_| {
                ConfigError::new(
                    "[serve] listen: an address with port like \"127.0.0.1:9690\", or \"\" for off",
                    "[serve] listen：带端口的地址，如 \"127.0.0.1:9690\"，或 \"\" 表示关闭",
                )
            })?),
        };
        let serve = Serve {
            listen,
            announce: self.serve.announce.clone(),
            token_file: self.serve.token_file.clone(),
            tls_cert: self.serve.tls_cert.clone(),
            tls_key: self.serve.tls_key.clone(),
            client_ca: self.serve.client_ca.clone(),
        };
        let hub = Hub {
            url: match self.hub.url.as_deref() {
                None | Some("") => None,
                Some(u) => Some(url::Url::parse(u).map_err(|e| {
                    ConfigError::new(
                        format!("[hub] url is no URL ({e})"),
                        format!("[hub] url 不是网址（{e}）"),
                    )
                })?),
            },
            ca_file: self.hub.ca_file.clone(),
        };
        for s in &self.exposure.cdn_suffixes {
            if s.trim_matches('.').is_empty() {
                return Err(ConfigError::new(
                    "[exposure] cdn_suffixes: an empty suffix would match every name",
                    "[exposure] cdn_suffixes：空后缀会匹配所有域名",
                ));
            }
        }
        Ok(Config {
            root: PathBuf::from(&self.agent.root),
            state_dir: PathBuf::from(&self.agent.state_dir),
            lang,
            public_addresses,
            mainland: self.server.mainland,
            scan_interval: duration("[scan] interval", &self.scan.interval)?,
            limits: Limits {
                file_bytes: l.file_bytes,
                include_depth: l.include_depth,
                files: l.files,
                time: std::time::Duration::from_secs(l.seconds),
            },
            resolver: Resolver {
                servers,
                timeout: duration("[resolver] timeout", &self.resolver.timeout)?,
                attempts: self.resolver.attempts,
            },
            cdn_suffixes: self.exposure.cdn_suffixes.clone(),
            serve,
            hub,
            log_json_file: self.log.json_file.clone(),
            registries,
            exempt,
            warnings,
            raw: self,
            files: Vec::new(),
        })
    }
}

fn check_exempt(e: &RawExempt) -> Result<Exempt, ConfigError> {
    let name = e.name.trim();
    if name.is_empty() || e.by.trim().is_empty() || e.why.trim().is_empty() {
        return Err(ConfigError::new(
            format!(
                "[[exempt]] {name}: name, by (who) and why are needed, so that every exemption can be accounted for"
            ),
            format!("[[exempt]] {name}：要写明 name、by（谁）和 why（为什么），每一项豁免都要有据可查"),
        ));
    }
    let until = match e.until.as_deref() {
        None => None,
        Some(s) => Some(s.trim().parse::<Date>().map_err(|_| {
            ConfigError::new(
                format!("[[exempt]] {name}: until is a date like \"2027-01-31\""),
                format!("[[exempt]] {name}：until 是日期，如 \"2027-01-31\""),
            )
        })?),
    };
    Ok(Exempt { name: name.to_owned(), by: e.by.clone(), why: e.why.clone(), until })
}

/// `IP:PORT`, `IP` (port 53), `[IPv6]:PORT`.
pub fn parse_resolver(s: &str) -> Result<SocketAddr, Text> {
    let s = s.trim();
    s.parse::<SocketAddr>()
        .or_else(|_| s.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)))
        .map_err(|_| {
            Text::new(
                format!("{s:?}: write a resolver as IP:PORT, like 127.0.0.1:53"),
                format!("{s:?}：解析服务器写作 IP:端口，如 127.0.0.1:53"),
            )
        })
}

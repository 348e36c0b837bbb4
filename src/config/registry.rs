//! `[[registry]]`: where filings are looked up (contract-details Q20).

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::layers::SecretsFromEnvironment;
use super::raw::RawRegistry;
use super::units::parse_duration;
use super::{ConfigError, Text, foreign, shape};

/// A key or password. Its text comes out only where it is sent: `Debug` and
/// `config show` print stars.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a text as a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(SecretString::from(text.into()))
    }

    /// The text, for sending it to the registry that it belongs to.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Secret, D::Error> {
        String::deserialize(d).map(Secret::new)
    }
}

/// `"N/s"` or `"N/m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Questions…
    pub count: u32,
    /// …in this time; also the greatest burst.
    pub per: Duration,
}

impl Rate {
    fn parse(s: &str) -> Result<Rate, Text> {
        let bad = shape::rate;
        let (n, unit) = s.trim().split_once('/').ok_or_else(bad)?;
        let count: u32 = n.trim().parse().map_err(|_| bad())?;
        let per = match unit.trim() {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            _ => return Err(bad()),
        };
        if count == 0 { Err(bad()) } else { Ok(Rate { count, per }) }
    }
}

/// What a negative of this source is worth by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Negative {
    /// It stands alone (YD/T 2431; a provider's file that is complete).
    Authoritative,
    /// It needs good canaries and a second source.
    Ambiguous,
}

/// In which order the YD/T 2431 password hash is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashOrder {
    /// Password, then the random string.
    PasswordRand,
    /// The random string, then the password.
    RandPassword,
}

/// What a registry is asked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryKind {
    /// A: the provider's own filing database as a file.
    ProviderDb {
        /// CSV, JSON or XLSX.
        path: PathBuf,
    },
    /// B: the YD/T 2431 enterprise interface.
    Yd2431 {
        /// The whole endpoint.
        url: Url,
        /// `ispID`.
        isp_id: String,
        /// `userName`.
        user: String,
        /// The password that is hashed, never sent.
        password: Secret,
        /// How it is hashed.
        hash_order: HashOrder,
    },
    /// C: a self-hosted service in the shape of the ministry's public list.
    MinistryList {
        /// Base; `/query/web` is appended.
        url: Url,
    },
    /// D: a commercial JSON service.
    JsonApi {
        /// Base; the preset's path is appended.
        url: Url,
        /// A built-in preset, or an absolute path to a mapping file.
        preset: String,
        /// The account's key.
        key: Option<Secret>,
        /// A second credential that some presets send (apihz `id`).
        user: Option<String>,
    },
    /// The provider's hub, which asks for the whole fleet: that of `[hub]` or
    /// of the enrolment.
    Hub,
}

/// One registry, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// The name in `sources[].registry`.
    pub name: String,
    /// How it is asked.
    pub kind: RegistryKind,
    /// What its negatives are worth. Already lowered to `Ambiguous` where
    /// plain HTTP leaves loopback without `trusted_network`.
    pub negative: Negative,
    /// Positives of a provider's file and YD/T 2431 are authoritative; over
    /// an untrusted plain-HTTP line they are not.
    pub trusted: bool,
    /// Domains known to be filed, asked around negatives; taken in turn.
    pub canary: Vec<String>,
    /// Questions per time.
    pub rate: Option<Rate>,
    /// For one whole call, connect to last byte.
    pub timeout: Duration,
    /// Whose data it resells; equal upstreams count as one source.
    pub upstream: String,
}

/// For one whole call, where `timeout` is not set.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The same of the hub, which may have to ask others first.
const HUB_TIMEOUT: Duration = Duration::from_secs(30);

/// Names of the built-in json_api presets.
pub const PRESETS: &[&str] = &["chinaz", "tianapi", "mir6", "apihz", "uapis"];

impl Registry {
    /// `--registry file:PATH`: a provider's file that is complete.
    pub(super) fn provider_file(path: &str) -> Result<Registry, ConfigError> {
        if !Path::new(path).is_file() {
            return Err(ConfigError::new(
                format!("--registry file:{path}: no such file"),
                format!("--registry file:{path}：没有这个文件"),
            ));
        }
        let name = format!("file:{path}");
        Ok(Registry {
            upstream: name.clone(),
            name,
            kind: RegistryKind::ProviderDb { path: PathBuf::from(path) },
            negative: Negative::Authoritative,
            trusted: true,
            canary: Vec::new(),
            rate: None,
            timeout: Duration::from_secs(30),
        })
    }

    /// The hub, as an enrolled agent asks it where no registry is configured.
    pub fn hub() -> Registry {
        Registry {
            name: "hub".to_owned(),
            kind: RegistryKind::Hub,
            negative: Negative::Ambiguous,
            trusted: false,
            canary: Vec::new(),
            rate: None,
            timeout: HUB_TIMEOUT,
            upstream: "hub".to_owned(),
        }
    }

    /// `no_hub`: neither `[hub] url` nor an enrolment says which hub.
    pub(super) fn check(
        raw: &RawRegistry,
        index: usize,
        no_hub: bool,
        env: &SecretsFromEnvironment,
        warnings: &mut Vec<Text>,
    ) -> Result<Registry, ConfigError> {
        let name = raw.name.trim();
        if name.is_empty()
            || name.len() > 64
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        {
            let what = Text::new(
                "name: up to 64 letters, digits, '-', '_' and '.' are expected",
                "name：要有名字，由字母、数字、“-”、“_”、“.”组成，最多 64 个字符",
            );
            return Err(ConfigError::at(shape::place_of("registry", index, None), what));
        }
        let place = format!("[[registry]] {name}");
        let err = |en: &str, zh: &str| ConfigError::at(&place, Text::new(en, zh));
        // Only asked for once the kind is known to be one of ours.
        let needs = |key: &str| {
            err(
                &format!("{key}: it is missing; kind {} needs it", raw.kind),
                &format!("{key}：没有写；kind {} 需要它", raw.kind),
            )
        };
        let secret = |direct: &Option<Secret>,
                      file: &Option<PathBuf>,
                      what: &str|
         -> Result<Option<Secret>, ConfigError> {
            if let Some(s) = env.get(name, what) {
                return Ok(Some(s));
            }
            match (direct, file) {
                (Some(_), Some(_)) => Err(err(
                    &format!("{what} and {what}_file: give one of them"),
                    &format!("{what} 和 {what}_file：只能写一个"),
                )),
                (Some(s), None) => Ok(Some(s.clone())),
                (None, Some(f)) => {
                    // Not even the path: a key may have been written there.
                    let text = std::fs::read_to_string(f).map_err(|e| {
                        let Text { en, zh } = foreign::io_text(&e);
                        err(
                            &format!("{what}_file: the file cannot be read: {en}"),
                            &format!("{what}_file：文件读不了：{zh}"),
                        )
                    })?;
                    Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
                }
                (None, None) => Ok(None),
            }
        };
        let mut plain_beyond_loopback = false;
        let mut url = || -> Result<Url, ConfigError> {
            let text = raw.url.as_deref().ok_or_else(|| needs("url"))?;
            let url =
                Url::parse(text).map_err(|e| ConfigError::at(&place, foreign::url_text(e).at("url")))?;
            if !url.username().is_empty() || url.password().is_some() {
                return Err(err(
                    "url: credentials do not belong there, use key, user and password",
                    "url：账号密码不要写在网址里，用 key、user、password",
                ));
            }
            match url.scheme() {
                "https" => {}
                "http" if is_loopback(&url) => {}
                "http" if raw.allow_plain_http => plain_beyond_loopback = true,
                "http" => {
                    return Err(err(
                        "url: plain http only to loopback; use https, or allow_plain_http = true where the source offers nothing else",
                        "url：明文 http 只能用于本机；请用 https，来源确实只有 http 时写 allow_plain_http = true",
                    ));
                }
                _ => return Err(err("url: only https and http", "url：只支持 https 和 http")),
            }
            if url.host_str().is_none_or(str::is_empty) {
                return Err(err("url: no host", "url：没有主机名"));
            }
            Ok(url)
        };
        let kind = match raw.kind.as_str() {
            "provider_db" => {
                if raw.url.is_some() {
                    return Err(err(
                        "url: a provider_db with url is for the hub; give the agent a path",
                        "url：带 url 的 provider_db 只用于中心端；这里请写 path",
                    ));
                }
                RegistryKind::ProviderDb { path: raw.path.clone().ok_or_else(|| needs("path"))? }
            }
            "yd2431" => RegistryKind::Yd2431 {
                url: url()?,
                isp_id: raw.isp_id.clone().ok_or_else(|| needs("isp_id"))?,
                user: raw.user.clone().ok_or_else(|| needs("user"))?,
                password: secret(&raw.password, &raw.password_file, "password")?
                    .ok_or_else(|| needs("password"))?,
                hash_order: raw.hash_order.unwrap_or(HashOrder::PasswordRand),
            },
            "ministry_list" => RegistryKind::MinistryList { url: url()? },
            "json_api" => {
                let preset = raw.preset.clone().ok_or_else(|| needs("preset"))?;
                if !PRESETS.contains(&preset.as_str()) && !preset.starts_with('/') {
                    let known = PRESETS.join(", ");
                    return Err(err(
                        &format!(
                            "preset: built in are {known}; a mapping of your own is given by its absolute path"
                        ),
                        &format!("preset：内置的有 {known}；自己的映射文件写绝对路径"),
                    ));
                }
                RegistryKind::JsonApi {
                    url: url()?,
                    preset,
                    key: secret(&raw.key, &raw.key_file, "key")?,
                    user: raw.user.clone(),
                }
            }
            "hub" => {
                if no_hub {
                    return Err(err(
                        "kind: hub asks the provider's hub, and none is known: set [hub] url, or enrol (beian-agent enrol --hub URL)",
                        "kind：hub 向接入商的中心查询，但不知道是哪个中心：请写 [hub] url，或先登记（beian-agent enrol --hub URL）",
                    ));
                }
                if raw.url.is_some() {
                    return Err(err(
                        "url: kind hub takes none; it asks the hub of [hub] url or of the enrolment",
                        "url：kind hub 不写 url，它查询 [hub] url 或登记时的中心",
                    ));
                }
                if !raw.canary.is_empty() || raw.negative.is_some() || raw.rate.is_some() {
                    return Err(err(
                        "canary, negative, rate: not with kind hub; the hub watches its own sources and says how often it may be asked",
                        "canary、negative、rate：kind hub 不写这几项，由中心核实来源并限制频率",
                    ));
                }
                RegistryKind::Hub
            }
            _ => {
                return Err(err(
                    "kind: one of provider_db, yd2431, ministry_list, json_api, hub",
                    "kind：只能是 provider_db、yd2431、ministry_list、json_api、hub 之一",
                ));
            }
        };
        let default = match kind {
            RegistryKind::ProviderDb { .. } | RegistryKind::Yd2431 { .. } => Negative::Authoritative,
            _ => Negative::Ambiguous,
        };
        let mut negative = raw.negative.unwrap_or(default);
        if negative == Negative::Authoritative && default == Negative::Ambiguous {
            return Err(err(
                &format!(
                    "negative = \"authoritative\": an empty answer of a {} is never proof; use \"ambiguous\" with a canary",
                    raw.kind
                ),
                &format!(
                    "negative = \"authoritative\"：{} 的空结果从来不是证明；请用 \"ambiguous\" 并配置 canary",
                    raw.kind
                ),
            ));
        }
        let mut trusted = default == Negative::Authoritative;
        if plain_beyond_loopback {
            warnings.push(
                Text::new(
                    "asked over plain HTTP; anyone on the way can read and change it",
                    "用明文 HTTP 查询，途中任何人都能看到和篡改",
                )
                .at(&place),
            );
            if !raw.trusted_network {
                trusted = false;
                negative = Negative::Ambiguous;
            }
        }
        if negative == Negative::Ambiguous
            && raw.canary.is_empty()
            && !matches!(kind, RegistryKind::ProviderDb { .. } | RegistryKind::Hub)
        {
            warnings.push(
                Text::new(
                    "no canary; without one its negatives count for nothing (set canary to a domain that is certainly filed)",
                    "没有配置 canary，它的“查无”不算数（canary 写一个确定已备案的域名）",
                )
                .at(&place),
            );
        }
        let timeout = if kind == RegistryKind::Hub { HUB_TIMEOUT } else { TIMEOUT };
        Ok(Registry {
            name: name.to_owned(),
            kind,
            negative,
            trusted,
            canary: raw.canary.to_vec(),
            rate: raw
                .rate
                .as_deref()
                .map(Rate::parse)
                .transpose()
                .map_err(|t| ConfigError::at(&place, t.at("rate")))?,
            timeout: raw
                .timeout
                .as_deref()
                .map_or(Ok(timeout), parse_duration)
                .map_err(|t| ConfigError::at(&place, t.at("timeout")))?,
            upstream: raw.upstream.clone().unwrap_or_else(|| name.to_owned()),
        })
    }
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(a)) => a.is_loopback(),
        Some(url::Host::Ipv6(a)) => a.is_loopback(),
        Some(url::Host::Domain(d)) => d == "localhost",
        None => false,
    }
}

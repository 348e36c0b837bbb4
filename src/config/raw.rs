//! Settings as typed, and what makes them usable.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::foreign;
use super::layers::{Origins, SecretsFromEnvironment};
use super::registry::{HashOrder, Negative, Registry, RegistryKind, Secret};
use super::shape::{self, Key, Shaped};
use super::units::parse_duration;
use super::{Config, ConfigError, Exempt, Freshness, Hub, Lang, Limits, Resolver, Serve, Text};

/// One macro makes the struct and its list of keys, so that no key is known to
/// the one and not to the other.
macro_rules! raw_root {
    ($($table:ident : $ty:ident),+ $(,)? ; $($list:ident : $item:ident),+ $(,)?) => {
        /// The file as typed, defaults filled in. Unknown keys are errors.
        #[derive(Debug, Clone, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[allow(missing_docs, reason = "the keys are documented in config/agent.toml")]
        pub struct Raw { $(pub $table: $ty,)+ $(pub $list: Vec<$item>),+ }

        impl Raw {
            /// The tables (`[resolver]`) with their keys.
            pub(super) const TABLES: &'static [(&'static str, &'static [Key])] =
                &[$((stringify!($table), $ty::KEYS)),+];
            /// The lists of tables (`[[registry]]`) with their keys.
            pub(super) const LISTS: &'static [(&'static str, &'static [Key])] =
                &[$((stringify!($list), $item::KEYS)),+];
        }
    };
}

raw_root! {
    agent: RawAgent,
    server: RawServer,
    scan: RawScan,
    freshness: RawFreshness,
    limits: RawLimits,
    resolver: RawResolver,
    exposure: RawExposure,
    serve: RawServe,
    hub: RawHub,
    log: RawLog;
    registry: RawRegistry,
    exempt: RawExempt,
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
        impl $name {
            const KEYS: &'static [Key] =
                &[$(Key { name: stringify!($field), shape: <$ty as Shaped>::SHAPE }),+];
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
    #[doc = "`[freshness]`."]
    RawFreshness {
        filed: String = "7d".to_owned(),
        pending: String = "6h".to_owned(),
        not_filed: String = "6h".to_owned(),
        dns_min: String = "5m".to_owned(),
        dns_max: String = "6h".to_owned(),
        retry_min: String = "5m".to_owned(),
        retry_max: String = "1h".to_owned(),
    }
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

impl Raw {
    /// Every error names the file or variable that had the last word, the key
    /// and what is expected, and never what was found.
    pub(super) fn check(
        self,
        secrets: &SecretsFromEnvironment,
        origins: &Origins,
    ) -> Result<Config, ConfigError> {
        let duration =
            |table: &str, key: &str, s: &str| parse_duration(s).map_err(|t| origins.blame(table, key, t));
        let mut warnings = Vec::new();
        let no_hub = self.hub.url.as_deref().is_none_or(str::is_empty)
            && nothing_at(&super::enrolment_path(Path::new(&self.agent.state_dir)));
        let mut registries: Vec<Registry> = Vec::new();
        for (i, r) in self.registry.iter().enumerate() {
            let r = Registry::check(r, i, no_hub, secrets, &mut warnings)
                .map_err(|e| origins.blame_item("registry", i, e))?;
            let is_hub = |r: &Registry| r.kind == RegistryKind::Hub;
            if registries.iter().any(|o| o.name == r.name) {
                let twice = ConfigError::new(
                    format!("[[registry]] {}: name: this name is there twice", r.name),
                    format!("[[registry]] {}：name：这个名字出现了两次", r.name),
                );
                return Err(origins.blame_item("registry", i, twice));
            }
            if is_hub(&r) && registries.iter().any(is_hub) {
                let twice = ConfigError::new(
                    format!("[[registry]] {}: kind: there is one hub, and it is listed already", r.name),
                    format!("[[registry]] {}：kind：中心只有一个，前面已经写了", r.name),
                );
                return Err(origins.blame_item("registry", i, twice));
            }
            registries.push(r);
        }
        warnings.extend(secrets.of_nobody(registries.iter().map(|r| r.name.as_str())));
        let exempt = self
            .exempt
            .iter()
            .enumerate()
            .map(|(i, e)| check_exempt(e, i).map_err(|e| origins.blame_item("exempt", i, e)))
            .collect::<Result<_, _>>()?;
        let lang = match self.agent.lang.as_deref() {
            None => None,
            Some(s) => Some(Lang::parse(s).ok_or_else(|| origins.blame("agent", "lang", shape::lang()))?),
        };
        let mut public_addresses: Vec<IpAddr> = Vec::new();
        for (i, a) in self.server.public_addresses.iter().enumerate() {
            let ip = a.trim().parse().map_err(|_| {
                let what = Text::new(
                    format!("item {} is no IP address; write it like \"203.0.113.10\"", i + 1),
                    format!("第 {} 项不是 IP 地址，写法如 \"203.0.113.10\"", i + 1),
                );
                origins.blame("server", "public_addresses", what)
            })?;
            public_addresses.push(ip);
        }
        let mut servers = Vec::new();
        for (i, s) in self.resolver.servers.iter().enumerate() {
            servers.push(parse_resolver(s).map_err(|t| {
                let t = Text::new(format!("item {}: {}", i + 1, t.en), format!("第 {} 项：{}", i + 1, t.zh));
                origins.blame("resolver", "servers", t)
            })?);
        }
        if self.resolver.attempts == 0 || self.resolver.attempts > 10 {
            let what = Text::new("a number from 1 to 10 is expected", "应为 1 到 10 的数字");
            return Err(origins.blame("resolver", "attempts", what));
        }
        let l = &self.limits;
        for (key, zero) in [
            ("file_bytes", l.file_bytes == 0),
            ("include_depth", l.include_depth == 0),
            ("files", l.files == 0),
            ("seconds", l.seconds == 0),
        ] {
            if zero {
                let what = Text::new("a number of more than zero is expected", "应为大于零的数字");
                return Err(origins.blame("limits", key, what));
            }
        }
        let listen = match self.serve.listen.trim() {
            "" => None,
            s => {
                Some(s.parse::<SocketAddr>().map_err(|_| origins.blame("serve", "listen", shape::listen()))?)
            }
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
                Some(u) => {
                    let blame = |what| origins.blame("hub", "url", what);
                    let url = url::Url::parse(u).map_err(|e| blame(foreign::url_text(e)))?;
                    Hub::check_url(&url).map_err(blame)?;
                    Some(url)
                }
            },
            ca_file: self.hub.ca_file.clone(),
        };
        for s in &self.exposure.cdn_suffixes {
            if s.trim_matches('.').is_empty() {
                let what = Text::new("an empty suffix would match every name", "空后缀会匹配所有域名");
                return Err(origins.blame("exposure", "cdn_suffixes", what));
            }
        }
        let fresh = |key, value: &str| duration("freshness", key, value);
        let f = &self.freshness;
        let freshness = Freshness {
            filed: fresh("filed", &f.filed)?,
            pending: fresh("pending", &f.pending)?,
            not_filed: fresh("not_filed", &f.not_filed)?,
            dns_min: fresh("dns_min", &f.dns_min)?,
            dns_max: fresh("dns_max", &f.dns_max)?,
            retry_min: fresh("retry_min", &f.retry_min)?,
            retry_max: fresh("retry_max", &f.retry_max)?,
        };
        for (low, high, key) in [
            (freshness.dns_min, freshness.dns_max, "dns_max"),
            (freshness.retry_min, freshness.retry_max, "retry_max"),
        ] {
            if low > high {
                let what =
                    Text::new("it is less than the time that it bounds from above", "不得小于对应的下限");
                return Err(origins.blame("freshness", key, what));
            }
        }
        Ok(Config {
            root: PathBuf::from(&self.agent.root),
            state_dir: PathBuf::from(&self.agent.state_dir),
            lang,
            public_addresses,
            mainland: self.server.mainland,
            scan_interval: duration("scan", "interval", &self.scan.interval)?,
            limits: Limits {
                file_bytes: l.file_bytes,
                include_depth: l.include_depth,
                files: l.files,
                time: std::time::Duration::from_secs(l.seconds),
            },
            freshness,
            resolver: Resolver {
                servers,
                timeout: duration("resolver", "timeout", &self.resolver.timeout)?,
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

/// Certainly nothing: a folder that this user may not look into may hold it.
fn nothing_at(path: &Path) -> bool {
    match std::fs::symlink_metadata(path) {
        Ok(_) => false,
        Err(e) => matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory),
    }
}

fn check_exempt(e: &RawExempt, index: usize) -> Result<Exempt, ConfigError> {
    let name = e.name.trim();
    let place = shape::place_of("exempt", index, Some(name));
    for (key, value) in [("name", name), ("by", e.by.trim()), ("why", e.why.trim())] {
        if value.is_empty() {
            let what = Text::new(
                "it is missing; name, by (who) and why are needed, so that every exemption can be accounted for",
                "没有写；name、by（谁）和 why（为什么）都要写明，每一项豁免都要有据可查",
            );
            return Err(ConfigError::at(&place, what.at(key)));
        }
    }
    let until = match e.until.as_deref() {
        None => None,
        Some(s) => {
            Some(s.trim().parse::<Date>().map_err(|_| ConfigError::at(&place, shape::date().at("until")))?)
        }
    };
    Ok(Exempt { name: name.to_owned(), by: e.by.clone(), why: e.why.clone(), until })
}

/// `IP:PORT`, `IP` (port 53), `[IPv6]:PORT`. The error does not quote it.
pub fn parse_resolver(s: &str) -> Result<SocketAddr, Text> {
    let s = s.trim();
    s.parse::<SocketAddr>()
        .or_else(|_| s.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)))
        .map_err(|_| {
            Text::new(
                "this is no DNS server; write it as IP or IP:PORT, like 127.0.0.1:53",
                "不是解析服务器的地址，应写作 IP 或 IP:端口，如 127.0.0.1:53",
            )
        })
}

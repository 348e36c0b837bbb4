//! Who this agent is: the key that never leaves the server, and what the hub
//! gave at enrolment.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{Config, enrolment_path};
use crate::facts::ExemptedBy;
use crate::names::{apex, to_ascii};

use super::serve::Pair;

/// Longest file of ours that is read: an enrolment with all settings that a
/// hub's answer has room for, spread over lines.
const MOST: u64 = 1 << 20;

/// The key pair.
pub struct Identity {
    key: Ed25519KeyPair,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("public_key", &self.public_key()).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads the key of a state folder, or makes it there. A key that systemd
    /// hands over (`$CREDENTIALS_DIRECTORY/agent.key`) comes first.
    pub fn open(state_dir: &Path) -> io::Result<Identity> {
        match Identity::read(state_dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let path = state_dir.join("agent.key");
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                    .map_err(|_| io::Error::other("the system gives no random numbers"))?;
                let pem = format!(
                    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                    BASE64.encode(pkcs8.as_ref())
                );
                // Another process (enrol beside the daemon) may make one at
                // the same moment: whoever was first has made the key.
                write_new(&path, pem.as_bytes())?;
                Identity::of_pem(&read(&path)?)
            }
            read => read,
        }
    }

    /// The same, but makes none: an error where there is none yet.
    pub fn read(state_dir: &Path) -> io::Result<Identity> {
        match credential("agent.key")? {
            Some(pem) => Identity::of_pem(&pem),
            None => Identity::of_pem(&read(&state_dir.join("agent.key"))?),
        }
    }

    fn of_pem(pem: &str) -> io::Result<Identity> {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "agent.key is no Ed25519 key in PEM");
        let body: String = pem.lines().filter(|l| !l.starts_with("-----")).collect();
        let der = BASE64.decode(body.trim()).map_err(|_| bad())?;
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| bad())?;
        Ok(Identity { key })
    }

    /// The public key, base64url.
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.public_key())
    }

    pub(super) fn key(&self) -> &Ed25519KeyPair {
        &self.key
    }
}

/// What the hub may set: data of a fixed schema, bounded; never a path, a
/// command or an address to fetch. The local configuration wins over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "hub", derive(utoipa::ToSchema))]
pub struct HubSettings {
    /// Seconds between reports of the state where nothing changes.
    pub report_interval: u64,
    /// Seconds between heartbeats.
    pub heartbeat_interval: u64,
    /// Seconds over which the first report after a start is spread.
    pub splay: u64,
    /// Addresses that the inventory assigns to this server.
    #[cfg_attr(feature = "hub", schema(value_type = Vec<String>))]
    pub addresses: Vec<IpAddr>,
    /// CDN suffixes beside the local ones.
    pub cdn_suffixes: Vec<String>,
    /// Names that the provider exempts, beside the local ones.
    pub exemptions: Vec<ExemptedBy>,
    /// Domains known to be filed, for registries without a canary of their own.
    pub canaries: Vec<String>,
}

impl Default for HubSettings {
    fn default() -> Self {
        HubSettings {
            report_interval: 3600,
            heartbeat_interval: 300,
            splay: 15,
            addresses: Vec::new(),
            cdn_suffixes: Vec::new(),
            exemptions: Vec::new(),
            canaries: Vec::new(),
        }
    }
}

impl HubSettings {
    /// Within sane bounds, whatever was sent.
    pub fn bounded(mut self) -> HubSettings {
        self.report_interval = self.report_interval.clamp(60, 86_400);
        self.heartbeat_interval = self.heartbeat_interval.clamp(60, 86_400);
        self.splay = self.splay.min(3600);
        self.addresses.truncate(64);
        // A whole top-level domain (`cn`) would make every name fronted or exempt.
        let named = |s: &str| {
            let s = s.trim_matches('.');
            s.contains('.') && to_ascii(s).is_some_and(|a| apex(&a).is_some())
        };
        self.cdn_suffixes.retain(|s| named(s));
        self.cdn_suffixes.truncate(256);
        let short = |s: &str| !s.trim().is_empty() && s.len() <= 500;
        self.exemptions.retain(|e| {
            let until = e.until.as_deref();
            named(&e.name)
                && short(&e.by)
                && short(&e.why)
                && until.is_none_or(|u| u.parse::<jiff::civil::Date>().is_ok())
        });
        self.exemptions.truncate(1000);
        self.canaries.retain(|s| named(s));
        self.canaries.truncate(16);
        self
    }

    /// [`HubSettings::report_interval`].
    pub fn report_every(&self) -> Duration {
        Duration::from_secs(self.report_interval)
    }

    /// [`HubSettings::heartbeat_interval`].
    pub fn heartbeat_every(&self) -> Duration {
        Duration::from_secs(self.heartbeat_interval)
    }
}

/// What stands after an enrolment (`enrolment.json`, 0600).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolment {
    /// The hub.
    pub hub: url::Url,
    /// The agent's id.
    pub agent_id: String,
    /// The hub's public key (base64url), by which receipts are known.
    pub receipt_key: String,
    /// The hub's token for polling this agent.
    #[serde(with = "secret")]
    pub polling_token: SecretString,
    /// It waits for an operator to confirm it.
    #[serde(default)]
    pub quarantined: bool,
    /// What the hub set.
    #[serde(default)]
    pub settings: HubSettings,
}

mod secret {
    use secrecy::{ExposeSecret as _, SecretString};
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(s: &SecretString, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(s.expose_secret())
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<SecretString, D::Error> {
        String::deserialize(from).map(SecretString::from)
    }
}

impl Enrolment {
    /// Reads it; `None` where this agent is not enrolled.
    pub fn read(state_dir: &Path) -> io::Result<Option<Enrolment>> {
        match read(&Enrolment::path(state_dir)) {
            Ok(json) => serde_json::from_str::<Enrolment>(&json)
                .map(|e| Some(Enrolment { settings: e.settings.clone().bounded(), ..e }))
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The one that holds under these settings, which win: another hub's
    /// enrolment is none with this one.
    pub fn in_force(cfg: &Config) -> io::Result<Option<Enrolment>> {
        let enrolment = Enrolment::read(&cfg.state_dir)?;
        Ok(enrolment.filter(|e| cfg.hub.url.as_ref().is_none_or(|u| *u == e.hub)))
    }

    /// Keeps other settings of the hub's, beside what enrolling gave. `None`
    /// where the enrolment on disk is another one meanwhile, which holds then.
    pub fn keep_settings(&self, settings: HubSettings, state_dir: &Path) -> io::Result<Option<Enrolment>> {
        let now = Enrolment::read(state_dir)?;
        let Some(now) = now.filter(|n| n.agent_id == self.agent_id && n.hub == self.hub) else {
            return Ok(None);
        };
        let new = Enrolment { settings, ..now };
        write(&Enrolment::path(state_dir), &serde_json::to_vec_pretty(&new).map_err(io::Error::other)?)?;
        Ok(Some(new))
    }

    /// Writes it, and the polling token as a file of its own.
    pub fn write(&self, state_dir: &Path) -> io::Result<()> {
        let token = format!("{}\n", self.polling_token.expose_secret());
        write(&Enrolment::token_path(state_dir), token.as_bytes())?;
        write(&Enrolment::path(state_dir), &serde_json::to_vec_pretty(self).map_err(io::Error::other)?)
    }

    /// Where it is kept.
    pub fn path(state_dir: &Path) -> PathBuf {
        enrolment_path(state_dir)
    }

    /// Where the hub's polling token is kept.
    pub fn token_path(state_dir: &Path) -> PathBuf {
        state_dir.join("hub-token")
    }

    /// The hub's key, 32 bytes.
    pub fn receipt_public_key(&self) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(self.receipt_key.trim_end_matches('=')).ok().filter(|k| k.len() == 32)
    }
}

/// The certificate that polling is answered with where none is configured:
/// made once, and pinned by the hub at enrolment.
pub fn own_certificate(state_dir: &Path) -> io::Result<Pair> {
    let pair = Pair { cert: state_dir.join("poll-cert.pem"), key: state_dir.join("poll-key.pem") };
    if pair.cert.is_file() && pair.key.is_file() {
        return Ok(pair);
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let names = vec![if to_ascii(&host).is_some() { host } else { "beian-agent".to_owned() }];
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    write(&pair.key, made.signing_key.serialize_pem().as_bytes())?;
    write(&pair.cert, made.cert.pem().as_bytes())?;
    Ok(pair)
}

/// SHA-256 of a PEM file's first certificate, in hexadecimal.
pub fn fingerprint(cert: &Path) -> io::Result<String> {
    let pem = read(cert)?;
    let body: String = pem
        .lines()
        .skip_while(|l| !l.starts_with("-----BEGIN CERTIFICATE"))
        .skip(1)
        .take_while(|l| !l.starts_with("-----"))
        .collect();
    let der = BASE64.decode(body.trim()).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(digest(&SHA256, &der).as_ref().iter().map(|b| format!("{b:02x}")).collect())
}

/// A file that systemd hands over; blank is absent.
pub fn credential(name: &str) -> io::Result<Option<String>> {
    let Some(dir) = std::env::var_os("CREDENTIALS_DIRECTORY") else { return Ok(None) };
    match read(&PathBuf::from(dir).join(name)) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

/// Whole or not at all, and for the owner alone.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    beside(path, bytes, |new| std::fs::rename(new, path))
}

/// The same, but what is there already stays.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    beside(path, bytes, |new| match std::fs::hard_link(new, path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    })
}

fn beside(path: &Path, bytes: &[u8], put: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let new = path.with_extension(format!("{}.{:08x}.new", std::process::id(), rand::random::<u32>()));
    let result = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        put(&new)
    })();
    // Renamed away where all went well, but not where it was linked.
    let _ = std::fs::remove_file(&new);
    result?;
    // The name itself is on disk only now: the hub knows this key from the next
    // moment on, and a power cut must not take it back.
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

//! One server record: the main server, or a `<VirtualHost>` while it is read.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::source::decode;

/// Which addresses one word of `<VirtualHost>` or `Listen` stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Host {
    /// `*`, `_default_`, `0.0.0.0`, `[::]`: what no exact address takes. The
    /// server makes no difference between them.
    Any,
    /// An address.
    Ip(IpAddr),
    /// A host name, which Apache resolves when it starts, in lower case; or
    /// what a variable leaves of it.
    Name(Box<str>),
}

/// One address of a `<VirtualHost>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addr {
    pub host: Host,
    /// 0: every port.
    pub port: u16,
    /// `[::]`, not `*`.
    pub v6_any: bool,
    /// `_default_`: the mark of a catch-all.
    pub marked: bool,
}

impl Addr {
    /// One word of `<VirtualHost>`; `None` where Apache refuses it. `*` alone
    /// is every port; any other address without one has that of the main
    /// server's ServerName, if it stands above.
    pub fn parse(word: &[u8], main_port: u16) -> Option<Addr> {
        let text = decode(word);
        let (host, port) = match text.strip_suffix('*') {
            Some("") => ("*", 0),
            Some(rest) if rest.ends_with(':') => (rest.strip_suffix(':')?, 0),
            _ => match split_port(&text)? {
                (host, 0) => (host, main_port),
                found => found,
            },
        };
        let mut addr = Addr { host: Host::Any, port, v6_any: false, marked: false };
        if host.eq_ignore_ascii_case("_default_") {
            addr.marked = true;
        } else if host != "*" && !host.eq_ignore_ascii_case("[any]") && !host.eq_ignore_ascii_case("any") {
            addr.host = host_of(host)?;
        }
        addr.v6_any = addr.host == Host::Any && host.starts_with('[');
        Some(addr)
    }

    /// As it stands before the port in a listen.
    pub fn host_text(&self) -> Cow<'_, str> {
        match &self.host {
            Host::Any if self.v6_any => "[::]".into(),
            Host::Any => "*".into(),
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]").into(),
            Host::Ip(ip) => ip.to_string().into(),
            Host::Name(name) => (&**name).into(),
        }
    }
}

/// `HOST`, `HOST:PORT`, `[V6]:PORT`; no port is port 0. A bare number is a
/// port without address, which only `Listen` takes.
fn split_port(text: &str) -> Option<(&str, u16)> {
    if text.is_empty() || text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            (!host.is_empty()).then_some((host, port.parse().ok().filter(|&p| p != 0)?))
        }
        Some(_) if !text.starts_with('[') && !text.contains("${") => None,
        _ => Some((text, 0)),
    }
}

fn host_of(host: &str) -> Option<Host> {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None => host,
    };
    if let Ok(ip) = bare.parse::<IpAddr>() {
        let ip = ip.to_canonical();
        return Some(if ip.is_unspecified() { Host::Any } else { Host::Ip(ip) });
    }
    let name = if host.contains("${") { host.to_owned() } else { host.to_ascii_lowercase() };
    (bare.len() == host.len()).then(|| Host::Name(name.into()))
}

/// One `Listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listen {
    pub addr: Addr,
    /// The protocol `https` is written behind it. (Port 443 alone turns no TLS
    /// on: seen.)
    pub https: bool,
}

impl Listen {
    /// The arguments of `Listen`; `None` where Apache refuses them.
    pub fn parse(args: &[u8]) -> Option<Listen> {
        let mut words = super::line::words(args);
        let word = words.next()?;
        let protocol = words.next();
        let addr = match std::str::from_utf8(&word).ok().and_then(|w| w.parse::<u16>().ok()) {
            Some(port) => Addr { host: Host::Any, port, v6_any: false, marked: false },
            None => Addr::parse(&word, 0)?,
        };
        let https = protocol.is_some_and(|p| p.eq_ignore_ascii_case(b"https"));
        (addr.port != 0).then_some(Listen { addr, https })
    }
}

/// What a record says about access, to tell a catch-all that refuses
/// everything.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Access {
    /// Everything below `/` is refused.
    pub denied: bool,
    /// Something may allow it again, or answer with a page all the same.
    pub doubtful: bool,
}

/// Rewriting, as far as it tells whether a site only redirects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rewrite {
    /// `RewriteEngine on`.
    pub on: bool,
    /// A rule stood here already: later ones may never be reached.
    pub ruled: bool,
    /// Conditions wait for the next rule that may not hold for every request.
    pub conditional: bool,
}

/// A server record.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub file: Arc<str>,
    pub line: u32,
    pub addrs: Vec<Addr>,
    /// As written, in order, each once.
    pub names: Vec<String>,
    /// Where ServerName stands in `names`.
    pub server_name: Option<usize>,
    /// Whether it has one.
    pub named: bool,
    pub root: Option<String>,
    pub upstream: Vec<String>,
    pub certificates: Vec<String>,
    pub ssl: Option<bool>,
    pub redirect: Option<String>,
    /// Some paths go to another server, before mod_alias sees them.
    pub proxied: bool,
    pub access: Access,
    pub rewrite: Rewrite,
    pub vhost_alias: bool,
}

impl Server {
    pub fn new(file: Arc<str>, line: u32) -> Self {
        Server {
            file,
            line,
            addrs: Vec::new(),
            names: Vec::new(),
            server_name: None,
            named: false,
            root: None,
            upstream: Vec::new(),
            certificates: Vec::new(),
            ssl: None,
            redirect: None,
            proxied: false,
            access: Access::default(),
            rewrite: Rewrite::default(),
            vhost_alias: false,
        }
    }

    /// Sets ServerName; the last one counts.
    pub fn set_name(&mut self, name: String) {
        self.named = true;
        if let Some(old) = self.server_name.take() {
            self.names.remove(old);
        }
        // An alias of the same text above it: the name keeps that place.
        self.server_name = match self.names.iter().position(|n| *n == name) {
            Some(_) => None,
            None => {
                self.names.push(name);
                Some(self.names.len() - 1)
            }
        };
    }
}

/// The host part of `ServerName [SCHEME://]HOST[:PORT]`.
pub(super) fn server_name(arg: &[u8]) -> &[u8] {
    let host = match arg.windows(3).position(|w| w == b"://") {
        Some(at) => arg.get(at + 3..).unwrap_or_default(),
        None => arg,
    };
    let host = host.split(|&b| b == b'/').next().unwrap_or_default();
    if host.first() == Some(&b'[')
        && let Some(end) = host.iter().position(|&b| b == b']')
    {
        return host.get(..=end).unwrap_or(host);
    }
    // A variable that nothing sets may hold a colon.
    let from = host.iter().rposition(|&b| b == b'}').map_or(0, |p| p + 1);
    match host.iter().skip(from).position(|&b| b == b':') {
        Some(at) => host.get(..from + at).unwrap_or(host),
        None => host,
    }
}

/// The port of `ServerName`, 0 without one.
pub(super) fn server_port(arg: &[u8]) -> u16 {
    let digits = arg.rsplit(|&b| b == b':').next().filter(|d| d.len() < arg.len());
    digits.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| d.parse().ok()).unwrap_or(0)
}

/// Whether a text can be a host name or a wildcard to Apache. What holds
/// blanks, quotes or separators matches no Host header.
pub(super) fn is_name(text: &[u8]) -> bool {
    text.len() <= 1024
        && !text.iter().any(|&b| {
            b <= b' '
                || matches!(
                    b,
                    0x7f | b'/' | b'\\' | b',' | b';' | b'"' | b'\'' | b'<' | b'>' | b'|' | b'=' | b'@'
                )
        })
}

/// Whether a pattern matches every path: the ways that people write it.
pub(super) fn is_catch_all(pattern: &[u8]) -> bool {
    matches!(
        pattern,
        b"^" | b"/"
            | b"^/"
            | b".*"
            | b"(.*)"
            | b"^.*"
            | b"^.*$"
            | b"^(.*)"
            | b"^(.*)$"
            | b"^/.*"
            | b"^/.*$"
            | b"^/(.*)"
            | b"^/(.*)$"
            | b"/(.*)"
            | b"/(.*)$"
            | b"/.*"
            | b"^/?"
            | b"^/?(.*)"
            | b"^/?(.*)$"
            | b"(.*)$"
            | b".*$"
            | b"."
            | b".?"
    )
}

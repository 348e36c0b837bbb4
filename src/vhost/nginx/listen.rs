//! `listen`: the forms that nginx takes, and which of them are one socket.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::source::decode;

/// What a listen is bound to; two spellings of one address are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Address {
    /// Every IPv4 address.
    Any,
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// A host name, which nginx asks the resolver for.
    Host(String),
    Unix(String),
}

/// One `listen` of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listen {
    pub(super) address: Address,
    /// First and last port; 0 for unix sockets.
    pub(super) ports: (u16, u16),
    /// `ADDRESS:PORT` or `unix:PATH`, without ` ssl`.
    pub(super) text: String,
    /// Marked `default_server` (or `default`, its old name).
    pub(super) default: bool,
    pub(super) ssl: bool,
    /// QUIC: another socket than TCP's on the same port.
    pub(super) quic: bool,
    pub(super) line: u32,
}

impl Listen {
    /// What a server without any `listen` gets (as root).
    pub(super) fn unwritten(line: u32) -> Listen {
        Listen {
            address: Address::Any,
            ports: (80, 80),
            text: "*:80".to_owned(),
            default: false,
            ssl: false,
            quic: false,
            line,
        }
    }

    /// Reads the first argument. What nginx would refuse is kept as written
    /// and said to be wrong by `false`.
    pub(super) fn parse(value: &[u8], line: u32) -> (Listen, bool) {
        let (address, ports, text, valid) = match target(value) {
            Some((address, ports, text)) => (address, ports, text, true),
            None => (Address::Host(decode(value)), (0, 0), decode(value), false),
        };
        (Listen { address, ports, text, default: false, ssl: false, quic: false, line }, valid)
    }

    /// Reads a further argument.
    pub(super) fn flag(&mut self, arg: &[u8]) {
        match arg {
            b"default_server" | b"default" => self.default = true,
            b"ssl" => self.ssl = true,
            // `http3`: the spelling of the QUIC patches before nginx 1.25.
            b"quic" | b"http3" => {
                self.quic = true;
                self.ssl = true;
            }
            _ => {}
        }
    }
}

fn target(value: &[u8]) -> Option<(Address, (u16, u16), String)> {
    if let Some(path) = value.strip_prefix(b"unix:") {
        return (!path.is_empty()).then(|| {
            let path = decode(path);
            let text = format!("unix:{path}");
            (Address::Unix(path), (0, 0), text)
        });
    }
    if let Some(rest) = value.strip_prefix(b"[") {
        let close = rest.iter().position(|&b| b == b']')?;
        let (inner, rest) = (rest.get(..close)?, rest.get(close + 1..)?);
        let written = std::str::from_utf8(inner).ok()?;
        let address: Ipv6Addr = written.parse().ok()?;
        let ports = match rest.strip_prefix(b":") {
            Some(p) => Ports::parse(p)?,
            None if rest.is_empty() => Ports::default_http(),
            None => return None,
        };
        let host = if address.is_unspecified() { "::" } else { written };
        return Some((Address::V6(address), ports.range, format!("[{host}]:{}", ports.text)));
    }
    let (host, ports) = match value.iter().position(|&b| b == b':') {
        Some(i) => (value.get(..i)?, Ports::parse(value.get(i + 1..)?)?),
        None => match Ports::parse(value) {
            Some(ports) => (&b"*"[..], ports),
            None => (value, Ports::default_http()),
        },
    };
    if host.is_empty() || host.contains(&b'/') || host.iter().all(|b| b.is_ascii_digit() || *b == b'-') {
        return None;
    }
    let host = decode(host);
    let (address, shown) = if host == "*" {
        (Address::Any, "*".to_owned())
    } else if let Ok(v4) = host.parse::<Ipv4Addr>() {
        if v4.is_unspecified() { (Address::Any, "*".to_owned()) } else { (Address::V4(v4), host) }
    } else if host.eq_ignore_ascii_case("localhost") {
        // The one name whose address everybody knows.
        (Address::V4(Ipv4Addr::LOCALHOST), host)
    } else {
        (Address::Host(host.to_ascii_lowercase()), host)
    };
    Some((address, ports.range, format!("{shown}:{}", ports.text)))
}

struct Ports {
    range: (u16, u16),
    text: String,
}

impl Ports {
    fn default_http() -> Ports {
        Ports { range: (80, 80), text: "80".to_owned() }
    }

    fn parse(text: &[u8]) -> Option<Ports> {
        let text = std::str::from_utf8(text).ok()?;
        let one = |s: &str| -> Option<u16> {
            if s.is_empty() || !s.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            s.parse().ok().filter(|&p| p > 0)
        };
        let range = match text.split_once('-') {
            Some((a, b)) => (one(a)?, one(b)?),
            None => (one(text)?, one(text)?),
        };
        if range.0 > range.1 {
            return None;
        }
        // Digits as nginx reads them: `080` is 80.
        let text = if range.0 == range.1 { range.0.to_string() } else { format!("{}-{}", range.0, range.1) };
        Some(Ports { range, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(v: &str) -> String {
        let (l, ok) = Listen::parse(v.as_bytes(), 1);
        assert!(ok, "{v}");
        l.text
    }

    #[test]
    fn every_form_has_one_spelling() {
        for (written, shown) in [
            ("80", "*:80"),
            ("080", "*:80"),
            ("*", "*:80"),
            ("*:8080", "*:8080"),
            ("0.0.0.0:81", "*:81"),
            ("203.0.113.9", "203.0.113.9:80"),
            ("203.0.113.9:8443", "203.0.113.9:8443"),
            ("[::]:80", "[::]:80"),
            ("[::]", "[::]:80"),
            ("[0:0::0]:443", "[::]:443"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
            ("localhost:80", "localhost:80"),
            ("localhost", "localhost:80"),
            ("www.example.com:8000", "www.example.com:8000"),
            ("8000-8003", "*:8000-8003"),
            ("127.0.0.1:8000-8003", "127.0.0.1:8000-8003"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
        ] {
            assert_eq!(text(written), shown, "{written}");
        }
    }

    #[test]
    fn what_nginx_refuses_is_kept_as_written() {
        for v in ["0", "65536", "a:b", "1:2:3", "[::1", "[::1]80", ":80", "unix:", "9-8", "a/b", "[x]:80"] {
            let (l, ok) = Listen::parse(v.as_bytes(), 1);
            assert!(!ok, "{v}");
            assert_eq!(l.text, v);
        }
    }

    #[test]
    fn two_spellings_of_one_address_are_one_socket() {
        let a = |v: &str| Listen::parse(v.as_bytes(), 1).0.address;
        assert_eq!(a("80"), a("0.0.0.0:80"));
        assert_eq!(a("[::]:80"), a("[0::0]:80"));
        assert_eq!(a("localhost:80"), a("127.0.0.1:80"));
        assert_ne!(a("127.0.0.1:80"), a("*:80"));
    }
}

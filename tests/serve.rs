//! The polling API and the control socket over real sockets.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use beian::config::Serve;
use beian::facts::{Reason, Row, Summary, Verdict};
use beian::uplink::serve::{self, *};
use flate2::read::GzDecoder;

use crate::harness::AGENT;

const TOKEN: &str = "a-token-for-the-tests";
/// Large enough to need many chunks.
const LINES: usize = 200_000;

struct Memory {
    packed: Packed,
    ready: AtomicBool,
    scans: AtomicUsize,
    violations: usize,
}

impl Memory {
    fn new(violations: usize) -> Arc<Memory> {
        let packed = Packed::of(|w| (0..LINES).try_for_each(|i| writeln!(w, "{{\"line\":{i}}}"))).unwrap();
        Arc::new(Memory { packed, ready: AtomicBool::new(true), scans: AtomicUsize::new(0), violations })
    }
}

impl Desk for Memory {
    fn report(&self) -> io::Result<Packed> {
        Ok(self.packed.clone())
    }
    fn status(&self) -> Status {
        status(self.violations, self.ready())
    }
    fn metrics(&self) -> String {
        "# HELP beian_names Names by verdict.\n# TYPE beian_names gauge\nbeian_names{verdict=\"violation\"} 1\n# TYPE beian_scans counter\nbeian_scans_total 2\n# EOF\n".to_owned()
    }
    fn ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
    fn name(&self, name: &str) -> io::Result<Option<Named>> {
        match name {
            "www.example.cn" => Ok(Some(Named::new(vec![row(name)], Vec::new()))),
            "broken" => Err(io::Error::other("disk")),
            _ => Ok(None),
        }
    }
    fn scan(&self) {
        self.scans.fetch_add(1, Ordering::Relaxed);
    }
}

fn row(name: &str) -> Row {
    Row {
        name: name.to_owned(),
        unicode: name.to_owned(),
        apex: Some("example.cn".to_owned()),
        verdict: Verdict::Violation,
        reason: Reason::NotFiled,
        stale: false,
        exposure: None,
        filing: None,
        first_seen: "2026-11-01T00:00:00Z".parse().unwrap(),
        exposed_since: None,
        filed_since: None,
        connected_before_filing: false,
        served_by: Vec::new(),
        exempt: None,
    }
}

fn status(violations: usize, ready: bool) -> Status {
    let at = "2026-11-01T00:00:00Z".parse().unwrap();
    Status {
        schema: STATUS_SCHEMA.to_owned(),
        version: "1.2.3".to_owned(),
        agent_id: Some("agent-1".to_owned()),
        hostname: "host.example.com".to_owned(),
        started_at: at,
        uptime: 93_784,
        ready,
        doing: "watching 3 folders".to_owned(),
        last_scan: Some(LastScan { at, milliseconds: 12, files: 7, sites: 3, complete: true }),
        next_scan: Some(at),
        summary: Summary { names: 3, compliant: 3 - violations, violation: violations, ..Summary::default() },
        wrong: (0..violations)
            .map(|i| WrongName {
                name: format!("w{i}.example.cn"),
                unicode: format!("w{i}.example.cn\u{1b}[2J"),
                verdict: Verdict::Violation,
                reason: Reason::NotFiled,
                exposed_since: None,
            })
            .collect(),
        findings: 1,
        problems: 2,
        addresses: vec!["203.0.113.10".parse().unwrap()],
        watch: WatchState { folders: 3, degraded: None },
        freshness: Freshness::default(),
        registries: vec![RegistryState {
            name: "ministry".to_owned(),
            ok: Some(false),
            error: Some("timeout".to_owned()),
            since: Some(at),
        }],
        resolver: ResolverState::default(),
        hub: Some(HubState {
            url: "https://hub.example.com/".to_owned(),
            enrolled: true,
            last_error: Some("no answer in time".to_owned()),
            outbox: 4,
            ..HubState::default()
        }),
        losses: Vec::new(),
        ledger: LedgerState {
            path: "/var/lib/beian-agent/ledger.redb".to_owned(),
            bytes: 1 << 20,
            ceiling: 64 << 20,
            in_memory: false,
            error: None,
        },
    }
}

struct Place {
    dir: tempfile::TempDir,
    settings: Settings,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
        let serve = Serve {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            announce: None,
            token_file: Some(token),
            tls_cert: None,
            tls_key: None,
            client_ca: None,
        };
        let settings = Settings::of(&serve, dir.path(), None).unwrap().unwrap();
        Place { dir, settings }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let p = self.path(name);
        std::fs::write(&p, text).unwrap();
        p
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|l| {
            let (k, v) = l.split_once(':')?;
            k.eq_ignore_ascii_case(name).then(|| v.trim())
        })
    }
    fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.head);
        let v: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(v["status"], self.status);
        assert!(v["title"].is_string());
        v["type"].as_str().unwrap().strip_prefix("urn:beian:problem:").unwrap().to_owned()
    }
}

fn exchange(mut s: impl Read + Write, request: &str) -> Reply {
    s.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    // A server that has answered and closed may reset what it did not read.
    let _ = s.read_to_end(&mut all);
    let end =
        all.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("no answer to {request:?}"));
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    Reply { status: head[9..12].parse().unwrap(), body: all[end + 4..].to_vec(), head }
}

fn tcp(at: SocketAddr, request: &str) -> Reply {
    let s = TcpStream::connect(at).unwrap();
    s.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    exchange(s, request)
}

/// One request line and more header lines; the token with it.
fn ask(at: SocketAddr, line: &str, more: &str) -> Reply {
    tcp(
        at,
        &format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n{more}\r\n"
        ),
    )
}

#[test]
fn the_api_answers_whoever_has_the_token() {
    let rt = runtime();
    let p = Place::new();
    let desk = Memory::new(1);
    let server = rt.block_on(start(p.settings.clone(), desk.clone())).unwrap();
    let at = server.address();

    let text: String = (0..LINES).map(|i| format!("{{\"line\":{i}}}\n")).collect();
    let r = ask(at, "GET /v1/report", "");
    assert_eq!((r.status, r.header("content-type")), (200, Some("application/json")));
    assert_eq!(r.header("content-length"), Some(text.len().to_string().as_str()));
    assert!(r.body == text.as_bytes());
    assert_eq!(r.header("cache-control"), Some("no-store"));
    assert_eq!(r.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(r.header("vary"), Some("accept-encoding"));
    let tag = r.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", desk.packed.digest()));

    let z = ask(at, "GET /v1/report", "Accept-Encoding: br, gzip\r\n");
    assert_eq!(z.header("content-encoding"), Some("gzip"));
    assert!(z.body == desk.packed.gzip());
    let mut again = String::new();
    GzDecoder::new(&z.body[..]).read_to_string(&mut again).unwrap();
    assert!(again == text);
    assert_ne!(z.header("etag"), Some(tag.as_str()), "another representation, another strong tag");

    for seen in [
        tag.clone(),
        format!("W/{tag}"),
        "*".to_owned(),
        format!("\"x\", {tag}"),
        z.header("etag").unwrap().to_owned(),
    ] {
        let r = ask(at, "GET /v1/report", &format!("If-None-Match: {seen}\r\n"));
        assert_eq!((r.status, r.body.len(), r.header("etag")), (304, 0, Some(tag.as_str())), "{seen}");
    }
    assert_eq!(ask(at, "GET /v1/report", "If-None-Match: \"x\"\r\n").status, 200);

    let h = ask(at, "HEAD /v1/report", "");
    assert_eq!((h.status, h.body.len(), h.header("content-length")), (200, 0, r.header("content-length")));
    assert_eq!(h.header("etag"), Some(tag.as_str()));

    let s = ask(at, "GET /v1/status", "");
    assert_eq!(serde_json::from_slice::<Status>(&s.body).unwrap(), desk.status());

    let m = ask(at, "GET /metrics", "");
    assert_eq!(m.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(m.body.ends_with(b"# EOF\n"));
    let m = ask(at, "GET /metrics", "Accept: text/plain\r\n");
    assert_eq!(m.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(String::from_utf8(m.body).unwrap().contains("# TYPE beian_scans_total counter\n"));
    rt.block_on(server.drain());
    assert!(TcpStream::connect(at).is_err(), "closed");
}

#[test]
fn nobody_gets_in_without_the_token_also_on_loopback() {
    let rt = runtime();
    let p = Place::new();
    let desk = Memory::new(0);
    let server = rt.block_on(start(p.settings.clone(), desk.clone())).unwrap();
    let at = server.address();
    let plain = "Host: 127.0.0.1\r\nConnection: close\r\n";
    for path in
        ["/v1/report", "/v1/status", "/metrics", "/", "/v1/scan", "/v1/names/www.example.cn", "/nothing"]
    {
        for (auth, scheme) in [
            ("", "Bearer"),
            ("Authorization: Bearer wrong-token-wrong\r\n", "Bearer error=\"invalid_token\""),
            ("Authorization: Basic YTpi\r\n", "Bearer"),
            ("Authorization: Bearer \r\n", "Bearer"),
        ] {
            let r = tcp(at, &format!("GET {path} HTTP/1.1\r\n{plain}{auth}\r\n"));
            assert_eq!((r.status, r.problem().as_str()), (401, "unauthorised"), "{path} {auth}");
            assert!(r.header("www-authenticate").unwrap().starts_with(scheme.split(' ').next().unwrap()));
        }
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(tcp(at, &format!("GET {path} HTTP/1.1\r\n{plain}\r\n")).status, 200);
    }
    desk.ready.store(false, Ordering::Relaxed);
    let r = tcp(at, &format!("GET /readyz HTTP/1.1\r\n{plain}\r\n"));
    assert_eq!((r.status, r.problem().as_str()), (503, "not_ready"));
    assert_eq!(tcp(at, &format!("GET /healthz HTTP/1.1\r\n{plain}\r\n")).status, 200);

    // The network may neither start a scan nor ask for single names.
    for path in ["/v1/scan", "/v1/names/www.example.cn", "/nothing"] {
        assert_eq!(ask(at, &format!("POST {path}"), "").status, 404);
    }
    assert_eq!(desk.scans.load(Ordering::Relaxed), 0);
    // A token that is replaced holds from the next request on.
    p.write("token", "the-next-token-of-all");
    assert_eq!(ask(at, "GET /v1/status", "").status, 401);
}

#[test]
fn requests_are_held_to_form() {
    let rt = runtime();
    let p = Place::new();
    let server = rt.block_on(start(p.settings.clone(), Memory::new(0))).unwrap();
    let at = server.address();
    let auth = format!("Connection: close\r\nAuthorization: Bearer {TOKEN}\r\n");
    for (host, status, kind) in [
        ("Host: evil.example\r\n", 421, "host_unknown"),
        ("Host: evil.example:9690\r\n", 421, "host_unknown"),
        ("Host: localhost\r\nHost: localhost\r\n", 400, "host_unclear"),
        ("", 400, "host_unclear"),
    ] {
        for path in ["/v1/status", "/healthz"] {
            let r = tcp(at, &format!("GET {path} HTTP/1.1\r\n{host}{auth}\r\n"));
            assert_eq!((r.status, r.problem().as_str()), (status, kind), "{host}");
        }
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        for path in ["/v1/report", "/v1/status", "/metrics", "/healthz", "/readyz"] {
            let r = ask(at, &format!("{method} {path}"), "");
            assert_eq!(
                (r.status, r.header("allow"), r.problem().as_str()),
                (405, Some("GET, HEAD"), "method_not_allowed")
            );
        }
    }
    let r = ask(at, "GET /v1/status", "Content-Length: 5\r\n\r\nhello");
    assert_eq!((r.status, r.problem().as_str()), (413, "body_not_allowed"));
    assert_eq!(ask(at, "GET /v1/status", "Transfer-Encoding: chunked\r\n").status, 413);
    assert_eq!(ask(at, "GET /v1/status", &format!("X-Long: {}\r\n", "x".repeat(20_000))).status, 431);
    assert_eq!(ask(at, "GET /v1/status", &"X-Many: x\r\n".repeat(200)).status, 431);
    assert_eq!(ask(at, "GET /v2/report", "").problem(), "not_found");
}

#[test]
fn a_slow_client_is_hung_up_on() {
    let rt = runtime();
    let p = Place::new();
    let server = rt.block_on(start(p.settings.clone(), Memory::new(0))).unwrap();
    let at = server.address();
    let begun = Instant::now();
    let slow: Vec<_> = ["", "P", "GET /healthz HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
        .map(|start| {
            std::thread::spawn(move || {
                let mut s = TcpStream::connect(at).unwrap();
                s.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                s.write_all(start.as_bytes()).unwrap();
                let mut rest = Vec::new();
                let _ = s.read_to_end(&mut rest);
                begun.elapsed()
            })
        })
        .into_iter()
        .collect();
    for s in slow {
        let after = s.join().unwrap();
        assert!((Duration::from_secs(9)..Duration::from_secs(20)).contains(&after), "{after:?}");
    }
}

#[test]
fn more_connections_than_64_wait_their_turn() {
    let rt = runtime();
    let p = Place::new();
    let server = rt.block_on(start(p.settings.clone(), Memory::new(0))).unwrap();
    let at = server.address();
    let held: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(at).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(300));
    let mut late = TcpStream::connect(at).unwrap();
    late.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    late.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(late.read(&mut [0; 1]).is_err(), "not before another has gone");
    drop(held);
    late.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut all = String::new();
    late.read_to_string(&mut all).unwrap();
    assert!(all.starts_with("HTTP/1.1 200"), "{all}");
}

#[test]
fn more_reports_than_8_at_the_same_time_are_refused_and_health_is_not() {
    let rt = runtime();
    let p = Place::new();
    let desk = Memory::new(0);
    let server = rt.block_on(start(p.settings.clone(), desk)).unwrap();
    let at = server.address();
    // Whoever does not read keeps his answer under way: sockets hold less.
    let request =
        format!("GET /v1/report HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let readers: Vec<TcpStream> = (0..8)
        .map(|_| {
            let s =
                rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None)
                    .unwrap();
            rustix::net::sockopt::set_socket_recv_buffer_size(&s, 4096).unwrap();
            rustix::net::connect(&s, &at).unwrap();
            let mut s = TcpStream::from(s);
            s.write_all(request.as_bytes()).unwrap();
            s
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let r = ask(at, "GET /v1/status", "");
    let health = ask(at, "GET /healthz", "");
    drop(readers);
    assert_eq!(health.status, 200);
    assert_eq!((r.status, r.problem().as_str(), r.header("retry-after")), (503, "busy", Some("1")));
}

#[test]
fn a_port_in_use_says_what_to_do() {
    let rt = runtime();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut p = Place::new();
    p.settings.listen = taken.local_addr().unwrap();
    let e = rt.block_on(start(p.settings.clone(), Memory::new(0))).err().unwrap();
    let port = p.settings.listen.port().to_string();
    for text in [&e.0.en, &e.0.zh] {
        assert!(
            text.contains("ss -ltnp") && text.contains(&port) && text.contains("[serve] listen"),
            "{text}"
        );
    }
    p.settings.listen = "192.0.2.77:9690".parse().unwrap();
    let e = rt.block_on(start(p.settings.clone(), Memory::new(0))).err().unwrap();
    assert!(e.0.en.contains("no such address"), "{e}");
}

/// An authority, and certificates that it signs.
struct Ca(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Ca {
    fn new(name: &str) -> Ca {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Ca(rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap())
    }
    fn sign(&self, name: &str, what: rcgen::ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params =
            rcgen::CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![what];
        let key = rcgen::KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn client(ca: &Ca, pair: Option<&(String, String)>, http2: bool) -> rustls::ClientConfig {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.0.der().clone()).unwrap();
    let b = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut c = match pair {
        None => b.with_no_client_auth(),
        Some((cert, key)) => b
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    if http2 {
        c.alpn_protocols = vec![b"h2".to_vec()];
    }
    c
}

/// The status over TLS, or `None` where the handshake fails.
fn tls(at: SocketAddr, config: rustls::ClientConfig, request: &str) -> Option<u16> {
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let conn = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut s = rustls::StreamOwned::new(conn, TcpStream::connect(at).unwrap());
    s.sock.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    s.write_all(request.as_bytes()).ok()?;
    let mut all = Vec::new();
    let _ = s.read_to_end(&mut all);
    String::from_utf8(all).ok()?.get(9..12)?.parse().ok()
}

#[test]
fn a_client_certificate_opens_as_a_token_does() {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let rt = runtime();
    let mut p = Place::new();
    let ca = Ca::new("Test CA");
    let (cert, key) = ca.sign("localhost", ServerAuth);
    let pair = Pair { cert: p.write("s.pem", &cert), key: p.write("s.key", &key) };
    p.settings.tls = Some(pair);
    p.settings.client_ca = Some(p.write("ca.pem", &ca.0.pem()));
    let server = rt.block_on(start(p.settings.clone(), Memory::new(0))).unwrap();
    let at = server.address();
    assert!(server.tls());
    let get = "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let bare = format!("{get}\r\n");
    let with_token = format!("{get}Authorization: Bearer {TOKEN}\r\n\r\n");

    let good = ca.sign("hub.example.com", ClientAuth);
    assert_eq!(tls(at, client(&ca, Some(&good), false), &bare), Some(200));
    assert_eq!(tls(at, client(&ca, None, false), &bare), Some(401));
    assert_eq!(tls(at, client(&ca, None, false), &with_token), Some(200));
    let foreign = Ca::new("Other CA").sign("hub.example.com", ClientAuth);
    assert_eq!(tls(at, client(&ca, Some(&foreign), false), &with_token), None, "the handshake fails");
    let not_a_client = ca.sign("www.example.com", ServerAuth);
    assert_eq!(tls(at, client(&ca, Some(&not_a_client), false), &bare), None);
    // A certificate does not lift the check of the host.
    assert_eq!(
        tls(at, client(&ca, Some(&good), false), &bare.replace("localhost", "evil.example")),
        Some(421)
    );

    // Renewed files take effect; broken ones leave the old pair in force.
    let (cert, key) = ca.sign("localhost", ServerAuth);
    p.write("s.pem", &cert);
    assert!(server.reload().is_err(), "certificate and key of different pairs");
    assert_eq!(tls(at, client(&ca, Some(&good), false), &bare), Some(200));
    p.write("s.key", &key);
    server.reload().unwrap();
    assert_eq!(tls(at, client(&ca, Some(&good), false), &bare), Some(200));
    let mut other = p.settings.clone();
    other.tls.as_mut().unwrap().key = p.write("none.key", "nothing");
    let e = rt.block_on(start(other, Memory::new(0))).err().unwrap();
    assert!(e.0.en.contains("none.key") && !e.0.en.contains("nothing"), "{e}");
}

#[test]
fn http_2_is_spoken_over_tls() {
    let rt = runtime();
    let mut p = Place::new();
    let ca = Ca::new("Test CA");
    let (cert, key) = ca.sign("localhost", rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    p.settings.tls = Some(Pair { cert: p.write("s.pem", &cert), key: p.write("s.key", &key) });
    let server = rt.block_on(start(p.settings.clone(), Memory::new(0))).unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let conn = rustls::ClientConnection::new(Arc::new(client(&ca, None, true)), name).unwrap();
    let mut s = rustls::StreamOwned::new(conn, TcpStream::connect(server.address()).unwrap());
    s.sock.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // Preface, empty SETTINGS, and one HEADERS frame (HPACK by its static
    // table): GET https /readyz at localhost, END_STREAM and END_HEADERS.
    let mut fields = vec![0x82, 0x87, 0x04, 7];
    fields.extend(b"/readyz");
    fields.extend([0x01, 9]);
    fields.extend(b"localhost");
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    request.extend([0, 0, fields.len() as u8, 1, 5, 0, 0, 0, 1]);
    request.extend(fields);
    s.write_all(&request).unwrap();
    // The answer's HEADERS begin with `:status: 200`, entry 8 of the table.
    loop {
        let mut head = [0u8; 9];
        s.read_exact(&mut head).unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        s.read_exact(&mut payload).unwrap();
        if head[3] == 1 {
            assert!(payload.contains(&0x88), "{payload:x?}");
            break;
        }
    }
    assert_eq!(s.conn.alpn_protocol(), Some(&b"h2"[..]));
}

fn unix(path: &Path, line: &str) -> Reply {
    let s = UnixStream::connect(path).unwrap();
    s.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    exchange(s, &format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

#[test]
fn the_control_socket_needs_no_token_and_can_do_more() {
    let rt = runtime();
    let p = Place::new();
    let desk = Memory::new(0);
    let path = p.path(SOCKET);
    let control = rt.block_on(serve::control(&path, desk.clone())).unwrap();
    let m = std::fs::symlink_metadata(&path).unwrap();
    assert!(m.file_type().is_socket());
    assert_eq!(m.permissions().mode() & 0o777, 0o660);

    assert_eq!(unix(&path, "GET /v1/status").status, 200);
    assert_eq!(unix(&path, "GET /v1/report").body.len() as u64, desk.packed.length());
    let r = unix(&path, "GET /v1/names/www%2eexample.cn");
    assert_eq!(
        serde_json::from_slice::<Named>(&r.body).unwrap(),
        Named::new(vec![row("www.example.cn")], Vec::new())
    );
    for (line, status, kind) in [
        ("GET /v1/names/other.example", 404, "name_unknown"),
        ("GET /v1/names/broken", 500, "internal"),
        ("GET /v1/names/", 400, "bad_name"),
        ("GET /v1/names/%ff", 400, "bad_name"),
        ("GET /v1/names/%4", 400, "bad_name"),
        ("GET /v1/scan", 405, "method_not_allowed"),
    ] {
        let r = unix(&path, line);
        assert_eq!((r.status, r.problem().as_str()), (status, kind), "{line}");
    }
    assert_eq!(desk.scans.load(Ordering::Relaxed), 0);
    assert_eq!(unix(&path, "POST /v1/scan").status, 202);
    assert_eq!(desk.scans.load(Ordering::Relaxed), 1);

    let e = rt.block_on(serve::control(&path, desk.clone())).err().unwrap();
    assert!(e.0.en.contains("already running") && e.0.zh.contains("已在运行"), "{e}");
    assert_eq!(unix(&path, "GET /v1/status").status, 200, "the first goes on");

    rt.block_on(control.drain());
    assert!(!path.exists(), "removed");
}

#[test]
fn what_a_dead_daemon_left_is_replaced() {
    let rt = runtime();
    let p = Place::new();
    let path = p.path(SOCKET);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(UnixStream::connect(&path).is_err());
    let control = rt.block_on(serve::control(&path, Memory::new(0))).unwrap();
    assert_eq!(unix(&path, "GET /healthz").status, 200);
    drop(control);
    assert!(!path.exists());
    p.write(SOCKET, "a file");
    assert!(rt.block_on(serve::control(&path, Memory::new(0))).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file", "not touched");
}

fn agent(p: &Place, args: &[&str]) -> (i32, String, String) {
    let config = p.write("agent.toml", &format!("[agent]\nstate_dir = {:?}\n", p.dir.path()));
    let out = Command::new(AGENT)
        .arg("--config")
        .arg(config)
        .args(args)
        .env("RUNTIME_DIRECTORY", p.dir.path())
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    (
        out.status.code().unwrap(),
        String::from_utf8(out.stdout).unwrap(),
        String::from_utf8(out.stderr).unwrap(),
    )
}

#[test]
fn status_says_how_the_daemon_does() {
    let rt = runtime();
    let p = Place::new();
    let desk = Memory::new(2);
    let control = rt.block_on(serve::control(&p.path(SOCKET), desk.clone())).unwrap();
    let (code, out, err) = agent(&p, &["--lang", "zh", "status"]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    for wanted in [
        "正在运行",
        "w0.example.cn",
        "w1.example.cn",
        "beian-agent explain",
        "违规",
        "https://hub.example.com/",
        "ministry",
    ] {
        assert!(out.contains(wanted), "{wanted}\n{out}");
    }
    assert!(!out.contains('\u{1b}'));
    let (code, out, _) = agent(&p, &["--lang", "en", "status"]);
    assert_eq!(code, 1);
    assert!(
        out.contains("running") && out.contains("1 d 2 h 3 min") && out.contains("no answer in time"),
        "{out}"
    );
    let (code, out, _) = agent(&p, &["status", "--format", "json"]);
    assert_eq!((code, serde_json::from_str::<Status>(&out).unwrap()), (1, desk.status()));

    desk.ready.store(false, Ordering::Relaxed);
    let (code, out, _) = agent(&p, &["--lang", "en", "status"]);
    assert_eq!(code, 3, "{out}");
    drop(control);

    let good = rt.block_on(serve::control(&p.path(SOCKET), Memory::new(0))).unwrap();
    assert_eq!(agent(&p, &["status"]).0, 0);
    drop(good);
}

#[test]
fn status_says_how_to_start_what_does_not_run() {
    let p = Place::new();
    let (code, out, err) = agent(&p, &["--lang", "en", "status"]);
    assert_eq!((code, err.as_str()), (3, ""));
    assert!(out.contains("not running") && out.contains("systemctl start beian-agent"), "{out}");
    assert!(!out.contains("last written"));
    p.write("ledger.redb", "x");
    let (code, out, _) = agent(&p, &["--lang", "zh", "status"]);
    assert_eq!(code, 3);
    assert!(out.contains("没有运行") && out.contains("最后写入") && out.contains("+08:00"), "{out}");
    let (code, out, _) = agent(&p, &["status", "--format", "json"]);
    let v: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &v["schema"], &v["running"]), (3, &"beian.status/1".into(), &false.into()));
}

#[test]
fn explain_from_ledger_asks_the_daemon() {
    let rt = runtime();
    let p = Place::new();
    let control = rt.block_on(serve::control(&p.path(SOCKET), Memory::new(0))).unwrap();
    let (code, out, err) = agent(&p, &["--lang", "en", "explain", "--from-ledger", "www.example.cn"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("www.example.cn") && out.contains("not filed"), "{out}");
    let (code, _, err) = agent(&p, &["--lang", "en", "explain", "--from-ledger", "other.example.cn"]);
    assert_eq!(code, 2);
    assert!(err.contains("other.example.cn"), "{err}");
    drop(control);
    let (code, _, err) = agent(&p, &["--lang", "en", "explain", "--from-ledger", "www.example.cn"]);
    assert_eq!(code, 2);
    assert!(err.contains("running"), "{err}");
}

use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};

use super::host::{Meant, meant};
use super::*;
use crate::config::Serve;

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    pairs.iter().map(|(k, v)| (k.clone(), HeaderValue::from_str(v).unwrap())).collect()
}

#[test]
fn a_packed_body_is_itself_again() {
    let line = "{\"name\":\"www.example.cn\"}\n";
    let packed = Packed::of(|w| (0..50_000).try_for_each(|_| w.write_all(line.as_bytes()))).unwrap();
    assert_eq!(packed.length(), 50_000 * line.len() as u64);
    assert!(packed.gzip().len() < 50_000, "{}", packed.gzip().len());
    let mut text = String::new();
    packed.reader().read_to_string(&mut text).unwrap();
    assert_eq!(text, line.repeat(50_000));
    let sum = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let hex: String = sum.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(packed.digest(), hex);
    assert!(Packed::of(|_| Err(io::Error::other("no"))).is_err());
}

#[test]
fn codings_and_types_are_negotiated() {
    let gzip = |v: &str| negotiate::takes_gzip(&headers(&[(header::ACCEPT_ENCODING, v)]));
    for v in ["gzip", "GZIP", "br, gzip;q=0.5", "*", "identity, *;q=0.1", "x-gzip"] {
        assert!(gzip(v), "{v}");
    }
    for v in ["", "identity", "gzip;q=0", "*, gzip;q=0", "gzip;q=nan", "gzipped", "*;q=0"] {
        assert!(!gzip(v), "{v}");
    }
    assert!(!negotiate::takes_gzip(&HeaderMap::new()));

    let open = |v: &str| negotiate::takes_openmetrics(&headers(&[(header::ACCEPT, v)]));
    // What Prometheus 2.5x sends.
    assert!(open(
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    ));
    assert!(open("*/*") && negotiate::takes_openmetrics(&HeaderMap::new()));
    assert!(!open("text/plain") && !open("text/html, text/*;q=0.9"));
    assert!(!open("application/openmetrics-text;q=0.1, text/plain"));
}

#[test]
fn tags_are_compared_as_rfc_9110_asks() {
    let has =
        |v: &str| negotiate::has_already(&headers(&[(header::IF_NONE_MATCH, v)]), &["\"a\"", "\"a-gzip\""]);
    for v in ["\"a\"", "W/\"a\"", "*", "\"x\", \"a-gzip\"", "\"x\",W/\"a-gzip\" "] {
        assert!(has(v), "{v}");
    }
    for v in ["", "a", "\"A\"", "\"x\", \"y\"", "\"a", "\"**\""] {
        assert!(!has(v), "{v}");
    }
    // Two lines of the header are one list.
    let mut two = headers(&[(header::IF_NONE_MATCH, "\"x\"")]);
    two.append(header::IF_NONE_MATCH, HeaderValue::from_static("\"a\""));
    assert!(negotiate::has_already(&two, &["\"a\""]));
}

#[test]
fn only_our_own_names_are_answered() {
    let names = ["poll.example.com".to_owned()];
    let of = |uri: &str, hosts: &[&str]| {
        let mut b = Request::builder().uri(uri);
        for h in hosts {
            b = b.header(header::HOST, *h);
        }
        meant(&b.body(()).unwrap().into_parts().0, &names)
    };
    for host in [
        "127.0.0.1:9690",
        "127.0.0.1",
        "[::1]:9690",
        "[::1]",
        "localhost",
        "LOCALHOST:1",
        "localhost.",
        "203.0.113.10:9690",
        "poll.example.com",
        "Poll.Example.Com:9690",
    ] {
        assert!(matches!(of("/", &[host]), Meant::Us), "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "poll.example.com.evil.example:80",
    ] {
        assert!(matches!(of("/", &[host]), Meant::Other), "{host}");
    }
    for host in ["", ":80", "localhost:", "localhost:80a", "[::1", "[localhost]", "::1", "a:b:c"] {
        assert!(matches!(of("/", &[host]), Meant::Unclear), "{host}");
    }
    assert!(matches!(of("/", &[]), Meant::Unclear));
    assert!(matches!(of("/", &["localhost", "localhost"]), Meant::Unclear));
    assert!(matches!(of("http://localhost/", &[]), Meant::Us));
    assert!(matches!(of("http://evil.example/", &["localhost"]), Meant::Other));
    assert!(matches!(of("http://localhost/", &["evil.example"]), Meant::Other));
}

fn serve(listen: &str) -> Serve {
    Serve {
        listen: Some(listen.parse::<SocketAddr>().unwrap()),
        announce: None,
        token_file: None,
        tls_cert: None,
        tls_key: None,
        client_ca: None,
    }
}

#[test]
fn beyond_loopback_only_with_tls() {
    let of = |s: &Serve, own: Option<Pair>| Settings::of(s, Path::new("/var/lib/beian-agent"), own);
    let own = || Some(Pair { cert: "/s/own.pem".into(), key: "/s/own.key".into() });
    for open in ["0.0.0.0:9690", "[::]:9690", "192.0.2.1:9690", "[::ffff:192.0.2.1]:9690"] {
        let e = of(&serve(open), None).unwrap_err();
        assert!(e.0.en.contains("tls_cert") && e.0.zh.contains("tls_cert"), "{e}");
        assert_eq!(of(&serve(open), own()).unwrap().unwrap().tls, own());
    }
    for local in ["127.0.0.1:9690", "127.9.9.9:1", "[::1]:9690", "[::ffff:127.0.0.1]:9690"] {
        let s = of(&serve(local), own()).unwrap().unwrap();
        assert_eq!(s.tls, None, "{local}");
        assert_eq!(s.tokens, [PathBuf::from("/var/lib/beian-agent/poll-token")]);
    }
    let mut off = serve("0.0.0.0:1");
    off.listen = None;
    assert_eq!(of(&off, None).unwrap(), None);

    let mut half = serve("127.0.0.1:1");
    half.tls_cert = Some("/c.pem".into());
    assert!(of(&half, own()).is_err());
    let mut ca = serve("127.0.0.1:1");
    ca.client_ca = Some("/ca.pem".into());
    assert!(of(&ca, None).is_err(), "client certificates without TLS");
    assert_eq!(of(&ca, own()).unwrap().unwrap().tls, own());

    let mut named = serve("127.0.0.1:1");
    for (announce, host) in
        [("https://Poll.Example.com:9690/", "poll.example.com"), ("poll.example.com:1", "poll.example.com")]
    {
        named.announce = Some(announce.into());
        assert_eq!(of(&named, None).unwrap().unwrap().names, [host]);
    }
}

#[test]
fn a_token_is_made_once_and_read_again_when_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("poll-token");
    assert!(!Tokens::open(vec![path.clone()]).unwrap().opens(b""), "no file opens nothing");
    assert!(make_token(&path).unwrap() && !make_token(&path).unwrap());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let first = std::fs::read_to_string(&path).unwrap().trim().to_owned();
    assert!(first.len() >= 43, "256 bits");

    let tokens = Tokens::open(vec![dir.path().join("other"), path.clone()]).unwrap();
    assert!(tokens.opens(first.as_bytes()));
    for wrong in ["", &first[1..], &format!("{first}x"), &first.to_lowercase()] {
        assert!(!tokens.opens(wrong.as_bytes()), "{wrong}");
    }
    std::fs::write(&path, "another-token-of-enough-length\n").unwrap();
    assert!(!tokens.opens(first.as_bytes()) && tokens.opens(b"another-token-of-enough-length"));
    std::fs::write(&path, "short\n").unwrap();
    assert!(!tokens.opens(b"short") && !tokens.opens(b"another-token-of-enough-length"));
    std::fs::remove_file(&path).unwrap();
    assert!(!tokens.opens(b"short"));
}

#[test]
fn a_token_that_everyone_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t");
    std::fs::write(&path, "secret-secret-secret\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let e = Tokens::open(vec![path.clone()]).unwrap_err();
    assert!(e.0.en.contains("chmod 600") && !e.0.en.contains("secret-secret"), "{e}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    assert!(Tokens::open(vec![path]).unwrap().opens(b"secret-secret-secret"));
}

#[test]
fn openmetrics_is_told_in_the_old_format() {
    let open = "# HELP beian_scans Scans done.\n# TYPE beian_scans counter\nbeian_scans_total 3 # {id=\"x\"} 1\n\
        # TYPE beian_build info\n# HELP beian_build Build.\nbeian_build_info{version=\"1\"} 1\n\
        # TYPE beian_scan_seconds histogram\n# UNIT beian_scan_seconds seconds\nbeian_scan_seconds_bucket{le=\"+Inf\"} 1\n\
        # TYPE beian_x unknown\nbeian_x 1\n# EOF\n";
    assert_eq!(
        to_plain_text(open),
        "# HELP beian_scans_total Scans done.\n# TYPE beian_scans_total counter\nbeian_scans_total 3\n\
        # TYPE beian_build_info gauge\n# HELP beian_build_info Build.\nbeian_build_info{version=\"1\"} 1\n\
        # TYPE beian_scan_seconds histogram\nbeian_scan_seconds_bucket{le=\"+Inf\"} 1\n\
        # TYPE beian_x untyped\nbeian_x 1\n"
    );
}

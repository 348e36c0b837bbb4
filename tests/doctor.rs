//! `beian-agent doctor` from outside: every point is looked at, nothing is
//! written, and no secret comes out.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

const AGENT: &str = env!("CARGO_BIN_EXE_beian-agent");

fn run(dir: &Path, lang: &str, more: &[&str]) -> (i32, String) {
    let mut c = Command::new(AGENT);
    c.env_clear().current_dir(dir).args(["--config", "agent.toml", "--lang", lang, "doctor"]).args(more);
    let out = c.output().unwrap();
    assert!(out.stderr.is_empty() || more.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
}

fn states(json: &str) -> Vec<(String, String, String)> {
    let v: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(v["schema"], "beian.doctor/1");
    let text = |p: &serde_json::Value, k: &str| p[k].as_str().unwrap_or_default().to_owned();
    v["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (text(p, "check"), text(p, "which"), text(p, "state")))
        .collect()
}

/// A resolver that knows no data, and a hub whose clock is an hour behind.
fn others() -> (u16, u16) {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dns = udp.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut buf = [0; 512];
        while let Ok((n, from)) = udp.recv_from(&mut buf) {
            // Header and question go back: QR, RD, RA; no records at all.
            let question = 12 + 1 + 4;
            let mut reply = buf[..question.min(n)].to_vec();
            reply[2] = 0x81;
            reply[3] = 0x80;
            reply[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
            udp.send_to(&reply, from).unwrap();
        }
    });
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let hub = tcp.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let mut buf = [0; 2048];
            let n = stream.read(&mut buf).unwrap();
            let ok = buf[..n].starts_with(b"GET /base/healthz HTTP/1.1\r\n");
            let status = if ok { "200 OK" } else { "404 Not Found" };
            let date =
                httpdate::fmt_http_date(std::time::SystemTime::now() - std::time::Duration::from_secs(3600));
            write!(
                stream,
                "HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            .unwrap();
        }
    });
    (dns, hub)
}

#[test]
fn every_point_is_looked_at_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let (dns, hub) = others();
    write(
        "root/etc/nginx/nginx.conf",
        "events {}\nhttp { server { listen 80; server_name www.example.cn; } }\n",
    );
    write("state/agent.key", "GEHEIM");
    write("filings.csv", "domain,access_state\nexample.cn,connected\n");
    write(
        "agent.toml",
        &format!(
            "[agent]\nroot = 'root'\nstate_dir = 'state'\n[resolver]\nservers = ['127.0.0.1:{dns}', '127.0.0.1:9']\n\
             timeout = '200ms'\nattempts = 1\n[hub]\nurl = 'http://127.0.0.1:{hub}/base'\n\
             [[registry]]\nname = 'provider'\nkind = 'provider_db'\npath = 'filings.csv'\n\
             [[registry]]\nname = 'paid'\nkind = 'json_api'\npreset = 'mir6'\nurl = 'http://127.0.0.1:9'\nkey = 'GEHEIM'\n\
             canary = 'example.cn'\ntimeout = '500ms'\n"
        ),
    );
    let before = tree(dir.path());
    let (code, json) = run(dir.path(), "zh", &["--format", "json"]);
    let states = states(&json);
    let state = |check: &str, which: &str| {
        let found = states.iter().find(|(c, w, _)| c == check && w == which);
        found.unwrap_or_else(|| panic!("{check} {which} is not in {json}")).2.clone()
    };
    assert_eq!(code, 1, "{json}");
    assert_eq!(state("settings", ""), "ok");
    assert_eq!(state("servers", "nginx"), "ok");
    assert_eq!(state("resolver", &format!("127.0.0.1:{dns}")), "ok");
    assert_eq!(state("resolver", "127.0.0.1:9"), "warning");
    assert_eq!(state("registry", "provider"), "ok");
    assert_eq!(state("registry", "paid"), "fault");
    assert_eq!(state("hub", "127.0.0.1"), "ok");
    assert_eq!(state("clock", ""), "warning");
    assert_eq!(state("secrets", "state/agent.key"), "fault");
    assert_eq!(state("sends", "hub"), "ok");
    assert_eq!(state("enrolment", ""), "warning");
    for check in ["reading", "state_dir", "watches", "daemon"] {
        assert!(states.iter().any(|(c, ..)| c == check), "{check}");
    }
    // JSON is English, whatever --lang says; the table is not.
    assert!(!json.contains('\u{6b63}'));
    let (_, table) = run(dir.path(), "zh", &[]);
    assert!(table.contains("✗ 故障  备案来源 paid：") && table.contains("→ "), "{table}");
    assert!(!json.contains("GEHEIM") && !table.contains("GEHEIM"));
    assert_eq!(tree(dir.path()), before);
}

/// Whether the hub knows this server, and whether the provider has confirmed it.
#[test]
fn an_enrolment_is_named_with_its_quarantine() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("state")).unwrap();
    std::fs::create_dir_all(dir.path().join("root")).unwrap();
    std::fs::write(
        dir.path().join("agent.toml"),
        "[agent]\nroot = 'root'\nstate_dir = 'state'\n[resolver]\nservers = ['127.0.0.1:9']\ntimeout = '100ms'\nattempts = 1\n",
    )
    .unwrap();
    let enrolment = |quarantined: bool| {
        let json = format!(
            "{{\"hub\":\"http://127.0.0.1:9/\",\"agent_id\":\"agent-7\",\"receipt_key\":\"x\",\"polling_token\":\"GEHEIM\",\"quarantined\":{quarantined}}}"
        );
        std::fs::write(dir.path().join("state/enrolment.json"), json).unwrap();
    };
    let check = |lang: &str| {
        let (_, json) = run(dir.path(), lang, &["--format", "json"]);
        assert!(!json.contains("GEHEIM"), "{json}");
        let states = states(&json);
        let state = |check: &str| states.iter().find(|(c, ..)| c == check).unwrap().2.clone();
        (state("enrolment"), state("registry"), state("hub"), json)
    };
    let (enrolled, registry, ..) = check("en");
    assert_eq!((enrolled.as_str(), registry.as_str()), ("ok", "warning"), "no hub, no registry");
    // The enrolment says which hub there is, and that it is asked for filings.
    enrolment(false);
    let (enrolled, registry, hub, json) = check("en");
    assert_eq!((enrolled.as_str(), registry.as_str(), hub.as_str()), ("ok", "fault", "fault"), "{json}");
    assert!(json.contains("enrolled as agent-7"));
    enrolment(true);
    let (enrolled, .., json) = check("en");
    assert!(enrolled == "warning" && json.contains("quarantine"), "{json}");
    let (_, table) = run(dir.path(), "zh", &[]);
    assert!(table.contains("登记：已登记，编号 agent-7，处于隔离状态"), "{table}");
}

#[test]
fn broken_settings_are_the_first_fault() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("agent.toml"), "[resolver]\ntimeout = 3\n").unwrap();
    let (code, json) = run(dir.path(), "en", &["--format", "json"]);
    assert_eq!(code, 1);
    assert_eq!(states(&json), [("settings".into(), String::new(), "fault".into())]);
    assert!(json.contains("[resolver] timeout"), "{json}");
}

/// Every file with its text and time.
fn tree(dir: &Path) -> Vec<(std::path::PathBuf, String, std::time::SystemTime)> {
    let mut out = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(d) = open.pop() {
        for e in std::fs::read_dir(d).unwrap().map(|e| e.unwrap().path()) {
            if e.is_dir() {
                open.push(e);
            } else {
                let modified = e.metadata().unwrap().modified().unwrap();
                out.push((e.clone(), std::fs::read_to_string(&e).unwrap(), modified));
            }
        }
    }
    out.sort();
    out
}

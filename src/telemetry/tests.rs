#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::event::*;
use super::json_file::JsonFile;
use super::logs::{file_alone, journal_alone};
use super::*;
use crate::facts::{
    Finding, FindingKind, Loss, LossKind, Problem, ProblemKind, Reason, Row, ServedBy, Server, Standing,
    Summary, Transition, Verdict, Why,
};

fn row(name: &str, file: &str) -> Row {
    Row {
        name: name.into(),
        unicode: name.into(),
        apex: Some("example.cn".into()),
        verdict: Verdict::Violation,
        reason: Reason::NotFiled,
        stale: false,
        exposure: None,
        filing: None,
        first_seen: Timestamp::UNIX_EPOCH,
        exposed_since: None,
        filed_since: None,
        connected_before_filing: false,
        served_by: vec![ServedBy { server: Server::Nginx, file: file.into(), line: 7, listen: vec![] }],
        exempt: None,
    }
}

fn violation(name: &str, file: &str) -> Transition {
    Transition {
        id: "01890000-0000-7000-8000-000000000000".into(),
        at: Timestamp::UNIX_EPOCH,
        name: name.into(),
        from: Some(Standing { verdict: Verdict::Dormant, reason: Reason::NotFiled, stale: false }),
        to: Some(Standing { verdict: Verdict::Violation, reason: Reason::NotFiled, stale: false }),
        row: Some(Box::new(row(name, file))),
    }
}

/// Every event once, with hostile text where files' text stands.
fn everything(metrics: &Metrics) {
    let hostile = "/etc/nginx/a\nBEIAN_VERDICT=compliant\u{1b}[2J.conf";
    VerdictChanged { transition: &violation("www.example.cn", hostile), row: None }.emit(metrics);
    let gone = Transition { to: None, row: None, ..violation("old.example.cn", "") };
    VerdictChanged { transition: &gone, row: Some(&row("old.example.cn", "/etc/old.conf")) }.emit(metrics);
    let long = "长".repeat(2000);
    ProblemSeen(&Problem::at(long, Some(3), ProblemKind::UnclosedBlock, "a block is not closed"))
        .emit(metrics);
    FindingSeen(&Finding {
        kind: FindingKind::ImplicitDefault,
        server: Server::Apache,
        file: "/etc/apache2/x.conf".into(),
        line: 1,
        detail: "it answers for unknown names".into(),
        listen: vec![],
    })
    .emit();
    LossNoted(&Loss {
        kind: LossKind::TransitionsDropped,
        at: Timestamp::UNIX_EPOCH,
        count: 5,
        detail: "5 transitions were dropped".into(),
    })
    .emit(metrics);
    ScanDone {
        trigger: "change",
        complete: true,
        took: Duration::from_millis(40),
        files: 12,
        sites: 3,
        problems: &[],
        findings: &[],
        ended: Timestamp::from_second(1_800_000_000).unwrap(),
    }
    .emit(metrics);
    let at = Timestamp::from_second(1_800_000_001).unwrap();
    let call = |outcome, before| HubCalled { outcome, before, sequence: 9, at }.emit(metrics);
    call(HubOutcome::Unreachable, None);
    call(HubOutcome::Unreachable, Some(HubOutcome::Unreachable));
    call(HubOutcome::Delivered, Some(HubOutcome::Unreachable));
    RegistryChanged { registry: "chinaz", why: Some(Why::Credit), before: None }.emit();
    RegistryChanged { registry: "chinaz", why: Some(Why::Credit), before: Some(Why::Credit) }.emit();
}

fn lines(file: &Path) -> Vec<serde_json::Map<String, serde_json::Value>> {
    std::fs::read_to_string(file).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn events_are_one_json_line_each_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.json");
    let metrics = Metrics::new();
    let (file, opened) = JsonFile::new(&path, metrics.dropped_lines());
    opened.unwrap();
    tracing::subscriber::with_default(file_alone(Arc::new(file)), || everything(&metrics));
    let said = lines(&path);
    // The second unreachable and the second credit are no news.
    assert_eq!(said.len(), 9);
    assert_eq!(said[0]["beian_name"], "www.example.cn");
    assert_eq!(said[0]["beian_verdict"], "violation");
    assert_eq!(said[0]["beian_from"], "dormant");
    assert_eq!(said[0]["beian_reason"], "not_filed");
    assert_eq!(said[0]["beian_line"], 7);
    assert_eq!(said[0]["beian_apex"], "example.cn");
    assert_eq!(said[0]["level"], "warn");
    assert_eq!(said[0]["message"], "www.example.cn is violation (not filed), before that dormant");
    let file = said[0]["beian_file"].as_str().unwrap();
    assert!(!file.contains(char::is_control) && file.contains("\\u{a}BEIAN"), "{file}");
    assert_eq!(said[1]["beian_verdict"], "not_served");
    assert_eq!(said[1]["beian_file"], "/etc/old.conf");
    assert_eq!(said[2]["beian_problem"], "unclosed_block");
    assert!(said[2]["beian_file"].as_str().unwrap().len() <= 1030);
    for line in &said {
        assert!(line["time"].as_str().unwrap().parse::<Timestamp>().is_ok());
        assert!(line.values().all(|v| !v.as_str().unwrap_or_default().contains(char::is_control)));
    }

    let text = metrics.encode();
    for sample in [
        "beian_agent_transitions_total{verdict=\"violation\"} 1",
        "beian_agent_transitions_total{verdict=\"not_served\"} 1",
        "beian_agent_transitions_total{verdict=\"compliant\"} 0",
        "beian_agent_problem_events_total{kind=\"unclosed_block\"} 1",
        "beian_agent_losses_total{kind=\"transitions_dropped\"} 5",
        "beian_agent_losses_total{kind=\"dead_letter\"} 0",
        "beian_agent_scans_total{complete=\"true\"} 1",
        "beian_agent_scan_duration_seconds_count 1",
        "beian_agent_scan_duration_seconds_bucket{le=\"0.05\"} 1",
        "beian_agent_files_read_total 12",
        "beian_agent_last_scan_timestamp_seconds 1800000000",
        "beian_agent_hub_attempts_total{outcome=\"unreachable\"} 2",
        "beian_agent_hub_attempts_total{outcome=\"delivered\"} 1",
        "beian_agent_last_delivery_timestamp_seconds 1800000001",
        "beian_agent_log_lines_dropped_total 0",
    ] {
        assert!(text.lines().any(|l| l == sample), "{sample}\n{text}");
    }
}

#[test]
fn metrics_say_what_stands() {
    let m = Metrics::new();
    m.set_names(&Summary { names: 3, violation: 2, compliant: 1, ..Summary::default() });
    m.set_watch(17, true);
    m.watch_overflow();
    m.dns("timeout", Duration::from_secs(3));
    m.registry("a \"b\"\n", "filed", Duration::from_millis(30));
    m.set_outbox(4, Some(Timestamp::now() - Duration::from_secs(60)));
    m.set_ledger(4096);
    m.set_clock_skew(-1.5);
    let problem = Problem::at("/x", None, ProblemKind::TooLarge, "");
    m.set_wrongs(&[problem.clone(), problem], &[]);
    let text = m.encode();
    for sample in [
        "beian_agent_names{verdict=\"violation\"} 2",
        "beian_agent_names{verdict=\"dormant\"} 0",
        "beian_agent_problems{kind=\"too_large\"} 2",
        "beian_agent_watched_folders 17",
        "beian_agent_watch_degraded 1",
        "beian_agent_watch_overflows_total 1",
        "beian_agent_dns_duration_seconds_bucket{le=\"3.0\",outcome=\"timeout\"} 1",
        "beian_agent_registry_duration_seconds_count{registry=\"a \\\"b\\\"\\n\",outcome=\"filed\"} 1",
        "beian_agent_outbox_reports 4",
        "beian_agent_ledger_size_bytes 4096",
        "beian_agent_clock_skew_seconds -1.5",
        "beian_agent_last_delivery_timestamp_seconds 0",
    ] {
        assert!(text.lines().any(|l| l == sample), "{sample}\n{text}");
    }
    let age: f64 = text
        .lines()
        .find_map(|l| l.strip_prefix("beian_agent_outbox_oldest_age_seconds "))
        .and_then(|v| v.parse().ok())
        .unwrap();
    assert!((60.0..120.0).contains(&age), "{age}");
    assert!(text.contains(&format!("beian_agent_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))));
    assert!(text.ends_with("# EOF\n"));
    // Each sample belongs to a described family with our prefix.
    let mut families: HashMap<&str, &str> = HashMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|r| r.split_once(' ')) {
            assert!(families.insert(name, kind).is_none(), "{name} is there twice");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(name.starts_with("beian_agent_"), "{line}");
            assert!(families.keys().any(|f| name.starts_with(f)), "{line}");
        }
    }
    // An empty outbox, and a clock that was set back, make no age.
    for oldest in [None, Some(Timestamp::now() + Duration::from_secs(86_400))] {
        m.set_outbox(0, oldest);
        assert!(m.encode().contains("beian_agent_outbox_oldest_age_seconds 0.0\n"));
    }
}

#[test]
fn the_log_file_follows_logrotate_and_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.json");
    let metrics = Metrics::new();
    let (file, opened) = JsonFile::new(&path, metrics.dropped_lines());
    opened.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777 & !0o640, 0);
    let file = Arc::new(file);
    let say = |what: &'static str| {
        tracing::subscriber::with_default(file_alone(file.clone()), || tracing::warn!("{what}"));
    };
    say("one");
    std::fs::rename(&path, dir.path().join("agent.json.1")).unwrap();
    file.reopen().unwrap();
    say("two");
    assert_eq!(lines(&path)[0]["message"], "two");
    // Without a signal it is noticed by itself.
    std::fs::rename(&path, dir.path().join("agent.json.2")).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    say("three");
    assert_eq!(lines(&path)[0]["message"], "three");
    assert_eq!(lines(&dir.path().join("agent.json.2")).len(), 1);
}

#[test]
fn a_log_file_that_cannot_be_written_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    // Linux' device of a full disk is no regular file, and a FIFO would block.
    let fifo = dir.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for bad in [Path::new("/dev/full"), &fifo, &dir.path().join("no/such/folder"), dir.path()] {
        let (file, opened) = JsonFile::new(bad, metrics.dropped_lines());
        assert!(opened.is_err(), "{}", bad.display());
        tracing::subscriber::with_default(file_alone(Arc::new(file)), || tracing::warn!("lost"));
    }
    assert!(metrics.encode().contains("beian_agent_log_lines_dropped_total 4\n"));
}

const INNER: &str = "BEIAN_TEST_JOURNAL";

/// journald's socket has a fixed path, so the test starts itself in a mount
/// namespace with a /run of its own, and is journald there.
#[test]
fn journal_fields_have_their_exact_names() {
    if std::env::var_os(INNER).is_some() {
        let socket = UnixDatagram::bind("/run/systemd/journal/socket").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // Each datagram is read by a thread: the queue of a socket is short.
        let reader = std::thread::spawn(move || {
            let mut buf = vec![0; 1 << 16];
            let mut entries = Vec::new();
            while entries.len() < 10 {
                let n = socket.recv(&mut buf).unwrap();
                entries.push(buf[..n].to_vec());
            }
            entries
        });
        tracing::subscriber::with_default(journal_alone().unwrap(), || everything(&Metrics::new()));
        // The first one is the layer's own question whether anyone is there.
        let entries: Vec<HashMap<String, String>> =
            reader.join().unwrap().iter().skip(1).map(|e| fields(e)).collect();
        let violation = &entries[0];
        for (field, value) in [
            ("BEIAN_NAME", "www.example.cn"),
            ("BEIAN_VERDICT", "violation"),
            ("BEIAN_REASON", "not_filed"),
            ("BEIAN_FROM", "dormant"),
            ("BEIAN_APEX", "example.cn"),
            ("BEIAN_LINE", "7"),
            ("BEIAN_FILE", "/etc/nginx/a\\u{a}BEIAN_VERDICT=compliant\\u{1b}[2J.conf"),
            ("PRIORITY", "4"),
            ("SYSLOG_IDENTIFIER", "beian-agent"),
            ("MESSAGE", "www.example.cn is violation (not filed), before that dormant"),
        ] {
            assert_eq!(violation.get(field).map(String::as_str), Some(value), "{field} of {violation:?}");
        }
        assert_eq!(entries[2]["BEIAN_PROBLEM"], "unclosed_block");
        assert_eq!(entries[3]["BEIAN_FINDING"], "implicit_default");
        assert_eq!(entries[4]["BEIAN_LOSS"], "transitions_dropped");
        assert_eq!(entries[5]["PRIORITY"], "5");
        return;
    }
    let script = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && exec \"$@\"";
    let ended = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "telemetry::tests::journal_fields_have_their_exact_names"])
        .env(INNER, "1")
        .output()
        .unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&said));
    assert!(String::from_utf8_lossy(&said).contains("1 passed"));
}

/// One entry of the journal's native protocol: `NAME=value` lines, or `NAME`,
/// a length of 8 bytes and the value.
fn fields(mut entry: &[u8]) -> HashMap<String, String> {
    let mut out = HashMap::new();
    while let Some(end) = entry.iter().position(|b| *b == b'\n') {
        let line = String::from_utf8(entry[..end].to_vec()).unwrap();
        entry = &entry[end + 1..];
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => {
                let length = usize::try_from(u64::from_le_bytes(entry[..8].try_into().unwrap())).unwrap();
                let value = String::from_utf8(entry[8..8 + length].to_vec()).unwrap();
                entry = &entry[8 + length + 1..];
                (line, value)
            }
        };
        assert!(out.insert(name.clone(), value).is_none(), "{name} is there twice");
    }
    out
}

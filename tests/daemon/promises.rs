//! One test a promise of the daemon, named after it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::machine::{HERE, Machine, soon};
use crate::harness::dns::Lead;
use crate::harness::hub::{Hub, Mood};

const TOKEN: &str = "token-of-the-tests";

/// A machine whose daemon enrols by itself, as an unattended image does.
pub fn with_hub() -> (Machine, Hub) {
    let hub = Hub::start("127.0.0.1:0", TOKEN, false);
    let mut m = Machine::new();
    m.more = format!("[hub]\nurl = \"{}\"\n[serve]\nlisten = \"\"\n", hub.url());
    m.env.push(("BEIAN_ENROL_TOKEN".to_owned(), TOKEN.to_owned()));
    (m, hub)
}

pub fn last(hub: &Hub, name: &str) -> Option<Option<String>> {
    hub.told().into_iter().rev().find(|(n, _)| n == name).map(|(_, to)| to)
}

pub fn verdict(v: &str) -> Option<Option<String>> {
    Some(Some(v.to_owned()))
}

#[test]
fn a_site_that_is_added_becomes_a_delivered_verdict_within_seconds() {
    let (m, hub) = with_hub();
    m.site("filed", "www.example.cn");
    let daemon = m.ready();
    soon("the first verdict", Duration::from_secs(10), || {
        (last(&hub, "www.example.cn") == verdict("compliant")).then_some(())
    });
    let start = Instant::now();
    m.site("new", "www.example-new.cn");
    soon("the new verdict", Duration::from_secs(10), || {
        (last(&hub, "www.example-new.cn") == verdict("violation")).then_some(())
    });
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    // Taken off again: that is news too.
    m.no_site("new");
    soon("the end of it", Duration::from_secs(10), || {
        (last(&hub, "www.example-new.cn") == Some(None)).then_some(())
    });
    // Nothing was said before the first scan was done.
    assert!(
        hub.shared
            .reports
            .lock()
            .unwrap()
            .iter()
            .all(|r| r.complete && !r.names.is_empty() || r.sequence > 1)
    );
    // The evidence came along.
    let told = hub.shared.transitions.lock().unwrap();
    let violation = told.iter().find(|t| t.name == "www.example-new.cn").unwrap();
    let reports = hub.shared.reports.lock().unwrap();
    let row =
        violation.row.as_deref().cloned().or_else(|| {
            reports.iter().flat_map(|r| &r.names).find(|r| r.name == "www.example-new.cn").cloned()
        });
    let row = row.unwrap();
    assert_eq!(row.served_by[0].file, "/etc/nginx/conf.d/new.conf");
    assert!(!row.exposure.unwrap().addresses.is_empty());
    assert_eq!(row.filing.unwrap().sources[0].registry, "provider");
    drop((told, reports));
    // And the local log has the same.
    let log = m.log();
    assert!(log.contains("www.example-new.cn is violation"), "{log}");
    drop(daemon);
}

#[test]
fn without_a_hub_the_journal_and_status_are_the_product() {
    let mut m = Machine::new();
    m.more = "[serve]\nlisten = \"\"\n".to_owned();
    m.site("a", "www.example-a.cn");
    let daemon = m.ready();
    let status =
        soon("a verdict", Duration::from_secs(10), || m.status().filter(|s| s["summary"]["violation"] == 1));
    assert_eq!(status["hub"], Value::Null);
    assert_eq!(status["wrong"][0]["name"], "www.example-a.cn");
    assert!(m.log().contains("www.example-a.cn is violation"));
    // SIGUSR1 scans now; SIGTERM ends, and leaves nothing behind.
    let before = status["last_scan"]["at"].clone();
    daemon.signal(Signal::USR1);
    soon("another scan", Duration::from_secs(5), || m.status().filter(|s| s["last_scan"]["at"] != before));
    let mut daemon = daemon;
    daemon.signal(Signal::TERM);
    let code = daemon.child.wait().unwrap();
    assert!(code.success(), "{code}: {}", m.log());
    assert!(!m.path("run/control.sock").exists());
    // What it remembers is told by the file now.
    let out = m.command(&["explain", "--from-ledger", "www.example-a.cn"]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(text.contains("/etc/nginx/conf.d/a.conf"), "{text}{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_bad_config_keeps_the_old_one_and_says_so() {
    let mut m = Machine::new();
    m.more = "[serve]\nlisten = \"\"\n".to_owned();
    m.site("a", "www.example-a.cn");
    let daemon = m.ready();
    let good = std::fs::read_to_string(m.path("agent.toml")).unwrap();
    std::fs::write(m.path("agent.toml"), "[agent]\nroot = 7\n").unwrap();
    daemon.signal(Signal::HUP);
    soon("a word about it", Duration::from_secs(5), || {
        m.log().contains("the settings in force stay").then_some(())
    });
    // A good one: this name needs no filing from now on.
    let exempt = "[[exempt]]\nname = \"example-a.cn\"\nby = \"示例公司\"\nwhy = \"test\"\n";
    std::fs::write(m.path("agent.toml"), good + exempt).unwrap();
    daemon.signal(Signal::HUP);
    m.notified("RELOADING=1", Duration::from_secs(5));
    m.notified("READY=1", Duration::from_secs(10));
    // `status` reads the settings too, and writes them: only the socket is asked.
    m.notified("1 names: 0 in violation", Duration::from_secs(40));
    drop(daemon);
}

#[test]
fn a_providers_file_that_is_replaced_changes_verdicts_at_once() {
    let mut m = Machine::new();
    m.more = "[serve]\nlisten = \"\"\n".to_owned();
    m.site("a", "www.example-a.cn");
    let _daemon = m.ready();
    soon("a violation", Duration::from_secs(10), || m.status().filter(|s| s["summary"]["violation"] == 1));
    m.filings(&["example.cn", "example-a.cn"]);
    soon("its end", Duration::from_secs(40), || m.status().filter(|s| s["summary"]["compliant"] == 1));
}

/// Promise 1: 300 times kill -9 at random moments, while sites come and go.
#[test]
fn promise_1_kill_9_at_any_moment_loses_and_doubles_nothing() {
    let (m, hub) = with_hub();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut served: BTreeMap<u64, bool> = BTreeMap::new();
    let rounds = std::env::var("BEIAN_KILLS").ok().and_then(|v| v.parse().ok()).unwrap_or(300);
    for round in 0..rounds {
        let daemon = m.start();
        for _ in 0..=random(2) {
            let n = random(8);
            let on = served.entry(n).or_default();
            *on = !*on;
            let file = format!("s{n}");
            // Filed and unfiled ones.
            let name = if n % 2 == 0 { format!("s{n}.example.cn") } else { format!("s{n}.example-{n}.cn") };
            if *on {
                m.site(&file, &name)
            } else {
                m.no_site(&file)
            }
            std::thread::sleep(Duration::from_millis(random(40)));
        }
        // Now and then it lives long enough to deliver something.
        let life = if round % 10 == 0 { 1500 + random(1500) } else { random(160) };
        std::thread::sleep(Duration::from_millis(life));
        if round % 7 == 3 {
            hub.mood(Mood::Lost);
        } else if round % 7 == 4 {
            hub.mood(Mood::Good);
        }
        daemon.kill();
    }
    hub.mood(Mood::Good);
    let _daemon = m.ready();
    // In the end the hub knows what is served, and nothing waits.
    let settled = || {
        let status = m.status()?;
        let report = hub.shared.reports.lock().unwrap().last().cloned()?;
        let mut names: Vec<String> = report.names.iter().map(|r| r.name.clone()).collect();
        names.sort();
        let mut wanted: Vec<String> = served
            .iter()
            .filter(|(_, on)| **on)
            .map(
                |(n, _)| if n % 2 == 0 { format!("s{n}.example.cn") } else { format!("s{n}.example-{n}.cn") },
            )
            .collect();
        wanted.sort();
        (status["hub"]["outbox"] == 0 && names == wanted && status["freshness"]["due"] == 0).then_some(())
    };
    soon("everything is told", Duration::from_secs(60), settled);
    assert!(hub.shared.refused.lock().unwrap().is_empty());
    // Every name's transitions are a chain: each begins where the last ended.
    let told = hub.shared.transitions.lock().unwrap();
    let mut at: BTreeMap<&str, Option<beian::facts::Standing>> = BTreeMap::new();
    for t in told.iter() {
        let before = at.get(t.name.as_str()).copied().flatten();
        let key = |s: beian::facts::Standing| (s.verdict, s.reason);
        assert_eq!(t.from.map(key), before.map(key), "{}: {} of {}", t.name, t.id, told.len());
        assert!(t.from.is_some() || t.to.is_some());
        at.insert(&t.name, t.to);
    }
    let times: Vec<_> = told.iter().map(|t| t.at).collect();
    assert!(times.is_sorted(), "in order");
    assert!(told.len() > 30, "only {} transitions: the test tests nothing", told.len());
    assert_eq!(m.log().matches("set aside").count(), 0, "{}", m.log());
}

/// Promise 1 as well: the server is set back to an older snapshot.
#[test]
fn promise_1_a_server_restored_from_a_snapshot_tells_all() {
    let (m, hub) = with_hub();
    m.site("a", "a.example-a.cn");
    let daemon = m.ready();
    soon("a", Duration::from_secs(10), || {
        (last(&hub, "a.example-a.cn") == verdict("violation")).then_some(())
    });
    daemon.kill();
    let copy = m.path("snapshot");
    let ok = std::process::Command::new("cp").arg("-a").arg(m.path("state")).arg(&copy).status().unwrap();
    assert!(ok.success());
    // Life goes on for a while…
    m.site("b", "b.example-b.cn");
    let daemon = m.ready();
    soon("b", Duration::from_secs(10), || {
        (last(&hub, "b.example-b.cn") == verdict("violation")).then_some(())
    });
    m.site("c", "c.example-c.cn");
    soon("c", Duration::from_secs(10), || {
        (last(&hub, "c.example-c.cn") == verdict("violation")).then_some(())
    });
    daemon.kill();
    // …and is forgotten.
    std::fs::remove_dir_all(m.path("state")).unwrap();
    std::fs::rename(copy, m.path("state")).unwrap();
    m.site("d", "d.example-d.cn");
    let _daemon = m.ready();
    soon("d", Duration::from_secs(30), || {
        (last(&hub, "d.example-d.cn") == verdict("violation")).then_some(())
    });
    let log = m.log();
    let sequences: Vec<u64> = hub.shared.stored.lock().unwrap().keys().map(|(_, s)| *s).collect();
    assert!(sequences.is_sorted() && sequences.len() >= 4, "{sequences:?} {log}");
    let status = m.status().unwrap();
    assert_eq!(status["hub"]["outbox"], 0, "{status}");
}

/// A full disk never stops the audit: verdicts go on, in the journal and in
/// the status; and when there is room again, all is on disk.
#[test]
fn promise_1_a_full_disk_stops_nothing() {
    let mut m = Machine::new();
    m.more = "[serve]\nlisten = \"\"\n".to_owned();
    for i in 0..40 {
        m.site(&format!("s{i}"), &format!("www.example-{i}.cn"));
    }
    // A file system of its own, nearly full: in a mount namespace, which needs root.
    let settings = m.settings();
    let script = format!(
        "mount -t tmpfs -o size=1200k none {state} && dd if=/dev/zero of={state}/fill bs=1k 2>/dev/null; exec {agent} --config {settings} run",
        state = m.path("state").display(),
        agent = crate::harness::AGENT,
        settings = settings.display(),
    );
    let log = std::fs::File::create(m.path("log")).unwrap();
    let child = crate::harness::as_root("a full disk")
        .args(["unshare", "--mount", "--propagation", "private", "sh", "-c", &script])
        .env("RUNTIME_DIRECTORY", m.path("run"))
        .env("NOTIFY_SOCKET", m.path("notify"))
        .stdin(std::process::Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let daemon = super::machine::Daemon { child };
    m.notified("READY=1", Duration::from_secs(20));
    let status =
        soon("verdicts", Duration::from_secs(20), || m.status().filter(|s| s["summary"]["violation"] == 40));
    assert_eq!(status["ledger"]["in_memory"], true, "{status}");
    assert!(m.log().contains("kept in memory"), "{}", m.log());
    m.site("late", "www.example-late.cn");
    soon("a new one", Duration::from_secs(10), || m.status().filter(|s| s["summary"]["violation"] == 41));
    drop(daemon);
}

#[test]
fn promise_4_nothing_is_written_outside_the_state_folder() {
    let (m, hub) = with_hub();
    m.site("a", "a.example-a.cn");
    let list = |m: &Machine| {
        let out = std::process::Command::new("find")
            .arg(m.path(""))
            .args(["-not", "-path", "*/state/*", "-not", "-name", "state", "-not", "-name", "log"])
            .args(["-not", "-name", "control.sock", "-not", "-name", "run", "-printf", "%p %T@ %s\n"])
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    m.settings();
    let before = list(&m);
    let daemon = m.start();
    soon("a", Duration::from_secs(20), || {
        (last(&hub, "a.example-a.cn") == verdict("violation")).then_some(())
    });
    assert_eq!(before.lines().count(), list(&m).lines().count(), "{}", list(&m));
    drop(daemon);
    // Keys and tokens are for their owner alone.
    use std::os::unix::fs::PermissionsExt as _;
    for e in std::fs::read_dir(m.path("state")).unwrap() {
        let e = e.unwrap();
        let mode = e.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", e.file_name());
    }
}

/// A hub's bad days, and those of what stands before it: everything is told in
/// the end, once. Each answer alone is tested in `uplink`.
#[test]
fn promise_1_bad_days_of_a_hub_lose_nothing() {
    let (m, hub) = with_hub();
    m.site("s0", "www.example-0.cn");
    let _daemon = m.ready();
    let violated = |n: usize| last(&hub, &format!("www.example-{n}.cn")) == verdict("violation");
    soon("the first", Duration::from_secs(10), || violated(0).then_some(()));
    let moods = [
        Mood::Status(500),
        Mood::Later(429, 1),
        Mood::Garbage,
        Mood::Page(403),
        Mood::Page(404),
        Mood::Slow(Duration::from_secs(2)),
        Mood::Lost,
    ];
    for (i, mood) in moods.into_iter().enumerate() {
        hub.mood(mood);
        m.site(&format!("s{}", i + 1), &format!("www.example-{}.cn", i + 1));
        std::thread::sleep(Duration::from_millis(1500));
    }
    let calls = *hub.shared.calls.lock().unwrap();
    hub.mood(Mood::Good);
    soon("all", Duration::from_secs(120), || (0..=7).all(violated).then_some(()));
    assert!(calls >= 3, "it was tried meanwhile: {calls}");
    assert_eq!(hub.told().len(), 8, "each once: {:?}", hub.told());
    let stored = hub.shared.stored.lock().unwrap();
    let sequences: Vec<u64> = stored.keys().map(|(_, s)| *s).collect();
    assert!(sequences.is_sorted());
}

/// Promise 2 through the daemon: a resolver that fails, or says that there is
/// no such name.
#[test]
fn promise_2_a_resolver_that_fails_makes_no_verdict() {
    let mut m = Machine::new();
    m.more = "[serve]\nlisten = \"\"\n".to_owned();
    m.dns.now(|name| match name {
        n if n.starts_with("silent") => Lead::Silence,
        n if n.starts_with("servfail") => Lead::ServFail,
        n if n.starts_with("none") => Lead::NxDomain,
        _ => Lead::To(HERE),
    });
    for name in ["silent", "servfail", "none", "here"] {
        m.site(name, &format!("{name}.example-{name}.cn"));
    }
    let _daemon = m.ready();
    let status = soon("all verdicts", Duration::from_secs(20), || {
        m.status().filter(|s| s["summary"]["violation"] == 1 && s["summary"]["dormant"] == 1)
    });
    assert_eq!(status["summary"]["unconfirmed"], 2, "{status}");
    let out =
        m.command(&["explain", "--from-ledger", "servfail.example-servfail.cn", "--format", "json"]).output();
    let row: Value = serde_json::from_slice(&out.unwrap().stdout).unwrap();
    assert_eq!(row["rows"][0]["reason"], "exposure_unknown", "{row}");
    assert_eq!(row["rows"][0]["exposure"]["why"], "servfail");
}

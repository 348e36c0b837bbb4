//! Units, packages, alert rules and the board, by the tools of those who will
//! use them. The packages themselves are made by scripts/packages.sh before.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

use crate::harness::{AGENT, package};

/// Standard output and error of a command that must succeed.
fn run(cmd: &mut Command) -> String {
    let out = cmd.output().unwrap_or_else(|e| panic!("{cmd:?}: {e}: scripts/bootstrap.sh test installs it"));
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{cmd:?} ended with {}\n{text}", out.status);
    text
}

fn read(path: &str) -> String {
    fs::read_to_string(package(path)).unwrap()
}

/// The one package of this version under target/packages.
fn built(suffix: &str) -> PathBuf {
    let dir = package("target/packages");
    let mut found: Vec<PathBuf> = fs::read_dir(&dir)
        .unwrap_or_else(|e| panic!("{}: {e}: run scripts/packages.sh first", dir.display()))
        .map(|e| e.unwrap().path())
        .filter(|p| {
            let name = p.file_name().unwrap().to_string_lossy().into_owned();
            name.contains(env!("CARGO_PKG_VERSION")) && name.ends_with(suffix)
        })
        .collect();
    assert_eq!(found.len(), 1, "{suffix} packages of this version: {found:?}");
    found.remove(0)
}

#[test]
fn the_unit_is_exposed_at_most_2_0() {
    run(Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
        .arg(package("systemd/beian-agent.service")));
}

/// `verify` ends with success on keys that it does not know, so any word fails.
/// The older unit has keys that only old systemd knows by that name: of those,
/// and of nothing else, it speaks.
#[test]
fn systemd_analyze_verify_is_silent() {
    for (unit, old_keys) in
        [("beian-agent", &[][..]), ("beian-agent-legacy", &["CPUShares=", "MemoryLimit="][..])]
    {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(format!("{unit}.service"));
        // the program is not installed here
        fs::write(&file, read(&format!("systemd/{unit}.service")).replace("/usr/bin/beian-agent", AGENT))
            .unwrap();
        let said = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file));
        let rest: Vec<&str> = said
            .lines()
            .filter(|l| !old_keys.iter().any(|k| l.contains(&format!("Unit uses {k}"))))
            .collect();
        assert!(rest.is_empty(), "{unit}: {said}");
    }
}

/// systemd 219 ignores what it does not know, and then the agent would run
/// without what the line should give. So the older unit uses nothing newer.
#[test]
fn the_older_unit_uses_only_what_systemd_219_knows() {
    const KNOWN: [&str; 40] = [
        "After",
        "CPUShares",
        "CapabilityBoundingSet",
        "Description",
        "Documentation",
        "Environment",
        "ExecReload",
        "ExecStart",
        "ExecStartPre",
        "Group",
        "IOSchedulingClass",
        "InaccessibleDirectories",
        "LimitCORE",
        "LimitNOFILE",
        "MemoryLimit",
        "Nice",
        "NoNewPrivileges",
        "NotifyAccess",
        "OOMScoreAdjust",
        "PrivateDevices",
        "PrivateTmp",
        "ProtectHome",
        "ProtectSystem",
        "ReadOnlyDirectories",
        "ReadWriteDirectories",
        "Restart",
        "RestartSec",
        "RestrictAddressFamilies",
        "RuntimeDirectory",
        "RuntimeDirectoryMode",
        "StartLimitBurst",
        "StartLimitInterval",
        "SystemCallArchitectures",
        "TimeoutStartSec",
        "TimeoutStopSec",
        "Type",
        "UMask",
        "User",
        "WantedBy",
        "Wants",
    ];
    let unit = read("systemd/beian-agent-legacy.service");
    let mut keys = 0;
    for line in unit.lines().filter(|l| !l.starts_with(['#', '[']) && !l.is_empty()) {
        let key = line.split('=').next().unwrap();
        assert!(key == "WatchdogSec" || KNOWN.contains(&key), "systemd 219 does not know {key}=");
        // strict is of 232, and would be read as off
        assert!(line != "ProtectSystem=strict");
        keys += 1;
    }
    assert!(keys > 30);
    // a timespan with a unit is fine, a system call group is of 231
    assert!(!unit.contains("SystemCallFilter"));
}

/// What the reader of files calls secret, the unit takes out of sight.
#[test]
fn the_unit_hides_what_the_reader_calls_secret() {
    let unit = read("systemd/beian-agent.service");
    let hidden: BTreeSet<&str> = unit
        .lines()
        .filter_map(|l| l.strip_prefix("InaccessiblePaths="))
        .flat_map(str::split_whitespace)
        .map(|p| {
            p.strip_prefix('-').unwrap_or_else(|| panic!("{p}: without '-' a missing path fails the start"))
        })
        .collect();
    let secret = read("src/source/secret.rs");
    let mut seen = 0;
    for m in Regex::new(r#"b"(/[a-z]+/[a-z0-9/_-]+)""#).unwrap().captures_iter(&secret) {
        assert!(hidden.contains(m[1].trim_end_matches('/')), "{} can be seen", &m[1]);
        seen += 1;
    }
    assert!(seen > 10);
}

#[test]
fn alert_rules_are_valid_and_fire_as_they_should() {
    let dir = package("packaging/prometheus");
    run(Command::new("promtool").args(["check", "rules", "beian-agent.rules.yml"]).current_dir(&dir));
    run(Command::new("promtool").args(["test", "rules", "beian-agent.tests.yml"]).current_dir(&dir));
    let rules = read("packaging/prometheus/beian-agent.rules.yml");
    let tests = read("packaging/prometheus/beian-agent.tests.yml");
    for m in Regex::new(r"- alert: (\w+)").unwrap().captures_iter(&rules) {
        assert!(tests.matches(&format!("alertname: {}\n", &m[1])).count() >= 2, "{} has no test", &m[1]);
    }
}

/// Every number that the rules and the board use is one that the agent has.
#[test]
fn alerts_and_board_use_numbers_that_exist() {
    let source = read("src/telemetry/metrics.rs");
    let call = Regex::new(r#"register(_with_unit)?\(\s*"([a-z_]+)",\s*"[^"]*",\s*(?:Unit::(\w+))?"#).unwrap();
    let suffix = Regex::new("_(total|bucket|sum|count|info)$").unwrap();
    let exist: BTreeSet<String> = call
        .captures_iter(&source)
        .map(|m| match m.get(3) {
            Some(unit) => format!("beian_agent_{}_{}", &m[2], unit.as_str().to_lowercase()),
            None => format!("beian_agent_{}", suffix.replace(&m[2], "")),
        })
        .collect();
    assert!(exist.len() > 15, "{exist:?}");

    let board: Value = serde_json::from_str(&read("packaging/grafana/beian-agent.json")).unwrap();
    let mut queries = read("packaging/prometheus/beian-agent.rules.yml");
    let mut ids = BTreeSet::new();
    for panel in board["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels with one id");
        for target in panel["targets"].as_array().unwrap() {
            queries.push('\n');
            queries.push_str(target["expr"].as_str().unwrap());
        }
    }
    let mut used = BTreeSet::new();
    for m in Regex::new("beian_agent_[a-z_]+").unwrap().find_iter(&queries) {
        let name = suffix.replace(m.as_str(), "").into_owned();
        assert!(exist.contains(&name), "{name} is used, and the agent has no such number: {exist:?}");
        used.insert(name);
    }
    assert!(used.len() > 12, "{used:?}");
}

#[test]
fn lintian_finds_no_error() {
    let out = Command::new("lintian")
        .args(["--allow-root", "--no-tag-display-limit", "--fail-on", "error"])
        .arg(built("_amd64.deb"))
        .output()
        .unwrap_or_else(|e| panic!("lintian: {e}: scripts/bootstrap.sh test installs it"));
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && !text.lines().any(|l| l.starts_with("E:")), "{text}");
}

/// The files of a package, as `dpkg-deb -c` or `rpm -qlp` names them.
fn files(list: &str) -> BTreeSet<String> {
    list.lines()
        .filter_map(|l| l.split_whitespace().find(|w| w.starts_with("./") || w.starts_with('/')))
        .map(|f| f.trim_start_matches('.').trim_end_matches('/').to_owned())
        .collect()
}

const IN_BOTH: [&str; 12] = [
    "/usr/bin/beian-agent",
    "/etc/beian/agent.toml",
    "/etc/beian/conf.d/README",
    "/etc/logrotate.d/beian-agent",
    "/usr/lib/sysusers.d/beian-agent.conf",
    "/usr/share/man/man1/beian-agent.1.gz",
    "/usr/share/man/man1/beian-agent-audit.1.gz",
    "/usr/share/man/man5/agent.toml.5.gz",
    "/usr/share/man/zh_CN/man1/beian-agent.1.gz",
    "/usr/share/bash-completion/completions/beian-agent",
    "/usr/share/beian-agent/prometheus/beian-agent.rules.yml",
    "/usr/share/beian-agent/legacy/beian-agent.service",
];

#[test]
fn the_deb_states_what_it_needs_and_brings_what_it_should() {
    let deb = built("_amd64.deb");
    let field = |f: &str| run(Command::new("dpkg-deb").arg("-f").arg(&deb).arg(f)).trim().to_owned();
    assert_eq!(field("Package"), "beian-agent");
    assert_eq!(field("Depends"), "libc6 (>= 2.17), passwd");
    let names = files(&run(Command::new("dpkg-deb").arg("-c").arg(&deb)));
    for f in IN_BOTH {
        assert!(names.contains(f), "{f} is not in the .deb: {names:?}");
    }
    assert!(names.contains("/lib/systemd/system/beian-agent.service"));
    let conf = run(Command::new("dpkg-deb").arg("-I").arg(&deb).arg("conffiles"));
    for f in ["/etc/beian/agent.toml", "/etc/beian/conf.d/README", "/etc/logrotate.d/beian-agent"] {
        assert!(conf.lines().any(|l| l == f), "{f} is no conffile: {conf}");
    }
    let dir = tempfile::tempdir().unwrap();
    run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(dir.path()));
    check_binary(&dir.path().join("usr/bin/beian-agent"));
    // what is shipped is what the settings' reader takes
    let toml = dir.path().join("etc/beian/agent.toml");
    assert!(fs::read_to_string(&toml).unwrap().contains("\nlang = \"zh\"\n"));
    run(Command::new(AGENT).arg("--config").arg(&toml).args(["config", "check"]));
}

#[test]
fn the_rpm_suits_old_rpm_too() {
    let rpm = built(".x86_64.rpm");
    let query = |q: &[&str]| run(Command::new("rpm").args(["-qp", "--nosignature"]).args(q).arg(&rpm));
    // rpm of CentOS 7 cannot unpack zstd
    assert_eq!(query(&["--queryformat", "%{PAYLOADCOMPRESSOR}"]), "gzip");
    let names = files(&query(&["--list"]));
    for f in IN_BOTH {
        assert!(names.contains(f), "{f} is not in the .rpm: {names:?}");
    }
    let needs = query(&["--requires"]);
    for line in needs.lines() {
        let glibc = line.strip_prefix("libc.so.6(GLIBC_").and_then(|v| v.split(')').next());
        assert!(glibc.is_none_or(|v| v == "2.17"), "{needs}");
        assert!(!line.contains("Zstd"), "{needs}");
    }
    assert!(needs.contains("libc.so.6(GLIBC_2.17)(64bit)"), "{needs}");
    let config = query(&["--configfiles"]);
    assert!(config.contains("/etc/beian/agent.toml"), "{config}");
    let scripts = query(&["--scripts"]);
    for s in ["preinstall", "postinstall", "preuninstall", "postuninstall"] {
        assert!(scripts.contains(&format!("{s} scriptlet")), "{scripts}");
    }
}

/// glibc 2.17 at most, stripped, below 12 MB.
fn check_binary(file: &Path) {
    run(Command::new(package("scripts/check-binary")).arg(file).arg("2.17"));
}

#[test]
fn scripts_of_the_packages_are_plain_shell() {
    for f in [
        "deb/postinst",
        "deb/prerm",
        "deb/postrm",
        "rpm/pre.sh",
        "rpm/post.sh",
        "rpm/preun.sh",
        "rpm/postun.sh",
    ] {
        run(Command::new("dash").arg("-n").arg(package(&format!("packaging/{f}"))));
    }
}

//! Every scenario of `tests/scenarios`: whole audits against doubles of the
//! registries and of the resolver.

use crate::harness::{AGENT, As, count, package, suite};

#[test]
fn every_scenario_ends_as_the_rules_say() {
    let list = suite("tests/scenarios/run_scenarios.py", &["--list"], As::Anyone);
    let open = std::fs::read_dir(package("tests/scenarios/open")).unwrap().count();
    assert!(list.lines().count() > open, "the scenarios that are made, not written, are missing");
    // Two at a time: more would only measure how busy the machine is.
    let out = suite("tests/scenarios/run_scenarios.py", &[AGENT, "--jobs", "2"], As::Anyone);
    assert_eq!(count(&out, "passed"), list.lines().count(), "{out}");
    assert_eq!(count(&out, "failed"), 0, "{out}");
}

#[test]
fn the_doubles_and_the_checks_can_fail() {
    // A program that does nothing passes no scenario at all.
    let out = std::process::Command::new("python3")
        .arg(package("tests/scenarios/run_scenarios.py"))
        .args(["/bin/true", "--only", "cell-", "--jobs", "2"])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(!out.status.success());
    assert_eq!(count(&String::from_utf8_lossy(&out.stdout), "passed"), 0);
}

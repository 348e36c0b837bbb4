//! Every case of `tests/corpus`: the program against `expected.json`, and
//! `expected.json` against the real server.

use std::path::PathBuf;

use crate::harness::{AGENT, As, count, package, suite};

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(package("tests/corpus"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .collect();
    cases.sort();
    cases
}

fn expected(case: &std::path::Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(case.join("expected.json")).unwrap()).unwrap()
}

#[test]
fn every_case_gives_what_is_expected() {
    let out =
        suite("tests/corpus/run_cases.py", &[AGENT, package("tests/corpus").to_str().unwrap()], As::Anyone);
    assert_eq!(count(&out, "passed"), cases().len(), "a folder was not run:\n{out}");
    assert_eq!(count(&out, "failed"), 0, "{out}");
}

#[test]
fn every_expectation_holds_on_the_real_server() {
    let out =
        suite("tests/corpus/run_on_real_servers.py", &[package("tests/corpus").to_str().unwrap()], As::Root);
    // Nobody's expectation may go unasked: but for the cases that say why no
    // server can confirm them, each server of each case was started.
    let runs: usize = cases()
        .iter()
        .map(|c| expected(c))
        .filter(|x| x.get("unverified").is_none())
        .map(|x| x.get("real").and_then(|r| r.as_object()).map_or(1, |r| r.len()))
        .sum();
    assert_eq!(count(&out, "confirmed"), runs, "{out}");
    assert_eq!(count(&out, "failed"), 0, "{out}");
}

#[test]
fn a_wrong_expectation_is_noticed() {
    // The suites themselves can fail: a case whose answer is wrong does.
    let t = tempfile::tempdir().unwrap();
    let case = t.path().join("wrong");
    std::fs::create_dir_all(case.join("input/etc/nginx")).unwrap();
    std::fs::write(
        case.join("input/etc/nginx/nginx.conf"),
        "events {}\nhttp { server { listen 8080; server_name a.example.com; return 200 \"A\"; } }\n",
    )
    .unwrap();
    std::fs::write(
        case.join("expected.json"),
        r#"{"server":"nginx","entry":"/etc/nginx/nginx.conf","sites":[{"server":"nginx","names":["b.example.com"],"listen":["*:8080"],"default":["*:8080"],"file":"/etc/nginx/nginx.conf","line":2}],"probes":{"8080 b.example.com":0},"answers":["B"]}"#,
    )
    .unwrap();
    let out = std::process::Command::new("python3")
        .arg(package("tests/corpus/run_cases.py"))
        .args([AGENT, t.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!out.status.success());
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!((count(&text, "passed"), count(&text, "failed")), (0, 1), "{text}");
    assert!(text.contains(r#"names: expected ["b.example.com"], got ["a.example.com"]"#), "{text}");
}

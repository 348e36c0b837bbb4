//! The cases of `tests/corpus` that are about nginx.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::*;

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

#[test]
fn every_case_gives_the_sites_that_the_real_server_serves() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut seen = 0;
    let mut bad = Vec::new();
    let mut cases: Vec<_> = std::fs::read_dir(&corpus).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    for case in cases.iter().filter(|c| c.join("expected.json").is_file()) {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let expected: Value =
            serde_json::from_slice(&std::fs::read(case.join("expected.json")).unwrap()).unwrap();
        let entry = match (&expected["server"], &expected["real"]["nginx"]) {
            (Value::String(s), _) if s == "nginx" => expected["entry"].as_str().unwrap().to_owned(),
            (_, Value::String(main)) => main.clone(),
            _ => continue,
        };
        seen += 1;
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        copy(&case.join("input"), &root);
        if case.join("make.sh").is_file() {
            let made = Command::new("sh").arg(case.join("make.sh")).arg(&root).status().unwrap();
            assert!(made.success(), "{name}");
        }
        let scan = scan_root(&root, &entry, Limits::default());
        let got = serde_json::to_value(&scan.sites).unwrap();
        let got = got.as_array().unwrap();
        let want: Vec<&Value> =
            expected["sites"].as_array().unwrap().iter().filter(|s| s["server"] == "nginx").collect();
        let same = |w: &Value, g: &Value| {
            w.as_object().unwrap().iter().all(|(k, v)| match g.get(k) {
                Some(got) => got == v,
                None => v.as_array().is_some_and(Vec::is_empty),
            })
        };
        let fits = if expected["compare"] == "subset" {
            want.iter().all(|w| got.iter().any(|g| same(w, g)))
        } else {
            want.len() == got.len() && want.iter().zip(got).all(|(w, g)| same(w, g))
        };
        if !fits {
            bad.push(format!("{name}: {got:#?}"));
        }
        let problems = serde_json::to_value(&scan.problems).unwrap();
        let problems = problems.as_array().unwrap();
        match expected["problems"].as_array() {
            Some(none) if none.is_empty() && problems.is_empty() => {}
            Some(none) if none.is_empty() => bad.push(format!("{name}: {problems:?}")),
            Some(some) => {
                for w in some {
                    if !problems.iter().any(|p| same(w, p)) {
                        bad.push(format!("{name}: no {w} in {problems:?}"));
                    }
                }
            }
            None => {}
        }
        let text = format!("{got:?}{problems:?}");
        for absent in expected["absent"].as_array().into_iter().flatten() {
            if text.contains(absent.as_str().unwrap()) {
                bad.push(format!("{name}: {absent} came out"));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(seen >= 20, "only {seen} cases found");
}

//! The cases that the real server confirmed.

use super::*;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn check(case: &Path, want: &Value, entry: &str) {
    let name = case.file_name().unwrap().to_string_lossy().into_owned();
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("root");
    let copied =
        std::process::Command::new("cp").arg("-a").arg(case.join("input")).arg(&root).status().unwrap();
    assert!(copied.success());
    if case.join("make.sh").exists() {
        let made = std::process::Command::new("sh").arg(case.join("make.sh")).arg(&root).status().unwrap();
        assert!(made.success());
    }
    let src = Source::open(&root, Limits::default()).unwrap();
    let args = want["args"].as_str().map(str::to_owned);
    let scan = read(&src, &Entry { path: entry.into(), args });
    let got: Vec<Value> = scan.sites.iter().map(|s| serde_json::to_value(s).unwrap()).collect();
    let sites: Vec<&Value> =
        want["sites"].as_array().unwrap().iter().filter(|s| s["server"] == "apache").collect();
    assert_eq!(got.len(), sites.len(), "{name}: {got:#?}");
    for (want, got) in sites.iter().zip(&got) {
        for (key, value) in want.as_object().unwrap() {
            let empty = Value::Array(Vec::new());
            assert_eq!(value, got.get(key).unwrap_or(&empty), "{name}: {key} of {got:#}");
        }
    }
    let expected = want["problems"].as_array().cloned().unwrap_or_default();
    for p in &expected {
        let found = scan.problems.iter().any(|q| {
            let q = serde_json::to_value(q).unwrap();
            p.as_object().unwrap().iter().all(|(k, v)| q.get(k) == Some(v))
        });
        assert!(found, "{name}: no {p} in {:?}", scan.problems);
    }
    if want["problems"].as_array().is_some_and(Vec::is_empty) {
        assert_eq!(scan.problems, [], "{name}");
    }
    let all = format!("{scan:?}");
    for absent in want["absent"].as_array().into_iter().flatten() {
        assert!(!all.contains(absent.as_str().unwrap()), "{name}: {absent} came out");
    }
}

#[test]
fn every_apache_case_is_read_as_expected() {
    let mut seen = 0;
    for dir in std::fs::read_dir(corpus()).unwrap() {
        let dir = dir.unwrap().path();
        let Ok(text) = std::fs::read(dir.join("expected.json")) else { continue };
        let want: Value = serde_json::from_slice(&text).unwrap();
        let entry = match &want["server"] {
            Value::String(s) if s == "apache" => want["entry"].as_str(),
            _ => want["real"]["apache"].as_str(),
        };
        if let Some(entry) = entry {
            check(&dir, &want, entry);
            seen += 1;
        }
    }
    assert!(seen >= 9, "only {seen} cases of Apache");
}

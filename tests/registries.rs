//! Registries against the Python double, which speaks every shape and fault.

mod canaries;
mod faults;
mod healthy;
mod provider_file;
mod wire;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use beian::config::Config;
use beian::facts::{Filing, FilingState, Problem, SourceState};
use beian::filing::{Ask, Registries};
use serde_json::{Value, json};

/// The double of tests/scenarios as a process of this test's own.
struct Double {
    child: Child,
    port: u16,
    log: PathBuf,
    _dir: tempfile::TempDir,
}

impl Double {
    /// `instances` as in the long form of its scenario file.
    fn start(instances: &Value) -> Double {
        let dir = tempfile::tempdir().unwrap();
        let (scenario, log) = (dir.path().join("scenario.json"), dir.path().join("log.jsonl"));
        std::fs::write(&scenario, json!({ "instances": instances }).to_string()).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/registry_double.py");
        let mut child = Command::new("python3")
            .args([script, "0"])
            .arg(&scenario)
            .arg(&log)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Double { child, port: line.trim().parse().unwrap(), log, _dir: dir }
    }

    fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    /// How often an instance was asked for a name.
    fn asked(&self, instance: &str, name: &str) -> usize {
        self.log().iter().filter(|e| e["instance"] == instance && e["apex"] == name).count()
    }

    /// What holds for every call, whatever is tested.
    fn check_calls(&self) {
        for e in self.log() {
            assert_ne!(e["instance"], "TRAP", "a redirect was followed");
            assert!(!e["instance"].is_null(), "odd call: {}", e["path"]);
            assert!(!["404", "no domain", "soap: not the call"].iter().any(|a| e["answer"] == *a), "{e}");
            for header in ["cookie", "referer", "authorization"] {
                assert!(e["headers"].get(header).is_none(), "{header} was sent");
            }
        }
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The configuration of one registry at an instance of the double; `shape`
/// as the double calls it.
fn at(port: u16, instance: &str, shape: &str, more: &str) -> String {
    let kind = match shape {
        "b" => "kind = \"yd2431\"\nisp_id = \"1001\"\nuser = \"shiliuser\"\npassword = \"PASS-示例-77b1\""
            .to_owned(),
        "c" => "kind = \"ministry_list\"".to_owned(),
        preset => format!("kind = \"json_api\"\npreset = \"{preset}\"\nkey = \"KEY-{preset}\""),
    };
    let more = if more.contains("timeout") { more.to_owned() } else { format!("{more}\ntimeout = \"10s\"") };
    let more = if more.contains("rate") { more } else { format!("{more}\nrate = \"50/s\"") };
    format!(
        "[[registry]]\nname = \"{instance}\"\n{kind}\nurl = \"http://127.0.0.1:{port}/{instance}\"\n{more}\n"
    )
}

const CANARY: &str = "canary = \"jinsique-shili.cn\"";

fn open(config: &str) -> Registries {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.toml");
    std::fs::write(&file, config).unwrap();
    Registries::new(&Config::load_with(Some(&file), vec![]).unwrap().registries).unwrap()
}

fn asks(names: &[&str]) -> Vec<Ask> {
    names.iter().map(|n| Ask { names: vec![(*n).to_owned()] }).collect()
}

async fn look(registries: &Registries, names: &[&str]) -> (Vec<Filing>, Vec<Problem>) {
    let done = std::sync::atomic::AtomicUsize::new(0);
    let answers = registries
        .lookup(&asks(names), &|| {
            done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        })
        .await;
    assert_eq!(done.into_inner(), names.len(), "done is called once a question");
    assert_eq!(answers.filings.len(), names.len());
    (answers.filings, answers.problems)
}

fn states(filings: &[Filing]) -> Vec<FilingState> {
    filings.iter().map(|f| f.state).collect()
}

fn source(filing: &Filing, registry: &str) -> SourceState {
    filing.sources.iter().find(|s| s.registry == registry).unwrap().state
}

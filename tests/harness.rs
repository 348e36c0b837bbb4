//! What the tests share: the built program, and running the Python suites
//! that lie beside them.

pub mod dns;
pub mod hub;
#[cfg(feature = "hub")]
pub mod postgres;
#[cfg(feature = "hub")]
pub mod provider;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program under test.
pub const AGENT: &str = env!("CARGO_BIN_EXE_beian-agent");

/// A path inside this package.
pub fn package(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// How a suite is started: as this user, or as root where it needs namespaces
/// and mounts of its own.
#[derive(Clone, Copy, PartialEq)]
pub enum As {
    /// As whoever runs the tests.
    Anyone,
    /// As root, by sudo without a password if need be.
    Root,
}

/// Runs a Python suite and gives its output; panics with all of it when the
/// suite did not end with success.
pub fn suite(script: &str, args: &[&str], user: As) -> String {
    let mut cmd = match user {
        As::Root => {
            let mut c = as_root(script);
            c.arg("python3");
            c
        }
        As::Anyone => Command::new("python3"),
    };
    cmd.arg(package(script)).args(args).stdin(Stdio::null()).env("PYTHONDONTWRITEBYTECODE", "1");
    let Output { status, stdout, stderr } = cmd.output().unwrap();
    let out = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        status.success(),
        "{script} {args:?} ended with {status}\n{}{}",
        // first what failed, so that it is not lost in the long list
        out.lines().filter(|l| !l.starts_with("ok ")).fold(String::new(), |s, l| s + l + "\n"),
        String::from_utf8_lossy(&stderr)
    );
    out
}

/// `env` as root, by sudo without a password if need be: give it variables and
/// the command. `what` starts namespaces and mounts of its own.
pub fn as_root(what: &str) -> Command {
    if is_root() {
        return Command::new("env");
    }
    assert!(
        Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status().is_ok_and(|s| s.success()),
        "{what} starts real servers in namespaces of their own and so needs root: run `make test` as root, or where sudo asks for no password"
    );
    let mut c = Command::new("sudo");
    c.args(["-n", "env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
    c
}

/// `N word` in the last line of a suite's output.
pub fn count(out: &str, word: &str) -> usize {
    let last = out.lines().last().unwrap_or_default();
    let words: Vec<&str> = last.split([' ', ',']).filter(|w| !w.is_empty()).collect();
    let at = words
        .iter()
        .position(|w| *w == word)
        .unwrap_or_else(|| panic!("no {word:?} in the last line {last:?}"));
    words[at - 1].parse().unwrap()
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let uid = status.lines().find_map(|l| l.strip_prefix("Uid:")).unwrap();
    uid.split_whitespace().nth(1) == Some("0")
}

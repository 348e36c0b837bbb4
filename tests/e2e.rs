//! A real systemd in a container: the package installed beside nginx and Apache,
//! and what becomes of it. The steps are in e2e/container.sh.

use std::path::PathBuf;
use std::process::Stdio;

use crate::harness::{AGENT, as_root, package};

/// The hub of the tests, built as an example beside the program.
fn test_hub() -> PathBuf {
    PathBuf::from(AGENT).with_file_name("examples").join("test_hub")
}

#[test]
fn a_package_in_a_container() {
    let hub = test_hub();
    assert!(hub.is_file(), "{} is missing: cargo build --all-targets builds it", hub.display());
    let script = package("tests/e2e/container.sh");
    let out = as_root(&script.display().to_string())
        .arg(format!("HUB_BIN={}", hub.display()))
        .arg("bash")
        .arg(&script)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("all steps passed"), "{text}");
}

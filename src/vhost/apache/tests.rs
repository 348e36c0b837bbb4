#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::config::Limits;

mod corpus;
mod hostile;
mod reading;
mod serving;
mod settings;
mod suse;
mod versions;

/// A machine's `/` in a scratch folder.
struct Tree {
    dir: tempfile::TempDir,
    limits: Limits,
}

const MAIN: &str = "/etc/apache2/apache2.conf";

impl Tree {
    fn new() -> Tree {
        Tree { dir: tempfile::tempdir().unwrap(), limits: Limits::default() }
    }

    /// A tree whose main file holds this.
    fn of(main: impl AsRef<[u8]>) -> Tree {
        Tree::new().file(MAIN, main)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    fn file(self, path: &str, text: impl AsRef<[u8]>) -> Tree {
        let at = self.path(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, text).unwrap();
        self
    }

    fn link(self, path: &str, target: &str) -> Tree {
        let at = self.path(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, at).unwrap();
        self
    }

    fn scan(&self) -> Scan {
        self.scan_from(MAIN, None)
    }

    fn scan_from(&self, main: &str, args: Option<&str>) -> Scan {
        let src = Source::open(self.dir.path(), self.limits).unwrap();
        read(&src, &Entry { path: main.into(), args: args.map(str::to_owned) })
    }
}

/// All names of all sites, in order.
fn names(scan: &Scan) -> Vec<&str> {
    scan.sites.iter().flat_map(|s| s.names.iter().map(String::as_str)).collect()
}

/// Kinds of problems with their places.
fn problems(scan: &Scan) -> Vec<(ProblemKind, &str, Option<u32>)> {
    scan.problems.iter().map(|p| (p.kind, p.file.as_deref().unwrap_or(""), p.line)).collect()
}

/// A vhost of one name.
fn vhost(addr: &str, name: &str) -> String {
    format!("<VirtualHost {addr}>\nServerName {name}\n</VirtualHost>\n")
}

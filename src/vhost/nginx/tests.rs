//! What the reader says of whole configurations, written into a scratch root.

mod corpus;
mod faults;
mod hostile;
mod properties;
mod sites;
mod tokens;

use std::path::Path;

use crate::config::Limits;
use crate::facts::{ProblemKind, Scan, Site};
use crate::source::Source;
use crate::vhost::Entry;

/// Reads `/etc/nginx/nginx.conf` of a root with these files.
fn scan_files(files: &[(&str, &[u8])]) -> Scan {
    scan_with(files, Limits::default())
}

fn scan_with(files: &[(&str, &[u8])], limits: Limits) -> Scan {
    let root = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        write(root.path(), path, bytes);
    }
    scan_root(root.path(), "/etc/nginx/nginx.conf", limits)
}

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn scan_root(root: &Path, entry: &str, limits: Limits) -> Scan {
    let src = Source::open(root, limits).unwrap();
    super::read(&src, &Entry { path: entry.as_bytes().to_vec(), args: None })
}

/// Reads one file that holds everything.
fn scan(text: impl AsRef<[u8]>) -> Scan {
    scan_files(&[("/etc/nginx/nginx.conf", text.as_ref())])
}

/// Reads directives inside `http {}`; there must be no problem.
fn sites(http: &str) -> Vec<Site> {
    let scan = scan(format!("events {{}}\nhttp {{\n{http}\n}}\n"));
    assert_eq!(scan.problems, [], "{http}");
    scan.sites
}

/// The only site of directives inside one `server {}`.
fn site(server: &str) -> Site {
    let mut all = sites(&format!("server {{\n{server}\n}}"));
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn kinds(scan: &Scan) -> Vec<ProblemKind> {
    scan.problems.iter().map(|p| p.kind).collect()
}

fn names(scan: &Scan) -> Vec<Vec<&str>> {
    scan.sites.iter().map(|s| s.names.iter().map(String::as_str).collect()).collect()
}

//! Reads a panel-style tree of Apache sites (10,000 files, 20,000 vhosts;
//! `BEIAN_BENCH_SITES` for another size), beside merely reading its files.

use std::path::Path;
use std::process::Command;

use beian::config::Limits;
use beian::facts::Server;
use beian::source::Source;
use beian::vhost::{self, Entry};
use criterion::{Criterion, criterion_group, criterion_main};

fn tree(sites: &str) -> String {
    let out = format!("{}/apache-{sites}", env!("CARGO_TARGET_TMPDIR"));
    let main = format!("{out}/apache/conf/httpd.conf");
    if !Path::new(&main).exists() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/gen_tree.py");
        let made = Command::new("python3").args([script, "apache", sites, &out]).status();
        assert!(made.is_ok_and(|s| s.success()), "gen_tree.py failed");
    }
    out
}

fn scan(c: &mut Criterion) {
    let sites = std::env::var("BEIAN_BENCH_SITES").unwrap_or_else(|_| "10000".to_owned());
    let out = tree(&sites);
    let entry = Entry { path: format!("{out}/apache/conf/httpd.conf").into_bytes(), args: None };
    let folder = format!("{out}/panel/vhost/apache").into_bytes();
    let root = Path::new("/");
    let open = || Source::open(root, Limits::default()).map_err(|e| e.to_string());

    let mut group = c.benchmark_group(format!("apache/{sites}"));
    group.sample_size(20);
    group.bench_function("sites", |b| {
        b.iter(|| open().map(|src| vhost::read(&src, Server::Apache, &entry).sites.len()));
    });
    group.bench_function("files_only", |b| {
        b.iter(|| {
            open().map(|src| {
                let names = src.list(&folder).unwrap_or_default();
                names
                    .iter()
                    .filter_map(|n| src.read(&[&folder, &b"/"[..], n].concat()).ok())
                    .map(|f| f.bytes.len())
                    .sum::<usize>()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, scan);
criterion_main!(benches);
